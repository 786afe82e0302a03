//===- ClusterSums.h - sums whose k is divided among the blocks of a cluster -------------------------------------===//

#ifndef SM1C_LOWERING_GPU_CLUSTERSUMS_H
#define SM1C_LOWERING_GPU_CLUSTERSUMS_H

#include "BlockKernel.h"

#include <array>

namespace sm1 {

/// The part of a block of wgmma_tiles in a cluster of `depth_split` blocks with the same tile: some steps of k, and the part of the
/// tile that it finishes. A thread has four neighbouring channels of two rows of each panel; a block finishes one of both rows and
/// `panels` / (blocks / 2) panels.
class ClusterSums {
public:
  using Four = std::array<mlir::Value, 4>; ///< neighbouring channels of a row
  /// `steps` of k in all, `panels` of each of `projections` in the tile.
  ClusterSums(BlockKernel &block, int64_t steps, int64_t projections, int64_t panels);

  bool isThere() const { return blocks > 1; }
  /// Reads the block's number and takes its memory.
  void place();
  /// By the first thread, before its fence for other barriers.
  void makeBarrier();

  int64_t mostSteps() const { return llvm::divideCeil(allSteps, blocks); }
  mlir::Value steps(); ///< of this block
  /// Step `step` of this block among all.
  mlir::Value stepOf(mlir::Value step);
  /// Does `body` for the block's step number `step` if it has so many.
  void whenThere(int64_t step, llvm::function_ref<void()> body);
  /// Its share of work for `rows` rows from `firstRow` on.
  std::pair<mlir::Value, int64_t> shareOf(mlir::Value firstRow, int64_t rows);

  int64_t ownPanels() const { return isThere() ? panels / (blocks / 2) : panels; }
  mlir::Value ownPanel(); ///< the first one in the tile
  mlir::Value ownRow();   ///< 0 or 8: behind a thread's first row

  /// All but the last step's products are done: others may write where stages of the first steps lay.
  void arrive();
  /// Hands the others what they finish and adds up what they have of this block's part, in the order of their numbers. `sumsOf`
  /// says what a thread has. [projection][own panel]. The memory of stages is free but for the last step's.
  llvm::SmallVector<Four> exchange(llvm::function_ref<Four(int64_t projection, int64_t panel, int64_t half)> sumsOf);

private:
  /// Fours of a thread that a block finishes.
  int64_t ownFours() const { return projections * ownPanels(); }
  int64_t halfOf(int64_t number) const { return number / (blocks / 2); }
  int64_t panelOf(int64_t number) const { return number % (blocks / 2) * ownPanels(); }

  BlockKernel &block;
  int64_t blocks, allSteps, projections, panels;
  mlir::Value number, firstStep, endStep, barrier;
};

} // namespace sm1

#endif // SM1C_LOWERING_GPU_CLUSTERSUMS_H
