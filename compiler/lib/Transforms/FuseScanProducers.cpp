//===- FuseScanProducers.cpp - move elementwise producers into the scan that alone uses them ---------------------===//

#include "KernelMerge.h"
#include "sm1c/Transforms/Passes.h"

namespace sm1 {
#define GEN_PASS_DEF_FUSESCANPRODUCERS
#include "sm1c/Transforms/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

/// Why `producer` stays outside `consumer`; nullptr if it moves in, nothing if this pass is not about the two.
static std::optional<const char *> whyNot(KernelOp producer, KernelOp consumer) {
  if (!contentsOf(producer).isElementwise() || !contentsOf(consumer).scans)
    return std::nullopt;
  if (onlyRounds(producer))
    return "what it rounds is to be stored so";
  if (feedsProjection(producer, consumer))
    return "a projection of the scan's kernel multiplies it";
  if (isReadByIndex(producer, consumer))
    return "all channels of the scan read it";
  if (!onlyUsedBy(producer, consumer))
    return "its result is used elsewhere";
  return nullptr;
}

namespace {
struct FuseScanProducers : sm1::impl::FuseScanProducersBase<FuseScanProducers> {
  void runOnOperation() override { fusePairs(getOperation(), "FuseScanProducers", /*keepProducerName=*/false, whyNot); }
};
} // namespace
