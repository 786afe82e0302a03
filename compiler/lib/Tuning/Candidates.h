//===- Candidates.h - schedules worth measuring: every one that a form can have ----------------------------------===//

#ifndef SM1C_LIB_TUNING_CANDIDATES_H
#define SM1C_LIB_TUNING_CANDIDATES_H

#include "sm1/IR/Sm1.h"
#include "sm1c/Target.h"

#include <vector>

namespace sm1 {

/// Schedules of numbers that belong together; whether they suit the kernel is for others to ask. `keepsBits`: sums keep their
/// order.
std::vector<BlockScheduleAttr> blockSchedules(KernelOp kernel, const Target &target, bool keepsBits);
std::vector<ScheduleAttr> tileSchedules(KernelOp kernel, const Target &target);

/// About as much shared memory as a block of the kernel takes, and registers of its threads.
int64_t sharedEstimate(KernelOp kernel);
int64_t registersEstimate(KernelOp kernel);

} // namespace sm1

#endif // SM1C_LIB_TUNING_CANDIDATES_H
