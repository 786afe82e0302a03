// Choices of tokens on their way to the device, and what was chosen on its way back, past the stream in which kernels follow each
// other: a copy between two of them costs that stream some 15 us, whatever its size.
#ifndef SM1RT_SRC_CUDA_CHOICECOPIES_H
#define SM1RT_SRC_CUDA_CHOICECOPIES_H

#include "Memory.h"

#include "sampling.h"

#include <atomic>

namespace sm1rt::cuda {

class ChoiceCopies {
public:
  explicit ChoiceCopies(std::shared_ptr<Context> context) : context(std::move(context)) {}
  ~ChoiceCopies();
  ChoiceCopies(const ChoiceCopies &) = delete;
  ChoiceCopies &operator=(const ChoiceCopies &) = delete;

  /// Copies choices to the device, `rowBytes` a row, by a stream of their own, and waits for that alone. `moved`: called before
  /// memory goes that recorded work may use.
  Expected<void> send(const uint8_t *choices, uint64_t rows, uint64_t rowBytes, const std::function<void()> &moved);
  /// Where they are, and where a kernel tells what it has chosen: pinned memory, by the device's address.
  const uint8_t *choicesThere() const { return there->address; }
  uint8_t *resultsThere() const { return resultsAddress; }
  /// What the kernel has chosen for each row, when all of it is there. It need not have ended.
  Expected<const uint8_t *> await();

private:
  static_assert(std::atomic<uint64_t>::is_always_lock_free, "words that the device writes");
  using Word = std::atomic<uint64_t>;

  struct Pinned {
    uint8_t *memory = nullptr;
    uint64_t capacity = 0;
  };
  Expected<void> grow(Pinned &pinned, uint64_t bytes);
  Expected<void> makeRoom(uint64_t rows, uint64_t rowBytes, const std::function<void()> &moved);
  bool areThere() const;

  std::shared_ptr<Context> context;
  CUstream stream = nullptr;
  Pinned choices, results;
  uint8_t *resultsAddress = nullptr; ///< the device's
  std::unique_ptr<DeviceBuffer> there;
  uint32_t number = 0;    ///< of the last choices
  bool isAwaited = false; ///< nobody has seen all of what they came to
  std::vector<sm1sampling::Chosen> chosen;
};

} // namespace sm1rt::cuda

#endif // SM1RT_SRC_CUDA_CHOICECOPIES_H
