// Measurements as tables: one of runs for each variant, one of kernels below each run that has them, and the ceilings at the end.
#include "Report.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

/// A number in few characters: three or four digits that count.
static std::string brief(double value) {
  int decimals = value < 10 ? 3 : value < 100 ? 2 : value < 1000 ? 1 : 0;
  return fmt::format("{:.{}f}", value, decimals);
}

static std::string percent(std::optional<double> fraction) { return fraction ? fmt::format("{:.1f}", 100 * *fraction) : "-"; }
static std::string orDash(double value) { return value > 0 ? brief(value) : "-"; }

//===-- Runs ----------------------------------------------------------------------------------------------------------------===//

static const char *const rowLayout = "{:<12} {:>5} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8} {:>6} {:>5} {:>8} {:>5}\n";

/// A GPU's repetitions are many enough to say what one in a hundred takes.
static double slowPart(const Variant &variant) { return variant.threads > 0 ? 0.9 : 0.99; }
static const char *slowName(const Variant &variant) { return variant.threads > 0 ? "p90" : "p99"; }

static void printRowHead(const Variant &variant) {
  fmt::print("\n");
  fmt::print(fmt::runtime(rowLayout), "run", "batch", "time", "ms", "least", slowName(variant), "most", "tokens/s", "MB", "GB/s",
             "%mem", "GFLOP/s", "%peak");
}

static std::string nameOf(const RunShape &shape) {
  return shape.context ? fmt::format("at {}", shape.context) : std::string(shape.name());
}

static std::string timeOf(const RunShape &shape) {
  return shape.kind == RunKind::EndToEnd ? fmt::format("{}+{}", shape.time, shape.steps) : std::to_string(shape.time);
}

/// Of a decode the times and bytes of one step, of others those of the whole run.
static void printRow(const Row &row, const Measurement &measurement) {
  const RunShape &shape = row.shape;
  double parts = shape.kind == RunKind::Decode ? double(shape.time) : 1;
  auto millis = [&](double seconds) { return brief(1e3 * seconds / parts); };
  Figures figures = figuresOf(row, measurement);
  fmt::print(fmt::runtime(rowLayout), nameOf(shape), shape.batch, timeOf(shape), millis(figures.seconds),
             millis(row.seconds.least()), millis(row.seconds.quantile(slowPart(measurement.variants[row.variant]))),
             millis(row.seconds.most()), brief(shape.tokens() / figures.seconds), brief(row.memoryBytes() / parts / 1e6),
             brief(figures.bytesPerSecond / 1e9), percent(figures.memoryFraction), orDash(figures.flopsPerSecond / 1e9),
             percent(figures.arithmeticFraction));
}

//===-- Kernels -------------------------------------------------------------------------------------------------------------===//

static const char *const kernelLayout =
    "  {:<20.20} {:>5} {:>7} {:>7} {:>7} {:>6} {:>8} {:>5} {:>6} {:>5} {:>8} {:>5} {:>8} {:>6}\n";

/// e.g. "5:1", where a kernel writes so much that its ceiling has writes.
static std::string mixOf(const KernelRow &kernel, const Measurement &measurement) {
  return kernel.ceilings.memory ? measurement.ceilings[*kernel.ceilings.memory].mix : "-";
}

/// Times and bytes of one launch; the share is of all launches.
static void printKernel(const KernelRow &kernel, double allSeconds, double slow, const Measurement &measurement) {
  auto launches = double(kernel.launches);
  auto micros = [&](double seconds) { return brief(1e6 * seconds / launches); };
  Figures figures = figuresOf(kernel, measurement);
  std::optional<double> ratio = kernel.predictionRatio();
  fmt::print(fmt::runtime(kernelLayout), kernel.name, kernel.launches, micros(figures.seconds), micros(kernel.seconds.least()),
             micros(kernel.seconds.quantile(slow)), percent(figures.seconds / allSeconds),
             brief(kernel.work.bytes() / launches / 1e6), mixOf(kernel, measurement), brief(figures.bytesPerSecond / 1e9),
             percent(figures.memoryFraction), orDash(figures.flopsPerSecond / 1e9), percent(figures.arithmeticFraction),
             ratio ? micros(*kernel.predictedSeconds) : "-", ratio ? fmt::format("{:.2f}", *ratio) : "-");
}

