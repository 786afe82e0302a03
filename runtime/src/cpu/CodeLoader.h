// Machine code of a package made callable: flat, free of relocations, so a copy and a jump.
#ifndef SM1RT_SRC_CPU_CODELOADER_H
#define SM1RT_SRC_CPU_CODELOADER_H

#include "../Platform.h"
#include "sm1rt/PackageFormat.h"

#include <cstdint>
#include <vector>

namespace sm1rt {

/// Kernels in executable memory, by their index in the program. Owns the memory; move-only.
class LoadedCode {
public:
  /// `offsets` are inside `bytes`, as the plan's check has made sure.
  static Expected<LoadedCode> load(const void *code, uint64_t bytes, const std::vector<uint64_t> &offsets);

  Sm1CpuKernel kernel(size_t index) const { return kernels[index]; }

private:
  LoadedCode(ExecutableMemory memory, std::vector<Sm1CpuKernel> kernels) : memory(std::move(memory)), kernels(std::move(kernels)) {}
  ExecutableMemory memory;
  std::vector<Sm1CpuKernel> kernels;
};

} // namespace sm1rt

#endif // SM1RT_SRC_CPU_CODELOADER_H
