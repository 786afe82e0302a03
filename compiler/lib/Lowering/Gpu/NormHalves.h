//===- NormHalves.h - halves of norms in tiles on tensor cores ---------------------------------------------------===//

#ifndef SM1C_LOWERING_GPU_NORMHALVES_H
#define SM1C_LOWERING_GPU_NORMHALVES_H

#include "BlockKernel.h"

#include "sm1/IR/Sm1NormHalves.h"

namespace sm1 {

/// On sm1.panel_squares and sm1.rms_scale of a step: so many numbers of a row's squares, not one for each panel.
inline constexpr llvm::StringLiteral tileSquaresAttr = "tile_squares";

/// What sm1.rms_scale multiplies a block's rows with, `rows` from `firstRow` on. Threads ask for the squares when this is made, and
/// have them in registers while the block multiplies.
class RowFactors {
public:
  RowFactors(BlockKernel &block, mlir::Value firstRow, int64_t rows);
  /// Makes the factors and puts them into shared memory, where sm1.rms_scale finds them behind a barrier. False if there are none.
  /// Whole warps have to come here.
  bool store();
  /// Numbers of each thread that lie in registers until then.
  int64_t registers() const;

private:
  /// Of one row: vectors of squares of this thread, and those that are left over at the row's end, which all its threads have.
  struct Squares {
    mlir::Value row; ///< in the block
    llvm::SmallVector<mlir::Value> vectors, others;
  };
  Squares load(RmsScaleOp scale, int64_t round);
  mlir::Value inverseRms(RmsScaleOp scale, const Squares &squares);

  BlockKernel &block;
  mlir::Value firstRow;
  int64_t rows, lanes; ///< threads of a row
  /// For each array of squares one op that scales with them, and the squares of all rows of this thread.
  llvm::SmallVector<std::pair<RmsScaleOp, llvm::SmallVector<Squares>>> loaded;
};

/// The same for blocks that go on from tile to tile: a lane asks for the squares of some rows of its warp, `rows`, before the
/// tile's last products, and has their factors behind them. By what scales, for each of the rows.
using LaneSquares = llvm::SmallVector<std::pair<RmsScaleOp, llvm::SmallVector<mlir::Value>>>;
LaneSquares squaresOfLane(BlockKernel &block, mlir::ValueRange rows);
llvm::SmallVector<mlir::Value> factorsOfLane(BlockKernel &block, RmsScaleOp scale, mlir::ValueRange squares);

/// The squares that the kernel stores; null where it stores none.
PanelSquaresOp storedSquares(KernelOp kernel);

/// Runs `body`, which makes `count` numbers (f32), where `condition` holds; elsewhere they are zeros.
llvm::SmallVector<mlir::Value> numbersWhen(BlockKernel &block, mlir::Value condition, int64_t count,
                                           llvm::function_ref<llvm::SmallVector<mlir::Value>()> body);

/// Numbers that are stored of a row's squares for each tile, not for each panel; 0 where they are not.
int64_t partsOfRow(KernelOp kernel);

/// Adds up what lanes `distances` apart have of the squares of a panel, and stores the sum from the one for which `isFirst` holds.
/// Whole warps have to come here.
void storeSquares(BlockKernel &block, mlir::Value sum, llvm::ArrayRef<int32_t> distances, mlir::Value isFirst, mlir::Value row,
                  mlir::Value panel);

/// Behind the numbers of `tiles` tiles a row has zeros; where `condition` holds they are stored.
void storeZeros(BlockKernel &block, mlir::Value condition, mlir::Value row, int64_t tiles);

} // namespace sm1

#endif // SM1C_LOWERING_GPU_NORMHALVES_H
