// A gate in the stream, and an event behind it and behind each launch.
#include "LaunchClock.h"

#include <condition_variable>
#include <mutex>

namespace sm1rt::cuda {

/// What the stream waits at, in a thread of the driver's.
class LaunchClock::Gate {
public:
  void set(bool open) {
    std::lock_guard<std::mutex> lock(mutex);
    isOpen = open;
    changed.notify_all();
  }
  static void wait(void *gate) {
    auto &self = *static_cast<Gate *>(gate);
    std::unique_lock<std::mutex> lock(self.mutex);
    self.changed.wait(lock, [&] { return self.isOpen; });
  }

private:
  std::mutex mutex;
  std::condition_variable changed;
  bool isOpen = true;
};

LaunchClock::LaunchClock(std::shared_ptr<Context> context) : context(std::move(context)), gate(std::make_unique<Gate>()) {}

LaunchClock::~LaunchClock() {
  (void)release(); // its error stays with the context
  if (!context->enter())
    return;
  for (CUevent event : events)
    context->driver.cuEventDestroy_v2(event);
}

Expected<void> LaunchClock::hold() {
  if (auto ready = context->enter(); !ready)
    return ready;
  gate->set(false);
  context->busy = true;
  return context->check(context->driver.cuLaunchHostFunc(context->stream, Gate::wait, gate.get()), "holding the stream back");
}

/// Waits, so that nobody is at the gate any more.
Expected<void> LaunchClock::release() {
  gate->set(true);
  isRunning = false;
  return context->wait("waiting for launches");
}

Expected<void> LaunchClock::record(size_t index) {
  while (events.size() <= index) {
    CUevent event = nullptr;
    if (auto done = context->check(context->driver.cuEventCreate(&event, 0), "creating an event"); !done)
      return done;
    events.push_back(event);
  }
  return context->check(context->driver.cuEventRecord(events[index], context->stream), "recording an event");
}

Expected<void> LaunchClock::begin() {
  auto begun = hold();
  if (begun)
    begun = record(0);
  isRunning = bool(begun);
  marks = 0;
  if (!begun)
    (void)release(); // the first error is the one to tell
  return begun;
}

Expected<void> LaunchClock::mark() { return record(++marks); }

Expected<std::vector<double>> LaunchClock::end() {
  if (auto waited = release(); !waited)
    return waited.error();
  std::vector<double> seconds;
  for (size_t index = 0; index < marks; ++index) {
    float milliseconds = 0;
    CUresult result = context->driver.cuEventElapsedTime(&milliseconds, events[index], events[index + 1]);
    if (result != success)
      return context->error(result, "reading the time of an event");
    seconds.push_back(1e-3 * double(milliseconds));
  }
  return seconds;
}

} // namespace sm1rt::cuda
