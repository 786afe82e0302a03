// The rows of a benchmark: what is run, timed, and set against the ceilings.
#ifndef SM1_BENCH_ROWS_H
#define SM1_BENCH_ROWS_H

#include "Ceilings.h"
#include "OpenModel.h"
#include "Work.h"

#include <memory>
#include <string>
#include <vector>

/// Figures of equal kind, one per repetition.
struct Samples {
  std::vector<double> values;

  double median() const;
  double least() const;
  double most() const;
};

/// What one kind of run took, per run of `tokens` tokens.
struct Row {
  std::string name; ///< "decode", "prefill"
  int64_t batch, time;
  double tokens; ///< of one timed run
  Work work;     ///< of one timed run
  Samples seconds;
};

struct Measurement {
  std::string model, device;
  int threads = 0;
  int repetitions = 0;
  double packedWeightBytes = 0;
  std::vector<Row> rows;
  Samples readBandwidth, multiplyPeak; ///< of the CPU; empty when another device runs the model
};

struct RowOptions {
  bool decode = false, prefill = false;
  int64_t batch = 1;
  int64_t decodeTime = 32, prefillTime = 512;
  int repetitions = 7;
};

/// Repetitions are interleaved: every one runs each row and each ceiling once, so that a disturbance of the machine hits all alike.
sm1rt::Expected<Measurement> measure(const CommonOptions &common, const RowOptions &options);

#endif // SM1_BENCH_ROWS_H
