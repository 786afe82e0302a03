//===- TensorStepForm.cpp - projections of few rows on tensor cores ----------------------------------------------===//
//
// A block takes one panel of 16 channels of every projection. Weights are the 16-row operand of mma.m16n8k16 and go from memory
// straight into registers, packed as its fragments, before anything else is done: they are on their way while a norm is computed,
// and stay for all rows of the block if they fit. 8 rows are the 8-column operand. Warps share k in fixed parts, and a thread per
// row and channel adds the parts in order: a row's sum is the same whatever the other columns hold, whichever column it is in, for
// any number of rows.

#include "BlockKernel.h"

#include "../../Transforms/KernelMerge.h"
#include "GpuOps.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

static constexpr int64_t rowsOfTile = 8, lanesOfWarp = 32, depthOfTile = 16;
/// Fragments of weights that a lane holds, of all projections together; four registers each.
static constexpr int64_t fragmentsHeld = 24;

namespace {
class TensorStepBuilder {
public:
  TensorStepBuilder(BlockKernel &block)
      : block(block), linears(block.projections().front()), depth(channels(linears.front().getX().getType())),
        warps(block.schedule.getThreads() / lanesOfWarp), tiles(fragmentTiles(depth)), share(llvm::divideCeil(tiles, warps)),
        held(std::min<int64_t>(share, fragmentsHeld / linears.size())) {}
  void build();

private:
  using Fragments = SmallVector<Value>; ///< [projection][tile], vectors of four words

  void buildGroup(Value first, Value rows, const Fragments &weights);
  /// The rows that projections multiply, as bf16 in shared memory; rows and channels that are not there are zero.
  void fillRows(Value first, Value rows);
  /// Weights of `held` tiles of k, from number `begin` of this warp's part on; zero where there is no such tile.
  Fragments readWeights(int64_t begin);
  /// This warp's part of the sums of every projection, four numbers per lane. `weights` are its first tiles.
  SmallVector<Value> sum(Fragments weights);
  void multiply(const Fragments &weights, int64_t begin, SmallVector<Value> &sums);
  Value tileOf(int64_t number) { return block.add(block.mul(warp, share), block.constant(number)); }
  void finish(Value first, Value rows, ValueRange sums);

  BlockKernel &block;
  SmallVector<LinearOp> linears;
  int64_t depth, warps, tiles, share, held;
  Value panel, warp, lane, xs, partials;
};
} // namespace

void TensorStepBuilder::fillRows(Value first, Value rows) {
  OpBuilder &builder = block.builder;
  int64_t pitch = cast<MemRefType>(xs.getType()).getDimSize(1);
  auto zero = arith::ConstantOp::create(
      builder, block.loc, DenseElementsAttr::get(VectorType::get({8}, builder.getBF16Type()), APFloat(APFloat::BFloat(), "0")));
  block.share(block.constant(rowsOfTile * pitch / 8), [&](Value part) {
    block.store(zero, xs, {block.div(part, pitch / 8), block.mul(block.rem(part, pitch / 8), 8)});
  });
  block.barrier();
  Value x = linears.front().getX();
  // A row's last vector may reach into its padding, which must stay zero.
  auto put = [&](Value vector, Value row, Value column) {
    if (depth % panelWidth == 0) // rows have no padding
      return block.store(vector, xs, {row, column});
    if (depth % threadLanes == 0)
      return block.when(block.less(column, block.constant(depth)), [&] { block.store(vector, xs, {row, column}); });
    for (int64_t i = 0; i < threadLanes; ++i) {
      Value place = block.add(column, block.constant(i));
      block.when(block.less(place, block.constant(depth)), [&] {
        block.storeScalar(vector::ExtractOp::create(builder, block.loc, vector, ArrayRef<int64_t>{i}), xs, {row, place});
      });
    }
  };
  if (isa<BlockArgument>(x)) {
    int64_t units = strideOf(depth) / threadLanes;
    block.share(block.mul(rows, units), [&](Value part) {
      Value row = block.div(part, units), column = block.mul(block.rem(part, units), threadLanes);
      put(block.load(block.buffers.inputs.lookup(x), {block.add(first, row), column}, threadLanes), row, column);
    });
    return block.barrier();
  }
  // As many rows at once as the schedule gives memory for.
  int64_t rowTile = block.schedule.getRowTile();
  block.loop(block.constant(0), rows, rowTile, [&](Value begin) {
    Value some = block.least(block.sub(rows, begin), block.constant(rowTile));
    block.evaluateRows(
        sliceOf(block.kernel, x), block.add(first, begin), some, rowTile, depth, [](TileEvaluator &, Value) {},
        [&](TileEvaluator &evaluator, Value row) { put(evaluator.at(x, 0, 0), block.add(begin, row), evaluator.firstColumn()); });
    block.barrier();
  });
}

static Value toWords(BlockKernel &block, Value vector, int64_t count) {
  return vector::BitCastOp::create(block.builder, block.loc, VectorType::get({count}, block.builder.getI32Type()), vector);
}

static Value wordOf(BlockKernel &block, Value words, int64_t i) {
  return vector::ExtractOp::create(block.builder, block.loc, words, ArrayRef<int64_t>{i});
}

