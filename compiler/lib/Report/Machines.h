//===- Machines.h - the machines that a report predicts for, and how long a kernel takes there -------------------===//

#ifndef SM1C_LIB_REPORT_MACHINES_H
#define SM1C_LIB_REPORT_MACHINES_H

#include "sm1c/Target.h"

#include "sm1rt/packing/Cost.h"
#include "sm1rt/packing/GpuCost.h"

#include <string>
#include <variant>
#include <vector>

namespace sm1 {

/// What a roofline is drawn of, and what the cost model knows of the machine.
struct Machine {
  std::string name;
  double bytesPerSecond;
  double f32, bf16, int8; ///< operations a second, of which a multiply-add is two
  std::variant<sm1rt::CpuRates, sm1rt::GpuRates> rates;
};

/// The machines that run code for `target`: for a GPU cards of that architecture, for a CPU this one.
std::vector<Machine> machinesFor(const Target &target);

/// Work of one launch in a pass.
struct LaunchWork {
  double rows;      ///< of the launch
  double segments;  ///< sequences
  double passRows;  ///< of the pass
  double passBytes; ///< weights of the pass
};

/// A launch's share of a pass on one machine.
struct Estimate {
  double seconds;
  std::string bound; ///< "memory", "products", "elementwise", "launch", "waiting"
};

/// How long the cost model expects one launch to take. Of `cuts`, a CPU's kernel has what LaunchCuts has.
Estimate estimate(const Machine &machine, const sm1rt::KernelCost &cost, const sm1rt::BlockCuts &cuts, const LaunchWork &work);

/// Bytes and operations of one launch.
double bytesOf(const sm1rt::KernelCost &cost, const LaunchWork &work);
double operationsOf(const sm1rt::KernelCost &cost, const LaunchWork &work);

} // namespace sm1

#endif // SM1C_LIB_REPORT_MACHINES_H
