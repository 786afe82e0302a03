//===- BlockChecks.cpp - whether the schedule of a kernel suits it -----------------------------------------------===//

#include "BlockChecks.h"

#include "../../Transforms/Boxes.h"
#include "../../Transforms/KernelMerge.h"
#include "../KernelFunction.h"
#include "../StoredValue.h"
#include "sm1/IR/Sm1NormHalves.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace sm1;

//===----------------------------------------------------------------------===//
// Why a form does not fit what the kernel computes; empty if it does
//===----------------------------------------------------------------------===//

static std::string whyNotScan(KernelOp kernel, bool isStep) {
  KernelContents contents = contentsOf(kernel);
  bool isScan = kernel.getBlocksAttr().getForm() == BlockForm::Scan;
  bool scansTiles = kernel->hasAttr(chunksAttr) && hasScanGroup(kernel.getBlocksAttr());
  if (contents.scans && !isStep && (contents.scans > 1 || (!scansTiles && (contents.linears || !isScan))))
    return "has a scan over time: the form must be scan, with one scan and no projection";
  auto isForScan = [](LinearOp linear) { return goesIntoScanAlone(linear.getResult()); };
  if (scansTiles && llvm::count_if(kernel.getBlock().getOps<LinearOp>(), isForScan) < leastIntoScanAlone)
    return "has a scan behind tiles, which fewer than two projections go into alone";
  if (!contents.scans && isScan)
    return "has no scan, the form must not be scan";
  bool hasClosedForm =
      llvm::any_of(kernel.getBlock().getOps<ScanOp>(), [](ScanOp scan) { return scan.getForm() == ScanForm::ClosedForm; });
  if ((cutsTime(kernel.getBlocksAttr()) || scansTiles) && hasClosedForm)
    return "has a scan in closed form, which walks a sequence whole: threads must be 4 row_tile";
  return "";
}

/// Tiles may be chunks of segments.
static std::string whyNotChunks(KernelOp kernel, bool isStep) {
  if (!kernel->hasAttr(chunksAttr) || (walksTiles(kernel.getBlocksAttr()) && !isStep && !kernel.getSelected()))
    return "";
  return "schedule: tiles may be chunks of segments (chunks = true) where blocks of wgmma_tiles go on from tile to tile, over all "
         "rows of a prefill";
}

/// A row's squares may be numbers of tiles.
static std::string whyNotParts(KernelOp kernel) {
  BlockScheduleAttr blocks = kernel.getBlocksAttr();
  auto squares = kernel.getBlock().getOps<PanelSquaresOp>();
  if (squares.empty() || !(*squares.begin()).getParts() || blocks.getForm() == BlockForm::Rows)
    return "";
  int64_t parts = int64_t(*(*squares.begin()).getParts()), panels = strideOf(widthOf(kernel)) / panelWidth;
  if (blocks.getForm() == BlockForm::WgmmaTiles && blocks.getDepthSplit() == 1 && panelGroups(blocks) == 1 &&
      panels <= parts * blocks.getPanelSplit())
    return "";
  return llvm::formatv("has half of a norm, which stores the squares of {0} tiles of a row: the form must be wgmma_tiles with at "
                       "most as many, whose panels no warpgroups share, or --no-fuse=sm1-fuse-norm-halves leave norms whole",
                       parts)
      .str();
}

/// Halves of a norm: the squares of a row behind a projection, and what is scaled by them.
static std::string whyNotHalves(KernelOp kernel) {
  BlockForm form = kernel.getBlocksAttr().getForm();
  auto squares = kernel.getBlock().getOps<PanelSquaresOp>();
  auto scales = kernel.getBlock().getOps<RmsScaleOp>();
  // Rows may take the squares of what no projection makes.
  bool makesSquares = isTensorTiles(form) || (form == BlockForm::Rows && !contentsOf(kernel).norms);
  if ((!squares.empty() && !makesSquares) || (!scales.empty() && !isTensorTiles(form)))
    return "has half of a norm, which tiles on tensor cores know alone: the form must be tensor_tiles or wgmma_tiles, or "
           "--no-fuse=sm1-fuse-norm-halves leave norms whole";
  if (llvm::range_size(squares) > 1)
    return "stores the squares of more than one norm";
  if (walksTiles(kernel.getBlocksAttr()))
    for (auto scale : scales)
      if (channels(scale.getSquares().getType()) % 4)
        return "has half of a norm, with squares of panels, not of tiles: threads must be 128 row_split / row_tile";
  return whyNotParts(kernel);
}

