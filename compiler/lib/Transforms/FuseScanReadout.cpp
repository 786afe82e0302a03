//===- FuseScanReadout.cpp - move the readout and the gate after a scan into it ----------------------------------===//

#include "KernelMerge.h"
#include "sm1c/Transforms/Passes.h"

namespace sm1 {
#define GEN_PASS_DEF_FUSESCANREADOUT
#include "sm1c/Transforms/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

/// Why `producer` stays outside `consumer`; nullptr if it moves in, nothing if this pass is not about the two.
static std::optional<const char *> whyNot(KernelOp producer, KernelOp consumer) {
  if (!contentsOf(producer).scans || !contentsOf(consumer).isElementwise())
    return std::nullopt;
  if (widthOf(producer) != widthOf(consumer))
    return "it has another width";
  return nullptr;
}

namespace {
struct FuseScanReadout : sm1::impl::FuseScanReadoutBase<FuseScanReadout> {
  void runOnOperation() override { fusePairs(getOperation(), "FuseScanReadout", /*keepProducerName=*/true, whyNot); }
};
} // namespace
