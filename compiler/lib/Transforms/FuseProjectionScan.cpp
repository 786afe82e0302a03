//===- FuseProjectionScan.cpp - move projections into the scan that alone uses them ------------------------------===//

#include "BlockForms.h"
#include "KernelMerge.h"
#include "sm1c/Transforms/Passes.h"

#include "mlir/IR/TypeUtilities.h"

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
  // A tile of projections has more rows than registers hold the exponentials of: of 16 states 7.0 ms apart and 11.3 together, of
  // one 1.7 and 4.9 (512 rows of 1,536 channels, one thread, AVX-512).
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

/// Of tiles of many rows: the sums of a tile are a chunk of a sequence. Why `producer` stays outside; nullptr if it moves in.
static const char *whyNotTiles(KernelOp producer, KernelOp consumer) {
  LinearOp first = *producer.getBlock().getOps<LinearOp>().begin();
  for (LinearOp linear : producer.getBlock().getOps<LinearOp>())
    if (linear.getX() != first.getX() || !getElementTypeOrSelf(linear.getX()).isBF16() ||
        !getElementTypeOrSelf(linear.getWeight()).isBF16())
      return "tiles of many rows multiply bf16 of one x";
  if (llvm::any_of(consumer.getBlock().getOps<ScanOp>(), [](ScanOp scan) { return scan.getForm() == ScanForm::ClosedForm; }))
    return "a closed form is not cut in time";
  if (!widestScanTile(llvm::divideCeil(widthOf(producer), 16), contentsOf(producer).linears))
    return "no tile divides the panels of its rows";
  auto isForScan = [&](Value result) { return goesIntoScanAlone(argumentFor(consumer, result)); };
  if (llvm::count_if(producer.getResults(), isForScan) < leastIntoScanAlone)
    return "fewer than two projections go into the scan alone";
  return nullptr;
}

namespace {
struct FuseProjectionScan : sm1::impl::FuseProjectionScanBase<FuseProjectionScan> {
  using FuseProjectionScanBase::FuseProjectionScanBase;

  void runOnOperation() override {
    fusePairs(getOperation(), "FuseProjectionScan", /*keepProducerName=*/tiles, [&](KernelOp producer, KernelOp consumer) {
      std::optional<const char *> why = whyNot(producer, consumer);
      return why && !*why && tiles ? whyNotTiles(producer, consumer) : why;
    });
  }
};
} // namespace
