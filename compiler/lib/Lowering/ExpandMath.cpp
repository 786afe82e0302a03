//===- ExpandMath.cpp - exp, log1p and friends as polynomials over fused multiply-adds ---------------------------===//

#include "sm1c/Lowering/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

#include <cmath>
#include <limits>
#include <optional>

namespace sm1 {
#define GEN_PASS_DEF_EXPANDMATH
#include "sm1c/Lowering/Passes.h.inc"
} // namespace sm1

using namespace mlir;

//===----------------------------------------------------------------------===//
// What is known about values
//===----------------------------------------------------------------------===//

/// The number that every element of `value` is.
static std::optional<float> numberOf(Value value) {
  while (auto broadcast = value.getDefiningOp<vector::BroadcastOp>())
    value = broadcast.getSource();
  FloatAttr number;
  DenseFPElementsAttr dense;
  if (matchPattern(value, m_Constant(&dense)) && dense.isSplat())
    number = dense.getSplatValue<FloatAttr>();
  if (!number && !matchPattern(value, m_Constant(&number)))
    return std::nullopt;
  return number.getType().isF32() ? std::optional(number.getValue().convertToFloat()) : std::nullopt;
}

/// True if `value` has the sign `sign`, or is zero or NaN, for what the last `depth` operations behind it tell.
static bool hasSign(Value value, int sign, int depth = 6) {
  if (std::optional<float> number = numberOf(value))
    return *number * sign >= 0;
  Operation *op = value.getDefiningOp();
  if (!op || depth == 0)
    return false;
  auto operandHas = [&](int index, int wanted) { return hasSign(op->getOperand(index), wanted, depth - 1); };
  auto both = [&](int first, int second) { return operandHas(0, first) && operandHas(1, second); };
  auto either = [&] { return operandHas(0, sign) || operandHas(1, sign); };
  if (isa<math::ExpOp, math::AbsFOp>(op))
    return sign > 0;
  if (isa<math::Log1pOp, vector::BroadcastOp>(op))
    return operandHas(0, sign);
  if (isa<arith::NegFOp>(op))
    return operandHas(0, -sign);
  if (isa<arith::MulFOp>(op))
    return both(1, sign) || both(-1, -sign);
  if (isa<arith::AddFOp>(op))
    return both(sign, sign);
  if (isa<arith::MaximumFOp>(op))
    return sign > 0 ? either() : both(sign, sign);
  if (isa<arith::MinimumFOp>(op))
    return sign > 0 ? both(sign, sign) : either();
  return false;
}

/// True if nobody can tell which number in [0, `bound`] `value` is where it is one of them: what is made of it rounds to the same.
static bool absorbsBelow(Value value, float bound) {
  return llvm::all_of(value.getUses(), [&](OpOperand &use) {
    Operation *op = use.getOwner();
    Value other = op->getNumOperands() == 2 ? op->getOperand(1 - use.getOperandNumber()) : Value();
    // Of what is no constant NaN, which no comparison holds for.
    constexpr float none = std::numeric_limits<float>::quiet_NaN();
    float number = other ? numberOf(other).value_or(none) : none;
    if (isa<arith::MaximumFOp>(op))
      return number >= bound;
    if (isa<math::Log1pOp>(op))
      return absorbsBelow(op->getResult(0), bound);
    if (!isa<arith::AddFOp>(op) || other == value)
      return false;
    // A sum takes up what is less than a quarter unit in its last place.
    constexpr float quarterUnits = 0x1p26f;
    if (std::abs(number) >= bound * quarterUnits)
      return true;
    return hasSign(other, 1) && bound < 0x1p-70f && absorbsBelow(op->getResult(0), 2 * bound * quarterUnits);
  });
}

//===----------------------------------------------------------------------===//
// Formulas
//===----------------------------------------------------------------------===//

