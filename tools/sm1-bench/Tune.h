// Packages with other schedules, from sm1c --tune: each kernel compared with the present one, and timed in turns.
#ifndef SM1_BENCH_TUNE_H
#define SM1_BENCH_TUNE_H

#include "Options.h"

#include <string>
#include <vector>

struct TuneOptions {
  CommonOptions common;           ///< `model` is the folder
  std::vector<std::string> loads; ///< "prefill:1x512", "step:8"; none: the folder's
  int repetitions = 0;            ///< 0: 9 on a CPU, 30 on a GPU
  int64_t checkRows = 1100;       ///< rows of the largest comparison
};

/// Writes times.json into the folder; prints a line for each kernel.
sm1rt::Expected<void> tune(const TuneOptions &options);

#endif // SM1_BENCH_TUNE_H
