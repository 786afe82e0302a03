// Measurements for people and for programs.
#ifndef SM1_BENCH_REPORT_H
#define SM1_BENCH_REPORT_H

#include "Measurement.h"

/// A row's figures as rates and as parts of its ceilings, of medians.
struct Figures {
  double seconds, bytesPerSecond, flopsPerSecond;
  std::optional<double> memoryFraction, arithmeticFraction; ///< nothing where there is no ceiling
};
Figures figuresOf(const Row &row, const Measurement &measurement);
Figures figuresOf(const KernelRow &kernel, const Measurement &measurement);

/// What all launches of a row's kernels take, without those that stand in for others.
double launchSeconds(const Row &row);

/// Kernels whose predictions are at most so many times too long or too short.
inline constexpr double predictionFactor = 1.5;
struct PredictionSummary {
  int kernels = 0, within = 0;    ///< that have a prediction
  int large = 0, largeWithin = 0; ///< of them, those that take a hundredth of their run
};
PredictionSummary summarise(const Measurement &measurement);

/// Tables of at most 120 columns.
void printText(const Measurement &measurement);
/// One JSON object.
void printJson(const Measurement &measurement);

#endif // SM1_BENCH_REPORT_H
