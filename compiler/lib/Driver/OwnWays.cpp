//===- OwnWays.cpp - passes, pipelines and schedules that a user brings along ------------------------------------===//

#include "OwnWays.h"

#include "sm1c/Plugin.h"

#include "mlir/InitAllPasses.h"

#include <mutex>
#include <set>

using namespace sm1;
using llvm::Error;

/// The registry is the process's, and compilations may run in several threads.
static Error registerOwnPasses(const std::vector<std::string> &plugins) {
  static std::mutex mutex;
  static std::set<std::string> loaded;
  std::lock_guard<std::mutex> lock(mutex);
  static const bool once = (mlir::registerAllPasses(), registerPasses(), true);
  (void)once;
  for (const std::string &plugin : plugins) {
    if (loaded.count(plugin))
      continue;
    if (Error error = loadPlugin(plugin))
      return error;
    loaded.insert(plugin);
  }
  return Error::success();
}

Error OwnWays::read(const CompileRequest &request, StageOptions &options) {
  if (!request.plugins.empty() || !request.pipelines.empty())
    if (Error error = registerOwnPasses(request.plugins))
      return error;
  auto parsed = Pipelines::parse(request.pipelines);
  if (!parsed)
    return parsed.takeError();
  stagePipelines = std::move(*parsed);
  if (stagePipelines.replaces(Stage::Fused) && !request.disabledPasses.empty())
    return llvm::createStringError(
        "--no-fuse and --pipeline=fused both say which passes fuse; leave one out, or write default in the "
        "pipeline");
  options.tuned = request.tuned;
  if (!request.tuned.empty() && request.tuned != "none") {
    auto read = TunedSchedules::load(request.tuned);
    if (!read)
      return read.takeError();
    tunedPath = request.tuned;
    tuned.emplace(std::move(*read));
  }
  if (request.schedule.empty())
    return Error::success();
  auto file = ScheduleFile::read(request.schedule);
  if (!file)
    return file.takeError();
  path = options.schedule = request.schedule;
  options.unfused = file->unfused();
  schedule.emplace(std::move(*file));
  return Error::success();
}

/// Why `op` may not be in a module at `stage`; nullptr if it may.
static const char *whyNotAt(mlir::Operation *op, Stage stage, const Target *target) {
  auto kernel = llvm::dyn_cast<KernelOp>(op);
  if (stage == Stage::Target)
    return kernel ? "is still a kernel: the stage target needs sm1-kernel-to-cpu or sm1-kernel-to-gpu" : nullptr;
  if (kernel && stage == Stage::Scheduled && !kernel->getParentOfType<LaunchOp>())
    return "is in no launch: the stage scheduled needs sm1-schedule-for-cpu or sm1-schedule-for-gpu";
  if (kernel && stage == Stage::Scheduled && !(target->isGpu() ? bool(kernel.getBlocks()) : bool(kernel.getSchedule())))
    return "has no schedule for this target: the stage scheduled needs sm1-schedule-for-cpu or sm1-schedule-for-gpu";
  bool stands = llvm::isa_and_present<ModelOp, LayersOp>(op->getParentOp());
  if (stage >= Stage::Fused && stands && !llvm::isa<ParamOp, LayersOp, KernelOp, LaunchOp, ReturnOp, YieldOp>(op))
    return "is in no kernel: the stage fused needs sm1-form-kernels";
  return nullptr;
}

llvm::LogicalResult OwnWays::checkReached(mlir::ModuleOp module, Stage stage, const Target *target) const {
  if (stagePipelines.empty())
    return llvm::success();
  auto result = module.walk([&](mlir::Operation *op) {
    const char *why = whyNotAt(op, stage, target);
    return why ? mlir::WalkResult(op->emitError("'") << op->getName() << "' " << why << ", or default")
               : mlir::WalkResult::advance();
  });
  return llvm::failure(result.wasInterrupted());
}

void OwnWays::noteKernels(mlir::ModuleOp scheduled, const StageOptions &options) {
  bool isGpu = options.target->isGpu();
  scheduled.walk([&](KernelOp kernel) {
    kernels.insert(kernel.getKernelName());
    Entry entry = isGpu ? entryOfKernel(kernel, options.entry) : Entry::Both;
    usesTuned |= tuned && tuned->has(tuningKey(kernel, entry, isGpu ? options.compute : ""), *options.target);
  });
}

std::string OwnWays::noteUnused() const {
  if (!tuned || usesTuned)
    return "";
  return tunedPath + ": has no schedule for any kernel of these targets; it was measured for others";
}

Error OwnWays::checkSchedule() const { return schedule ? schedule->checkUsed(kernels) : Error::success(); }

std::string OwnWays::hint(Stage failed) const {
  if (failed != Stage::Target)
    return "";
  if (!schedule)
    return usesTuned ? tunedPath + ": has schedules of some kernels; --tuned=none leaves them out" : "";
  return path + ": overrides schedules; --emit=scheduled prints what they are";
}
