//===- LinearScan.h - a scan of rows whose state before them is not known yet -------------------------------------===//
//
// Whoever scans rows of a segment from zero has each h of them as slope * state + constant, with the state before them. What
// follows h and is linear in it, as readouts and gates are, is computed in the same form; the rest waits for the state.

#ifndef SM1C_LOWERING_GPU_LINEARSCAN_H
#define SM1C_LOWERING_GPU_LINEARSCAN_H

#include "ScanSlices.h"

#include "llvm/ADT/MapVector.h"

namespace sm1 {

/// slope * state + constant, with the state before some rows.
struct LinearInState {
  mlir::Value slope, constant;
};
/// What `first` makes of a state and `then` of that.
LinearInState compose(BlockKernel &block, LinearInState first, LinearInState then);
/// `step` where `isThere`, else the state itself.
LinearInState stepWhere(BlockKernel &block, mlir::Value isThere, LinearInState step);

/// The operations of a kernel around its scan, by what of them can be done without the state.
class LinearScan {
public:
  LinearScan(BlockKernel &block, ScanOp scan);

  /// A row of a thread: what is computed of it, and what of that is linear in the state.
  struct Row {
    TileEvaluator evaluator;
    llvm::MapVector<mlir::Value, LinearInState> linear;
  };
  /// What is read of each row.
  llvm::ArrayRef<mlir::BlockArgument> streams() const { return slices.streams; }
  /// What the row makes of h before it.
  LinearInState step(Row &row);
  /// Computes of the row, given its h, all that needs no state.
  void follow(Row &row, LinearInState h);
  /// Computes and stores the rest, given the state.
  void finish(Row &row, mlir::Value state);

private:
  bool isLate(mlir::Operation *op) const { return llvm::is_contained(late, op); }
  /// What `op`, linear in h, makes of its operands in the row.
  LinearInState apply(mlir::Operation *op, Row &row);

  BlockKernel &block;
  ScanOp scan;
  ScanSlices slices;
  llvm::DenseSet<mlir::Value> linears;       ///< what is linear in h
  llvm::SmallVector<mlir::Operation *> late; ///< those that follow h and are neither linear in it nor independent of it
};

/// By a thread that has a channel: puts groups of rows, [group][channel] of products and sums in shared memory, a multiple of 8 of
/// them, together in order. They become those of all groups before each; returns those of all. Groups behind `lastGroup`, where it
/// is given, do not count.
LinearInState walkGroups(BlockKernel &block, mlir::Value products, mlir::Value sums, mlir::Value channel,
                         mlir::Value lastGroup = {});

} // namespace sm1

#endif // SM1C_LOWERING_GPU_LINEARSCAN_H
