// The mbarriers of a block and the bulk copies that complete on them.
#ifndef EMULATOR_MBARRIER_H
#define EMULATOR_MBARRIER_H

#include "SharedMemory.h"

#include <deque>
#include <unordered_map>

namespace emulator {

constexpr int64_t kMostArrivals = (1 << 20) - 1, kMostBytes = (1 << 20) - 1; // of one phase, by the manual

struct Mbarrier {
  uint32_t offset = 0; // in shared memory
  unsigned agent = 0;  // in whose name copies write
  uint32_t expected = 0, pending = 0, phase = 0;
  int64_t bytes = 0;   // that copies of this phase have still to bring
  unsigned copies = 0; // under way
  Touch init;
  bool fenced = false;       // the copy engine can see it
  Clock arriving, completed; // what arrivals of this phase, and of those before, make known
};

/// Where 16 bytes of a copy come from: so many from a device address, zeros behind them.
struct Piece {
  uint64_t source = 0;
  uint32_t bytes = 16;
  bool isNobodys = false; ///< nobody has written it, which may be in a box: it comes as NaN
};

/// A cp.async.bulk that has not landed.
struct BulkCopy {
  Mbarrier *barrier = nullptr;
  uint32_t shared = 0, bytes = 0;
  std::vector<Piece> pieces;        // in the order of the target
  std::array<uint32_t, 4> stored{}; // where there are none
  uint32_t pc = 0;
  Clock known; // to the thread that issued it
};

class Mbarriers {
public:
  void start() { all.clear(), copies.clear(), agents.clear(); }
  Mbarrier *find(uint32_t offset) {
    auto found = all.find(offset);
    return found == all.end() ? nullptr : &found->second;
  }
  Mbarrier &add(uint32_t offset) { return all[offset] = Mbarrier(); }
  void remove(uint32_t offset) { all.erase(offset); }
  template <class Visit> void forEach(Visit visit) {
    for (auto &entry : all)
      visit(entry.second);
  }

  std::deque<BulkCopy> copies; // in order of issue

  std::unordered_map<uint32_t, unsigned> agents; // by offset: an mbarrier that is made again keeps its agent

private:
  std::unordered_map<uint32_t, Mbarrier> all;
};

/// Ends the phase if all arrivals and bytes are there.
void completePhase(Mbarrier &barrier);

} // namespace emulator

#endif // EMULATOR_MBARRIER_H
