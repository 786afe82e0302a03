// Threads that wait for short work: a launch every few microseconds, then perhaps nothing for a second.
#ifndef SM1RT_SRC_CPU_THREADPOOL_H
#define SM1RT_SRC_CPU_THREADPOOL_H

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace sm1rt {

/// A fixed team. Workers look for work in a loop for a short while after the last one, then sleep. run() is called by one thread at
/// a time, which takes part; it allocates nothing.
class ThreadPool {
public:
  /// `threads` counts the caller; 1 starts none.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  int size() const { return threads; }

  /// Task `index` on thread `thread` (0 is the caller, below size()).
  using Task = void (*)(void *context, int64_t index, int thread);
  /// Runs tasks 0 to count-1, each once, in any order and at the same time; returns when all are done. Equal counts give a thread
  /// the same tasks every time, `count / size()` in a row, unless it comes late to them: then others take them over.
  void run(int64_t count, Task task, void *context);

private:
  /// What a thread writes, on lines of its own; two, as cores fetch lines in pairs.
  struct alignas(128) Member {
    /// Its own tasks that nobody has taken yet, of the job that the epoch names; an older epoch: all of the current job's. One
    /// compare-exchange takes a task and proves that its job is not over.
    std::atomic<uint64_t> open{0};
    /// How many tasks it has done of the job that the epoch names, its own and others'.
    std::atomic<uint64_t> done{0};
  };
  /// What the caller writes: a worker that sees a new ticket has the job with it.
  struct alignas(128) Job {
    std::atomic<uint64_t> ticket{0}; // epoch and number of tasks
    Task task = nullptr;             // valid for who has taken a task
    void *context = nullptr;
    int64_t first = 0; // index of the job's first task
  };

  void runJob(int64_t first, uint32_t count);
  int64_t takeTask(uint64_t ticket, int owner, bool own);
  void runTasks(uint64_t ticket, int owner, int thread);
  bool allDone(uint64_t ticket) const;
  void work(int thread);
  uint64_t waitForWork(uint64_t seen);
  void publish(uint64_t ticket);

  const int threads;
  Job job;
  alignas(128) std::atomic<int> sleepers{0};
  std::mutex mutex;
  std::condition_variable wake;
  std::unique_ptr<Member[]> members;
  std::vector<std::thread> workers;
};

} // namespace sm1rt

#endif // SM1RT_SRC_CPU_THREADPOOL_H
