// What the compiler's cost model says a launch takes on a machine with the rates that were measured here.
#ifndef SM1_BENCH_PREDICTION_H
#define SM1_BENCH_PREDICTION_H

#include "sm1rt/Plan.h"

#include <cstdint>
#include <optional>
#include <string>

/// A program on this machine: medians of its ceilings, 0 where one was not measured.
struct MachineRates {
  std::string target;
  int threads;
  double bytesPerSecond;                             ///< reading
  double f32PerSecond, bf16PerSecond, int8PerSecond; ///< operations; a multiply-add is two
  double cacheBytes;                                 ///< of the largest cache
  double passBytes;                                  ///< weights of a pass
};

/// Seconds of a launch over `rows` rows of `segments` sequences; nothing where the plan gives it no cost, or where reading or
/// multiplying in f32 was not measured.
std::optional<double> predictedSeconds(const sm1rt::PlanLaunch &launch, int64_t rows, int64_t segments, const MachineRates &machine);

#endif // SM1_BENCH_PREDICTION_H
