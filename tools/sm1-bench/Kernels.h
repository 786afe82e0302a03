// Times every launch inside real runs, and sums them up by kernel.
#ifndef SM1_BENCH_KERNELS_H
#define SM1_BENCH_KERNELS_H

#include "Measurement.h"
#include "Prediction.h"

#include <functional>
#include <map>
#include <utility>

/// The kernels of one row. A run with each launch timed is a run of its own beside the row's.
class KernelTimer {
public:
  /// Kernels whose name contains one of `names`, or all when there are none.
  KernelTimer(sm1rt::Model &model, const WorkCounter &work, std::vector<std::string> names);

  /// From now on measures a slice of a peak, operations a second, before and after each launch.
  void setPeak(std::function<double()> slice) { peakSlice = std::move(slice); }

  /// Does `run` and takes the times of its launches; they count only when `keep`.
  sm1rt::Expected<void> timeRun(const std::function<sm1rt::Expected<void>()> &run, bool keep);

  /// The rows, in the order in which their kernels first ran.
  std::vector<KernelRow> rows() const;
  /// Predicts kernel `index` of rows() with the medians of its ceilings.
  std::optional<double> predict(size_t index, const MachineRates &rates) const;

private:
  /// Launches with equal work.
  using Shape = std::pair<const sm1rt::PlanLaunch *, LaunchRows>;
  struct Kernel {
    KernelRow row;
    std::map<Shape, int64_t> shapes;
    double seconds = 0; // of the run under way
  };
  void take(const std::vector<sm1rt::LaunchTime> &times);
  /// `slices`: of each launch the one before it; one more for the last.
  void takeSlices(const std::vector<sm1rt::LaunchTime> &times, const std::vector<double> &slices);
  bool isWanted(const std::string &name) const;
  Kernel *kernelOf(const sm1rt::PlanLaunch &launch);

  sm1rt::Model &model;
  const WorkCounter &work;
  std::vector<std::string> names;
  std::function<double()> peakSlice; ///< none: not asked for
  std::vector<Kernel> kernels;
};

#endif // SM1_BENCH_KERNELS_H
