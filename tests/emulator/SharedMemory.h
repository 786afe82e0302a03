// The shared memory of a block with a shadow that knows who wrote and read each byte last.
//
// Time is counted per warp in ticks: every meeting of lanes, every barrier and every word said to others starts a new one. An
// access of another thread is ordered before mine if it carries a tick of its warp that mine has seen the end of: through a barrier
// or a word (`seen`, or `alone` for what a lane learned without its neighbours), or, for lanes of one warp, through a meeting that
// both took part in. Ticks go on from block to block, so records older than the block mean 'never touched'.
#ifndef EMULATOR_SHARED_MEMORY_H
#define EMULATOR_SHARED_MEMORY_H

#include "Clock.h"
#include "DeviceMemory.h"

#include <vector>

namespace emulator {

/// Who touched a byte: tick of the warp, and thread and instruction packed.
struct Touch {
  uint32_t tick = 0;
  uint32_t who = 0; // pc << 10 | thread
  unsigned thread() const { return who & 1023; }
  uint32_t pc() const { return who >> 10; }
};

/// A conflict between the current access and an earlier one.
struct Race {
  bool found = false, earlierWrote = false;
  Touch earlier;
};

class SharedMemory {
public:
  /// The block is number `block` of those that run at the same time.
  void configure(unsigned bytes, unsigned warps, bool racecheck, unsigned block);
  /// Poisons the memory and forgets everything.
  void start();

  unsigned size() const { return bytes; }
  uint8_t *data() { return memory.data(); }

  enum class Verdict : uint8_t { Fine, Unwritten, InFlight, Conflict };
  /// Notes the access, which lies within the memory, and judges it.
  Verdict touch(unsigned offset, unsigned size, AccessKind kind, unsigned thread, uint32_t pc, Race &race);

  /// An asynchronous copy to these words is under way, or has landed.
  void setInFlight(unsigned offset, unsigned size, uint32_t pc, bool on);
  /// The instruction whose copy makes an access of `size` bytes wrong.
  uint32_t inFlightPc(unsigned offset, unsigned size) const;

  Touch touchBy(unsigned thread, uint32_t pc) const { return {warps[thread / 32].tick, pc << 10 | thread}; }
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
  uint32_t tickOf(unsigned warp) const { return warps[warp].tick; }

private:
  struct Cell { // of a word, or of a byte of a split word
    Touch writer, reader, otherLane, otherWarp;
    bool atomicWriter = false;
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
  bool knowsAlone(const WarpTime &time, unsigned lane, unsigned agent, unsigned other, uint32_t tick) const {
    return (time.aloneMask >> lane & 1) && time.alone[lane].covers(agent, other, tick);
  }
  unsigned agentOf(unsigned thread) const { return agentOfWarp(thread / 32); }
  bool conflict(const Touch &earlier, bool wrote, unsigned thread, Race &race) const;
  Verdict judge(Cell &cell, AccessKind kind, unsigned thread, uint32_t pc, Race &race);
  void split(unsigned word);
  void unsplit(unsigned word, const Cell &cell);
  void shareAlone(WarpTime &time, uint32_t mask, bool all);

  unsigned bytes = 0, firstAgent = 0;
  bool racecheck = true;
  uint32_t base = 1; // first tick of this block
  std::vector<uint8_t> memory;
  std::vector<Cell> words;
  std::vector<uint32_t> splitIndex;            // per word: 1 + its place in splitWords; 0: not split
  std::vector<std::array<Cell, 4>> splitWords; // bytes of split words
  std::vector<uint32_t> freeSplits;
  std::vector<uint32_t> inFlight; // per word: pc + 1 of the copy
  unsigned flights = 0;
  std::vector<WarpTime> warps;
};

} // namespace emulator

#endif // EMULATOR_SHARED_MEMORY_H
