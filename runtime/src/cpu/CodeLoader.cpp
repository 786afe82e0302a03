// Copies code and takes the addresses of its entry points.
#include "CodeLoader.h"

namespace sm1rt {

Expected<LoadedCode> LoadedCode::load(const void *code, uint64_t bytes, const std::vector<uint64_t> &offsets) {
  auto memory = ExecutableMemory::load(code, bytes);
  if (!memory)
    return memory.error();
  std::vector<Sm1CpuKernel> kernels;
  for (uint64_t offset : offsets)
    kernels.push_back(reinterpret_cast<Sm1CpuKernel>(reinterpret_cast<uintptr_t>(memory->data() + offset)));
  return LoadedCode(std::move(*memory), std::move(kernels));
}

} // namespace sm1rt
