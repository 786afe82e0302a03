//===- Import.h - checkpoint directories as descriptions ---------------------------------------------------------===//
//
// A checkpoint directory is a description too: its config.json stands for a model, which is written here as the MLIR text that
// `--emit=spec` prints and that compiles by itself. Weights are not read; a directory with config.json alone is enough.

#ifndef SM1C_IMPORT_H
#define SM1C_IMPORT_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <string>

namespace sm1 {

/// config.json of `model_type` "sm1", with defaults filled in and every size within limits.
struct Sm1Config {
  int64_t vocabSize = 0, dModel = 0, nLayers = 0;
  int64_t dConv = 4, expand = 2;
  /// Default: 2.667 times dModel, cut to an integer, then up to a multiple of 64.
  int64_t dFf = 0;
  /// Decimal text of a positive f32, in the form that MLIR reads: "1.0e-06".
  std::string rmsNormEps = "1.0e-06";
  /// How the checkpoint stores its matrices, from `torch_dtype`: "f32", "bf16" or "f16".
  std::string storage = "f32";

  int64_t dInner() const { return expand * dModel; }
  int64_t parameters() const;
};

/// Reads DIRECTORY/config.json. The error says which field is missing, has the wrong type or is out of range, and what is allowed.
llvm::Expected<Sm1Config> readConfig(llvm::StringRef directory);

/// The model of `config` as MLIR text: one sm1.model @sm1 from tokens and states "h", "conv" to selected logits and states.
std::string sm1Spec(const Sm1Config &config);

/// readConfig and sm1Spec in one.
llvm::Expected<std::string> importConfig(llvm::StringRef directory);

} // namespace sm1

#endif // SM1C_IMPORT_H
