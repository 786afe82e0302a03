//===- Cost.h - what kernels cost: counts of their work, tiles by predicted time, a table for people -------------===//
//
// The arithmetic of predictions is the packing library's (sm1rt/packing/Cost.h), which the runtime shares; docs/Cost.md explains
// both.

#ifndef SM1C_COST_H
#define SM1C_COST_H

#include "sm1/IR/Sm1.h"
#include "sm1c/Target.h"

#include "sm1rt/packing/Cost.h"

#include "llvm/ADT/StringMap.h"

#include <string>

namespace sm1 {

//===----------------------------------------------------------------------===//
// Counts
//===----------------------------------------------------------------------===//

/// Counts of a kernel; the part that a schedule decides is left at its default where there is none yet. Reads the body only.
sm1rt::KernelCost costOf(KernelOp kernel);

/// Lane operations of one elementwise operation, as code generation expands it; 0 for what costs nothing.
double laneOpsOf(mlir::Operation *op);

/// By kernel name.
using KernelCosts = llvm::StringMap<sm1rt::KernelCost>;
/// Counts of every kernel of `module`, which is at Stage::Scheduled for a CPU.
KernelCosts costsOf(mlir::ModuleOp module);

//===----------------------------------------------------------------------===//
// Choices
//===----------------------------------------------------------------------===//

/// The candidate of which `cost` is least; of equals the first. There is at least one.
template <typename Candidates, typename Cost> auto pickBest(const Candidates &candidates, Cost cost) {
  auto best = std::begin(candidates);
  auto least = cost(*best);
  for (auto next = std::next(best); next != std::end(candidates); ++next)
    if (auto own = cost(*next); own < least)
      best = next, least = own;
  return *best;
}

/// Rows and panels of a tile of projections.
struct TileShape {
  int64_t rows, panels;
  bool operator==(const TileShape &other) const { return rows == other.rows && panels == other.panels; }
};

/// Projections of one kernel that share a loop over k.
struct TileProblem {
  int64_t projections = 1;
  int64_t rows = 256, panels = 88; ///< what the tiles have to cover
  double weightBytes = 4;          ///< per element
  double unpackOps = 0;            ///< per loaded weight, see KernelCost
};

/// Every shape whose loop keeps its sums and operands in registers; {1, 1} if none does.
std::vector<TileShape> candidateTiles(const sm1rt::CoreFacts &core, const TileProblem &problem);
/// The candidate that covers the problem in the fewest predicted cycles.
TileShape chooseTile(const sm1rt::CoreFacts &core, const TileProblem &problem);

/// Panels that one row reads together: the fewest, a multiple of `panelTile`, that make eight streams, or as many as fit the registers.
/// `ahead`: the next group is prefetched, which makes twice as many.
int64_t chooseSingleRowPanels(const sm1rt::CoreFacts &core, const TileProblem &problem, int64_t panelTile, bool ahead);

//===----------------------------------------------------------------------===//
// For people
//===----------------------------------------------------------------------===//

/// Counts and predictions of every kernel of `module` (at Stage::Scheduled for `target`), for one row and for 2048.
std::string costTable(mlir::ModuleOp module, const Target &target);

} // namespace sm1

#endif // SM1C_COST_H
