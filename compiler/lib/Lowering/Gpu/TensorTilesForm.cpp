//===- TensorTilesForm.cpp - projections of many rows on tensor cores --------------------------------------------===//
//
// Weights are the 16-row operand of mma.m16n8k16, packed as its fragments; rows are the 8-column one. Eight warps stand in two
// columns of panels by four of rows; both operands come through shared memory by asynchronous copies, `stages` steps of 32 k ahead.
// A sum is one chain over k. What follows is computed on 8 rows at a time, which a warp turns over in shared memory so that a
// thread has four neighbouring channels of a row.

#include "BlockKernel.h"

#include "../../Transforms/KernelMerge.h"
#include "GpuOps.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

/// k of a stage, and what it holds of one row: four chunks of 16 bytes.
static constexpr int64_t stageDepth = 32, chunksPerRow = 4, chunkBytes = 16;
static constexpr int64_t warpColumns = 2, rowsOfTile = 8, lanesOfWarp = 32;

namespace {
class TensorTilesBuilder {
public:
  TensorTilesBuilder(BlockKernel &block)
      : block(block), linears(block.projections().front()), warpRows(block.schedule.getRowTile()),
        rows(block.schedule.getRowSplit()), panels(block.schedule.getPanelSplit()), stages(block.schedule.getStages()),
        warpPanels(panels / warpColumns), tiles(warpRows / rowsOfTile), depth(channels(linears.front().getX().getType())) {}
  void build();

private:
  using Fragment = std::array<Value, 4>;

  void place();
  /// Starts the copies of step `step` of k and makes them one group, empty past the end.
  void startStage(Value step);
  void copyRows(Value step, Value stage);
  void copyWeights(Value step, Value stage);
  SmallVector<Value> multiplyStage(Value stage, ValueRange sums);
  Fragment weightFragment(Value stage, size_t linear, int64_t tile, int64_t k);
  Fragment rowFragments(Value stage, int64_t pair, int64_t k);
  SmallVector<Value> sum();
  /// What follows, for the rows of tile `tile` of the warp.
  void finish(ArrayRef<Value> sums, int64_t tile);
  /// Sums of a thread: [projection][panel of the warp][tile of rows][4].
  int64_t sumIndex(size_t linear, int64_t panel, int64_t tile) const { return ((linear * warpPanels + panel) * tiles + tile) * 4; }

  BlockKernel &block;
  SmallVector<LinearOp> linears;
  int64_t warpRows, rows, panels, stages, warpPanels, tiles, depth;
  Value x, firstRow, firstPanel, warpRow, warpPanel, warp, lane;
  Value rowStages, weightStages, turned;
};
} // namespace

void TensorTilesBuilder::place() {
  x = block.buffers.inputs.lookup(linears.front().getX());
  firstRow = block.mul(cuda::blockId(block.builder, block.loc, cuda::Axis::X), rows);
  firstPanel = block.mul(cuda::blockId(block.builder, block.loc, cuda::Axis::Y), panels);
  warp = block.div(block.thread, lanesOfWarp);
  lane = block.rem(block.thread, lanesOfWarp);
  warpPanel = block.mul(block.rem(warp, warpColumns), warpPanels);
  warpRow = block.mul(block.div(warp, warpColumns), warpRows);
  Type bf16 = block.builder.getBF16Type();
  rowStages = block.shared({stages, rows, stageDepth}, bf16);
  weightStages = block.shared({stages, int64_t(linears.size()), panels, stageDepth / 16, lanesOfWarp, 8}, bf16);
}

//===----------------------------------------------------------------------===//
// Copies
//===----------------------------------------------------------------------===//

/// Chunk c of row r lies at c ^ (r/2 % 4), so that eight rows of a column of chunks are in eight different groups of banks.
static Value swizzled(BlockKernel &block, Value row, Value chunk) {
  Value turn = block.rem(block.div(row, 2), chunksPerRow);
  return arith::XOrIOp::create(block.builder, block.loc, chunk, turn);
}

static Value rowStageOffset(BlockKernel &block, Value stage, int64_t rows, Value row, Value chunk) {
  Value line = block.add(block.mul(stage, rows), row);
  return block.add(block.mul(line, chunksPerRow * chunkBytes), block.mul(swizzled(block, row, chunk), chunkBytes));
}

