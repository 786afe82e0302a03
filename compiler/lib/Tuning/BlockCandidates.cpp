//===- BlockCandidates.cpp - schedules of GPUs, form by form -----------------------------------------------------===//

#include "Candidates.h"

#include "../Transforms/BlockForms.h"
#include "../Transforms/KernelMerge.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace sm1;

/// Sums that leave a thread of tensor_tiles registers for two sets of operands: 144 take 254, as ptxas says.
static constexpr int64_t mostTensorSums = 144;

namespace {
/// Collects schedules of one kernel.
class BlockLister {
public:
  BlockLister(KernelOp kernel, const Target &target, bool keepsBits)
      : kernel(kernel), target(target), keepsBits(keepsBits), present(kernel.getBlocksAttr()) {}
  std::vector<BlockScheduleAttr> run();

private:
  void add(BlockForm form, int64_t threads, int64_t rowTile, int64_t rowSplit, int64_t panelSplit, int64_t stages = 1,
           int64_t depthSplit = 1) {
    if (threads >= 32 && threads <= 1024 && threads % 32 == 0)
      list.push_back(BlockScheduleAttr::get(kernel.getContext(), form, threads, rowTile, rowSplit, panelSplit, stages, depthSplit));
  }
  void addRows();
  void addScans();
  void addTiles();
  void addSteps();
  void addTensorTiles();
  void addWgmmaTiles();

  KernelOp kernel;
  const Target &target;
  bool keepsBits;
  BlockScheduleAttr present;
  std::vector<BlockScheduleAttr> list;
};
} // namespace

void BlockLister::addRows() {
  if (hasRowBands(present))
    for (int64_t rows : {2, 4, 8, 16})
      add(BlockForm::Rows, present.getThreads(), 1, rows, 0);
  else if (hasWarpRows(present))
    for (int64_t rows : {1, 2, 4, 8, 16})
      add(BlockForm::Rows, rows * lanesOfWarp, rows, rows, 0);
  else
    for (int64_t threads : {64, 96, 128, 192, 256, 352, 512})
      add(BlockForm::Rows, threads, 1, 1, 0);
}

/// Whole segments, and where the order is free parts of time.
void BlockLister::addScans() {
  bool isSelective = !kernel.getBlock().getOps<SelectiveScanOp>().empty();
  for (int64_t rows : {16, 32, 64, 128, 256}) {
    add(BlockForm::Scan, 4 * rows, rows, 1, 1);
    if (isSelective)
      add(BlockForm::Scan, 8 * rows, rows, 1, 1), add(BlockForm::Scan, 16 * rows, rows, 1, 1);
  }
  if (isSelective || keepsBits)
    return;
  for (int64_t panels : {1, 2, 4, 8})
    for (int64_t rows : {64, 128, 192, 256, 384, 512, 1024})
      for (int64_t stages = 1; stages <= present.getStages(); ++stages)
        add(BlockForm::Scan, rows * panels / 2, rows, 1, panels, stages);
}

void BlockLister::addTiles() {
  for (int64_t rowTile : {1, 2, 4})
    for (int64_t rowSplit : {16, 32, 64, 128})
      for (int64_t panels : {1, 2, 4, 8})
        add(BlockForm::Tiles, rowSplit / rowTile * panels * 4, rowTile, rowSplit, panels);
}

/// How many warps share a sum of tensor_step decides its order.
void BlockLister::addSteps() {
  for (int64_t rowTile : {1, 2, 4, 8})
    for (int64_t rowSplit : {8, 16, 32, 64})
      for (int64_t threads = 64; threads <= 512; threads += 32)
        if (!keepsBits || present.getForm() != BlockForm::TensorStep || threads == present.getThreads())
          add(present.getForm(), threads, rowTile, rowSplit, 1);
}