/// What kernels with projections reached of the peak around each launch.
static void printSlices(const Row &row) {
  constexpr const char *layout = "  {:<20.20} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9}\n";
  bool head = true;
  for (const KernelRow &kernel : row.kernels) {
    const PeakSlices &slices = kernel.slices;
    if (slices.peak.empty())
      continue;
    if (std::exchange(head, false))
      fmt::print(fmt::runtime("\n" + std::string(layout)), "%peak of slices", "launches", "steady", "median", "quarter", "3/4",
                 "GFLOP/s", "least", "most");
    auto part = [&](double place) { return percent(slices.part.quantile(place)); };
    fmt::print(fmt::runtime(layout), kernel.name, slices.launches, slices.peak.values.size(), part(0.5), part(0.25), part(0.75),
               brief(slices.peak.median() / 1e9), brief(slices.peak.least() / 1e9), brief(slices.peak.most() / 1e9));
  }
}

/// Runs after one with kernels get a head of their own.
static void printKernels(const Row &row, const Measurement &measurement) {
  const Variant &variant = measurement.variants[row.variant];
  double allSeconds = launchSeconds(row);
  std::string entry;
  for (const KernelRow &kernel : row.kernels) {
    if (kernel.entry != entry)
      fmt::print("\n  launches of {} in {}, batch {}, time {}\n", kernel.entry, nameOf(row.shape), row.shape.batch,
                 timeOf(row.shape));
    if (kernel.entry != entry)
      fmt::print(fmt::runtime(kernelLayout), "kernel", "count", "us", "least", slowName(variant), "%share", "MB", "r:w", "GB/s",
                 "%mem", "GFLOP/s", "%peak", "predict", "ratio");
    entry = kernel.entry;
    printKernel(kernel, allSeconds, slowPart(variant), measurement);
  }
  printSlices(row);
}

/// e.g. "2.1 times as fast": the first package's time by another's.
static void printRatios(const Measurement &measurement) {
  constexpr const char *layout = "{:<40} {:<12} {:>5} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}\n";
  if (measurement.ratios.empty())
    return;
  fmt::print("times as fast as {}, repetition by repetition\n", measurement.model);
  fmt::print(fmt::runtime(layout), "package", "run", "batch", "time", "median", "least", "quarter", "3/4", "most");
  for (const PipelineRatio &ratio : measurement.ratios) {
    const Row &row = measurement.rows[ratio.row];
    const Samples &speedup = ratio.speedup;
    fmt::print(fmt::runtime(layout), measurement.variants[row.variant].package, nameOf(row.shape), row.shape.batch,
               timeOf(row.shape), brief(speedup.median()), brief(speedup.least()), brief(speedup.quantile(0.25)),
               brief(speedup.quantile(0.75)), brief(speedup.most()));
  }
  fmt::print("\n");
}

/// How well the cost model did.
static void printPredictions(const Measurement &measurement) {
  PredictionSummary summary = summarise(measurement);
  if (summary.kernels > 0)
    fmt::print("predicted within {} times: {} of {} kernels, {} of {} that take a hundredth of their run\n\n", predictionFactor,
               summary.within, summary.kernels, summary.largeWithin, summary.large);
}

//===-- Ceilings and notes --------------------------------------------------------------------------------------------------===//

static void printCeiling(const Ceiling &ceiling) {
  bool launches = ceiling.unit == std::string_view("launches");
  auto figure = [&](double perSecond) { return launches ? brief(1e6 / perSecond) : brief(perSecond / 1e9); };
  const char *unit = launches ? "us" : ceiling.mix.empty() ? "GFLOP/s" : "GB/s";
  fmt::print("{:<18} {:>7} {:>9} {:>9} {:>9} {}\n", ceiling.name, ceiling.threads ? std::to_string(ceiling.threads) : "-",
             figure(ceiling.perSecond.median()), figure(ceiling.perSecond.least()), figure(ceiling.perSecond.most()), unit);
}

static void printCeilings(const Measurement &measurement) {
  if (measurement.ceilings.empty())
    return;
  fmt::print("{:<18} {:>7} {:>9} {:>9} {:>9}\n", "ceiling", "threads", "median", "least", "most");
  for (const Ceiling &ceiling : measurement.ceilings)
    printCeiling(ceiling);
  fmt::print("memory ceilings are measured over {:.0f} MB{}\n", measurement.ceilingBytes / 1e6,
             measurement.variants.front().threads == 0 ? ""
             : measurement.hugePages                   ? " on huge pages"
                                                       : " on ordinary pages");
}

