// Hands what was measured, or what is known of a card, to the cost models of the packing library.
#include "Prediction.h"

#include "sm1rt/packing/GpuCost.h"

using namespace sm1rt;

static std::optional<double> onCpu(const PlanLaunch &launch, const LaunchRows &size, const MachineRates &machine) {
  CpuRates rates = measuredRates(
      coreOf(machine.target), machine.threads,
      {machine.bytesPerSecond, machine.f32PerSecond, machine.bf16PerSecond, machine.int8PerSecond, machine.cacheBytes});
  return predict(*launch.cost, launch, rates, {double(size.rows), double(size.segments), machine.passBytes}).seconds;
}

GpuPrediction predictOnGpu(const PlanLaunch &launch, const LaunchRows &size, const GpuRates &rates, double passBytes) {
  BlockCuts cuts;
  static_cast<LaunchCuts &>(cuts) = launch;
  cuts.threads = launch.threads;
  cuts.shared = launch.shared;
  cuts.timeSplit = launch.timeSplit;
  cuts.overSegments = launch.rows == RowSpace::Segments;
  return predict(*launch.cost, cuts, rates,
                 {double(size.rows), double(size.segments), double(size.passRows), double(size.longest), passBytes});
}

GpuRates gpuRatesOf(const MachineRates &machine) {
  GpuRates rates;
  rates.facts = gpuFactsOf(machine.capability);
  rates.multiprocessors = machine.multiprocessors;
  rates.readBandwidth = machine.bytesPerSecond;
  rates.copyBandwidth = machine.copyPerSecond;
  rates.l2Bandwidth = machine.cachePerSecond;
  rates.l2Bytes = machine.cacheBytes;
  rates.bf16Operations = machine.bf16PerSecond;
  rates.f32Operations = machine.f32PerSecond;
  rates.launchSeconds = machine.launchesPerSecond > 0 ? 1 / machine.launchesPerSecond : 0;
  return rates;
}

std::optional<double> predictedSeconds(const PlanLaunch &launch, const LaunchRows &size, const MachineRates &machine) {
  if (!launch.cost || machine.bytesPerSecond <= 0 || machine.f32PerSecond <= 0)
    return std::nullopt;
  if (machine.capability > 0)
    return predictOnGpu(launch, size, gpuRatesOf(machine), machine.passBytes).seconds;
  return onCpu(launch, size, machine);
}

double predictedTokenSeconds(const Plan &plan, const PlanToken &token, double sequences, const GpuRates &rates) {
  TokenWork work;
  for (size_t phase = 0; phase < token.phases.size(); ++phase) {
    double layers = phase + 1 < token.phases.size() ? double(token.layers) : 1;
    work.phases += layers;
    for (size_t matrix : token.phases[phase].matrices)
      work.weightBytes += layers * double(byteCount(plan.weights[matrix].type).value_or(0)) * double(token.bits) / 16;
  }
  work.sequences = sequences;
  return predictToken(work, rates).seconds();
}
