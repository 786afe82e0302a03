// mbarrier: phases that end when all arrivals and all bytes of copies are there, and waits for them.
//
// The object in shared memory is a mark only; its state stands beside it, so that any other access to its bytes is noticed.
#include "Mbarrier.h"

#include "Cuda.h"
#include "Lanes.h"
#include "Windows.h"

namespace emulator {

namespace {

std::string named(const Mbarrier &barrier) { return "the mbarrier at shared offset " + std::to_string(barrier.offset); }

/// Where an mbarrier lies or shall lie; -1 after a finding.
int64_t objectOffset(Warp &warp, const Instruction &self, unsigned lane, uint64_t address) {
  Space space = self.space;
  if (space == Space::Generic)
    space = spaceOf(address, address);
  uint64_t size = warp.block.shared.size();
  if (space != Space::Shared || address > size || size - address < 8) {
    warp.report(CUDA_ERROR_ILLEGAL_ADDRESS,
                "an mbarrier at offset " + std::to_string(int64_t(address)) + " of " + std::to_string(size) +
                    " bytes of shared memory",
                lane);
    return -1;
  }
  if (address % 8) {
    warp.report(CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned mbarrier at shared offset " + std::to_string(address), lane);
    return -1;
  }
  return static_cast<int64_t>(address);
}

void init(Warp &warp, const Instruction &self, uint32_t mask) {
  Block &block = warp.block;
  for (; mask; mask &= mask - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(mask));
    int64_t at = objectOffset(warp, self, lane, warp.addressOf(self, lane));
    if (at < 0)
      return;
    auto offset = static_cast<uint32_t>(at);
    uint32_t count = warp.slot<uint32_t>(self.b)[lane];
    if (!count || count > kMostArrivals)
      return warp.report(CUDA_ERROR_LAUNCH_FAILED,
                         "an mbarrier for " + std::to_string(count) + " arrivals; 1 to 1048575 are possible", lane);
    if (Mbarrier *there = block.mbarriers.find(offset))
      return warp.report(CUDA_ERROR_LAUNCH_FAILED, named(*there) + " is initialised again without mbarrier.inval", lane);
    // As data the bytes belong to nobody else any more.
    if (!warp.access(lane, Space::Shared, offset, 8, AccessKind::Write))
      return;
    unsigned &agent = block.mbarriers.agents[offset];
    if (!agent && !(agent = block.shared.addAgent()))
      return warp.report(CUDA_ERROR_NOT_SUPPORTED, "more mbarriers in a block than the emulator knows", lane);
    block.shared.setMbarrier(offset, true);
    Mbarrier &barrier = block.mbarriers.add(offset);
    barrier.offset = offset;
    barrier.agent = agent;
    barrier.expected = barrier.pending = count;
    barrier.init = block.shared.touchBy(warp.threadOf(lane), block.faultPc);
    ++block.changes;
  }
}

void invalidate(Warp &warp, const Instruction &self, uint32_t mask) {
  for (; mask; mask &= mask - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(mask));
    Mbarrier *barrier = warp.mbarrierAt(self, lane, warp.addressOf(self, lane), AccessKind::Write);
    if (!barrier)
      return;
    if (barrier->copies)
      return warp.report(CUDA_ERROR_LAUNCH_FAILED, named(*barrier) + " is invalidated while a copy to complete on it is under way",
                         lane);
    warp.block.shared.setMbarrier(barrier->offset, false);
    warp.block.mbarriers.remove(barrier->offset);
  }
}

bool expectBytes(Warp &warp, unsigned lane, Mbarrier &barrier, uint32_t bytes) {
  barrier.bytes += bytes;
  if (barrier.bytes <= kMostBytes)
    return true;
  warp.report(CUDA_ERROR_LAUNCH_FAILED,
              named(barrier) + " expects " + std::to_string(barrier.bytes) + " bytes in one phase; 1048575 are possible", lane);
  return false;
}

/// Every lane of `lanes` arrives at the one barrier. b: count or kNoSlot; c: bytes to expect or kNoSlot; variant: relaxed.
void arriveTogether(Warp &warp, const Instruction &self, uint32_t lanes, Mbarrier &barrier) {
  if (!self.variant)
    warp.block.shared.publish(warp.index, lanes, warp.live, barrier.arriving);
  for (; lanes; lanes &= lanes - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(lanes));
    uint32_t count = self.b == kNoSlot ? 1 : warp.slot<uint32_t>(self.b)[lane];
    if (self.c != kNoSlot && !expectBytes(warp, lane, barrier, warp.slot<uint32_t>(self.c)[lane]))
      return;
    if (!count || count > barrier.pending)
      return warp.report(CUDA_ERROR_LAUNCH_FAILED,
                         "arrival of " + std::to_string(count) + " at " + named(barrier) + ", where " +
                             std::to_string(barrier.pending) + " of " + std::to_string(barrier.expected) + " are missing",
                         lane);
    if (self.d != kNoSlot)
      warp.slot<uint64_t>(self.d)[lane] = uint64_t(barrier.offset) << 32 | barrier.phase;
    barrier.pending -= count;
    ++warp.block.changes;
    completePhase(barrier);
  }
}

