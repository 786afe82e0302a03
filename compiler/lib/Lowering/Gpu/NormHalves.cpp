//===- NormHalves.cpp - halves of norms in tiles on tensor cores -------------------------------------------------===//
//
// Who makes a row stores the sums of squares of its panels, a number for each 16 channels, whatever its tiles are. Who multiplies
// the row adds them up while its first copies are on their way, a row to a thread, and scales its sums at the end.

#include "NormHalves.h"

#include "../../Transforms/KernelMerge.h"
#include "GpuOps.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

/// 1 / sqrt(mean of squares + eps) of a row: four chains over its panels, what is left of them one by one.
static Value inverseRms(BlockKernel &block, RmsScaleOp scale, Value row) {
  OpBuilder &builder = block.builder;
  Value squares = block.buffers.inputs.lookup(scale.getSquares()), sum;
  int64_t panels = panelsOf(scale.getWidth()), whole = panels / threadLanes * threadLanes;
  auto add = [&](Value value) { sum = sum ? arith::AddFOp::create(builder, block.loc, sum, value).getResult() : value; };
  for (int64_t panel = 0; panel < whole; panel += threadLanes)
    add(block.load(squares, {row, block.constant(panel)}, threadLanes));
  if (Value chains = std::exchange(sum, Value()))
    for (int64_t i = 0; i < threadLanes; ++i)
      add(vector::ExtractOp::create(builder, block.loc, chains, ArrayRef<int64_t>{i}));
  for (int64_t panel = whole; panel < panels; ++panel)
    add(block.loadScalar(squares, {row, block.constant(panel)}));
  Value mean = arith::DivFOp::create(builder, block.loc, sum, block.number(scale.getWidth()));
  Value eps = arith::ConstantOp::create(builder, block.loc, scale.getEpsAttr());
  Value root = math::SqrtOp::create(builder, block.loc, arith::AddFOp::create(builder, block.loc, mean, eps));
  return arith::DivFOp::create(builder, block.loc, block.number(1), root);
}

void sm1::readRowFactors(BlockKernel &block, Value firstRow, int64_t rows) {
  block.buffers.rowBegin = firstRow;
  llvm::SmallDenseMap<Value, Value> known; // by squares
  for (auto scale : block.kernel.getBlock().getOps<RmsScaleOp>()) {
    Value &factors = known[scale.getSquares()];
    if (!factors) {
      factors = block.shared({rows}, block.builder.getF32Type());
      block.share(block.least(block.constant(rows), block.sub(block.count, firstRow)),
                  [&](Value own) { block.storeScalar(inverseRms(block, scale, block.add(firstRow, own)), factors, own); });
    }
    block.buffers.inputs[scale.getResult()] = factors;
  }
}

PanelSquaresOp sm1::storedSquares(KernelOp kernel) {
  auto found = kernel.getBlock().getOps<PanelSquaresOp>();
  return found.empty() ? PanelSquaresOp() : *found.begin();
}

SmallVector<Value> sm1::numbersWhen(BlockKernel &block, Value condition, int64_t count,
                                    llvm::function_ref<SmallVector<Value>()> body) {
  OpBuilder &builder = block.builder;
  Location loc = block.loc;
  if (count == 0)
    return block.when(condition, [&] { body(); }), SmallVector<Value>();
  auto choice = scf::IfOp::create(
      builder, loc, condition, [&](OpBuilder &, Location) { scf::YieldOp::create(builder, loc, body()); },
      [&](OpBuilder &, Location) { scf::YieldOp::create(builder, loc, SmallVector<Value>(count, block.number(0))); });
  return SmallVector<Value>(choice.getResults());
}

void sm1::storeSquares(BlockKernel &block, Value sum, ArrayRef<int32_t> distances, Value isFirst, Value row, Value panel) {
  OpBuilder &builder = block.builder;
  for (int32_t distance : distances)
    sum = arith::AddFOp::create(builder, block.loc, sum, cuda::shuffleXor(builder, block.loc, sum, distance));
  Value panels = block.constant(strideOf(widthOf(block.kernel)) / panelWidth);
  Value isThere = arith::AndIOp::create(builder, block.loc, block.less(row, block.count), block.less(panel, panels));
  block.when(arith::AndIOp::create(builder, block.loc, isFirst, isThere), [&] {
    for (auto [yielded, buffer] : llvm::zip(block.kernel.yielded(), block.buffers.results))
      if (yielded.getDefiningOp<PanelSquaresOp>())
        block.storeScalar(sum, buffer, {row, panel});
  });
}
