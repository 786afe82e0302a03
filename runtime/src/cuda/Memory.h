// Device memory, and pinned host memory on the way to it and back.
#ifndef SM1RT_SRC_CUDA_MEMORY_H
#define SM1RT_SRC_CUDA_MEMORY_H

#include "../Device.h"
#include "Context.h"

#include <array>

namespace sm1rt::cuda {

/// Zeroed. Errors say how many bytes were asked for, and how many there are.
Expected<std::unique_ptr<DeviceBuffer>> allocate(const std::shared_ptr<Context> &context, uint64_t bytes);

/// Copies between pageable host memory and the device by way of two pinned halves: while the device reads one, the host fills the
/// other. Uploads return before the device has the data.
class Staging {
public:
  explicit Staging(std::shared_ptr<Context> context) : context(std::move(context)) {}
  ~Staging();
  Staging(const Staging &) = delete;
  Staging &operator=(const Staging &) = delete;

  Expected<void> upload(const StridedCopy &copy);
  Expected<void> download(const StridedCopy &copy);

private:
  static constexpr uint64_t halfBytes = uint64_t(4) << 20;

  struct Half {
    uint8_t *memory = nullptr;
    CUevent free = nullptr; ///< when the device has read all of it
    bool inUse = false;     ///< `free` was recorded and not waited for
  };
  Expected<void> create(Half &half);
  /// Room for `bytes` <= halfBytes that the device is done with.
  Expected<uint8_t *> reserve(uint64_t bytes);

  std::shared_ptr<Context> context;
  std::array<Half, 2> halves;
  size_t current = 0;
  uint64_t used = 0; ///< bytes of the current half
};

/// A copy between two places of the device.
Expected<void> copyOnDevice(Context &context, const StridedCopy &copy);

} // namespace sm1rt::cuda

#endif // SM1RT_SRC_CUDA_MEMORY_H
