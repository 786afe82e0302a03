// Choices of tokens on their way to the device, and what was chosen on its way back, past the stream in which kernels follow each
// other: a copy between two of them costs that stream some 15 us, whatever its size.
#ifndef SM1RT_SRC_CUDA_CHOICECOPIES_H
#define SM1RT_SRC_CUDA_CHOICECOPIES_H

#include "Memory.h"

namespace sm1rt::cuda {

class ChoiceCopies {
public:
  explicit ChoiceCopies(std::shared_ptr<Context> context) : context(std::move(context)) {}
  ~ChoiceCopies();
  ChoiceCopies(const ChoiceCopies &) = delete;
  ChoiceCopies &operator=(const ChoiceCopies &) = delete;

  /// Copies choices to the device, by a stream of their own, and waits for that alone, and for the last kernel that read any; where
  /// they are.
  Expected<const uint8_t *> send(const uint8_t *choices, uint64_t bytes);
  /// Where a kernel may leave `bytes` of results: pinned memory, by the device's address.
  Expected<uint8_t *> room(uint64_t bytes);
  /// The kernel has been started / its results, when it is done.
  Expected<void> started();
  Expected<const uint8_t *> await();

private:
  struct Pinned {
    uint8_t *memory = nullptr;
    uint64_t capacity = 0;
  };
  Expected<void> grow(Pinned &pinned, uint64_t bytes);

  std::shared_ptr<Context> context;
  CUstream stream = nullptr;
  CUevent done = nullptr;
  Pinned choices, results;
  std::unique_ptr<DeviceBuffer> there;
};

} // namespace sm1rt::cuda

#endif // SM1RT_SRC_CUDA_CHOICECOPIES_H
