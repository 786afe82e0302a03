// Hands what was measured to the cost model of the packing library.
#include "Prediction.h"

#include "sm1rt/packing/Cost.h"

using namespace sm1rt;

std::optional<double> predictedSeconds(const PlanLaunch &launch, const LaunchRows &size, const MachineRates &machine) {
  if (!launch.cost || machine.bytesPerSecond <= 0 || machine.f32PerSecond <= 0)
    return std::nullopt;
  CpuRates rates = measuredRates(
      coreOf(machine.target), machine.threads,
      {machine.bytesPerSecond, machine.f32PerSecond, machine.bf16PerSecond, machine.int8PerSecond, machine.cacheBytes});
  return predict(*launch.cost, launch, rates, {double(size.rows), double(size.segments), machine.passBytes}).seconds;
}
