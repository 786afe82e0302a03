// From rows to points: which figure lies over which.
#include "Curves.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

namespace {
using Place = std::function<PlotPoint(const Row &)>;
} // namespace

/// e.g. "x86-64-v4, 2 threads, weights bf16, compute f32".
static std::string nameOf(const Variant &variant) {
  return fmt::format("{}, {} thread{}, weights {}, compute {}", variant.target, variant.threads, variant.threads == 1 ? "" : "s",
                     variant.storage, variant.compute);
}

/// Rows of equal key make a line; lines that differ by it alone are named by it, too.
static std::vector<PlotSeries> seriesOf(const Measurement &measurement, const std::function<int64_t(const Row &)> &key,
                                        const char *keyName, const Place &place) {
  std::map<std::pair<size_t, int64_t>, PlotSeries> lines;
  std::set<int64_t> keys;
  for (const Row &row : measurement.rows) {
    PlotSeries &line = lines[{row.variant, key(row)}];
    line.name = nameOf(measurement.variants[row.variant]);
    line.points.push_back(place(row));
    keys.insert(key(row));
  }
  std::vector<PlotSeries> series;
  for (auto &[index, line] : lines) {
    if (keys.size() > 1)
      line.name += fmt::format(", {} {}", keyName, index.second);
    std::sort(line.points.begin(), line.points.end(), [](const PlotPoint &a, const PlotPoint &b) { return a.x < b.x; });
    series.push_back(std::move(line));
  }
  return series;
}

/// Without the folders.
static std::string modelName(const Measurement &measurement) {
  size_t slash = measurement.model.find_last_of("/\\", measurement.model.size() - 2);
  return slash == std::string::npos ? measurement.model : measurement.model.substr(slash + 1);
}

/// With one line there is no legend: what it is stands below the title.
static std::string subtitleOf(const Plot &plot, const Measurement &measurement) {
  std::string what = plot.series.size() == 1 ? plot.series.front().name + "; " : "";
  return fmt::format("{}medians and middle halves of {} repetitions", what, measurement.repetitions);
}

Plot contextPlot(const Measurement &measurement) {
  Plot plot{"Step latency by context: " + modelName(measurement), "", "tokens read before", "milliseconds a step", {}};
  plot.series = seriesOf(
      measurement, [](const Row &row) { return row.shape.batch; }, "batch",
      [](const Row &row) {
        double scale = 1e3 / double(row.shape.decoded());
        return PlotPoint{double(row.shape.context), scale * row.seconds.median(), scale * row.seconds.quantile(0.25),
                         scale * row.seconds.quantile(0.75)};
      });
  plot.subtitle = subtitleOf(plot, measurement);
  return plot;
}

Plot batchPlot(const Measurement &measurement) {
  Plot plot{"Decode throughput by batch: " + modelName(measurement), "", "sequences side by side", "tokens a second", {}};
  plot.series = seriesOf(
      measurement, [](const Row &row) { return row.shape.time; }, "steps",
      [](const Row &row) {
        double tokens = row.shape.tokens();
        return PlotPoint{double(row.shape.batch), tokens / row.seconds.median(), tokens / row.seconds.quantile(0.75),
                         tokens / row.seconds.quantile(0.25)};
      });
  plot.subtitle = subtitleOf(plot, measurement);
  return plot;
}
