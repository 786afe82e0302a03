//===- TilesForm.cpp - projections of many rows with fused multiply-adds -----------------------------------------===//
//
// A block takes row_split rows and panel_split panels. For each block of 64 k, rows and weights go through shared memory, and a
// thread sums row_tile rows by 4 channels of every projection; blocks are added in order. The order of a sum is that of sm1.linear.

#include "BlockKernel.h"

#include "../../Transforms/KernelMerge.h"
#include "GpuOps.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

namespace {
class TilesBuilder {
public:
  TilesBuilder(BlockKernel &block)
      : block(block), rowTile(block.schedule.getRowTile()), rows(block.schedule.getRowSplit()),
        panels(block.schedule.getPanelSplit()), quads(panels * panelWidth / threadLanes) {}
  void build();

private:
  /// Sums of the projections of one x: per projection one vector of 4 channels for each row of the thread.
  SmallVector<Value> sum(ArrayRef<LinearOp> linears);
  void fillRows(Value x, Value tile, Value k, int64_t depth);
  void fillWeights(Value weight, Value tile, Value k, int64_t depth);

  BlockKernel &block;
  int64_t rowTile, rows, panels, quads;
  Value firstRow, firstPanel, threadRow, threadQuad;
};
} // namespace

/// Rows to shared memory, transposed: neighbouring threads take neighbouring rows, so that their writes lie side by side.
void TilesBuilder::fillRows(Value x, Value tile, Value k, int64_t depth) {
  Value last = block.sub(block.count, block.constant(1));
  block.share(block.constant(rows * sumBlock / threadLanes), [&](Value part) {
    Value row = block.rem(part, rows), inside = block.mul(block.div(part, rows), threadLanes);
    Value column = block.add(k, inside);
    block.when(block.less(column, block.constant(strideOf(depth))), [&] {
      Value from = block.least(block.add(firstRow, row), last);
      Value values = block.widen(block.load(x, {from, column}, threadLanes));
      for (int64_t i = 0; i < threadLanes; ++i) {
        Value one = vector::ExtractOp::create(block.builder, block.loc, values, ArrayRef<int64_t>{i});
        block.storeScalar(one, tile, {block.add(inside, block.constant(i)), row});
      }
    });
  });
}

void TilesBuilder::fillWeights(Value weight, Value tile, Value k, int64_t depth) {
  int64_t lastPanel = cast<MemRefType>(weight.getType()).getDimSize(0) - 1, perPanel = sumBlock * panelWidth / threadLanes;
  block.share(block.constant(panels * perPanel), [&](Value part) {
    Value panel = block.div(part, perPanel), rest = block.rem(part, perPanel);
    Value inside = block.div(rest, panelWidth / threadLanes),
          lanes = block.mul(block.rem(rest, panelWidth / threadLanes), threadLanes);
    Value row = block.add(k, inside);
    block.when(block.less(row, block.constant(depth)), [&] {
      Value from = block.least(block.add(firstPanel, panel), block.constant(lastPanel));
      Value values = block.widen(block.load(weight, {from, row, lanes}, threadLanes));
      block.store(values, tile, {inside, block.add(block.mul(panel, panelWidth), lanes)});
    });
  });
}

SmallVector<Value> TilesBuilder::sum(ArrayRef<LinearOp> linears) {
  LinearOp first = linears.front();
  Value x = block.buffers.inputs.lookup(first.getX());
  int64_t depth = channels(first.getX().getType());
  int64_t mark = block.sharedMark();
  Type f32 = block.builder.getF32Type();
  // Four floats of padding keep rows of the transposed tile on 16 bytes and off each other's banks.
  Value xs = block.shared({sumBlock, rows + 4}, f32);
  SmallVector<Value> weights;
  for (size_t i = 0; i < linears.size(); ++i)
    weights.push_back(block.shared({sumBlock, panels * panelWidth}, f32));
  SmallVector<Value> zeros(linears.size() * rowTile, block.zeros(threadLanes));

  auto multiply = [&](Value k, ValueRange carried) {
    SmallVector<Value> next(carried);
    Value row = block.load(xs, {k, block.mul(threadRow, rowTile)}, rowTile);
    for (auto [l, weight] : llvm::enumerate(weights)) {
      Value quad = block.load(weight, {k, block.mul(threadQuad, threadLanes)}, threadLanes);
      for (int64_t m = 0; m < rowTile; ++m) {
        Value one = vector::ExtractOp::create(block.builder, block.loc, row, ArrayRef<int64_t>{m});
        Value splat = vector::BroadcastOp::create(block.builder, block.loc, quad.getType(), one);
        next[l * rowTile + m] = block.fma(splat, quad, next[l * rowTile + m]);
      }
    }
    return next;
  };
  auto totals = block.loopWith(block.constant(0), block.constant(depth), sumBlock, zeros, [&](Value k, ValueRange totals) {
    fillRows(x, xs, k, depth);
    for (auto [linear, tile] : llvm::zip(linears, weights))
      fillWeights(block.buffers.inputs.lookup(LinearOp(linear).getWeight()), tile, k, depth);
    block.barrier();
    Value length = block.least(block.constant(sumBlock), block.sub(block.constant(depth), k));
    SmallVector<Value> sums = block.loopWith(block.constant(0), length, 1, zeros, multiply), next;
    block.barrier();
    for (auto [total, sum] : llvm::zip(totals, sums))
      next.push_back(arith::AddFOp::create(block.builder, block.loc, total, sum));
    return next;
  });
  block.releaseShared(mark);
  return totals;
}

void TilesBuilder::build() {
  firstRow = block.mul(cuda::blockId(block.builder, block.loc, cuda::Axis::X), rows);
  firstPanel = block.mul(cuda::blockId(block.builder, block.loc, cuda::Axis::Y), panels);
  threadRow = block.div(block.thread, quads);
  threadQuad = block.rem(block.thread, quads);
  block.waitForInputs();
  SmallVector<std::pair<Value, SmallVector<Value>>> sums;
  for (auto &linears : block.projections()) {
    SmallVector<Value> totals = sum(linears);
    for (auto [l, linear] : llvm::enumerate(linears))
      sums.push_back({linear.getResult(), llvm::to_vector(ArrayRef<Value>(totals).slice(l * rowTile, rowTile))});
  }
  int64_t units = strideOf(widthOf(block.kernel)) / threadLanes;
  Value unit = block.add(block.mul(firstPanel, panelWidth / threadLanes), threadQuad);
  block.when(block.less(unit, block.constant(units)), [&] {
    Tile tile{block.add(firstRow, block.mul(threadRow, rowTile)), unit, rowTile, 1, threadLanes, block.count};
    TileEvaluator evaluator(block.builder, block.kernel, block.buffers, tile);
    for (auto &[value, vectors] : sums)
      evaluator.define(value, vectors);
    evaluator.evaluate(block.mainOps());
    block.storeResults(evaluator);
  });
}

void sm1::buildTiles(BlockKernel &block) { TilesBuilder(block).build(); }
