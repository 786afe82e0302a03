// What a model needs of a device: memory, copies, a program, launches. The CPU is one; another joins by implementing this.
#ifndef SM1RT_SRC_DEVICE_H
#define SM1RT_SRC_DEVICE_H

#include "sm1rt/Error.h"
#include "sm1rt/Package.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sm1rt {

/// Memory of a device, freed with its last owner, before the device. `address` is the device's: only a device may look behind it.
class DeviceBuffer {
public:
  virtual ~DeviceBuffer() = default;
  uint8_t *address = nullptr;
  uint64_t bytes = 0;
};

/// `height` pieces of `width` bytes, `toPitch` and `fromPitch` bytes apart.
struct StridedCopy {
  uint8_t *to;
  uint64_t toPitch;
  const uint8_t *from;
  uint64_t fromPitch;
  uint64_t width, height;
};

/// Row tables of a run, in device memory; see Sm1CpuTask.
struct RowTables {
  const int32_t *rowSegment = nullptr, *segmentStart = nullptr, *selected = nullptr;
};

/// One launch of the plan with its pointers resolved.
struct DeviceLaunch {
  const PlanLaunch *plan;
  void *const *args; ///< device addresses, one per arg of the launch; valid until launch() returns
  int64_t rows;      ///< at least 1
  RowTables tables;
};

/// Calls are made from one thread at a time, and take effect in the order of the calls.
class Device {
public:
  virtual ~Device() = default;

  /// e.g. "cpu (x86-64-v4, 2 threads)".
  virtual std::string name() const = 0;
  /// e.g. "cpu".
  virtual std::string shortName() const = 0;

  /// Zeroed, on a multiple of 64 bytes.
  virtual Expected<std::unique_ptr<DeviceBuffer>> allocate(uint64_t bytes) = 0;
  /// Memory of the host as device memory where the two are one; null where they are not. `data` must outlive the buffer.
  virtual std::unique_ptr<DeviceBuffer> borrow(const void *data, uint64_t bytes) = 0;
  /// The host's pointer to a buffer's memory, null when the host cannot reach it.
  virtual uint8_t *hostAddress(const DeviceBuffer &buffer) = 0;
  virtual Expected<void> clear(const DeviceBuffer &buffer) = 0; ///< all zero
  virtual Expected<void> upload(const StridedCopy &copy) = 0;   ///< host to device; done with `from` on return
  virtual Expected<void> download(const StridedCopy &copy) = 0; ///< device to host, waits
  virtual Expected<void> copy(const StridedCopy &copy) = 0;     ///< device to device

  /// Makes the kernels of `program` callable; `code` is "kernel/<target>" and `program` outlives the device.
  virtual Expected<void> load(const FileTensor &code, const PlanProgram &program) = 0;
  /// Starts a launch; the number of tasks it was cut into.
  virtual Expected<int64_t> launch(const DeviceLaunch &launch) = 0;
  /// Waits for everything that was started.
  virtual Expected<void> synchronize() = 0;
};

/// The device that the options ask for, and the target it takes from the package.
struct OpenedDevice {
  std::unique_ptr<Device> device;
  std::string target;
};

struct OpenOptions;
Expected<OpenedDevice> openDevice(const Package &package, const OpenOptions &options);

} // namespace sm1rt

#endif // SM1RT_SRC_DEVICE_H
