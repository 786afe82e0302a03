//===- EarlyInputs.h - what follows a step's sums reads, asked for before the products ---------------------------===//

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
  /// Asks for what belongs to `tile`, which has one row. Rows that are not there are read as the last one.
  void load(Tile tile);
  bool empty() const { return loaded.empty(); }
  /// Gives `evaluator`, of the tile of call `number` of load, what that has loaded.
  void give(TileEvaluator &evaluator, size_t number) const;

private:
  using Vectors = llvm::SmallVector<mlir::Value>;
  BlockKernel &block;
  /// By argument, how many numbers it has for each channel; with states and taps more than one.
  llvm::MapVector<mlir::Value, int64_t> inputs;
  llvm::SmallVector<llvm::MapVector<mlir::Value, Vectors>> loaded;
};

} // namespace sm1

#endif // SM1C_LOWERING_GPU_EARLYINPUTS_H