static std::string whyNotInstructions(KernelOp kernel, const Target &target) {
  BlockForm form = kernel.getBlocksAttr().getForm();
  if (form == BlockForm::WgmmaTiles && !target.wgmma)
    return ("has the form wgmma_tiles, which " + target.name + " has no instructions for; use tensor_tiles, or --target=sm_90a")
        .str();
  if (form == BlockForm::TensorTiles && kernel->hasAttr(boxesAttr) && !copiesBoxes(target))
    return ("has boxes, for which " + target.name + " has no copy engine; sm_90 and newer chips have").str();
  bool fp8 = contentsOf(kernel).linears && isFp8(multipliedType(kernel));
  if (fp8 && !isTensorTiles(form))
    return "multiplies e4m3, for which the form must be tensor_tiles, or wgmma_tiles for sm_90a, of more rows than a step has";
  if (fp8 && !multipliesFp8(target))
    return ("multiplies e4m3, which " + target.name + " has no instructions for; sm_89 and newer chips have").str();
  return "";
}

static std::string whyNotTensorOperands(KernelOp kernel) {
  if (!isTensorForm(kernel.getBlocksAttr().getForm()))
    return "";
  auto linears = kernel.getBlock().getOps<LinearOp>();
  Value x = (*linears.begin()).getX();
  Type element = getElementTypeOrSelf(x);
  for (LinearOp linear : linears)
    if (linear.getX() != x || !(element.isBF16() || isFp8(element)) || getElementTypeOrSelf(linear.getWeight()) != element)
      return "multiplies on tensor cores, which takes projections of one x, bf16 by bf16 or e4m3 by e4m3";
  return "";
}

static std::string whyNotForm(KernelOp kernel, bool isStep, const Target &target) {
  KernelContents contents = contentsOf(kernel);
  BlockForm form = kernel.getBlocksAttr().getForm();
  bool hasStepForm = form == BlockForm::Step || form == BlockForm::TensorStep;
  if (contents.hasRowNorm && form != BlockForm::Rows)
    return "has a norm of its own values, which needs whole rows: the form must be rows";
  if (std::string why = whyNotScan(kernel, isStep); !why.empty())
    return why;
  if (bool(contents.linears) != (form != BlockForm::Rows && form != BlockForm::Scan))
    return contents.linears ? "has projections: the form must be tiles or step, plain or on tensor cores"
                            : "has no projections: the form must be rows or scan";
  if (contents.hasPrologue && !hasStepForm)
    return "computes what its projections multiply, for which the form must be step or tensor_step";
  if (std::string why = whyNotHalves(kernel); !why.empty())
    return why;
  auto isOfOwnValues = [](Conv1dOp conv) { return !isa<BlockArgument>(storedValue(conv.getX())); };
  if (!isStep && llvm::any_of(kernel.getBlock().getOps<Conv1dOp>(), isOfOwnValues))
    return "has a convolution over time of what it computes itself";
  if (hasStepForm && !isStep)
    return "has a form for one row per segment outside the entry step";
  std::string why = whyNotInstructions(kernel, target);
  return why.empty() ? whyNotTensorOperands(kernel) : why;
}

//===----------------------------------------------------------------------===//
// Why the numbers of a schedule do not fit a form; empty if they do
//===----------------------------------------------------------------------===//

