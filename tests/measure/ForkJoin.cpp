// What it costs to hand work to the team and to wait for it: the part of a launch that computes nothing. Not run by ctest; usage:
// sm1-fork-join [THREADS]. Each line is the median and the best of many jobs, in microseconds above the work itself.
#include "Platform.h"
#include "cpu/ThreadPool.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <vector>

using namespace sm1rt;
using Clock = std::chrono::steady_clock;

namespace {

constexpr int jobs = 20000;

double microseconds(Clock::duration time) { return std::chrono::duration<double, std::micro>(time).count(); }

void spinFor(double us) {
  for (auto begin = Clock::now(); microseconds(Clock::now() - begin) < us;)
    spinPause();
}

/// Jobs of `tasksEach` tasks a thread, `workUs` each, `pauseUs` apart.
void measure(ThreadPool &pool, const char *name, int tasksEach, double workUs, double pauseUs) {
  std::vector<double> costs;
  int rounds = pauseUs > 50 ? jobs / 40 : jobs;
  for (int round = 0; round < rounds; ++round) {
    if (pauseUs > 0)
      spinFor(pauseUs);
    auto begin = Clock::now();
    pool.run(
        int64_t(tasksEach) * pool.size(), [](void *us, int64_t, int) { spinFor(*static_cast<double *>(us)); }, &workUs);
    costs.push_back(microseconds(Clock::now() - begin) - tasksEach * workUs);
  }
  std::sort(costs.begin(), costs.end());
  fmt::print("{:<52} {:8.3f} {:8.3f}\n", name, costs[costs.size() / 2], costs[costs.size() / 100]);
}

} // namespace

int main(int argc, char **argv) {
  int threads = argc > 1 ? std::atoi(argv[1]) : availableCores();
  if (threads < 1 || threads > 1024)
    return 2;
  ThreadPool pool(threads);
  fmt::print("{:<52} {:>8} {:>8}\n", fmt::format("{} threads, microseconds above the work", threads), "median", "1 %");
  measure(pool, "one task each, no work", 1, 0, 0);
  measure(pool, "one task each of 5 us", 1, 5, 0);
  measure(pool, "four tasks each of 5 us", 4, 5, 0);
  measure(pool, "one task each of 5 us, 50 us after the last", 1, 5, 50);
  measure(pool, "one task each of 5 us, 500 us after the last", 1, 5, 500);
  return 0;
}