TensorStepBuilder::Fragments TensorStepBuilder::readWeights(int64_t begin) {
  auto none = arith::ConstantOp::create(block.builder, block.loc,
                                        DenseElementsAttr::get(VectorType::get({4}, block.builder.getI32Type()), int32_t(0)));
  Fragments fragments;
  for (LinearOp linear : linears)
    for (int64_t i = 0; i < held; ++i) {
      Value tile = tileOf(begin + i), last = block.constant(tiles - 1);
      Value eight =
          block.load(block.buffers.inputs.lookup(linear.getWeight()), {panel, block.least(tile, last), lane, block.constant(0)}, 8);
      Value words = toWords(block, eight, 4);
      bool isWhole = begin + i < share && share * warps == tiles;
      if (!isWhole) {
        Value there = begin + i < share ? block.less(tile, block.constant(tiles))
                                        : arith::ConstantIntOp::create(block.builder, block.loc, 0, 1);
        words = arith::SelectOp::create(block.builder, block.loc, there, words, none);
      }
      fragments.push_back(words);
    }
  return fragments;
}

void TensorStepBuilder::multiply(const Fragments &weights, int64_t begin, SmallVector<Value> &sums) {
  Value row = block.div(lane, 4), pair = block.mul(block.rem(lane, 4), 2);
  for (int64_t i = 0; i < held && begin + i < share; ++i) {
    // Past the last tile the weights are zero; the rows must be numbers all the same.
    Value tile = block.least(tileOf(begin + i), block.constant(tiles - 1));
    Value column = block.add(block.mul(tile, depthOfTile), pair);
    std::array<Value, 2> b;
    for (int64_t half = 0; half < 2; ++half)
      b[half] = wordOf(block, toWords(block, block.load(xs, {row, block.add(column, block.constant(8 * half))}, 2), 1), 0);
    for (size_t l = 0; l < linears.size(); ++l) {
      Value words = weights[l * held + i];
      Value *sum = &sums[4 * l];
      auto next =
          cuda::multiplyAdd(block.builder, block.loc,
                            {wordOf(block, words, 0), wordOf(block, words, 1), wordOf(block, words, 2), wordOf(block, words, 3)}, b,
                            {sum[0], sum[1], sum[2], sum[3]});
      llvm::copy(next, sum);
    }
  }
}

SmallVector<Value> TensorStepBuilder::sum(Fragments weights) {
  SmallVector<Value> sums(4 * linears.size(), block.number(0));
  for (int64_t begin = 0; begin < share; begin += held) {
    if (begin > 0)
      weights = readWeights(begin);
    multiply(weights, begin, sums);
  }
  return sums;
}

void TensorStepBuilder::finish(Value first, Value rows, ValueRange sums) {
  Value channel = block.div(lane, 4), column = block.mul(block.rem(lane, 4), 2);
  for (size_t l = 0; l < linears.size(); ++l)
    for (int64_t i = 0; i < 4; ++i) {
      Value row = block.add(column, block.constant(i % 2)), own = block.add(channel, block.constant(i / 2 * 8));
      block.storeScalar(sums[4 * l + i], partials, {warp, block.constant(l), row, own});
    }
  block.barrier();
  Value row = block.div(block.thread, panelWidth), own = block.rem(block.thread, panelWidth);
  block.when(block.less(row, rows), [&] {
    Value place = block.add(block.mul(panel, panelWidth), own);
    TileEvaluator evaluator(block.builder, block.kernel, block.buffers, {block.add(first, row), place, 1, 1, /*lanes=*/1, {}});
    for (auto [l, linear] : llvm::enumerate(linears)) {
      Value total = block.number(0);
      for (int64_t part = 0; part < warps; ++part)
        total = arith::AddFOp::create(block.builder, block.loc, total,
                                      block.loadScalar(partials, {block.constant(part), block.constant(l), row, own}));
      evaluator.define(linear.getResult(), {vector::BroadcastOp::create(block.builder, block.loc,
                                                                        VectorType::get({1}, block.builder.getF32Type()), total)});
    }
    evaluator.evaluate(block.mainOps());
    block.storeResults(evaluator);
  });
  block.barrier();
}

void TensorStepBuilder::buildGroup(Value first, Value rows, const Fragments &weights) {
  fillRows(first, rows);
  finish(first, rows, sum(weights));
}

void TensorStepBuilder::build() {
  panel = cuda::blockId(block.builder, block.loc, cuda::Axis::Y);
  warp = block.div(block.thread, lanesOfWarp);
  lane = block.rem(block.thread, lanesOfWarp);
  // Eight elements of padding turn rows off each other's banks.
  xs = block.shared({rowsOfTile, int64_t(llvm::alignTo(depth, 32)) + 8}, block.builder.getBF16Type());
  partials = block.shared({warps, int64_t(linears.size()), rowsOfTile, panelWidth}, block.builder.getF32Type());
  int64_t rowSplit = block.schedule.getRowSplit();
  Value begin = block.mul(cuda::blockId(block.builder, block.loc, cuda::Axis::X), rowSplit);
  Value end = block.least(block.add(begin, block.constant(rowSplit)), block.count);
  Fragments weights = readWeights(0);
  block.waitForInputs();
  block.loop(begin, end, rowsOfTile,
             [&](Value first) { buildGroup(first, block.least(block.sub(end, first), block.constant(rowsOfTile)), weights); });
}

void sm1::buildTensorStep(BlockKernel &block) { TensorStepBuilder(block).build(); }