/// Threads cover a tile, with 1, 2 or 4 channels of a row each.
static bool coversSelectiveTile(int64_t threads, int64_t rowTile) {
  return llvm::is_contained({threads, threads * 2, threads * 4}, rowTile * panelWidth);
}

/// The blocks of a cluster divide a sum of wgmma_tiles among each other. What they exchange lies where rows of steps before the
/// last one lay.
static std::string whyNotCluster(KernelOp kernel) {
  BlockScheduleAttr blocks = kernel.getBlocksAttr();
  Type x = multipliedType(kernel);
  int64_t split = blocks.getDepthSplit(), panels = blocks.getPanelSplit(), linears = contentsOf(kernel).linears,
          slices = wgmmaSlices(blocks, x), steps = llvm::divideCeil(channels(x), slices * wgmmaSliceDepth(x)),
          room = (steps / split - 1) * 64 * slices * 64;
  if (!llvm::is_contained({2, 4, 8}, split) || panels % (split / 2) || blocks.getRowSplit() != 64 || walksTiles(blocks) ||
      panelGroups(blocks) > 1 || projectionsOfBlock(kernel) != linears)
    return "schedule: depth_split of wgmma_tiles must be 1, or 2, 4 or 8 with row_split 64 and panel_split a multiple of its half";
  bool stay = blocks.getStages() >= int64_t(llvm::divideCeil(steps, split));
  if ((!stay && (steps % split || blocks.getStages() < 3)) || room < exchangedBytes(linears * panels * panelWidth))
    return llvm::formatv("schedule: depth_split = {0} of wgmma_tiles leaves a block {1} steps of k, which must fit stages, or be "
                         "as many in each, and leave "
                         "room for what is exchanged",
                         split, steps / split)
        .str();
  return "";
}

/// Registers of a thread beside its sums.
static constexpr int64_t leastBesideSums = 40;

static std::string whyNotWgmmaNumbers(KernelOp kernel) {
  BlockScheduleAttr blocks = kernel.getBlocksAttr();
  int64_t rowTile = blocks.getRowTile(), panelSplit = blocks.getPanelSplit(), panels = strideOf(widthOf(kernel)) / panelWidth,
          linears = contentsOf(kernel).linears;
  int64_t threadsOfTile = blocks.getRowSplit() / rowTile * threadsOfWarpgroup;
  if (rowTile % 64 || blocks.getRowSplit() % rowTile || blocks.getThreads() % threadsOfWarpgroup ||
      (hasScanGroup(blocks) && !contentsOf(kernel).scans) ||
      (walksTiles(blocks) && !hasScanGroup(blocks) ? blocks.getThreads() - threadsOfWarpgroup : threadsOfTile) % threadsOfTile ||
      blocks.getThreads() < threadsOfTile)
    return "schedule: row_tile must be a multiple of 64 and divide row_split, and threads be 128 row_split / row_tile, or so many "
           "times that and 128 that copy";
  if (blocks.getRowSplit() > 256) // of a box of a tensor map
    return llvm::formatv("schedule: row_split = {0}, must be at most 256", blocks.getRowSplit()).str();
  if (panelSplit % panelGroups(blocks))
    return llvm::formatv("schedule: panel_split = {0}, must be even where two warpgroups share the panels", panelSplit).str();
  if (panelSplit < 1 || panelSplit > 16 || panels % panelSplit)
    return llvm::formatv("schedule: panel_split = {0}, must be from 1 to 16 and divide the {1} panels", panelSplit, panels).str();
  if (blocks.getStages() < 3 && blocks.getDepthSplit() == 1)
    return llvm::formatv("schedule: stages = {0}, must be at least 3", blocks.getStages()).str();
  if (kernel->hasAttr(ofOneAttr) && (linears < 2 || !storesSums(kernel)))
    return "schedule: blocks may have one projection (of_one = true) where there are several, whose sums are stored as they are";
  int64_t sums = wgmmaSums(blocks, storesSums(kernel) ? projectionsOfBlock(kernel) : linears);
  if (sums > mostWgmmaSums)
    return llvm::formatv("schedule: a thread has {0} sums, must be at most {1}; a smaller row_tile or panel_split needs fewer",
                         sums, mostWgmmaSums)
        .str();
  if (walksTiles(blocks) && sums > registersOfWalk(blocks) - leastBesideSums)
    return llvm::formatv("schedule: {0} sums leave a thread {1} registers, must be at least {2}; fewer threads have more", sums,
                         registersOfWalk(blocks) - sums, leastBesideSums)
        .str();
  return blocks.getDepthSplit() == 1 ? "" : whyNotCluster(kernel);
}

