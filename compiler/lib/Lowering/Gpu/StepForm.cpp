//===- StepForm.cpp - projections of few rows with fused multiply-adds -------------------------------------------===//
//
// A block takes one panel of 16 channels of every projection. 16 neighbouring threads sum one block of 64 k, one channel each; the
// blocks are added in order by one thread per row and channel, which also computes what follows. Weights are read once for row_tile
// rows. The order of a sum is that of sm1.linear, so a step has the bits of a prefill.

#include "BlockKernel.h"

#include "../../Transforms/KernelMerge.h"
#include "GpuOps.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

namespace {
class StepBuilder {
public:
  StepBuilder(BlockKernel &block) : block(block), panel(cuda::blockId(block.builder, block.loc, cuda::Axis::Y)) {}
  void build();

private:
  void buildGroup(Value first, int64_t rows);
  /// Where the rows that projections multiply are: [rows, stride] in shared memory if they are computed here, else the whole
  /// buffer.
  struct Multiplied {
    Value buffer;
    Value firstRow;
  };
  Multiplied prepare(Value x, Value first, int64_t rows);
  /// Sums of one block of k for every projection of an x and every row of the group.
  SmallVector<Value> sumBlockOf(ArrayRef<LinearOp> linears, Multiplied x, Value begin, int64_t rows);

  BlockKernel &block;
  Value panel;
};
} // namespace

/// Weights that a thread reads before it uses the first.
static constexpr int64_t readTogether = 8;

StepBuilder::Multiplied StepBuilder::prepare(Value x, Value first, int64_t rows) {
  if (isa<BlockArgument>(x))
    return {block.buffers.inputs.lookup(x), first};
  int64_t width = channels(x.getType());
  Value buffer = block.shared({rows, strideOf(width)}, block.builder.getF32Type());
  block.evaluateRows(
      sliceOf(block.kernel, x), first, block.constant(rows), rows, width, [](TileEvaluator &, Value) {},
      [&](TileEvaluator &evaluator, Value row) {
        block.store(block.widen(evaluator.at(x, 0, 0)), buffer, {row, evaluator.firstColumn()});
      });
  block.barrier();
  return {buffer, block.constant(0)};
}

SmallVector<Value> StepBuilder::sumBlockOf(ArrayRef<LinearOp> linears, Multiplied x, Value begin, int64_t rows) {
  Value lane = block.rem(block.thread, panelWidth);
  auto multiply = [&](int64_t together) {
    return [&, together](Value k, ValueRange carried) {
      SmallVector<Value> next(carried), weights;
      for (LinearOp linear : linears)
        for (int64_t i = 0; i < together; ++i)
          weights.push_back(
              block.loadScalar(block.buffers.inputs.lookup(linear.getWeight()), {panel, block.add(k, block.constant(i)), lane}));
      for (int64_t m = 0; m < rows; ++m) {
        Value row = block.add(x.firstRow, block.constant(m));
        for (int64_t i = 0; i < together; ++i) {
          Value multiplied = block.widen(block.loadScalar(x.buffer, {row, block.add(k, block.constant(i))}));
          for (size_t l = 0; l < linears.size(); ++l) {
            Value &sum = next[l * rows + m];
            sum = block.fma(multiplied, block.widen(weights[l * together + i]), sum);
          }
        }
      }
      return next;
    };
  };
  SmallVector<Value> zeros(linears.size() * rows, block.number(0));
  int64_t depth = channels(LinearOp(linears.front()).getX().getType());
  if (depth % sumBlock == 0) // every block is whole: all threads go round as often
    return block.loopWith(block.constant(0), block.constant(sumBlock), readTogether, zeros, [&](Value inside, ValueRange carried) {
      return multiply(readTogether)(block.add(begin, inside), carried);
    });
  Value end = block.least(block.add(begin, block.constant(sumBlock)), block.constant(depth));
  Value whole = block.sub(end, block.rem(block.sub(end, begin), readTogether));
  SmallVector<Value> sums = block.loopWith(begin, whole, readTogether, zeros, multiply(readTogether));
  return block.loopWith(whole, end, 1, sums, multiply(1));
}

void StepBuilder::buildGroup(Value first, int64_t rows) {
  int64_t mark = block.sharedMark(), team = block.schedule.getThreads() / panelWidth;
  Value own = block.div(block.thread, panelWidth), lane = block.rem(block.thread, panelWidth);
  Type f32 = block.builder.getF32Type();
  SmallVector<std::pair<Value, Value>> partials; // result of a projection, [row][block of k][channel]
  for (auto &linears : block.projections()) {
    int64_t depth = channels(linears.front().getX().getType()), blocks = llvm::divideCeil(depth, sumBlock);
    Multiplied x = prepare(linears.front().getX(), first, rows);
    SmallVector<Value> arrays;
    for (LinearOp linear : linears) {
      arrays.push_back(block.shared({rows, blocks, panelWidth}, f32));
      partials.push_back({linear.getResult(), arrays.back()});
    }
    auto sumPart = [&](Value part) {
      SmallVector<Value> sums = sumBlockOf(linears, x, block.mul(part, sumBlock), rows);
      for (size_t l = 0; l < linears.size(); ++l)
        for (int64_t m = 0; m < rows; ++m)
          block.storeScalar(sums[l * rows + m], arrays[l], {block.constant(m), part, lane});
    };
    if (blocks <= team)
      block.when(block.less(own, block.constant(blocks)), [&] { sumPart(own); });
    else
      block.loop(own, block.constant(blocks), team, sumPart);
  }
  block.barrier();
  block.when(block.less(own, block.constant(rows)), [&] {
    Value column = block.add(block.mul(panel, panelWidth), lane);
    TileEvaluator evaluator(block.builder, block.kernel, block.buffers, {block.add(first, own), column, 1, 1, /*lanes=*/1, {}});
    for (auto [result, array] : partials) {
      int64_t blocks = cast<MemRefType>(array.getType()).getDimSize(1);
      Value total = block.loopWith(block.constant(0), block.constant(blocks), 1, ValueRange{block.number(0)},
                                   [&](Value part, ValueRange sum) {
                                     return SmallVector<Value>{arith::AddFOp::create(block.builder, block.loc, sum[0],
                                                                                     block.loadScalar(array, {own, part, lane}))};
                                   })[0];
      evaluator.define(result, {vector::BroadcastOp::create(block.builder, block.loc, VectorType::get({1}, f32), total)});
    }
    evaluator.evaluate(block.mainOps());
    block.storeResults(evaluator);
  });
  block.barrier();
  block.releaseShared(mark);
}

/// Groups of row_tile rows, then single rows.
void StepBuilder::build() {
  int64_t rowTile = block.schedule.getRowTile(), rowSplit = block.schedule.getRowSplit();
  Value begin = block.mul(cuda::blockId(block.builder, block.loc, cuda::Axis::X), rowSplit);
  Value end = block.least(block.add(begin, block.constant(rowSplit)), block.count);
  Value whole = block.sub(end, block.rem(block.sub(end, begin), rowTile));
  block.waitForInputs();
  if (rowTile > 1)
    block.loop(begin, whole, rowTile, [&](Value first) { buildGroup(first, rowTile); });
  block.loop(rowTile > 1 ? whole : begin, end, 1, [&](Value first) { buildGroup(first, 1); });
}

void sm1::buildStep(BlockKernel &block) { StepBuilder(block).build(); }