namespace {
/// The value of a formula for each of its arguments.
using Values = SmallVector<Value, 4>;

/// Arithmetic on f32 scalars or vectors, written as formulas. Several arguments are computed step by step side by side, so that a
/// processor has independent operations to do while one waits for the one before it.
class Formula {
public:
  Formula(OpBuilder &builder, Location loc, Type type, size_t count) : builder(builder), loc(loc), type(type), count(count) {}

  Values number(float value) { return splat(builder.getF32FloatAttr(value), type); }
  Values integer(int32_t value) { return splat(builder.getI32IntegerAttr(value), integers()); }
  Values add(const Values &a, const Values &b) { return each<arith::AddFOp>(type, a, b); }
  Values sub(const Values &a, const Values &b) { return each<arith::SubFOp>(type, a, b); }
  Values mul(const Values &a, const Values &b) { return each<arith::MulFOp>(type, a, b); }
  Values div(const Values &a, const Values &b) { return each<arith::DivFOp>(type, a, b); }
  Values fma(const Values &a, const Values &b, const Values &c) { return each<math::FmaOp>(type, a, b, c); }
  Values addi(const Values &a, const Values &b) { return each<arith::AddIOp>(integers(), a, b); }
  Values subi(const Values &a, const Values &b) { return each<arith::SubIOp>(integers(), a, b); }
  Values toFloat(const Values &a) { return each<arith::SIToFPOp>(type, a); }
  Values bits(const Values &a) { return each<arith::BitcastOp>(integers(), a); }
  Values fromBits(const Values &a) { return each<arith::BitcastOp>(type, a); }
  Values shiftLeft(const Values &a, int32_t by) { return each<arith::ShLIOp>(integers(), a, integer(by)); }
  Values shiftRight(const Values &a, int32_t by) { return each<arith::ShRSIOp>(integers(), a, integer(by)); }
  Values select(arith::CmpFPredicate predicate, const Values &a, const Values &b, const Values &yes, const Values &no) {
    Values chosen;
    for (size_t i = 0; i < count; ++i) {
      Value holds = arith::CmpFOp::create(builder, loc, predicate, a[i], b[i]);
      chosen.push_back(arith::SelectOp::create(builder, loc, holds, yes[i], no[i]));
    }
    return chosen;
  }
  /// Coefficients from the highest power down.
  Values polynomial(const Values &x, ArrayRef<float> coefficients) {
    Values sum = number(coefficients.front());
    for (float coefficient : coefficients.drop_front())
      sum = fma(sum, x, number(coefficient));
    return sum;
  }

private:
  template <typename Op, typename... Operands> Values each(Type result, const Operands &...operands) {
    Values results;
    for (size_t i = 0; i < count; ++i)
      results.push_back(Op::create(builder, loc, result, operands[i]...));
    return results;
  }
  Type integers() {
    auto vector = dyn_cast<VectorType>(type);
    return vector ? Type(vector.clone(builder.getI32Type())) : builder.getI32Type();
  }
  Values splat(TypedAttr value, Type of) {
    auto vector = dyn_cast<VectorType>(of);
    Value constant =
        arith::ConstantOp::create(builder, loc, vector ? TypedAttr(DenseElementsAttr::get(vector, Attribute(value))) : value);
    return Values(count, constant);
  }

  OpBuilder &builder;
  Location loc;
  Type type;
  size_t count;
};

/// What spares an exp some of its operations without changing what is made of its result.
struct ExpContext {
  bool isArgumentNegative; ///< or zero, so that there is no overflow
  bool isTinyAbsorbed;     ///< nobody can tell numbers below 2^-120 apart, so that no denormal has to come out right

  bool operator==(const ExpContext &other) const {
    return isArgumentNegative == other.isArgumentNegative && isTinyAbsorbed == other.isTinyAbsorbed;
  }
};
} // namespace

static constexpr float tinyExp = 0x1p-120f;

