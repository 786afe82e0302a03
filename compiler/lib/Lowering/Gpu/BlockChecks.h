//===- BlockChecks.h - whether the schedule of a kernel suits it -------------------------------------------------===//

#ifndef SM1C_LOWERING_GPU_BLOCKCHECKS_H
#define SM1C_LOWERING_GPU_BLOCKCHECKS_H

#include "sm1/IR/Sm1.h"
#include "sm1c/Target.h"

#include <string>

namespace sm1 {

inline bool isSelective(KernelOp kernel) { return !kernel.getBlock().getOps<SelectiveScanOp>().empty(); }

/// Why the form of blocks or its numbers do not suit the kernel, but for its shared memory; empty if they do. `isStep`: every
/// segment has one row.
std::string whyNotBlocks(KernelOp kernel, bool isStep, const Target &target);

/// Bytes of shared memory that a block of the kernel takes, which stands in a model and has a schedule that suits it and parameters
/// in the layout that it reads.
int64_t sharedBytesOf(KernelOp kernel, bool isStep, const Target &target);

} // namespace sm1

#endif // SM1C_LOWERING_GPU_BLOCKCHECKS_H
