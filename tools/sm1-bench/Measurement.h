// What a benchmark found: rows, the kernels inside them, and the ceilings they are set against.
#ifndef SM1_BENCH_MEASUREMENT_H
#define SM1_BENCH_MEASUREMENT_H

#include "Ceilings.h"
#include "Runner.h"
#include "Work.h"

#include <optional>
#include <string>
#include <vector>

/// A ceiling's index in Measurement::ceilings, where there is one to be set against.
struct CeilingsOfRow {
  std::optional<size_t> memory, arithmetic;
};

/// Launches of a kernel beside the peak of their cores right before and after, where both slices agree.
struct PeakSlices {
  int64_t launches = 0; ///< of all repetitions, also where slices do not agree
  Samples peak, part;   ///< operations a second, and what part of them a launch reached
};

/// All launches of one kernel in one entry, in one run.
struct KernelRow {
  std::string entry, name;
  int64_t launches = 0;
  Work work;       ///< of all of them
  Samples seconds; ///< likewise
  CeilingsOfRow ceilings;
  PeakSlices slices;
  std::optional<double> predictedSeconds; ///< likewise; by the compiler's cost model

  /// Predicted by measured.
  std::optional<double> predictionRatio() const {
    return predictedSeconds ? std::optional<double>(*predictedSeconds / seconds.median()) : std::nullopt;
  }
};

/// The entry of the row of a kernel for whole tokens, which takes the place of all others.
inline constexpr const char *tokenEntry = "whole tokens";

/// The same work right after itself, and after the cache was emptied. Of a decode one step by itself, seen by the host.
struct ColdAndWarm {
  Samples cold, warm;
};

/// Energy of a GPU over runs one after the other, idle parts of the chip among it.
struct Energy {
  double joulesPerToken = 0, watts = 0;
};

struct Row {
  RunShape shape;
  size_t variant; ///< index in Measurement::variants
  Work work;      ///< of one run
  Samples seconds;
  CeilingsOfRow ceilings;
  std::vector<KernelRow> kernels;
  double residentBytes = 0;         ///< of this process once the context had been read; 0: not asked for
  std::optional<ColdAndWarm> cache; ///< on a GPU
  std::optional<Energy> energy;     ///< on a GPU that tells
  double launchesPerToken = 0;      ///< of kernels: of the model, or whole tokens; moving states and choosing tokens come on top

  /// What is set against the memory ceiling: the weights; where there are none, all that is read and written.
  double memoryBytes() const { return work.weightBytes > 0 ? work.weightBytes : work.bytes(); }
};

/// A row beside the same row of the first package: repetition by repetition, the first one's time by this one's.
struct PipelineRatio {
  size_t row, first; ///< indexes in Measurement::rows
  Samples speedup;
};

/// One way to run the model.
struct Variant {
  std::string package, device, target, storage, compute;
  int threads; ///< 0 on a GPU
  double packedWeightBytes;
};

struct Measurement {
  std::string model;
  int repetitions = 0;
  std::vector<Variant> variants;
  std::vector<Row> rows;
  std::vector<PipelineRatio> ratios; ///< of rows of other packages than the first
  std::vector<Ceiling> ceilings;
  double ceilingBytes = 0; ///< memory that ceilings are measured over
  double cacheBytes = 0;   ///< of the largest cache
  std::string noEnergy;    ///< why a GPU's rows have no energy; empty: they have, or there is no GPU
  bool hugePages = false;
};

#endif // SM1_BENCH_MEASUREMENT_H
