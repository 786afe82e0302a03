// A block: barriers, cp.async landings, deadlock.
#include "Machine.h"

#include "Cuda.h"

#include <algorithm>

namespace emulator {

Block::Block(const Launch &launch, const Schedule &schedule, DeviceMemory &memory, GlobalOrder &order, GlobalStores &stores,
             unsigned number, unsigned count)
    : launch(launch), schedule(schedule), memory(memory), order(order), stores(stores), global(memory),
      threads(launch.block.x * launch.block.y * launch.block.z), random(schedule.seed + number) {
  unsigned warpCount = (threads + 31) / 32;
  shared.configure(launch.program->staticShared + launch.dynamicShared, warpCount, schedule.racecheck, number, count,
                   launch.program->cluster > 1);
  for (unsigned i = 0; i < warpCount; ++i)
    warps.push_back(std::make_unique<Warp>(*this, i));
}

void Block::start(Dim3 at) {
  index = at;
  liveThreads = threads;
  changes = 0;
  mbarriers.start();
  registers = {};
  shared.start();
  for (auto &warp : warps)
    warp->start();
  for (BarrierState &barrier : barriers) {
    barrier.inUse = false;
    barrier.known.clear();
    for (auto *lanes : {&barrier.arrived, &barrier.waiting, &barrier.truth})
      lanes->assign(warps.size(), 0);
  }
}

// ---- barriers ----

void Block::arrive(Warp &warp, const Instruction &instruction, uint32_t lanes) {
  const uint32_t *ids = warp.slot<uint32_t>(instruction.a);
  const uint32_t *counts = instruction.b == kNoSlot ? nullptr : warp.slot<uint32_t>(instruction.b);
  while (lanes && !failed()) {
    auto first = static_cast<unsigned>(__builtin_ctz(lanes));
    uint32_t together = 0; // the lanes that want what the first one wants: all, unless id and count differ by lane
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
      auto lane = static_cast<unsigned>(__builtin_ctz(rest));
      together |= uint32_t(ids[lane] == ids[first] && (!counts || counts[lane] == counts[first])) << lane;
    }
    lanes &= ~together;
    arriveTogether(warp, instruction, together, ids[first], counts ? counts[first] : 0);
  }
}

void Block::arriveTogether(Warp &warp, const Instruction &instruction, uint32_t lanes, unsigned id, unsigned expected) {
  auto first = static_cast<unsigned>(__builtin_ctz(lanes));
  if (id >= barriers.size() || expected % 32 || (instruction.b != kNoSlot && !expected))
    return warp.report(CUDA_ERROR_LAUNCH_FAILED,
                       "barrier " + std::to_string(id) + " for " + std::to_string(expected) +
                           " threads; ids are below 16, counts multiples of 32",
                       first);
  BarrierState &barrier = barriers[id];
  if (barrier.inUse && barrier.expected != expected)
    return warp.report(CUDA_ERROR_LAUNCH_FAILED,
                       "barrier " + std::to_string(id) + " is met with " + std::to_string(expected) + " and " +
                           std::to_string(barrier.expected) + " threads",
                       first);
  uint32_t waiting = barrier.waiting[warp.index];
  if (instruction.aligned && waiting && warp.pc[static_cast<unsigned>(__builtin_ctz(waiting))] != warp.pc[first])
    return warp.report(CUDA_ERROR_LAUNCH_FAILED, "lanes of one warp wait at different barriers", first);
  ++changes;
  barrier.inUse = true;
  barrier.expected = expected;
  barrier.arrived[warp.index] |= lanes;
  if (instruction.c != kNoSlot)
    barrier.truth[warp.index] |= lanes & (instruction.variant ? ~warp.predicate(instruction.c) : warp.predicate(instruction.c));
  bool waits = instruction.barrier != BarrierOp::Arrive;
  if (waits)
    barrier.waiting[warp.index] |= lanes;
  else // it goes on and learns nothing
    shared.publish(warp.index, lanes, warp.live, barrier.known);
  for (; lanes; lanes &= lanes - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(lanes));
    waits ? void(warp.state[lane] = LaneState::AtBarrier) : void(++warp.pc[lane]);
  }
  tryComplete(id);
}

