// Code on the device: a module made from PTX or a cubin, and its functions.
#ifndef SM1RT_SRC_CUDA_MODULE_H
#define SM1RT_SRC_CUDA_MODULE_H

#include "Context.h"

#include <memory>
#include <string>

namespace sm1rt::cuda {

/// Owns a module; move-only.
class Module {
public:
  /// `image` is PTX that ends with a NUL byte, or a cubin. `what` names it in errors, which hold the log of the driver's compiler.
  static Expected<Module> load(std::shared_ptr<Context> context, const void *image, const std::string &what);
  Module(Module &&other) noexcept;
  Module &operator=(Module &&other) noexcept;
  ~Module();

  Expected<CUfunction> function(const std::string &name) const;

private:
  Module(std::shared_ptr<Context> context, CUmodule module, std::string what);
  std::shared_ptr<Context> context;
  CUmodule module;
  std::string what;
};

/// Lets a function be launched with blocks of `threads` threads and `shared` bytes of dynamic shared memory. Errors say which of
/// the device's limits is in the way.
Expected<void> prepareLaunch(Context &context, CUfunction function, const std::string &name, int64_t threads, int64_t shared);

} // namespace sm1rt::cuda

#endif // SM1RT_SRC_CUDA_MODULE_H
