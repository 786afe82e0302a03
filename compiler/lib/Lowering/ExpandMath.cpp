//===- ExpandMath.cpp - exp, log1p and friends as polynomials over fused multiply-adds ---------------------------===//

#include "sm1c/Lowering/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

#include <limits>

namespace sm1 {
#define GEN_PASS_DEF_EXPANDMATH
#include "sm1c/Lowering/Passes.h.inc"
} // namespace sm1

using namespace mlir;

namespace {
/// Arithmetic on f32 scalars or vectors, written as formulas.
class Formula {
public:
  Formula(OpBuilder &builder, Location loc, Type type) : builder(builder), loc(loc), type(type) {}

  Value number(float value) { return splat(builder.getF32FloatAttr(value), type); }
  Value integer(int32_t value) { return splat(builder.getI32IntegerAttr(value), integers()); }
  Value add(Value a, Value b) { return arith::AddFOp::create(builder, loc, a, b); }
  Value sub(Value a, Value b) { return arith::SubFOp::create(builder, loc, a, b); }
  Value mul(Value a, Value b) { return arith::MulFOp::create(builder, loc, a, b); }
  Value div(Value a, Value b) { return arith::DivFOp::create(builder, loc, a, b); }
  Value fma(Value a, Value b, Value c) { return math::FmaOp::create(builder, loc, a, b, c); }
  Value addi(Value a, Value b) { return arith::AddIOp::create(builder, loc, a, b); }
  Value subi(Value a, Value b) { return arith::SubIOp::create(builder, loc, a, b); }
  Value roundEven(Value a) { return math::RoundEvenOp::create(builder, loc, a); }
  Value toInteger(Value a) { return arith::FPToSIOp::create(builder, loc, integers(), a); }
  Value toFloat(Value a) { return arith::SIToFPOp::create(builder, loc, type, a); }
  Value bits(Value a) { return arith::BitcastOp::create(builder, loc, integers(), a); }
  Value fromBits(Value a) { return arith::BitcastOp::create(builder, loc, type, a); }
  Value shiftLeft(Value a, int32_t by) { return arith::ShLIOp::create(builder, loc, a, integer(by)); }
  Value shiftRight(Value a, int32_t by) { return arith::ShRSIOp::create(builder, loc, a, integer(by)); }
  Value select(arith::CmpFPredicate predicate, Value a, Value b, Value yes, Value no) {
    return arith::SelectOp::create(builder, loc, arith::CmpFOp::create(builder, loc, predicate, a, b), yes, no);
  }
  /// 2^n for -126 <= n <= 127.
  Value powerOfTwo(Value n) { return fromBits(shiftLeft(addi(n, integer(127)), 23)); }
  /// Coefficients from the highest power down.
  Value polynomial(Value x, ArrayRef<float> coefficients) {
    Value sum = number(coefficients.front());
    for (float coefficient : coefficients.drop_front())
      sum = fma(sum, x, number(coefficient));
    return sum;
  }

private:
  Type integers() {
    auto vector = dyn_cast<VectorType>(type);
    return vector ? Type(vector.clone(builder.getI32Type())) : builder.getI32Type();
  }
  Value splat(TypedAttr value, Type of) {
    auto vector = dyn_cast<VectorType>(of);
    return arith::ConstantOp::create(builder, loc, vector ? TypedAttr(DenseElementsAttr::get(vector, Attribute(value))) : value);
  }

  OpBuilder &builder;
  Location loc;
  Type type;
};
} // namespace

/// exp(x) = 2^n · exp(r), n = round(x / ln 2), |r| <= ln 2 / 2, exp(r) = 1 + r + r²·P(r) with the coefficients of Cephes' expf.
/// Error at most 1 ulp; overflows to infinity, underflows over the denormals to 0, keeps NaN.
static Value expandExp(Formula &f, Value x) {
  using P = arith::CmpFPredicate;
  x = f.select(P::OGT, x, f.number(90.0f), f.number(90.0f), x);
  x = f.select(P::OLT, x, f.number(-104.0f), f.number(-104.0f), x);
  Value n = f.roundEven(f.mul(x, f.number(1.44269504f)));
  Value r = f.fma(n, f.number(-0.693359375f), x);
  r = f.fma(n, f.number(2.12194440e-4f), r);
  Value p = f.polynomial(r, {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f});
  Value y = f.add(f.fma(p, f.mul(r, r), r), f.number(1.0f));
  // Two factors, because 2^n itself leaves the range of normal numbers before the product does.
  Value integer = f.toInteger(n), half = f.shiftRight(integer, 1);
  return f.mul(f.mul(y, f.powerOfTwo(half)), f.powerOfTwo(f.subi(integer, half)));
}

/// log1p(x): 1 + x = 2^k · m with m in [sqrt(1/2), sqrt(2)), f = m - 1 plus what 1 + x lost in rounding, then the series of FreeBSD's
/// logf for log(1 + f). Error at most 1.5 ulp; -inf at -1, NaN below, inf at inf.
static Value expandLog1p(Formula &f, Value x) {
  using P = arith::CmpFPredicate;
  constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  Value one = f.number(1.0f), u = f.add(one, x);
  Value lost = f.sub(x, f.sub(u, one));
  // Adding (1 - sqrt(1/2)) in the exponent's units makes the mantissa's range [sqrt(1/2), sqrt(2)).
  Value shifted = f.addi(f.bits(u), f.integer(0x3f800000 - 0x3f3504f3));
  Value k = f.subi(f.shiftRight(shifted, 23), f.integer(127));
  Value m = f.fromBits(f.subi(f.bits(u), f.shiftLeft(k, 23)));
  Value kf = f.toFloat(k);
  Value s0 = f.fromBits(f.subi(f.integer(0x3f800000), f.shiftLeft(k, 23)));
  Value part = f.fma(lost, s0, f.sub(m, one));
  Value s = f.div(part, f.add(f.number(2.0f), part)), z = f.mul(s, s);
  Value series = f.mul(z, f.polynomial(z, {0.24279078841f, 0.28498786688f, 0.40000972152f, 0.66666662693f}));
  Value halfSquare = f.mul(f.mul(f.number(0.5f), part), part);
  Value correction = f.fma(s, f.add(halfSquare, series), f.mul(kf, f.number(9.0580006145e-6f)));
  Value y = f.fma(kf, f.number(6.9313812256e-1f), f.sub(part, f.sub(halfSquare, correction)));
  y = f.select(P::OGE, x, f.number(infinity), x, y);
  y = f.select(P::OLT, x, f.number(-1.0f), f.number(nan), y);
  return f.select(P::OEQ, x, f.number(-1.0f), f.number(-infinity), y);
}

namespace {
struct ExpandMath : sm1::impl::ExpandMathBase<ExpandMath> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    getOperation()->walk([&](Operation *op) {
      if (!isa<math::ExpOp, math::Log1pOp>(op) || !getElementTypeOrSelf(op->getResult(0)).isF32() ||
          isa<RankedTensorType>(op->getResult(0).getType()))
        return;
      rewriter.setInsertionPoint(op);
      Formula formula(rewriter, op->getLoc(), op->getResult(0).getType());
      Value x = op->getOperand(0);
      rewriter.replaceOp(op, isa<math::ExpOp>(op) ? expandExp(formula, x) : expandLog1p(formula, x));
    });
    RewritePatternSet patterns(&getContext());
    populateMathPolynomialApproximationPatterns(patterns, MathPolynomialApproximationOptions{});
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
