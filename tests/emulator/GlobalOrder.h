// What threads learn from each other through words of global memory: who reads a word by a strong access (volatile, relaxed or
// more, or atomic) knows what its writer knew. Only races on shared memory are judged by it.
#ifndef EMULATOR_GLOBAL_ORDER_H
#define EMULATOR_GLOBAL_ORDER_H

#include "Clock.h"
#include "Program.h"

#include <memory>
#include <unordered_map>

namespace emulator {

class GlobalOrder {
public:
  void start() { words.clear(); }
  /// The lanes of `mask` have done the strong access. Lanes of one instruction count as one: what one says or hears, all do.
  void wrote(Warp &warp, const Instruction &instruction, uint32_t mask);
  void read(Warp &warp, const Instruction &instruction, uint32_t mask);

private:
  struct Said {
    unsigned agent = 0, lane = 0;
    uint32_t tick = 0; // who knows of this tick knows all of it
    Clock known;
  };
  std::unordered_map<uint64_t, std::shared_ptr<const Said>> words; // by address / 2
};

} // namespace emulator

#endif // EMULATOR_GLOBAL_ORDER_H
