// PTX text as a tree: modules, functions, statements, operands. Nothing here knows what an instruction does.
#ifndef EMULATOR_SYNTAX_H
#define EMULATOR_SYNTAX_H

#include "Types.h"

#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace emulator {

/// What is wrong with a PTX text; the message ends with the line and, where there is one, the statement.
struct PtxError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Operand {
  enum Kind {
    Name,    // register, variable, label, function
    Integer, // bits
    Float32, // bits
    Float64, // bits
    Address, // [parts[0] + offset], or [parts[0], parts[1]]
    Vector,  // {parts...}
    List,    // (parts...)
    Pair,    // parts[0] | parts[1]
  } kind = Name;
  std::string name;
  bool negated = false; // !name
  uint64_t bits = 0;
  int64_t offset = 0;
  std::vector<Operand> parts;
};

struct Variable {
  enum Space { Register, Shared, Global, Constant, Local, Param } space = Register;
  std::string name;
  Type type = Type::None;
  uint64_t bytes = 0; // of the whole array; 0 for `extern .shared x[]`
  unsigned align = 1;
  unsigned count = 0; // .reg %r<count>; 0: one register of this very name
  bool isExtern = false;
  std::vector<uint8_t> initial;                           // shorter than bytes: the rest is zero
  std::vector<std::pair<uint64_t, std::string>> pointers; // (offset, name of a variable) whose 8-byte address stands there
  unsigned line = 0;
};

struct Statement {
  enum Kind { Instruction, Label, Declaration, Targets, ScopeBegin, ScopeEnd } kind = Instruction;
  std::string name; // opcode up to the first dot, or the label
  std::vector<std::string_view> modifiers;
  std::string guard;
  bool guardNegated = false;
  std::vector<Operand> operands;            // of Targets: the labels
  std::shared_ptr<const Variable> variable; // of Declaration
  std::string_view text;                    // as it stands in the source
  unsigned line = 0;
  bool planted = false; // carries a planted bug (Plant.h)

  bool has(std::string_view modifier) const {
    for (std::string_view one : modifiers)
      if (one == modifier)
        return true;
    return false;
  }
};

struct Function {
  std::string name;
  bool isEntry = false, isDefined = false;
  bool hasShared = false; // declares shared variables in its body
  std::vector<Variable> results, params;
  unsigned maxThreads = 0;          // .maxntid, product; 0: none
  unsigned required[3] = {0, 0, 0}; // .reqntid
  unsigned cluster[3] = {1, 1, 1};  // .reqnctapercluster
  unsigned minBlocks = 1;           // .minnctapersm
  std::vector<Statement> body;
  size_t bodyBegin = 0; // in the source, behind the brace
  unsigned line = 0, bodyLine = 0;
};

struct Syntax {
  std::shared_ptr<const std::string> source; // which statements point into
  unsigned version = 0;                      // 10 * major + minor
  unsigned target = 0;                       // 90 for sm_90
  bool archSpecific = false;                 // sm_90a
  std::vector<Variable> variables;
  std::vector<Function> functions;
};

enum class Bodies { Now, Later };

/// Throws PtxError. Functions whose bodies are left for later have none.
Syntax parsePtx(std::string source, Bodies bodies = Bodies::Now);
/// The body of a function of `syntax` that was left for later. Throws PtxError.
void parseBody(const Syntax &syntax, Function &function);
/// The text of a statement with one blank for several, as messages have it.
std::string squeezed(std::string_view text);

} // namespace emulator

#endif // EMULATOR_SYNTAX_H
