// A diagram of points and lines as SVG.
#ifndef SM1_BENCH_PLOT_H
#define SM1_BENCH_PLOT_H

#include <string>
#include <vector>

struct PlotPoint {
  double x, y;
  double low, high; ///< the middle half of what was measured
};

struct PlotSeries {
  std::string name;
  std::vector<PlotPoint> points; ///< in order of x
};

struct Plot {
  std::string title, subtitle, xLabel, yLabel;
  std::vector<PlotSeries> series; ///< at least one with a point; x above 0
};

/// x doubles from tick to tick, y starts at 0, so that flat looks flat.
std::string drawPlot(const Plot &plot);

#endif // SM1_BENCH_PLOT_H
