// Blocks of a cluster: the barrier that all their threads share. They run at the same time and reach each other's shared memory.
#ifndef EMULATOR_CLUSTER_H
#define EMULATOR_CLUSTER_H

#include "Clock.h"

namespace emulator {

class Block;

/// In a 32-bit address of `mapa` the rank of the block, from one on, stands above the offset in its shared memory.
constexpr unsigned kRankShift = 24;

struct Cluster {
  std::vector<Block *> blocks; // by rank
  uint32_t phase = 0;
  unsigned arrived = 0;                        // of this phase
  std::vector<std::vector<uint32_t>> waitsFor; // by rank and thread: phase whose end it waits for, plus one; 0: has not arrived
  Clock arriving, completed;

  void start();
  /// Ends the phase if all threads that have not exited are there.
  void tryComplete();
};

} // namespace emulator

#endif // EMULATOR_CLUSTER_H
