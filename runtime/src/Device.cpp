// Which device runs a model and which of the package's targets it takes. Never a silent fallback.
#include "Device.h"

#include "Platform.h"
#include "cpu/CpuDevice.h"
#include "sm1rt/Model.h"

#include <fmt/format.h>

namespace sm1rt {

static std::string listTargets(const Plan &plan) {
  std::string list;
  for (auto &[target, program] : plan.programs)
    list += (list.empty() ? "" : ", ") + target;
  return list;
}

/// CPU targets that this machine runs, best first.
static std::vector<std::string> runnableTargets() {
  CpuFeatures features = cpuFeatures();
  std::vector<std::string> targets;
  if (features.v4)
    targets.push_back("x86-64-v4");
  if (features.v3)
    targets.push_back("x86-64-v3");
  return targets;
}

static std::string describeMachine(const std::vector<std::string> &runnable) {
  std::string name = cpuName();
  return fmt::format("this machine{} runs {}", name.empty() ? "" : " (" + name + ")",
                     runnable.empty()       ? "neither x86-64-v3 nor x86-64-v4"
                     : runnable.size() == 1 ? "x86-64-v3"
                                            : "x86-64-v4 and x86-64-v3");
}

static Expected<std::string> chooseTarget(const Package &package, const std::string &isa) {
  std::vector<std::string> runnable = runnableTargets();
  auto has = [&](const std::string &target) { return package.plan.programs.count(target) > 0; };
  if (!isa.empty() && !has(isa))
    return Error{fmt::format("{}: no kernels for '{}', the package holds {}; recompile with --target={} or drop --isa",
                             package.file.path(), isa, listTargets(package.plan), isa)};
  for (const std::string &target : runnable)
    if (has(target) && (isa.empty() || isa == target))
      return target;
  return Error{fmt::format("{}: built for {}, {}; recompile with --target=native", package.file.path(),
                           isa.empty() ? listTargets(package.plan) : isa, describeMachine(runnable))};
}

Expected<OpenedDevice> openDevice(const Package &package, const OpenOptions &options) {
  if (options.device == "cuda" || options.device.compare(0, 5, "cuda:") == 0)
    return Error{fmt::format("device '{}': this runtime has no CUDA device; use --device=cpu", options.device)};
  if (options.device != "auto" && options.device != "cpu")
    return Error{fmt::format("device '{}' is none of auto, cpu", options.device)};
  if (options.threads < 0 || options.threads > 1024)
    return Error{fmt::format("threads: {} is outside 0 to 1024", options.threads)};
  auto target = chooseTarget(package, options.isa);
  if (!target)
    return target.error();
  OpenedDevice opened{makeCpuDevice(*target, options.threads), *target};
  if (auto loaded = opened.device->load(package.code(*target), package.plan.programs.find(*target)->second); !loaded)
    return loaded.error().in(package.file.path());
  return opened;
}

} // namespace sm1rt
