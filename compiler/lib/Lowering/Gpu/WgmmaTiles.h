//===- WgmmaTiles.h - a block's tiles on the tensor cores of a warpgroup (sm_90a) -----------------------------------===//
//
// Shared by the two ways in which blocks take tiles: one each (WgmmaTilesForm.cpp), or on from tile to tile (WgmmaWalk.cpp).

#ifndef SM1C_LOWERING_GPU_WGMMATILES_H
#define SM1C_LOWERING_GPU_WGMMATILES_H

#include "../../Transforms/BlockForms.h"
#include "../../Transforms/KernelMerge.h"
#include "ClusterSums.h"
#include "EarlyInputs.h"
#include "NormHalves.h"
#include "StreamSlices.h"
#include "TensorTiles.h"
#include "TileScan.h"

namespace sm1 {

/// Builds a block of the form wgmma_tiles: what every way has in common, and what walks.
class WgmmaTilesBuilder {
public:
  WgmmaTilesBuilder(BlockKernel &block)
      : block(block), builder(block.builder), loc(block.loc), all(block.projections().front()),
        linears(llvm::ArrayRef(all).take_front(projectionsOfBlock(block.kernel))), warpgroupRows(block.schedule.getRowTile()),
        rows(block.schedule.getRowSplit()), sharers(panelGroups(block.schedule)), panels(block.schedule.getPanelSplit() / sharers),
        stages(block.schedule.getStages()), x(linears.front().getX().getType()), sliceDepth(wgmmaSliceDepth(x)),
        slices(wgmmaSlices(block.schedule, x, block.kernel->hasAttr(wideStepsAttr))),
        steps(llvm::divideCeil(channels(x), slices * sliceDepth)), rowBytes(slices * lineBytes),
        projectionBytes(panels * panelWidth * lineBytes), groupBytes(int64_t(linears.size()) * projectionBytes),
        sliceWeightBytes(sharers * groupBytes), stageRowBytes(rows * rowBytes), stageWeightBytes(slices * sliceWeightBytes),
        walks(walksTiles(block.schedule)), atOnce(walks ? tilesAtOnce(block.schedule) : 1),
        cluster(block, steps, int64_t(linears.size()), panels), early(block),
        slicesOfStream(block, panels,
                       atOnce == 2 && !isPart() ? stages * (stageRowBytes + stageWeightBytes + 2 * barrierBytes) : INT32_MAX) {
    steps = cluster.mostSteps();
  }
  void build();

private:
  /// Rows of an instruction, and its most columns; neighbouring channels of a thread.
  static constexpr int64_t rowsOfProduct = 64, mostColumns = 256, group = panelWidth / 4;
  /// Of a slice each row and each channel has so many bytes.
  static constexpr int64_t lineBytes = 64, barrierBytes = 8;
  /// Registers of a multiprocessor and of a thread. Shared memory that a block takes where a second one is to fit.
  static constexpr int64_t allRegisters = 64 << 10, mostRegisters = 255, halfOfShared = 113 << 10;
  /// Tiles side by side of kernels whose blocks may have one tile each: with more than these a run of so few rows has another
  /// program.
  static constexpr int64_t mostAcross = 8;
  /// Steps whose products may be under way while a later one is started: their stages are not written.
  static constexpr int64_t stepsInUse = 2;

