//===- WgmmaTilesForm.cpp - projections of many rows on the tensor cores of a warpgroup (sm_90a) -----------------===//
//
// wgmma reads both operands from shared memory: rows are the 64-row one, of which a warpgroup takes row_tile / 64, the channels of
// all projections are columns. A step is 64 bytes of each row, 32 k of bf16 or 64 of e4m3, or twice as much where one block has a
// multiprocessor for itself, in one of `stages` stages.
// Weights lie packed as the image of a stage ("images") and come in one bulk copy for each projection, rows in one copy of a box of
// their tensor map, which swizzles them. Products of a step are under way while the next one's operands are waited for, and what
// was multiplied before is written over. While a block waits or finishes, another one on the multiprocessor multiplies.
//
// Blocks that go on from tile to tile (walksTiles) have a multiprocessor each, and one more warpgroup, whose first thread copies as
// far ahead as there are stages, also for the next tile while this one's sums are finished. A stage has a barrier more: there warps
// say that they have multiplied it. With two tiles at a time one is finished while the other is multiplied; where blocks have only
// one, warpgroups share it.
//
// Images have the channels of a panel in such an order that a thread's sums are four neighbouring channels of each panel: what
// follows the sums is computed on them where they are. A sum is one chain over k, the same for every shape of tile.

#include "TensorTiles.h"

#include "../../Transforms/BlockForms.h"
#include "../../Transforms/KernelMerge.h"
#include "ClusterSums.h"
#include "GpuOps.h"
#include "NormHalves.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/SaveAndRestore.h"

using namespace mlir;
using namespace sm1;

/// Rows of an instruction, its most columns, its warps; neighbouring channels of a thread.
static constexpr int64_t rowsOfProduct = 64, mostColumns = 256, warpsOfGroup = 4, group = panelWidth / 4;
/// Of a slice each row and each channel has 64 bytes; a product takes 32 of them.
static constexpr int64_t lineBytes = 64, productsOfSlice = 2, productBytes = 32, barrierBytes = 8;
/// Registers of a multiprocessor; of a thread, those that are neither sums nor what follows them. Shared memory that a block takes
/// where a second one is to fit.
static constexpr int64_t allRegisters = 64 << 10, mostRegisters = 255, otherRegisters = 43, otherOfWalk = 58,
                         halfOfShared = 113 << 10;
/// Tiles side by side of kernels whose blocks may have one tile each: with more than these a run of so few rows has another
/// program.
static constexpr int64_t mostAcross = 8;
/// Steps whose products may be under way while a later one is started: their stages are not written.
static constexpr int64_t stepsInUse = 2;

