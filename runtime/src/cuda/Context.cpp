// Opening a device, and what its errors mean.
#include "Context.h"

#include <fmt/format.h>

namespace sm1rt::cuda {

Expected<std::shared_ptr<Context>> Context::open(const Driver &driver, int ordinal) {
  int count = 0;
  std::shared_ptr<Context> opened(new Context(driver, ordinal));
  if (auto counted = opened->check(driver.cuDeviceGetCount(&count), "counting devices"); !counted)
    return counted.error();
  if (ordinal >= count)
    return Error{fmt::format("device 'cuda:{}' does not exist, {} finds {} device{}; use {}--device=cpu", ordinal, driver.library,
                             count, count == 1 ? "" : "s", count > 0 ? "--device=cuda:0 or " : "")};
  if (auto ready = opened->initialise(); !ready)
    return ready.error();
  return opened;
}

Expected<void> Context::initialise() {
  auto attribute = [&](int &value, int which) { return driver.cuDeviceGetAttribute(&value, which, device); };
  char text[256] = "";
  int major = 0, minor = 0, cooperative = 0;
  CUresult result = driver.cuDeviceGet(&device, ordinal);
  if (result == success)
    result = driver.cuDeviceGetName(text, sizeof(text), device);
  for (auto [value, which] : {std::pair<int *, int>{&major, capabilityMajor},
                              {&minor, capabilityMinor},
                              {&sharedLimit, sharedMemoryOptIn},
                              {&multiprocessorCount, multiprocessors},
                              {&clockKHz, clockRate},
                              {&cooperative, cooperativeLaunch}})
    if (result == success)
      result = attribute(*value, which);
  if (result != success)
    return error(result, "asking the device what it is");
  deviceName = text;
  capability = major * 10 + minor;
  cooperates = cooperative != 0;
  if (auto done = check(driver.cuDevicePrimaryCtxRetain(&context, device), "opening the device"); !done)
    return done;
  if (auto done = enter(); !done)
    return done;
  return check(driver.cuStreamCreate(&stream, nonBlocking), "creating a stream");
}

Context::~Context() {
  // What a lost device answers here changes nothing.
  if (stream)
    driver.cuStreamDestroy_v2(stream);
  if (context)
    driver.cuDevicePrimaryCtxRelease_v2(device);
}

Expected<int> Context::attribute(int which) {
  int value = 0;
  if (auto done = check(driver.cuDeviceGetAttribute(&value, which, device), "asking the device what it is"); !done)
    return done.error();
  return value;
}

Expected<std::string> Context::busId() {
  char text[32] = "";
  if (auto done = check(driver.cuDeviceGetPCIBusId(text, sizeof(text), device), "asking where the device is"); !done)
    return done.error();
  return std::string(text);
}

std::string Context::name() const { return fmt::format("cuda:{}", ordinal); }

Expected<void> Context::enter() {
  if (!lost.empty())
    return Error{fmt::format("{}: the device was lost: {}; open the model again", name(), lost)};
  return check(driver.cuCtxSetCurrent(context), "entering the context");
}

/// Errors after which the driver answers every call with an error, until the context is gone.
static bool endsContext(CUresult result) {
  switch (result) {
  case 214: // uncorrectable ECC error
  case 220: // NVLink
  case 226: // ECC error that was contained
  case 700: // illegal address
  case 702: // launch timeout
  case 709: // context destroyed
  case 710: // assert
  case 714: // hardware stack
  case 715: // illegal instruction
  case 716: // misaligned address
  case 717: // invalid address space
  case 718: // invalid program counter
  case 719: // launch failed
  case 999: // unknown
    return true;
  default:
    return false;
  }
}

Error Context::error(CUresult result, std::string_view doing) {
  std::string what = fmt::format("{} while {}", driver.describe(result), doing);
  if (endsContext(result) && lost.empty())
    lost = what;
  return {fmt::format("{}: {}{}", name(), what, lost.empty() ? "" : "; the device is lost, open the model again")};
}

Expected<void> Context::wait(std::string_view doing) {
  if (!busy)
    return {};
  busy = false;
  return check(driver.cuStreamSynchronize(stream), doing);
}

} // namespace sm1rt::cuda
