// setmaxnreg: a block's registers, which its warps pass on to each other.
//
// The threads of a block begin with equal shares of what their multiprocessor has for it. Who asks for more waits until others have
// given enough away, for ever if they do not: a wait is a poll, and a jump back to it.
#include "Builder.h"
#include "Cuda.h"
#include "Machine.h"

#include <algorithm>

namespace emulator {

namespace {

constexpr unsigned kRegisters = 1 << 16; // of a multiprocessor
constexpr unsigned kFewest = 24, kMost = 256, kUnit = 8;

/// Each thread's share when a block begins.
unsigned shareOf(const Block &block) {
  unsigned blocks = std::max(1u, block.launch.program->minBlocks);
  return std::min(kMost, kRegisters / blocks / block.threads / kUnit * kUnit);
}

/// What the lanes of `mask` have now; the first of a block to ask lays out the pool.
uint16_t *ownedBy(Warp &warp) {
  RegisterPool &pool = warp.block.registers;
  if (pool.owned.empty())
    pool.owned.assign(size_t(warp.block.warps.size()) * 32, static_cast<uint16_t>(shareOf(warp.block)));
  return pool.owned.data() + size_t(warp.index) * 32;
}

/// imm: registers of each thread from now on; variant: whether that is more than before; d: whether they are there.
void change(Warp &warp, const Instruction &self, uint32_t mask) {
  if (!warp.standsTogether(mask, "setmaxnreg"))
    return;
  RegisterPool &pool = warp.block.registers;
  uint16_t *owned = ownedBy(warp);
  int64_t more = 0;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(rest));
    if (self.variant ? self.imm < owned[lane] : self.imm > owned[lane])
      return warp.report(CUDA_ERROR_LAUNCH_FAILED,
                         "setmaxnreg." + std::string(self.variant ? "inc" : "dec") + " to " + std::to_string(self.imm) +
                             " registers, of " + std::to_string(owned[lane]),
                         lane);
    more += self.imm - owned[lane];
  }
  uint32_t &d = warp.predicate(self.d);
  if (more > pool.free) {
    d &= ~mask;
    return warp.endTurn();
  }
  d |= mask;
  pool.free -= more;
  for (; mask; mask &= mask - 1)
    owned[__builtin_ctz(mask)] = static_cast<uint16_t>(self.imm);
  ++warp.block.changes;
}

} // namespace

void addRegisterDecoders(Decoders &decoders) {
  decoders["setmaxnreg"] = [](Builder &builder, const Statement &statement) {
    builder.allow(statement, "inc dec sync aligned u32");
    builder.expectOperands(statement, 1, 1);
    Instruction instruction;
    instruction.flow = Flow::Yield;
    instruction.run = change;
    instruction.variant = statement.has("inc");
    instruction.imm = static_cast<int64_t>(statement.operands[0].bits);
    if (statement.operands[0].kind != Operand::Integer || instruction.imm < kFewest || instruction.imm > kMost ||
        instruction.imm % kUnit)
      builder.fail("setmaxnreg takes 24 to 256 registers, in eights");
    instruction.d = builder.temporaryPredicate();
    builder.emit(instruction);
    builder.repeatUnless(instruction.d);
  };
}

} // namespace emulator
