//===- ApproximateMath.cpp - exp, log1p, expm1, tanh and quotients by a GPU's special functions ------------------===//
//
// A few instructions where ExpandMath takes twenty, and fewer values alive between them. A kernel that rounds what it multiplies to
// bf16 loses nothing by it.

#include "sm1c/Lowering/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"
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
  /// Within 2^-19: exp(x) - 1, or where that would lose digits five terms of the series.
  Value expm1(Value x) {
    constexpr float small = 0.25f, factors[] = {1.0f / 24, 1.0f / 6, 0.5f};
    Value large = arith::SubFOp::create(builder, loc, exp(x), number(1));
    Value sum = number(1.0f / 120);
    for (float factor : factors)
      sum = math::FmaOp::create(builder, loc, sum, x, number(factor));
    Value series = math::FmaOp::create(builder, loc, arith::MulFOp::create(builder, loc, sum, x), x, x);
    Value magnitude = math::AbsFOp::create(builder, loc, x);
    Value isSmall = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OLT, magnitude, number(small));
    return arith::SelectOp::create(builder, loc, isSmall, series, large);
  }
  /// -e / (e + 2) with e = expm1(-2|x|), which is never large, and the sign of x. Within 2^-18.
  Value tanh(Value x) {
    Value e = expm1(arith::MulFOp::create(builder, loc, math::AbsFOp::create(builder, loc, x), number(-2)));
    Value positive = arith::NegFOp::create(builder, loc, quotient(e, arith::AddFOp::create(builder, loc, e, number(2))));
    Value negative = arith::NegFOp::create(builder, loc, positive);
    Value isNegative = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OLT, x, number(0));
    return arith::SelectOp::create(builder, loc, isNegative, negative, positive);
  }
  /// 2 ulp. By 1 + exp(x), as gates have it, in two instructions where it takes five: zero where that is more than 2^126.
  Value quotient(Value a, Value b, bool byGate = false) {
    return call(byGate ? "llvm.nvvm.div.approx.ftz.f" : "llvm.nvvm.div.full.ftz", {a, b});
  }

  /// `op` on each element; null where there is no approximation of it. `byGate`: it is a quotient by 1 + exp(x).
  Value element(Operation *op, ValueRange operands, bool byGate) {
    if (isa<math::ExpOp>(op))
      return exp(operands[0]);
    if (isa<math::Log1pOp>(op))
      return log1p(operands[0]);
    if (isa<math::ExpM1Op>(op))
      return expm1(operands[0]);
    if (isa<math::TanhOp>(op))
      return tanh(operands[0]);
    if (isa<math::SqrtOp>(op))
      return call("llvm.nvvm.sqrt.approx.ftz.f", operands); // 1 ulp
    return quotient(operands[0], operands[1], byGate);
  }
};

static bool isOne(Value value) {
  if (auto broadcast = value.getDefiningOp<vector::BroadcastOp>())
    value = broadcast.getSource();
  FloatAttr number;
  DenseElementsAttr dense;
  if (matchPattern(value, m_Constant(&dense)) && dense.isSplat())
    return dense.getSplatValue<APFloat>().isExactlyValue(1);
  return matchPattern(value, m_Constant(&number)) && number.getValue().isExactlyValue(1);
}

/// Whether `op` divides by 1 + exp(x).
static bool isByGate(Operation *op) {
  auto sum = isa<arith::DivFOp>(op) ? op->getOperand(1).getDefiningOp<arith::AddFOp>() : nullptr;
  auto isExp = [](Value value) { return value.getDefiningOp<math::ExpOp>() != nullptr; };
  return sum && ((isOne(sum.getLhs()) && isExp(sum.getRhs())) || (isOne(sum.getRhs()) && isExp(sum.getLhs())));
}

struct ApproximateMath : sm1::impl::ApproximateMathBase<ApproximateMath> {
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation()->walk([&](Operation *op) {
      bool isCostly = isa<math::ExpOp, math::Log1pOp, math::ExpM1Op, math::TanhOp, arith::DivFOp>(op);
      // Of a row there is one root, that of its norm: it stays exact.
      bool isRootOfMany = isa<math::SqrtOp>(op) && isa<VectorType>(op->getResult(0).getType());
      if ((isCostly || isRootOfMany) && getElementTypeOrSelf(op->getResult(0)).isF32())
        ops.push_back(op);
    });
    llvm::SmallPtrSet<Operation *, 16> byGates;
    for (Operation *op : ops)
      if (isByGate(op))
        byGates.insert(op);
    for (Operation *op : ops) {
      OpBuilder builder(op);
      op->getResult(0).replaceAllUsesWith(approximated(builder, op, byGates.contains(op)));
      op->erase();
    }
  }

  Value approximated(OpBuilder &builder, Operation *op, bool byGate) {
    Approximation approximation{builder, op->getLoc()};
    auto vector = dyn_cast<VectorType>(op->getResult(0).getType());
    if (!vector)
      return approximation.element(op, op->getOperands(), byGate);
    SmallVector<Value> elements;
    for (int64_t i = 0; i < vector.getNumElements(); ++i) {
      SmallVector<Value> operands;
      for (Value operand : op->getOperands())
        operands.push_back(vector::ExtractOp::create(builder, op->getLoc(), operand, ArrayRef<int64_t>{i}));
      elements.push_back(approximation.element(op, operands, byGate));
    }
    return vector::FromElementsOp::create(builder, op->getLoc(), vector, elements);
  }
};
} // namespace
