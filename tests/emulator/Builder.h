// Turns statements into instructions. Decoders (one per opcode family, next to the handlers they choose) call this class.
#ifndef EMULATOR_BUILDER_H
#define EMULATOR_BUILDER_H

#include "Program.h"

#include <map>
#include <optional>
#include <tuple>

namespace emulator {

class Builder {
public:
  Builder(const Syntax &syntax, const Symbols &symbols, Program &program) : syntax(syntax), symbols(symbols), program(program) {}
  void build(const std::string &entry);

  // ---- for decoders ----
  [[noreturn]] void fail(const std::string &what) const;
  /// The slot in which `operand` can be read as a `type`; constants are converted, wider registers narrowed.
  uint32_t read(const Operand &operand, Type type);
  /// The slot to write a `type` to; a wider register is extended after the next emit.
  uint32_t write(const Operand &operand, Type type);
  uint32_t readPredicate(const Operand &operand);
  uint32_t writePredicate(const Operand &operand);
  /// Fills a, narrowAddress, imm and space of a memory instruction from `[base+offset]`.
  void address(const Operand &operand, Instruction &instruction);
  uint32_t constant(uint64_t bits, bool wide);
  uint32_t temporary(bool wide) { return allocate(wide ? 256 : 128); }
  uint32_t scratch(uint32_t bytes) { return allocate(bytes); }
  uint32_t temporaryPredicate() { return allocate(4); }
  uint32_t carrySlot();
  void list(Instruction &instruction, const std::vector<uint32_t> &slots);
  void emit(Instruction instruction);
  /// Behind the instruction just emitted: back to it, for lanes for which the predicate does not hold.
  void repeatUnless(uint32_t predicate);

  /// The only modifier that names a type, or the n-th of several.
  Type type(const Statement &statement, unsigned n = 0) const;
  /// Fails unless every modifier is a type or one of `known` (space separated).
  void allow(const Statement &statement, const char *known) const;
  void expectOperands(const Statement &statement, size_t least, size_t most) const;

  // ---- control flow (BuilderControl.cpp) ----
  void branch(const Statement &statement);
  void indexedBranch(const Statement &statement);
  void call(const Statement &statement);
  void leave(const Statement &statement);

private:
  struct Register {
    uint32_t slot;
    Type type;
  };
  struct Place {
    Space space;
    int64_t offset;
  };                 // a variable in local, param or shared memory
  struct Registers { // a declaration: `name`, or `name` and a number below `count`
    std::string name;
    uint32_t count, slot, bytes; // of one
    Type type;
  };
  struct Scope {
    std::vector<Registers> registers;
    std::unordered_map<std::string, Place> places;
    std::unordered_map<std::string, uint32_t> labels;
    std::unordered_map<std::string, std::vector<std::string>> targets;
    std::vector<std::tuple<uint32_t, uint32_t, std::string>> jumps; // instruction, entry of its list or kNoSlot, label
  };
  struct Body { // a function of this program
    const Function *function = nullptr;
    std::vector<int64_t> params, results; // offsets in the memory of a thread
    uint32_t returnSlot = kNoSlot;
    uint32_t entry = kNoSlot;
  };

  void functionBody(const Function &function);
  void statement(const Statement &statement);
  void declare(const Variable &variable);
  void layoutEntryParams(const Function &function);
  int64_t place(const Variable &variable);
  int64_t sharedOffset(const Variable &variable);
  void closeScope();
  uint32_t allocate(uint32_t bytes);
  std::optional<Register> findRegister(std::string_view name) const;
  const Place *findPlace(const std::string &name) const;
  const Variable *moduleShared(const std::string &name) const;
  uint32_t special(const std::string &name, bool wide);
  uint32_t nameValue(const Operand &operand, Type type);
  uint32_t resized(uint32_t slot, Type from, Type to);
  Body &bodyOf(const std::string &name);
  void builtinCall(const std::string &name, const std::vector<Operand> &results, const std::vector<Operand> &arguments);
  void copyParam(const Operand &from, const Operand &to, int64_t fixed, bool fixedIsSource, unsigned bytes);

  const Syntax &syntax;
  const Symbols &symbols;
  Program &program;
  std::vector<Scope> scopes;
  std::map<std::pair<uint64_t, bool>, uint32_t> constants;
  std::unordered_map<std::string, uint32_t> specials;
  std::unordered_map<std::string, int64_t> sharedOffsets;
  std::map<std::string, Body> bodies;
  std::vector<std::string> pending;                    // functions called and not yet decoded
  std::vector<std::pair<uint32_t, std::string>> calls; // instruction, function
  std::map<std::string, std::vector<std::string>> callGraph;
  std::vector<Instruction> after; // extensions to emit behind the current instruction
  const Statement *current = nullptr;
  Body *currentBody = nullptr;
  uint32_t carry = kNoSlot;
  uint64_t nextRegister = 0, nextLocal = 0, nextShared = 0;
};

using Decoder = void (*)(Builder &builder, const Statement &statement);
using Decoders = std::unordered_map<std::string, Decoder>;

// Each family adds its opcodes.
void addIntegerDecoders(Decoders &decoders);
void addBitDecoders(Decoders &decoders);
void addFloatDecoders(Decoders &decoders);
void addCompareDecoders(Decoders &decoders);
void addConvertDecoders(Decoders &decoders);
void addHalfDecoders(Decoders &decoders);
void addMemoryDecoders(Decoders &decoders);
void addAtomicDecoders(Decoders &decoders);
void addWarpDecoders(Decoders &decoders);
void addMatrixDecoders(Decoders &decoders);
void addWgmmaDecoders(Decoders &decoders);
void addAsyncCopyDecoders(Decoders &decoders);
void addMbarrierDecoders(Decoders &decoders);
void addClusterDecoders(Decoders &decoders);
void addRegisterDecoders(Decoders &decoders);
void addControlDecoders(Decoders &decoders);

// One opcode, several families: the decoders of add, mul and so on ask these in turn.
void decodeIntegerAdd(Builder &builder, const Statement &statement);
void decodeIntegerSub(Builder &builder, const Statement &statement);
void decodeIntegerMul(Builder &builder, const Statement &statement);
void decodeIntegerDiv(Builder &builder, const Statement &statement);
void decodeIntegerMin(Builder &builder, const Statement &statement);
void decodeIntegerMax(Builder &builder, const Statement &statement);
void decodeIntegerNeg(Builder &builder, const Statement &statement);
void decodeIntegerAbs(Builder &builder, const Statement &statement);
bool decodeHalf(Builder &builder, const Statement &statement);
bool decodeClock(Builder &builder, const Statement &statement);
void decodeBulkCopy(Builder &builder, const Statement &statement);
void decodeClusterBarrier(Builder &builder, const Statement &statement);
void decodeClusterStore(Builder &builder, const Statement &statement);

/// Lets the copy engine see what the lanes know of initialised mbarriers (Mbarrier.cpp).
void fenceForCopies(Warp &warp, const Instruction &instruction, uint32_t mask);

} // namespace emulator

#endif // EMULATOR_BUILDER_H
