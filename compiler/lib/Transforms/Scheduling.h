//===- Scheduling.h - names, layouts of parameters and launches, for every kind of target ------------------------===//

#ifndef SM1C_TRANSFORMS_SCHEDULING_H
#define SM1C_TRANSFORMS_SCHEDULING_H

#include "sm1/IR/Sm1.h"
#include "sm1c/Target.h"

#include <string>

namespace sm1 {

/// Name of the attribute of a kernel whose tasks want a thread each on a CPU: a few wide ones, however many rows there are.
inline constexpr llvm::StringLiteral aloneAttr = "alone";

/// What a kind of target decides about a kernel.
struct Scheduler {
  /// Gives a kernel without one a schedule.
  llvm::function_ref<void(KernelOp)> choose;
  /// The layout in which a projection of a scheduled kernel reads a weight of such elements.
  llvm::function_ref<llvm::StringRef(KernelOp, mlir::Type element)> matrixLayout;
  /// Added to the name of a scheduled kernel; null: nothing.
  llvm::function_ref<std::string(KernelOp)> suffix;
  /// What the names of other entries' kernels end in; no name may look like one of theirs.
  llvm::ArrayRef<llvm::StringLiteral> foreignSuffixes;
  /// Path of a file with schedules that a person wrote, and whom it is for; empty: none.
  std::string overrides = "";
  const Target *target = nullptr;
  /// What measured schedules are found by, where they are (Tuning.h), and whether every segment has one row.
  llvm::function_ref<std::string(KernelOp)> key = nullptr;
  std::string tuned = "";
  bool isStep = false;
};

/// Schedules every kernel of `root`: afterwards each has a name of its own, its parameters the layout that it reads, and a launch.
/// Failure after a diagnostic.
mlir::LogicalResult scheduleKernels(mlir::Operation *root, const Scheduler &scheduler);

} // namespace sm1

#endif // SM1C_TRANSFORMS_SCHEDULING_H
