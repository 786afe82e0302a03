// Measurements as JSON. Numbers are in seconds, bytes and operations; what there is none of is null.
#include "Report.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

using Json = nlohmann::ordered_json;

static Figures figures(const Samples &samples, double bytes, double flops, const CeilingsOfRow &ceilings,
                       const Measurement &measurement) {
  Figures figures;
  figures.seconds = samples.median();
  figures.bytesPerSecond = bytes / figures.seconds;
  figures.flopsPerSecond = flops / figures.seconds;
  auto part = [&](double rate, std::optional<size_t> ceiling) -> std::optional<double> {
    if (!ceiling || rate == 0)
      return std::nullopt;
    return rate / measurement.ceilings[*ceiling].perSecond.median();
  };
  figures.memoryFraction = part(figures.bytesPerSecond, ceilings.memory);
  figures.arithmeticFraction = part(figures.flopsPerSecond, ceilings.arithmetic);
  return figures;
}

Figures figuresOf(const Row &row, const Measurement &measurement) {
  return figures(row.seconds, row.memoryBytes(), row.work.flops, row.ceilings, measurement);
}

Figures figuresOf(const KernelRow &kernel, const Measurement &measurement) {
  return figures(kernel.seconds, kernel.work.bytes(), kernel.work.flops, kernel.ceilings, measurement);
}

double launchSeconds(const Row &row) {
  double seconds = 0;
  for (const KernelRow &kernel : row.kernels)
    seconds += kernel.entry == tokenEntry ? 0 : kernel.seconds.median();
  return seconds;
}

PredictionSummary summarise(const Measurement &measurement) {
  PredictionSummary summary;
  for (const Row &row : measurement.rows)
    for (const KernelRow &kernel : row.kernels)
      if (std::optional<double> ratio = kernel.predictionRatio()) {
        bool within = *ratio <= predictionFactor && *ratio >= 1 / predictionFactor;
        bool large = kernel.seconds.median() >= 0.01 * launchSeconds(row);
        ++summary.kernels, summary.within += within;
        summary.large += large, summary.largeWithin += large && within;
      }
  return summary;
}

static Json orNull(std::optional<double> value) { return value ? Json(*value) : Json(); }

static Json toJson(const Samples &samples) {
  return {{"median", samples.median()},
          {"least", samples.least()},
          {"quarter", samples.quantile(0.25)},
          {"three_quarters", samples.quantile(0.75)},
          {"p90", samples.quantile(0.9)},
          {"p99", samples.quantile(0.99)},
          {"most", samples.most()},
          {"all", samples.values}};
}

static Json toJson(const Work &work) {
  return {{"weight_bytes", work.weightBytes},
          {"read_bytes", work.readBytes},
          {"written_bytes", work.writtenBytes},
          {"flops", work.flops},
          {"launches", work.launches}};
}

/// What rows and kernels have in common.
static void addFigures(Json &json, const Figures &figures, const CeilingsOfRow &ceilings, const Measurement &measurement) {
  auto name = [&](std::optional<size_t> ceiling) { return ceiling ? Json(measurement.ceilings[*ceiling].name) : Json(); };
  json["bytes_per_second"] = figures.bytesPerSecond;
  json["memory_ceiling"] = name(ceilings.memory);
  json["fraction_of_memory_ceiling"] = orNull(figures.memoryFraction);
  json["flops_per_second"] = figures.flopsPerSecond;
  json["arithmetic_ceiling"] = name(ceilings.arithmetic);
  json["fraction_of_arithmetic_ceiling"] = orNull(figures.arithmeticFraction);
}

static Json toJson(const KernelRow &kernel, const Measurement &measurement) {
  Json json = {{"entry", kernel.entry},
               {"kernel", kernel.name},
               {"launches", kernel.launches},
               {"seconds", toJson(kernel.seconds)},
               {"seconds_per_launch", kernel.seconds.median() / double(kernel.launches)},
               {"work", toJson(kernel.work)},
               {"predicted_seconds", orNull(kernel.predictedSeconds)},
               {"predicted_by_measured", orNull(kernel.predictionRatio())}};
  addFigures(json, figuresOf(kernel, measurement), kernel.ceilings, measurement);
  if (kernel.slices.launches > 0) {
    auto steady = [&](const Samples &samples) { return samples.empty() ? Json() : toJson(samples); };
    json["slices"] = {{"launches", kernel.slices.launches},
                      {"steady", kernel.slices.peak.values.size()},
                      {"peak_per_second", steady(kernel.slices.peak)},
                      {"fraction_of_peak", steady(kernel.slices.part)}};
  }
  return json;
}