namespace {
class WgmmaTilesBuilder {
public:
  WgmmaTilesBuilder(BlockKernel &block)
      : block(block), builder(block.builder), loc(block.loc), all(block.projections().front()),
        linears(ArrayRef(all).take_front(projectionsOfBlock(block.kernel))), warpgroupRows(block.schedule.getRowTile()),
        rows(block.schedule.getRowSplit()), panels(block.schedule.getPanelSplit()), stages(block.schedule.getStages()),
        x(linears.front().getX().getType()), sliceDepth(wgmmaSliceDepth(x)), slices(wgmmaSlices(block.schedule, x)),
        steps(llvm::divideCeil(channels(x), slices * sliceDepth)), rowBytes(slices * lineBytes),
        projectionBytes(panels * panelWidth * lineBytes), sliceWeightBytes(int64_t(linears.size()) * projectionBytes),
        stageRowBytes(rows * rowBytes), stageWeightBytes(slices * sliceWeightBytes), walks(walksTiles(block.schedule)),
        atOnce(walks ? tilesAtOnce(block.schedule) : 1), cluster(block, steps, int64_t(linears.size()), panels) {
    steps = cluster.mostSteps();
  }
  void build();

private:
  void place();
  void takeTile(TilePlace tile);
  /// `isAlone`, of blocks that walk: whether they have one tile each.
  void makeBarriers(Value isAlone = {});
  /// Bytes of a stage in shared memory.
  Value sharedAt(Value stages, Value stage, int64_t stageBytes, int64_t offset = 0);
  Value barrierAt(Value stage) { return sharedAt(barriers, stage, barrierBytes); }
  /// Of blocks that walk: where warps say that the stage may be written.
  Value freeAt(Value stage) { return sharedAt(barriers, stage, barrierBytes, stages * barrierBytes); }
  /// Where those of a tile say that all of its bytes are there; one for each of the tiles at once.
  Value turnAt(Value turn) { return sharedAt(barriers, turn, barrierBytes, 2 * stages * barrierBytes); }
  void whenFirst(llvm::function_ref<void()> body) { block.when(isEqual(block.thread, 0), body); }
  /// By the first thread: the copies of step `step` to stage `stage`, of so many slices of weights.
  void copyWeights(Value step, Value stage, int64_t there);
  void copyWeights(Value step, Value stage) { copyWeights(step, stage, slices); }
  void copyRows(Value step, Value stage);
  void startFirstStages();
  /// Steps `begin` to `end`; `copies` says that they start the copies of later ones. `carried`: the sums, stage and parity.
  void sumSteps(int64_t begin, Value end, bool copies, SmallVector<Value> &carried);
  void multiplyStage(Value stage, SmallVector<Value> &sums, int64_t there);
  SmallVector<Value> sum();
  /// Of a cluster's block: the sums of what it finishes, `panels` from `firstPanel` on, the first of a thread's two rows.
  SmallVector<Value> exchange(ArrayRef<Value> sums);
  /// The stage and the parity behind those, as `carried` has them at its end.
  void goOn(Value stage, Value parity, SmallVector<Value> &carried);
  void walk();
  void copyTiles(Value tiles);
  void multiplyTiles(Value tiles);
  void multiplyOneTile(Value tiles);
  void copyStep(Value step, int64_t there, SmallVector<Value> &place);
  void fetchRows(Value step, Value isLast);
  SmallVector<Value> sumTile(Value index);
  void multiplyStep(SmallVector<Value> &carried, int64_t there, bool isFirst, bool isLast = false);
  void arriveWarp(Value barrier);
  void waitForTurn(Value index);
  Value stageBefore(Value stage);
  TilePlace tileAt(Value index);
  bool isPart() const { return linears.size() < all.size(); }
  /// What `of` says of `linear`; of the block's own where it has one of several.
  Value ofBlock(LinearOp linear, llvm::function_ref<Value(LinearOp)> of);
  void finish(ArrayRef<Value> sums);
  void storeSums(TileEvaluator &evaluator);
  /// What the thread has of the squares that are stored, by panel.
  SmallVector<Value> finishPanels(ArrayRef<Value> sums, int64_t part, int64_t half, int64_t first, int64_t count, Value row);
  void storeSquares(ArrayRef<Value> squares, Value row);
  /// Channels of all projections, which lie side by side in a stage, are columns of as few instructions as take them: each reads
  /// its rows from shared memory again.
  int64_t columns() const { return int64_t(linears.size()) * panels * panelWidth; }
  int64_t productsAcross() const { return llvm::divideCeil(columns(), mostColumns); }
  int64_t sumsOfProduct() const { return columns() / productsAcross() / 2; }
  /// Sums of a thread: [64 rows][projection][panel][8 columns][row, row + 8][column, column + 1].
  int64_t sumIndex(int64_t part, size_t linear) const { return (part * linears.size() + linear) * panels * panelWidth / 2; }
  int64_t parts() const { return warpgroupRows / rowsOfProduct; }
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
  /// Whether the warpgroups can share a tile where there is no second one.
  bool mayShareTile() const {
    return atOnce > 1 && warpgroupRows % (atOnce * rowsOfProduct) == 0 && panelsOfBlocks(block.kernel) / panels <= mostAcross;
  }
  /// Slices of the last step.
  int64_t lastSlices() const { return slicesOfWgmma(x) - (steps - 1) * slices; }
  Value number32(int64_t value) { return arith::ConstantIntOp::create(builder, loc, value, 32); }
  Value isEqual(Value a, int64_t b) { return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, a, block.constant(b)); }

