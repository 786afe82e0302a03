// barrier.cluster, mapa, and st.async to the shared memory of another block of the cluster.
//
// A store is a small bulk copy that completes on an mbarrier of the block that it goes to: it lands as late as a wait for that
// barrier allows. When it is issued its thread has to know of everything that was done with the bytes before, so a barrier of the
// cluster has to stand between.
#include "Cluster.h"

#include "Cuda.h"
#include "Lanes.h"
#include "Machine.h"

namespace emulator {

void Cluster::start() {
  phase = arrived = 0;
  arriving.clear();
  completed.clear();
  waitsFor.assign(blocks.size(), std::vector<uint32_t>(blocks.front()->threads, 0));
}

void Cluster::tryComplete() {
  unsigned live = 0;
  for (const Block *block : blocks)
    live += block->liveThreads;
  if (!arrived || arrived < live)
    return;
  ++phase;
  arrived = 0;
  completed.join(arriving);
  arriving.clear();
  for (Block *block : blocks)
    ++block->changes;
}

namespace {

constexpr unsigned kBytes = 16; // of a store

/// The cluster of a warp, which a kernel without one does not have; nullptr after a finding.
Cluster *clusterOf(Warp &warp, uint32_t mask) {
  if (!warp.block.cluster)
    warp.report(CUDA_ERROR_NOT_SUPPORTED, "the kernel has no .reqnctapercluster", static_cast<unsigned>(__builtin_ctz(mask)));
  return warp.block.cluster;
}

void arrive(Warp &warp, const Instruction &self, uint32_t mask) {
  Cluster *cluster = clusterOf(warp, mask);
  if (!cluster || (self.aligned && !warp.standsTogether(mask, "barrier.cluster")))
    return;
  warp.block.shared.publish(warp.index, mask, warp.live, cluster->arriving);
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(rest));
    uint32_t &own = cluster->waitsFor[warp.block.rank][warp.threadOf(lane)];
    if (own)
      return warp.report(CUDA_ERROR_LAUNCH_FAILED, "a second barrier.cluster.arrive without a wait", lane);
    own = cluster->phase + 1;
    ++cluster->arrived;
  }
  ++warp.block.changes;
  cluster->tryComplete();
}

/// d: whether the wait is over for a lane.
void wait(Warp &warp, const Instruction &self, uint32_t mask) {
  Cluster *cluster = clusterOf(warp, mask);
  if (!cluster)
    return;
  uint32_t over = 0;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(rest));
    uint32_t &own = cluster->waitsFor[warp.block.rank][warp.threadOf(lane)];
    if (!own)
      return warp.report(CUDA_ERROR_LAUNCH_FAILED, "barrier.cluster.wait without an arrival before it", lane);
    if (cluster->phase >= own)
      over |= 1u << lane, own = 0;
  }
  if (over)
    warp.block.shared.learn(warp.index, over, warp.live, cluster->completed);
  uint32_t &d = warp.predicate(self.d);
  d = (d & ~mask) | over;
  if (!over)
    warp.endTurn();
}

void dontWait(Warp &warp, const Instruction &self, uint32_t mask) {
  if (Cluster *cluster = clusterOf(warp, mask))
    for (uint32_t rest = mask; rest; rest &= rest - 1)
      cluster->waitsFor[warp.block.rank][warp.threadOf(static_cast<unsigned>(__builtin_ctz(rest)))] = 0;
  warp.predicate(self.d) |= mask;
}

void map(Warp &warp, const Instruction &self, uint32_t mask) {
  Cluster *cluster = clusterOf(warp, mask);
  for (; cluster && mask; mask &= mask - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(mask));
    uint32_t rank = warp.slot<uint32_t>(self.b)[lane];
    if (rank >= cluster->blocks.size())
      return warp.report(
          CUDA_ERROR_LAUNCH_FAILED,
          "mapa to block " + std::to_string(rank) + " of " + std::to_string(cluster->blocks.size()) + " of the cluster", lane);
    warp.slot<uint32_t>(self.d)[lane] = warp.slot<uint32_t>(self.a)[lane] + ((rank + 1) << kRankShift);
  }
}

/// The block that an address of mapa lies in; `address` becomes the offset. nullptr after a finding.
Block *blockAt(Warp &warp, unsigned lane, uint64_t &address, unsigned bytes) {
  Cluster *cluster = clusterOf(warp, 1u << lane);
  if (!cluster)
    return nullptr;
  uint64_t rank = address >> kRankShift;
  address &= (1u << kRankShift) - 1;
  if (rank < 1 || rank > cluster->blocks.size() || address + bytes > cluster->blocks[rank - 1]->shared.size() || address % bytes) {
    warp.report(CUDA_ERROR_ILLEGAL_ADDRESS,
                "st.async to offset " + std::to_string(address) + " of the shared memory of block " +
                    std::to_string(int64_t(rank) - 1) + " of the cluster",
                lane);
    return nullptr;
  }
  Block *block = cluster->blocks[rank - 1];
  if (!block->done())
    return block;
  warp.report(CUDA_ERROR_LAUNCH_FAILED, "st.async to the shared memory of a block that has ended", lane);
  return nullptr;
}

