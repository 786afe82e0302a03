//===- TileCandidates.cpp - schedules of CPUs --------------------------------------------------------------------===//

#include "Candidates.h"

#include "../Transforms/KernelMerge.h"
#include "sm1c/Cost.h"

#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace sm1;

/// Rows that follow `old` by halves and doubles; none stay none.
static SmallVector<int64_t> around(int64_t old) {
  if (old < 2)
    return {old};
  return {old, old / 2, 2 * old};
}

/// Blocks of tile registers: six of sums, or three.
static SmallVector<std::pair<int64_t, int64_t>> matrixBlocks(ScheduleAttr present, int64_t linears) {
  if (!present.getMatrixRows())
    return {{0, 0}};
  SmallVector<std::pair<int64_t, int64_t>> blocks;
  for (int64_t sums : {6, 4, 3})
    for (int64_t panels : {1, 2, 3})
      if (sums % (linears * panels) == 0)
        blocks.emplace_back(sums / (linears * panels) * 16, panels);
  return blocks;
}

static void addProjections(KernelOp kernel, const Target &target, llvm::SetVector<ScheduleAttr> &list) {
  ScheduleAttr old = kernel.getScheduleAttr();
  sm1rt::CoreFacts core = sm1rt::coreOf({target.name.data(), target.name.size()});
  int64_t linears = contentsOf(kernel).linears;
  auto fits = [&](int64_t rows, int64_t panels, bool apart) {
    sm1rt::TileWork tile{double(rows), double(panels), double(linears)};
    tile.apart = apart;
    return sm1rt::tileRegisters(core, tile) <= core.registers;
  };
  for (auto [matrixRows, matrixPanels] : matrixBlocks(old, linears))
    for (bool apart : {false, true})
      for (int64_t panels : {1, 2, 4})
        for (int64_t rows = 1; rows <= 16 && fits(rows, panels, apart) && (linears > 1 || !apart); ++rows)
          for (int64_t single : {old.getSingleRowPanels(), int64_t(2), int64_t(4), int64_t(8)})
            for (int64_t split : around(old.getRowSplit()))
              for (int64_t together : {2, 4, 8})
                if (single % panels == 0)
                  list.insert(ScheduleAttr::get(kernel.getContext(), rows, panels, single, split, together, old.getRowBand(), apart,
                                                old.getWidenRows(), old.getProducts(), matrixRows, matrixPanels));
}

std::vector<ScheduleAttr> sm1::tileSchedules(KernelOp kernel, const Target &target) {
  ScheduleAttr old = kernel.getScheduleAttr();
  llvm::SetVector<ScheduleAttr> list;
  auto add = [&](int64_t rows, int64_t panels, int64_t rowSplit, int64_t panelSplit) {
    list.insert(ScheduleAttr::get(kernel.getContext(), rows, panels, panels, rowSplit, panelSplit));
  };
  if (contentsOf(kernel).hasRowNorm)
    for (int64_t split : {2, 4, 8, 16, 32})
      add(1, 1, split, 0);
  else if (contentsOf(kernel).linears)
    addProjections(kernel, target, list);
  else
    for (int64_t panels : {1, 2, 4, 8})
      for (int64_t rows : {1, 2})
        for (int64_t split : around(old.getRowSplit()))
          for (int64_t times : {1, 2, 4})
            add(rows, panels, split, panels * times);
  return {list.begin(), list.end()};
}
