//===- Resources.cpp - what a kernel takes of a machine, and how many fit beside each other ----------------------===//

#include "Resources.h"

#include "../Codegen/Ptxas.h"

#include "llvm/Support/Regex.h"

#include <algorithm>

using namespace sm1;
using llvm::StringRef;

/// The number that stands before `words`; 0 if there is none.
static int64_t numberBefore(StringRef text, StringRef words) {
  llvm::SmallVector<StringRef> match;
  int64_t number = 0;
  if (llvm::Regex(("([0-9]+) " + words).str()).match(text, &match))
    match[1].getAsInteger(10, number);
  return number;
}

llvm::StringMap<GpuResources> sm1::gpuResources(StringRef ptx, const Target &target) {
  llvm::StringMap<GpuResources> kernels;
  std::string ptxas = findPtxas();
  if (ptxas.empty())
    return kernels;
  auto run = runPtxas(ptxas, ptx, target.name);
  if (!run) {
    llvm::consumeError(run.takeError());
    return kernels;
  }
  StringRef rest = run->said;
  static constexpr llvm::StringLiteral heading = "Compiling entry function '";
  for (size_t place = rest.find(heading); place != StringRef::npos; place = rest.find(heading)) {
    rest = rest.drop_front(place + heading.size());
    StringRef part = rest.take_front(rest.find(heading));
    kernels[part.split('\'').first] = {numberBefore(part, "registers"), numberBefore(part, "bytes smem"),
                                       numberBefore(part, "bytes spill stores"), numberBefore(part, "bytes stack frame")};
  }
  return kernels;
}

int64_t sm1::residentBlocks(const GpuFacts &gpu, int64_t threads, int64_t registers, int64_t sharedBytes) {
  // Registers are given out to warps in units of 256; each block takes 1 KB of shared memory more.
  static constexpr int64_t mostBlocks = 32, registerUnit = 256, blockOverhead = 1024;
  int64_t warps = threads / 32, perWarp = (registers * 32 + registerUnit - 1) / registerUnit * registerUnit;
  return std::min({mostBlocks, gpu.threadsPerMultiprocessor / threads,
                   gpu.registersPerMultiprocessor / std::max<int64_t>(warps * perWarp, 1),
                   gpu.sharedPerMultiprocessor / (sharedBytes + blockOverhead)});
}