void TensorTilesBuilder::copyRows(Value step, Value stage) {
  OpBuilder &builder = block.builder;
  int64_t stride = cast<MemRefType>(x.getType()).getDimSize(1);
  Value last = block.sub(block.count, block.constant(1)), zero = block.constant(0);
  block.share(block.constant(rows * chunksPerRow), [&](Value part) {
    Value row = block.div(part, chunksPerRow), chunk = block.rem(part, chunksPerRow);
    Value column = block.add(block.mul(step, stageDepth), block.mul(chunk, 8));
    // Past the last channel lies padding that may hold anything, also no number at all: it must become zero.
    Value left = block.mul(block.sub(block.constant(depth), column), 2);
    Value bytes = arith::MaxSIOp::create(builder, block.loc, block.least(left, block.constant(chunkBytes)), zero);
    Value from = block.least(block.add(firstRow, row), last), inside = block.least(column, block.constant(stride - 8));
    Value source =
        cuda::addressOf(builder, block.loc, x, block.mul(block.add(block.mul(from, stride), inside), 2), cuda::globalMemory);
    Value to = cuda::addressOf(builder, block.loc, rowStages, rowStageOffset(block, stage, rows, row, chunk), cuda::sharedMemory);
    cuda::copyAsync(builder, block.loc, to, source, arith::IndexCastOp::create(builder, block.loc, builder.getI32Type(), bytes));
  });
}

void TensorTilesBuilder::copyWeights(Value step, Value stage) {
  OpBuilder &builder = block.builder;
  constexpr int64_t stepChunks = stageDepth / 16 * lanesOfWarp; // of one panel, contiguous
  Value all = arith::ConstantIntOp::create(builder, block.loc, chunkBytes, 32);
  for (auto [index, linear] : llvm::enumerate(linears)) {
    Value weight = block.buffers.inputs.lookup(linear.getWeight());
    auto shape = cast<MemRefType>(weight.getType()).getShape();
    int64_t panelBytes = shape[1] * lanesOfWarp * chunkBytes;
    block.share(block.constant(panels * stepChunks), [&](Value part) {
      Value panel = block.div(part, stepChunks), rest = block.mul(block.rem(part, stepChunks), chunkBytes);
      Value from = block.least(block.add(firstPanel, panel), block.constant(shape[0] - 1));
      Value offset = block.add(block.add(block.mul(from, panelBytes), block.mul(step, stepChunks * chunkBytes)), rest);
      Value stagePanel = block.add(block.mul(block.add(block.mul(stage, linears.size()), block.constant(index)), panels), panel);
      Value to = block.add(block.mul(stagePanel, stepChunks * chunkBytes), rest);
      cuda::copyAsync(builder, block.loc, cuda::addressOf(builder, block.loc, weightStages, to, cuda::sharedMemory),
                      cuda::addressOf(builder, block.loc, weight, offset, cuda::globalMemory), all);
    });
  }
}