/// What only rows on a GPU have; energy that nobody tells is null.
static void addGpuFigures(Json &json, const Row &row) {
  json["one_by_one"] = row.shape.oneByOne;
  json["launches_per_token"] = row.launchesPerToken;
  json["bytes_per_token"] = row.work.bytes() / row.shape.tokens();
  json["warm_seconds"] = toJson(row.cache->warm);
  json["cold_seconds"] = toJson(row.cache->cold);
  json["joules_per_token"] = row.energy ? Json(row.energy->joulesPerToken) : Json();
  json["watts"] = row.energy ? Json(row.energy->watts) : Json();
}

static Json toJson(const Row &row, const Measurement &measurement) {
  const RunShape &shape = row.shape;
  Figures figures = figuresOf(row, measurement);
  Json json = {{"name", shape.name()},
               {"variant", row.variant},
               {"batch", shape.batch},
               {"time", shape.time},
               {"steps", shape.decoded()},
               {"context", shape.context},
               {"tokens", shape.tokens()},
               {"seconds", toJson(row.seconds)},
               {"seconds_per_token", figures.seconds / shape.tokens()},
               {"tokens_per_second", shape.tokens() / figures.seconds},
               {"work", toJson(row.work)}};
  addFigures(json, figures, row.ceilings, measurement);
  if (row.residentBytes > 0)
    json["resident_bytes"] = row.residentBytes;
  if (row.cache)
    addGpuFigures(json, row);
  json["kernels"] = Json::array();
  for (const KernelRow &kernel : row.kernels)
    json["kernels"].push_back(toJson(kernel, measurement));
  return json;
}

static Json toJson(const Variant &variant) {
  return {{"package", variant.package},
          {"device", variant.device},
          {"target", variant.target},
          {"threads", variant.threads},
          {"weights", variant.storage},
          {"compute", variant.compute},
          {"packed_weight_bytes", variant.packedWeightBytes}};
}

static Json toJson(const Ceiling &ceiling) {
  return {{"name", ceiling.name},
          {"threads", ceiling.threads},
          {"unit", fmt::format("{} per second", ceiling.unit)},
          {"per_second", toJson(ceiling.perSecond)}};
}

static Json toJson(const PredictionSummary &summary) {
  return {{"factor", predictionFactor},
          {"kernels", summary.kernels},
          {"within", summary.within},
          {"large", summary.large},
          {"large_within", summary.largeWithin}};
}

void printJson(const Measurement &measurement) {
  Json variants = Json::array(), rows = Json::array(), ratios = Json::array(), ceilings = Json::array();
  for (const Variant &variant : measurement.variants)
    variants.push_back(toJson(variant));
  for (const Row &row : measurement.rows)
    rows.push_back(toJson(row, measurement));
  for (const PipelineRatio &ratio : measurement.ratios)
    ratios.push_back({{"row", ratio.row}, {"first", ratio.first}, {"speedup", toJson(ratio.speedup)}});
  for (const Ceiling &ceiling : measurement.ceilings)
    ceilings.push_back(toJson(ceiling));
  Json report = {{"model", measurement.model},
                 {"repetitions", measurement.repetitions},
                 {"variants", variants},
                 {"rows", rows},
                 {"ratios", ratios},
                 {"ceilings", ceilings},
                 {"predictions", toJson(summarise(measurement))},
                 {"ceiling_bytes", measurement.ceilingBytes},
                 {"huge_pages", measurement.hugePages},
                 {"last_level_cache_bytes", measurement.cacheBytes},
                 {"no_energy", measurement.noEnergy.empty() ? Json() : Json(measurement.noEnergy)}};
  fmt::print("{}\n", report.dump(2, ' ', false, Json::error_handler_t::replace));
}
