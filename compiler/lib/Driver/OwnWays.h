//===- OwnWays.h - passes, pipelines and schedules that a user brings along --------------------------------------===//

#ifndef SM1C_LIB_DRIVER_OWNWAYS_H
#define SM1C_LIB_DRIVER_OWNWAYS_H

#include "Pipelines.h"
#include "sm1c/Compile.h"
#include "sm1c/ScheduleFile.h"
#include "sm1c/Tuning.h"

#include <optional>

namespace sm1 {

class OwnWays {
public:
  /// Loads and reads what the request names, and tells `options` of the schedule.
  llvm::Error read(const CompileRequest &request, StageOptions &options);

  const Pipelines &pipelines() const { return stagePipelines; }
  /// Whether a module is what its stage promises, where passes of the user's led there; failure after a diagnostic.
  llvm::LogicalResult checkReached(mlir::ModuleOp module, Stage stage, const Target *target) const;
  /// Remembers the kernels of a module at Stage::Scheduled, and what tuned schedules they are found by.
  void noteKernels(mlir::ModuleOp scheduled, const StageOptions &options);
  /// What a schedule names has to be among them, or it would do nothing in silence.
  llvm::Error checkSchedule() const;
  /// What is to be said where the user's file of tuned schedules has none for any kernel; empty otherwise.
  std::string noteUnused() const;
  /// "; FILE overrides schedules, ..." where a lowering that failed may have met one; empty otherwise.
  std::string hint(Stage failed) const;

private:
  Pipelines stagePipelines;
  std::string path, tunedPath;
  std::optional<TunedSchedules> tuned; ///< a file's; nothing without one
  bool usesTuned = false;
  std::optional<ScheduleFile> schedule;
  llvm::StringSet<> kernels;
};

} // namespace sm1

#endif // SM1C_LIB_DRIVER_OWNWAYS_H
