//===- RowKernels.cpp - kernels that walk whole rows: norms, and what is computed on the way into projections ----===//

#include "KernelFunction.h"
#include "Prologue.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

/// 1 / sqrt(mean of squares + eps); the 16 partial sums are added pairwise in halves.
Value KernelFunction::inverseRms(RmsNormOp norm, Value squares) {
  for (int64_t half = panelWidth / 2; half >= 1; half /= 2) {
    auto slice = [&](int64_t offset) -> Value {
      return vector::ExtractStridedSliceOp::create(builder, loc, squares, ArrayRef<int64_t>{offset}, ArrayRef<int64_t>{half},
                                                   ArrayRef<int64_t>{1});
    };
    squares = arith::AddFOp::create(builder, loc, slice(0), slice(half));
  }
  Type f32 = builder.getF32Type();
  auto number = [&](double value) -> Value { return arith::ConstantOp::create(builder, loc, builder.getFloatAttr(f32, value)); };
  Value sum = vector::ExtractOp::create(builder, loc, squares, ArrayRef<int64_t>{0});
  Value mean = arith::DivFOp::create(builder, loc, sum, number(channels(norm.getType())));
  Value eps = arith::ConstantOp::create(builder, loc, norm.getEpsAttr());
  Value root = math::SqrtOp::create(builder, loc, arith::AddFOp::create(builder, loc, mean, eps));
  return arith::DivFOp::create(builder, loc, number(1), root);
}

/// Panels of a row that are evaluated at once: independent operations hide the latency of exp and division.
static constexpr int64_t rowPanels = 4;

/// Calls `body` for all panels of a row in order, whole groups first; gives and returns what is carried, which may be nothing.
Value KernelFunction::walkRow(int64_t width, Value carried, llvm::function_ref<Value(Value, int64_t, Value)> body) {
  auto walk = [&](int64_t begin, int64_t end, int64_t step) {
    auto loop =
        scf::ForOp::create(builder, loc, constant(begin), constant(end), constant(step),
                           carried ? ValueRange(carried) : ValueRange(), [&](OpBuilder &, Location, Value panel, ValueRange sum) {
                             Value next = body(panel, step, carried ? sum[0] : Value());
                             scf::YieldOp::create(builder, loc, next ? ValueRange(next) : ValueRange());
                           });
    carried = carried ? loop.getResult(0) : Value();
  };
  int64_t panels = strideOf(width) / panelWidth, grouped = width / panelWidth / rowPanels * rowPanels;
  if (grouped)
    walk(0, grouped, rowPanels);
  if (grouped < panels)
    walk(grouped, panels, 1);
  return carried;
}

/// A row's sum of squares is one chain, behind which the next row is not asked for in time if memory has it.
static constexpr int64_t rowsAhead = 4;

/// Puts what `norm` is taken of into scratch; returns the sums of squares of channels j, j + 16, ... for each j, in order.
Value KernelFunction::buildSquares(ArrayRef<Operation *> earlier, RmsNormOp norm, Value row, int64_t width, RowBody beforeNorm) {
  auto vectorType = VectorType::get({panelWidth}, builder.getF32Type());
  Value zero = arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(vectorType, 0.0f));
  Value last = arith::SubIOp::create(builder, loc, buffers.rowEnd, constant(1));
  Value fetched = arith::MinUIOp::create(builder, loc, arith::AddIOp::create(builder, loc, row, constant(rowsAhead)), last);
  return walkRow(width, zero, [&](Value panel, int64_t panels, Value sum) {
    Tile tile{row, panel, 1, panels, panelWidth, /*rowEnd=*/{}, /*fetchedRow=*/fetched, /*fetchedPanel=*/panel};
    TileEvaluator evaluator(builder, kernel, buffers, tile);
    evaluator.evaluate(earlier);
    beforeNorm(evaluator);
    for (int64_t n = 0; n < panels; ++n) {
      Value x = evaluator.at(norm.getX(), 0, n);
      vector::StoreOp::create(builder, loc, x, buffers.scratch, indexOf(normRow, panel, n));
      if (width % panelWidth && panels == 1) { // what lies in a row's padding must not count
        Value left = arith::SubIOp::create(builder, loc, constant(width), evaluator.firstColumn());
        Value mask = vector::CreateMaskOp::create(builder, loc, VectorType::get({panelWidth}, builder.getI1Type()), left);
        x = arith::SelectOp::create(builder, loc, mask, x, zero);
      }
      sum = vector::FMAOp::create(builder, loc, x, x, sum);
    }
    return sum;
  });
}

