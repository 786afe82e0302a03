// How a launch is cut into tasks on a CPU: what the runtime does, and what the cost model expects of it.
#ifndef SM1RT_PACKING_TASKS_H
#define SM1RT_PACKING_TASKS_H

#include <cstdint>

namespace sm1rt {

/// Up to so many rows, a launch is a pass over its weights, as fast as memory: one piece of them per thread, read in one go.
inline constexpr int64_t fewRows = 16;

/// How a launch may be cut; PackageFormat.h has the rules.
struct LaunchCuts {
  int64_t rowSplit = 0, panels = 1, panelSplit = 0;
};

/// How a launch is cut: rows into blocks of `blockRows`, the last one smaller; panels into blocks that differ by one `panelUnit` at
/// most.
struct TaskGrid {
  int64_t blockRows, rowBlocks;
  int64_t panelUnit, panelUnits, panelBlocks;

  int64_t tasks() const { return rowBlocks * panelBlocks; }
  /// The first panel of a block; of the one behind the last it may lie beyond the launch's panels.
  int64_t firstPanel(int64_t block) const { return block * panelUnits / panelBlocks * panelUnit; }
};

/// The grid for `rows` >= 1 rows on `threads` threads; the rules are those of PackageFormat.h. Tasks are numbered panel block by
/// panel block, so that with ThreadPool::run a thread has the same panels every time. Decides speed, never results.
TaskGrid partition(const LaunchCuts &cuts, int64_t rows, int threads);

} // namespace sm1rt

#endif // SM1RT_PACKING_TASKS_H
