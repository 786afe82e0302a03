//===- StreamSlices.h - what is added to a tile's sums, brought to shared memory by the copy engine -----------------===//

#ifndef SM1C_LOWERING_GPU_STREAMSLICES_H
#define SM1C_LOWERING_GPU_STREAMSLICES_H

#include "BlockKernel.h"

namespace sm1 {

/// Of blocks that go on from tile to tile, two at once: rows of a stream in f32 that what follows the sums reads, slices of 8 of a
/// warp's rows one after another, and the tile's part of a parameter. Registers full of sums have room for few loads at a time, and
/// lanes ask for bulk copies one after another: warps of the warpgroup that copies do so, one for each part of the panels, as soon
/// as what lay there has been read. A warp of the one tile's warpgroup shares its places with that of the other's.
class StreamSlices {
public:
  static constexpr int64_t rowsOfSlice = 8;

  /// Takes shared memory where it fits beside `used` bytes.
  StreamSlices(BlockKernel &block, int64_t panels, int64_t used);
  bool areThere() const { return bool(stream); }
  void place();
  /// By the first thread.
  void makeBarriers();
  /// Parts of a slice, and where the panels of `part` begin; behind the last one, their number.
  int64_t parts() const { return panels > 1 ? 2 : 1; }
  int64_t firstPanelOf(int64_t part) const { return part == 0 ? 0 : part < parts() ? (panels + 1) / 2 : panels; }
  /// By a warp that copies: `part` of slice `number` of a tile for all four warps that read, 8 rows from what `firstRowOf` says of
  /// a warp on, the tile's channels from panel `firstPanel` on.
  void copy(llvm::function_ref<mlir::Value(mlir::Value)> firstRowOf, mlir::Value firstPanel, int64_t number, int64_t part);
  /// By a warp of warpgroup `turn`, when the other's has read its last slice of the tile before, `index` of the block's: those that
  /// follow are its.
  void take(mlir::Value turn, mlir::Value index);
  /// By that warp: `body` reads panels `first` to `end`, one part after the other, of slice `number` of the tile. Behind `isLast`,
  /// the last of them, the other's warp may take its own.
  void read(mlir::Value turn, int64_t number, bool isLast, llvm::function_ref<void(int64_t first, int64_t end)> body);
  /// In there: lets `evaluator`, of one row of `count` panels from `first` on, have them.
  void give(TileEvaluator &evaluator, int64_t first, int64_t count);

private:
  int64_t bytes() const;
  int64_t panelsOf(int64_t part) const { return firstPanelOf(part + 1) - firstPanelOf(part); }
  /// Rows lie an odd number of panels apart, so that the eight lanes which are served together, four to a row, take all banks.
  int64_t stride(int64_t part) const { return (panelsOf(part) | 1) * panelWidth; }
  mlir::Value warp();
  mlir::Value lane();
  /// Of a warp's `number`-th barrier.
  mlir::Value barrierAt(mlir::Value warp, int64_t number);
  mlir::Value readAt(mlir::Value turn);
  /// The part's panels of `array`, from byte `from` on, to row `row` of a warp's place.
  void copyRow(mlir::Value array, mlir::Value place, int64_t part, mlir::Value from, mlir::Value warp, mlir::Value row,
               mlir::Value barrier);

  BlockKernel &block;
  int64_t panels;
  mlir::BlockArgument stream, param; ///< null where there is none, or no room
  /// By parts: [warp][row][channel].
  llvm::SmallVector<mlir::Value, 2> places, paramPlaces;
  mlir::Value barriers;
};

} // namespace sm1

#endif // SM1C_LOWERING_GPU_STREAMSLICES_H
