// The CPU as a device: host memory, a thread pool, and launches cut into tasks.
#ifndef SM1RT_SRC_CPU_CPUDEVICE_H
#define SM1RT_SRC_CPU_CPUDEVICE_H

#include "../Device.h"

namespace sm1rt {

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
TaskGrid partition(const PlanLaunch &launch, int64_t rows, int threads);

/// Rows of a pass: as many, in steps of 256 up to 2,048, as 48 MB hold the buffers of, should all rows be selected, beside the
/// threads' scratch; at least 256. Weights are read once a pass, so the more the better.
int64_t rowsThatFit(const PlanProgram &program, uint64_t scratchBytes);

/// `threads` 0: one per available core.
std::unique_ptr<Device> makeCpuDevice(const std::string &target, int threads);

} // namespace sm1rt

#endif // SM1RT_SRC_CPU_CPUDEVICE_H
