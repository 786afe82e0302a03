//===- TensorTilesBuilder.h - a block's tiles by mma.sync ---------------------------------------------------------===//
//
// Shared by the two ways in which operands come: by asynchronous copies of all threads (TensorTilesForm.cpp), or by the copy engine
// (TensorTilesBoxes.cpp); and by what follows the sums (TensorTilesFinish.cpp).

#ifndef SM1C_LOWERING_GPU_TENSORTILESBUILDER_H
#define SM1C_LOWERING_GPU_TENSORTILESBUILDER_H

#include "../../Transforms/Boxes.h"
#include "../../Transforms/KernelMerge.h"
#include "TensorTiles.h"

namespace sm1 {

/// What a warp multiplies in a step is a slice: `lineBytes` of k, of one row chunks of 16 bytes, of one panel tiles of 32 bytes of
/// k with a chunk for each lane.
class TensorTilesBuilder {
public:
  TensorTilesBuilder(BlockKernel &block)
      : block(block), linears(block.projections().front()), threads(block.schedule.getThreads()),
        warpRows(block.schedule.getRowTile()), rows(block.schedule.getRowSplit()), panels(block.schedule.getPanelSplit()),
        stages(block.schedule.getStages()), slices(block.schedule.getDepthSplit()),
        warpPanels(panels * rows / warpRows / (threads / lanesOfWarp / slices)), group(warpPanels % 4 == 0   ? 4
                                                                                       : warpPanels % 2 == 0 ? 2
                                                                                                             : 1),
        tiles(warpRows / rowsOfTile), depth(channels(linears.front().getX().getType())),
        fp8(isFp8(linears.front().getX().getType())), boxes(block.kernel->hasAttr(boxesAttr)),
        lineBytes(boxes ? bytesOfBoxLine : 64), chunksPerRow(lineBytes / chunkBytes), sliceTiles(lineBytes / 32),
        numberBytes(fp8 ? 1 : 2), sliceDepth(lineBytes / numberBytes), steps(llvm::divideCeil(depth, slices * sliceDepth)),
        rowSliceBytes(rows * lineBytes), panelBytes(boxes ? bytesOfBoxPanel : sliceTiles * tileBytes),
        weightSliceBytes(int64_t(linears.size()) * panels * panelBytes) {}
  void build();

private:
  static constexpr int64_t chunkBytes = 16, rowsOfTile = 8, tileBytes = lanesOfWarp * chunkBytes;
  /// Blocks of so many rows are for runs that may not fill one. They copy nothing for a row that is not there; larger ones copy the
  /// last row again, which takes no register.
  static constexpr int64_t mostRowsOfFew = 64;

  using Fragment = std::array<mlir::Value, 4>;
  /// What a warp multiplies in one tile of k: the panels of all projections, pairs of tiles of rows.
  struct Operands {
    llvm::SmallVector<Fragment> weights, rows;
  };
  /// A stage and, where the copy engine fills it, the parity of the phase in which it does (i32).
  struct Place {
    mlir::Value stage, parity;
  };
  using StartCopies = llvm::function_ref<void()>;
  using StartOfStep = llvm::function_ref<void(mlir::Value step, Place place)>;

  void place();
  /// A copy of 16 bytes by each of `threads` threads: what is the same for every step. `from` and `to` are in bytes, `column` is
  /// the first k; where `isThere` is given and false, zeros are copied.
  struct Copy {
    mlir::Value array, from, to, column;
    int64_t threads;
    mlir::Value isThere = {};
  };
  mlir::Value swizzled(mlir::Value row, mlir::Value chunk);
  mlir::Value weightSlot(mlir::Value panel, mlir::Value lane);
  void planRowCopies();
  void planWeightCopies(size_t linear);
  /// `copy` in step `step`; what it copies past the end becomes zero.
  void startCopy(const Copy &copy, mlir::Value step, mlir::Value stage);
  /// Starts the copies of step `step` of k into stage `stage`, and makes them one group.
  void startStage(mlir::Value step, mlir::Value stage);
  /// Starts those of the first steps: of all weights, which wait for no kernel, then a group for each step.
  void startFirstStages();
  Operands readOperands(mlir::Value stage, int64_t k);
  /// Of fragments `begin` to `end` of weights.
  void multiply(const Operands &operands, llvm::SmallVector<mlir::Value> &sums, size_t begin, size_t end);
  void multiply(const Operands &operands, llvm::SmallVector<mlir::Value> &sums) {
    multiply(operands, sums, 0, operands.weights.size());
  }
  /// One step of k. Its first operands are there; `ahead` says that there is a next step, whose first are read and returned.
  Operands multiplyStage(Operands operands, Place place, llvm::SmallVector<mlir::Value> &sums, bool ahead, StartCopies startCopies);
  llvm::SmallVector<mlir::Value> sum();
  /// Steps `begin` to `end`, before the last, each of which starts copies of later ones by `start`.
  void sumSteps(int64_t begin, int64_t end, StartOfStep start, Operands &operands, Place &place,
                llvm::SmallVector<mlir::Value> &sums);
  Place nextPlace(Place place);
  /// The stage that the step before has read, in the phase in which it did.
  Place placeBefore(Place place);

