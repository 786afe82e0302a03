//===- FuseConvNorm.cpp - one kernel for a convolution, the activation after it and their norm -------------------===//

#include "KernelMerge.h"
#include "sm1c/Transforms/Passes.h"

namespace sm1 {
#define GEN_PASS_DEF_FUSECONVNORM
#include "sm1c/Transforms/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

/// Why `producer` stays outside `consumer`; nullptr if it moves in, nothing if this pass is not about the two.
static std::optional<const char *> whyNot(KernelOp producer, KernelOp consumer) {
  KernelContents conv = contentsOf(producer), next = contentsOf(consumer);
  bool isNorm = next.hasRowNorm && !next.linears && !next.scans && !next.convs && !next.others;
  if (!conv.convs || !(next.isElementwise() || isNorm))
    return std::nullopt;
  if (conv.linears || conv.scans)
    return "a norm needs whole rows, projections and scans do not keep them";
  if (conv.hasRowNorm)
    return "the kernel has a norm already";
  if (!onlyUsedBy(producer, consumer) && isNorm)
    for (Value result : producer.getResults())
      if (classify(result.getType()) == TensorClass::Stream && !result.hasOneUse())
        return "the values before the norm are used elsewhere";
  return nullptr;
}

namespace {
struct FuseConvNorm : sm1::impl::FuseConvNormBase<FuseConvNorm> {
  void runOnOperation() override { fusePairs(getOperation(), "FuseConvNorm", /*keepProducerName=*/true, whyNot); }
};
} // namespace
