//===- ScheduleForGpu.cpp - forms of blocks, splits, weight layouts and launches for one GPU ---------------------===//

#include "KernelMerge.h"
#include "Scheduling.h"
#include "sm1c/Target.h"
#include "sm1c/Transforms/Passes.h"

#include "llvm/Support/MathExtras.h"

namespace sm1 {
#define GEN_PASS_DEF_SCHEDULEFORGPU
#include "sm1c/Transforms/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

static bool isTensorForm(BlockForm form) { return form == BlockForm::TensorTiles || form == BlockForm::TensorStep; }

/// Tensor cores take one x, bf16 by bf16.
static bool suitsTensorCores(KernelOp kernel) {
  auto linears = kernel.getBlock().getOps<LinearOp>();
  Value x = (*linears.begin()).getX();
  return llvm::all_of(linears, [&](LinearOp linear) {
    return linear.getX() == x && getElementTypeOrSelf(x).isBF16() && getElementTypeOrSelf(linear.getWeight()).isBF16();
  });
}

/// Channels of the widest row that a projection of `kernel` reads, rounded up to panels.
static int64_t depthOf(KernelOp kernel) {
  int64_t widest = 16;
  for (auto linear : kernel.getBlock().getOps<LinearOp>())
    widest = std::max<int64_t>(widest, llvm::alignTo(channels(linear.getX().getType()), 16));
  return widest;
}

/// The most rows, as a power of two up to `most`, of which `rowBytes` each fit in half of a block's shared memory.
static int64_t rowsInShared(int64_t rowBytes, int64_t most, const GpuFacts &gpu) {
  int64_t rows = most;
  while (rows > 1 && rows * rowBytes > gpu.sharedPerBlock / 2)
    rows /= 2;
  return rows;
}

/// Warps that share the tiles of 16 k of a sum: about eight tiles each, and none left without one where that can be. A block has a
/// thread for each of 8 rows of 16 channels.
static int64_t warpsOfStep(int64_t depth) {
  int64_t tiles = llvm::divideCeil(depth, 32) * 2, best = 4, bestWaste = INT64_MAX;
  for (int64_t warps = 4; warps <= 16; ++warps) {
    int64_t share = llvm::divideCeil(tiles, warps), waste = share * warps - tiles + (share > 8 ? 16 * (share - 8) : 0);
    if (waste < bestWaste) {
      best = warps;
      bestWaste = waste;
    }
  }
  return best;
}

/// Projections of few rows: a block per panel, so that even one row keeps the chip's memory busy.
static BlockScheduleAttr scheduleStep(KernelOp kernel, const GpuFacts &gpu) {
  int64_t depth = depthOf(kernel);
  if (suitsTensorCores(kernel))
    return BlockScheduleAttr::get(kernel.getContext(), BlockForm::TensorStep, 32 * warpsOfStep(depth),
                                  rowsInShared(4 * depth, 8, gpu), /*rowSplit=*/32, /*panelSplit=*/1, /*stages=*/1);
  // 16 threads for each block of 64 k; two copies of a row where a norm is on the way.
  int64_t threads = std::clamp<int64_t>(llvm::alignTo(llvm::divideCeil(depth, 64) * 16, 32), 64, 512);
  return BlockScheduleAttr::get(kernel.getContext(), BlockForm::Step, threads, rowsInShared(8 * depth, 4, gpu), /*rowSplit=*/16,
                                /*panelSplit=*/1, /*stages=*/1);
}

static BlockScheduleAttr scheduleTiles(KernelOp kernel, const KernelContents &contents, const GpuFacts &gpu) {
  if (!suitsTensorCores(kernel))
    return BlockScheduleAttr::get(kernel.getContext(), BlockForm::Tiles, /*threads=*/256, /*rowTile=*/4, /*rowSplit=*/64,
                                  /*panelSplit=*/4, 1);
  // 128 channels by 128 rows for one projection, as many sums of two or three by fewer channels.
  int64_t panels = contents.linears == 1 ? 8 : 4;
  int64_t stageBytes = 128 * 64 + contents.linears * panels * 1024;
  int64_t stages = std::clamp<int64_t>(gpu.sharedPerBlock / stageBytes, 2, 4);
  return BlockScheduleAttr::get(kernel.getContext(), BlockForm::TensorTiles, /*threads=*/256, /*rowTile=*/32, /*rowSplit=*/128,
                                panels, stages);
}

static BlockScheduleAttr scheduleOf(KernelOp kernel, const GpuFacts &gpu, bool step) {
  KernelContents contents = contentsOf(kernel);
  if (contents.linears)
    return step ? scheduleStep(kernel, gpu) : scheduleTiles(kernel, contents, gpu);
  if (contents.scans && !step)
    return BlockScheduleAttr::get(kernel.getContext(), BlockForm::Scan, /*threads=*/256, /*rowTile=*/64, 1, /*panelSplit=*/1, 1);
  int64_t threads = std::clamp<int64_t>(llvm::alignTo(llvm::divideCeil(widthOf(kernel), 4), 32), 64, 256);
  return BlockScheduleAttr::get(kernel.getContext(), BlockForm::Rows, threads, 1, 1, /*panelSplit=*/0, 1);
}

namespace {
struct ScheduleForGpu : sm1::impl::ScheduleForGpuBase<ScheduleForGpu> {
  using ScheduleForGpuBase::ScheduleForGpuBase;

  void runOnOperation() override {
    const Target *facts = findTarget(target);
    if (!facts || !facts->isGpu()) {
      getOperation()->emitError("no GPU target called '") << target << "'";
      return signalPassFailure();
    }
    auto choose = [&](KernelOp kernel) {
      if (!kernel.getBlocks())
        kernel.setBlocksAttr(scheduleOf(kernel, *facts->gpu, step));
    };
    auto matrixLayout = [](KernelOp kernel, Type) -> StringRef {
      return isTensorForm(kernel.getBlocksAttr().getForm()) ? "fragments" : "panels";
    };
    constexpr llvm::StringLiteral stepSuffix = "_step";
    if (failed(scheduleKernels(getOperation(), {choose, matrixLayout, step ? stepSuffix : "", step ? "" : stepSuffix})))
      signalPassFailure();
  }
};
} // namespace
