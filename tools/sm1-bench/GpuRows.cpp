// Cold and warm runs, and energy.
#include "GpuRows.h"

#include <chrono>
#include <cmath>
#include <cstdlib>

using namespace sm1rt;

using Clock = std::chrono::steady_clock;

/// The counter moves some ten times a second.
constexpr double energySeconds = 1;

int ordinalOf(const Model &model) {
  std::string device = model.deviceName(); // "cuda:0 (...)"
  return std::atoi(device.c_str() + device.find(':') + 1);
}

/// Tokens of one launch at the most; Generate.cpp has the same number.
constexpr double tokensOfLaunch = 256;

double launchesPerToken(const Model &model, const RunShape &shape, const Work &work) {
  bool wholeTokens = shape.kind == RunKind::Decode && shape.batch <= model.tokenSequences();
  double steps = double(shape.prompt() ? shape.prompt() : shape.decoded());
  if (!wholeTokens)
    return work.launches / steps / double(shape.batch);
  // The first token of a run is a step by itself.
  double launches = shape.oneByOne ? steps : 1 + std::ceil((steps - 1) / tokensOfLaunch);
  return launches / steps / double(shape.batch);
}

static RunShape onePart(RunShape shape) {
  shape.steps = 0;
  if (shape.kind == RunKind::Decode)
    shape.time = 1;
  shape.kind = shape.kind == RunKind::Decode ? RunKind::Decode : RunKind::Prefill;
  return shape;
}

CacheRuns::CacheRuns(Model &model, const RunShape &shape, const Sequence *start) : runner(model, onePart(shape), start) {}

Expected<void> CacheRuns::run(GpuMachine &machine, bool keep) {
  Expected<double> warm = runner.run();
  if (!warm)
    return warm.error();
  if (Expected<void> flushed = machine.flushCache(); !flushed)
    return flushed;
  Expected<double> cold = runner.run();
  if (!cold)
    return cold.error();
  if (keep) {
    seconds.warm.values.push_back(*warm);
    seconds.cold.values.push_back(*cold);
  }
  return {};
}

Expected<Energy> energyOf(Runner &runner, const RunShape &shape, const EnergyCounter &counter) {
  Expected<double> before = counter.joules();
  if (!before)
    return before.error();
  Clock::time_point start = Clock::now();
  double seconds = 0, tokens = 0;
  while (seconds < energySeconds) {
    if (Expected<double> run = runner.run(); !run)
      return run.error();
    tokens += shape.tokens();
    seconds = std::chrono::duration<double>(Clock::now() - start).count();
  }
  Expected<double> after = counter.joules();
  if (!after)
    return after.error();
  return Energy{(*after - *before) / tokens, (*after - *before) / seconds};
}