void BlockLister::addTensorTiles() {
  int64_t linears = contentsOf(kernel).linears, panelsOfAll = llvm::divideCeil(widthOf(kernel), 16);
  for (int64_t threads : {64, 128, 256, 512})
    for (int64_t rowTile : {16, 32, 48, 64})
      for (int64_t groups : {1, 2, 4})
        for (int64_t panels : {1, 2, 4, 8, 16})
          for (int64_t depth : {1, 2, 4, 8}) {
            int64_t columnWarps = threads / 32 / depth / groups;
            if (panels > panelsOfAll || columnWarps < 1 || panels % columnWarps)
              continue;
            if (linears * (panels / columnWarps) * rowTile / 2 <= mostTensorSums)
              for (int64_t stages : {5, 4, 3, 2})
                add(BlockForm::TensorTiles, threads, rowTile, rowTile * groups, panels, stages, depth);
          }
}

void BlockLister::addWgmmaTiles() {
  for (int64_t rowTile : {64, 128})
    for (int64_t groups : {1, 2})
      for (int64_t panels = 1; panels <= 16; ++panels)
        for (int64_t stages : {8, 7, 6, 5, 4, 3})
          for (int64_t threads : {128 * groups, 128 * groups + 128, 256 * groups + 128})
            for (int64_t depth : {1, 2, 4})
              add(BlockForm::WgmmaTiles, threads, rowTile, rowTile * groups, panels, stages, depth);
}

std::vector<BlockScheduleAttr> BlockLister::run() {
  switch (present.getForm()) {
  case BlockForm::Rows:
    addRows();
    break;
  case BlockForm::Scan:
    addScans();
    break;
  case BlockForm::Tiles:
    addTiles();
    break;
  case BlockForm::Step:
  case BlockForm::TensorStep:
    addSteps();
    break;
  case BlockForm::TensorTiles:
  case BlockForm::WgmmaTiles:
    addTensorTiles();
    if (target.wgmma)
      addWgmmaTiles();
    break;
  }
  return std::move(list);
}

std::vector<BlockScheduleAttr> sm1::blockSchedules(KernelOp kernel, const Target &target, bool keepsBits) {
  return BlockLister(kernel, target, keepsBits).run();
}

/// What the lowerings ask for where it matters; sharedBytesOf() knows exactly, and takes its time.
int64_t sm1::sharedEstimate(KernelOp kernel) {
  BlockScheduleAttr blocks = kernel.getBlocksAttr();
  int64_t linears = projectionsOfBlock(kernel), rows = blocks.getRowSplit(), columns = linears * blocks.getPanelSplit() * 16;
  switch (blocks.getForm()) {
  case BlockForm::TensorTiles:
    return blocks.getStages() * blocks.getDepthSplit() * (rows + columns) * 64;
  case BlockForm::WgmmaTiles:
    return blocks.getStages() * wgmmaSlices(blocks, multipliedType(kernel), kernel->hasAttr(wideStepsAttr)) * (rows + columns) * 64;
  case BlockForm::Tiles:
    return 64 * 4 * (rows + 4 + columns);
  default:
    return 0;
  }
}

int64_t sm1::registersEstimate(KernelOp kernel) {
  BlockScheduleAttr blocks = kernel.getBlocksAttr();
  int64_t linears = projectionsOfBlock(kernel);
  if (walksTiles(blocks))
    return (64 << 10) / blocks.getThreads() / 8 * 8;
  if (blocks.getForm() == BlockForm::WgmmaTiles)
    return std::min<int64_t>(255, 60 + wgmmaSums(blocks, linears));
  if (blocks.getForm() != BlockForm::TensorTiles)
    return 0; // the model's own
  int64_t columnWarps = blocks.getThreads() / 32 / blocks.getDepthSplit() / (blocks.getRowSplit() / blocks.getRowTile());
  return std::min<int64_t>(255, 100 + linears * blocks.getPanelSplit() / columnWarps * blocks.getRowTile() / 2);
}
