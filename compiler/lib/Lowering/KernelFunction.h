//===- KernelFunction.h - the function of one kernel on a CPU ----------------------------------------------------===//
//
// Three shapes of kernels: whole rows, for those with a norm of their own values; tiles of rows by panels, panels outside, for
// those with projections, and rows outside for all others; and in front of projections, if something is computed on the way into
// them, a pass that fills scratch rows.

#ifndef SM1C_LOWERING_KERNELFUNCTION_H
#define SM1C_LOWERING_KERNELFUNCTION_H

#include "../Transforms/KernelMerge.h"
#include "MatrixTiles.h"
#include "TileEvaluator.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace sm1 {

/// Why the schedule of a kernel, which has one for a CPU, does not suit it; empty if it does.
std::string whyNotTiles(KernelOp kernel);

/// Builds the function of one kernel: KernelToCpu.cpp, whole rows in RowKernels.cpp, tiles of projections in TileKernels.cpp.
class KernelFunction {
public:
  KernelFunction(mlir::OpBuilder &builder, KernelOp kernel, int64_t maddLanes)
      : builder(builder), loc(kernel.getLoc()), kernel(kernel) {
    buffers.maddLanes = maddLanes;
  }

  mlir::func::FuncOp build();
  int64_t scratchBytes() const { return scratchFloats * sizeof(float); }

private:
  using RowBody = llvm::function_ref<void(TileEvaluator &)>;

  void planScratch();
  ScratchRegion reserve(int64_t stride, int64_t count);
  void planPrologue(mlir::Value x);
  /// Scratch for sums that are made apart and for weights that are unpacked.
  void planProjections();
  void buildPrologue(mlir::Value x);
  void buildWholeRows();
  /// Rows and panels of the task that are covered in one way.
  struct Part {
    mlir::Value rowBegin, rowEnd, panelBegin, panelEnd;
  };
  void buildTiles();
  void buildBand(const Part &all);
  /// The part of `all` that fills blocks.
  Part buildMatrixBlocks(const Part &all);
  /// Whole blocks of `rows` rows of `part`; returns the end of the last.
  mlir::Value buildMatrixBlocks(const Part &part, int64_t rows);
  void buildMatrixPipeline(MatrixTiles &tiles, const Part &part, int64_t rows);
  /// Rows from the first of the task to the returned one, summed in passes, band by band.
  mlir::Value buildMatrixPasses(const Part &all);
  /// A group of panels of a band of rows, whose sums are made together: `turns` blocks of the schedule's rows. Groups take turns
  /// with two halves of the scratch.
  struct BandGroup {
    mlir::Value row, panel, turns, half;
  };
  /// Sums of `current` are made, if there is one, while what follows those of `before` is computed, in `pieces` of some rows that
  /// are spread over the `slots` of all passes.
  struct BandTurn {
    BandGroup current, before;
    mlir::Value multiplies, slots, pieces;
  };
  void buildMatrixBands(MatrixTiles &tiles, const Part &part);
  /// Pass number `index` of the turn, which is `unit`.
  void buildMatrixPass(MatrixTiles &tiles, const BandTurn &turn, const MatrixTiles::Unit &unit, mlir::Value index);
  /// What follows the sums of the group before, for one piece of its rows; the same rows of the current one are fetched.
  void buildMatrixPiece(MatrixTiles &tiles, const BandTurn &turn, mlir::Value piece);
  /// What follows the sums, for a few rows of a block from `inside` on; the same rows of `next` are fetched. `around`: of a tile.
  void buildMatrixRest(MatrixTiles &tiles, const MatrixTiles::Block &block, const MatrixTiles::Block &next, mlir::Value inside,
                       bool around);
  std::optional<HeldHalves> heldHalvesOf(const MatrixTiles::Block &block, mlir::Value inside);
  void buildPart(const Part &part);
  void buildPanels(const Part &part, int64_t panelsTogether, bool widens);
  void widen(mlir::Value panel, int64_t panels);
  void buildRowsOf(const Part &part, mlir::Value panel, int64_t panels);
  mlir::Value leaveSmallTiles(const Part &part, mlir::Value whole, int64_t rowTile);
  void buildStreams();
  void buildInvariants();
  /// SelectiveScan.cpp.
  void planSelectiveScan(SelectiveScanOp scan);
  void buildRates();
  void buildTile(Tile tile);
  void buildTileApart(Tile tile);
  void defineInvariants(TileEvaluator &evaluator, Tile tile);
  /// Evaluates `ops` for all panels of one row, and calls `done` for each group of panels with everything known. A norm among them
  /// takes two walks over the row; `beforeNorm` is called in the first, with what its input needs known.
  void buildRow(llvm::ArrayRef<mlir::Operation *> ops, mlir::Value row, int64_t width, RowBody beforeNorm, RowBody done);
  mlir::Value buildSquares(llvm::ArrayRef<mlir::Operation *> earlier, RmsNormOp norm, mlir::Value row, int64_t width,
                           RowBody beforeNorm);
  mlir::Value walkRow(int64_t width, mlir::Value carried,
                      llvm::function_ref<mlir::Value(mlir::Value panel, int64_t panels, mlir::Value carried)> body);
  mlir::Value inverseRms(RmsNormOp norm, mlir::Value squares);
  void storeResults(TileEvaluator &evaluator);

