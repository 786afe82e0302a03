// One GPU, opened: the driver, its primary context, one stream, and errors that say what was being done.
#ifndef SM1RT_SRC_CUDA_CONTEXT_H
#define SM1RT_SRC_CUDA_CONTEXT_H

#include "Driver.h"

#include <memory>
#include <string>

namespace sm1rt::cuda {

/// Shared by everything that lives on the device, released with its last owner. Calls are made from one thread at a time.
class Context {
public:
  /// Device `ordinal` of the driver. Errors say how many there are.
  static Expected<std::shared_ptr<Context>> open(const Driver &driver, int ordinal);
  ~Context();
  Context(const Context &) = delete;
  Context &operator=(const Context &) = delete;

  const Driver driver;
  const int ordinal;
  std::string deviceName; ///< "NVIDIA H200"
  int capability = 0;     ///< 90 for 9.0
  int sharedLimit = 0;    ///< bytes of shared memory that a block can have
  int multiprocessorCount = 0;
  int clockKHz = 0;        ///< at most; 0: nothing can be timed there, as on the emulator
  bool cooperates = false; ///< launches whose blocks wait for each other
  CUstream stream = nullptr;
  bool busy = false; ///< something was started since the last wait

  /// "cuda:0".
  std::string name() const;
  /// Of the device; which: a DeviceAttribute.
  Expected<int> attribute(int which);
  /// Where the device is in the machine, "0000:1B:00.0".
  Expected<std::string> busId();
  /// Makes the context this thread's current one. Fails for ever once the device was lost.
  Expected<void> enter();
  /// What `result`, not success, means: "cuda:0: CUDA_ERROR_X (text) while `doing`". Remembers that the device was lost.
  Error error(CUresult result, std::string_view doing);
  Expected<void> check(CUresult result, std::string_view doing) {
    return result == success ? Expected<void>() : error(result, doing);
  }
  /// Waits for the stream.
  Expected<void> wait(std::string_view doing);

private:
  Context(const Driver &driver, int ordinal) : driver(driver), ordinal(ordinal) {}
  Expected<void> initialise();

  CUdevice device = 0;
  CUcontext context = nullptr;
  std::string lost; ///< the error that ended it
};

} // namespace sm1rt::cuda

#endif // SM1RT_SRC_CUDA_CONTEXT_H
