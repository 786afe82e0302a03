// The shared memory of a block with a shadow that knows who wrote and read each byte last.
//
// Time is counted per warp in ticks: every meeting of lanes, every barrier, every arrival at an mbarrier and every word said to
// others starts a new one. An access of another thread is ordered before mine if it carries a tick of its warp that mine has seen
// the end of: through a barrier or a word (`seen`, or `alone` for what a lane learned without its neighbours), or, for lanes of one
// warp, through a meeting that both took part in. Bulk copies write in the name of the mbarrier that they complete on. Ticks go on
// from block to block, so records older than the block mean 'never touched'.
#ifndef EMULATOR_SHARED_MEMORY_H
#define EMULATOR_SHARED_MEMORY_H

#include "Clock.h"
#include "DeviceMemory.h"

#include <vector>

namespace emulator {

/// Threads of a block are numbered below this, agents that are no warps from here on.
constexpr unsigned kFirstAgent = 1024, kMaxAgents = 3072;

/// Who touched a byte: tick of the warp, and thread and instruction packed.
struct Touch {
  uint32_t tick = 0;
  uint32_t who = 0; // pc << 12 | thread
  unsigned thread() const { return who & 4095; }
  uint32_t pc() const { return who >> 12; }
  bool isCopy() const { return thread() >= kFirstAgent; }
};

/// A conflict between the current access and an earlier one.
struct Race {
  bool found = false, earlierWrote = false;
  Touch earlier;
};

class SharedMemory {
public:
  /// The block is number `block` of `blocks` that run at the same time, as a cluster or not: blocks of one know each other's
  /// mbarriers.
  void configure(unsigned bytes, unsigned warps, bool racecheck, unsigned block = 0, unsigned blocks = 1, bool cluster = false);
  /// Poisons the memory and forgets everything.
  void start();

  unsigned size() const { return bytes; }
  uint8_t *data() { return memory.data(); }

  enum class Verdict : uint8_t { Fine, Unwritten, InFlight, Conflict, IsMbarrier };
  /// Notes the access, which lies within the memory, and judges it.
  Verdict touch(unsigned offset, unsigned size, AccessKind kind, unsigned thread, uint32_t pc, Race &race);
  /// The same for an mbarrier object by one of its own instructions.
  Verdict touchMbarrier(unsigned offset, AccessKind kind, unsigned thread, uint32_t pc, Race &race);
  /// Plain accesses to these eight bytes are wrong from now on, or no longer.
  void setMbarrier(unsigned offset, bool on);

  /// An asynchronous copy to these words is under way, or has landed.
  void setInFlight(unsigned offset, unsigned size, uint32_t pc, bool on);
  /// The instruction whose copy makes an access of `size` bytes wrong.
  uint32_t inFlightPc(unsigned offset, unsigned size) const;

  /// A new agent that is no warp; its number counts as a thread's. 0 when there are too many.
  unsigned addAgent();
  /// A bulk copy has landed in the name of `agent`: its writes are added to `known`.
  void land(unsigned offset, unsigned size, unsigned agent, uint32_t pc, Clock &known);

  Touch touchBy(unsigned thread, uint32_t pc) const { return {warps[thread / 32].tick, pc << 12 | thread}; }
  /// The same of an access to other memory, which has to be ordered, too.
  Touch touchGlobal(unsigned thread, uint32_t pc) {
    warps[thread / 32].accessed = true;
    return touchBy(thread, pc);
  }
  /// Whether what `earlier` stands for happened before what `thread` does now.
  bool ordered(const Touch &earlier, unsigned thread) const;

