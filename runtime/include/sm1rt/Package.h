// A package opened for reading: version, plan and hashes checked, kernels and weights found. Nothing is compiled or executed, so
// this is also what `inspect` stands on.
#ifndef SM1RT_PACKAGE_H
#define SM1RT_PACKAGE_H

#include "sm1rt/Plan.h"
#include "sm1rt/Safetensors.h"

#include <string>

namespace sm1rt {

struct Package {
  SafetensorsFile file;
  Plan plan;
  /// The MLIR text that was compiled.
  std::string source;

  /// Checks format version, plan, hashes, and that kernels and packed weights are there with the plan's sizes.
  static Expected<Package> open(const std::string &path);
  /// Code of a target that the plan lists.
  const FileTensor &code(std::string_view target) const;
  /// Machine code of a GPU target beside its PTX; null where there is none.
  const FileTensor *cubin(std::string_view target) const;
  /// CUDA C++ of the kernel that computes whole tokens; null when the package has none.
  const FileTensor *token(std::string_view target) const;
  /// Packed weight `weight` of layer `layer` in a self-contained package, in the mapping.
  const uint8_t *weightData(size_t weight, int64_t layer) const;
};

} // namespace sm1rt

#endif // SM1RT_PACKAGE_H
