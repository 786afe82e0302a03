//===- ScheduleForCpu.cpp - tiles, splits, weight layouts and launches for one CPU target ------------------------===//

#include "KernelMerge.h"
#include "Scheduling.h"
#include "sm1c/Target.h"
#include "sm1c/Transforms/Passes.h"

#include "llvm/Support/MathExtras.h"

namespace sm1 {
#define GEN_PASS_DEF_SCHEDULEFORCPU
#include "sm1c/Transforms/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

/// Weight streams that a single row reads at once: one stream leaves a third of the memory bandwidth unused, since the hardware
/// prefetcher follows each 4 KiB page by itself.
static constexpr int64_t weightStreams = 4;

/// Bytes of the widest row that a projection of `kernel` reads.
static int64_t projectionRowBytes(KernelOp kernel) {
  int64_t widest = 16;
  for (auto linear : kernel.getBlock().getOps<LinearOp>())
    widest = std::max(widest, channels(linear.getX().getType()));
  return widest * sizeof(float);
}

/// Tiles of a kernel with projections: as many sums as three quarters of the registers hold, the rest is for operands.
static ScheduleAttr scheduleProjection(KernelOp kernel, const KernelContents &contents, const Target &target) {
  int64_t sums = target.vectorRegisters * 3 / 4 / target.registersPerPanel();
  int64_t panelTile = contents.linears == 1 && sums >= 16 ? 2 : 1;
  int64_t rowTile = std::clamp<int64_t>(sums / (contents.linears * panelTile), 1, 8);
  int64_t streams = std::max<int64_t>(panelTile, weightStreams / contents.linears / panelTile * panelTile);
  // Rows of a task stay in half of the core's cache while its panels pass by; a scan walks all rows itself.
  int64_t rows = std::clamp<int64_t>(target.l2Bytes / 2 / projectionRowBytes(kernel), rowTile, 128);
  int64_t rowSplit = contents.scans ? 0 : rows / rowTile * rowTile;
  return ScheduleAttr::get(kernel.getContext(), rowTile, panelTile, streams, rowSplit, streams);
}

static ScheduleAttr scheduleOf(KernelOp kernel, const Target &target) {
  KernelContents contents = contentsOf(kernel);
  MLIRContext *context = kernel.getContext();
  if (contents.hasRowNorm)
    return ScheduleAttr::get(context, 1, 1, 1, /*rowSplit=*/8, /*panelSplit=*/0);
  if (contents.linears)
    return scheduleProjection(kernel, contents, target);
  // Four panels at once hide the latency of a scan's chain and of exp; half as many where a panel takes two registers.
  int64_t panels = 4 / target.registersPerPanel();
  return ScheduleAttr::get(context, 1, panels, panels, contents.scans ? 0 : 16, panels);
}

namespace {
struct ScheduleForCpu : sm1::impl::ScheduleForCpuBase<ScheduleForCpu> {
  using ScheduleForCpuBase::ScheduleForCpuBase;

  void runOnOperation() override {
    const Target *facts = findTarget(target);
    if (!facts || facts->isGpu()) {
      getOperation()->emitError("no CPU target called '") << target << "'";
      return signalPassFailure();
    }
    auto choose = [&](KernelOp kernel) {
      if (!kernel.getSchedule())
        kernel.setScheduleAttr(scheduleOf(kernel, *facts));
    };
    if (failed(scheduleKernels(getOperation(), {choose, [](KernelOp) { return StringRef("panels"); }, "", ""})))
      signalPassFailure();
  }
};
} // namespace
