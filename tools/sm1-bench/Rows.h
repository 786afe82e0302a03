// The rows of a benchmark: what is run, timed, and set against the ceilings.
#ifndef SM1_BENCH_ROWS_H
#define SM1_BENCH_ROWS_H

#include "Measurement.h"
#include "OpenModel.h"

#include <string>
#include <vector>

struct RowOptions {
  std::vector<std::string> pipelines;   ///< other packages of the model, in turns with it
  std::vector<std::string> isas = {""}; ///< targets of the package; "": the best
  std::vector<int> threads = {0};       ///< 0: one per core
  std::vector<RunShape> shapes;         ///< each runs on every target with every number of threads
  bool kernels = false;
  bool slices = false;                  ///< with kernels, on a CPU: peaks around each launch
  std::vector<std::string> kernelNames; ///< parts of names; none: every kernel
  int repetitions = 0;                  ///< 0: 7 on a CPU, 100 on a GPU
  bool skipEnergy = false;              ///< of a GPU
  bool toyCeilings = false;             ///< of a GPU: over next to nothing, for emulators
};

/// Repetitions are interleaved: every one runs each row and each ceiling once, so that a disturbance of the machine hits all alike.
sm1rt::Expected<Measurement> measure(const CommonOptions &common, const RowOptions &options);

#endif // SM1_BENCH_ROWS_H
