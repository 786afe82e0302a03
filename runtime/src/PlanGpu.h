// Reading what only programs of GPUs have.
#ifndef SM1RT_SRC_PLANGPU_H
#define SM1RT_SRC_PLANGPU_H

#include "Json.h"
#include "sm1rt/Plan.h"

namespace sm1rt {

/// Entries for numbers of rows, a step as one launch, kernels that overlap: to `program`, whose entries are known. Failures go to
/// the cursor.
void readGpuParts(const JsonCursor &at, const Plan &plan, PlanProgram &program);

/// The tensor map of a launch, whose args are known, if it has one.
void readMap(const JsonCursor &at, const PlanProgram &program, PlanLaunch &launch);

} // namespace sm1rt

#endif // SM1RT_SRC_PLANGPU_H
