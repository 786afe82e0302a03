// The list of ceilings that a benchmark has asked for.
#include "Ceilings.h"

#include <algorithm>
#include <fstream>
#include <string>

using namespace sm1rt;

/// Weights of less may live in a cache for good. Memory beyond the last-level cache of every machine seen so far stands in for
/// them.
constexpr double fewWeightBytes = 64e6;
constexpr uint64_t insteadBytes = uint64_t(512) << 20;

Expected<Ceilings> Ceilings::create(double weightBytes, int threads) {
  uint64_t bytes = weightBytes < fewWeightBytes ? insteadBytes : uint64_t(weightBytes);
  Expected<MemoryCeiling> memory = MemoryCeiling::create(bytes, threads);
  if (!memory)
    return memory.error();
  return Ceilings(std::move(*memory));
}

size_t Ceilings::add(Ceiling ceiling) {
  for (size_t index = 0; index < ceilings.size(); ++index)
    if (ceilings[index].threads == ceiling.threads && ceilings[index].mix == ceiling.mix && ceilings[index].peak == ceiling.peak)
      return index;
  ceilings.push_back(std::move(ceiling));
  return ceilings.size() - 1;
}

size_t Ceilings::memory(StreamMix mix, int threads) { return add({threads, mix, std::nullopt, {}}); }
size_t Ceilings::arithmetic(Peak peak, int threads) { return add({threads, std::nullopt, peak, {}}); }

void Ceilings::measure(bool keep) {
  for (Ceiling &ceiling : ceilings) {
    double perSecond =
        ceiling.mix ? memoryCeiling.bandwidth(*ceiling.mix, ceiling.threads) : measurePeak(*ceiling.peak, ceiling.threads);
    if (keep)
      ceiling.perSecond.values.push_back(perSecond);
  }
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
