// Measurements as tables: one of runs for each variant, one of kernels below each run that has them, and the ceilings at the end.
#include "Report.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

/// A number in few characters: three or four digits that count.
static std::string brief(double value) {
  int decimals = value < 10 ? 3 : value < 100 ? 2 : value < 1000 ? 1 : 0;
  return fmt::format("{:.{}f}", value, decimals);
}

static std::string percent(std::optional<double> fraction) { return fraction ? fmt::format("{:.1f}", 100 * *fraction) : "-"; }
static std::string orDash(double value) { return value > 0 ? brief(value) : "-"; }

//===-- Runs ----------------------------------------------------------------------------------------------------------------===//

static const char *const rowLayout = "{:<12} {:>5} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8} {:>6} {:>5} {:>8} {:>5}\n";

static void printRowHead() {
  fmt::print("\n");
  fmt::print(fmt::runtime(rowLayout), "run", "batch", "time", "ms", "least", "p90", "most", "tokens/s", "MB", "GB/s", "%mem",
             "GFLOP/s", "%peak");
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
             millis(row.seconds.least()), millis(row.seconds.quantile(0.9)), millis(row.seconds.most()),
             brief(shape.tokens() / figures.seconds), brief(row.memoryBytes() / parts / 1e6), brief(figures.bytesPerSecond / 1e9),
             percent(figures.memoryFraction), orDash(figures.flopsPerSecond / 1e9), percent(figures.arithmeticFraction));
}

//===-- Kernels -------------------------------------------------------------------------------------------------------------===//

static const char *const kernelLayout =
    "  {:<20.20} {:>5} {:>7} {:>7} {:>7} {:>7} {:>6} {:>8} {:>5} {:>6} {:>5} {:>8} {:>5} {:>8}\n";

/// e.g. "5:1", where a kernel writes so much that its ceiling has writes.
static std::string mixOf(const KernelRow &kernel, const Measurement &measurement) {
  return kernel.ceilings.memory ? measurement.ceilings[*kernel.ceilings.memory].mix->name() : "-";
}

/// Times and bytes of one launch; the share is of all launches.
static void printKernel(const KernelRow &kernel, double allSeconds, const Measurement &measurement) {
  auto launches = double(kernel.launches);
  auto micros = [&](double seconds) { return brief(1e6 * seconds / launches); };
  Figures figures = figuresOf(kernel, measurement);
  fmt::print(fmt::runtime(kernelLayout), kernel.name, kernel.launches, micros(figures.seconds), micros(kernel.seconds.least()),
             micros(kernel.seconds.quantile(0.9)), micros(kernel.seconds.most()), percent(figures.seconds / allSeconds),
             brief(kernel.work.bytes() / launches / 1e6), mixOf(kernel, measurement), brief(figures.bytesPerSecond / 1e9),
             percent(figures.memoryFraction), orDash(figures.flopsPerSecond / 1e9), percent(figures.arithmeticFraction),
             kernel.predictedSeconds ? micros(*kernel.predictedSeconds) : "-");
}

/// Runs after one with kernels get a head of their own.
static void printKernels(const Row &row, const Measurement &measurement) {
  double allSeconds = 0;
  for (const KernelRow &kernel : row.kernels)
    allSeconds += kernel.seconds.median();
  std::string entry;
  for (const KernelRow &kernel : row.kernels) {
    if (kernel.entry != entry)
      fmt::print("\n  launches of {} in {}, batch {}, time {}\n", kernel.entry, nameOf(row.shape), row.shape.batch,
                 timeOf(row.shape));
    if (kernel.entry != entry)
      fmt::print(fmt::runtime(kernelLayout), "kernel", "count", "us", "least", "p90", "most", "%share", "MB", "r:w", "GB/s", "%mem",
                 "GFLOP/s", "%peak", "predict");
    entry = kernel.entry;
    printKernel(kernel, allSeconds, measurement);
  }
}

//===-- Ceilings and notes --------------------------------------------------------------------------------------------------===//

static void printCeilings(const Measurement &measurement) {
  if (measurement.ceilings.empty())
    return;
  fmt::print("{:<18} {:>7} {:>9} {:>9} {:>9}\n", "ceiling", "threads", "median", "least", "most");
  for (const Ceiling &ceiling : measurement.ceilings)
    fmt::print("{:<18} {:>7} {:>9} {:>9} {:>9} {}\n", ceiling.name(), ceiling.threads, brief(ceiling.perSecond.median() / 1e9),
               brief(ceiling.perSecond.least() / 1e9), brief(ceiling.perSecond.most() / 1e9), ceiling.mix ? "GB/s" : "GFLOP/s");
  fmt::print("memory ceilings are measured over {:.0f} MB on {} pages\n", measurement.ceilingBytes / 1e6,
             measurement.hugePages ? "huge" : "ordinary");
}

/// A share above 100 % is no error where data never leaves the cache.
static void printCacheNotes(const Measurement &measurement) {
  double cacheBytes = lastLevelCacheBytes(), weightBytes = 0;
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
    fmt::print("\n{}, weights {}, compute {}\n", facts.device, facts.storage, facts.compute);
    bool head = true;
    for (const Row &row : measurement.rows) {
      if (row.variant != variant)
        continue;
      if (head)
        printRowHead();
      printRow(row, measurement);
      printKernels(row, measurement);
      head = !row.kernels.empty();
    }
  }
  fmt::print("\n");
  printResident(measurement);
  printCeilings(measurement);
  printCacheNotes(measurement);
}
