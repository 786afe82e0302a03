// The grid: which blocks run at the same time, in which order their warps get turns, and when waiting counts as a deadlock.
//
// A cooperative launch has all its blocks there at once, an ordinary one runs them one after another, or a few at a time. Every
// warp that can go on gets a turn in every round, so that one that spins keeps nobody from what it waits for.
#include "Machine.h"

#include "Cuda.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <thread>

namespace emulator {

namespace {

constexpr Turn kLongTurn = {1 << 22, 1 << 16}; // blocks that wait for nobody: each warp as far as it can
constexpr Turn kShortTurn = {1 << 16, 1 << 14};
constexpr std::chrono::milliseconds kWaitForHost(10);
constexpr int kMostWaitsForHost = 60;
constexpr int kLongestRandomTurn = 4096, kRandomPollCost = 1024;

Dim3 blockIndex(const Launch &launch, uint64_t i) {
  return {uint32_t(i % launch.grid.x), uint32_t(i / launch.grid.x % launch.grid.y), uint32_t(i / launch.grid.x / launch.grid.y)};
}

/// Blocks that run at the same time.
class Residents {
public:
  Residents(const Launch &launch, const Schedule &schedule, DeviceMemory &memory, uint64_t count)
      : launch(launch), schedule(schedule), random(schedule.seed) {
    for (uint64_t i = 0; i < count; ++i)
      blocks.push_back(
          std::make_unique<Block>(launch, schedule, memory, order, stores, static_cast<unsigned>(i), static_cast<unsigned>(count)));
    for (auto &block : blocks)
      for (auto &warp : block->warps)
        turns.push_back(warp.get());
    if (schedule.order == Order::WarpsReversed)
      std::reverse(turns.begin(), turns.end());
    if (launch.program->cluster > 1)
      for (auto &block : blocks) {
        block->cluster = &cluster;
        block->rank = static_cast<unsigned>(cluster.blocks.size());
        cluster.blocks.push_back(block.get());
      }
  }

  /// Runs the blocks from number `first` on, or the cluster of that number, to their end; the finding that ended them, or error 0.
  Finding run(uint64_t first) {
    uint64_t plane = uint64_t(launch.grid.x) * launch.grid.y, clusterStart = first / plane * plane * blocks.size() + first % plane;
    for (size_t i = 0; i < blocks.size(); ++i)
      blocks[i]->start(blockIndex(launch, cluster.blocks.empty() ? first + i : clusterStart + i * plane));
    if (!cluster.blocks.empty())
      cluster.start();
    order.start();
    stores.start();
    lastChanges = 0;
    while (true) {
      round();
      bool done = true;
      for (auto &block : blocks) {
        if (block->failed())
          return block->finding;
        done &= block->done();
      }
      if (done)
        return {};
      checkProgress();
    }
  }

private:
  Turn nextTurn() {
    if (blocks.size() == 1 && !launch.cooperative)
      return kLongTurn;
    if (schedule.order != Order::Shuffled)
      return kShortTurn;
    return {1 + static_cast<int>(random() % kLongestRandomTurn), kRandomPollCost};
  }

  void round() {
    if (schedule.order == Order::Shuffled) {
      std::shuffle(turns.begin(), turns.end(), random);
      for (auto &block : blocks)
        block->landSome();
    }
    for (Warp *warp : turns) {
      warp->run(schedule.order, nextTurn());
      if (warp->block.failed())
        return;
    }
  }

  /// Findings: a block in which no lane can go on, and a grid in which all that can go on have polled for long without any change.
  void checkProgress() {
    uint64_t changes = 0, fewestPolls = ~0ull;
    for (auto &block : blocks) {
      bool canRun = block->done();
      for (auto &warp : block->warps) {
        if (!warp->canRun())
          continue;
        canRun = true;
        fewestPolls = std::min(fewestPolls, warp->polls);
      }
      if (!canRun)
        return block->reportDeadlock();
      changes += block->changes;
    }
    if (changes == lastChanges && fewestPolls <= schedule.pollLimit)
      return;
    if (changes == lastChanges && !hostMayWrite())
      return reportPolling();
    if (changes != lastChanges)
      waitsForHost = 0;
    lastChanges = changes;
    for (Warp *warp : turns)
      warp->polls = 0;
  }

  /// Gives the host some time, if what kernels wait for may come from there; false when it has had enough.
  bool hostMayWrite() {
    if (waitsForHost == kMostWaitsForHost || !blocks.front()->memory.isSharedWithHost())
      return false;
    ++waitsForHost;
    std::this_thread::sleep_for(kWaitForHost);
    return true;
  }

  void reportPolling() {
    std::map<uint32_t, unsigned> places; // program counter: warps
    Warp *first = nullptr;
    unsigned firstLane = 0;
    for (auto &block : blocks)
      for (auto &warp : block->warps)
        for (unsigned lane = 0; lane < 32; ++lane) {
          if (warp->state[lane] == LaneState::Done)
            continue;
          ++places[warp->pc[lane]];
          if (warp->state[lane] == LaneState::Run && !first)
            first = warp.get(), firstLane = lane;
        }
    std::string list;
    const Program &program = *launch.program;
    for (const auto &[pc, threads] : places)
      list += (list.empty() ? "" : ", ") + std::to_string(threads) + " at PTX line " +
              std::to_string(program.statements[program.code[pc].statement].first);
    first->block.faultPc = ~0u;
    first->report(CUDA_ERROR_LAUNCH_TIMEOUT,
                  "deadlock: nothing changes any more, and all that can go on have polled " + std::to_string(schedule.pollLimit) +
                      " times (SM1_EMULATOR_POLLS); threads: " + list + "; the first",
                  firstLane);
  }

  const Launch &launch;
  const Schedule &schedule;
  std::mt19937 random;
  GlobalOrder order;
  GlobalStores stores;
  std::vector<std::unique_ptr<Block>> blocks;
  Cluster cluster;
  std::vector<Warp *> turns;
  uint64_t lastChanges = 0;
  int waitsForHost = 0; // since something changed
};

} // namespace

Finding runGrid(const Launch &launch, const Schedule &schedule, DeviceMemory &memory) {
  uint64_t count = uint64_t(launch.grid.x) * launch.grid.y * launch.grid.z;
  if (launch.cooperative)
    return Residents(launch, schedule, memory, count).run(0);
  if (schedule.residents > 1 && launch.program->cluster == 1) {
    for (uint64_t done = 0; done < count; done += schedule.residents) {
      Finding finding = Residents(launch, schedule, memory, std::min<uint64_t>(schedule.residents, count - done)).run(done);
      if (finding.error)
        return finding;
    }
    return {};
  }
  std::atomic<uint64_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  Finding first;
  auto work = [&] {
    Residents one(launch, schedule, memory, launch.program->cluster);
    for (uint64_t i; !stop && (i = next++) < count / launch.program->cluster;) {
      Finding finding = one.run(i);
      if (!finding.error)
        continue;
      std::lock_guard<std::mutex> lock(mutex);
      if (!first.error)
        first = finding;
      stop = true;
    }
  };
  std::vector<std::thread> helpers;
  for (unsigned i = 1; i < schedule.hostThreads && i < count; ++i)
    helpers.emplace_back(work);
  work();
  for (std::thread &helper : helpers)
    helper.join();
  return first;
}

} // namespace emulator
