// The CPU as a device: host memory, a thread pool, and launches cut into tasks.
#ifndef SM1RT_SRC_CPU_CPUDEVICE_H
#define SM1RT_SRC_CPU_CPUDEVICE_H

#include "../Device.h"

namespace sm1rt {

/// How a launch is cut: blocks of `blockRows` rows times blocks of `blockPanels` panels, the last ones smaller.
struct TaskGrid {
  int64_t blockRows, rowBlocks;
  int64_t blockPanels, panelBlocks;

  int64_t tasks() const { return rowBlocks * panelBlocks; }
};

/// The grid for `rows` >= 1 rows on `threads` threads; the rules are those of PackageFormat.h. Decides speed, never results.
TaskGrid partition(const PlanLaunch &launch, int64_t rows, int threads);

/// `threads` 0: one per available core.
std::unique_ptr<Device> makeCpuDevice(const std::string &target, int threads);

} // namespace sm1rt

#endif // SM1RT_SRC_CPU_CPUDEVICE_H
