//===- FuseElementwise.cpp - merge elementwise kernels into the elementwise kernel that alone uses them ----------===//

#include "KernelMerge.h"
#include "sm1c/Transforms/Passes.h"

namespace sm1 {
#define GEN_PASS_DEF_FUSEELEMENTWISE
#include "sm1c/Transforms/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

/// Why `producer` stays outside `consumer`; nullptr if it moves in, nothing if this pass is not about the two.
static std::optional<const char *> whyNot(KernelOp producer, KernelOp consumer) {
  KernelContents first = contentsOf(producer);
  if (!(first.isElementwise() || first.isLookup()) || !contentsOf(consumer).isElementwise())
    return std::nullopt;
  if (onlyRounds(producer))
    return "what it rounds is to be stored so";
  if (!onlyUsedBy(producer, consumer))
    return "its result is used elsewhere";
  return nullptr;
}

namespace {
struct FuseElementwise : sm1::impl::FuseElementwiseBase<FuseElementwise> {
  void runOnOperation() override { fusePairs(getOperation(), "FuseElementwise", /*keepProducerName=*/false, whyNot); }
};
} // namespace
