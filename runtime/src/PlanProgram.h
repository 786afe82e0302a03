// Reading the part of a plan that runs on one target.
#ifndef SM1RT_SRC_PLANPROGRAM_H
#define SM1RT_SRC_PLANPROGRAM_H

#include "Json.h"
#include "sm1rt/Plan.h"

namespace sm1rt {

/// The program at `at` for `target`, whose code has `codeBytes`; of `plan` all but the programs is known. Failures go to the
/// cursor.
PlanProgram readProgram(const JsonCursor &at, std::string_view target, uint64_t codeBytes, const Plan &plan);

} // namespace sm1rt

#endif // SM1RT_SRC_PLANPROGRAM_H
