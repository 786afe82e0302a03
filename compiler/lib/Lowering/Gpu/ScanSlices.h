//===- ScanSlices.h - what a block does before and after it walks a scan ------------------------------------------===//

#ifndef SM1C_LOWERING_GPU_SCANSLICES_H
#define SM1C_LOWERING_GPU_SCANSLICES_H

#include "BlockKernel.h"

namespace sm1 {

/// A kernel's operations, by their place around its scan.
struct ScanSlices {
  /// Read a tile ahead, so that memory works while the tile before is walked. Lookups, splits and what the scan itself reads are
  /// not among them.
  llvm::SmallVector<mlir::BlockArgument> streams;
  llvm::SmallVector<mlir::Operation *> before; ///< what the chain needs of each row: how much stays, and what comes in
  llvm::SmallVector<mlir::Operation *> after;  ///< everything else but `scan`
};

/// `kept` and `added`: what each step of `scan` takes from its row. `apart`: streams that the scan reads in a way of its own.
ScanSlices slicesAround(BlockKernel &block, mlir::Operation *scan, mlir::Value kept, mlir::Value added,
                        mlir::ValueRange apart = {});

/// First row of a segment, and the one behind its last.
std::pair<mlir::Value, mlir::Value> rowsOfSegment(BlockKernel &block, mlir::Value segment);
/// The state of a channel that a segment comes with.
mlir::Value initialState(BlockKernel &block, ScanOp scan, mlir::Value segment, mlir::Value channel);
/// Stores the state behind a segment's last row where the kernel yields it.
void storeLastState(BlockKernel &block, ScanOp scan, mlir::Value state, mlir::Value segment, mlir::Value channel);

} // namespace sm1

#endif // SM1C_LOWERING_GPU_SCANSLICES_H
