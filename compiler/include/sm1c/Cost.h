//===- Cost.h - what kernels cost: counts of their work, tiles by predicted time, a table for people -------------===//
//
// The arithmetic of predictions is the packing library's (sm1rt/packing/Cost.h), which the runtime shares; docs/Cost.md explains
// both.

#ifndef SM1C_COST_H
#define SM1C_COST_H

#include "sm1/IR/Sm1.h"
#include "sm1c/Target.h"

#include "sm1rt/packing/Cost.h"
#include "sm1rt/packing/GpuCost.h"

#include "llvm/ADT/StringMap.h"

#include <string>
#include <vector>

namespace sm1 {

//===----------------------------------------------------------------------===//
// Counts
//===----------------------------------------------------------------------===//

/// What functions become: polynomials with the bits of every device, or on a GPU in bf16 its special functions.
enum class Functions { Exact, Approximate };

/// Counts of a kernel; the part that a schedule decides is left at its default where there is none yet. Reads the body only.
sm1rt::KernelCost costOf(KernelOp kernel, Functions functions = Functions::Exact);

/// Lane operations of one elementwise operation, as code generation expands it; 0 for what costs nothing.
double laneOpsOf(mlir::Operation *op, Functions functions = Functions::Exact);

/// Bytes of a parameter in the layout that kernels read.
double packedBytes(ParamOp param);

/// How a launch of a scheduled kernel is cut, as the plan has it but for a GPU's shared memory, which a lowering knows.
sm1rt::BlockCuts launchCutsOf(KernelOp kernel);

/// By kernel name.
using KernelCosts = llvm::StringMap<sm1rt::KernelCost>;
/// Counts of every kernel of `module`, which is at Stage::Scheduled.
KernelCosts costsOf(mlir::ModuleOp module, Functions functions = Functions::Exact);

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

/// Rows and panels of a tile of projections, and whether they are summed one after the other.
struct TileShape {
  int64_t rows, panels;
  bool apart = false;
  bool operator==(const TileShape &other) const { return rows == other.rows && panels == other.panels && apart == other.apart; }
};

/// Projections of one kernel and one x.
struct TileProblem {
  int64_t projections = 1;
  int64_t panels = 88;    ///< of each
  double weightBytes = 4; ///< per element
  double unpackOps = 0;   ///< per loaded weight, see KernelCost
  double rowOps = 0;      ///< per row, see TileWork
  int64_t chains = 1;     ///< of a sum
  bool widens = false;    ///< many rows find their weights unpacked
  bool madds = false;     ///< integers without VNNI; `grouped`: int4
  bool grouped = false;
};

/// Panels that one row reads together: the fewest that, with as many prefetched, make eight streams of weights, or as many as fit
/// the registers.
int64_t chooseSingleRowPanels(const sm1rt::CoreFacts &core, const TileProblem &problem);
/// Every shape that divides the panels of a single row and whose loop keeps its sums and operands in registers; {1, 1} if none
/// does. Shapes with one loop for all projections come first.
std::vector<TileShape> candidateTiles(const sm1rt::CoreFacts &core, const TileProblem &problem);
/// The candidate that covers 8 rows, a batch, and 256, a part of a prompt, in the fewest predicted cycles. Of those that a
/// prediction cannot tell apart: one of four rows at least, with which weights pass by less often; one with a single loop; then the
/// best for 8 rows.
TileShape chooseTile(const sm1rt::CoreFacts &core, const TileProblem &problem);

//===----------------------------------------------------------------------===//
// For people
//===----------------------------------------------------------------------===//

/// Counts and predictions of every kernel of `module` (at Stage::Scheduled for `target`), for one row and for 2048.
std::string costTable(mlir::ModuleOp module, const Target &target);

} // namespace sm1

#endif // SM1C_COST_H
