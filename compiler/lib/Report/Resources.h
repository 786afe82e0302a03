//===- Resources.h - what a kernel takes of a machine, and how many fit beside each other ------------------------===//

#ifndef SM1C_LIB_REPORT_RESOURCES_H
#define SM1C_LIB_REPORT_RESOURCES_H

#include "sm1c/Target.h"

#include "llvm/ADT/StringMap.h"

namespace sm1 {

/// Of one kernel on one GPU, as ptxas counts.
struct GpuResources {
  int64_t registers = 0, sharedBytes = 0, spillBytes = 0, stackBytes = 0;
};

/// By kernel name; empty where there is no ptxas, or it is older than the chip.
llvm::StringMap<GpuResources> gpuResources(llvm::StringRef ptx, const Target &target);

/// Blocks that a multiprocessor holds at once.
int64_t residentBlocks(const GpuFacts &gpu, int64_t threads, int64_t registers, int64_t sharedBytes);

} // namespace sm1

#endif // SM1C_LIB_REPORT_RESOURCES_H
