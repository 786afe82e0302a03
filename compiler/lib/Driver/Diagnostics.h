//===- Diagnostics.h - what MLIR has to say, as lines for people -------------------------------------------------===//

#ifndef SM1C_LIB_DRIVER_DIAGNOSTICS_H
#define SM1C_LIB_DRIVER_DIAGNOSTICS_H

#include "sm1c/Compile.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"

#include <string>

namespace sm1 {

/// "file:line:column", from the first place in `loc` that has one; "" when none has.
std::string placeOf(mlir::Location loc);

/// Reports errors and warnings of a context as "file:line:column: error: ...", notes after them, as long as it lives.
class DiagnosticLines {
public:
  DiagnosticLines(mlir::MLIRContext &context, const Report &report);

  bool sawError() const { return errors > 0; }

private:
  void print(mlir::Diagnostic &diagnostic);

  const Report &report;
  int errors = 0;
  mlir::ScopedDiagnosticHandler handler;
};

/// Makes fusion passes report what they did and did not do.
llvm::LogicalResult reportRemarks(mlir::MLIRContext &context, const Report &report);

} // namespace sm1

#endif // SM1C_LIB_DRIVER_DIAGNOSTICS_H
