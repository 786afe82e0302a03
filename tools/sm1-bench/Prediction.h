// What the compiler's cost model says a launch takes on a machine with the rates that were measured here.
#ifndef SM1_BENCH_PREDICTION_H
#define SM1_BENCH_PREDICTION_H

#include "Work.h"

#include "sm1rt/packing/GpuCost.h"

#include <optional>
#include <string>

/// A program on this machine: medians of its ceilings, 0 where one was not measured.
struct MachineRates {
  std::string target;
  int threads = 1;                                                     ///< of a CPU
  double bytesPerSecond = 0;                                           ///< reading
  double f32PerSecond = 0, bf16PerSecond = 0, int8PerSecond = 0;       ///< operations; a multiply-add is two
  double cacheBytes = 0;                                               ///< of the largest cache
  double passBytes = 0;                                                ///< weights of a pass
  double copyPerSecond = 0, cachePerSecond = 0, launchesPerSecond = 0; ///< of a GPU: bytes, bytes, launches
  int multiprocessors = 0, capability = 0;                             ///< of a GPU; 0: a CPU
};

/// Seconds of a launch; nothing where the plan gives it no cost, or where reading or multiplying in f32 was not measured.
std::optional<double> predictedSeconds(const sm1rt::PlanLaunch &launch, const LaunchRows &size, const MachineRates &machine);

/// A launch of a GPU's program that has a cost, on whatever GPU has these rates.
sm1rt::GpuPrediction predictOnGpu(const sm1rt::PlanLaunch &launch, const LaunchRows &size, const sm1rt::GpuRates &rates,
                                  double passBytes);
/// A GPU that was measured.
sm1rt::GpuRates gpuRatesOf(const MachineRates &machine);
/// Seconds of one of many tokens of a launch for whole tokens.
double predictedTokenSeconds(const sm1rt::Plan &plan, const sm1rt::PlanToken &token, double sequences,
                             const sm1rt::GpuRates &rates);

#endif // SM1_BENCH_PREDICTION_H
