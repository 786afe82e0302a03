// Launches come one by one; what they mean is worked out after the run, so that the clock of none of them sees it.
#include "Kernels.h"

#include <algorithm>

using namespace sm1rt;

KernelTimer::KernelTimer(Model &model, const WorkCounter &work, std::vector<std::string> names)
    : model(model), work(work), names(std::move(names)) {}

Expected<void> KernelTimer::timeRun(const std::function<Expected<void>()> &run, bool keep) {
  std::vector<LaunchTime> times;
  std::vector<double> slices;
  if (peakSlice)
    slices.push_back(peakSlice());
  model.timeLaunches([&](const LaunchTime &time) {
    times.push_back(time);
    if (peakSlice)
      slices.push_back(peakSlice());
  });
  Expected<void> done = run();
  model.timeLaunches(nullptr);
  if (!done)
    return done;
  take(times);
  if (keep && peakSlice)
    takeSlices(times, slices);
  for (Kernel &kernel : kernels)
    if (keep)
      kernel.row.seconds.values.push_back(kernel.seconds);
  return {};
}

bool KernelTimer::isWanted(const std::string &name) const {
  return names.empty() ||
         std::any_of(names.begin(), names.end(), [&](const std::string &part) { return name.find(part) != std::string::npos; });
}

void KernelTimer::take(const std::vector<LaunchTime> &times) {
  for (Kernel &kernel : kernels) {
    kernel.shapes.clear();
    kernel.seconds = 0;
  }
  for (const LaunchTime &time : times)
    if (Kernel *kernel = kernelOf(*time.launch)) {
      kernel->seconds += time.seconds;
      ++kernel->shapes[{time.launch, {time.rows, time.segments, time.passRows, time.longest}}];
    }
  for (Kernel &kernel : kernels) {
    kernel.row.launches = 0;
    kernel.row.work = {};
    for (auto &[shape, count] : kernel.shapes) {
      kernel.row.launches += count;
      kernel.row.work.add(work.ofLaunch(*shape.first, shape.second), double(count));
    }
  }
}

/// Slices that differ by more met cores whose rate changed meanwhile: nobody knows when.
constexpr double steady = 1.1;

void KernelTimer::takeSlices(const std::vector<LaunchTime> &times, const std::vector<double> &slices) {
  for (size_t index = 0; index < times.size(); ++index) {
    const LaunchTime &time = times[index];
    Kernel *kernel = kernelOf(*time.launch);
    double flops = kernel ? work.ofLaunch(*time.launch, {time.rows, time.segments, time.passRows, time.longest}).flops : 0;
    if (flops == 0)
      continue;
    double before = slices[index], after = slices[index + 1];
    PeakSlices &row = kernel->row.slices;
    ++row.launches;
    if (std::max(before, after) > steady * std::min(before, after))
      continue;
    row.peak.values.push_back((before + after) / 2);
    row.part.values.push_back(flops / time.seconds / row.peak.values.back());
  }
}

/// The kernel's place in the list, made when it is new; nullptr for one that is not wanted.
KernelTimer::Kernel *KernelTimer::kernelOf(const PlanLaunch &launch) {
  const PlanProgram &program = model.plan().programs.find(model.target())->second;
  const std::string &name = program.kernels[launch.kernel].name, &entry = work.entryOf(launch);
  if (!isWanted(name))
    return nullptr;
  for (Kernel &kernel : kernels)
    if (kernel.row.name == name && kernel.row.entry == entry)
      return &kernel;
  kernels.emplace_back();
  kernels.back().row.name = name;
  kernels.back().row.entry = entry;
  return &kernels.back();
}

std::vector<KernelRow> KernelTimer::rows() const {
  std::vector<KernelRow> rows;
  for (const Kernel &kernel : kernels)
    rows.push_back(kernel.row);
  return rows;
}

std::optional<double> KernelTimer::predict(size_t index, const MachineRates &rates) const {
  double total = 0;
  for (auto &[shape, count] : kernels[index].shapes) {
    std::optional<double> seconds = predictedSeconds(*shape.first, shape.second, rates);
    if (!seconds)
      return std::nullopt;
    total += *seconds * double(count);
  }
  return total;
}