  /// Lanes `mask` of `warp`, whose live lanes are `live`, have met.
  void meet(unsigned warp, uint32_t mask, uint32_t live);
  /// The warps that waited at a completed barrier: all of them see what each did before, and what `known` holds of those that only
  /// arrived. `lanes` has one mask per warp; 0: did not wait.
  void barrier(const std::vector<uint32_t> &lanes, const Clock &known);
  /// Adds to `known` what each of the lanes did so far or knows of others.
  void publish(unsigned warp, uint32_t mask, uint32_t live, Clock &known);
  /// Each of the lanes knows of all that `known` holds.
  void learn(unsigned warp, uint32_t mask, uint32_t live, const Clock &known);
  /// Whether each of the lanes knows what a lane of an agent did up to `tick`.
  bool knows(unsigned warp, uint32_t mask, unsigned agent, unsigned lane, uint32_t tick) const;
  unsigned agentOfWarp(unsigned warp) const { return firstAgent + warp; }
  unsigned agentsOfGrid() const { return gridAgents; }
  unsigned agentOf(unsigned thread) const {
    return thread < kFirstAgent ? agentOfWarp(thread / 32) : gridAgents + (thread - kFirstAgent) * agentStride + agentPlace;
  }
  /// What was last done with the bytes, or with one of them, and `isKnown` denies; nullptr if there is nothing.
  template <class IsKnown> const Touch *unknown(unsigned offset, unsigned size, IsKnown isKnown) const {
    auto ofCell = [&](const Cell &cell) -> const Touch * {
      for (const Touch *touch : {&cell.writer, &cell.reader, &cell.otherLane, &cell.otherWarp})
        if (touch->tick >= base && !isKnown(*touch))
          return touch;
      return nullptr;
    };
    for (unsigned word = offset / 4; word < (offset + size) / 4; ++word) {
      if (!splitIndex[word]) {
        if (const Touch *found = ofCell(words[isWhole[word / 4] ? word / 4 * 4 : word]))
          return found;
        continue;
      }
      for (const Cell &cell : splitWords[splitIndex[word] - 1])
        if (const Touch *found = ofCell(cell))
          return found;
    }
    return nullptr;
  }
  uint32_t tickOf(unsigned warp) const { return warps[warp].tick; }

private:
  struct Cell { // of a word, of four that are whole, or of a byte of a split word
    Touch writer, reader, otherLane, otherWarp;
    bool atomicWriter = false;
    bool operator==(const Cell &other) const {
      uint64_t mine[4], others[4], differ = atomicWriter != other.atomicWriter;
      std::memcpy(mine, this, sizeof mine);
      std::memcpy(others, &other, sizeof others);
      for (unsigned i = 0; i < 4; ++i)
        differ |= mine[i] ^ others[i];
      return !differ;
    }
  };
  struct WarpTime {
    uint32_t tick = 1;
    bool accessed = false;      // in this tick
    uint32_t fullMeeting = 0;   // last tick that ended with a meeting of all lanes
    Clock seen;                 // what every lane knows of other warps
    std::vector<uint32_t> pair; // 32 x 32, made at the first meeting of some lanes only
    uint32_t aloneMask = 0;     // lanes that know more than their warp
    std::vector<Clock> alone;   // 32, made when needed
    /// Ends the tick.
    uint32_t next() {
      accessed = false;
      return tick++;
    }
  };
  struct Access { // that is judged
    AccessKind kind;
    Touch mine;
    WarpTime &time; // of its warp
  };
  bool knowsAlone(const WarpTime &time, unsigned lane, unsigned agent, unsigned other, uint32_t tick) const {
    return (time.aloneMask >> lane & 1) && time.alone[lane].covers(agent, other, tick);
  }
  bool conflict(const Touch &earlier, bool wrote, const Access &now, Race &race) const;
  Verdict judge(Cell &cell, const Access &now, Race &race);
  Verdict judgeBytes(unsigned word, unsigned first, unsigned count, const Access &now, Race &race);
  Verdict touchWords(unsigned word, unsigned end, const Access &now, Race &race);
  Verdict touchFours(unsigned four, unsigned end, const Access &now, Race &race);
  void takeApart(unsigned four);
  void split(unsigned word);
  void unsplit(unsigned word, const Cell &cell);
  void shareAlone(WarpTime &time, uint32_t mask, bool all);

  unsigned bytes = 0, firstAgent = 0, gridAgents = 0;
  unsigned agentStride = 1, agentPlace = 0; // among agents that are no warps
  bool racecheck = true;
  uint32_t base = 1; // first tick of this block
  std::vector<uint8_t> memory;
  std::vector<Cell> words;
  std::vector<uint8_t> isWhole;     // per four words: all have the history that stands at the first; most accesses are of four
  std::vector<uint32_t> splitIndex; // per word: 1 + its place in splitWords; 0: not split
  std::vector<std::array<Cell, 4>> splitWords; // bytes of split words
  std::vector<uint32_t> freeSplits;
  std::vector<uint32_t> inFlight; // per word: pc + 1 of the copy
  unsigned flights = 0;
  std::vector<uint8_t> isMbarrier; // per eight bytes
  unsigned mbarriers = 0;
  std::vector<WarpTime> warps;
  std::vector<uint32_t> agentTicks; // of agents that are no warps
};

} // namespace emulator

#endif // EMULATOR_SHARED_MEMORY_H
