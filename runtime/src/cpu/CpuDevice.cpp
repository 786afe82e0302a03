// The CPU as a device.
#include "CpuDevice.h"

#include "../ChoiceRows.h"
#include "CodeLoader.h"
#include "ThreadPool.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace sm1rt {

//===-- Passes --------------------------------------------------------------------------------------------------------------===//

/// Leaves room for states, tables, code and the ends of huge pages in the 64 MB that a model may take above its weights.
static constexpr uint64_t workspaceBytes = 48 << 20;
static constexpr int64_t rowsStep = 256, mostRows = 2048;

int64_t rowsThatFit(const PlanProgram &program, uint64_t scratchBytes) {
  uint64_t rowBytes = 1;
  for (const PlanBuffer &buffer : program.buffers)
    rowBytes += uint64_t(buffer.stride) * dtypeBytes(buffer.dtype);
  uint64_t room = workspaceBytes - std::min(workspaceBytes, scratchBytes);
  return std::clamp(int64_t(room / rowBytes) / rowsStep * rowsStep, rowsStep, mostRows);
}

//===-- Device --------------------------------------------------------------------------------------------------------------===//

namespace {

class CpuBuffer : public DeviceBuffer {
public:
  CpuBuffer(PageMemory owned, uint64_t size) : memory(std::move(owned)) {
    address = memory.data();
    bytes = size;
  }
  CpuBuffer(const void *borrowed, uint64_t size) {
    // Kernels never write to weights, the only memory that is borrowed.
    address = static_cast<uint8_t *>(const_cast<void *>(borrowed));
    bytes = size;
  }

private:
  PageMemory memory;
};

/// Memory that moves below this is not worth the team: two threads take as long to meet as one to copy it.
constexpr uint64_t bytesWorthATeam = 64 << 10;

/// What the tasks of one launch share.
struct LaunchContext {
  Sm1CpuKernel kernel;
  const DeviceLaunch *launch;
  TaskGrid grid;
  uint8_t *scratch;
  uint64_t scratchStride;
};

class CpuDevice : public Device {
public:
  CpuDevice(const std::string &target, int threads) : target(target), pool(threads), choosing(size_t(pool.size())) {}

  std::string name() const override {
    return fmt::format("cpu ({}, {} thread{})", target, pool.size(), pool.size() == 1 ? "" : "s");
  }
  std::string shortName() const override { return "cpu"; }

  Expected<std::unique_ptr<DeviceBuffer>> allocate(uint64_t bytes) override {
    auto memory = PageMemory::allocate(bytes);
    if (!memory)
      return memory.error();
    return std::unique_ptr<DeviceBuffer>(new CpuBuffer(std::move(*memory), bytes));
  }
  std::unique_ptr<DeviceBuffer> borrow(const void *data, uint64_t bytes) override {
    return std::unique_ptr<DeviceBuffer>(new CpuBuffer(data, bytes));
  }

  uint8_t *hostAddress(const DeviceBuffer &buffer) override { return buffer.address; }

  Expected<void> clear(const DeviceBuffer &buffer) override {
    std::memset(buffer.address, 0, buffer.bytes);
    return {};
  }
  Expected<void> upload(const StridedCopy &copy) override { return copyRows(copy); }
  Expected<void> download(const StridedCopy &copy) override { return copyRows(copy); }
  Expected<void> copy(const StridedCopy &copy) override { return copyRows(copy); }

  Expected<void> move(const StateMove &move) override;
  int64_t rowsPerPass() const override { return passRows; }

  Expected<void> load(const Package &package, const std::string &target) override;
  Expected<int64_t> launch(const DeviceLaunch &launch) override;
  Expected<void> sample(const SampleLaunch &launch) override;
  Expected<const uint8_t *> awaitSample() override { return reinterpret_cast<const uint8_t *>(results.data()); }
  bool runsAhead() const override { return false; }
  Expected<void> synchronize() override { return {}; }

private:
  static Expected<void> copyRows(const StridedCopy &copy) {
    for (uint64_t row = 0; row < copy.height && copy.width > 0; ++row)
      std::memcpy(copy.to + row * copy.toPitch, copy.from + row * copy.fromPitch, copy.width);
    return {};
  }
  static void runTask(void *context, int64_t index, int thread);
  /// body(index, thread) for every index below `count`, by the whole team.
  template <typename Body> void forEach(int64_t count, Body body) {
    pool.run(
        count, [](void *context, int64_t index, int thread) { (*static_cast<Body *>(context))(index, thread); }, &body);
  }

  std::string target;
  ThreadPool pool;
  std::optional<LoadedCode> code;
  PageMemory scratch; // one part per thread
  uint64_t scratchStride = 0;
  int64_t passRows = rowsStep;
  std::vector<ChoiceScratch> choosing; // per thread
  std::vector<sm1sampling::Chosen> results; // of the last choice of tokens
};

} // namespace

