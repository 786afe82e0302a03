// Rows that make a curve, and the curve as a plot.
#ifndef SM1_BENCH_CURVES_H
#define SM1_BENCH_CURVES_H

#include "Measurement.h"
#include "Plot.h"

/// Milliseconds of a step after so many tokens, a line for each variant and batch.
Plot contextPlot(const Measurement &measurement);
/// Tokens a second of decode with so many sequences, a line for each variant.
Plot batchPlot(const Measurement &measurement);

#endif // SM1_BENCH_CURVES_H