/// A share above 100 % is no error where data never leaves the cache.
static void printCacheNotes(const Measurement &measurement) {
  double cacheBytes = measurement.cacheBytes, weightBytes = 0;
  if (measurement.ceilings.empty())
    return;
  for (const Variant &variant : measurement.variants)
    weightBytes = std::max(weightBytes, variant.packedWeightBytes);
  if (weightBytes > 0 && weightBytes < measurement.ceilingBytes * 0.99)
    fmt::print("note: {:.1f} MB of weights are few; they may stay in the cache, which reads faster than memory\n",
               weightBytes / 1e6);
  else if (weightBytes > 0 && weightBytes < 2 * cacheBytes)
    fmt::print("note: {:.0f} MB of weights and a last-level cache of {:.0f} MB: part of them may stay there\n", weightBytes / 1e6,
               cacheBytes / 1e6);
  if (std::any_of(measurement.rows.begin(), measurement.rows.end(), [](const Row &row) { return !row.kernels.empty(); }))
    fmt::print("note: r:w is how many bytes the ceiling of %mem reads for each that it writes; arrays of a pass that fits a cache\n"
               "      never reach memory (--rows-per-pass), %mem may then exceed 100\n");
}

//===-- What only GPUs have -------------------------------------------------------------------------------------------------===//

static const char *const gpuLayout = "{:<12} {:>5} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10} {:>11} {:>10} {:>7}\n";

static void printGpuRow(const Row &row) {
  auto millis = [](double seconds) { return brief(1e3 * seconds); };
  const Samples &warm = row.cache->warm, &cold = row.cache->cold;
  fmt::print(fmt::runtime(gpuLayout), nameOf(row.shape), row.shape.batch, timeOf(row.shape), millis(warm.median()),
             millis(warm.quantile(0.99)), millis(cold.median()), millis(cold.quantile(0.99)),
             brief(row.work.bytes() / row.shape.tokens() / 1e6), fmt::format("{:.3g}", row.launchesPerToken),
             row.energy ? brief(1e3 * row.energy->joulesPerToken) : "-", row.energy ? brief(row.energy->watts) : "-");
}

static void printGpuRows(const Measurement &measurement) {
  bool head = true;
  for (const Row &row : measurement.rows) {
    if (!row.cache)
      continue;
    if (std::exchange(head, false))
      fmt::print(fmt::runtime(gpuLayout), "one part", "batch", "time", "warm ms", "p99", "cold ms", "p99", "MB/token",
                 "launch/token", "mJ/token", "W");
    printGpuRow(row);
  }
  if (!measurement.noEnergy.empty())
    fmt::print("energy: not known, {}\n", measurement.noEnergy);
  if (!head)
    fmt::print("\n");
}

static void printResident(const Measurement &measurement) {
  for (const Row &row : measurement.rows)
    if (row.residentBytes > 0)
      fmt::print("resident memory after {} rows: {:.1f} MB (weights {:.1f} MB)\n", row.shape.context, row.residentBytes / 1e6,
                 measurement.variants[row.variant].packedWeightBytes / 1e6);
}

void printText(const Measurement &measurement) {
  fmt::print("{}: medians of {} repetitions; decode: of one step\n", measurement.model, measurement.repetitions);
  for (size_t variant = 0; variant < measurement.variants.size(); ++variant) {
    const Variant &facts = measurement.variants[variant];
    fmt::print("\n{}{}, weights {}, compute {}\n", measurement.ratios.empty() ? "" : facts.package + ": ", facts.device,
               facts.storage, facts.compute);
    bool head = true;
    for (const Row &row : measurement.rows) {
      if (row.variant != variant)
        continue;
      if (head)
        printRowHead(facts);
      printRow(row, measurement);
      printKernels(row, measurement);
      head = !row.kernels.empty();
    }
  }
  fmt::print("\n");
  printResident(measurement);
  printRatios(measurement);
  printPredictions(measurement);
  printGpuRows(measurement);
  printCeilings(measurement);
  printCacheNotes(measurement);
}
