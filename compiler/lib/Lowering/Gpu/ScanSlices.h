//===- ScanSlices.h - what a block does before and after it walks a scan -------------------------------*- C++ -*-===//

#ifndef SM1_LOWERING_GPU_SCANSLICES_H
#define SM1_LOWERING_GPU_SCANSLICES_H

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

} // namespace sm1

#endif // SM1_LOWERING_GPU_SCANSLICES_H