/// One number of a schedule and what it has to be.
static std::string must(const char *what, int64_t value, const char *rule, int64_t wanted) {
  return llvm::formatv("schedule: {0} = {1}, must be {2} {3}", what, value, rule, wanted).str();
}

static std::string whyNotRowsNumbers(KernelOp kernel) {
  BlockScheduleAttr blocks = kernel.getBlocksAttr();
  int64_t threads = blocks.getThreads(), rowSplit = blocks.getRowSplit();
  bool bands = hasRowBands(blocks), warps = hasWarpRows(blocks), oneNorm = contentsOf(kernel).norms == 1;
  if (bands && (threads * 4 != widthOf(kernel) || threads % lanesOfWarp || !oneNorm))
    return "schedule: row_tile may be 1 and row_split more where there is one norm, and 32, 64 or more threads have four "
           "channels each";
  if (bands && !llvm::is_contained({2, 4, 8, 16, 32}, rowSplit))
    return "schedule: row_split of rows in bands must be 2, 4, 8, 16 or 32";
  if (warps && (!channelsOfLane(widthOf(kernel)) || !oneNorm))
    return "schedule: threads may be 32 row_tile where there is one norm, over channels that 32 lanes share evenly";
  if (blocks.getPanelSplit() != 0)
    return must("panel_split", blocks.getPanelSplit(), "exactly", 0);
  int64_t rows = warps ? blocks.getRowTile() : 1;
  return !bands && rowSplit != rows ? must("row_split", rowSplit, "exactly", rows) : "";
}

static std::string whyNotScanNumbers(KernelOp kernel) {
  constexpr const char *threadsRule =
      "schedule: threads of a scan must be 4 row_tile, or row_tile panel_split / 2 with row_tile a multiple of 64";
  BlockScheduleAttr blocks = kernel.getBlocksAttr();
  int64_t threads = blocks.getThreads(), rowTile = blocks.getRowTile(), panelSplit = blocks.getPanelSplit();
  if (blocks.getRowSplit() != 1)
    return must("row_split", blocks.getRowSplit(), "exactly", 1);
  if ((isSelective(kernel) || !cutsTime(blocks)) && panelSplit != 1)
    return must("panel_split", panelSplit, "exactly", 1);
  if (isSelective(kernel))
    return coversSelectiveTile(threads, rowTile) ? "" : "schedule: threads must be 4, 8 or 16 row_tile";
  if (!cutsTime(blocks))
    return threads != 4 * rowTile ? threadsRule : "";
  // Eight rows of four channels to a thread; the threads of a channel are walked eight at a time.
  if (panelSplit < 1 || strideOf(widthOf(kernel)) / panelWidth % panelSplit)
    return "schedule: panel_split of a scan must divide the panels";
  if (blocks.getStages() > 2 || (staysInShared(blocks) && !hasStreamsOf16Bits(kernel)))
    return "schedule: stages of a scan must be 1, or 2 where all streams have 16 bits";
  return threads * 2 != rowTile * panelSplit || rowTile % 64 ? threadsRule : "";
}

static std::string whyNotTilesNumbers(BlockScheduleAttr blocks) {
  int64_t rowTile = blocks.getRowTile(), panelSplit = blocks.getPanelSplit(), rowSplit = blocks.getRowSplit();
  if (panelSplit < 1 || rowSplit % rowTile || (rowTile & (rowTile - 1)) || rowTile > 4)
    return "schedule: row_tile must be 1, 2 or 4 and divide row_split, and panel_split at least 1";
  int64_t threads = rowSplit / rowTile * panelSplit * 4;
  return blocks.getThreads() != threads ? must("threads", blocks.getThreads(), "4 panel_split row_split / row_tile =", threads)
                                        : "";
}

