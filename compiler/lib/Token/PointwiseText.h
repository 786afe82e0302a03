//===- PointwiseText.h - what is computed channel by channel between the phases of a token -------------------------===//

#ifndef SM1C_TOKEN_POINTWISETEXT_H
#define SM1C_TOKEN_POINTWISETEXT_H

#include "../Cuda/SourceNames.h"
#include "TokenProgram.h"

#include "llvm/ADT/StringSet.h"

namespace sm1 {

/// Parameters of channels in the order in which the kernel has them in memory.
class TokenVectors {
public:
  /// Offset of a parameter in f32, the first layer's; one that is new comes last.
  int64_t offsetOf(ParamOp param);
  /// Its number in the list.
  int64_t numberOf(ParamOp param);
  llvm::ArrayRef<ParamOp> list() const { return params; }
  /// Rows of channels that a parameter has, of all layers.
  static int64_t rowsOf(ParamOp param);

private:
  llvm::SmallVector<ParamOp> params;
  llvm::DenseMap<mlir::Operation *, int64_t> offsets;
  int64_t end = 0;
};

/// Prints Pointwise::run of kernels/token.cuh, a thread's way through one token: a line of C++ for each operation of the
/// description. What a phase needs and does not compute is loaded before it waits for the products; the next phase's vector is
/// published as soon as it is known.
class PointwiseText {
public:
  PointwiseText(TokenProgram program, TokenVectors &vectors, const SourceNames &names);
  std::string print();

private:
  void line(const llvm::Twine &content);
  void printPhase(unsigned index);
  void printLogits();
  /// Values from before phase `index` that its operations use.
  void prepare(unsigned index);
  /// An expression for `value`; lines that compute it come first.
  std::string use(mlir::Value value);
  void compute(mlir::Operation *op);
  std::string computeOf(mlir::Operation *op);
  void define(mlir::Value value, const llvm::Twine &expression, mlir::Operation *op);
  void sumEarlierTaps(Conv1dOp conv);
  std::string parameter(ParamOp param, mlir::Value like, int64_t row = 0);
  std::string state(mlir::Value argument, mlir::Value like, int64_t row = 0);
  void keepStates(unsigned index);
  void loadScales(TokenPhase &phase);
  std::string inverse(unsigned phase);
  std::string unique(const std::string &wanted);
  std::string origin(mlir::Operation *op) const;
  std::string partition(mlir::Value value) const { return std::to_string(program.partitionOf(value)); }
  bool isNeeded(mlir::Operation *op) const;

  TokenProgram program;
  TokenVectors &vectors;
  const SourceNames &names;
  std::string text;
  int depth = 2;
  llvm::DenseMap<mlir::Value, std::string> defined;
  llvm::DenseMap<mlir::Value, std::pair<std::string, std::string>>
      earlierTaps;                                                  ///< of a convolution: their sum, the weight of the last
  llvm::DenseMap<mlir::Value, llvm::SmallVector<std::string>> taps; ///< of a convolution, oldest first
  llvm::DenseMap<mlir::Operation *, std::string> scales;            ///< of a projection's row
  llvm::DenseMap<int, std::string> inverses;
  llvm::StringSet<> taken;
};

} // namespace sm1

#endif // SM1C_TOKEN_POINTWISETEXT_H
