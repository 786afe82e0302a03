// What the compiler's cost model says a launch takes on a machine with the rates that were measured here.
#ifndef SM1_BENCH_PREDICTION_H
#define SM1_BENCH_PREDICTION_H

#include "sm1rt/Plan.h"

#include <cstdint>
#include <optional>

/// Medians of the ceilings of a kernel; 0 where one is not known.
struct MachineRates {
  double bytesPerSecond, operationsPerSecond;
  int threads;
};

/// Seconds of a launch over `rows` rows of `segments` sequences; nothing where the plan gives it no cost.
std::optional<double> predictedSeconds(const sm1rt::PlanLaunch &launch, int64_t rows, int64_t segments, const MachineRates &rates);

#endif // SM1_BENCH_PREDICTION_H
