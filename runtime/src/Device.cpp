// Which device runs a model and which of the package's targets it takes. Never a silent fallback.
#include "Device.h"

#include "cpu/CpuDevice.h"
#include "cpu/CpuTarget.h"
#include "cuda/CudaDevice.h"
#include "sm1rt/Model.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

namespace sm1rt {

static Expected<OpenedDevice> openCpuDevice(const Package &package, const OpenOptions &options) {
  std::vector<std::string> held;
  for (auto &[target, program] : package.plan.programs)
    held.push_back(target);
  auto target = chooseCpuTarget(held, options.isa, thisMachine());
  if (!target)
    return target.error().in(package.file.path());
  return OpenedDevice{makeCpuDevice(*target, options.threads), *target};
}

/// N of "cuda:N", 0 for "cuda"; nothing for any other text.
static std::optional<int> cudaOrdinal(const std::string &device) {
  if (device == "cuda")
    return 0;
  int ordinal = 0;
  const char *begin = device.data() + 5, *end = device.data() + device.size();
  if (device.size() < 6 || device.compare(0, 5, "cuda:") != 0)
    return std::nullopt;
  auto [parsed, code] = std::from_chars(begin, end, ordinal);
  return code == std::errc() && parsed == end && ordinal >= 0 ? std::optional<int>(ordinal) : std::nullopt;
}

/// The GPU where one is there and the package has code for it, else the CPU. No driver is looked for in vain.
static Expected<OpenedDevice> openAnyDevice(const Package &package, const OpenOptions &options) {
  int cpuTargets = 0, gpuTargets = 0;
  for (auto &[target, program] : package.plan.programs)
    if (options.isa.empty() || options.isa == target)
      ++(program.capability ? gpuTargets : cpuTargets);
  if (gpuTargets == 0)
    return openCpuDevice(package, options);
  auto gpu = openCudaDevice(package, 0, options.isa);
  return gpu || cpuTargets == 0 ? std::move(gpu) : openCpuDevice(package, options);
}

Expected<std::vector<std::string>> targetsFor(const std::string &device) {
  if (device == "cpu")
    return std::vector<std::string>{"native"};
  std::optional<int> ordinal = cudaOrdinal(device);
  if (device != "auto" && !ordinal)
    return Error{fmt::format("device '{}' is none of auto, cpu, cuda, cuda:N", device)};
  auto gpu = cudaTarget(ordinal.value_or(0));
  if (gpu)
    return std::vector<std::string>{"native", *gpu};
  return ordinal ? Expected<std::vector<std::string>>(gpu.error()) : std::vector<std::string>{"native"};
}

Expected<void> Device::replaceKernels(const Package &, const Weights &, const OpenOptions &options) {
  if (options.replace.empty())
    return {};
  return Error{fmt::format("--replace={}: kernels in CUDA C++ need a GPU, the model runs on {}; pass --device=cuda",
                           options.replace.front(), shortName())};
}

Expected<void> Device::prepareTokens(const Package &, const Weights &) {
  return Error{fmt::format("{}: computes a step kernel by kernel; only a GPU computes a whole token in one launch", shortName())};
}

Expected<void> Device::runTokens(const TokenRun &) { return Error{shortName() + ": computes no whole tokens"}; }
void Device::orderTokens(const uint8_t *, bool) {}
Expected<const uint8_t *> Device::awaitTokens() { return Error{shortName() + ": takes no orders"}; }

Expected<OpenedDevice> openDevice(const Package &package, const OpenOptions &options) {
  std::optional<int> ordinal = cudaOrdinal(options.device);
  if (options.device != "auto" && options.device != "cpu" && !ordinal)
    return Error{fmt::format("device '{}' is none of auto, cpu, cuda, cuda:N", options.device)};
  if (options.threads < 0 || options.threads > 1024)
    return Error{fmt::format("threads: {} is outside 0 to 1024", options.threads)};
  auto opened = ordinal                    ? openCudaDevice(package, *ordinal, options.isa)
                : options.device == "auto" ? openAnyDevice(package, options)
                                           : openCpuDevice(package, options);
  if (!opened)
    return opened;
  if (auto loaded = opened->device->load(package, opened->target); !loaded)
    return loaded.error().in(package.file.path());
  return opened;
}

} // namespace sm1rt
