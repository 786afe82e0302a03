//===- ScheduleForCpu.cpp - tiles, splits, weight layouts and launches for one CPU target ------------------------===//

#include "KernelMerge.h"
#include "Scheduling.h"
#include "sm1c/Cost.h"
#include "sm1c/Target.h"
#include "sm1c/Transforms/Passes.h"
#include "sm1c/Tuning.h"

#include "llvm/Support/MathExtras.h"

namespace sm1 {
#define GEN_PASS_DEF_SCHEDULEFORCPU
#include "sm1c/Transforms/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

/// Channels of the widest row that a projection of `kernel` reads.
static int64_t depthOf(KernelOp kernel) {
  int64_t widest = 16;
  for (auto linear : kernel.getBlock().getOps<LinearOp>())
    widest = std::max(widest, channels(linear.getX().getType()));
  return widest;
}

static bool isBf16Product(LinearOp linear) {
  return getElementTypeOrSelf(linear.getX()).isBF16() && getElementTypeOrSelf(linear.getWeight()).isBF16();
}

static bool isInt4(LinearOp linear) { return getElementTypeOrSelf(linear.getWeight()).isInteger(4); }

/// Projections whose sums tile registers can make: bf16 by bf16 or int8 by int8, in rows of whole 64 bytes.
static bool suitsMatrixTiles(KernelOp kernel) {
  auto isInt4Group = [](LinearOp linear) {
    return isInt4(linear) && linear.getInt8() && channels(linear.getX().getType()) % 32 == 0;
  };
  if (llvm::all_of(kernel.getBlock().getOps<LinearOp>(), isInt4Group))
    return true;
  return llvm::all_of(kernel.getBlock().getOps<LinearOp>(), [](LinearOp linear) {
    int64_t width = channels(linear.getX().getType());
    bool bytes = linear.getInt8() && getElementTypeOrSelf(linear.getWeight()).isInteger(8);
    return bytes ? width % 64 == 0 : isBf16Product(linear) && width % 32 == 0;
  });
}

/// Rows that are worth unpacking weights for once more: that takes as long as multiplying with them for four or five rows.
static constexpr int64_t manyRows = 24;

/// Whether weights are stored narrower than `products` multiply them.
static bool unpacks(LinearOp linear, Products products) {
  bool dot = products == Products::Dot && (linear.getInt8() || isBf16Product(linear));
  return !dot && !getElementTypeOrSelf(linear.getWeight()).isF32();
}

/// Rows that stay in half of the core's cache while panels pass by.
static int64_t rowsInCache(KernelOp kernel, const Target &target, int64_t elementBytes, int64_t rowTile, int64_t most) {
  int64_t rows = std::clamp<int64_t>(target.l2Bytes / 2 / (depthOf(kernel) * elementBytes), rowTile, most);
  return rows / rowTile * rowTile;
}

/// What the tiles of `kernel` have to do.
static TileProblem problemOf(KernelOp kernel, int64_t linears, Products products, const Target &target, bool widens) {
  sm1rt::KernelCost cost = costOf(kernel);
  bool anyBf16 = llvm::any_of(kernel.getBlock().getOps<LinearOp>(), isBf16Product);
  TileProblem problem;
  problem.projections = linears;
  problem.panels = llvm::divideCeil(widthOf(kernel), 16);
  problem.madds = products == Products::Dot && !target.integerDots;
  problem.grouped = problem.madds && cost.groupProducts > 0;
  if (products == Products::Dot)
    return problem;
  problem.unpackOps = products == Products::Table ? sm1rt::tableOps : cost.unpackOps;
  problem.widens = widens;
  if (anyBf16)
    problem.chains = 2, problem.rowOps = sm1rt::pairRowOps;
  else if (cost.int8Products > 0)
    problem.unpackOps = problem.rowOps = sm1rt::byteOps;
  return problem;
}

/// Whether all are integers of one width: without VNNI rows are made for dot products of int8 or of int4.
template <typename Linears> static bool isOfOneWidth(Linears linears) {
  bool anyInt4 = llvm::any_of(linears, isInt4);
  return llvm::all_of(linears, [&](LinearOp linear) { return linear.getInt8() && isInt4(linear) == anyInt4; });
}

/// What multiplies in `linears`. Tile registers sum bf16 as fused multiply-adds can, and not as dot products do.
template <typename Linears> static Products productsOf(Linears linears, const Target &target) {
  auto dots = [&](LinearOp linear) { return linear.getInt8() || (isBf16Product(linear) && !target.matrixTiles); };
  bool hasAll = target.integerDots && (target.bf16Dots || llvm::none_of(linears, isBf16Product));
  if (hasAll && llvm::any_of(linears, dots))
    return Products::Dot;
  if (!target.integerDots && isOfOneWidth(linears))
    return Products::Dot;
  return target.vectorLanes == 16 && llvm::any_of(linears, isInt4) ? Products::Table : Products::Fma;
}

/// Whether there are three bf16 projections of the same rows, whose sums are made in passes, four at a time (MatrixPasses.cpp).
/// Passes of one projection take the tiles that it has anyway.
static bool isThreeInPasses(KernelOp kernel, int64_t linears) {
  auto all = llvm::to_vector(kernel.getBlock().getOps<LinearOp>());
  return linears == 3 &&
         llvm::all_of(all, [&](LinearOp linear) { return !linear.getInt8() && linear.getX() == all.front().getX(); });
}

/// Tiles of a kernel with projections, as the cost model chooses them; what it has no part in are blocks of tile registers.
static ScheduleAttr scheduleProjection(KernelOp kernel, const KernelContents &contents, const Target &target) {
  auto linears = kernel.getBlock().getOps<LinearOp>();
  bool anyInt8 = llvm::any_of(linears, [](LinearOp linear) { return linear.getInt8(); });
  bool matrix = target.matrixTiles && suitsMatrixTiles(kernel);
  Products products = productsOf(linears, target);
  bool widens = !matrix && llvm::any_of(linears, [&](LinearOp linear) { return unpacks(linear, products); });
  TileProblem problem = problemOf(kernel, contents.linears, products, target, widens);
  sm1rt::CoreFacts core = sm1rt::coreOf({target.name.data(), target.name.size()});
  TileShape tile = chooseTile(core, problem);
  int64_t streams = chooseSingleRowPanels(core, problem);
  int64_t widenRows = widens ? manyRows : 0;
  // Tasks have an even number of panels, which keeps groups of streams and tiles whole.
  int64_t panelSplit = 2;
  // Tile registers of sums, rows by panels by projections: four of bf16, whose operands then have the others, or else six.
  bool passes = matrix && isThreeInPasses(kernel, contents.linears);
  bool int4 = matrix && llvm::all_of(linears, isInt4);
  int64_t matrixPanels = !matrix ? 0 : int4 || passes || contents.linears == 1 ? 2 : 1, columns = contents.linears * matrixPanels;
  int64_t matrixRows = !matrix ? 0 : int4 ? 16 : passes ? 32 : (!anyInt8 && columns == 2 ? 4 : 6) / columns * 16;
  int64_t rows = matrix ? rowsInCache(kernel, target, anyInt8 ? 1 : 2, matrixRows, 256)
                        : rowsInCache(kernel, target, problem.madds ? 2 : sizeof(float), tile.rows, 128);
  // A scan walks all rows itself. Its bands were worth 1.2 with tile registers; multiply-adds wait for no cache.
  int64_t split = contents.scans ? 0 : rows, band = contents.scans && matrix ? rows : 0;
  return ScheduleAttr::get(kernel.getContext(), tile.rows, tile.panels, streams, split, panelSplit, band, tile.apart, widenRows,
                           products, matrixRows, matrixPanels);
}

/// A scan of one state a channel that waits for what it reads: a task with long pieces of rows has them fetched ahead. One of
/// several states computes for longer than it reads.
static bool walksStreams(KernelOp kernel) {
  return !kernel.getBlock().getOps<ScanOp>().empty() && kernel.getBlock().getOps<LinearOp>().empty();
}

static ScheduleAttr scheduleOf(KernelOp kernel, const Target &target) {
  KernelContents contents = contentsOf(kernel);
  MLIRContext *context = kernel.getContext();
  if (contents.hasRowNorm)
    return ScheduleAttr::get(context, 1, 1, 1, /*rowSplit=*/8, /*panelSplit=*/0);
  if (contents.linears)
    return scheduleProjection(kernel, contents, target);
  // One row at a time, because neighbouring rows of a scan wait for each other (2 rows by 2 panels are 8 % slower, 4 by 1 24 %).
  // More than two panels spill.
  if (walksStreams(kernel))
    return ScheduleAttr::get(context, 1, 2, 2, /*rowSplit=*/0, /*panelSplit=*/2);
  // Four panels at once hide the latency of exp and of a division; half as many where a panel takes two registers.
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
      if (walksStreams(kernel))
        kernel->setAttr(aloneAttr, UnitAttr::get(&getContext()));
    };
    auto matrixLayout = [](KernelOp, Type element) -> StringRef {
      return element.isBF16() ? "pairs" : element.isInteger(8) ? "quads" : element.isInteger(4) ? "nibbles" : "panels";
    };
    auto key = [](KernelOp kernel) { return tuningKey(kernel, Entry::Both, ""); };
    if (failed(scheduleKernels(getOperation(), {choose, matrixLayout, nullptr, {}, overrides, facts, key, tuned, false})))
      signalPassFailure();
  }
};
} // namespace
