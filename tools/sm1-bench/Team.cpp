// A team lives for one measurement; what it takes to start is outside the time.
#include "Team.h"

#include "Platform.h"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

using namespace sm1rt;

using Clock = std::chrono::steady_clock;

static std::atomic<uint64_t> sink{0};

void keepResult(uint64_t value) { sink.fetch_xor(value, std::memory_order_relaxed); }

/// Without the pins a young thread can share the caller's core for tens of milliseconds, which halved the ceiling.
double timeTogether(int threads, const std::function<void(int)> &body) {
  std::atomic<int> ready{0};
  std::atomic<bool> go{false};
  std::vector<std::thread> others;
  for (int thread = 1; thread < threads; ++thread)
    others.emplace_back([&, thread] {
      CorePin pin(thread);
      ++ready;
      while (!go)
        spinPause();
      body(thread);
    });
  CorePin pin(0);
  while (ready != threads - 1)
    spinPause();
  Clock::time_point start = Clock::now();
  go = true;
  body(0);
  for (std::thread &other : others)
    other.join();
  return std::chrono::duration<double>(Clock::now() - start).count();
}
