// A user's kernel in place of a generated one: how it is asked for, and what its file says about its launch.
#ifndef SM1RT_SRC_CUDA_REPLACEMENT_H
#define SM1RT_SRC_CUDA_REPLACEMENT_H

#include "Module.h"
#include "Nvrtc.h"
#include "sm1rt/Plan.h"

#include <optional>
#include <string>
#include <vector>

namespace sm1rt::cuda {

struct Replacement {
  std::string kernel; ///< name in the program, or "*": every kernel that the file has a function for
  std::string file;
  std::string function; ///< empty: called as the kernel, or that with _kernel behind it
};

/// Reads "KERNEL=FILE" or "KERNEL=FILE:FUNCTION".
Expected<Replacement> parseReplacement(const std::string &text);

/// What replaces numbers of a launch; those that are not given stay.
struct LaunchShape {
  std::optional<int64_t> threads, shared, rowSplit, panelSplit, timeSplit;
};

/// The most threads a block and bytes of shared memory among the launches of kernel `kernel` of a program.
struct BlockSize {
  int64_t threads = 0, shared = 0;
};
BlockSize largestBlock(const PlanProgram &program, size_t kernel, const LaunchShape &shape = {});

/// Reads the last line `// sm1: threads=256 shared=0` between the `__global__` of the function before and that of `function`; its
/// keys are threads, shared, row_split, panel_split and time_split. `file` is for errors.
Expected<LaunchShape> launchShapeOf(const std::string &file, const std::string &text, const std::string &function);

/// Compiled code in a driver, and the form of it that the driver took: a view of what was compiled, which it would take again.
struct LoadedCuda {
  Module module;
  std::string_view image;
};
/// Loads machine code, or PTX where the driver does not take that. `file` names it in errors.
Expected<LoadedCuda> loadCompiled(const std::shared_ptr<Context> &context, const CompiledCuda &compiled, const std::string &file);

/// A function that takes the place of kernel `kernel` of the program.
struct ReplacingFunction {
  size_t kernel;
  CUfunction handle;
  std::string name; ///< "scan of my.cu", for errors
  LaunchShape shape;
};

/// A user's file on the device, and what it replaces; at least one function.
struct ReplacingModule {
  Module module;
  std::vector<ReplacingFunction> functions;
};

/// Compiles the file and loads it. Errors: no such file, kernel or function, no NVRTC, what NVRTC or the driver says about the
/// text.
Expected<ReplacingModule> loadReplacement(const std::shared_ptr<Context> &context, const PlanProgram &program,
                                          const Replacement &replacement);

} // namespace sm1rt::cuda

#endif // SM1RT_SRC_CUDA_REPLACEMENT_H
