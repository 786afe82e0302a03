// Finding and loading the CUDA driver, and what its numbers mean.
#include "Driver.h"

#include "../Platform.h"

#include <fmt/format.h>

#include <cstdlib>

namespace sm1rt::cuda {

#if defined(_WIN32)
static constexpr const char *systemLibrary = "nvcuda.dll";
#else
static constexpr const char *systemLibrary = "libcuda.so.1";
#endif

Expected<Driver> Driver::load() {
  const char *named = std::getenv("SM1_CUDA_DRIVER");
  Driver driver;
  driver.library = named && *named ? named : systemLibrary;
  auto library = DynamicLibrary::open(driver.library);
  if (!library)
    return Error{fmt::format("{}: {}; install the NVIDIA driver, name its library in SM1_CUDA_DRIVER, or pass --device=cpu",
                             driver.library, library.error().message)};
#define F(name, parameters)                                                                                                        \
  driver.name = reinterpret_cast<decltype(driver.name)>(library->symbol(#name));                                                   \
  if (!driver.name)                                                                                                                \
    return Error{                                                                                                                  \
        fmt::format("{}: has no function {}; this driver is too old, update it or pass --device=cpu", driver.library, #name)};
#include "Functions.def"
#undef F
  CUresult result = driver.cuInit(0);
  if (result == success)
    result = driver.cuDriverGetVersion(&driver.version);
  if (result == noDevice)
    return Error{fmt::format("{}: finds no CUDA device ({}); pass --device=cpu", driver.library, driver.describe(result))};
  if (result != success)
    return Error{fmt::format("{}: {} while starting the driver; check it with nvidia-smi, or pass --device=cpu", driver.library,
                             driver.describe(result))};
  return driver;
}

std::string Driver::describe(CUresult result) const {
  const char *name = nullptr, *text = nullptr;
  if (cuGetErrorName(result, &name) != success || !name)
    return fmt::format("CUDA error {}", result);
  if (cuGetErrorString(result, &text) != success || !text)
    return name;
  return fmt::format("{} ({})", name, text);
}

std::string cudaVersion(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

int cudaVersionOfPtx(std::string_view ptx) {
  static constexpr std::string_view directive = "\n.version ";
  size_t at = ptx.find(directive);
  if (at == std::string_view::npos)
    return 0;
  std::string_view text = ptx.substr(at + directive.size(), 8);
  size_t used = 0;
  auto number = [&] {
    int value = 0;
    for (; used < text.size() && text[used] >= '0' && text[used] <= '9'; ++used)
      value = value * 10 + (text[used] - '0');
    return value;
  };
  int major = number();
  ++used; // the dot
  int minor = number();
  // PTX counts with CUDA since 7.0, but for 12.6, which brought no PTX of its own.
  if (major == 8)
    return 12000 + 10 * (minor + (minor >= 6));
  return major < 7 ? 11000 : 1000 * (major + 4) + 10 * minor;
}

} // namespace sm1rt::cuda
