//===- MakePrecise.cpp - make storage types and every rounding explicit ------------------------------------------===//

#include "sm1/IR/Sm1.h"
#include "sm1c/Transforms/Passes.h"

#include "mlir/IR/PatternMatch.h"

namespace sm1 {
#define GEN_PASS_DEF_MAKEPRECISE
#include "sm1c/Transforms/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

static FloatType parseType(StringRef name, MLIRContext *context) {
  if (name == "f32")
    return Float32Type::get(context);
  if (name == "bf16")
    return BFloat16Type::get(context);
  return name == "f16" ? FloatType(Float16Type::get(context)) : FloatType();
}

/// The parameter behind a matrix, now of type `element`.
static void store(Value matrix, FloatType element) {
  if (auto param = matrix.getDefiningOp<ParamOp>())
    matrix.setType(cast<RankedTensorType>(matrix.getType()).clone(element));
}

namespace {
struct MakePrecise : sm1::impl::MakePreciseBase<MakePrecise> {
  using MakePreciseBase::MakePreciseBase;

  void runOnOperation() override {
    storageType = parseType(storage, &getContext());
    computeType = parseType(compute, &getContext());
    if (!storageType || !computeType || computeType.isF16()) {
      getOperation()->emitError("storage must be f32, bf16 or f16 and compute f32 or bf16, got '") << storage << "' and '" << compute << "'";
      return signalPassFailure();
    }
    if (computeType.isBF16() && !storageType.isBF16()) {
      getOperation()->emitError("compute=bf16 multiplies bf16 by bf16, got storage=") << storage << "; store matrices as bf16 too";
      return signalPassFailure();
    }
    IRRewriter rewriter(&getContext());
    getOperation()->walk([&](Operation *op) {
      if (auto linear = dyn_cast<LinearOp>(op))
        roundOperands(rewriter, linear);
      else if (auto embedding = dyn_cast<EmbeddingOp>(op))
        widenRows(rewriter, embedding);
    });
  }

private:
  void roundOperands(IRRewriter &rewriter, LinearOp linear) {
    store(linear.getWeight(), storageType);
    auto x = cast<RankedTensorType>(linear.getX().getType());
    if (x.getElementType() == computeType || !x.getElementType().isF32())
      return;
    rewriter.setInsertionPointAfterValue(linear.getX());
    if (Operation *known = roundings.lookup(linear.getX()))
      linear.getXMutable().assign(known->getResult(0));
    else {
      auto rounded = arith::TruncFOp::create(rewriter, linear.getLoc(), x.clone(computeType), linear.getX());
      roundings[linear.getX()] = rounded;
      linear.getXMutable().assign(rounded);
    }
  }

  /// A stored row is widened where it is read; exact.
  void widenRows(IRRewriter &rewriter, EmbeddingOp embedding) {
    store(embedding.getTable(), storageType);
    auto row = cast<RankedTensorType>(embedding.getType());
    if (!row.getElementType().isF32() || storageType.isF32())
      return;
    embedding.getResult().setType(row.clone(storageType));
    rewriter.setInsertionPointAfter(embedding);
    auto widened = arith::ExtFOp::create(rewriter, embedding.getLoc(), row, embedding.getResult());
    rewriter.replaceAllUsesExcept(embedding.getResult(), widened, widened);
  }

  FloatType storageType, computeType;
  llvm::DenseMap<Value, Operation *> roundings;
};
} // namespace
