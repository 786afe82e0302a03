// cp.async.bulk from global to shared memory: the bytes land as late as a wait for their mbarrier allows, one copy at a failing
// wait; the shuffled schedule also lets some land earlier.
#include "Cuda.h"
#include "Lanes.h"
#include "Windows.h"

namespace emulator {

namespace {

bool isMultiple(Warp &warp, unsigned lane, uint64_t value, const char *what) {
  if (value % 16 == 0)
    return true;
  warp.report(CUDA_ERROR_MISALIGNED_ADDRESS,
              std::string("cp.async.bulk: ") + what + " " + std::to_string(value) + " is no multiple of 16", lane);
  return false;
}

/// The whole range can be accessed; a finding where not.
bool isThere(Warp &warp, unsigned lane, Space space, uint64_t address, uint32_t bytes, AccessKind kind) {
  for (uint32_t at = 0; at < bytes; at += 16)
    if (!warp.access(lane, space, address + at, 16, kind))
      return false;
  return true;
}

/// a: target; list: source, source offset, size, mbarrier, mbarrier offset (offsets are constants of the instruction).
void issue(Warp &warp, const Instruction &self, uint32_t mask) {
  const uint32_t *list = warp.block.launch.program->lists.data() + self.list;
  Instruction barrierOperand = self;
  barrierOperand.a = list[3];
  barrierOperand.narrowAddress = self.variant;
  barrierOperand.imm = static_cast<int32_t>(list[4]);
  barrierOperand.space = Space::Shared;
  for (; mask; mask &= mask - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(mask));
    uint64_t target = warp.addressOf(self, lane),
             source = warp.slot<uint64_t>(list[0])[lane] + static_cast<uint64_t>(int32_t(list[1]));
    uint32_t bytes = warp.slot<uint32_t>(list[2])[lane];
    if (!isMultiple(warp, lane, bytes, "size") || !isMultiple(warp, lane, target, "target address") ||
        !isMultiple(warp, lane, source, "source address"))
      return;
    Mbarrier *barrier = warp.mbarrierAt(barrierOperand, lane, warp.addressOf(barrierOperand, lane), AccessKind::Atomic);
    if (!barrier)
      return;
    if (!barrier->fenced)
      return warp.report(
          CUDA_ERROR_LAUNCH_FAILED,
          "cp.async.bulk on an mbarrier whose mbarrier.init no fence.mbarrier_init or fence.proxy.async has followed", lane);
    if (!isThere(warp, lane, Space::Global, source, bytes, AccessKind::Read) ||
        !isThere(warp, lane, Space::Shared, target, bytes, AccessKind::Write))
      return;
    warp.block.issueBulkCopy(warp, lane, *barrier, static_cast<uint32_t>(target), source, bytes);
  }
}

void decodeCopy(Builder &builder, const Statement &statement) {
  builder.allow(statement, "async bulk shared::cluster shared::cta global mbarrier::complete_tx::bytes L2::cache_hint");
  if (!statement.has("mbarrier::complete_tx::bytes") || !statement.has("global") ||
      !(statement.has("shared::cluster") || statement.has("shared::cta")) || statement.modifiers.back() == "global")
    builder.fail("of cp.async.bulk only copies from global to shared memory that complete on an mbarrier are known");
  if (statement.modifiers[2] == "global")
    builder.fail("cp.async.bulk to global memory is not known");
  size_t count = 4u + statement.has("L2::cache_hint");
  builder.expectOperands(statement, count, count);
  const auto &operands = statement.operands;
  Instruction source, barrier, instruction;
  builder.address(operands[1], source);
  builder.address(operands[3], barrier);
  builder.address(operands[0], instruction);
  if (source.narrowAddress)
    builder.fail("the source of cp.async.bulk is no 64-bit address");
  if (statement.planted)
    instruction.imm += 16;
  instruction.space = Space::Shared;
  instruction.flow = Flow::Checked;
  instruction.run = issue;
  instruction.variant = barrier.narrowAddress;
  uint32_t bytes = builder.read(operands[2], Type::U32);
  builder.list(instruction, {source.a, static_cast<uint32_t>(source.imm), bytes, barrier.a, static_cast<uint32_t>(barrier.imm)});
  builder.emit(instruction);
}

} // namespace

void Block::issueBulkCopy(Warp &warp, unsigned lane, Mbarrier &barrier, uint32_t target, uint64_t source, uint32_t bytes) {
  BulkCopy copy;
  copy.barrier = &barrier;
  copy.shared = target;
  copy.bytes = bytes;
  copy.source = source;
  copy.pc = faultPc;
  shared.publish(warp.index, 1u << lane, warp.live, copy.known);
  shared.setInFlight(target, bytes, faultPc, true);
  ++barrier.copies;
  ++changes;
  mbarriers.copies.push_back(std::move(copy));
}

void Block::landBulkCopy(size_t number) {
  BulkCopy copy = std::move(mbarriers.copies[number]);
  mbarriers.copies.erase(mbarriers.copies.begin() + static_cast<ptrdiff_t>(number));
  Mbarrier &barrier = *copy.barrier;
  // Checked when the copy was issued, and memory is not freed while a kernel runs.
  std::memcpy(shared.data() + copy.shared, reinterpret_cast<const uint8_t *>(copy.source - kDeviceOffset), copy.bytes);
  shared.land(copy.shared, copy.bytes, barrier.agent, copy.pc, barrier.arriving);
  barrier.arriving.join(copy.known);
  barrier.bytes -= copy.bytes;
  --barrier.copies;
  ++changes;
  completePhase(barrier);
}

void Block::landOneFor(Mbarrier &barrier) {
  if (!barrier.copies)
    return;
  std::vector<size_t> candidates;
  for (size_t i = 0; i < mbarriers.copies.size(); ++i)
    if (mbarriers.copies[i].barrier == &barrier)
      candidates.push_back(i);
  size_t choice = schedule.order == Order::WarpsReversed ? candidates.size() - 1
                  : schedule.order == Order::Shuffled    ? random() % candidates.size()
                                                         : 0;
  landBulkCopy(candidates[choice]);
}

void Block::landSome() {
  for (size_t i = 0; i < mbarriers.copies.size();)
    random() % 8 ? void(++i) : landBulkCopy(i);
}

void decodeBulkCopy(Builder &builder, const Statement &statement) { decodeCopy(builder, statement); }

} // namespace emulator
