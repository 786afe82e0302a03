// The shared memory of a block with a shadow that knows who wrote and read each byte last.
//
// Time is counted per warp in ticks: every meeting of lanes and every barrier starts a new one. An access of another thread is
// ordered before mine if it carries a tick of its warp that mine has seen the end of: through a barrier (`seen`), or, for lanes of
// one warp, through a meeting that both took part in. Ticks go on from block to block, so records older than the block mean 'never
// touched'.
#ifndef EMULATOR_SHARED_MEMORY_H
#define EMULATOR_SHARED_MEMORY_H

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
  uint32_t pc = 0;
  unsigned thread = 0;
};

class SharedMemory {
public:
  void configure(unsigned bytes, unsigned warps, bool racecheck);
  /// Poisons the memory and forgets everything.
  void start();

  unsigned size() const { return bytes; }
  uint8_t *data() { return memory.data(); }

  enum class Verdict : uint8_t { Fine, Unwritten, InFlight, Conflict };
  /// Notes the access, which lies within the memory, and judges it.
  Verdict touch(unsigned offset, unsigned size, AccessKind kind, unsigned thread, uint32_t pc, Race &race);
  /// A cp.async to these bytes is under way, or has landed.
  void setInFlight(unsigned offset, unsigned size, uint32_t pc, bool on);
  uint32_t inFlightPc(unsigned offset) const { return inFlight[offset] - 1; }

  /// Lanes `mask` of `warp`, whose live lanes are `live`, have met.
  void meet(unsigned warp, uint32_t mask, uint32_t live);
  /// The warps of a completed barrier: all of them see what each did before. `lanes` has one mask per warp; 0: does not take part.
  void barrier(const std::vector<uint32_t> &lanes);

private:
  struct Cell { // of a word, or of a byte of a split word
    Touch writer, reader, otherLane, otherWarp;
    bool atomicWriter = false;
  };
  struct WarpTime {
    uint32_t tick = 1;
    uint32_t fullMeeting = 0;   // last tick that ended with a meeting of all lanes
    std::vector<uint32_t> seen; // per warp: ticks up to this one happened before
    std::vector<uint32_t> pair; // 32 x 32, made at the first meeting of some lanes only
  };
  bool ordered(const Touch &earlier, unsigned thread) const;
  bool conflict(const Touch &earlier, bool wrote, unsigned thread, Race &race) const;
  Verdict judge(Cell &cell, AccessKind kind, unsigned thread, uint32_t pc, Race &race);
  void split(unsigned word);

  unsigned bytes = 0;
  bool racecheck = true;
  uint32_t base = 1; // first tick of this block
  std::vector<uint8_t> memory;
  std::vector<Cell> words, splitBytes;
  std::vector<uint8_t> isSplit;
  std::vector<uint32_t> inFlight; // pc + 1 of the copy
  unsigned flights = 0;
  std::vector<WarpTime> warps;
};

} // namespace emulator

#endif // EMULATOR_SHARED_MEMORY_H
