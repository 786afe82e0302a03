//===- FuseProjectionScan.cpp - move projections into the scan that alone uses them ------------------------------===//

#include "KernelMerge.h"
#include "sm1c/Transforms/Passes.h"

namespace sm1 {
#define GEN_PASS_DEF_FUSEPROJECTIONSCAN
#include "sm1c/Transforms/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

/// Why `producer` stays outside `consumer`; nullptr if it moves in, nothing if this pass is not about the two.
static std::optional<const char *> whyNot(KernelOp producer, KernelOp consumer) {
  KernelContents projection = contentsOf(producer), scan = contentsOf(consumer);
  if (!projection.isProjection() || !scan.scans)
    return std::nullopt;
  if (projection.hasPrologue)
    return "a scan walks all rows of its channels, what is computed on the way into the projection would be repeated";
  if (feedsProjection(producer, consumer))
    return "a projection of the scan's kernel multiplies it";
  // A tile of projections has more rows than registers hold the exponentials of: of 16 states 7.0 ms apart and 11.3 together, of one
  // 1.7 and 4.9 (512 rows of 1,536 channels, one thread, AVX-512).
  if (!consumer.getBlock().getOps<SelectiveScanOp>().empty())
    return "a scan of several states per channel wants other tiles";
  if (widthOf(producer) != widthOf(consumer))
    return "it has another width";
  if (!onlyUsedBy(producer, consumer))
    return "its result is used elsewhere";
  if (projection.linears + scan.linears > maxProjections)
    return "the sums of more than three projections do not fit the registers";
  return nullptr;
}

namespace {
struct FuseProjectionScan : sm1::impl::FuseProjectionScanBase<FuseProjectionScan> {
  void runOnOperation() override { fusePairs(getOperation(), "FuseProjectionScan", /*keepProducerName=*/false, whyNot); }
};
} // namespace