/// exp(x) = 2^n · exp(r), n = round(x / ln 2), |r| <= ln 2 / 2. Twice exp(r) is a minimax polynomial, with a factor of 2^(n - 1), whose
/// exponent fits where that of 2^128 does not. Error at most 1 ulp; overflows to infinity, underflows over the denormals to 0, keeps
/// NaN. What `context` leaves out changes no bit of what it leaves alone.
static Values expandExp(Formula &f, Values x, ExpContext context) {
  using P = arith::CmpFPredicate;
  if (!context.isArgumentNegative)
    x = f.select(P::OGT, x, f.number(89.0f), f.number(89.0f), x);
  const float lowest = context.isTinyAbsorbed ? -84.0f : -104.0f; // exp(-84) < tinyExp
  x = f.select(P::OLT, x, f.number(lowest), f.number(lowest), x);
  // So large a number has no fraction: its last bits are the integer n + 126.
  Values large = f.number(0x1.8p23f + 126), shifted = f.fma(x, f.number(1.44269504f), large), n = f.sub(shifted, large);
  Values r = f.fma(n, f.number(-0.693147182f), x);
  r = f.fma(n, f.number(1.90465421e-9f), r);
  Values y = f.polynomial(r, {2 * 1.3840398751e-3f, 2 * 8.3693489432e-3f, 2 * 4.1668083519e-2f, 2 * 1.6666515172e-1f,
                              2 * 4.9999994040e-1f, 2.0f, 2.0f});
  Values whole = f.shiftLeft(f.bits(shifted), 23); // n - 1 as an exponent
  if (context.isTinyAbsorbed)
    return f.mul(y, f.fromBits(whole));
  // Two factors, because 2^(n - 1) leaves the range of normal numbers before the product does.
  Values half = f.shiftLeft(f.shiftRight(f.bits(shifted), 1), 23), rest = f.subi(whole, half);
  y = f.mul(y, f.fromBits(f.addi(half, f.integer(64 << 23))));
  return f.mul(y, f.fromBits(f.addi(rest, f.integer(63 << 23))));
}

/// log1p(x) for 0 <= x <= 1, without a division: x + x² · P(x), P minimax. Error at most 1.5 ulp; keeps NaN.
static Values expandLog1pOfUnit(Formula &f, const Values &x) {
  Values p = f.polynomial(x, {5.3654224612e-3f, -3.0068300664e-2f, 7.9208828509e-2f, -1.3754187524e-1f, 1.9153848290e-1f,
                              -2.4857217073e-1f, 3.3321329951e-1f, -4.9999648333e-1f});
  return f.fma(f.mul(x, x), p, x);
}

/// log1p(x) outside of [0, 1]: 1 + x = 2^k · m with m in [sqrt(1/2), sqrt(2)), f = m - 1 plus what 1 + x lost in rounding, then the
/// series of FreeBSD's logf for log(1 + f). Error at most 1.5 ulp; -inf at -1, NaN below, inf at inf.
static Values expandLog1p(Formula &f, const Values &x) {
  using P = arith::CmpFPredicate;
  constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  Values one = f.number(1.0f), u = f.add(one, x);
  Values lost = f.sub(x, f.sub(u, one));
  // Adding (1 - sqrt(1/2)) in the exponent's units makes the mantissa's range [sqrt(1/2), sqrt(2)).
  Values shifted = f.addi(f.bits(u), f.integer(0x3f800000 - 0x3f3504f3));
  Values k = f.subi(f.shiftRight(shifted, 23), f.integer(127));
  Values m = f.fromBits(f.subi(f.bits(u), f.shiftLeft(k, 23)));
  Values kf = f.toFloat(k);
  Values s0 = f.fromBits(f.subi(f.integer(0x3f800000), f.shiftLeft(k, 23)));
  Values part = f.fma(lost, s0, f.sub(m, one));
  Values s = f.div(part, f.add(f.number(2.0f), part)), z = f.mul(s, s);
  Values series = f.mul(z, f.polynomial(z, {0.24279078841f, 0.28498786688f, 0.40000972152f, 0.66666662693f}));
  Values halfSquare = f.mul(f.mul(f.number(0.5f), part), part);
  Values correction = f.fma(s, f.add(halfSquare, series), f.mul(kf, f.number(9.0580006145e-6f)));
  Values y = f.fma(kf, f.number(6.9313812256e-1f), f.sub(part, f.sub(halfSquare, correction)));
  y = f.select(P::OGE, x, f.number(infinity), x, y);
  y = f.select(P::OLT, x, f.number(-1.0f), f.number(nan), y);
  y = f.select(P::OEQ, x, f.number(-1.0f), f.number(-infinity), y);
  Values ofUnit = f.select(P::OLE, x, one, expandLog1pOfUnit(f, x), y);
  return f.select(P::OGE, x, f.number(0.0f), ofUnit, y);
}