void KernelFunction::buildRow(ArrayRef<Operation *> ops, Value row, int64_t width, RowBody beforeNorm, RowBody done) {
  RmsNormOp norm = normIn(ops);
  SmallVector<Operation *> later(ops);
  auto vectorType = VectorType::get({panelWidth}, builder.getF32Type());
  Value inverse;
  if (norm) {
    SmallVector<Operation *> earlier = sliceOf(kernel, norm.getX());
    llvm::erase_if(later, [&](Operation *op) { return op == norm || llvm::is_contained(earlier, op); });
    Value squares = buildSquares(earlier, norm, row, width, beforeNorm);
    inverse = vector::BroadcastOp::create(builder, loc, vectorType, inverseRms(norm, squares));
  }
  walkRow(width, Value(), [&](Value panel, int64_t panels, Value) {
    TileEvaluator evaluator(builder, kernel, buffers, {row, panel, 1, panels});
    if (norm) {
      SmallVector<Value> normed;
      for (int64_t n = 0; n < panels; ++n) {
        Value x = vector::LoadOp::create(builder, loc, vectorType, buffers.scratch, indexOf(normRow, panel, n));
        Value scaled = arith::MulFOp::create(builder, loc, x, inverse);
        normed.push_back(arith::MulFOp::create(builder, loc, scaled, evaluator.at(norm.getWeight(), 0, n)));
      }
      evaluator.define(norm, std::move(normed));
    }
    evaluator.evaluate(later);
    done(evaluator);
    return Value();
  });
}

void KernelFunction::buildPrologue(Value x) {
  const PrologueRegion &region = buffers.prologues[x];
  bool quantises = region.isQuantised();
  int64_t width = channels(x.getType());
  // Rows of f32 that are whole are quantised from where they lie.
  bool isThere = quantises && isa<BlockArgument>(x) && getElementTypeOrSelf(x).isF32() && width == region.integers();
  loop(buffers.rowBegin, buffers.rowEnd, 1, [&](Value row) {
    Value taskRow = arith::SubIOp::create(builder, loc, row, buffers.rowBegin);
    Value start = startOfRow(builder, loc, region, taskRow);
    Value floats = quantises ? constant(quantisedRow.offset) : start;
    if (!isThere)
      buildRow(
          sliceOf(kernel, x), row, width, [](TileEvaluator &) {},
          [&](TileEvaluator &evaluator) {
            for (int64_t n = 0; n < evaluator.panels(); ++n) {
              Value column = arith::AddIOp::create(builder, loc, evaluator.firstColumn(), constant(n * panelWidth));
              storePrologue(builder, loc, evaluator.at(x, 0, n), buffers.scratch, floats, column, region);
            }
          });
    auto loadFloats = [&](Value column) -> Value {
      auto type = VectorType::get({panelWidth}, builder.getF32Type());
      if (isThere)
        return vector::LoadOp::create(builder, loc, type, buffers.inputs.lookup(x), ValueRange{row, column});
      return vector::LoadOp::create(builder, loc, type, buffers.scratch,
                                    ValueRange{arith::AddIOp::create(builder, loc, floats, column)});
    };
    if (quantises)
      quantiseRow(builder, loc, buffers.scratch, loadFloats, start, width, region);
  });
}

void KernelFunction::buildWholeRows() {
  // A result that the norm's input needs is stored in the first walk, the others in the second.
  auto storeDefined = [&](TileEvaluator &evaluator) {
    for (auto [yielded, buffer] : llvm::zip(kernel.yielded(), buffers.results))
      if (classify(yielded.getType()) == TensorClass::Stream && evaluator.isDefined(yielded))
        evaluator.store(yielded, buffer);
  };
  loop(buffers.rowBegin, buffers.rowEnd, 1,
       [&](Value row) { buildRow(mainOps, row, widthOf(kernel), storeDefined, storeDefined); });
}
