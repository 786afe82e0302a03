// The list of ceilings that a benchmark has asked for, and who measures each.
#include "Ceilings.h"

#include <algorithm>
#include <fstream>
#include <string>

using namespace sm1rt;

/// Weights of less may live in a cache for good. Memory beyond the last-level cache of every machine seen so far stands in for
/// them.
constexpr double fewWeightBytes = 64e6;
constexpr uint64_t insteadBytes = uint64_t(512) << 20;

Expected<void> Ceilings::openCpu(double weightBytes, int threads) {
  uint64_t bytes = weightBytes < fewWeightBytes ? insteadBytes : uint64_t(weightBytes);
  Expected<MemoryCeiling> memory = MemoryCeiling::create(bytes, threads);
  if (!memory)
    return memory.error();
  cpuMemory.emplace(std::move(*memory));
  return {};
}

size_t Ceilings::add(Ceiling ceiling, std::function<Expected<double>()> measure) {
  for (size_t index = 0; index < ceilings.size(); ++index)
    if (ceilings[index].threads == ceiling.threads && ceilings[index].name == ceiling.name)
      return index;
  ceilings.push_back(std::move(ceiling));
  measures.push_back(std::move(measure));
  return ceilings.size() - 1;
}

size_t Ceilings::memory(StreamMix mix, int threads) {
  std::string name = (mix.writes ? "read:write " : "") + mix.name();
  return add({name, "bytes", threads, mix.name(), {}}, [=] { return cpuMemory->bandwidth(mix, threads); });
}

size_t Ceilings::arithmetic(Peak peak, int threads) {
  return add({peakName(peak), "operations", threads, "", {}}, [=] { return measurePeak(peak, threads); });
}

size_t Ceilings::ofGpu(GpuRate rate) {
  bool ofMemory = rate == GpuRate::Read || rate == GpuRate::Copy || rate == GpuRate::ReadL2;
  const char *unit = ofMemory ? "bytes" : rate == GpuRate::Launch ? "launches" : "operations";
  const char *mix = rate == GpuRate::Copy ? "1:1" : ofMemory ? "read" : "";
  return add({rateName(rate), unit, 0, mix, {}}, [=] { return gpuMachine->measure(rate); });
}

Expected<void> Ceilings::measure(bool keep) {
  for (size_t index = 0; index < ceilings.size(); ++index) {
    Expected<double> perSecond = measures[index]();
    if (!perSecond)
      return perSecond.error().in("ceiling '" + ceilings[index].name + "'");
    if (keep)
      ceilings[index].perSecond.values.push_back(*perSecond);
  }
  return {};
}

double lastLevelCacheBytes() {
  double largest = 0;
  for (int index = 0; index < 8; ++index) {
    // e.g. "107520K"
    std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/size");
    double size = 0;
    char unit = 0;
    if (!(file >> size))
      break;
    file >> unit;
    largest = std::max(largest, size * (unit == 'K' ? 1024 : unit == 'M' ? 1 << 20 : 1));
  }
  return largest;
}