void arrive(Warp &warp, const Instruction &self, uint32_t mask) {
  while (mask && !warp.block.failed()) {
    Mbarrier *barrier = nullptr;
    uint32_t together = warp.lanesAtOneMbarrier(self, mask, barrier);
    if (!barrier)
      return;
    mask &= ~together;
    arriveTogether(warp, self, together, *barrier);
  }
}

void expect(Warp &warp, const Instruction &self, uint32_t mask) {
  for (; mask; mask &= mask - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(mask));
    Mbarrier *barrier = warp.mbarrierAt(self, lane, warp.addressOf(self, lane), AccessKind::Atomic);
    if (!barrier || !expectBytes(warp, lane, *barrier, warp.slot<uint32_t>(self.c)[lane]))
      return;
    ++warp.block.changes;
  }
}

// ---- waits ----

enum : uint8_t { kParity = 1, kRelaxed = 2, kTry = 4 };

/// Whether the phase that a lane waits for is over.
bool isOver(Warp &warp, const Instruction &self, unsigned lane, const Mbarrier &barrier) {
  if (self.variant & kParity)
    return (barrier.phase & 1) != (warp.slot<uint32_t>(self.b)[lane] & 1);
  uint64_t token = warp.slot<uint64_t>(self.b)[lane];
  auto age = static_cast<uint32_t>(barrier.phase - static_cast<uint32_t>(token));
  if (token >> 32 != barrier.offset || age > 1)
    warp.report(CUDA_ERROR_LAUNCH_FAILED, "the state is of no phase that " + named(barrier) + " is in or has just ended", lane);
  return age != 0;
}

void wait(Warp &warp, const Instruction &self, uint32_t mask) {
  uint32_t asked = mask, over = 0;
  while (mask) {
    Mbarrier *barrier = nullptr;
    uint32_t together = warp.lanesAtOneMbarrier(self, mask, barrier), done = 0;
    if (!barrier)
      return;
    mask &= ~together;
    for (uint32_t rest = together; rest; rest &= rest - 1) {
      auto lane = static_cast<unsigned>(__builtin_ctz(rest));
      done |= uint32_t(isOver(warp, self, lane, *barrier)) << lane;
    }
    if (warp.block.failed())
      return;
    over |= done;
    if (done && !(self.variant & kRelaxed))
      warp.block.shared.learn(warp.index, done, warp.live, barrier->completed);
    if (done != together)
      warp.block.landOneFor(*barrier);
  }
  uint32_t &d = warp.predicate(self.d);
  d = (d & ~asked) | over;
  if (!over && (self.variant & kTry))
    warp.endTurn();
}

/// A wait that was left out on purpose: true at once, and nothing is known.
void dontWait(Warp &warp, const Instruction &self, uint32_t mask) { warp.predicate(self.d) |= mask; }

// ---- decoding ----

void decodeInit(Builder &builder, const Statement &statement, Instruction instruction) {
  builder.allow(statement, "init shared shared::cta");
  builder.expectOperands(statement, 2, 2);
  builder.address(statement.operands[0], instruction);
  instruction.b = builder.read(statement.operands[1], Type::U32);
  instruction.run = init;
  builder.emit(instruction);
}

void decodeInvalidate(Builder &builder, const Statement &statement, Instruction instruction) {
  builder.allow(statement, "inval shared shared::cta");
  builder.expectOperands(statement, 1, 1);
  builder.address(statement.operands[0], instruction);
  instruction.run = invalidate;
  builder.emit(instruction);
}

void decodeExpect(Builder &builder, const Statement &statement, Instruction instruction) {
  builder.allow(statement, "expect_tx relaxed cta shared shared::cta");
  builder.expectOperands(statement, 2, 2);
  builder.address(statement.operands[0], instruction);
  instruction.c = builder.read(statement.operands[1], Type::U32);
  instruction.run = expect;
  builder.emit(instruction);
}

void decodeArrive(Builder &builder, const Statement &statement, Instruction instruction) {
  builder.allow(statement, "arrive expect_tx release relaxed cta shared shared::cta");
  bool expects = statement.has("expect_tx");
  builder.expectOperands(statement, 2u + expects, 3);
  builder.address(statement.operands[1], instruction);
  if (expects)
    instruction.c = builder.read(statement.operands[2], Type::U32);
  else if (statement.operands.size() == 3)
    instruction.b = builder.read(statement.operands[2], Type::U32);
  instruction.variant = statement.has("relaxed");
  instruction.d = builder.write(statement.operands[0], Type::B64);
  instruction.run = arrive;
  builder.emit(instruction);
}

