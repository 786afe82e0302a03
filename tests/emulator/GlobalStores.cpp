// A shadow of global memory with the last store of each two bytes.
#include "GlobalStores.h"

#include "Cuda.h"
#include "Machine.h"

#include <cstdio>
#include <cstring>

namespace emulator {

namespace {

constexpr unsigned kGrain = 2;

/// Two bytes as the number that they are.
std::string grainText(const uint8_t *from) {
  uint16_t number;
  std::memcpy(&number, from, kGrain);
  char text[8];
  std::snprintf(text, sizeof text, "0x%04x", number);
  return text;
}

void reportRace(Warp &warp, unsigned lane, uint64_t address, const uint8_t *old, const uint8_t *value, const Touch &earlier,
                bool sameBlock) {
  const Program &program = *warp.block.launch.program;
  const auto &statement = program.statements[program.code[earlier.pc()].statement];
  warp.report(CUDA_ERROR_LAUNCH_FAILED,
              "race: write of " + grainText(value) + " at global address " + std::to_string(address) + ", where thread " +
                  std::to_string(earlier.thread()) + (sameBlock ? "" : " of another block") + " wrote " + grainText(old) +
                  " at PTX line " + std::to_string(statement.first) + " (" + squeezed(statement.second) +
                  "), and nothing orders the two",
              lane);
}

} // namespace

GlobalStores::Page &GlobalStores::pageOf(uint64_t address) {
  uint64_t number = address / (kGrain * std::tuple_size<Page>());
  if (number != lastNumber) {
    std::unique_ptr<Page> &page = pages[number];
    if (!page)
      page = std::make_unique<Page>();
    lastNumber = number;
    last = page.get();
  }
  return *last;
}

bool GlobalStores::ordered(const Entry &earlier, const Warp &warp, unsigned lane) const {
  if (earlier.run != run)
    return false;
  const SharedMemory &shared = warp.block.shared;
  if (warp.block.hasAgent(earlier.agent))
    return shared.ordered(earlier.touch, warp.threadOf(lane));
  return shared.knows(warp.index, 1u << lane, earlier.agent, earlier.touch.thread() % 32, earlier.touch.tick);
}

bool GlobalStores::note(Warp &warp, unsigned lane, uint64_t address, unsigned bytes, const uint8_t *old, const uint8_t *value) {
  Block &block = warp.block;
  uint32_t pc = block.faultPc != ~0u ? block.faultPc : warp.pc[lane];
  Entry mine{block.shared.touchGlobal(warp.threadOf(lane), pc), block.shared.agentOfWarp(warp.index), run};
  for (unsigned at = 0; at + kGrain <= bytes; at += kGrain) {
    Page &page = pageOf(address + at);
    Entry &entry = page[(address + at) / kGrain % page.size()];
    if (entry.run && std::memcmp(old + at, value + at, kGrain) != 0 && !ordered(entry, warp, lane)) {
      reportRace(warp, lane, address + at, old + at, value + at, entry.touch, entry.run == run && block.hasAgent(entry.agent));
      return false;
    }
    entry = mine;
  }
  return true;
}

void GlobalStores::forget(uint64_t address, unsigned bytes) {
  for (unsigned at = 0; at < bytes; at += kGrain)
    pageOf(address + at)[(address + at) / kGrain % std::tuple_size<Page>()] = {};
}

} // namespace emulator
