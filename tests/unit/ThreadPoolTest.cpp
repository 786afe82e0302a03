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

// The rules of PackageFormat.h for every combination: blocks cover the launch, keep their limits, and are enough.
TEST(PartitionTest, KeepsTheRules) {
  for (int64_t rows : {1, 2, 7, 64, 65, 256, 1000})
    for (int64_t rowSplit : {0, 1, 6, 64})
      for (int64_t panels : {1, 3, 44, 88})
        for (int64_t panelSplit : {0, 1, 2, 4})
          for (int threads : {1, 2, 16}) {
            PlanLaunch launch;
            launch.rowSplit = rowSplit;
            launch.panels = panels;
            launch.panelSplit = panelSplit;
            TaskGrid grid = partition(launch, rows, threads);
            ASSERT_GE(grid.blockRows, 1);
            ASSERT_TRUE(rowSplit == 0 ? grid.rowBlocks == 1 : grid.blockRows <= rowSplit);
            ASSERT_TRUE(panelSplit == 0 ? grid.panelBlocks == 1 : grid.blockPanels % panelSplit == 0);
            ASSERT_TRUE((grid.rowBlocks - 1) * grid.blockRows < rows && grid.rowBlocks * grid.blockRows >= rows);
            ASSERT_TRUE((grid.panelBlocks - 1) * grid.blockPanels < panels && grid.panelBlocks * grid.blockPanels >= panels);
          }
}

// A matrix times one row is spread over its panels, times many rows over the rows.
TEST(PartitionTest, SpreadsWhatThereIs) {
  PlanLaunch launch;
  launch.rowSplit = 64;
  launch.panels = 88;
  launch.panelSplit = 1;
  EXPECT_EQ(partition(launch, 1, 2).tasks(), 8);
  EXPECT_EQ(partition(launch, 1, 1).tasks(), 1);
  EXPECT_EQ(partition(launch, 1024, 2).panelBlocks, 1);
  EXPECT_EQ(partition(launch, 1024, 2).rowBlocks, 16);
  launch.panelSplit = 0;
  EXPECT_EQ(partition(launch, 16, 2).tasks(), 8);
}

} // namespace
