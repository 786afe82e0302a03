//===- ExpandArithmetic.cpp - arithmetic that has no instruction as arithmetic that has --------------------------===//

#include "sm1c/Codegen/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace sm1 {
#define GEN_PASS_DEF_EXPANDARITHMETIC
#include "sm1c/Codegen/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

/// Math that every x86-64-v3 and every GPU has instructions for, in scalars and vectors, with one result on all of them.
static bool hasInstructions(Operation *op) {
  return isa<math::AbsFOp, math::AbsIOp, math::CeilOp, math::CopySignOp, math::FloorOp, math::FmaOp, math::RoundEvenOp,
             math::SqrtOp, math::TruncOp>(op);
}

namespace {
/// Upstream lowers vector.fma to llvm.fmuladd, which may round twice; math.fma becomes llvm.fma, which rounds once.
struct FuseForCertain : OpRewritePattern<vector::FMAOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(vector::FMAOp op, PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<math::FmaOp>(op, op.getLhs(), op.getRhs(), op.getAcc());
    return success();
  }
};

/// bf16 are the upper halves of f32: two of them in a word widen with a shift and a mask. What was loaded then waits for its use in
/// whole words, and not in as many registers as there are numbers.
struct WidenWords : OpRewritePattern<arith::ExtFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::ExtFOp op, PatternRewriter &rewriter) const override {
    auto narrow = dyn_cast<VectorType>(op.getIn().getType()), wide = dyn_cast<VectorType>(op.getType());
    if (!narrow || !narrow.getElementType().isBF16() || !wide.getElementType().isF32() || narrow.getNumElements() % 2)
      return failure();
    Location loc = op.getLoc();
    Type word = rewriter.getI32Type();
    int64_t count = narrow.getNumElements() / 2;
    Value half = arith::ConstantIntOp::create(rewriter, loc, 16, 32),
          upper = arith::ConstantIntOp::create(rewriter, loc, -65536, 32);
    Value words = vector::BitCastOp::create(rewriter, loc, VectorType::get({count}, word), op.getIn());
    SmallVector<Value> numbers;
    for (int64_t i = 0; i < count; ++i) {
      Value both = vector::ExtractOp::create(rewriter, loc, words, ArrayRef<int64_t>{i});
      Value first = arith::ShLIOp::create(rewriter, loc, both, half), second = arith::AndIOp::create(rewriter, loc, both, upper);
      for (Value bits : {first, second})
        numbers.push_back(arith::BitcastOp::create(rewriter, loc, rewriter.getF32Type(), bits));
    }
    rewriter.replaceOpWithNewOp<vector::FromElementsOp>(op, wide, numbers);
    return success();
  }
};

/// Two f32 at a time become e4m3; what is greater than 448 becomes that, a NaN stays one. As text: LLVM asks for a newer PTX than
/// Hopper's own assembler does.
struct NarrowToFp8 : OpRewritePattern<arith::TruncFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::TruncFOp op, PatternRewriter &rewriter) const override {
    auto wide = dyn_cast<VectorType>(op.getIn().getType()), narrow = dyn_cast<VectorType>(op.getType());
    if (!wide || !wide.getElementType().isF32() || !isa<Float8E4M3FNType>(narrow.getElementType()))
      return failure();
    Location loc = op.getLoc();
    Type pair = rewriter.getI16Type();
    int64_t count = wide.getNumElements();
    auto number = [&](int64_t i) -> Value {
      if (i == count)
        return arith::ConstantOp::create(rewriter, loc, rewriter.getF32FloatAttr(0));
      return vector::ExtractOp::create(rewriter, loc, op.getIn(), ArrayRef<int64_t>{i});
    };
    SmallVector<Value> pairs;
    for (int64_t i = 0; i < count; i += 2) {
      Value first = number(i), second = number(i + 1);
      pairs.push_back(LLVM::InlineAsmOp::create(rewriter, loc, pair, ValueRange{second, first},
                                                "cvt.rn.satfinite.e4m3x2.f32 $0, $1, $2;", "=h,f,f", /*has_side_effects=*/false,
                                                /*is_align_stack=*/false, LLVM::TailCallKind::None, LLVM::AsmDialectAttr(),
                                                ArrayAttr())
                          .getResult(0));
    }
    int64_t bytes = int64_t(pairs.size()) * 2;
    Value packed = vector::FromElementsOp::create(rewriter, loc, VectorType::get({int64_t(pairs.size())}, pair), pairs);
    packed = vector::BitCastOp::create(rewriter, loc, VectorType::get({bytes}, narrow.getElementType()), packed);
    if (bytes != count)
      packed = vector::ExtractStridedSliceOp::create(rewriter, loc, packed, ArrayRef<int64_t>{0}, ArrayRef<int64_t>{count},
                                                     ArrayRef<int64_t>{1});
    rewriter.replaceOp(op, packed);
    return success();
  }
};

struct ExpandArithmetic : sm1::impl::ExpandArithmeticBase<ExpandArithmetic> {
  using ExpandArithmeticBase::ExpandArithmeticBase;

  LogicalResult initialize(MLIRContext *context) override {
    RewritePatternSet set(context);
    set.add<FuseForCertain>(context);
    populateMathPolynomialApproximationPatterns(set);
    math::populateExpansionPatterns(set, {"rsqrt", "tan", "sinh", "cosh", "asinh", "acosh", "atanh", "round", "exp2", "clampf"});
    if (hasBf16)
      set.add<WidenWords, NarrowToFp8>(context);
    else
      arith::populateExpandBFloat16Patterns(set);
    patterns = std::move(set);
    return success();
  }

  void runOnOperation() override {
    // Few operations are of these kinds; the driver would look at all.
    SmallVector<Operation *> ops;
    getOperation()->walk([&](Operation *op) {
      if (isa<math::MathDialect>(op->getDialect()) || isa<vector::FMAOp, arith::ExtFOp, arith::TruncFOp>(op))
        ops.push_back(op);
    });
    auto config = GreedyRewriteConfig().setStrictness(GreedyRewriteStrictness::ExistingAndNewOps);
    if (failed(applyOpPatternsGreedily(ops, patterns, config)))
      return signalPassFailure();
    auto left = getOperation()->walk([](Operation *op) {
      if (!isa<math::MathDialect>(op->getDialect()) || hasInstructions(op))
        return WalkResult::advance();
      op->emitError("no instructions for ") << op->getName() << " on " << op->getResult(0).getType()
                                            << "; write it with operations that have one, such as exp, log, tanh, erf, sin, sqrt";
      return WalkResult::interrupt();
    });
    if (left.wasInterrupted())
      signalPassFailure();
  }

  FrozenRewritePatternSet patterns;
};
} // namespace
