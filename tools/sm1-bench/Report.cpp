// Prints measurements. Fractions are of the medians.
#include "Report.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

using Json = nlohmann::ordered_json;

namespace {
/// A row's figures per token and as parts of the ceilings.
struct Figures {
  double tokenSeconds, bytesPerToken, flopsPerToken;
  double bandwidth, bandwidthFraction, flopRate, flopFraction;
};
} // namespace

static Figures figuresOf(const Row &row, const Measurement &measurement) {
  double seconds = row.seconds.median();
  Figures figures;
  figures.tokenSeconds = seconds / row.tokens;
  figures.bytesPerToken = row.work.weightBytes / row.tokens;
  figures.flopsPerToken = row.work.flops / row.tokens;
  figures.bandwidth = row.work.weightBytes / seconds;
  bool ceilings = !measurement.readBandwidth.values.empty();
  figures.bandwidthFraction = ceilings ? figures.bandwidth / measurement.readBandwidth.median() : 0;
  figures.flopRate = row.work.flops / seconds;
  figures.flopFraction = ceilings ? figures.flopRate / measurement.multiplyPeak.median() : 0;
  return figures;
}

static void printRow(const Row &row, const Measurement &measurement) {
  Figures figures = figuresOf(row, measurement);
  auto micros = [&](double seconds) { return seconds / row.tokens * 1e6; };
  fmt::print("{:<8} batch {}, time {}: {:.1f} us/token (least {:.1f}, most {:.1f}), {:.0f} tokens/s\n", row.name, row.batch,
             row.time, figures.tokenSeconds * 1e6, micros(row.seconds.least()), micros(row.seconds.most()),
             1 / figures.tokenSeconds);
  auto share = [&](double fraction, const char *ceiling) {
    return measurement.readBandwidth.values.empty() ? std::string()
                                                    : fmt::format(" = {:.1f} % of the {} ceiling", 100 * fraction, ceiling);
  };
  fmt::print("         weights {:.3f} MB/token, {:.2f} GB/s{}\n", figures.bytesPerToken / 1e6, figures.bandwidth / 1e9,
             share(figures.bandwidthFraction, "read"));
  fmt::print("         {:.2f} MFLOP/token, {:.1f} GFLOP/s{}\n", figures.flopsPerToken / 1e6, figures.flopRate / 1e9,
             share(figures.flopFraction, "multiply"));
}

static void printCeiling(const char *name, const Samples &samples, const char *unit) {
  fmt::print("{:<8} {:.1f} {} (least {:.1f}, most {:.1f})\n", name, samples.median() / 1e9, unit, samples.least() / 1e9,
             samples.most() / 1e9);
}

void printText(const Measurement &measurement) {
  fmt::print("{} on {}, {} repetitions, medians\n", measurement.model, measurement.device, measurement.repetitions);
  for (const Row &row : measurement.rows)
    printRow(row, measurement);
  if (measurement.readBandwidth.values.empty())
    return;
  printCeiling("read", measurement.readBandwidth, "GB/s from memory");
  printCeiling("multiply", measurement.multiplyPeak, "GFLOP/s f32 multiply-add");
  // A share above 100 % is no error then: the weights never leave the cache.
  constexpr double cacheBytes = 100e6;
  if (measurement.packedWeightBytes < cacheBytes)
    fmt::print("note: {:.0f} MB of weights may stay in the cache, which reads faster than memory\n",
               measurement.packedWeightBytes / 1e6);
}

static Json toJson(const Samples &samples) {
  if (samples.values.empty())
    return nullptr;
  return {{"median", samples.median()}, {"least", samples.least()}, {"most", samples.most()}, {"all", samples.values}};
}

static Json toJson(const Row &row, const Measurement &measurement) {
  Figures figures = figuresOf(row, measurement);
  bool ceilings = !measurement.readBandwidth.values.empty();
  return {{"name", row.name},
          {"batch", row.batch},
          {"time", row.time},
          {"tokens", row.tokens},
          {"seconds", toJson(row.seconds)},
          {"seconds_per_token", figures.tokenSeconds},
          {"tokens_per_second", 1 / figures.tokenSeconds},
          {"weight_bytes_per_token", figures.bytesPerToken},
          {"flops_per_token", figures.flopsPerToken},
          {"bytes_per_second", figures.bandwidth},
          {"fraction_of_read_ceiling", ceilings ? Json(figures.bandwidthFraction) : Json()},
          {"flops_per_second", figures.flopRate},
          {"fraction_of_multiply_ceiling", ceilings ? Json(figures.flopFraction) : Json()}};
}

void printJson(const Measurement &measurement) {
  Json rows = Json::array();
  for (const Row &row : measurement.rows)
    rows.push_back(toJson(row, measurement));
  Json report = {{"model", measurement.model},
                 {"device", measurement.device},
                 {"threads", measurement.threads},
                 {"repetitions", measurement.repetitions},
                 {"packed_weight_bytes", measurement.packedWeightBytes},
                 {"rows", rows},
                 {"read_ceiling_bytes_per_second", toJson(measurement.readBandwidth)},
                 {"multiply_ceiling_flops_per_second", toJson(measurement.multiplyPeak)}};
  fmt::print("{}\n", report.dump(2, ' ', false, Json::error_handler_t::replace));
}
