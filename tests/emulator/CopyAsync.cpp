// cp.async: a copy lands when the thread waits for its group, as late as the manual allows. Until then its target is 'in flight'.
#include "Cuda.h"
#include "Lanes.h"

namespace emulator {

namespace {

/// The source of a copy, byte by byte where it is cut short.
bool sourceIsThere(Warp &warp, const Instruction &self, unsigned lane, uint64_t source, unsigned bytes) {
  if (source & (self.bytes - 1u)) {
    warp.report(CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned source of an asynchronous copy", lane);
    return false;
  }
  if (bytes == self.bytes)
    return warp.access(lane, Space::Generic, source, bytes, AccessKind::Read);
  for (unsigned i = 0; i < bytes; ++i)
    if (!warp.access(lane, Space::Generic, source + i, 1, AccessKind::Read))
      return false;
  return true;
}

/// a: target address, b: source address, c: source size (or kNoSlot); list: offset of the source.
void issue(Warp &warp, const Instruction &self, uint32_t mask) {
  for (; mask; mask &= mask - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(mask));
    uint64_t target = warp.addressOf(self, lane), source = warp.slot<uint64_t>(self.b)[lane] + self.list;
    uint32_t size = self.c == kNoSlot ? self.bytes : warp.slot<uint32_t>(self.c)[lane];
    if (size > self.bytes)
      return warp.report(CUDA_ERROR_LAUNCH_FAILED,
                         "cp.async with a source of " + std::to_string(size) + " for " + std::to_string(self.bytes) + " bytes",
                         lane);
    if (!sourceIsThere(warp, self, lane, source, size))
      return;
    uint8_t *there = warp.access(lane, Space::Shared, target, self.bytes, AccessKind::Write);
    if (!there)
      return;
    auto offset = static_cast<uint32_t>(there - warp.block.shared.data());
    uint32_t pc = warp.block.faultPc;
    warp.block.shared.setInFlight(offset, self.bytes, pc, true);
    warp.copies[lane].open.push_back({offset, source, self.bytes, static_cast<uint8_t>(size), pc});
  }
}

void commit(Warp &warp, const Instruction &, uint32_t mask) {
  for (; mask; mask &= mask - 1) {
    AsyncCopies &copies = warp.copies[static_cast<unsigned>(__builtin_ctz(mask))];
    copies.groups.push_back(std::move(copies.open));
    copies.open.clear();
  }
}

/// Lands all groups but the `imm` youngest; with `variant` everything, committed or not.
void waitFor(Warp &warp, const Instruction &self, uint32_t mask) {
  for (; mask; mask &= mask - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(mask));
    AsyncCopies &copies = warp.copies[lane];
    for (; copies.groups.size() > static_cast<size_t>(self.imm); copies.groups.pop_front())
      if (!warp.block.finishCopies(warp, lane, copies.groups.front()))
        return;
    if (self.variant && !warp.block.finishCopies(warp, lane, copies.open))
      return;
  }
}

void decodeCopy(Builder &builder, const Statement &statement) {
  builder.allow(statement, "async ca cg shared shared::cta global L2::cache_hint L2::64B L2::128B L2::256B");
  builder.expectOperands(statement, 3, 4u + statement.has("L2::cache_hint"));
  const auto &operands = statement.operands;
  uint64_t bytes = operands[2].bits;
  if (operands[2].kind != Operand::Integer || (bytes != 4 && bytes != 8 && bytes != 16) || (statement.has("cg") && bytes != 16))
    builder.fail("cp.async copies 4, 8 or 16 bytes, with .cg 16");
  Instruction instruction;
  builder.address(operands[1], instruction);
  instruction.b = instruction.a;
  if (instruction.narrowAddress)
    builder.fail("the source of cp.async is no 64-bit address");
  instruction.list = static_cast<uint32_t>(instruction.imm);
  if (instruction.imm < 0 || instruction.imm > 0x7fffffff)
    builder.fail("the offset of the source is out of range");
  builder.address(operands[0], instruction);
  instruction.space = Space::Shared;
  instruction.run = issue;
  instruction.flow = Flow::Checked;
  instruction.bytes = static_cast<uint8_t>(bytes);
  if (statement.planted)
    instruction.imm += instruction.bytes;
  if (operands.size() > 3u + statement.has("L2::cache_hint"))
    instruction.c = builder.read(operands[3], Type::U32);
  builder.emit(instruction);
}

void decodeCp(Builder &builder, const Statement &statement) {
  Instruction instruction;
  instruction.flow = Flow::Checked;
  if (statement.has("bulk"))
    return decodeBulkCopy(builder, statement);
  if (statement.modifiers.empty() || statement.modifiers[0] != "async" || statement.has("mbarrier"))
    builder.fail("only the cp.async of sm_80 and cp.async.bulk are known");
  if (statement.has("commit_group")) {
    instruction.run = commit;
    return builder.emit(instruction);
  }
  bool all = statement.has("wait_all");
  if (!all && !statement.has("wait_group"))
    return decodeCopy(builder, statement);
  if (statement.planted)
    return;
  builder.expectOperands(statement, !all, !all);
  if (!all && statement.operands[0].kind != Operand::Integer)
    builder.fail("the number of groups is no constant");
  instruction.run = waitFor;
  instruction.imm = all ? 0 : static_cast<int64_t>(statement.operands[0].bits);
  instruction.variant = all;
  builder.emit(instruction);
}

} // namespace

void addAsyncCopyDecoders(Decoders &decoders) { decoders["cp"] = decodeCp; }

} // namespace emulator