  mlir::Value add(mlir::Value a, mlir::Value b) { return mlir::arith::AddIOp::create(builder, loc, a, b); }
  mlir::Value subtract(mlir::Value a, mlir::Value b) { return mlir::arith::SubIOp::create(builder, loc, a, b); }
  mlir::Value multiply(mlir::Value a, mlir::Value b) { return mlir::arith::MulIOp::create(builder, loc, a, b); }
  mlir::Value divide(mlir::Value a, mlir::Value b) { return mlir::arith::DivUIOp::create(builder, loc, a, b); }
  mlir::Value remainder(mlir::Value a, mlir::Value b) { return mlir::arith::RemUIOp::create(builder, loc, a, b); }
  mlir::Value both(mlir::Value a, mlir::Value b) { return mlir::arith::AndIOp::create(builder, loc, a, b); }
  mlir::Value select(mlir::Value condition, mlir::Value yes, mlir::Value no) {
    return mlir::arith::SelectOp::create(builder, loc, condition, yes, no);
  }
  mlir::Value compare(mlir::arith::CmpIPredicate predicate, mlir::Value a, mlir::Value b) {
    return mlir::arith::CmpIOp::create(builder, loc, predicate, a, b);
  }
  /// Runs `body` where `condition` holds.
  void when(mlir::Value condition, llvm::function_ref<void()> body);
  mlir::Value constant(int64_t value) { return mlir::arith::ConstantIndexOp::create(builder, loc, value); }
  mlir::Value indexOf(ScratchRegion region, mlir::Value panel, int64_t n);
  void loop(mlir::Value begin, mlir::Value end, int64_t step, llvm::function_ref<void(mlir::Value)> body);

  mlir::OpBuilder &builder;
  mlir::Location loc;
  KernelOp kernel;
  KernelBuffers buffers;
  llvm::SmallVector<mlir::Operation *> mainOps;
  llvm::SmallVector<mlir::Value> prologues;
  /// What is computed from parameters alone, by panel of the task; loops over rows read it.
  llvm::SmallVector<std::pair<mlir::Value, ScratchRegion>> invariants;
  ScratchRegion normRow, quantisedRow, matrixSums;
  /// Half lines of results that wait for those of the next panel, row by row of a band; an array of `stride` for each result.
  ScratchRegion heldHalves;
  /// Sums of projections that are made apart, row by row of a tile.
  llvm::DenseMap<mlir::Value, ScratchRegion> apartSums;
  int64_t scratchFloats = 0;
};

/// The end of the last whole step of `step` between begin and end.
mlir::Value wholeEnd(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value begin, mlir::Value end, mlir::Value step);

} // namespace sm1

#endif // SM1C_LOWERING_KERNELFUNCTION_H
