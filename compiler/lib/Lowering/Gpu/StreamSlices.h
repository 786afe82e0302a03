//===- StreamSlices.h - what is added to a tile's sums, brought to shared memory by the copy engine -----------------===//

#ifndef SM1C_LOWERING_GPU_STREAMSLICES_H
#define SM1C_LOWERING_GPU_STREAMSLICES_H

#include "BlockKernel.h"

namespace sm1 {

/// Of blocks that go on from tile to tile, two at once: rows of a stream in f32 that what follows the sums reads, slices of 8 of a
/// warp's rows one after another, and the tile's part of a parameter. Registers full of sums have room for few loads at a time; a
/// slice waits for memory once. A warp of the one tile's warpgroup shares the place of a slice with that of the other's, which
/// multiplies meanwhile.
class StreamSlices {
public:
  static constexpr int64_t rowsOfSlice = 8;

  /// Takes shared memory where it fits beside `used` bytes.
  StreamSlices(BlockKernel &block, int64_t panels, int64_t used);
  bool areThere() const { return bool(stream); }
  void place();
  /// By the first thread.
  void makeBarriers();
  /// By a warp of warpgroup `turn`, when the other's has read its last slice of the tile before, `index` of the block's: those that
  /// follow are its.
  void take(mlir::Value turn, mlir::Value index);
  /// Starts copying 8 rows from `firstRow` on, of the tile's channels from panel `firstPanel` on; with the tile's first the
  /// parameter.
  void start(mlir::Value turn, mlir::Value firstRow, mlir::Value firstPanel, bool isFirst);
  /// Waits for slice `number` of a tile.
  void wait(mlir::Value turn, int64_t number);
  /// Lets `evaluator`, of one row of `count` panels from `first` on, read the slice.
  void give(TileEvaluator &evaluator, int64_t first, int64_t count);
  /// All lanes have read the slice; behind the tile's last one the other warp may have its place.
  void leave(mlir::Value turn, bool isLast);

private:
  /// Rows lie an odd number of panels apart, so that the eight lanes which are served together, four to a row, take all banks.
  int64_t stride() const { return (panels | 1) * panelWidth; }
  int64_t rowsOfPlace() const { return rowsOfSlice + (param ? 1 : 0); }
  mlir::Value warp();
  mlir::Value lane();
  mlir::Value barrierAt(mlir::Value turn, int64_t kind);
  void copyRow(mlir::Value array, mlir::Value from, mlir::Value barrier);

  BlockKernel &block;
  int64_t panels;
  mlir::BlockArgument stream, param; ///< null where there is none, or no room
  mlir::Value places, barriers;
};

} // namespace sm1

#endif // SM1C_LOWERING_GPU_STREAMSLICES_H
