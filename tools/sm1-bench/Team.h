// Threads that start together, for measurements of what a machine can do.
#ifndef SM1_BENCH_TEAM_H
#define SM1_BENCH_TEAM_H

#include <cstdint>
#include <functional>

/// Runs body(0) … body(threads - 1) at the same time, each on a core of its own where the system allows it; seconds from the common
/// start to the last end. Thread 0 is the caller.
double timeTogether(int threads, const std::function<void(int)> &body);

/// Where a measurement leaves its result, so that no work can be left out.
void keepResult(uint64_t value);

#endif // SM1_BENCH_TEAM_H
