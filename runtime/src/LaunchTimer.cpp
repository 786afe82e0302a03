// One by one with the host's clock, or in bursts with the device's.
#include "LaunchTimer.h"

#include <chrono>

namespace sm1rt {

LaunchTimer::LaunchTimer(Device &device, std::function<void(const LaunchTime &)> take, bool oneByOne)
    : device(device), take(std::move(take)), burst(oneByOne ? 0 : device.timedLaunches()) {}

LaunchTimer::~LaunchTimer() {
  if (!pending.empty())
    (void)device.endTiming(); // after an error, which somebody else has told
}

Expected<int64_t> LaunchTimer::launchAlone(const DeviceLaunch &launch, LaunchTime &time) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point begin = Clock::now();
  auto tasks = device.launch(launch);
  if (!tasks)
    return tasks;
  if (auto finished = device.synchronize(); !finished)
    return finished.error();
  time.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  if (take)
    take(time);
  return tasks;
}

Expected<int64_t> LaunchTimer::launch(const DeviceLaunch &launch, LaunchTime &time) {
  if (burst == 0)
    return launchAlone(launch, time);
  if (pending.empty())
    if (auto begun = device.beginTiming(); !begun)
      return begun.error();
  pending.push_back(time);
  auto tasks = device.launch(launch);
  if (tasks && int64_t(pending.size()) == burst)
    if (auto told = finish(); !told)
      return told.error();
  return tasks;
}

Expected<void> LaunchTimer::finish() {
  if (pending.empty())
    return {};
  std::vector<LaunchTime> launches = std::move(pending);
  pending.clear();
  auto seconds = device.endTiming();
  if (!seconds)
    return seconds.error();
  for (size_t index = 0; index < launches.size(); ++index) {
    launches[index].seconds = (*seconds)[index];
    take(launches[index]);
  }
  return {};
}

} // namespace sm1rt