  /// By the copy engine.
  mlir::Value fullAt(mlir::Value stage) { return barrierAt(stage, 0); }
  mlir::Value freeAt(mlir::Value stage) { return barrierAt(stage, stages); }
  mlir::Value barrierAt(mlir::Value stage, int64_t first);
  void makeBarriers();
  void copyWeightsOfStep(mlir::Value step, mlir::Value stage);
  void copyRowsOfStep(mlir::Value step, mlir::Value stage);
  void startFirstBoxes();
  void whenAsking(mlir::Value step, llvm::function_ref<void()> body);
  void startBox(mlir::Value step, Place free);
  Operands multiplyBox(Operands operands, Place place, llvm::SmallVector<mlir::Value> &sums, bool ahead, StartCopies startCopies);
  /// Of the last step, whose weights have zeros behind the last tile of k.
  int64_t tilesOfLastStep() const { return fragmentTiles(llvm::divideCeil(depth, 2 / numberBytes)) - (steps - 1) * sliceTiles; }

  /// A stream in f32 that is added to the sums, brought to stages that nobody fills again; TensorTilesStream.cpp. Null where there
  /// is none, or no room.
  mlir::BlockArgument addedStream();
  bool takesStream() { return bool(addedStream()); }
  /// Slots of a warp, each of eight rows; 0 where there is no room.
  int64_t streamSlots() const;
  int64_t streamSlotBytes() const;
  std::pair<int64_t, int64_t> slotsOfStage() const;
  int64_t stagesOfStream() const;
  mlir::Value streamPlace(int64_t slot);
  void copyStream(int64_t tile);
  /// Asks for what the slots of part `part` of the stages have first, when all warps have read what lay there.
  void startStream(int64_t part);
  /// Before eight rows are finished, and behind those of `tile`, which leave their slot to later ones.
  void waitForStream();
  void startLaterStream(int64_t tile);
  /// Lets `evaluator` have the unit of channels `half` of `group` of the warp's panels, of rows `first` to `first` + `count` of the
  /// two that a thread has in tile `tileOfStream`.
  void giveStream(TileEvaluator &evaluator, int64_t firstOfGroup, int64_t half, int64_t first, int64_t count);
  /// Adds the parts of the groups of warps that share k, through shared memory, and finishes.
  void finishParts(llvm::ArrayRef<mlir::Value> sums);
  /// What follows, for the warp's tile of rows number `tile`, whose sums are [projection][panel][4].
  void finish(llvm::ArrayRef<mlir::Value> sums, mlir::Value tile);
  /// Of rows `first` to `first` + `count` of the two that a thread has. What it has of the squares that are stored: [group][row].
  llvm::SmallVector<mlir::Value> finishRows(llvm::ArrayRef<mlir::Value> sums, int64_t first, int64_t count, mlir::Value row,
                                            mlir::Value rowEnd);
  /// Whether a lane finishes 2 `group` neighbouring channels of a panel, and not twice `group`: of 16 bits the latter are half of
  /// what memory is written by.
  bool storesWide() const;
  /// Makes of halves of a panel's channels, in lanes half a warp apart, neighbouring ones. Whole warps have to come here.
  void exchangeHalves(llvm::SmallVector<mlir::Value> &sums, int64_t firstOfGroup, int64_t first, int64_t count);
  void storeSquares(llvm::ArrayRef<mlir::Value> squares, int64_t count, mlir::Value row);
  /// The panel of the thread among those of a group.
  mlir::Value panelOfGroup(int64_t firstOfGroup) {
    return block.add(block.add(firstPanel, warpPanel),
                     block.add(block.constant(firstOfGroup), block.rem(block.div(lane, 4), group)));
  }
  llvm::SmallVector<mlir::Value> sumsOfTile(llvm::ArrayRef<mlir::Value> sums, int64_t tile) const;
  /// Numbers of a thread while it multiplies: sums, and operands of this step and the next.
  int64_t registersOfProducts() const {
    int64_t weights = int64_t(linears.size()) * warpPanels;
    return weights * tiles * 4 + 2 * 4 * (weights + tiles / 2);
  }
  /// Sums of a thread: [projection][panel of the warp][tile of rows][channel + 8 i, row + j].
  int64_t sumIndex(size_t linear, int64_t panel, int64_t tile) const { return ((linear * warpPanels + panel) * tiles + tile) * 4; }

  BlockKernel &block;
  llvm::SmallVector<LinearOp> linears;
  int64_t threads, warpRows, rows, panels, stages, slices, warpPanels, group, tiles, depth;
  bool fp8, boxes; ///< `boxes`: the copy engine brings operands
  int64_t lineBytes, chunksPerRow, sliceTiles, numberBytes, sliceDepth, steps, rowSliceBytes, panelBytes, weightSliceBytes;
  llvm::SmallVector<Copy> copies;
  mlir::Value x, firstRow, firstPanel, warpRow, warpPanel, warp, slice, lane;
  mlir::Value rowStages, weightStages; ///< in bytes
  mlir::Value barriers;                ///< of the copy engine: where stages are full, where they are free
  int64_t tileOfStream = 0;            ///< the warp's tile of rows that is finished
  /// Where this lane reads in a stage: fragments with an even and an odd number in their group, chunks of each tile of k.
  std::array<mlir::Value, 2> weightLane;
  llvm::SmallVector<mlir::Value> rowLane;
};

} // namespace sm1

#endif // SM1C_LOWERING_GPU_TENSORTILESBUILDER_H
