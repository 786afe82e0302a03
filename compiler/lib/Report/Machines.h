//===- Machines.h - the machines that a report predicts for, and how long a kernel takes at the least ------------===//

#ifndef SM1C_LIB_REPORT_MACHINES_H
#define SM1C_LIB_REPORT_MACHINES_H

#include "sm1c/Target.h"

#include "sm1rt/packing/Cost.h"

#include <string>
#include <vector>

namespace sm1 {

/// Peak rates, as published for GPUs; those of a CPU are nominal ones of its target.
struct Machine {
  std::string name;
  double bytesPerSecond;
  double f32, bf16, int8; ///< operations a second, of which a multiply-add is two
  /// Of a CPU; 0 of a GPU.
  int threads = 0;
};

/// The machines that run code for `target`: for a GPU cards of that architecture, for a CPU this one.
std::vector<Machine> machinesFor(const Target &target);

/// A launch's share of a pass on one machine.
struct Estimate {
  double seconds;
  std::string bound; ///< "memory", "products", "elementwise", "launch"
};

/// How long one launch takes. On a CPU what the cost model says; on a GPU no more than a bound, the slower of memory and arithmetic
/// at their peaks, so that a model of GPUs can be put in its place.
Estimate estimate(const Machine &machine, const Target &target, const sm1rt::KernelCost &cost, const sm1rt::LaunchCuts &cuts,
                  const sm1rt::LaunchSize &size);

/// Bytes and operations of one launch.
double bytesOf(const sm1rt::KernelCost &cost, const sm1rt::LaunchSize &size);
double operationsOf(const sm1rt::KernelCost &cost, const sm1rt::LaunchSize &size);

} // namespace sm1

#endif // SM1C_LIB_REPORT_MACHINES_H