  BlockKernel &block;
  OpBuilder &builder;
  Location loc;
  SmallVector<LinearOp> all, linears; ///< the kernel's projections, and those of a block: all, or any one of them
  int64_t warpgroupRows, rows, panels, stages;
  Type x; ///< what is multiplied
  int64_t sliceDepth, slices, steps, rowBytes, projectionBytes, sliceWeightBytes, stageRowBytes, stageWeightBytes;
  bool walks;
  int64_t atOnce; ///< tiles of a block at the same time
  ClusterSums cluster;
  Value firstRow, firstPanel, warpgroup, warp, lane;
  Value own;                               ///< number of the block's projection, where it has one of several
  Value rowStages, weightStages, barriers; ///< in bytes
  Value turn;                              ///< of blocks that walk: which of the tiles at once the warpgroup has
};
} // namespace

Value WgmmaTilesBuilder::ofBlock(LinearOp linear, llvm::function_ref<Value(LinearOp)> of) {
  Value value = of(linear);
  for (size_t number = 1; isPart() && number < all.size(); ++number)
    value = arith::SelectOp::create(builder, loc, isEqual(own, int64_t(number)), of(all[number]), value);
  return value;
}

//===----------------------------------------------------------------------===//
// Copies
//===----------------------------------------------------------------------===//

void WgmmaTilesBuilder::takeTile(TilePlace tile) {
  firstRow = tile.firstRow, firstPanel = tile.firstPanel;
  if (isPart()) {
    int64_t panelsOfOne = panelsOfBlocks(block.kernel) / int64_t(all.size());
    own = block.div(tile.firstPanel, panelsOfOne), firstPanel = block.rem(tile.firstPanel, panelsOfOne);
  }
}

void WgmmaTilesBuilder::place() {
  lane = block.rem(block.thread, lanesOfWarp);
  warp = block.rem(block.div(block.thread, lanesOfWarp), warpsOfGroup);
  warpgroup = block.div(block.thread, threadsOfWarpgroup);
  Type byte = builder.getI8Type();
  rowStages = block.shared({stages * stageRowBytes}, byte); // whole turns of the swizzle
  weightStages = block.shared({stages * stageWeightBytes}, byte);
  barriers = block.shared({barrierBytes * (walks ? 2 * stages + turns() : stages)}, byte);
  cluster.place();
}

Value WgmmaTilesBuilder::sharedAt(Value stages, Value stage, int64_t stageBytes, int64_t offset) {
  return cuda::addressOf(builder, loc, stages, block.add(block.mul(stage, stageBytes), block.constant(offset)), cuda::sharedMemory);
}

void WgmmaTilesBuilder::makeBarriers(Value isAlone) {
  int64_t warps = groupsOfTile() * warpsOfGroup;
  whenFirst([&] {
    for (int64_t stage = 0; stage < stages; ++stage)
      cuda::initBulkBarrier(builder, loc, barrierAt(block.constant(stage)), 1);
    for (int64_t stage = 0; walks && stage < stages; ++stage)
      if (mayShareTile())
        cuda::initBulkBarrier(builder, loc, freeAt(block.constant(stage)),
                              arith::SelectOp::create(builder, loc, isAlone, number32(atOnce * warps), number32(warps)));
      else
        cuda::initBulkBarrier(builder, loc, freeAt(block.constant(stage)), warps);
    for (int64_t turn = 0; turn < turns(); ++turn)
      cuda::initBulkBarrier(builder, loc, turnAt(block.constant(turn)), warps);
    cluster.makeBarrier();
    cuda::fenceBulkBarriers(builder, loc);
  });
}

void WgmmaTilesBuilder::copyWeights(Value step, Value stage, int64_t there) {
  step = cluster.stepOf(step);
  cuda::expectBytes(builder, loc, barrierAt(stage), number32(stageRowBytes + there * sliceWeightBytes));
  for (int64_t slice = 0; slice < there; ++slice)
    for (auto [index, linear] : llvm::enumerate(linears)) {
      Value weight = ofBlock(linear, [&](LinearOp one) { return block.buffers.inputs.lookup(one.getWeight()); });
      int64_t matrixBytes = cast<MemRefType>(weight.getType()).getDimSize(1) * panelWidth * lineBytes; // of a slice
      Value from = block.add(block.add(block.mul(step, slices * matrixBytes), block.constant(slice * matrixBytes)),
                             block.mul(firstPanel, panelWidth * lineBytes));
      Value to = sharedAt(weightStages, stage, stageWeightBytes, slice * sliceWeightBytes + index * projectionBytes);
      cuda::copyBulk(builder, loc, to, cuda::addressOf(builder, loc, weight, from, cuda::globalMemory), number32(projectionBytes),
                     barrierAt(stage));
    }
}

