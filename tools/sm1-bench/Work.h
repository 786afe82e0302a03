// How much work a run is, read from a package's plan.
#ifndef SM1_BENCH_WORK_H
#define SM1_BENCH_WORK_H

#include "sm1rt/Plan.h"

#include <cstdint>

struct Work {
  double weightBytes = 0; ///< weights read, each once in a pass; of a table that tokens look up, only the rows looked up
  double flops = 0;       ///< of projections, a multiply-add counting two; all else is small beside them
};

/// Work of one pass over the layers with `rows` rows, of which `selected` have their outputs computed.
Work workOf(const sm1rt::Plan &plan, const sm1rt::PlanProgram &program, const std::string &entry, int64_t rows, int64_t selected);

#endif // SM1_BENCH_WORK_H
