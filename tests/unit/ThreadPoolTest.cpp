// The thread pool: every task once, whatever the counts and pauses; and the cutting of launches into tasks.
#include "cpu/ThreadPool.h"
#include "cpu/CpuDevice.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <thread>

using namespace sm1rt;

namespace {

struct Counts {
  std::vector<std::atomic<int>> runs;
  std::atomic<int> badThread{0};
  int threads;
};

void countTask(void *context, int64_t index, int thread) {
  auto &counts = *static_cast<Counts *>(context);
  counts.runs[size_t(index)].fetch_add(1, std::memory_order_relaxed);
  if (thread < 0 || thread >= counts.threads)
    counts.badThread = 1;
}

TEST(ThreadPoolTest, EveryTaskOnce) {
  std::mt19937 random(1);
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (int round = 0; round < 2000; ++round) {
      size_t tasks = random() % 40;
      Counts counts{std::vector<std::atomic<int>>(tasks), 0, threads};
      pool.run(int64_t(tasks), countTask, &counts);
      for (auto &runs : counts.runs)
        ASSERT_EQ(runs.load(), 1);
      ASSERT_EQ(counts.badThread, 0);
    }
  }
}

// Work that comes after the workers have gone to sleep, or just as they do.
TEST(ThreadPoolTest, WakesSleepers) {
  ThreadPool pool(4);
  for (int round = 0; round < 200; ++round) {
    std::this_thread::sleep_for(std::chrono::microseconds(round % 20 * 20));
    Counts counts{std::vector<std::atomic<int>>(64), 0, 4};
    pool.run(64, countTask, &counts);
    for (auto &runs : counts.runs)
      ASSERT_EQ(runs.load(), 1);
  }
}

// What tasks wrote is there for the caller and for tasks of the next run.
TEST(ThreadPoolTest, RunsAreOrdered) {
  ThreadPool pool(3);
  std::vector<int64_t> values(257, 0);
  auto addNeighbour = [](void *context, int64_t index, int) {
    auto &both = *static_cast<std::pair<std::vector<int64_t>, std::vector<int64_t>> *>(context);
    both.second[size_t(index)] = both.first[size_t(index)] + both.first[(size_t(index) + 1) % 257] + 1;
  };
  std::pair<std::vector<int64_t>, std::vector<int64_t>> both{values, values}, alone = both;
  for (int round = 0; round < 40; ++round) {
    pool.run(257, addNeighbour, &both);
    std::swap(both.first, both.second);
    for (int64_t index = 0; index < 257; ++index)
      addNeighbour(&alone, index, 0);
    std::swap(alone.first, alone.second);
  }
  EXPECT_EQ(both.first, alone.first);
  EXPECT_GT(both.first[0], int64_t(1) << 39);
}

// Equal counts give a thread the same tasks; with one each, in the middle of everything else that counts may be.
TEST(ThreadPoolTest, ThreadsKeepTheirTasks) {
  struct Seen {
    ThreadPool *pool;
    std::atomic<int64_t> own{0}, all{0};
  } seen;
  ThreadPool pool(3);
  seen.pool = &pool;
  for (int round = 0; round < 300; ++round) {
    pool.run(
        3,
        [](void *context, int64_t index, int thread) {
          auto &seen = *static_cast<Seen *>(context);
          // Long enough that a worker that looks for work comes in time.
          auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(30);
          while (std::chrono::steady_clock::now() < until)
            ;
          seen.own += index == thread;
          ++seen.all;
        },
        &seen);
    pool.run(
        2, [](void *, int64_t, int) {}, nullptr);
  }
  EXPECT_EQ(seen.all, 900);
  // Every task of the caller's is its own; workers of a machine with other work to do may come late.
  EXPECT_GE(seen.own, 300);
}

// More tasks than a word has numbers for, and fewer than threads.
TEST(ThreadPoolTest, AnyCount) {
  ThreadPool pool(4);
  std::atomic<int64_t> sum{0};
  auto add = [](void *context, int64_t index, int) {
    static_cast<std::atomic<int64_t> *>(context)->fetch_add(index + 1, std::memory_order_relaxed);
  };
  for (int64_t tasks : {0, 1, 2, 3, 4, 5, 262140, 262141, 700001}) {
    sum = 0;
    pool.run(tasks, add, &sum);
    EXPECT_EQ(sum, tasks * (tasks + 1) / 2) << tasks;
  }
}