/// All slices in one box: of rows of 128 bytes the copy engine takes as many in a time as of 64.
void WgmmaTilesBuilder::copyRows(Value step, Value stage) {
  auto word = [&](Value index) { return arith::IndexCastOp::create(builder, loc, builder.getI32Type(), index).getResult(); };
  cuda::copyBox(builder, loc, sharedAt(rowStages, stage, stageRowBytes), block.map,
                word(block.mul(cluster.stepOf(step), slices * sliceDepth)), word(firstRow), barrierAt(stage));
}

/// Weights wait for no kernel, rows for the one that makes them.
void WgmmaTilesBuilder::startFirstStages() {
  int64_t ahead = firstSteps();
  auto start = [&](void (WgmmaTilesBuilder::*copy)(Value, Value)) {
    for (int64_t step = 0; step < ahead; ++step)
      cluster.whenThere(step, [&] { (this->*copy)(block.constant(step), block.constant(step)); });
  };
  whenFirst([&] { start(&WgmmaTilesBuilder::copyWeights); });
  fetchParameters(block, firstPanel, panels);
  auto [ownRow, ownRows] = cluster.shareOf(firstRow, rows);
  fetchStates(block, ownRow, firstPanel, ownRows, panels);
  block.waitForInputs();
  whenFirst([&] { start(&WgmmaTilesBuilder::copyRows); });
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

void WgmmaTilesBuilder::multiplyStage(Value stage, SmallVector<Value> &sums, int64_t there) {
  Value place = block.add(block.mul(stage, stageRowBytes), block.mul(warpgroup, warpgroupRows * rowBytes));
  Value rowsOperand = cuda::operandAt(builder, loc, cuda::addressOf(builder, loc, rowStages, place, cuda::sharedMemory), rowBytes);
  Value weightsOperand = cuda::operandAt(builder, loc, sharedAt(weightStages, stage, stageWeightBytes), lineBytes);
  cuda::fenceWarpgroup(builder, loc);
  for (int64_t k = 0; k < there * productsOfSlice; ++k)
    for (int64_t part = 0; part < parts(); ++part)
      for (int64_t product = 0; product < productsAcross(); ++product) {
        int64_t slice = k / productsOfSlice, inSlice = k % productsOfSlice * productBytes;
        int64_t at = (part * productsAcross() + product) * sumsOfProduct();
        Value rows = cuda::operandAfter(builder, loc, rowsOperand, part * rowsOfProduct * rowBytes + k * productBytes);
        Value weights = cuda::operandAfter(builder, loc, weightsOperand,
                                           slice * sliceWeightBytes + product * 2 * sumsOfProduct() * lineBytes + inSlice);
        llvm::copy(cuda::startProducts(builder, loc, isFp8(x), rows, weights, ArrayRef(sums).slice(at, sumsOfProduct())),
                   sums.begin() + at);
      }
  cuda::commitProducts(builder, loc);
}

void WgmmaTilesBuilder::sumSteps(int64_t begin, Value end, bool copies, SmallVector<Value> &carried) {
  carried = block.loopWith(block.constant(begin), end, 1, carried, [&](Value step, ValueRange before) {
    SmallVector<Value> sums(before.drop_back(2));
    Value stage = before.drop_back().back(), parity = before.back();
    cuda::waitForBytes(builder, loc, barrierAt(stage), parity);
    if (copies) { // nobody reads the stage any more that will be written
      sums = cuda::waitForProducts(builder, loc, stepsInUse - 1, sums);
      block.barrier();
    }
    multiplyStage(stage, sums, slices);
    if (copies) {
      Value later = block.add(step, block.constant(stages - stepsInUse)), shifted = block.add(stage, block.constant(stages));
      Value free = block.rem(block.sub(shifted, block.constant(stepsInUse)), stages);
      whenFirst([&] {
        copyWeights(later, free);
        copyRows(later, free);
      });
    }
    goOn(stage, parity, sums);
    return sums;
  });
}

void WgmmaTilesBuilder::goOn(Value stage, Value parity, SmallVector<Value> &carried) {
  Value isLast = isEqual(stage, stages - 1);
  carried.push_back(arith::SelectOp::create(builder, loc, isLast, block.constant(0), block.add(stage, block.constant(1))));
  Value turned = arith::XOrIOp::create(builder, loc, parity, number32(1));
  carried.push_back(arith::SelectOp::create(builder, loc, isLast, turned, parity));
}

SmallVector<Value> WgmmaTilesBuilder::sum() {
  takeTile(placeTile(block, rows, panels));
  makeBarriers();
  startFirstStages();
  RowFactors factors(block, firstRow, rows);
  block.barrier(); // before anybody asks the barriers
  SmallVector<Value> carried(parts() * columns() / 2, block.number(0));
  carried.append({block.constant(0), number32(0)});
  int64_t withCopies = steps - firstSteps();
  if (withCopies)
    sumSteps(0, block.constant(withCopies), /*copies=*/true, carried);
  sumSteps(withCopies, cluster.steps(), /*copies=*/false, carried);
  carried.resize(carried.size() - 2);
  if (cluster.isThere()) {
    carried = cuda::waitForProducts(builder, loc, 1, carried);
    cluster.arrive();
  }
  if (factors.store())
    block.barrier();
  return cuda::waitForProducts(builder, loc, 0, carried);
}

SmallVector<Value> WgmmaTilesBuilder::exchange(ArrayRef<Value> sums) {
  auto placesFrom = [](int64_t at) { return std::array<int64_t, 4>{at, at + 1, at + group, at + group + 1}; };
  auto fours = cluster.exchange([&](int64_t linear, int64_t panel, int64_t half) {
    ClusterSums::Four four;
    for (auto [sum, at] : llvm::zip_equal(four, placesFrom(sumIndex(0, size_t(linear)) + panel * 2 * group + 2 * half)))
      sum = sums[size_t(at)];
    return four;
  });
  firstPanel = block.add(firstPanel, cluster.ownPanel()), panels = cluster.ownPanels();
  SmallVector<Value> own(linears.size() * panels * 2 * group);
  for (auto [index, four] : llvm::enumerate(fours))
    for (auto [sum, at] : llvm::zip_equal(four, placesFrom(int64_t(index) * 2 * group)))
      own[size_t(at)] = sum;
  return own;
}

//===----------------------------------------------------------------------===//
// From tile to tile
//===----------------------------------------------------------------------===//

/// The block's tile number `index`: those with its own number, and so many further on as there are blocks. Neighbours lie side by
/// side, so that those that are multiplied at the same time are some blocks of rows by all panels.
TilePlace WgmmaTilesBuilder::tileAt(Value index) {
  int64_t across = panelsOfBlocks(block.kernel) / panels;
  cuda::PlaceInGrid grid = cuda::placeInGrid(builder, loc);
  Value number = block.add(grid.number, builder.createOrFold<arith::MulIOp>(loc, index, grid.blocks));
  return {block.mul(block.div(number, across), rows), block.mul(block.rem(number, across), panels)};
}

void WgmmaTilesBuilder::walk() {
  cuda::PlaceInGrid grid = cuda::placeInGrid(builder, loc);
  Value rowBlocks = block.div(block.add(block.count, block.constant(rows - 1)), rows);
  Value all = block.mul(rowBlocks, panelsOfBlocks(block.kernel) / panels);
  Value reached = block.add(block.sub(all, grid.number), block.sub(grid.blocks, block.constant(1)));
  Value tiles = arith::DivUIOp::create(builder, loc, reached, grid.blocks);
  Value isAlone = block.less(all, block.add(grid.blocks, block.constant(1)));
  makeBarriers(isAlone);
  takeTile(tileAt(block.constant(0)));
  whenFirst([&] { // weights wait for no kernel
    for (int64_t step = 0; step < firstSteps(); ++step)
      copyWeights(block.constant(step), block.constant(step));
  });
  block.waitForInputs();
  block.barrier();
  bool shareRegisters = block.schedule.getThreads() > 2 * threadsOfWarpgroup; // else all have what a thread can have
  block.choose(
      isEqual(warpgroup, 0),
      [&] {
        if (shareRegisters)
          cuda::setRegisters(builder, loc, registersOfCopies, /*more=*/false);
        whenFirst([&] { copyTiles(tiles); });
      },
      [&] {
        if (shareRegisters)
          cuda::setRegisters(builder, loc, registers(), /*more=*/true);
        if (!mayShareTile())
          return multiplyTiles(tiles);
        block.choose(
            isAlone, [&] { multiplyOneTile(tiles); }, [&] { multiplyTiles(tiles); });
      });
}

/// `place`: stage and parity. What waits for the parity before the first has not to wait: nobody has read the stage.
void WgmmaTilesBuilder::copyStep(Value step, int64_t there, SmallVector<Value> &place) {
  Value stage = place[0], parity = place[1];
  cuda::waitForBytes(builder, loc, freeAt(stage), arith::XOrIOp::create(builder, loc, parity, number32(1)));
  copyWeights(step, stage, there);
  copyRows(step, stage);
  place.clear();
  goOn(stage, parity, place);
}

/// What follows the sums asks for streams some panels at a time, and waits for memory each time. Behind the products of a next tile
/// nobody sees that; of the block's last tile its rows are asked for with its steps, so that they are in the second cache.
void WgmmaTilesBuilder::fetchRows(Value step, Value isLast) {
  int64_t rowsOfStep = llvm::divideCeil(rows, steps);
  if (!isPart())
    block.when(isLast, [&] { fetchStreams(block, {firstRow, firstPanel}, rows, panels, block.mul(step, rowsOfStep), rowsOfStep); });
}

void WgmmaTilesBuilder::copyTiles(Value tiles) {
  int64_t ahead = firstSteps();
  for (int64_t step = 0; step < ahead; ++step)
    copyRows(block.constant(step), block.constant(step));
  for (int64_t step = 0; step < ahead; ++step)
    fetchRows(block.constant(step), block.less(tiles, block.constant(2)));
  SmallVector<Value> place{block.constant(ahead % stages), number32(ahead / stages % 2)};
  block.loopWith(block.constant(0), tiles, 1, place, [&](Value index, ValueRange carried) {
    takeTile(tileAt(index));
    Value isLast = block.less(tiles, block.add(index, block.constant(2)));
    Value begin = arith::SelectOp::create(builder, loc, isEqual(index, 0), block.constant(ahead), block.constant(0));
    SmallVector<Value> place = block.loopWith(begin, block.constant(steps - 1), 1, carried, [&](Value step, ValueRange carried) {
      SmallVector<Value> place(carried);
      copyStep(step, slices, place);
      fetchRows(step, isLast);
      return place;
    });
    copyStep(block.constant(steps - 1), lastSlices(), place);
    fetchRows(block.constant(steps - 1), isLast);
    return place;
  });
}

void WgmmaTilesBuilder::arriveWarp(Value barrier) {
  block.when(isEqual(lane, 0), [&] { cuda::arrive(builder, loc, barrier); });
}

/// A barrier's parity tells one phase from the next alone: nobody asks for a tile's bytes before those of the tile before are
/// there, which lay in the same stages.
void WgmmaTilesBuilder::waitForTurn(Value index) {
  if (!turns())
    return;
  Value isFirst = isEqual(turn, 0), round = block.div(index, turns());
  auto choose = [&](Value first, Value other) { return arith::SelectOp::create(builder, loc, isFirst, first, other).getResult(); };
  Value before = choose(block.constant(turns() - 1), block.sub(turn, block.constant(1)));
  Value parity = block.rem(choose(block.add(round, block.constant(1)), round), 2);
  cuda::waitForBytes(builder, loc, turnAt(before), arith::IndexCastOp::create(builder, loc, builder.getI32Type(), parity));
}

Value WgmmaTilesBuilder::stageBefore(Value stage) {
  return arith::SelectOp::create(builder, loc, isEqual(stage, 0), block.constant(stages - 1), block.sub(stage, block.constant(1)));
}

/// `carried` as of sumSteps. When the products are started, those of the step before are waited for, but of a tile's first.
void WgmmaTilesBuilder::multiplyStep(SmallVector<Value> &carried, int64_t there, bool isFirst, bool isLast) {
  Value parity = carried.pop_back_val(), stage = carried.pop_back_val();
  cuda::waitForBytes(builder, loc, barrierAt(stage), parity);
  if (isLast && turns())
    arriveWarp(turnAt(turn));
  multiplyStage(stage, carried, there);
  if (!isFirst) {
    carried = cuda::waitForProducts(builder, loc, 1, carried);
    arriveWarp(freeAt(stageBefore(stage)));
  }
  goOn(stage, parity, carried);
}

SmallVector<Value> WgmmaTilesBuilder::sumTile(Value index) {
  Value first = block.mul(index, steps), turns = block.rem(block.div(first, stages), 2);
  // Zeros are in registers before the first product: what is written there behind it would have it waited for.
  SmallVector<Value> zeros(parts() * columns() / 2, block.number(0)), carried = cuda::waitForProducts(builder, loc, 0, zeros);
  carried.push_back(block.rem(first, stages));
  carried.push_back(arith::IndexCastOp::create(builder, loc, builder.getI32Type(), turns));
  waitForTurn(index);
  multiplyStep(carried, steps > 1 ? slices : lastSlices(), /*isFirst=*/true, /*isLast=*/steps == 1);
  if (steps > 2)
    carried = block.loopWith(block.constant(1), block.constant(steps - 1), 1, carried, [&](Value, ValueRange before) {
      SmallVector<Value> next(before);
      multiplyStep(next, slices, /*isFirst=*/false);
      return next;
    });
  if (steps > 1)
    multiplyStep(carried, lastSlices(), /*isFirst=*/false, /*isLast=*/true);
  carried.pop_back();
  Value behind = carried.pop_back_val();
  SmallVector<Value> sums = cuda::waitForProducts(builder, loc, 0, carried);
  arriveWarp(freeAt(stageBefore(behind)));
  return sums;
}

/// Warpgroups of one tile share its rows; those of another take the next.
void WgmmaTilesBuilder::multiplyTiles(Value tiles) {
  llvm::SaveAndRestore inBlock(warpgroup);
  Value own = block.sub(warpgroup, block.constant(1));
  turn = block.div(own, groupsOfTile()), warpgroup = block.rem(own, groupsOfTile());
  block.loop(turn, tiles, atOnce, [&](Value index) {
    SmallVector<Value> sums = sumTile(index);
    takeTile(tileAt(index)); // no sooner: sums take the registers
    block.choose(
        block.less(block.add(index, block.constant(atOnce)), tiles), [] {},
        [&] { block.startLaterKernel(BlockKernel::LaterKernel::AfterSums); });
    finish(sums);
  });
}

/// The block's only tile: all warpgroups have a part of its rows, so that none waits while another finishes all of it.
void WgmmaTilesBuilder::multiplyOneTile(Value tiles) {
  llvm::SaveAndRestore rowsOfMany(warpgroupRows, warpgroupRows / atOnce), tilesOfMany(atOnce, int64_t(1));
  multiplyTiles(tiles);
}

//===----------------------------------------------------------------------===//
// What follows
//===----------------------------------------------------------------------===//

/// Panels `first` to `first + count` of one of the two rows, `half`, that a thread has of 64.
SmallVector<Value> WgmmaTilesBuilder::finishPanels(ArrayRef<Value> sums, int64_t part, int64_t half, int64_t first, int64_t count,
                                                   Value row) {
  auto vectorType = VectorType::get({group}, builder.getF32Type());
  Value unit = block.add(block.mul(block.add(firstPanel, block.constant(first)), panelWidth / group), block.rem(lane, 4));
  Tile tile{row, unit, 1, count, group};
  tile.panelStep = panelWidth / group;
  TileEvaluator evaluator(builder, block.kernel, block.buffers, tile);
  for (auto [index, linear] : llvm::enumerate(linears)) {
    SmallVector<Value> vectors;
    for (int64_t panel = first; panel < first + count; ++panel) {
      // Two products of 8 columns, of which the thread has two each.
      int64_t at = sumIndex(part, index) + panel * 2 * group + 2 * half;
      SmallVector<Value> channels{sums[at], sums[at + 1], sums[at + group], sums[at + group + 1]};
      vectors.push_back(vector::FromElementsOp::create(builder, loc, vectorType, channels));
      if (linear.getScales()) {
        Value array = ofBlock(linear, [&](LinearOp one) { return block.buffers.inputs.lookup(one.getScales()); });
        Value scales = evaluator.loadVector(array, evaluator.column(panel - first));
        vectors.back() = arith::MulFOp::create(builder, loc, vectors.back(), scales);
      }
    }
    evaluator.define(linear.getResult(), vectors);
  }
  if (isPart()) {
    storeSums(evaluator);
    return {};
  }
  evaluator.evaluate(block.mainOps());
  block.storeResults(evaluator);
  SmallVector<Value> squares;
  if (PanelSquaresOp stored = storedSquares(block.kernel))
    for (int64_t panel = 0; panel < count; ++panel)
      squares.push_back(evaluator.at(stored.getResult(), 0, panel));
  return squares;
}

/// Projections that go apart are stored alike (storesSums), each to its own array.
void WgmmaTilesBuilder::storeSums(TileEvaluator &evaluator) {
  auto yielded = block.kernel.yielded();
  auto resultOf = [&](LinearOp linear) {
    return llvm::find_if(yielded, [&](Value value) { return projectionBehind(value) == linear; }).getIndex();
  };
  Value stored = yielded[resultOf(linears.front())];
  if (auto rounding = stored.getDefiningOp<arith::TruncFOp>())
    evaluator.evaluate({rounding});
  evaluator.store(stored, ofBlock(linears.front(), [&](LinearOp one) { return block.buffers.results[resultOf(one)]; }));
}

/// Four lanes have a row's channels of a panel.
void WgmmaTilesBuilder::storeSquares(ArrayRef<Value> squares, Value row) {
  Value isFirst = isEqual(block.rem(lane, 4), 0);
  for (auto [panel, sum] : llvm::enumerate(squares))
    sm1::storeSquares(block, sum, {1, 2}, isFirst, row, block.add(firstPanel, block.constant(panel)));
}

void WgmmaTilesBuilder::finish(ArrayRef<Value> sums) {
  Value threadRow = block.add(block.add(firstRow, block.mul(warpgroup, warpgroupRows)),
                              block.add(block.mul(warp, rowsOfProduct / warpsOfGroup), block.div(lane, 4)));
  if (cluster.isThere())
    threadRow = block.add(threadRow, cluster.ownRow());
  // What is read for several panels is on its way together, as far as registers go: the more, the fewer sums are left.
  int64_t registersOfSums = registers() - (walks ? otherOfWalk : otherRegisters);
  int64_t left = int64_t(sums.size()), sumsOfPanel = group * int64_t(linears.size());
  for (int64_t part = 0; part < parts(); ++part)
    for (int64_t half = 0; half < (cluster.isThere() ? 1 : 2); ++half) {
      Value row = block.add(threadRow, block.constant(part * rowsOfProduct + half * 8));
      auto squares = numbersWhen(block, block.less(row, block.count), storedSquares(block.kernel) ? panels : 0, [&] {
        SmallVector<Value> all;
        for (int64_t first = 0, together; first < panels; first += together) {
          together = std::clamp<int64_t>((registersOfSums - left) / sumsOfPanel, 1, panels - first);
          llvm::append_range(all, finishPanels(sums, part, half, first, together, row));
          left -= together * sumsOfPanel;
        }
        return all;
      });
      storeSquares(squares, row);
    }
}

void WgmmaTilesBuilder::build() {
  int64_t mark = block.sharedMark();
  place();
  if (walks)
    return walk();
  SmallVector<Value> sums = sum();
  block.startLaterKernel(BlockKernel::LaterKernel::AfterSums);
  if (!cluster.isThere())
    return finish(sums);
  block.releaseShared(mark);
  finish(exchange(sums));
}

void sm1::buildWgmmaTiles(BlockKernel &block) { WgmmaTilesBuilder(block).build(); }