namespace {
/// Operations side by side in a block that become one formula.
struct Group {
  SmallVector<Operation *, 4> ops;
  ExpContext context;
  bool isArgumentUnit;

  bool takes(const Group &next) const {
    // Four vectors hide the latency of a multiply-add; more would not fit in registers.
    Operation *last = ops.back(), *op = next.ops.front();
    return ops.size() < 4 && last->getNextNode() == op && last->getName() == op->getName() &&
           last->getResult(0).getType() == op->getResult(0).getType() && context == next.context &&
           isArgumentUnit == next.isArgumentUnit && !llvm::is_contained(ops, op->getOperand(0).getDefiningOp());
  }
};
} // namespace

/// What the formulas may know is asked before the first of them takes the place of an operation.
static SmallVector<Group> groupsOf(Operation *root) {
  SmallVector<Group> groups;
  root->walk([&](Operation *op) {
    if (!isa<math::ExpOp, math::Log1pOp>(op) || !getElementTypeOrSelf(op->getResult(0)).isF32() ||
        isa<RankedTensorType>(op->getResult(0).getType()))
      return;
    Value x = op->getOperand(0);
    auto inner = x.getDefiningOp<math::ExpOp>();
    Group group{{op}, {false, false}, isa<math::Log1pOp>(op) && inner && hasSign(inner.getOperand(), -1)};
    if (isa<math::ExpOp>(op))
      group.context = {hasSign(x, -1), absorbsBelow(op->getResult(0), tinyExp)};
    if (!groups.empty() && groups.back().takes(group))
      groups.back().ops.push_back(op);
    else
      groups.push_back(std::move(group));
  });
  return groups;
}

static void expand(IRRewriter &rewriter, const Group &group) {
  Operation *first = group.ops.front();
  rewriter.setInsertionPoint(first);
  Formula formula(rewriter, first->getLoc(), first->getResult(0).getType(), group.ops.size());
  Values x = llvm::map_to_vector<4>(group.ops, [](Operation *op) { return op->getOperand(0); });
  Values y = isa<math::ExpOp>(first)  ? expandExp(formula, x, group.context)
             : group.isArgumentUnit ? expandLog1pOfUnit(formula, x)
                                    : expandLog1p(formula, x);
  for (auto [op, value] : llvm::zip(group.ops, y))
    rewriter.replaceOp(op, value);
}

namespace {
struct ExpandMath : sm1::impl::ExpandMathBase<ExpandMath> {
  LogicalResult initialize(MLIRContext *context) override {
    RewritePatternSet set(context);
    populateMathPolynomialApproximationPatterns(set, MathPolynomialApproximationOptions{});
    patterns = std::move(set);
    return success();
  }

  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    for (const Group &group : groupsOf(getOperation()))
      expand(rewriter, group);
    SmallVector<Operation *> ops;
    getOperation()->walk([&](Operation *op) {
      if (isa<math::MathDialect>(op->getDialect()))
        ops.push_back(op);
    });
    auto config = GreedyRewriteConfig().setStrictness(GreedyRewriteStrictness::ExistingAndNewOps);
    if (failed(applyOpPatternsGreedily(ops, patterns, config)))
      signalPassFailure();
  }

  FrozenRewritePatternSet patterns;
};
} // namespace
