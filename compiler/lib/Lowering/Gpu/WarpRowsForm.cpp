//===- WarpRowsForm.cpp - rows with a norm, a warp to each -------------------------------------------------------===//
//
// A lane has every 32nd few channels of its row in registers from the first operation to the last, and the warp adds up the squares
// by exchanging sums: no shared memory, and nobody waits for another warp. The order of the sum is not that of a CPU.

#include "BlockKernel.h"

#include "../../Transforms/BlockForms.h"
#include "../../Transforms/KernelMerge.h"
#include "GpuOps.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

/// 1 / sqrt(mean of squares + eps) of the row whose lanes have `x`.
static Value inverseRms(BlockKernel &block, RmsNormOp norm, ArrayRef<Value> x, int64_t lanes) {
  Value squares = block.zeros(lanes);
  for (Value vector : x)
    squares = block.fma(vector, vector, squares);
  return block.inverseRms(block.sumOfWarp(block.sumOfLanes(squares)), channels(norm.getType()), norm.getEpsAttr());
}

static void buildRow(BlockKernel &block, Value row, Value lane) {
  int64_t width = widthOf(block.kernel), lanes = channelsOfLane(width), parts = width / lanes / lanesOfWarp;
  Tile tile{row, lane, 1, parts, lanes, {}};
  tile.panelStep = lanesOfWarp;
  TileEvaluator evaluator(block.builder, block.kernel, block.buffers, tile);
  auto [norm, before, after] = block.aroundNorm();
  evaluator.evaluate(before);
  SmallVector<Value> x, normed;
  for (int64_t n = 0; n < parts; ++n)
    x.push_back(evaluator.at(norm.getX(), 0, n));
  Value scale = vector::BroadcastOp::create(block.builder, block.loc, x.front().getType(), inverseRms(block, norm, x, lanes));
  for (int64_t n = 0; n < parts; ++n) {
    Value scaled = arith::MulFOp::create(block.builder, block.loc, x[n], scale);
    normed.push_back(arith::MulFOp::create(block.builder, block.loc, scaled, evaluator.at(norm.getWeight(), 0, n)));
  }
  evaluator.define(norm, normed);
  evaluator.evaluate(after);
  block.storeResults(evaluator);
}

/// Whether the rows that the convolution looks back on are in the run; nothing where there is no convolution.
static Value hasRowsBefore(BlockKernel &block, Value row) {
  auto convs = block.kernel.getBlock().getOps<Conv1dOp>();
  if (convs.empty())
    return {};
  int64_t taken = cast<RankedTensorType>((*convs.begin()).getWeight().getType()).getDimSize(2);
  Type index = block.builder.getIndexType();
  Value segment = arith::IndexCastOp::create(block.builder, block.loc, index, block.loadScalar(block.buffers.rowSegment, row));
  Value start = arith::IndexCastOp::create(block.builder, block.loc, index, block.loadScalar(block.buffers.segmentStart, segment));
  return arith::CmpIOp::create(block.builder, block.loc, arith::CmpIPredicate::sge, block.sub(row, block.constant(taken - 1)),
                               start);
}

void sm1::buildWarpRows(BlockKernel &block) {
  Value first = block.mul(cuda::blockId(block.builder, block.loc, cuda::Axis::X), block.schedule.getRowTile());
  Value row = block.add(first, block.div(block.thread, lanesOfWarp)), lane = block.rem(block.thread, lanesOfWarp);
  block.waitForInputs();
  block.when(block.less(row, block.count), [&] {
    Value isPlain = block.buffers.oneRowPerSegment ? Value() : hasRowsBefore(block, row);
    if (!isPlain)
      return buildRow(block, row, lane);
    // Code of its own for nearly all rows: there no window waits in registers for a branch to end.
    auto choice = scf::IfOp::create(block.builder, block.loc, isPlain, /*withElseRegion=*/true);
    for (Block *branch : {choice.thenBlock(), choice.elseBlock()}) {
      OpBuilder::InsertionGuard guard(block.builder);
      block.builder.setInsertionPointToStart(branch);
      buildRow(block, row, lane);
      if (branch == choice.thenBlock())
        cuda::endApart(block.builder, block.loc);
    }
  });
}
