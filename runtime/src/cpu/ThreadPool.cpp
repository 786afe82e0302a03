// Fork and join for launches. Waking a sleeping thread costs about 15 us, one that spins below 1 us; a decode step has some 80
// launches, so workers spin between launches and sleep between tokens that nobody asks for.
//
// No line of memory is written by several threads while all is well: the caller writes the job, a thread takes its own tasks from
// its own line and counts there what it has done, and the caller reads the counts. Only who has run out of tasks of its own touches
// another thread's line. What a thread knows of a job may be out of date at any moment; the epoch in every word that it would
// change keeps it from touching a later job.
#include "ThreadPool.h"

#include "../Platform.h"

#include <algorithm>
#include <chrono>

namespace sm1rt {

static constexpr auto spinTime = std::chrono::microseconds(100);
/// A caller that has waited this many rounds shares its core with the thread it waits for.
static constexpr int roundsBeforeYield = 2000;
/// Tasks of one thread in one job: what a quarter of a word holds.
static constexpr int64_t shareLimit = 0xffff;
/// Epochs are compared by their difference, so no word may fall behind by half of them.
static constexpr uint32_t epochsBetweenResets = 1u << 30;
/// The ticket that ends the pool.
static constexpr uint32_t endOfWork = 0xffffffff;

//===-- Words ---------------------------------------------------------------------------------------------------------------===//

// All are an epoch in the upper half and numbers in the lower.
static uint32_t upper(uint64_t word) { return uint32_t(word >> 32); }
static uint32_t lower(uint64_t word) { return uint32_t(word); }
static uint64_t wordOf(uint32_t epoch, uint32_t rest) { return uint64_t(epoch) << 32 | rest; }
/// Open tasks first..end-1, counted from the owner's first.
static uint64_t openWord(uint32_t epoch, uint32_t first, uint32_t end) { return wordOf(epoch, first << 16 | end); }

/// The first task of a thread; the caller, thread 0, has one whenever there is any.
static int64_t firstOf(int thread, uint32_t count, int size) { return (int64_t(count) * thread + size - 1) / size; }

//===-- Tasks ---------------------------------------------------------------------------------------------------------------===//

/// Takes a task of `owner`'s: the owner the first one, anybody else the last. -1: there is none, or the job is over.
int64_t ThreadPool::takeTask(uint64_t ticket, int owner, bool own) {
  uint32_t epoch = upper(ticket), count = lower(ticket);
  int64_t base = firstOf(owner, count, size());
  std::atomic<uint64_t> &open = members[size_t(owner)].open;
  uint64_t seen = open.load(std::memory_order_relaxed);
  for (;;) {
    int32_t age = int32_t(epoch - upper(seen));
    uint32_t first = age > 0 ? 0 : lower(seen) >> 16;
    uint32_t end = age > 0 ? uint32_t(firstOf(owner + 1, count, size()) - base) : lower(seen) & 0xffff;
    if (age < 0 || first == end)
      return -1;
    uint64_t left = own ? openWord(epoch, first + 1, end) : openWord(epoch, first, end - 1);
    // The job is published by its ticket; this only decides who runs the task.
    if (open.compare_exchange_weak(seen, left, std::memory_order_relaxed))
      return base + (own ? first : end - 1);
  }
}

void ThreadPool::runTasks(uint64_t ticket, int owner, int thread) {
  std::atomic<uint64_t> &done = members[size_t(thread)].done;
  for (int64_t index; (index = takeTask(ticket, owner, owner == thread)) >= 0;) {
    job.task(job.context, job.first + index, thread);
    uint64_t before = done.load(std::memory_order_relaxed);
    done.store(upper(before) == upper(ticket) ? before + 1 : wordOf(upper(ticket), 1), std::memory_order_release);
  }
}

bool ThreadPool::allDone(uint64_t ticket) const {
  uint32_t sum = 0;
  for (int thread = 0; thread < size(); ++thread) {
    uint64_t done = members[size_t(thread)].done.load(std::memory_order_acquire);
    sum += upper(done) == upper(ticket) ? lower(done) : 0;
  }
  return sum == lower(ticket);
}

//===-- Workers -------------------------------------------------------------------------------------------------------------===//

/// Waits for a ticket other than `seen`.
uint64_t ThreadPool::waitForWork(uint64_t seen) {
  uint64_t ticket = seen;
  auto changed = [&] { return (ticket = job.ticket.load()) != seen; };
  auto until = std::chrono::steady_clock::now() + spinTime;
  do {
    for (int round = 0; round < 32; ++round, spinPause())
      if (changed())
        return ticket;
  } while (std::chrono::steady_clock::now() < until);
  std::unique_lock<std::mutex> lock(mutex);
  // Announced before looking again, so that publish() either is seen here or sees a sleeper to wake.
  sleepers.fetch_add(1);
  wake.wait(lock, changed);
  sleepers.fetch_sub(1);
  return ticket;
}

void ThreadPool::work(int thread) {
  for (uint64_t ticket = 0; (ticket = waitForWork(ticket)) != endOfWork;) {
    runTasks(ticket, thread, thread);
    // One task each is a job cut to measure: only the caller, who waits for its end, looks for somebody who is late.
    if (lower(ticket) > uint32_t(size()))
      for (int other = 1; other < size(); ++other)
        runTasks(ticket, (thread + other) % size(), thread);
  }
}

ThreadPool::ThreadPool(int threads) : threads(std::max(threads, 1)), members(new Member[size_t(this->threads)]) {
  for (int thread = 1; thread < threads; ++thread)
    workers.emplace_back([this, thread] { work(thread); });
}

ThreadPool::~ThreadPool() {
  publish(endOfWork);
  for (std::thread &worker : workers)
    worker.join();
}

//===-- The caller ----------------------------------------------------------------------------------------------------------===//

void ThreadPool::publish(uint64_t ticket) {
  job.ticket.store(ticket);
  if (sleepers.load() == 0)
    return;
  std::lock_guard<std::mutex> lock(mutex);
  wake.notify_all();
}

void ThreadPool::runJob(int64_t first, uint32_t count) {
  uint32_t epoch = upper(job.ticket.load(std::memory_order_relaxed)) + 1;
  if (epoch % epochsBetweenResets == 0)
    for (int thread = 0; thread < size(); ++thread) {
      members[size_t(thread)].open.store(openWord(epoch - 1, 0, 0));
      members[size_t(thread)].done.store(wordOf(epoch - 1, 0));
    }
  job.first = first;
  uint64_t ticket = wordOf(epoch, count);
  publish(ticket);
  for (int thread = 0; thread < size(); ++thread)
    runTasks(ticket, thread, 0);
  for (int round = 0; !allDone(ticket); ++round) {
    if (round < roundsBeforeYield)
      spinPause();
    else
      std::this_thread::yield();
  }
}

void ThreadPool::run(int64_t tasks, Task function, void *data) {
  if (workers.empty() || tasks <= 1) {
    for (int64_t index = 0; index < tasks; ++index)
      function(data, index, 0);
    return;
  }
  job.task = function;
  job.context = data;
  for (int64_t first = 0, limit = shareLimit * size(); first < tasks; first += limit)
    runJob(first, uint32_t(std::min(limit, tasks - first)));
}

} // namespace sm1rt
