// Reading the part of a plan that describes a step as one launch.
#ifndef SM1RT_SRC_PLANTOKEN_H
#define SM1RT_SRC_PLANTOKEN_H

#include "Json.h"
#include "sm1rt/Plan.h"

namespace sm1rt {

/// Checks every index, and that each weight has the shape that the kernel takes it for. Failures go to the cursor.
PlanToken readPlanToken(const JsonCursor &at, const Plan &plan, const PlanProgram &program);

} // namespace sm1rt

#endif // SM1RT_SRC_PLANTOKEN_H
