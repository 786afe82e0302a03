//===- NormHalves.h - halves of norms in tiles on tensor cores ---------------------------------------------------===//

#ifndef SM1C_LOWERING_GPU_NORMHALVES_H
#define SM1C_LOWERING_GPU_NORMHALVES_H

#include "BlockKernel.h"

#include "sm1/IR/Sm1NormHalves.h"

namespace sm1 {

/// What sm1.rms_scale multiplies the block's rows with, from `firstRow` on, to shared memory; a barrier has to follow.
void readRowFactors(BlockKernel &block, mlir::Value firstRow, int64_t rows);

/// The squares that the kernel stores; null where it stores none.
PanelSquaresOp storedSquares(KernelOp kernel);

/// Runs `body`, which makes `count` numbers (f32), where `condition` holds; elsewhere they are zeros.
llvm::SmallVector<mlir::Value> numbersWhen(BlockKernel &block, mlir::Value condition, int64_t count,
                                           llvm::function_ref<llvm::SmallVector<mlir::Value>()> body);

/// Adds up what lanes `distances` apart have of the squares of a panel, and stores the sum from the one for which `isFirst` holds.
/// Whole warps have to come here.
void storeSquares(BlockKernel &block, mlir::Value sum, llvm::ArrayRef<int32_t> distances, mlir::Value isFirst, mlir::Value row,
                  mlir::Value panel);

} // namespace sm1

#endif // SM1C_LOWERING_GPU_NORMHALVES_H
