// What is known to have happened before: per agent a tick, up to which all that the agent did is known.
//
// Agents are the warps of all blocks that run at the same time, then the mbarriers of the block, in whose name bulk copies write. A
// lane that speaks for itself alone (an arrival at an mbarrier) makes known more of its own accesses than of its neighbours': such
// ticks stand apart, lane by lane.
#ifndef EMULATOR_CLOCK_H
#define EMULATOR_CLOCK_H

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace emulator {

class Clock {
public:
  void clear() { whole.clear(), lanes.clear(); }
  /// All lanes of `agent` up to `tick`.
  void add(unsigned agent, uint32_t tick) {
    if (agent >= whole.size())
      whole.resize(agent + 1, 0);
    whole[agent] = std::max(whole[agent], tick);
  }
  void add(unsigned agent, unsigned lane, uint32_t tick) {
    if (tickOf(agent) < tick)
      lanesOf(agent)[lane] = std::max(lanesOf(agent)[lane], tick);
  }
  void join(const Clock &other) {
    if (whole.size() < other.whole.size())
      whole.resize(other.whole.size(), 0);
    for (size_t i = 0; i < other.whole.size(); ++i)
      whole[i] = std::max(whole[i], other.whole[i]);
    for (const LaneTicks &entry : other.lanes) {
      auto &mine = lanesOf(entry.agent);
      for (size_t lane = 0; lane < mine.size(); ++lane)
        mine[lane] = std::max(mine[lane], entry.ticks[lane]);
    }
    if (!lanes.empty())
      dropCovered();
  }
  /// Forgets agents from number `count` on.
  void keepFirst(unsigned count) {
    if (whole.size() > count)
      whole.resize(count);
  }
  bool coversAll(unsigned agent, uint32_t tick) const { return tick <= tickOf(agent); }
  bool covers(unsigned agent, unsigned lane, uint32_t tick) const {
    if (tick <= tickOf(agent))
      return true;
    auto entry = find(agent);
    return entry != lanes.size() && lanes[entry].agent == agent && tick <= lanes[entry].ticks[lane];
  }

private:
  struct LaneTicks {
    unsigned agent;
    std::array<uint32_t, 32> ticks;
  };
  uint32_t tickOf(unsigned agent) const { return agent < whole.size() ? whole[agent] : 0; }
  std::array<uint32_t, 32> &lanesOf(unsigned agent) {
    size_t entry = find(agent);
    if (entry == lanes.size() || lanes[entry].agent != agent)
      lanes.insert(lanes.begin() + static_cast<ptrdiff_t>(entry), {agent, {}});
    return lanes[entry].ticks;
  }
  /// The entry of `agent`, or where it would stand.
  size_t find(unsigned agent) const {
    auto before = [](const LaneTicks &entry, unsigned wanted) { return entry.agent < wanted; };
    return static_cast<size_t>(std::lower_bound(lanes.begin(), lanes.end(), agent, before) - lanes.begin());
  }
  void dropCovered() {
    lanes.erase(std::remove_if(lanes.begin(), lanes.end(),
                               [&](const LaneTicks &entry) {
                                 return *std::max_element(entry.ticks.begin(), entry.ticks.end()) <= tickOf(entry.agent);
                               }),
                lanes.end());
  }

  std::vector<uint32_t> whole;  // per agent
  std::vector<LaneTicks> lanes; // by agent, few: an entry goes when all of its agent is known as far
};

} // namespace emulator

#endif // EMULATOR_CLOCK_H
