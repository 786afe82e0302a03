// Who times the launches of a run: the host, which waits for each, or the device, in bursts.
#ifndef SM1RT_SRC_LAUNCHTIMER_H
#define SM1RT_SRC_LAUNCHTIMER_H

#include "Device.h"
#include "sm1rt/Model.h"

#include <vector>

namespace sm1rt {

/// The launches of one pass, told to `take` in order. A device that times by itself is asked to, unless `one` by one is wanted.
class LaunchTimer {
public:
  LaunchTimer(Device &device, std::function<void(const LaunchTime &)> take, bool oneByOne);
  ~LaunchTimer(); ///< gives up what was not told yet
  LaunchTimer(const LaunchTimer &) = delete;
  LaunchTimer &operator=(const LaunchTimer &) = delete;

  /// Starts a launch that is `time` but for its seconds; the tasks it was cut into.
  Expected<int64_t> launch(const DeviceLaunch &launch, LaunchTime &time);
  /// Waits for all and tells what is left.
  Expected<void> finish();

private:
  Expected<int64_t> launchAlone(const DeviceLaunch &launch, LaunchTime &time);

  Device &device;
  std::function<void(const LaunchTime &)> take;
  const int64_t burst; // launches; 0: one by one
  std::vector<LaunchTime> pending;
};

} // namespace sm1rt

#endif // SM1RT_SRC_LAUNCHTIMER_H
