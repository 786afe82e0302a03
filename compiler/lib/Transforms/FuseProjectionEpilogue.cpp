//===- FuseProjectionEpilogue.cpp - move a residual, a gate or an activation after projections into their kernel -===//

#include "KernelMerge.h"
#include "sm1c/Transforms/Passes.h"

namespace sm1 {
#define GEN_PASS_DEF_FUSEPROJECTIONEPILOGUE
#include "sm1c/Transforms/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

/// Why `producer` stays outside `consumer`; nullptr if it moves in, nothing if this pass is not about the two.
static std::optional<const char *> whyNot(KernelOp producer, KernelOp consumer) {
  KernelContents projection = contentsOf(producer);
  if (!projection.isProjection() || !contentsOf(consumer).isElementwise())
    return std::nullopt;
  if (widthOf(producer) != widthOf(consumer))
    return "it has another width";
  if (!onlyUsedBy(producer, consumer))
    return "its result is used elsewhere";
  return nullptr;
}

namespace {
struct FuseProjectionEpilogue : sm1::impl::FuseProjectionEpilogueBase<FuseProjectionEpilogue> {
  void runOnOperation() override { fusePairs(getOperation(), "FuseProjectionEpilogue", /*keepProducerName=*/true, whyNot); }
};
} // namespace
