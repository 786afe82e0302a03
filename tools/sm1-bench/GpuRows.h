// What rows on a GPU have beyond those on a CPU: runs with a cold and a warm cache, energy, launches.
#ifndef SM1_BENCH_GPUROWS_H
#define SM1_BENCH_GPUROWS_H

#include "Measurement.h"
#include "Nvml.h"

/// N of the model's device "cuda:N".
int ordinalOf(const sm1rt::Model &model);

/// Kernels of the model that a token of a row waits for, or the launches of whole tokens; `work` is that of the row.
double launchesPerToken(const sm1rt::Model &model, const RunShape &shape, const Work &work);

/// A prompt, or one step, with what a run of the row has just left in the cache and then with nothing.
class CacheRuns {
public:
  CacheRuns(sm1rt::Model &model, const RunShape &shape, const sm1rt::Sequence *start);

  sm1rt::Expected<void> run(GpuMachine &machine, bool keep);
  const ColdAndWarm &samples() const { return seconds; }

private:
  Runner runner;
  ColdAndWarm seconds;
};

/// Of runs one after the other for about a second.
sm1rt::Expected<Energy> energyOf(Runner &runner, const RunShape &shape, const EnergyCounter &counter);

#endif // SM1_BENCH_GPUROWS_H
