// Times of launches by events between them. The host falls behind kernels of a few microseconds, so the stream is held back until
// all of them are queued.
#ifndef SM1RT_SRC_CUDA_LAUNCHCLOCK_H
#define SM1RT_SRC_CUDA_LAUNCHCLOCK_H

#include "Context.h"

#include <memory>
#include <vector>

namespace sm1rt::cuda {

class LaunchClock {
public:
  /// Launches between begin() and end() at most: drivers queue some 1,000 commands, and wait for room when there are more.
  static constexpr int64_t mostLaunches = 128;

  explicit LaunchClock(std::shared_ptr<Context> context);
  ~LaunchClock();
  LaunchClock(const LaunchClock &) = delete;
  LaunchClock &operator=(const LaunchClock &) = delete;

  bool running() const { return isRunning; }
  /// Holds the stream back. Nothing may wait for it before end().
  Expected<void> begin();
  /// A launch was just started.
  Expected<void> mark();
  /// Lets the stream go and waits; seconds of each launch, from the end of the one before it to its own.
  Expected<std::vector<double>> end();

private:
  class Gate;
  Expected<void> hold();
  Expected<void> release();
  Expected<void> record(size_t index);

  std::shared_ptr<Context> context;
  std::unique_ptr<Gate> gate;
  bool isRunning = false;
  std::vector<CUevent> events;
  size_t marks = 0;
};

} // namespace sm1rt::cuda

#endif // SM1RT_SRC_CUDA_LAUNCHCLOCK_H
