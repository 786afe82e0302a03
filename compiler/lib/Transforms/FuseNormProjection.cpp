//===- FuseNormProjection.cpp - move a norm and its rounding into the projections that alone use it --------------===//

#include "KernelMerge.h"
#include "sm1c/Transforms/Passes.h"

namespace sm1 {
#define GEN_PASS_DEF_FUSENORMPROJECTION
#include "sm1c/Transforms/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

/// A norm by itself, or nothing but roundings.
static bool isNormOrRounding(KernelOp kernel) {
  return llvm::all_of(kernel.getBlock().without_terminator(),
                      [](Operation &op) { return isa<RmsNormOp, arith::TruncFOp>(op) || isRowInvariant(&op); });
}

/// Why `producer` stays outside `consumer`; nullptr if it moves in, nothing if this pass is not about the two.
static std::optional<const char *> whyNot(KernelOp producer, KernelOp consumer) {
  KernelContents projection = contentsOf(consumer);
  if (!isNormOrRounding(producer) || !projection.linears)
    return std::nullopt;
  if (projection.scans)
    return "a scan walks all rows of its channels, the norm of each would be repeated";
  if (!projection.isProjection())
    return std::nullopt;
  if (!onlyUsedBy(producer, consumer))
    return "its result is used elsewhere";
  for (Value result : producer.getResults())
    if (!onlyFeedsProjections(argumentFor(consumer, result)))
      return "its result is not only multiplied";
  return nullptr;
}

namespace {
struct FuseNormProjection : sm1::impl::FuseNormProjectionBase<FuseNormProjection> {
  void runOnOperation() override { fusePairs(getOperation(), "FuseNormProjection", /*keepProducerName=*/false, whyNot); }
};
} // namespace
