// Cuts launches into tasks.
#include "sm1rt/packing/Tasks.h"

#include <algorithm>

namespace sm1rt {

/// Launches of many rows: enough tasks per thread that a thread that was held up leaves little behind, few enough that taking them
/// costs nothing.
static constexpr int64_t tasksPerThread = 4;

static int64_t divideUp(int64_t value, int64_t by) { return (value + by - 1) / by; }

TaskGrid partition(const LaunchCuts &cuts, int64_t rows, int threads) {
  int64_t wanted = threads == 1 ? 1 : rows <= fewRows ? threads : tasksPerThread * threads;
  int64_t rowBlocks = cuts.rowSplit ? divideUp(rows, cuts.rowSplit) : 1;
  TaskGrid grid;
  grid.panelUnit = cuts.panelSplit ? cuts.panelSplit : cuts.panels;
  grid.panelUnits = divideUp(cuts.panels, grid.panelUnit);
  // Many rows make tasks enough: then panels stay together, and a task reads its rows once.
  int64_t panelsWanted = rows <= fewRows ? wanted : divideUp(wanted, rowBlocks);
  grid.panelBlocks = std::clamp<int64_t>(panelsWanted, 1, grid.panelUnits);
  grid.blockRows = cuts.rowSplit ? std::min(cuts.rowSplit, rows) : rows;
  // Few rows and few panels: row blocks below the limit.
  if (cuts.rowSplit && rowBlocks * grid.panelBlocks < wanted)
    grid.blockRows = std::min(grid.blockRows, divideUp(rows, divideUp(wanted, grid.panelBlocks)));
  grid.rowBlocks = divideUp(rows, grid.blockRows);
  return grid;
}

} // namespace sm1rt