/// One part of one sequence: `index` counts segments first, then parts.
static void movePart(const StateMove &move, int64_t index) {
  const StatePart &part = move.parts[index / move.segments];
  int64_t segment = index % move.segments;
  if (move.sequences[segment] == 0)
    return;
  auto *own = reinterpret_cast<uint8_t *>(move.sequences[segment] + part.offset);
  auto *block = reinterpret_cast<uint8_t *>(part.block + uint64_t(segment) * part.bytes);
  std::memcpy(move.gather ? block : own, move.gather ? own : block, part.bytes);
}

Expected<void> CpuDevice::move(const StateMove &move) {
  uint64_t bytes = 0;
  for (int64_t part = 0; part < move.partCount; ++part)
    bytes += move.parts[part].bytes * uint64_t(move.segments);
  int64_t count = move.partCount * move.segments;
  if (bytes >= bytesWorthATeam)
    forEach(count, [&](int64_t index, int) { movePart(move, index); });
  else
    for (int64_t index = 0; index < count; ++index)
      movePart(move, index);
  return {};
}

Expected<void> CpuDevice::load(const Package &package, const std::string &target) {
  const FileTensor &file = package.code(target);
  const PlanProgram &program = package.plan.programs.find(target)->second;
  std::vector<uint64_t> offsets;
  for (const PlanKernel &kernel : program.kernels)
    offsets.push_back(kernel.offset);
  auto loaded = LoadedCode::load(file.data, file.bytes, offsets);
  if (!loaded)
    return loaded.error();
  code.emplace(std::move(*loaded));
  int64_t largest = 0;
  for (auto &[name, steps] : program.entries)
    for (const PlanStep &step : steps)
      for (const PlanLaunch &launch : step.body)
        largest = std::max(largest, launch.scratch);
  // Threads' parts a page apart, so that no line is shared.
  scratchStride = uint64_t(largest + 4095) / 4096 * 4096;
  uint64_t scratchBytes = scratchStride * uint64_t(pool.size());
  passRows = rowsThatFit(program, scratchBytes);
  auto memory = PageMemory::allocate(scratchBytes);
  if (!memory)
    return memory.error();
  scratch = std::move(*memory);
  return {};
}

/// Panels outside, rows inside: tasks that follow each other share a block of the matrix.
void CpuDevice::runTask(void *context, int64_t index, int thread) {
  auto &shared = *static_cast<LaunchContext *>(context);
  const DeviceLaunch &launch = *shared.launch;
  const TaskGrid &grid = shared.grid;
  int64_t row = index % grid.rowBlocks * grid.blockRows, block = index / grid.rowBlocks;
  Sm1CpuTask task;
  task.args = launch.args;
  task.rowSegment = launch.tables.rowSegment;
  task.segmentStart = launch.tables.segmentStart;
  task.selected = launch.tables.selected;
  task.scratch = shared.scratch + uint64_t(thread) * shared.scratchStride;
  task.rowBegin = row;
  task.rowEnd = std::min(row + grid.blockRows, launch.rows);
  task.panelBegin = grid.firstPanel(block);
  task.panelEnd = std::min(grid.firstPanel(block + 1), launch.plan->panels);
  shared.kernel(&task);
}

/// Tasks that want a thread each have as many panels as leave none without one.
static LaunchCuts cutsOf(const PlanLaunch &plan, int64_t threads) {
  LaunchCuts cuts = plan;
  if (plan.alone && cuts.panelSplit > 0) {
    int64_t units = (cuts.panels - 1) / cuts.panelSplit + 1;
    cuts.panelSplit *= (units - 1) / threads + 1;
  }
  return cuts;
}

Expected<int64_t> CpuDevice::launch(const DeviceLaunch &launch) {
  LaunchContext context{code->kernel(launch.plan->kernel), &launch,
                        partition(cutsOf(*launch.plan, pool.size()), launch.rows, pool.size()), scratch.data(), scratchStride};
  pool.run(context.grid.tasks(), runTask, &context);
  return context.grid.tasks();
}

Expected<void> CpuDevice::sample(const SampleLaunch &launch) {
  results.assign(size_t(launch.rows), {});
  // For every thread: one that comes late to its first choice would allocate in the middle of a generation.
  for (ChoiceScratch &scratch : choosing)
    scratch.reserve(launch.count);
  forEach(launch.rows, [&](int64_t row, int thread) {
    const uint8_t *choiceRow = launch.choices + uint64_t(row) * choiceRowBytes(launch.count);
    sm1sampling::Choice choice;
    std::memcpy(&choice, choiceRow, sizeof(choice));
    if (choice.flags & sm1sampling::skipped)
      return;
    const float *logits = launch.logits + row * launch.stride;
    sm1sampling::Chosen &result = results[size_t(row)] = chooseByRow(logits, launch.count, choiceRow, choosing[size_t(thread)]);
    bool good = result.status == sm1sampling::chosen;
    if (launch.tokens)
      launch.tokens[row] = good ? result.token : 0;
    if (launch.sequences && (!good || (choice.flags & sm1sampling::stops) || result.token == choice.end))
      launch.sequences[row] = 0;
  });
  return {};
}

std::unique_ptr<Device> makeCpuDevice(const std::string &target, int threads) {
  return std::make_unique<CpuDevice>(target, threads > 0 ? threads : availableCores());
}

} // namespace sm1rt
