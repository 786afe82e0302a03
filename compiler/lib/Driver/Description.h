//===- Description.h - what a request compiles, and the defaults that follow from it -----------------------------===//

#ifndef SM1C_LIB_DRIVER_DESCRIPTION_H
#define SM1C_LIB_DRIVER_DESCRIPTION_H

#include "sm1c/Compile.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"

#include <string>

namespace sm1 {

struct Target;

/// A description as text, and the request's open questions answered.
struct Description {
  std::string text;
  /// Stands before line numbers in diagnostics.
  std::string name;
  /// The checkpoint to embed; empty: the package is external.
  std::string checkpoint;
  /// Why the package is external although nobody asked for it; empty otherwise.
  std::string note;
  /// "f32", "bf16", "f16".
  std::string storage;
};

/// Reads the model and settles params, weights and weightsIn.
llvm::Expected<Description> loadDescription(const CompileRequest &request);

/// The targets a request names, each once, in the table's order.
llvm::Expected<llvm::SmallVector<const Target *>> selectTargets(const CompileRequest &request);

/// Checks every option that is one of a few words.
llvm::Error checkChoices(const CompileRequest &request);

} // namespace sm1

#endif // SM1C_LIB_DRIVER_DESCRIPTION_H
