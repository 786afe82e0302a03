//===- Token.h - one launch for a whole token, as CUDA C++ ---------------------------------------------------------===//

#ifndef SM1C_TOKEN_H
#define SM1C_TOKEN_H

#include "sm1/IR/Sm1.h"

#include "mlir/IR/OwningOpRef.h"

#include <memory>
#include <string>
#include <vector>

namespace sm1 {

/// A kernel that computes whole tokens, and what the runtime has to know of it. Parameters have the layouts that it reads, and
/// belong to `module`.
struct TokenKernel {
  struct Phase {
    int64_t width, partition;
    std::vector<ParamOp> matrices;             ///< "fragments"
    std::vector<ParamOp> scales;               ///< of matrices that are read as integers: "channels" of 8 bits, "rows" of 4
    std::vector<mlir::Operation *> operations; ///< of the description: its norm, its projections, and what follows for each channel
    std::string stem;                          ///< what a kernel of its first projection would be called
    mlir::Value vector;                        ///< what it reads
  };

  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::string text;                   ///< CUDA C++ that includes kernels/token.cuh
  int64_t layers, warps, words, bits; ///< `bits` of a weight, as the launch reads it
  ParamOp table;                      ///< "rows": the embedding
  std::vector<int64_t> partitions;
  std::vector<Phase> phases;       ///< of a layer, then that of the logits
  std::vector<ParamOp> vectors;    ///< "channels", in the order of their memory
  std::vector<std::string> states; ///< in the order of Launch::stateOffset
};

/// The kernel of the model in `module`, at Stage::Precise, which is used up; null with the reason in `why` if its step is not one
/// launch. `file` and `source` are the description, for names.
std::unique_ptr<TokenKernel> makeTokenKernel(mlir::OwningOpRef<mlir::ModuleOp> module, llvm::StringRef file, llvm::StringRef source,
                                             std::string &why);

} // namespace sm1

#endif // SM1C_TOKEN_H
