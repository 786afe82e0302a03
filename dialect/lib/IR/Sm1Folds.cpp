//===- Sm1Folds.cpp - folders and canonicalisations --------------------------------------------------------------===//

#include "sm1/IR/Sm1.h"

#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace sm1;

/// A split into one part is that part.
LogicalResult SplitOp::fold(FoldAdaptor, SmallVectorImpl<OpFoldResult> &results) {
  if (getNumResults() != 1)
    return failure();
  results.push_back(getX());
  return success();
}

namespace {
/// split(linear(x, rows B..E of W)) is one linear per part, each over its own rows of W: every output is the same chain of
/// products.
struct SplitOfLinear : OpRewritePattern<SplitOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(SplitOp split, PatternRewriter &rewriter) const override {
    auto linear = split.getX().getDefiningOp<LinearOp>();
    if (!linear || !linear->hasOneUse())
      return rewriter.notifyMatchFailure(split, "x is not a projection used here alone");
    auto param = linear.getWeight().getDefiningOp<ParamOp>();
    if (!param || linear.getScales())
      return rewriter.notifyMatchFailure(split, "the matrix is not a parameter, or already quantised");
    int64_t first = param.getFirstRow().value_or(0), total = param.tensorShape().front();
    auto matrix = cast<RankedTensorType>(param.getType());
    SmallVector<Value> parts;
    for (Type part : split.getParts().getTypes()) {
      int64_t end = first + channels(part);
      auto rows = RankedTensorType::get({end - first, matrix.getDimSize(1)}, matrix.getElementType());
      auto weight = ParamOp::create(rewriter, param.getLoc(), rows, param.getTensorAttr(), rewriter.getI64IntegerAttr(first),
                                    rewriter.getI64IntegerAttr(end), rewriter.getI64IntegerAttr(total), param.getLayoutAttr(), param.getQuantisedAttr());
      parts.push_back(LinearOp::create(rewriter, linear.getLoc(), part, linear.getX(), weight, Value(), linear.getInt8Attr()));
      first = end;
    }
    rewriter.replaceOp(split, parts);
    return success();
  }
};
} // namespace

void SplitOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<SplitOfLinear>(context);
}
