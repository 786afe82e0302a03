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

/// All launches of one kernel in one entry, in one run.
struct KernelRow {
  std::string entry, name;
  int64_t launches = 0;
  Work work;       ///< of all of them
  Samples seconds; ///< likewise
  CeilingsOfRow ceilings;
  std::optional<double> predictedSeconds; ///< likewise; by the compiler's cost model
};

struct Row {
  RunShape shape;
  size_t variant; ///< index in Measurement::variants
  Work work;      ///< of one run
  Samples seconds;
  CeilingsOfRow ceilings;
  std::vector<KernelRow> kernels;
  double residentBytes = 0; ///< of this process once the context had been read; 0: not asked for

  /// What is set against the memory ceiling: the weights; where there are none, all that is read and written.
  double memoryBytes() const { return work.weightBytes > 0 ? work.weightBytes : work.bytes(); }
};

/// One way to run the model.
struct Variant {
  std::string device, target, storage, compute;
  int threads;
  double packedWeightBytes;
};

struct Measurement {
  std::string model;
  int repetitions = 0;
  std::vector<Variant> variants;
  std::vector<Row> rows;
  std::vector<Ceiling> ceilings; ///< of the CPU; empty when another device runs the model
  double ceilingBytes = 0;       ///< memory that ceilings are measured over
  bool hugePages = false;
};

#endif // SM1_BENCH_MEASUREMENT_H