  void place();
  mlir::Value shareOfTile();
  TilePlace placeOfShare(TilePlace tile);
  void takeTile(TilePlace tile);
  /// `isAlone`, of blocks that walk: whether they have one tile each.
  void makeBarriers(mlir::Value isAlone = {});
  /// Bytes of a stage in shared memory.
  mlir::Value sharedAt(mlir::Value stages, mlir::Value stage, int64_t stageBytes, int64_t offset = 0);
  mlir::Value barrierAt(mlir::Value stage) { return sharedAt(barriers, stage, barrierBytes); }
  /// Of blocks that walk: where warps say that the stage may be written.
  mlir::Value freeAt(mlir::Value stage) { return sharedAt(barriers, stage, barrierBytes, stages * barrierBytes); }
  /// Where those of a tile say that all of its bytes are there; one for each of the tiles at once.
  mlir::Value turnAt(mlir::Value turn) { return sharedAt(barriers, turn, barrierBytes, 2 * stages * barrierBytes); }
  void whenFirst(llvm::function_ref<void()> body) { block.when(isEqual(block.thread, 0), body); }
  /// By the first thread: the copies of step `step` to stage `stage`, of so many slices of weights.
  void copyWeights(mlir::Value step, mlir::Value stage, int64_t there);
  void copyWeights(mlir::Value step, mlir::Value stage) { copyWeights(step, stage, slices); }
  void copyRows(mlir::Value step, mlir::Value stage);
  /// Zeros for the rows of all stages that no box has, which are multiplied for nobody.
  void clearOtherRows();
  void startFirstStages();
  /// Whether what follows the sums reads has room in registers beside them.
  bool takesInputsEarly() const;
  /// Of a block's only tile: whether the rows that are added to its sums have room beside them before the last products.
  bool takesRowsEarly() const;
  void loadInputs(void (EarlyInputs::*load)(size_t, Tile));
  /// Steps `begin` to `end`; `copies` says that they start the copies of later ones. `carried`: the sums, stage and parity.
  void sumSteps(int64_t begin, mlir::Value end, bool copies, llvm::SmallVector<mlir::Value> &carried);
  void multiplyStage(mlir::Value stage, llvm::SmallVector<mlir::Value> &sums, int64_t there);
  llvm::SmallVector<mlir::Value> sum();
  /// Of a cluster's block: the sums of what it finishes, `panels` from `firstPanel` on, the first of a thread's two rows.
  llvm::SmallVector<mlir::Value> exchange(llvm::ArrayRef<mlir::Value> sums);
  /// The stage and the parity behind those, as `carried` has them at its end.
  void goOn(mlir::Value stage, mlir::Value parity, llvm::SmallVector<mlir::Value> &carried);
  void walk();
  void copyTiles(mlir::Value tiles);
  void multiplyTiles(mlir::Value tiles);
  void scanOrMultiply(mlir::Value tiles);
  void multiplyOneTile(mlir::Value tiles);
  void copyStep(mlir::Value step, int64_t there, llvm::SmallVector<mlir::Value> &place);
  void fetchRows(mlir::Value step, mlir::Value isLast);
  llvm::SmallVector<mlir::Value> sumTile(mlir::Value index);
  void multiplyStep(llvm::SmallVector<mlir::Value> &carried, int64_t there, bool isFirst, bool isLast = false);
  void arriveWarp(mlir::Value barrier);
  void waitForTurn(mlir::Value index);
  mlir::Value stageBefore(mlir::Value stage);
  void takeTileAt(mlir::Value index, bool inputsAreThere = true);
  bool isPart() const { return linears.size() < all.size(); }
  /// What `of` says of `linear`; of the block's own where it has one of several.
  mlir::Value ofBlock(LinearOp linear, llvm::function_ref<mlir::Value(LinearOp)> of);
  mlir::Value rowOf(int64_t part, int64_t half);
  int64_t panelsOfBlock() const { return sharers * panels; }
  /// The first panel of the warpgroup's own.
  mlir::Value panelOfGroup() { return sharers > 1 ? block.add(firstPanel, block.mul(warpgroup, panels)) : firstPanel; }
  /// `count` panels from `first` on of a row.
  Tile tileOf(mlir::Value row, mlir::Value first, int64_t count);
  void finish(llvm::ArrayRef<mlir::Value> sums);
  llvm::SmallVector<mlir::Value> finishRow(llvm::ArrayRef<mlir::Value> sums, int64_t part, int64_t half, int64_t first, int64_t end,
                                           mlir::Value row, llvm::SmallVector<mlir::Value> all, int64_t &left);
  void storeSums(TileEvaluator &evaluator);
  /// What a thread has of the sums of `linear` for a panel of one of two rows.
  mlir::Value sumsOf(llvm::ArrayRef<mlir::Value> sums, size_t linear, int64_t part, int64_t half, int64_t panel);
  /// What the thread has of the squares that are stored, by panel.
  llvm::SmallVector<mlir::Value> finishPanels(llvm::ArrayRef<mlir::Value> sums, int64_t part, int64_t half, int64_t first,
                                              int64_t count, mlir::Value row);
  void storeSquares(llvm::ArrayRef<mlir::Value> squares, mlir::Value row);
  /// Whether tiles are chunks of a sequence that end in a scan; WgmmaScan.cpp.
  bool hasScan() const { return hasScanGroup(block.schedule); }
  /// What the warpgroups that multiply leave in shared memory for the one that scans: where it is there, and where it may be
  /// written.
  mlir::Value leftAt() { return sharedAt(barriers, block.constant(0), barrierBytes, (2 * stages + turns()) * barrierBytes); }
  mlir::Value takenAt() { return sharedAt(barriers, block.constant(1), barrierBytes, (2 * stages + turns()) * barrierBytes); }
  /// The parity of the phase of tile `index` at such a barrier, or of the tile before.
  mlir::Value parityOf(mlir::Value index, bool before = false);
  /// By those that multiply.
  void leaveSums(mlir::Value index, llvm::ArrayRef<mlir::Value> sums);
  /// Of blocks that walk: what sm1.rms_scale multiplies the thread's rows with, and what that is made of.
  void askForSquares();
  void takeFactors();
  void scale(TileEvaluator &evaluator, size_t number, int64_t count, llvm::SmallVector<mlir::Operation *> &ops);
  /// Numbers of a thread's row of the squares that are stored: for each of the first `panels`, or one.
  int64_t numbersOfRow(int64_t panels) const;
  /// Channels of all projections, which lie side by side in a stage, are columns of as few instructions as take them: each reads
  /// its rows from shared memory again.
  int64_t columns() const { return int64_t(linears.size()) * panels * panelWidth; }
  int64_t productsAcross() const { return llvm::divideCeil(columns(), mostColumns); }
  int64_t sumsOfProduct() const { return columns() / productsAcross() / 2; }
  /// Sums of a thread: [64 rows][projection][panel][8 columns][row, row + 8][column, column + 1].
  int64_t sumIndex(int64_t part, size_t linear) const { return (part * linears.size() + linear) * panels * panelWidth / 2; }
  int64_t parts() const { return warpgroupRows / rowsOfProduct; }
  /// Rows that a thread finishes of each part.
  int64_t halves() const { return cluster.isThere() ? 1 : 2; }
  /// Steps whose copies are started before the first product. Where all have stages of their own nothing is written over. Blocks
  /// that walk have the last one, which may be shorter, behind the others.
  int64_t firstSteps() const { return walks ? std::min(stages, steps - 1) : steps <= stages ? steps : stages - stepsInUse; }
  /// Of a thread that multiplies.
  int64_t registers() const {
    if (walks)
      return registersOfWalk(block.schedule);
    int64_t blocks = stages * (stageRowBytes + stageWeightBytes) > halfOfShared ? 1 : 2;
    return std::min(mostRegisters, allRegisters / (blocks * block.schedule.getThreads()));
  }
  /// Tiles that warpgroups take in turn; 0 where all share one.
  int64_t turns() const { return atOnce > 1 ? atOnce : 0; }
  int64_t groupsOfTile() const { return rows / warpgroupRows; }
  /// Whether what is added to the sums comes in slices; not where warpgroups finish one tile at the same time.
  bool takesSlices() const { return turns() == 2 && groupsOfTile() == 1 && slicesOfStream.areThere(); }
  /// By warps of the warpgroup that copies.
  void copySlices(mlir::Value tiles);
  /// Whether the warpgroups can share a tile where there is no second one.
  bool mayShareTile() const {
    return atOnce > 1 && warpgroupRows % (atOnce * rowsOfProduct) == 0 && panelsOfBlocks(block.kernel) / panels <= mostAcross;
  }
  /// Slices of the last step.
  int64_t lastSlices() const { return slicesOfWgmma(x) - (steps - 1) * slices; }
  mlir::Value number32(int64_t value) { return mlir::arith::ConstantIntOp::create(builder, loc, value, 32); }
  mlir::Value isEqual(mlir::Value a, int64_t b) {
    return mlir::arith::CmpIOp::create(builder, loc, mlir::arith::CmpIPredicate::eq, a, block.constant(b));
  }

