// Clocks beside words of global memory.
#include "GlobalOrder.h"

#include "Machine.h"
#include "Windows.h"

namespace emulator {

namespace {

template <class Visit> void forWords(Warp &warp, const Instruction &instruction, uint32_t mask, Visit visit) {
  for (; mask; mask &= mask - 1) {
    uint64_t address = warp.addressOf(instruction, static_cast<unsigned>(__builtin_ctz(mask)));
    Space space = instruction.space == Space::Generic ? spaceOf(address, address) : instruction.space;
    for (uint64_t word = address / 2; space == Space::Global && word <= (address + instruction.bytes - 1) / 2; ++word)
      visit(word);
  }
}

} // namespace

void GlobalOrder::wrote(Warp &warp, const Instruction &instruction, uint32_t mask) {
  if (!warp.block.schedule.racecheck || warp.block.failed())
    return;
  SharedMemory &shared = warp.block.shared;
  std::shared_ptr<Said> said;
  forWords(warp, instruction, mask, [&](uint64_t word) {
    if (!said) {
      said = std::make_shared<Said>();
      said->agent = shared.agentOfWarp(warp.index);
      said->lane = static_cast<unsigned>(__builtin_ctz(mask));
      said->tick = shared.tickOf(warp.index);
      shared.publish(warp.index, mask, warp.live, said->known);
      said->known.keepFirst(shared.agentsOfGrid()); // mbarriers of this block mean nothing elsewhere
    }
    words[word] = said;
  });
}

void GlobalOrder::read(Warp &warp, const Instruction &instruction, uint32_t mask) {
  if (!warp.block.schedule.racecheck || warp.block.failed())
    return;
  SharedMemory &shared = warp.block.shared;
  const Said *last = nullptr;
  forWords(warp, instruction, mask, [&](uint64_t word) {
    auto found = words.find(word);
    if (found == words.end() || found->second.get() == last)
      return;
    last = found->second.get();
    if (!shared.knows(warp.index, mask, last->agent, last->lane, last->tick))
      shared.learn(warp.index, mask, warp.live, last->known);
  });
}

} // namespace emulator