// Who is held up in a task keeps no other task: the first of the last thread's waits for all others, its own successors among them.
TEST(ThreadPoolTest, TakesOverFromTheLate) {
  ThreadPool pool(3);
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> others{0};
    pool.run(
        12,
        [](void *context, int64_t index, int) {
          auto &others = *static_cast<std::atomic<int> *>(context);
          if (index != 8)
            ++others;
          while (index == 8 && others < 11)
            std::this_thread::yield();
        },
        &others);
    ASSERT_EQ(others, 11);
  }
}

/// Every element of rows x panels must be in one task; returns the panels of the largest and the smallest block.
std::pair<int64_t, int64_t> checkCover(const PlanLaunch &launch, int64_t rows, const TaskGrid &grid) {
  EXPECT_GE(grid.blockRows, 1);
  EXPECT_TRUE(launch.rowSplit == 0 ? grid.rowBlocks == 1 : grid.blockRows <= launch.rowSplit);
  EXPECT_TRUE((grid.rowBlocks - 1) * grid.blockRows < rows && grid.rowBlocks * grid.blockRows >= rows);
  EXPECT_EQ(grid.firstPanel(0), 0);
  EXPECT_GE(grid.firstPanel(grid.panelBlocks), launch.panels);
  int64_t most = 0, least = launch.panels;
  for (int64_t block = 0; block < grid.panelBlocks; ++block) {
    int64_t begin = grid.firstPanel(block), end = grid.firstPanel(block + 1);
    EXPECT_LT(begin, std::min(end, launch.panels));
    EXPECT_TRUE(launch.panelSplit ? begin % launch.panelSplit == 0 : begin == 0);
    most = std::max(most, end - begin);
    least = std::min(least, end - begin);
  }
  return {most, least};
}

// The rules of PackageFormat.h for every combination: blocks cover the launch, keep their limits, and are as even as units allow.
TEST(PartitionTest, KeepsTheRules) {
  for (int64_t rows : {1, 2, 7, 16, 17, 64, 65, 256, 1000})
    for (int64_t rowSplit : {0, 1, 6, 64})
      for (int64_t panels : {1, 3, 44, 88})
        for (int64_t panelSplit : {0, 1, 2, 4})
          for (int threads : {1, 2, 16}) {
            PlanLaunch launch;
            launch.rowSplit = rowSplit;
            launch.panels = panels;
            launch.panelSplit = panelSplit;
            auto [most, least] = checkCover(launch, rows, partition(launch, rows, threads));
            ASSERT_LE(most - least, panelSplit);
          }
}

// A matrix times a few rows: each thread reads one piece of it, the same one every time. Times many rows: spread over the rows.
TEST(PartitionTest, SpreadsWhatThereIs) {
  PlanLaunch launch;
  launch.rowSplit = 64;
  launch.panels = 44;
  launch.panelSplit = 1;
  TaskGrid grid = partition(launch, 1, 2);
  EXPECT_EQ(grid.tasks(), 2);
  EXPECT_EQ(grid.firstPanel(1), 22);
  grid = partition(launch, 8, 16);
  EXPECT_EQ(grid.tasks(), 16);
  EXPECT_EQ(checkCover(launch, 8, grid), (std::pair<int64_t, int64_t>(3, 2)));
  EXPECT_EQ(partition(launch, 1, 1).tasks(), 1);
  EXPECT_EQ(partition(launch, 1024, 2).panelBlocks, 1);
  EXPECT_EQ(partition(launch, 1024, 2).rowBlocks, 16);
  launch.panelSplit = 0;
  EXPECT_EQ(partition(launch, 16, 2).tasks(), 2);
  EXPECT_EQ(partition(launch, 16, 2).blockRows, 8);
  // A few rows above the limit of a block: a thread still has one piece of the panels.
  launch.panelSplit = 1;
  launch.rowSplit = 8;
  EXPECT_EQ(partition(launch, 16, 2).tasks(), 4);
  EXPECT_EQ(partition(launch, 16, 2).panelBlocks, 2);
}

// What a pass may take, from a model of a few bytes a row to one that fits at no number; the middle is the published configuration.
TEST(PartitionTest, RowsOfAPass) {
  PlanProgram program;
  auto withStride = [&](int64_t stride) {
    program.buffers = {{RowSpace::All, stride / 2, DType::F32}, {RowSpace::Selected, stride - stride / 2, DType::F32}};
    return program;
  };
  EXPECT_EQ(rowsThatFit(withStride(64), 0), 2048);
  EXPECT_EQ(rowsThatFit(withStride(8705), 2 * 368640), 1280);
  EXPECT_EQ(rowsThatFit(withStride(8705), 16 * 368640), 1024);
  EXPECT_EQ(rowsThatFit(withStride(1 << 20), 0), 256);
  EXPECT_EQ(rowsThatFit(withStride(64), uint64_t(1) << 40), 256);
}

} // namespace