std::string placeOf(Warp &warp, uint32_t pc) {
  const auto &statement = warp.block.launch.program->statements[warp.block.launch.program->code[pc].statement];
  return "PTX line " + std::to_string(statement.first) + " (" + squeezed(statement.second) + ")";
}

/// a: target; list: four numbers, mbarrier, its offset.
void store(Warp &warp, const Instruction &self, uint32_t mask) {
  const uint32_t *list = warp.block.launch.program->lists.data() + self.list;
  for (; mask; mask &= mask - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(mask));
    uint64_t target = warp.addressOf(self, lane), object = warp.slot<uint32_t>(list[4])[lane] + uint64_t(int32_t(list[5]));
    Block *block = blockAt(warp, lane, target, kBytes), *other = block ? blockAt(warp, lane, object, 8) : nullptr;
    if (!other)
      return;
    Mbarrier *barrier = block->mbarriers.find(static_cast<uint32_t>(object));
    if (block != other || !barrier)
      return warp.report(CUDA_ERROR_LAUNCH_FAILED, "st.async without an mbarrier in the block that it goes to", lane);
    auto isKnown = [&](const Touch &earlier) {
      return warp.block.shared.knows(warp.index, 1u << lane, block->shared.agentOf(earlier.thread()), earlier.thread() % 32,
                                     earlier.tick);
    };
    auto at = static_cast<uint32_t>(target);
    const Touch *early = block->schedule.racecheck ? block->shared.unknown(at, kBytes, isKnown) : nullptr;
    if (!early && block->schedule.racecheck && !isKnown(barrier->init))
      early = &barrier->init;
    uint32_t flight = block->shared.inFlightPc(at, kBytes);
    if (early || flight != ~0u)
      return warp.report(CUDA_ERROR_LAUNCH_FAILED,
                         "race: st.async to another block, whose use of the bytes or the mbarrier at " +
                             placeOf(warp, early ? early->pc() : flight) + " no barrier of the cluster orders before",
                         lane);
    std::array<uint32_t, 4> data;
    for (unsigned i = 0; i < 4; ++i)
      data[i] = warp.slot<uint32_t>(list[i])[lane];
    block->issueStore(*barrier, at, data, warp.block.faultPc);
  }
}

void decodeStore(Builder &builder, const Statement &statement) {
  builder.allow(statement, "async weak shared::cluster mbarrier::complete_tx::bytes v4");
  builder.expectOperands(statement, 3, 3);
  const auto &operands = statement.operands;
  Type type = builder.type(statement);
  if (!statement.has("v4") || bytesOf(type) != 4 || operands[1].parts.size() != 4)
    builder.fail("of st.async only .v4 of 32 bits are known");
  Instruction barrier, instruction;
  builder.address(operands[2], barrier);
  builder.address(operands[0], instruction);
  if (!barrier.narrowAddress || !instruction.narrowAddress)
    builder.fail("expected addresses of 32 bits");
  instruction.flow = Flow::Checked;
  instruction.run = store;
  std::vector<uint32_t> slots;
  for (const Operand &part : operands[1].parts)
    slots.push_back(builder.read(part, type));
  slots.insert(slots.end(), {barrier.a, static_cast<uint32_t>(barrier.imm)});
  builder.list(instruction, slots);
  builder.emit(instruction);
}

} // namespace

/// barrier.cluster: a wait is a poll, and a jump back to it.
void decodeClusterBarrier(Builder &builder, const Statement &statement) {
  builder.allow(statement, "cluster arrive wait release relaxed acquire aligned");
  builder.expectOperands(statement, 0, 0);
  Instruction instruction;
  instruction.aligned = statement.has("aligned");
  if (statement.has("arrive")) {
    instruction.flow = Flow::Checked;
    instruction.run = arrive;
    return builder.emit(instruction);
  }
  instruction.flow = Flow::Yield;
  instruction.run = statement.planted ? dontWait : wait;
  instruction.d = builder.temporaryPredicate();
  builder.emit(instruction);
  builder.repeatUnless(instruction.d);
}

void decodeClusterStore(Builder &builder, const Statement &statement) { decodeStore(builder, statement); }

void addClusterDecoders(Decoders &decoders) {
  decoders["mapa"] = [](Builder &builder, const Statement &statement) {
    builder.allow(statement, "shared::cluster");
    builder.expectOperands(statement, 3, 3);
    if (!statement.has("shared::cluster") || builder.type(statement) != Type::U32)
      builder.fail("of mapa only .shared::cluster.u32 is known");
    Instruction instruction;
    instruction.flow = Flow::Checked;
    instruction.run = map;
    instruction.a = builder.read(statement.operands[1], Type::U32);
    instruction.b = builder.read(statement.operands[2], Type::U32);
    instruction.d = builder.write(statement.operands[0], Type::U32);
    builder.emit(instruction);
  };
}

} // namespace emulator
