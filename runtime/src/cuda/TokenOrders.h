// Host and kernel while a launch computes token after token: orders on the way there, replies on the way back, in pinned memory.
#ifndef SM1RT_SRC_CUDA_TOKENORDERS_H
#define SM1RT_SRC_CUDA_TOKENORDERS_H

#include "Memory.h"
#include "token.h"

#include <atomic>

namespace sm1rt::cuda {

class TokenOrders {
public:
  /// For launches of up to `sequences` sequences, whose choices have `choiceBytes` each.
  static Expected<std::unique_ptr<TokenOrders>> make(const std::shared_ptr<Context> &context, int64_t sequences,
                                                     uint64_t choiceBytes);
  ~TokenOrders();
  TokenOrders(const TokenOrders &) = delete;
  TokenOrders &operator=(const TokenOrders &) = delete;

  /// Before a launch: fills in where it finds its orders. Their numbers are firstNumber, firstNumber + step and so on.
  void begin(sm1token::Launch &launch, int64_t sequences, unsigned firstNumber, unsigned step);
  /// [sequences][choiceBytes]
  void order(const uint8_t *choices, bool goesOn);
  /// Whether the last order lets the launch go on.
  bool goesOn() const { return lastGoesOn; }
  /// Waits for the reply; null where the launch has ended without one.
  Expected<const uint8_t *> await();

private:
  explicit TokenOrders(std::shared_ptr<Context> context) : context(std::move(context)) {}
  std::atomic<uint32_t> &numberOf(size_t place) { return *reinterpret_cast<std::atomic<uint32_t> *>(memory + place); }
  size_t replyAt() const { return 2 * orderBytes; }

  std::shared_ptr<Context> context;
  uint8_t *memory = nullptr; ///< two orders, a reply
  CUdeviceptr address = 0;   ///< the device's for the same memory
  std::unique_ptr<DeviceBuffer> relay;
  size_t choiceBytes = 0, orderBytes = 0, sequenceCount = 0;
  uint32_t nextNumber = 0, lastNumber = 0, numberStep = 0;
  int turn = 0;
  bool lastGoesOn = false;
};

} // namespace sm1rt::cuda

#endif // SM1RT_SRC_CUDA_TOKENORDERS_H
