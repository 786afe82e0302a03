//===- Observer.h - who looks on while a description is compiled --------------------------------------------------===//
//
// A compilation says what it has at every stage; --dump-stages writes that to files, --diff-stage compares it, the report shows it.

#ifndef SM1C_LIB_DRIVER_OBSERVER_H
#define SM1C_LIB_DRIVER_OBSERVER_H

#include "sm1c/Compile.h"
#include "sm1c/Stages.h"
#include "sm1c/Token.h"

#include "mlir/IR/BuiltinOps.h"

namespace sm1 {

/// One text on the way, and what it is of.
struct StageText {
  llvm::StringRef name; ///< as emitNames() has it
  const Target *target; ///< null where it is of all
  Entry entry;          ///< Both where it is of all
  const std::string &text;
};

class Observer {
public:
  virtual ~Observer() = default;
  /// True for somebody who wants to look only: no package and no text is written.
  virtual bool takesOutput() const { return false; }
  virtual void onText(const StageText &text) = 0;
  /// A module that has just reached a stage; to be read and not kept.
  virtual void onModule(mlir::ModuleOp, Stage, const Target *, Entry) {}
  /// The launch for whole tokens of a GPU's program; to be read and not kept.
  virtual void onToken(const TokenKernel &, const Target *) {}
  /// The passes that led there, as text.
  virtual void onPipeline(llvm::StringRef, Stage, const Target *, Entry) {}
};

/// compile(), with somebody who sees every text.
bool compile(const CompileRequest &request, const Report &report, Observer *observer);

} // namespace sm1

#endif // SM1C_LIB_DRIVER_OBSERVER_H
