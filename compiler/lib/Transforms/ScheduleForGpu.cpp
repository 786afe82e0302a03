//===- ScheduleForGpu.cpp - forms of blocks, splits, weight layouts and launches for one GPU ---------------------===//

#include "../Lowering/Gpu/NormHalves.h"
#include "Boxes.h"
#include "KernelMerge.h"
#include "RoundStreams.h"
#include "Scheduling.h"
#include "sm1/IR/Sm1NormHalves.h"
#include "sm1c/Stages.h"
#include "sm1c/Target.h"
#include "sm1c/Transforms/Passes.h"
#include "sm1c/Tuning.h"

#include "llvm/Support/MathExtras.h"

namespace sm1 {
#define GEN_PASS_DEF_SCHEDULEFORGPU
#include "sm1c/Transforms/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

/// Tensor cores take one x, bf16 by bf16 or e4m3 by e4m3.
static bool suitsTensorCores(KernelOp kernel) {
  auto linears = kernel.getBlock().getOps<LinearOp>();
  Value x = (*linears.begin()).getX();
  Type element = getElementTypeOrSelf(x);
  return (element.isBF16() || isFp8(element)) && llvm::all_of(linears, [&](LinearOp linear) {
           return linear.getX() == x && getElementTypeOrSelf(linear.getWeight()) == element;
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
                                  rowsInShared(4 * depth, 8, gpu), /*rowSplit=*/32, /*panelSplit=*/1, /*stages=*/1,
                                  /*depthSplit=*/1);
  // 16 threads for each block of 64 k; two copies of a row where a norm is on the way.
  int64_t threads = std::clamp<int64_t>(llvm::alignTo(llvm::divideCeil(depth, 64) * 16, 32), 64, 512);
  return BlockScheduleAttr::get(kernel.getContext(), BlockForm::Step, threads, rowsInShared(8 * depth, 4, gpu), /*rowSplit=*/16,
                                /*panelSplit=*/1, /*stages=*/1, /*depthSplit=*/1);
}

/// A tile on tensor cores, and how many such blocks share a multiprocessor's memory.
struct TileShape {
  int64_t threads, rowTile, rowSplit, panelSplit, depthSplit, blocks;
};

/// For runs of few, some and many rows, by the number of projections, as measured in runs of the published model: alone, with its
/// weights in the L2 cache, a kernel likes other tiles. Many rows want as many sums in registers as there is room for, and two or
/// three blocks on a multiprocessor, of which one multiplies while another finishes. Few leave most of the chip idle unless blocks
/// are small and warps share a sum, so that much of the weights is on its way at once.
static constexpr TileShape tileShapes[3][maxProjections] = {
    {{256, 32, 32, 1, 8, 1}, {128, 64, 64, 1, 4, 1}, {128, 64, 64, 1, 4, 1}},
    {{256, 32, 64, 4, 2, 1}, {128, 64, 128, 4, 1, 2}, {256, 48, 96, 4, 2, 1}},
    {{128, 32, 64, 8, 1, 2}, {128, 64, 128, 4, 1, 2}, {256, 48, 192, 4, 1, 1}},
};
/// For steps of many sequences, which have fewer rows than a prompt of some: at 256, tiles for those are no faster than those for
/// few.
static constexpr TileShape tileShapesOfStep[maxProjections] = {
    {256, 32, 64, 2, 4, 1}, {256, 32, 64, 4, 2, 1}, {256, 32, 64, 4, 2, 1}};
/// For many rows and one matrix whose panels come in fours, but not in eights: as many sums, and none of a panel that is not there.
static constexpr TileShape manyOfFours = {128, 32, 128, 4, 1, 2};
/// For many rows and three matrices whose operands the copy engine brings: two blocks, not one of as many warps.
static constexpr TileShape manyOfThreeByBoxes = {128, 48, 96, 4, 1, 2};
/// For many rows whose operands the copy engine brings where a multiprocessor has no room for two such blocks: one of as many
/// warps, whose tiles are smaller where one more step is worth more. For some rows the same of three matrices, half as many rows of
/// two, which have three steps then, and of one two blocks whose warps share no k.
static constexpr TileShape manyOfOneBlock[maxProjections] = {
    {256, 32, 128, 8, 1, 1}, {256, 64, 256, 4, 1, 1}, {256, 48, 192, 4, 1, 1}};
static constexpr TileShape someByBoxes[maxProjections] = {
    {128, 16, 64, 4, 1, 2}, {256, 32, 128, 4, 1, 1}, manyOfOneBlock[maxProjections - 1]};
/// For few rows and one matrix on chips whose other tiles are wgmma's: measured there alone.
static constexpr TileShape fewBesideWgmma = {256, 32, 32, 2, 8, 1};

static const TileShape &tileShapeOf(KernelOp kernel, Entry entry, unsigned linears, bool wgmma) {
  if (isStep(entry) && sizeOf(entry) == RunSize::Some)
    return tileShapesOfStep[linears - 1];
  int64_t panels = llvm::divideCeil(widthOf(kernel), 16);
  if (linears == 1 && sizeOf(entry) == RunSize::Many && !kernel.getSelected() && panels % 8 && panels % 4 == 0)
    return manyOfFours;
  if (wgmma && linears == 1 && sizeOf(entry) == RunSize::Few)
    return fewBesideWgmma;
  return tileShapes[static_cast<int>(sizeOf(entry))][linears - 1];
}

namespace {
/// Blocks for wgmma: rows of a tile, tiles on a multiprocessor, the run that they are chosen for, the most stages, warpgroups that
/// share the rows, blocks of a cluster that share the k of a tile, whether one block has these tiles and goes on to others,
/// warpgroups that share the panels, and those that scan.
struct WgmmaShape {
  int64_t rows, tiles, rowsOfRun, mostStages, groups = 1, depthSplit = 1;
  bool walks = false;
  int64_t sharers = 1, scanners = 0;
  int64_t threads() const { return threadsOfWarpgroup * (walks ? groups * tiles + 1 + scanners : groups * sharers); }
};
} // namespace

/// Of many rows a tile has as much as registers hold, and a second one is multiplied while it is finished. Of few there is no
/// second one; it waits less often. Selected rows are most often one. Of few rows the weights of a whole tile may be there before
/// the rows are.
static constexpr WgmmaShape wgmmaMany = {128, 2, 4096, 8, 1, 1, true}, wgmmaScans = {128, 1, 4096, 8, 2, 1, true, 1, 1},
                            wgmmaSelected = {128, 2, 4096, 8}, wgmmaSome = {64, 1, 512, 8}, wgmmaOfStep = {64, 1, 256, 8},
                            wgmmaMore = {64, 1, 768, 8}, wgmmaMost = {64, 1, 1024, 8}, wgmmaLarge = {64, 1, 1536, 8},
                            wgmmaLarger = {64, 1, 2048, 8}, wgmmaOfMost = {64, 1, 512, 8}, wgmmaFew = {64, 1, 128, 16};
/// Three matrices of few rows make wide tiles whose weights no block has room for; one matrix makes narrow ones, which multiply
/// less than they copy: clusters have all of them in shared memory before the rows come, and each block a part of the rows. A
/// cluster of four, for deep sums, fills the chip when there are three tiles of rows.
static constexpr WgmmaShape wgmmaFewOfThree = {64, 1, 64, 16, 1, 2}, wgmmaFewOfOne = {64, 1, 256, 16, 1, 2},
                            wgmmaFewOfDeep = {64, 1, 128, 16, 1, 4};
/// More than one tile of rows: two blocks share the k of one matrix while that many fit the chip, deep sums with fewer stages than
/// steps. Of most sequences tiles of 128 rows do what two rounds of others would.
static constexpr WgmmaShape wgmmaManyOfOne = {64, 1, 256, 13, 1, 2}, wgmmaMostOfOne = {64, 1, 1024, 7, 1, 2},
                            wgmmaMostOfSeveral = {128, 1, 512, 8, 1, 1, false, 2};
/// e4m3 multiplies in half the time, so that what else a block does counts twice: two warpgroups share it.
static constexpr WgmmaShape wgmmaSomeFp8 = {128, 1, 512, 8, 2};
/// Shared memory of a multiprocessor that deep stages leave to blocks of a norm, which run beside tiles of the kernel behind it.
static constexpr int64_t besideBytes = 16 << 10;

/// Shapes for an entry, the best first. A kernel of few rows and one matrix that does not suit the only one is better off with
/// mma.sync: it has too few columns to fill the chip, unless warps share its sums.
static SmallVector<const WgmmaShape *, 2> wgmmaShapesOf(Entry entry, unsigned linears, bool fp8, bool selected) {
  using Shapes = SmallVector<const WgmmaShape *, 2>;
  switch (sizeOf(entry)) {
  case RunSize::Many:
    if (entry == Entry::PrefillLarger && linears == 1 && !fp8 && !selected)
      return {&wgmmaLarger, &wgmmaMany};
    return {selected ? &wgmmaSelected : &wgmmaMany};
  case RunSize::Some:
    if (selected && !isStep(entry)) // most often one row
      return {};
    if (fp8)
      return {&wgmmaSomeFp8};
    if (entry == Entry::PrefillSome || entry == Entry::PrefillMore)
      return {entry == Entry::PrefillSome ? &wgmmaSome : &wgmmaMore};
    if (entry == Entry::PrefillLarge)
      return {&wgmmaLarge};
    if (entry == Entry::PrefillMost)
      return linears > 1 ? Shapes{&wgmmaMost} : Shapes{&wgmmaMostOfOne, &wgmmaMost};
    if (entry == Entry::StepMost)
      return linears > 1 ? Shapes{&wgmmaMostOfSeveral, &wgmmaOfMost} : Shapes{&wgmmaOfMost};
    return linears > 1 || selected ? Shapes{&wgmmaOfStep} : Shapes{&wgmmaManyOfOne, &wgmmaOfStep};
  case RunSize::Few:
    if (selected && !isStep(entry)) // most often one row
      return {};
    if (linears == 1)
      return entry == Entry::StepSome ? Shapes{&wgmmaManyOfOne} : Shapes{&wgmmaFewOfOne, &wgmmaFewOfDeep};
    if (linears == 3 && isStepOfOneTile(entry))
      return {&wgmmaFewOfThree, &wgmmaFew};
    return {&wgmmaFew};
  }
  llvm_unreachable("no such size");
}

/// How good tiles with `columns` are, where `across` stand side by side: the part of the chip that they fill (those with wgmma have
/// 132 multiprocessors; a block that has one for itself comes when another has ended), and the part of the time that is spent on
/// multiplying, where rows that are copied and read count as 64 columns.
static double worthOfWgmma(const WgmmaShape &shape, int64_t columns, int64_t across) {
  constexpr int64_t multiprocessors = 132;
  int64_t blocks = shape.rowsOfRun / shape.rows * across * shape.depthSplit, room = llvm::alignTo(blocks, multiprocessors);
  double filled = shape.tiles == 1 ? double(blocks) / double(room) : std::min(double(blocks) / multiprocessors, 1.0);
  return filled * double(columns) / double(columns + 64);
}

/// A warpgroup's tile: as many panels as divide all of them and fit its registers. Nothing where tiles would be too narrow: both
/// operands come from shared memory.
static BlockScheduleAttr scheduleWgmma(KernelOp kernel, const KernelContents &contents, const GpuFacts &gpu,
                                       const WgmmaShape &shape) {
  constexpr int64_t barrierBytes = 8, usualStages = 8, leastStages = 4; // two of them in use
  constexpr int64_t leastOfClusters = 16, factorBytes = 2 << 10;        // fewer blocks for a tile of rows are slower than mma.sync
  Type x = multipliedType(kernel);
  int64_t mostSums = std::min(isFp8(x) ? mostWgmmaSums - 16 : mostWgmmaSums, // scales need registers, too
                              2 * mostWgmmaSums / (shape.groups * shape.tiles));
  int64_t leastColumns = isFp8(x) ? 16 : 48; // e4m3 has no other form
  int64_t panels = llvm::divideCeil(widthOf(kernel), 16), linears = contents.linears;
  bool mayPart = shape.tiles > 1 && storesSums(kernel); // as measured with many rows alone
  BlockScheduleAttr best;
  double bestWorth = 0;
  bool scans = kernel->hasAttr(chunksAttr) && endsInScan(kernel);
  int64_t mostPanels = scans ? widestScanTile(panels, linears) : std::min<int64_t>(16, panels);
  for (int64_t split = mostPanels; split * 16 * linears >= leastColumns; --split) {
    auto scheduleOf = [&](int64_t stages) {
      return BlockScheduleAttr::get(kernel.getContext(), BlockForm::WgmmaTiles, shape.threads(),
                                    /*rowTile=*/shape.rows / shape.groups, /*rowSplit=*/shape.rows, split, stages,
                                    shape.depthSplit);
    };
    BlockScheduleAttr schedule = scheduleOf(usualStages);
    int64_t together = wgmmaSums(schedule, linears) > mostWgmmaSums && mayPart ? 1 : linears; // projections of a block
    int64_t columns = split * 16 * together, slices = wgmmaSlices(schedule, x);
    int64_t stageBytes = slices * (shape.rows + columns) * 64 + 2 * barrierBytes;
    int64_t room =
        gpu.sharedPerMultiprocessor / (shape.walks ? 1 : shape.tiles) - 1024 - (scans ? sharedBehindSums(kernel, schedule) : 0);
    int64_t stages = std::min(room / stageBytes, usualStages);
    int64_t steps = llvm::divideCeil(channels(x), slices * wgmmaSliceDepth(x)),
            mostSteps = llvm::divideCeil(steps, shape.depthSplit);
    if (shape.mostStages > usualStages) // one for each step is enough
      stages = std::max(stages, std::min({(room - besideBytes) / stageBytes, shape.mostStages, steps}));
    if (shape.depthSplit > 1) // all steps of a block stay, unless the shape says how many
      stages = std::min(mostSteps, shape.mostStages);
    if (stages < mostSteps && steps % shape.depthSplit)
      continue;
    int64_t across = panels / split * linears / together;
    if (auto squares = kernel.getBlock().getOps<PanelSquaresOp>();
        !squares.empty() && across > int64_t((*squares.begin()).getParts().value_or(across)))
      continue;
    if (shape.depthSplit > 1 &&
        (across * shape.depthSplit < leastOfClusters || stages * stageBytes + factorBytes > room ||
         split % (shape.depthSplit / 2) || exchangedBytes(columns) > (steps / shape.depthSplit - 1) * shape.rows * slices * 64))
      continue;
    double worth = worthOfWgmma(shape, columns, across);
    if (panels % split == 0 && split % shape.sharers == 0 && wgmmaSums(schedule, together) <= mostSums &&
        stages >= std::min(leastStages, mostSteps) && worth > bestWorth)
      best = scheduleOf(stages), bestWorth = worth;
  }
  return best;
}

/// Whether a multiprocessor has room for two blocks of 128 rows with three steps each.
static bool hasRoomForTwoOfBoxes(const GpuFacts &gpu) {
  constexpr int64_t stepsOfTwo = 2 * 3;
  return gpu.sharedPerMultiprocessor >= stepsOfTwo * bytesOfBoxStep(128, 8);
}

/// Whether a kernel's operands are brought by the copy engine where its tiles are of mma.sync, as measured. Of e4m3 half as many
/// steps are left, which are too few for the shorter rows.
static bool mayTakeBoxes(KernelOp kernel, const Target &target, Entry entry) {
  constexpr int64_t leastSteps = 8;
  int64_t linears = contentsOf(kernel).linears;
  bool ofMany = entry == Entry::Prefill, ofSome = entry == Entry::PrefillSome;
  if (!copiesBoxes(target) || target.wgmma || kernel.getSelected() || !linears || !suitsTensorCores(kernel))
    return false;
  Type x = multipliedType(kernel);
  if (isFp8(x))
    return ofMany && llvm::divideCeil(channels(x), bytesOfBoxLine) >= leastSteps;
  return ofMany || (ofSome && !hasRoomForTwoOfBoxes(*target.gpu));
}

/// Its tiles.
static const TileShape &boxShapeOf(KernelOp kernel, const GpuFacts &gpu, Entry entry, int64_t linears) {
  if (!hasRoomForTwoOfBoxes(gpu))
    return (sizeOf(entry) == RunSize::Some ? someByBoxes : manyOfOneBlock)[linears - 1];
  return linears == 3 ? manyOfThreeByBoxes : tileShapeOf(kernel, entry, linears, /*wgmma=*/false);
}

/// Whether a scheduled one has tiles that can. Blocks of few rows, and warps that share k, were not measured.
static bool givesBoxes(KernelOp kernel, const Target &target, Entry entry) {
  constexpr int64_t leastRows = 64, bytesOfBarriers = 16;
  BlockScheduleAttr blocks = kernel.getBlocksAttr();
  if (blocks.getForm() != BlockForm::TensorTiles || !mayTakeBoxes(kernel, target, entry))
    return false;
  int64_t step = bytesOfBoxStep(blocks.getRowSplit(), int64_t(contentsOf(kernel).linears) * blocks.getPanelSplit());
  return blocks.getDepthSplit() == 1 && blocks.getRowSplit() >= leastRows && blocks.getRowSplit() <= mostRowsOfBox &&
         panelsOfStages % blocks.getPanelSplit() == 0 &&
         blocks.getStages() * (step + bytesOfBarriers) <= target.gpu->sharedPerBlock;
}

static BlockScheduleAttr scheduleTiles(KernelOp kernel, const KernelContents &contents, const Target &target, Entry entry) {
  const GpuFacts &gpu = *target.gpu;
  if (!suitsTensorCores(kernel))
    return BlockScheduleAttr::get(kernel.getContext(), BlockForm::Tiles, /*threads=*/256, /*rowTile=*/4, /*rowSplit=*/64,
                                  /*panelSplit=*/4, /*stages=*/1, /*depthSplit=*/1);
  bool fp8 = isFp8(multipliedType(kernel));
  if (kernel->hasAttr(chunksAttr) && contents.scans)
    return scheduleWgmma(kernel, contents, gpu, wgmmaScans);
  if (target.wgmma)
    for (const WgmmaShape *shape : wgmmaShapesOf(entry, contents.linears, fp8, kernel.getSelected()))
      if (auto schedule = scheduleWgmma(kernel, contents, gpu, *shape))
        return schedule;
  bool boxes = mayTakeBoxes(kernel, target, entry);
  const TileShape &shape =
      boxes ? boxShapeOf(kernel, gpu, entry, contents.linears) : tileShapeOf(kernel, entry, contents.linears, target.wgmma);
  int64_t stageBytes = shape.depthSplit * (shape.rowSplit * 64 + int64_t(contents.linears) * shape.panelSplit * 1024);
  if (boxes)
    stageBytes = bytesOfBoxStep(shape.rowSplit, int64_t(contents.linears) * shape.panelSplit);
  int64_t room = std::min(gpu.sharedPerBlock, gpu.sharedPerMultiprocessor / shape.blocks - 1024); // each block takes 1 KB more
  int64_t stages = std::clamp<int64_t>(room / stageBytes, 2, 4);
  if (&shape == &fewBesideWgmma) { // what one step needs more is being read
    int64_t steps = llvm::divideCeil(depthOf(kernel), shape.depthSplit * 32);
    stages = std::clamp<int64_t>(std::min((room - besideBytes) / stageBytes, steps + 1), stages, 6);
  }
  return BlockScheduleAttr::get(kernel.getContext(), BlockForm::TensorTiles, shape.threads, shape.rowTile, shape.rowSplit,
                                shape.panelSplit, stages, shape.depthSplit);
}

/// In bf16 time is cut, so that one sequence fills the chip: as many panels as make whole lines of memory, up to four, and chunks
/// that 256 threads have in their registers, of few and of several rows 128. All inputs of a chunk are asked for at once where
/// shared memory has room for those of two blocks. Else the order of a step.
static BlockScheduleAttr scheduleScan(KernelOp kernel, const Target &target, Entry entry, bool keepsOrder) {
  if (keepsOrder)
    return BlockScheduleAttr::get(kernel.getContext(), BlockForm::Scan, /*threads=*/256, /*rowTile=*/64, 1, /*panelSplit=*/1, 1, 1);
  bool isOfFew = target.wgmma && (entry == Entry::PrefillFew || entry == Entry::PrefillSeveral);
  int64_t elements = (isOfFew ? 64 : 128) * 64;                   // few chunks leave multiprocessors idle
  constexpr int64_t exchangedBytes = 9 << 10, reserved = 1 << 10; // of a block
  int64_t panels = llvm::divideCeil(widthOf(kernel), 16), together = panels % 4 == 0 ? 4 : panels % 2 == 0 ? 2 : 1;
  int64_t bytes = llvm::count_if(kernel.getInputs(), [](Value input) { return isStream(input.getType()); }) * elements * 2;
  bool haveRoom = 2 * (bytes + exchangedBytes + reserved) <= target.gpu->sharedPerMultiprocessor;
  return BlockScheduleAttr::get(kernel.getContext(), BlockForm::Scan, /*threads=*/elements / 32, elements / 16 / together, 1,
                                together,
                                /*stages=*/haveRoom && hasStreamsOf16Bits(kernel) ? 2 : 1, 1);
}

/// A row to a block; where there are many rows and a norm, and the order of its sum is free, rows to the warps of one. With a
/// convolution threads have channels of several neighbouring rows, and find the rows before them in registers.
static BlockScheduleAttr scheduleRows(KernelOp kernel, const KernelContents &contents, bool keepsOrder) {
  constexpr int64_t rows = 4, rowsOfBand = 4, mostThreads = 512;
  int64_t units = widthOf(kernel) / 4;
  bool convolves = !kernel.getBlock().getOps<Conv1dOp>().empty();
  if (!keepsOrder && convolves && contents.norms == 1 && widthOf(kernel) % (4 * lanesOfWarp) == 0 && units <= mostThreads)
    return BlockScheduleAttr::get(kernel.getContext(), BlockForm::Rows, units, /*rowTile=*/1, rowsOfBand, /*panelSplit=*/0, 1, 1);
  if (!keepsOrder && contents.norms == 1 && channelsOfLane(widthOf(kernel)))
    return BlockScheduleAttr::get(kernel.getContext(), BlockForm::Rows, rows * lanesOfWarp, /*rowTile=*/rows, /*rowSplit=*/rows,
                                  /*panelSplit=*/0, 1, 1);
  int64_t threads = std::clamp<int64_t>(llvm::alignTo(llvm::divideCeil(widthOf(kernel), 4), 32), 64, 512);
  return BlockScheduleAttr::get(kernel.getContext(), BlockForm::Rows, threads, 1, 1, /*panelSplit=*/0, 1, 1);
}

/// 256 threads: a state of each of 16 channels to a thread with the usual 16 states. A tile's states share a multiprocessor's
/// memory with those of other blocks.
static BlockScheduleAttr scheduleSelectiveScan(SelectiveScanOp scan) {
  constexpr int64_t threads = 256, mostBytes = 40 << 10;
  int64_t rowTile = 64;
  while (rowTile > 16 && rowTile * (scan.stateSize() + 1) * 64 > mostBytes)
    rowTile /= 2;
  return BlockScheduleAttr::get(scan.getContext(), BlockForm::Scan, threads, rowTile, 1, /*panelSplit=*/1, 1, 1);
}

/// Programs of few and of many rows share names; where these compute with e4m3 and those without, a kernel is two.
static StringRef fp8Suffix(KernelOp kernel) {
  auto types = llvm::concat<const Type>(kernel->getOperandTypes(), kernel->getResultTypes());
  return llvm::any_of(types, isFp8) ? "_fp8" : "";
}

/// The same of rows that are made for tiles of many rows.
static StringRef squaresSuffix(KernelOp kernel) {
  auto squares = kernel.getBlock().getOps<PanelSquaresOp>();
  bool isShared = !isTensorTiles(kernel.getBlocksAttr().getForm());
  return isShared && !squares.empty() && (*squares.begin()).getParts() ? "_many" : "";
}

static BlockScheduleAttr scheduleOf(KernelOp kernel, const Target &target, Entry entry, bool keepsOrder) {
  KernelContents contents = contentsOf(kernel);
  if (contents.linears)
    return entry == Entry::Step ? scheduleStep(kernel, *target.gpu) : scheduleTiles(kernel, contents, target, entry);
  if (contents.scans && !isStep(entry)) {
    for (auto scan : kernel.getBlock().getOps<SelectiveScanOp>())
      return scheduleSelectiveScan(scan);
    auto scan = *kernel.getBlock().getOps<ScanOp>().begin();
    return scheduleScan(kernel, target, entry, keepsOrder || scan.getForm() == ScanForm::ClosedForm);
  }
  bool isFewRows = entry == Entry::Step || (isStep(entry) && contents.convs); // by which no warp would be busy
  return scheduleRows(kernel, contents, keepsOrder || isFewRows);
}

/// Numbers of a row's squares that the blocks of `kernel` make: of wgmma_tiles one for each tile that divides the panels, or
/// for the part of it that a block of a cluster or a warpgroup finishes.
static int64_t numbersOfSquares(KernelOp kernel, int64_t panels) {
  BlockScheduleAttr blocks = kernel.getBlocksAttr();
  if (blocks.getForm() == BlockForm::Rows)
    return 1;
  int64_t sharers = std::max<int64_t>(blocksOfCluster(blocks) / 2, 1) * panelGroups(blocks);
  int64_t own = blocks.getPanelSplit() / sharers;
  return blocks.getForm() == BlockForm::WgmmaTiles && panels % own == 0 ? panels / own : panels;
}

/// Of few rows, and in a step, tiles of wgmma store a number each of a row's squares, where all that make rows of so many panels
/// have such tiles: the blocks that multiply the row read fewer. Kernels of rows put their one number first.
static void storeSquaresOfTiles(Operation *module) {
  llvm::SmallDenseMap<int64_t, int64_t> numbers; // by panels
  module->walk([&](PanelSquaresOp squares) {
    int64_t panels = panelsOf(channels(squares.getX().getType()));
    int64_t own = numbersOfSquares(squares->getParentOfType<KernelOp>(), panels), &most = numbers[panels];
    most = std::max(most, int64_t(llvm::alignTo(own, 4)));
  });
  auto mark = [&](Operation *op, int64_t panels) {
    if (int64_t count = numbers.lookup(panels); count && count < panels)
      op->setAttr(tileSquaresAttr, Builder(op).getI64IntegerAttr(count));
  };
  module->walk([&](PanelSquaresOp squares) { mark(squares, panelsOf(channels(squares.getX().getType()))); });
  module->walk([&](RmsScaleOp scale) { mark(scale, panelsOf(scale.getWidth())); });
}

static void markTiles(Operation *module, StringRef name) {
  module->walk([&](KernelOp kernel) {
    if (kernel.getBlocksAttr().getForm() == BlockForm::WgmmaTiles)
      kernel->setAttr(name, UnitAttr::get(kernel.getContext()));
  });
}

/// Those of few blocks whose next ones are clusters, or the next ones of these.
static void markPairs(Operation *module) {
  module->walk([&](KernelOp kernel) {
    BlockScheduleAttr blocks = kernel.getBlocksAttr();
    bool isOneBlock = blocks.getForm() == BlockForm::WgmmaTiles && blocksOfCluster(blocks) == 1;
    if (isOneBlock && kernel->getParentOfType<LayersOp>() && panelsOfBlocks(kernel) / blocks.getPanelSplit() % 2 == 0)
      kernel->setAttr(pairsAttr, UnitAttr::get(kernel.getContext()));
  });
}

static int64_t weightsOf(KernelOp kernel) {
  int64_t numbers = 0;
  for (auto linear : kernel.getBlock().getOps<LinearOp>())
    numbers += cast<ShapedType>(linear.getWeight().getType()).getNumElements();
  return numbers;
}

/// Clocks between the stages of weights of a layer's heaviest kernel, and of its others, as measured.
static constexpr int64_t paceOfFew = 120, paceOfSeveral = 200, paceOfOthers = 100;

/// Says which kernels of a step's layer let the next one start only when they have what they wait for, as measured. The one with
/// the most weights has its own in time if the two in front of it let what follows start at once; blocks that others let start
/// early would have the multiprocessors that it needs. With more than one tile of rows those of the kernel in front of it fill the
/// chip, so that the one in front of that has to wait, and no other. Few rows are there before weights are in their way. Also says
/// how far apart kernels with one tile of rows ask for weights. Before kernels are scheduled, for those that wait have names of
/// their own.
static void markLateNextAndPace(Operation *module, Entry entry, llvm::function_ref<BlockScheduleAttr(KernelOp)> scheduleOf) {
  module->walk([&](LayersOp layers) {
    SmallVector<KernelOp> kernels;
    layers.walk([&](KernelOp kernel) { kernels.push_back(kernel); });
    size_t count = kernels.size(), heaviest = 0;
    for (size_t i = 0; i < count; ++i)
      if (weightsOf(kernels[i]) > weightsOf(kernels[heaviest]))
        heaviest = i;
    if (count < 3 || scheduleOf(kernels[heaviest]).getForm() != BlockForm::WgmmaTiles)
      return;
    for (size_t inFront = 0; inFront < count; ++inFront) {
      bool isOneOfTwoInFront = inFront == 1 || inFront == 2;
      if (entry == Entry::StepSeveral ? !isOneOfTwoInFront : entry == Entry::StepSome && inFront == 2)
        kernels[(heaviest + count - inFront) % count]->setAttr(lateNextAttr, UnitAttr::get(layers.getContext()));
    }
    for (KernelOp kernel : kernels)
      if (isStepOfOneTile(entry) && weightsOf(kernel)) {
        int64_t clocks = kernel != kernels[heaviest] ? paceOfOthers : entry == Entry::StepFew ? paceOfFew : paceOfSeveral;
        kernel->setAttr(paceAttr, Builder(layers).getI64IntegerAttr(clocks));
      }
  });
}

/// Scans of the program for the longest prompts walk time in chunks, and have names of their own.
static void markChunks(Operation *module) {
  module->walk([](KernelOp kernel) {
    if (endsInScan(kernel))
      for (StringRef name : {chunksAttr, ofLongAttr})
        kernel->setAttr(name, UnitAttr::get(kernel.getContext()));
  });
}

/// What names of kernels of other entries may end in. Those of steps are in no other's way.
static ArrayRef<llvm::StringLiteral> foreignSuffixes(Entry entry) {
  static constexpr llvm::StringLiteral suffixes[] = {
      "_step", "_step_few", "_step_several", "_step_some", "_step_many", "_step_most", "_few",  "_several",
      "_some", "_more",     "_most",         "_many",      "_large",     "_larger",    "_long", "_fp8"};
  return isStep(entry) ? ArrayRef<llvm::StringLiteral>() : ArrayRef(suffixes);
}

/// Tells lowering what follows from the schedules of all kernels together, and from the entry's number of rows.
static void markScheduled(Operation *module, const Target &target, Entry entry) {
  module->walk([&](KernelOp kernel) {
    if (givesBoxes(kernel, target, entry))
      kernel->setAttr(boxesAttr, UnitAttr::get(kernel.getContext()));
  });
  bool isOfSome = target.wgmma && !isStep(entry) && sizeOf(entry) == RunSize::Some;
  if (isStep(entry) || entry == Entry::PrefillFew || isOfSome)
    storeSquaresOfTiles(module);
  if (isOfSome || entry == Entry::PrefillFew || isStepOfOneTile(entry))
    markTiles(module, fewRowsAttr);
  if (isOfSome)
    markTiles(module, startsNextAttr);
  if (isStepOfOneTile(entry))
    markPairs(module);
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
    auto entry = parseEntry(this->entry);
    if (!entry) {
      getOperation()->emitError("no entry called '") << this->entry << "'";
      return signalPassFailure();
    }
    if (compute == "bf16" && !isStep(*entry)) // a step's streams are short, and stay as they are
      roundStreams(getOperation());
    if (takesChunks(*entry))
      markChunks(getOperation());
    if (failed(schedule(*facts, *entry)))
      return signalPassFailure();
    markScheduled(getOperation(), *facts, *entry);
  }

private:
  LogicalResult schedule(const Target &facts, Entry entry) {
    auto blocksOf = [&](KernelOp kernel) {
      return kernel.getBlocks() ? kernel.getBlocksAttr() : scheduleOf(kernel, facts, entry, compute != "bf16");
    };
    if (isStep(entry))
      markLateNextAndPace(getOperation(), entry, blocksOf);
    auto choose = [&](KernelOp kernel) { kernel.setBlocksAttr(blocksOf(kernel)); };
    auto matrixLayout = [&](KernelOp kernel, Type) {
      return givesBoxes(kernel, facts, entry) ? "stages" : matrixLayoutOf(kernel.getBlocksAttr().getForm());
    };
    auto suffix = [&](KernelOp kernel) {
      return (fp8Suffix(kernel) + squaresSuffix(kernel) + nameSuffix(entryOfKernel(kernel, entry))).str();
    };
    auto key = [&](KernelOp kernel) { return tuningKey(kernel, entryOfKernel(kernel, entry), compute); };
    return scheduleKernels(getOperation(),
                           {choose, matrixLayout, suffix, foreignSuffixes(entry), overrides, &facts, key, tuned, isStep(entry)});
  }
};
} // namespace