void TensorTilesBuilder::startStage(Value step) {
  block.when(block.less(step, block.constant(llvm::divideCeil(depth, stageDepth))), [&] {
    Value stage = block.rem(step, stages);
    copyRows(step, stage);
    copyWeights(step, stage);
  });
  cuda::commitCopies(block.builder, block.loc);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

TensorTilesBuilder::Fragment TensorTilesBuilder::weightFragment(Value stage, size_t linear, int64_t tile, int64_t k) {
  OpBuilder &builder = block.builder;
  Value panel = block.add(warpPanel, block.constant(tile));
  Value eight = block.load(weightStages, {stage, block.constant(linear), panel, block.constant(k), lane, block.constant(0)}, 8);
  Value words = vector::BitCastOp::create(builder, block.loc, VectorType::get({4}, builder.getI32Type()), eight);
  Fragment fragment;
  for (int64_t i = 0; i < 4; ++i)
    fragment[i] = vector::ExtractOp::create(builder, block.loc, words, ArrayRef<int64_t>{i});
  return fragment;
}

/// Fragments of two tiles of 8 rows: lanes 0-7 and 8-15 name the rows of the first tile's halves of 16 k, the others the second's.
TensorTilesBuilder::Fragment TensorTilesBuilder::rowFragments(Value stage, int64_t pair, int64_t k) {
  Value inTile = block.rem(lane, rowsOfTile), matrix = block.div(lane, rowsOfTile);
  Value row = block.add(block.add(warpRow, block.constant(pair * 2 * rowsOfTile)),
                        block.add(block.mul(block.div(matrix, 2), rowsOfTile), inTile));
  Value chunk = block.add(block.constant(2 * k), block.rem(matrix, 2));
  Value address =
      cuda::addressOf(block.builder, block.loc, rowStages, rowStageOffset(block, stage, rows, row, chunk), cuda::sharedMemory);
  return cuda::loadMatrices(block.builder, block.loc, address);
}

SmallVector<Value> TensorTilesBuilder::multiplyStage(Value stage, ValueRange sums) {
  SmallVector<Value> next(sums);
  for (int64_t k = 0; k < stageDepth / 16; ++k) {
    SmallVector<Fragment> pairs;
    for (int64_t pair = 0; pair < tiles / 2; ++pair)
      pairs.push_back(rowFragments(stage, pair, k));
    for (size_t l = 0; l < linears.size(); ++l)
      for (int64_t panel = 0; panel < warpPanels; ++panel) {
        Fragment weight = weightFragment(stage, l, panel, k);
        for (int64_t tile = 0; tile < tiles; ++tile) {
          Fragment &pair = pairs[tile / 2];
          int64_t at = sumIndex(l, panel, tile), half = tile % 2 * 2;
          Fragment sum = cuda::multiplyAdd(block.builder, block.loc, weight, {pair[half], pair[half + 1]},
                                           {next[at], next[at + 1], next[at + 2], next[at + 3]});
          llvm::copy(sum, next.begin() + at);
        }
      }
  }
  return next;
}

SmallVector<Value> TensorTilesBuilder::sum() {
  for (int64_t step = 0; step + 1 < stages; ++step)
    startStage(block.constant(step));
  SmallVector<Value> zeros(linears.size() * warpPanels * tiles * 4, block.number(0));
  Value steps = block.constant(llvm::divideCeil(depth, stageDepth));
  SmallVector<Value> sums = block.loopWith(block.constant(0), steps, 1, zeros, [&](Value step, ValueRange carried) {
    cuda::waitForCopies(block.builder, block.loc, stages - 2);
    // Everybody's copies of this step are there, and everybody has left the stage that is filled next.
    block.barrier();
    startStage(block.add(step, block.constant(stages - 1)));
    return multiplyStage(block.rem(step, stages), carried);
  });
  cuda::waitForCopies(block.builder, block.loc, 0);
  block.barrier(); // the stages' memory is used again
  return sums;
}

//===----------------------------------------------------------------------===//
// What follows
//===----------------------------------------------------------------------===//

void TensorTilesBuilder::finish(ArrayRef<Value> sums, int64_t tile) {
  // Register 2i+j of a lane: channel lane/4 + 8i, row 2 (lane%4) + j.
  Value channel = block.div(lane, 4), row = block.mul(block.rem(lane, 4), 2);
  for (size_t l = 0; l < linears.size(); ++l)
    for (int64_t panel = 0; panel < warpPanels; ++panel)
      for (int64_t i = 0; i < 4; ++i) {
        Value column = block.add(channel, block.constant(panel * panelWidth + i / 2 * 8));
        block.storeScalar(sums[sumIndex(l, panel, tile) + i], turned,
                          {warp, block.constant(l), block.add(row, block.constant(i % 2)), column});
      }
  cuda::warpBarrier(block.builder, block.loc);
  int64_t warpUnits = warpPanels * panelWidth / threadLanes, units = strideOf(widthOf(block.kernel)) / threadLanes;
  block.loop(lane, block.constant(rowsOfTile * warpUnits), lanesOfWarp, [&](Value part) {
    Value tileRow = block.div(part, warpUnits), quad = block.rem(part, warpUnits);
    Value unit = block.add(block.mul(block.add(firstPanel, warpPanel), panelWidth / threadLanes), quad);
    Value first = block.add(block.add(firstRow, warpRow), block.add(block.constant(tile * rowsOfTile), tileRow));
    Value isInside =
        arith::AndIOp::create(block.builder, block.loc, block.less(unit, block.constant(units)), block.less(first, block.count));
    block.when(isInside, [&] {
      TileEvaluator evaluator(block.builder, block.kernel, block.buffers, {first, unit, 1, 1, threadLanes, {}});
      for (auto [l, linear] : llvm::enumerate(linears))
        evaluator.define(linear.getResult(),
                         {block.load(turned, {warp, block.constant(l), tileRow, block.mul(quad, threadLanes)}, threadLanes)});
      evaluator.evaluate(block.mainOps());
      block.storeResults(evaluator);
    });
  });
  cuda::warpBarrier(block.builder, block.loc);
}

void TensorTilesBuilder::build() {
  int64_t mark = block.sharedMark();
  place();
  SmallVector<Value> sums = sum();
  block.releaseShared(mark);
  // Four floats of padding turn rows off each other's banks.
  turned =
      block.shared({block.schedule.getThreads() / lanesOfWarp, int64_t(linears.size()), rowsOfTile, warpPanels * panelWidth + 4},
                   block.builder.getF32Type());
  for (int64_t tile = 0; tile < tiles; ++tile)
    finish(sums, tile);
}

void sm1::buildTensorTiles(BlockKernel &block) { TensorTilesBuilder(block).build(); }
