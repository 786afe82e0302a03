//===- Import.h - checkpoint directories as descriptions ---------------------------------------------------------===//
//
// A checkpoint directory is a description too: its config.json stands for a model, which is written here as the MLIR text that
// `--emit=spec` prints and that compiles by itself. Weights are not read; a directory with config.json alone is enough.

#ifndef SM1C_IMPORT_H
#define SM1C_IMPORT_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>

namespace sm1 {

/// What a config.json stands for.
struct ImportedModel {
  /// One sm1.model from tokens and states "h", "conv" to selected logits and states.
  std::string text;
  /// How the checkpoint stores its matrices: "f32", "bf16" or "f16".
  std::string storage;
};

/// Reads DIRECTORY/config.json; `model_type` says which model it is. The error says which field is missing, has the wrong type or is
/// out of range, and what is allowed.
llvm::Expected<ImportedModel> importConfig(llvm::StringRef directory);

} // namespace sm1

#endif // SM1C_IMPORT_H