void decodeWait(Builder &builder, const Statement &statement, Instruction instruction) {
  builder.allow(statement, "test_wait try_wait parity acquire relaxed cta cluster shared shared::cta");
  bool tries = statement.has("try_wait"), parity = statement.has("parity");
  builder.expectOperands(statement, 3, 3u + tries); // a time limit may follow: it is spent at once
  builder.address(statement.operands[1], instruction);
  instruction.b = builder.read(statement.operands[2], parity ? Type::U32 : Type::B64);
  instruction.variant =
      static_cast<uint8_t>((parity ? kParity : 0) | (statement.has("relaxed") ? kRelaxed : 0) | (tries ? kTry : 0));
  instruction.d = builder.writePredicate(statement.operands[0]);
  instruction.run = statement.planted ? dontWait : wait;
  instruction.flow = Flow::Yield;
  builder.emit(instruction);
}

void decodeMbarrier(Builder &builder, const Statement &statement) {
  const std::pair<const char *, void (*)(Builder &, const Statement &, Instruction)> table[] = {
      {"init", decodeInit},        {"inval", decodeInvalidate}, {"arrive", decodeArrive},
      {"expect_tx", decodeExpect}, {"test_wait", decodeWait},   {"try_wait", decodeWait}};
  Instruction instruction;
  instruction.flow = Flow::Checked;
  instruction.space = statement.has("shared") || statement.has("shared::cta") ? Space::Shared : Space::Generic;
  for (const auto &entry : table)
    if (!statement.modifiers.empty() && statement.modifiers[0] == entry.first)
      return entry.second(builder, statement, instruction);
  builder.fail("no such operation on mbarriers is known");
}

} // namespace

void completePhase(Mbarrier &barrier) {
  if (barrier.pending || barrier.bytes)
    return;
  ++barrier.phase;
  barrier.pending = barrier.expected;
  barrier.completed.join(barrier.arriving);
  barrier.arriving.clear();
}

/// The mbarrier that a lane names, which must be there and be known to the lane; nullptr after a finding.
Mbarrier *Warp::mbarrierAt(const Instruction &instruction, unsigned lane, uint64_t address, AccessKind kind) {
  int64_t offset = objectOffset(*this, instruction, lane, address);
  if (offset < 0)
    return nullptr;
  Mbarrier *barrier = block.mbarriers.find(static_cast<uint32_t>(offset));
  if (!barrier) {
    report(CUDA_ERROR_LAUNCH_FAILED, "no mbarrier was initialised at shared offset " + std::to_string(offset), lane);
    return nullptr;
  }
  unsigned thread = threadOf(lane);
  Race race;
  auto verdict = block.shared.touchMbarrier(barrier->offset, kind, thread, block.faultPc, race);
  bool late = block.schedule.racecheck && !block.shared.ordered(barrier->init, thread);
  if (verdict == SharedMemory::Verdict::Fine && !late)
    return barrier;
  const Touch &earlier = late ? barrier->init : race.earlier;
  const Program &program = *block.launch.program;
  const auto &statement = program.statements[program.code[earlier.pc()].statement];
  report(CUDA_ERROR_LAUNCH_FAILED,
         "race: use of " + named(*barrier) + " and its use by thread " + std::to_string(earlier.thread()) + " at PTX line " +
             std::to_string(statement.first) + " (" + squeezed(statement.second) + ") without a barrier between",
         lane);
  return nullptr;
}

/// The lanes of `mask` that name the mbarrier which the first of them names; `barrier` stays nullptr after a finding.
uint32_t Warp::lanesAtOneMbarrier(const Instruction &instruction, uint32_t mask, Mbarrier *&barrier) {
  uint64_t address = addressOf(instruction, static_cast<unsigned>(__builtin_ctz(mask)));
  uint32_t together = 0;
  Mbarrier *found = nullptr;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(rest));
    if (addressOf(instruction, lane) != address)
      continue;
    found = mbarrierAt(instruction, lane, address, AccessKind::Atomic);
    if (!found)
      return 0;
    together |= 1u << lane;
  }
  barrier = found;
  return together;
}

/// A fence by which the copy engine sees what the lanes have seen of initialised mbarriers.
void fenceForCopies(Warp &warp, const Instruction &, uint32_t mask) {
  for (; mask; mask &= mask - 1) {
    unsigned thread = warp.threadOf(static_cast<unsigned>(__builtin_ctz(mask)));
    warp.block.mbarriers.forEach([&](Mbarrier &barrier) {
      barrier.fenced |= barrier.init.thread() == thread || warp.block.shared.ordered(barrier.init, thread);
    });
  }
}

void addMbarrierDecoders(Decoders &decoders) { decoders["mbarrier"] = decodeMbarrier; }

} // namespace emulator