/// Warps stand in depth_split groups of row_split / row_tile rows, each with its share of the panels.
static std::string whyNotTensorTilesNumbers(BlockScheduleAttr blocks) {
  int64_t threads = blocks.getThreads(), rowTile = blocks.getRowTile(), rowSplit = blocks.getRowSplit(),
          panelSplit = blocks.getPanelSplit(), depthSplit = blocks.getDepthSplit();
  if (rowTile % 16 || panelSplit < 1 || blocks.getStages() < 2)
    return "schedule: row_tile must be a multiple of 16, panel_split at least 1 and stages at least 2";
  if (rowSplit % rowTile || threads % (rowSplit / rowTile * depthSplit * 32) ||
      panelSplit % (threads / 32 / depthSplit / (rowSplit / rowTile)))
    return "schedule: row_tile must divide row_split, and warps for each of its parts and of depth_split must divide panel_split";
  return "";
}

/// A box has whole turns of the swizzle, and no warps share k.
static std::string whyNotBoxes(KernelOp kernel) {
  BlockScheduleAttr blocks = kernel.getBlocksAttr();
  if (blocks.getDepthSplit() != 1)
    return must("depth_split of tiles with boxes", blocks.getDepthSplit(), "exactly", 1);
  if (panelsOfStages % blocks.getPanelSplit())
    return "schedule: panel_split of tiles with boxes must be 1, 2, 4 or 8";
  int64_t rows = blocks.getRowSplit();
  return rows > mostRowsOfBox ? must("row_split of tiles with boxes", rows, "at most", mostRowsOfBox) : "";
}

static std::string whyNotStepNumbers(BlockScheduleAttr blocks) {
  bool onTensorCores = blocks.getForm() == BlockForm::TensorStep;
  int64_t rowTile = blocks.getRowTile(), leastThreads = onTensorCores ? 128 : int64_t(llvm::alignTo(16 * rowTile, 32));
  if (blocks.getPanelSplit() != 1)
    return must("panel_split", blocks.getPanelSplit(), "exactly", 1);
  if (blocks.getThreads() < leastThreads)
    return must("threads", blocks.getThreads(), "at least", leastThreads);
  return onTensorCores && rowTile > 8 ? must("row_tile", rowTile, "at most", 8) : "";
}

static std::string whyNotNumbers(KernelOp kernel) {
  BlockScheduleAttr blocks = kernel.getBlocksAttr();
  if (blocks.getDepthSplit() != 1 && !isTensorTiles(blocks.getForm()))
    return must("depth_split", blocks.getDepthSplit(), "exactly", 1);
  switch (blocks.getForm()) {
  case BlockForm::Rows:
    return whyNotRowsNumbers(kernel);
  case BlockForm::Scan:
    return whyNotScanNumbers(kernel);
  case BlockForm::Tiles:
    return whyNotTilesNumbers(blocks);
  case BlockForm::Step:
  case BlockForm::TensorStep:
    return whyNotStepNumbers(blocks);
  case BlockForm::TensorTiles: {
    std::string why = whyNotTensorTilesNumbers(blocks);
    return why.empty() && kernel->hasAttr(boxesAttr) ? whyNotBoxes(kernel) : why;
  }
  case BlockForm::WgmmaTiles:
    return whyNotWgmmaNumbers(kernel);
  }
  return "";
}

std::string sm1::whyNotBlocks(KernelOp kernel, bool isStep, const Target &target) {
  std::string why = whyNotNumbers(kernel);
  if (why.empty())
    why = whyNotChunks(kernel, isStep);
  return why.empty() ? whyNotForm(kernel, isStep, target) : why;
}
