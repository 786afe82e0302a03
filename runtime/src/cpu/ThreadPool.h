// Threads that wait for short work: a launch every few microseconds, then perhaps nothing for a second.
#ifndef SM1RT_SRC_CPU_THREADPOOL_H
#define SM1RT_SRC_CPU_THREADPOOL_H

#include <atomic>
#include <condition_variable>
#include <cstdint>
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

  int size() const { return int(workers.size()) + 1; }

  /// Task `index` on thread `thread` (0 is the caller, below size()).
  using Task = void (*)(void *context, int64_t index, int thread);
  /// Runs tasks 0 to count-1, each once, in any order and at the same time; returns when all are done.
  void run(int64_t count, Task task, void *context);

private:
  bool takeTask(int thread);
  void work(int thread);
  bool waitForWork(uint32_t seen);
  void publish(int64_t count);

  // Epoch of the current job in the upper half, tasks of it that nobody has taken yet in the lower: one compare-exchange takes a
  // task and proves that the job is still the one whose fields were read.
  alignas(64) std::atomic<uint64_t> ticket{0};
  alignas(64) std::atomic<int64_t> done{0};
  alignas(64) std::atomic<Task> task{nullptr};
  std::atomic<void *> context{nullptr};
  std::atomic<int64_t> count{0};
  std::atomic<bool> stopping{false};

  std::atomic<int> sleepers{0};
  std::mutex mutex;
  std::condition_variable wake;
  std::vector<std::thread> workers;
};

} // namespace sm1rt

#endif // SM1RT_SRC_CPU_THREADPOOL_H
