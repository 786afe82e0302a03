// Loading the management library and finding a GPU in it.
#include "Nvml.h"

#include "Platform.h"

#include <fmt/format.h>

#include <cstdlib>

using namespace sm1rt;

#if defined(_WIN32)
static constexpr const char *systemLibrary = "nvml.dll";
#else
static constexpr const char *systemLibrary = "libnvidia-ml.so.1";
#endif

Expected<EnergyCounter> EnergyCounter::open(const std::string &busId) {
  const char *named = std::getenv("SM1_NVML");
  std::string name = named && *named ? named : systemLibrary;
  auto library = DynamicLibrary::open(name);
  if (!library)
    return Error{fmt::format("{}: {}", name, library.error().message)};
  auto initialise = reinterpret_cast<int (*)()>(library->symbol("nvmlInit_v2"));
  auto find = reinterpret_cast<int (*)(const char *, Device *)>(library->symbol("nvmlDeviceGetHandleByPciBusId_v2"));
  auto total = reinterpret_cast<TotalEnergy>(library->symbol("nvmlDeviceGetTotalEnergyConsumption"));
  if (!initialise || !find || !total)
    return Error{fmt::format("{}: is too old to tell energy", name)};
  Device device = nullptr;
  if (int code = initialise())
    return Error{fmt::format("{}: NVML error {} while starting", name, code)};
  if (int code = find(busId.c_str(), &device))
    return Error{fmt::format("{}: NVML error {} while looking for GPU {}", name, code, busId)};
  EnergyCounter counter(name, device, total);
  if (auto works = counter.joules(); !works)
    return works.error();
  return counter;
}

Expected<double> EnergyCounter::joules() const {
  unsigned long long millijoules = 0;
  if (int code = total(device, &millijoules))
    return Error{fmt::format("{}: NVML error {} while reading the energy counter", library, code)};
  return 1e-3 * double(millijoules);
}
