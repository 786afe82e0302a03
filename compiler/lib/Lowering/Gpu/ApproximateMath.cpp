//===- ApproximateMath.cpp - exp, log1p and quotients by a GPU's special functions -------------------------------===//
//
// Two or three instructions where ExpandMath takes twenty. A kernel that rounds what it multiplies to bf16 loses nothing by it.

#include "sm1c/Lowering/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/TypeUtilities.h"

namespace sm1 {
#define GEN_PASS_DEF_APPROXIMATEMATH
#include "sm1c/Lowering/Passes.h.inc"
} // namespace sm1

using namespace mlir;

namespace {
/// Formulas over f32, element by element: special functions have no vectors.
struct Approximation {
  OpBuilder &builder;
  Location loc;

  Value number(float value) { return arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(value)); }
  Value call(StringRef intrinsic, ValueRange operands) {
    return LLVM::CallIntrinsicOp::create(builder, loc, builder.getF32Type(), builder.getStringAttr(intrinsic), operands)
        .getResult(0);
  }
  /// 2 ulp, and as much again for each power of two in x.
  Value exp(Value x) {
    constexpr float log2OfE = 0x1.715476p+0f;
    return call("llvm.nvvm.ex2.approx.ftz", arith::MulFOp::create(builder, loc, x, number(log2OfE)).getResult());
  }
  /// Where 1 + x would swallow x, two terms of the series.
  Value log1p(Value x) {
    constexpr float ln2 = 0x1.62e430p-1f, small = 0x1p-10f;
    Value logarithm = call("llvm.nvvm.lg2.approx.ftz.f", arith::AddFOp::create(builder, loc, number(1), x).getResult());
    Value large = arith::MulFOp::create(builder, loc, logarithm, number(ln2));
    Value half = arith::MulFOp::create(builder, loc, x, number(-0.5f));
    Value series = math::FmaOp::create(builder, loc, half, x, x);
    Value magnitude = math::AbsFOp::create(builder, loc, x);
    Value isSmall = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OLT, magnitude, number(small));
    return arith::SelectOp::create(builder, loc, isSmall, series, large);
  }
  /// 2 ulp.
  Value quotient(Value a, Value b) { return call("llvm.nvvm.div.full.ftz", {a, b}); }

  /// `op` on each element; null where there is no approximation of it.
  Value element(Operation *op, ValueRange operands) {
    if (isa<math::ExpOp>(op))
      return exp(operands[0]);
    if (isa<math::Log1pOp>(op))
      return log1p(operands[0]);
    return quotient(operands[0], operands[1]);
  }
};

struct ApproximateMath : sm1::impl::ApproximateMathBase<ApproximateMath> {
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation()->walk([&](Operation *op) {
      if (isa<math::ExpOp, math::Log1pOp, arith::DivFOp>(op) && getElementTypeOrSelf(op->getResult(0)).isF32())
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      OpBuilder builder(op);
      op->getResult(0).replaceAllUsesWith(approximated(builder, op));
      op->erase();
    }
  }

  Value approximated(OpBuilder &builder, Operation *op) {
    Approximation approximation{builder, op->getLoc()};
    auto vector = dyn_cast<VectorType>(op->getResult(0).getType());
    if (!vector)
      return approximation.element(op, op->getOperands());
    SmallVector<Value> elements;
    for (int64_t i = 0; i < vector.getNumElements(); ++i) {
      SmallVector<Value> operands;
      for (Value operand : op->getOperands())
        operands.push_back(vector::ExtractOp::create(builder, op->getLoc(), operand, ArrayRef<int64_t>{i}));
      elements.push_back(approximation.element(op, operands));
    }
    return vector::FromElementsOp::create(builder, op->getLoc(), vector, elements);
  }
};
} // namespace
