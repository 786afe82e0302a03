// Fork and join for launches. Waking a sleeping thread costs about 15 us, one that spins below 1 us; a decode step has some 80
// launches, so workers spin between launches and sleep between tokens that nobody asks for.
#include "ThreadPool.h"

#include "../Platform.h"

#include <algorithm>
#include <chrono>

namespace sm1rt {

static constexpr auto spinTime = std::chrono::microseconds(80);
/// A caller that has waited this many rounds shares its core with the thread it waits for.
static constexpr int roundsBeforeYield = 2000;
/// Tasks of one job: what the lower half of the ticket holds.
static constexpr int64_t countLimit = 0xffffffff;

static uint32_t epochOf(uint64_t ticket) { return uint32_t(ticket >> 32); }
static uint32_t openTasks(uint64_t ticket) { return uint32_t(ticket); }

ThreadPool::ThreadPool(int threads) {
  for (int thread = 1; thread < threads; ++thread)
    workers.emplace_back([this, thread] { work(thread); });
}

ThreadPool::~ThreadPool() {
  stopping.store(true);
  {
    std::lock_guard<std::mutex> lock(mutex);
    wake.notify_all();
  }
  for (std::thread &worker : workers)
    worker.join();
}

/// Takes and runs one task of the current job; false when none is open.
bool ThreadPool::takeTask(int thread) {
  uint64_t seen = ticket.load(std::memory_order_acquire);
  for (;;) {
    if (openTasks(seen) == 0)
      return false;
    // These may belong to a later job by the time they are read; then the exchange fails.
    Task function = task.load(std::memory_order_relaxed);
    void *data = context.load(std::memory_order_relaxed);
    int64_t index = count.load(std::memory_order_relaxed) - int64_t(openTasks(seen));
    if (!ticket.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel, std::memory_order_acquire))
      continue;
    function(data, index, thread);
    done.fetch_add(1, std::memory_order_release);
    return true;
  }
}

/// Waits until the epoch is no longer `seen`; false when the pool ends.
bool ThreadPool::waitForWork(uint32_t seen) {
  auto changed = [&] { return epochOf(ticket.load()) != seen || stopping.load(); };
  auto until = std::chrono::steady_clock::now() + spinTime;
  while (std::chrono::steady_clock::now() < until)
    for (int round = 0; round < 32; ++round, spinPause())
      if (changed())
        return !stopping.load();
  std::unique_lock<std::mutex> lock(mutex);
  // Announced before looking again, so that publish() either is seen here or sees a sleeper to wake.
  sleepers.fetch_add(1);
  wake.wait(lock, changed);
  sleepers.fetch_sub(1);
  return !stopping.load();
}

void ThreadPool::work(int thread) {
  uint32_t seen = 0;
  while (waitForWork(seen)) {
    seen = epochOf(ticket.load());
    while (takeTask(thread))
      ;
  }
}

void ThreadPool::publish(int64_t tasks) {
  uint32_t epoch = epochOf(ticket.load(std::memory_order_relaxed)) + 1;
  ticket.store(uint64_t(epoch) << 32 | uint64_t(tasks));
  if (sleepers.load() == 0)
    return;
  std::lock_guard<std::mutex> lock(mutex);
  wake.notify_all();
}

void ThreadPool::run(int64_t tasks, Task function, void *data) {
  if (workers.empty() || tasks <= 1 || tasks > countLimit) {
    for (int64_t index = 0; index < tasks; ++index)
      function(data, index, 0);
    return;
  }
  done.store(0, std::memory_order_relaxed);
  task.store(function, std::memory_order_relaxed);
  context.store(data, std::memory_order_relaxed);
  count.store(tasks, std::memory_order_relaxed);
  publish(tasks);
  while (takeTask(0))
    ;
  for (int round = 0; done.load(std::memory_order_acquire) != tasks; ++round) {
    if (round < roundsBeforeYield)
      spinPause();
    else
      std::this_thread::yield();
  }
}

} // namespace sm1rt
