// The executable form of one kernel: instructions with resolved registers, and what a launch has to lay out.
//
// Every operand is an offset into the register file of a warp, constants and special registers included: the loop over the 32 lanes
// of an instruction then never asks what an operand is.
#ifndef EMULATOR_PROGRAM_H
#define EMULATOR_PROGRAM_H

#include "Syntax.h"

#include <memory>
#include <unordered_map>

namespace emulator {

struct Instruction;
class Warp;
using Handler = void (*)(Warp &warp, const Instruction &instruction, uint32_t mask);

/// What the scheduler has to do around an instruction.
enum class Flow : uint8_t {
  Plain,         // run the handler, go on
  Checked,       // the same, but the handler may report a finding
  Yield,         // Checked; other warps should get a turn soon (atomics, volatile and acquiring loads, nanosleep)
  WarpSync,      // the lanes of the mask in slot `b` meet, then the handler runs for all of them
  WarpAll,       // the same for all 32 lanes, none may be missing
  Barrier,       // block barrier: id in slot `a`, thread count in slot `b` (list: see BarrierOp)
  Branch,        // to imm
  IndexedBranch, // to list[slot a]
  Call,          // to imm; the way back goes into slot `d`
  Return,        // to slot `a`
  Exit,
};

enum class BarrierOp : uint8_t { Sync, Arrive, And, Or, Popc };
enum class Space : uint8_t { Generic, Global, Shared, Local, Param, Constant };

constexpr uint32_t kNoSlot = ~0u;

struct Instruction {
  Handler run = nullptr;
  uint32_t d = kNoSlot, a = kNoSlot, b = kNoSlot, c = kNoSlot;
  uint32_t guard = kNoSlot;
  bool guardNegated = false;
  Flow flow = Flow::Plain;
  Space space = Space::Generic;
  BarrierOp barrier = BarrierOp::Sync;
  bool narrowAddress = false; // the address register has 32 bits
  bool aligned = true;
  bool isStore = false;
  uint8_t bytes = 0;   // of one memory access, all elements together
  uint8_t variant = 0; // for the handler
  int64_t imm = 0;
  uint32_t list = 0, listCount = 0; // operands in Program::lists
  uint32_t statement = 0;           // in Program::statements
};

enum class Special : uint8_t {
  TidX,
  TidY,
  TidZ,
  NtidX,
  NtidY,
  NtidZ,
  CtaidX,
  CtaidY,
  CtaidZ,
  NctaidX,
  NctaidY,
  NctaidZ,
  LaneId,
  WarpId,
  NwarpId,
  SmId,
  NsmId,
  GridId,
  LanemaskEq,
  LanemaskLt,
  LanemaskLe,
  LanemaskGt,
  LanemaskGe,
  DynamicSharedSize,
  TotalSharedSize,
  Count
};

struct Program {
  std::string name;
  std::vector<Instruction> code;
  std::vector<uint32_t> lists;
  std::vector<std::pair<unsigned, std::string_view>> statements; // line, text
  std::shared_ptr<const std::string> source;                     // where they stand

  struct Constant {
    uint32_t slot;
    bool wide;
    uint64_t bits;
  };
  struct SpecialSlot {
    uint32_t slot;
    bool wide;
    Special kind;
  };
  std::vector<Constant> constants;
  std::vector<SpecialSlot> specials;
  uint32_t registerBytes = 0;

  std::vector<unsigned> paramOffsets, paramSizes;
  unsigned paramBytes = 0;
  unsigned staticShared = 0; // where dynamic shared memory starts
  unsigned localBytes = 0;   // per thread
  unsigned maxThreads = 0, required[3] = {0, 0, 0};
  unsigned cluster = 1;   // blocks behind one another in z
  unsigned besides = 1;   // and in y, which share nothing
  unsigned minBlocks = 1; // of a multiprocessor, whose registers they share
};

/// A device address that a kernel may name, and the shape of what is there.
struct Symbol {
  uint64_t address = 0;
  uint64_t bytes = 0;
  bool constant = false;
};
using Symbols = std::unordered_map<std::string, Symbol>;

/// Decodes the entry `name` of `syntax` with every function that it calls. Throws PtxError.
std::unique_ptr<Program> buildProgram(const Syntax &syntax, const std::string &name, const Symbols &symbols);

} // namespace emulator

#endif // EMULATOR_PROGRAM_H
