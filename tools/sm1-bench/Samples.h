// Figures of equal kind, one per repetition, and what is said of them.
#ifndef SM1_BENCH_SAMPLES_H
#define SM1_BENCH_SAMPLES_H

#include <algorithm>
#include <vector>

struct Samples {
  std::vector<double> values;

  bool empty() const { return values.empty(); }
  double least() const { return *std::min_element(values.begin(), values.end()); }
  double most() const { return *std::max_element(values.begin(), values.end()); }
  double median() const { return quantile(0.5); }

  /// The value that `part` (0 to 1) of the values do not exceed, between two of them in proportion. Not of nothing.
  double quantile(double part) const {
    std::vector<double> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    double place = part * double(sorted.size() - 1);
    auto below = size_t(place);
    size_t above = std::min(below + 1, sorted.size() - 1);
    return sorted[below] + (place - double(below)) * (sorted[above] - sorted[below]);
  }
};

#endif // SM1_BENCH_SAMPLES_H