/// Threads that count as arrived: exited lanes count with the warp they belong to, as in hardware, where warps arrive.
unsigned Block::arrivals(const BarrierState &barrier) const {
  unsigned count = 0;
  for (size_t w = 0; w < warps.size(); ++w)
    if (barrier.arrived[w] && barrier.expected)
      count += static_cast<unsigned>(__builtin_popcount(barrier.arrived[w] | ~warps[w]->live));
    else
      count += static_cast<unsigned>(__builtin_popcount(barrier.arrived[w]));
  return count;
}

void Block::tryComplete(unsigned id) {
  BarrierState &barrier = barriers[id];
  if (barrier.inUse && arrivals(barrier) >= (barrier.expected ? barrier.expected : liveThreads))
    release(id);
}

void Block::release(unsigned id) {
  BarrierState &barrier = barriers[id];
  ++changes;
  shared.barrier(barrier.waiting, barrier.known);
  barrier.known.clear();
  unsigned total = 0, truths = 0;
  for (size_t w = 0; w < warps.size(); ++w) {
    total += static_cast<unsigned>(__builtin_popcount(barrier.waiting[w]));
    truths += static_cast<unsigned>(__builtin_popcount(barrier.truth[w]));
  }
  for (size_t w = 0; w < warps.size(); ++w)
    for (uint32_t lanes = barrier.waiting[w]; lanes; lanes &= lanes - 1) {
      unsigned lane = static_cast<unsigned>(__builtin_ctz(lanes));
      Warp &warp = *warps[w];
      const Instruction &instruction = launch.program->code[warp.pc[lane]];
      bool truth = instruction.barrier == BarrierOp::And ? truths == total : truths != 0;
      if (instruction.barrier == BarrierOp::Popc)
        warp.slot<uint32_t>(instruction.d)[lane] = truths;
      else if (instruction.barrier != BarrierOp::Sync) {
        uint32_t &result = warp.predicate(instruction.d);
        result = (result & ~(1u << lane)) | uint32_t(truth) << lane;
      }
      ++warp.pc[lane];
      warp.state[lane] = LaneState::Run;
    }
  barrier.inUse = false;
  for (auto *lanes : {&barrier.arrived, &barrier.waiting, &barrier.truth})
    std::fill(lanes->begin(), lanes->end(), 0u);
}

void Block::threadsExited(unsigned count) {
  liveThreads -= count;
  ++changes;
  if (!liveThreads && !mbarriers.copies.empty()) {
    faultPc = mbarriers.copies.front().pc;
    return warps[0]->report(CUDA_ERROR_LAUNCH_FAILED, "the block ends while a bulk copy into its shared memory is under way", 0);
  }
  for (unsigned id = 0; id < barriers.size() && liveThreads; ++id)
    tryComplete(id);
  if (cluster)
    cluster->tryComplete();
}

void Block::reportDeadlock() {
  faultPc = ~0u;
  unsigned waiting[2] = {0, 0};
  Warp *warp = nullptr;
  unsigned lane = 0;
  for (auto &candidate : warps)
    for (unsigned i = 0; i < 32; ++i) {
      LaneState state = candidate->state[i];
      if (state != LaneState::AtBarrier && state != LaneState::Meet)
        continue;
      ++waiting[state == LaneState::Meet];
      if (!warp)
        warp = candidate.get(), lane = i;
    }
  warp->report(CUDA_ERROR_LAUNCH_FAILED,
               "deadlock: " + std::to_string(waiting[0]) + " threads wait at barriers, " + std::to_string(waiting[1]) +
                   " for lanes of their warp, none can go on; the first",
               lane);
}

bool Block::finishCopies(Warp &warp, unsigned lane, std::vector<AsyncCopy> &copies) {
  for (const AsyncCopy &copy : copies) {
    shared.setInFlight(copy.shared, copy.bytes, copy.pc, false);
    faultPc = copy.pc;
    uint8_t *target = warp.access(lane, Space::Shared, copy.shared, copy.bytes, AccessKind::Write);
    // Checked when the copy was issued, and memory is not freed while a kernel runs.
    const uint8_t *source = reinterpret_cast<const uint8_t *>(copy.source - kDeviceOffset);
    if (failed())
      return false;
    std::memset(target, 0, copy.bytes);
    std::memcpy(target, source, copy.sourceBytes);
  }
  copies.clear();
  return true;
}

} // namespace emulator
