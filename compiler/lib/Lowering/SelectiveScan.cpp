//===- SelectiveScan.cpp - a scan of several states per channel, on a tile of rows and panels --------------------===//
//
// The states are a loop, the rows and panels of the tile are unrolled in it: what a state carries stays in registers from row to
// row, and the exponentials of neighbouring panels hide each other's latency. No array has rows, channels and states.

#include "KernelFunction.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

Value TileEvaluator::atState(Value param, Value state, int64_t n) {
  if (isa<BlockArgument>(param))
    return widen(loadVector(buffers.inputs.lookup(param), {state, column(n)}));
  Operation *op = param.getDefiningOp();
  auto operands = llvm::map_to_vector(op->getOperands(), [&](Value operand) { return atState(operand, state, n); });
  return copyOnVectors(op, operands)->getResult(0);
}

/// Where the 16 numbers of a state are in a region with as many for each state of a panel.
Value TileEvaluator::placeOfState(ScratchRegion region, Value state, int64_t n) {
  Value panel = arith::SubIOp::create(builder, loc, add(tile.panel, constant(n)), buffers.panelBegin);
  Value start = arith::MulIOp::create(builder, loc, panel, constant(region.stride));
  Value inside = arith::MulIOp::create(builder, loc, state, constant(panelWidth));
  return add(add(start, inside), constant(region.offset));
}

/// What all channels of row `m` have in common: number `state` of its B or C, in every lane.
Value TileEvaluator::weightOfState(Value weights, int64_t m, Value state) {
  Value number = memref::LoadOp::create(builder, loc, buffers.inputs.lookup(weights), ValueRange{row(m), state});
  return vector::BroadcastOp::create(builder, loc, vectorOf(builder.getF32Type()), widen(number));
}

/// The state that the row at `position` starts from: the one that the row before left, or the one that its sequence came with.
Value TileEvaluator::stateBefore(SelectiveScanOp op, const RowPosition &position, Value state, int64_t n, Value left) {
  auto given = [&]() -> Value {
    return op.getInit() ? loadVector(buffers.inputs.lookup(op.getInit()), {position.segment, state, column(n)}) : splat(0);
  };
  if (buffers.oneRowPerSegment)
    return given();
  // A branch that a processor foresees: hardly any row is the first of its sequence.
  auto choice = scf::IfOp::create(
      builder, loc, position.isStart, [&](OpBuilder &b, Location l) { scf::YieldOp::create(b, l, given()); },
      [&](OpBuilder &b, Location l) { scf::YieldOp::create(b, l, left); });
  return choice.getResult(0);
}

/// One state of the tile's rows and panels; `sums` with its part of y.
SmallVector<Value> TileEvaluator::scanState(SelectiveScanOp op, ArrayRef<RowPosition> positions, Value state, ValueRange sums) {
  SmallVector<Value> next(sums), rates, left;
  ScratchRegion carry = buffers.carries.lookup(op);
  auto known = buffers.rates.find(op);
  for (int64_t n = 0; n < tile.panels; ++n) {
    rates.push_back(known == buffers.rates.end() ? atState(op.getA(), state, n)
                                                 : loadVector(buffers.scratch, placeOfState(known->second, state, n)));
    left.push_back(buffers.oneRowPerSegment ? Value() : loadVector(buffers.scratch, placeOfState(carry, state, n)));
  }
  for (int64_t m = 0; m < tile.rows; ++m) {
    Value write = weightOfState(op.getB(), m, state), read = weightOfState(op.getC(), m, state);
    for (int64_t n = 0; n < tile.panels; ++n) {
      Value before = stateBefore(op, positions[m], state, n, left[n]);
      Value exponent = arith::MulFOp::create(builder, loc, at(op.getDt(), m, n), rates[n]);
      Value decay = math::ExpOp::create(builder, loc, exponent);
      Value written = arith::MulFOp::create(builder, loc, at(op.getInput(), m, n), write);
      left[n] = vector::FMAOp::create(builder, loc, decay, before, written);
      Value &sum = next[m * tile.panels + n];
      sum = vector::FMAOp::create(builder, loc, read, left[n], sum);
    }
    for (Value last : resultBuffers(op.getLast()))
      when(positions[m].isLast, [&] {
        for (int64_t n = 0; n < tile.panels; ++n)
          vector::StoreOp::create(builder, loc, left[n], last, ValueRange{positions[m].segment, state, column(n)},
                                  /*nontemporal=*/false, alignmentOf(builder.getF32Type()));
      });
  }
  if (!buffers.oneRowPerSegment)
    for (int64_t n = 0; n < tile.panels; ++n)
      vector::StoreOp::create(builder, loc, left[n], buffers.scratch, placeOfState(carry, state, n));
  return next;
}

void TileEvaluator::evaluateSelectiveScan(SelectiveScanOp op) {
  SmallVector<RowPosition> positions;
  for (int64_t m = 0; m < tile.rows; ++m)
    positions.push_back(positionOf(m));
  for (Value operand : {op.getDt(), op.getInput()})
    at(operand, 0, 0); // outside the loop over states
  SmallVector<Value> zeros(tile.rows * tile.panels, splat(0));
  auto loop = scf::ForOp::create(builder, loc, constant(0), constant(op.stateSize()), constant(1), zeros,
                                 [&](OpBuilder &, Location, Value state, ValueRange sums) {
                                   scf::YieldOp::create(builder, loc, scanState(op, positions, state, sums));
                                 });
  define(op.getY(), SmallVector<Value>(loop.getResults()));
}

//===----------------------------------------------------------------------===//
// Once per task
//===----------------------------------------------------------------------===//

/// Scratch for what is carried from tile to tile, and for A where it is computed from parameters.
void KernelFunction::planSelectiveScan(SelectiveScanOp scan) {
  int64_t panels = strideOf(widthOf(kernel)) / panelWidth, stride = panelWidth * scan.stateSize();
  buffers.carries[scan] = reserve(stride, panels);
  if (scan.getA().getDefiningOp())
    buffers.rates[scan] = reserve(stride, panels);
}

void KernelFunction::buildRates() {
  for (auto [op, region] : buffers.rates) {
    auto scan = cast<SelectiveScanOp>(op);
    loop(buffers.panelBegin, buffers.panelEnd, 1, [&, region = region](Value panel) {
      loop(constant(0), constant(scan.stateSize()), 1, [&](Value state) {
        TileEvaluator evaluator(builder, kernel, buffers, {buffers.rowBegin, panel});
        Value rate = evaluator.atState(scan.getA(), state, 0);
        vector::StoreOp::create(builder, loc, rate, buffers.scratch, evaluator.placeOfState(region, state, 0));
      });
    });
  }
}