  BlockKernel &block;
  mlir::OpBuilder &builder;
  mlir::Location loc;
  llvm::SmallVector<LinearOp> all, linears; ///< the kernel's projections, and those of a block: all, or any one of them
  int64_t warpgroupRows, rows;
  int64_t sharers; ///< warpgroups that share the panels of the block
  int64_t panels;  ///< of a warpgroup
  int64_t stages;
  mlir::Type x; ///< what is multiplied
  int64_t sliceDepth, slices, steps, rowBytes, projectionBytes, groupBytes, sliceWeightBytes, stageRowBytes, stageWeightBytes;
  bool walks;
  int64_t atOnce; ///< tiles of a block at the same time
  ClusterSums cluster;
  EarlyInputs early;            ///< by rows of a thread
  StreamSlices slicesOfStream;  ///< of blocks that walk
  std::optional<TileScan> scan; ///< of tiles that end in one
  mlir::Value firstRow, firstPanel, warpgroup, warp, lane;
  struct {
    mlir::Value segment, number;                 ///< in the segment, which ends at block.count
  } chunk;                                       ///< where tiles are chunks
  mlir::Value boxRows;                           ///< of a tile, where they may be fewer than `rows`
  mlir::Value own;                               ///< number of the block's projection, where it has one of several
  mlir::Value rowStages, weightStages, barriers; ///< in bytes
  mlir::Value turn;                              ///< of blocks that walk: which of the tiles at once the warpgroup has
  LaneSquares laneSquares;                       ///< of blocks that walk, and by these a factor of each row of the thread
  llvm::SmallDenseMap<mlir::Value, llvm::SmallVector<mlir::Value>> factors;
};

} // namespace sm1

#endif // SM1C_LOWERING_GPU_WGMMATILES_H
