//===- TokenProgram.h - a model as phases, for one launch that computes a whole token -----------------------------===//
//
// Blocks of a GPU meet only where a projection needs a whole vector. So a step is a list of phases, each of them all projections
// that read one vector, with everything between two phases computed channel by channel by whoever owns the channel.
// kernels/token.cuh runs such lists.

#ifndef SM1C_TOKEN_TOKENPROGRAM_H
#define SM1C_TOKEN_TOKENPROGRAM_H

#include "sm1/IR/Sm1.h"

#include "llvm/ADT/DenseMap.h"

#include <string>

namespace sm1 {

/// The projections that read one vector.
struct TokenPhase {
  mlir::Value vector; ///< before the norm
  RmsNormOp norm;     ///< on the way into the projections; null: none
  llvm::SmallVector<LinearOp> linears;
  llvm::SmallVector<ParamOp> scales; ///< of each matrix, if it is read as integers
  int64_t width;                     ///< of the vector
  int64_t partition;                 ///< index of the projections' width in TokenProgram::partitions
};

/// A model whose step is one launch.
struct TokenProgram {
  ModelOp model;
  LayersOp layers;
  EmbeddingOp embedding;
  llvm::SmallVector<TokenPhase> phases;  ///< those of a layer, then one for the logits
  llvm::SmallVector<int64_t> partitions; ///< widths of what blocks share out
  int64_t warps;                         ///< that share the columns of each matrix
  int64_t bits = 16;                     ///< of a weight, as the launch reads it

  unsigned layerPhases() const { return phases.size() - 1; }
  int64_t partitionOf(mlir::Value value) const;
  /// The phase after which `value` of a layer is known, -1: before the first one.
  int rankOf(mlir::Value value) const { return ranks.lookup(value); }

  llvm::DenseMap<mlir::Value, int> ranks;
};

/// What is the same for every precision: the value that is rounded or widened.
mlir::Value unrounded(mlir::Value value);

/// Takes `model`, at Stage::Precise with compute bf16, apart. `why` says what keeps it from being one launch.
std::optional<TokenProgram> findTokenProgram(ModelOp model, std::string &why);

} // namespace sm1

#endif // SM1C_TOKEN_TOKENPROGRAM_H
