//===- EarlyInputs.h - what follows a step's sums reads, asked for before the products ---------------------------===//
//
// A step's states are written by the step before it, and between two steps stands a kernel that begins when all before it have
// ended: so states, as parameters, are read while earlier kernels run. Rows are not: they come from kernels
// of the same step.

#ifndef SM1C_LOWERING_GPU_EARLYINPUTS_H
#define SM1C_LOWERING_GPU_EARLYINPUTS_H

#include "BlockKernel.h"

namespace sm1 {

/// Rows, states and parameters that a thread has in registers while its block multiplies: what follows waits for none of them.
class EarlyInputs {
public:
  explicit EarlyInputs(BlockKernel &block);
  /// Numbers (f32) of a thread that has `panels` times `lanes` channels of `rows` rows; 0 where nothing can be asked for early.
  int64_t registers(int64_t rows, int64_t panels, int64_t lanes) const;
  /// Those of rows alone.
  int64_t registersOfRows(int64_t rows, int64_t panels, int64_t lanes) const;
  /// Asks for what belongs to tile `number`, which has one row: before the wait for earlier kernels what they do not write,
  /// then the rest. Rows that are not there are read as the last one.
  void loadBeforeWait(size_t number, Tile tile);
  void load(size_t number, Tile tile);
  bool empty() const { return loaded.empty(); }
  /// Other tiles follow, for which nothing has been asked.
  void clear() { loaded.clear(); }
  /// Gives `evaluator`, of tile `number`, what has been loaded.
  void give(TileEvaluator &evaluator, size_t number) const;

private:
  using Vectors = llvm::SmallVector<mlir::Value>;
  void loadSome(size_t number, Tile tile, bool areRows);

  BlockKernel &block;
  /// By argument, how many numbers it has for each channel; with states and taps more than one.
  llvm::MapVector<mlir::Value, int64_t> inputs;
  llvm::SmallVector<llvm::MapVector<mlir::Value, Vectors>> loaded;
};

} // namespace sm1

#endif // SM1C_LOWERING_GPU_EARLYINPUTS_H
