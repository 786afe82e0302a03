// Rows with one or two columns.
#include "ReportTable.h"

#include "sm1rt/music/Names.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>

using namespace sm1rt;
using Json = nlohmann::ordered_json;

namespace {
/// A line of the table: its name and what stands in a column.
struct Row {
  std::string name;
  std::function<std::string(const PieceStatistics &)> cell;
};
} // namespace

static std::string percent(const Share &share) { return share.whole ? fmt::format("{:.1f} %", 100 * share.value()) : "-"; }

static std::string perThousand(int64_t count, const PieceStatistics &statistics) {
  return fmt::format("{:.2f}", 1000 * double(count) / double(std::max<int64_t>(statistics.tokens, 1)));
}

static Share pitchClassShare(const PieceStatistics &statistics, size_t pitchClass) {
  Share share{statistics.pitchClasses[pitchClass], 0};
  for (int64_t count : statistics.pitchClasses)
    share.whole += count;
  return share;
}

static std::vector<Row> lengthRows() {
  return {
      {"number", [](const auto &s) { return fmt::format("{}", s.ended.whole); }},
      {"that end by themselves", [](const auto &s) { return percent(s.ended); }},
      {"tokens, median", [](const auto &s) { return fmt::format("{}", s.medianLength()); }},
      {"bars, mean", [](const auto &s) { return fmt::format("{:.1f}", double(s.bars) / double(s.ended.whole)); }},
      {"notes a bar",
       [](const auto &s) {
         return fmt::format("{:.1f}", Share{s.notes, s.bars}.value());
       }},
  };
}

static std::vector<Row> errorRows() {
  std::vector<Row> rows = {{"grammar errors in 1,000 tokens", [](const auto &s) { return perThousand(s.errorCount(), s); }}};
  for (size_t kind = 0; kind < grammarErrorKinds; ++kind)
    rows.push_back(
        {fmt::format("  {}", describe(GrammarError(kind))), [kind](const auto &s) { return perThousand(s.errors[kind], s); }});
  return rows;
}

static std::vector<Row> soundRows() {
  std::vector<Row> rows;
  for (size_t index = 0; index < ngramLengths.size(); ++index)
    rows.push_back({fmt::format("repeated {}-grams of tokens", ngramLengths[index]),
                    [index](const auto &s) { return percent(s.repeatedNgrams[index]); }});
  rows.push_back({"repeated bars", [](const auto &s) { return percent(s.repeatedBars); }});
  rows.push_back({"dissonant beats", [](const auto &s) { return percent(s.dissonantBeats); }});
  for (size_t pitchClass = 0; pitchClass < 12; ++pitchClass)
    rows.push_back({fmt::format("notes that are {}", pitchClassName(int(pitchClass))),
                    [pitchClass](const auto &s) { return percent(pitchClassShare(s, pitchClass)); }});
  return rows;
}

std::string ReportTable::text() const {
  std::vector<Row> rows;
  for (const std::vector<Row> &part : {lengthRows(), errorRows(), soundRows()})
    rows.insert(rows.end(), part.begin(), part.end());
  std::string text = fmt::format("{:<38}{:>10}{}\n", "", kind, reference ? fmt::format("{:>12}", "reference") : "");
  for (const Row &row : rows)
    text +=
        fmt::format("{:<38}{:>10}{}\n", row.name, row.cell(pieces), reference ? fmt::format("{:>12}", row.cell(*reference)) : "");
  if (reference)
    text += fmt::format("pitch classes differ by {:.1f} %, dissonant beats by {:+.1f} points\n",
                        100 * histogramDistance(pieces.pitchClasses, reference->pitchClasses),
                        100 * (pieces.dissonantBeats.value() - reference->dissonantBeats.value()));
  return text;
}

static Json toJson(const PieceStatistics &statistics) {
  Json errors = Json::object(), ngrams = Json::object();
  for (size_t kind = 0; kind < grammarErrorKinds; ++kind)
    errors[describe(GrammarError(kind))] = statistics.errors[kind];
  for (size_t index = 0; index < ngramLengths.size(); ++index)
    ngrams[fmt::format("{}", ngramLengths[index])] = statistics.repeatedNgrams[index].value();
  return {{"number", statistics.ended.whole},
          {"ended", statistics.ended.value()},
          {"tokens", statistics.tokens},
          {"bars", statistics.bars},
          {"notes", statistics.notes},
          {"median_tokens", statistics.medianLength()},
          {"grammar_errors", errors},
          {"repeated_ngrams", ngrams},
          {"repeated_bars", statistics.repeatedBars.value()},
          {"pitch_classes", statistics.pitchClasses},
          {"beats", statistics.dissonantBeats.whole},
          {"dissonant_beats", statistics.dissonantBeats.value()}};
}

std::string ReportTable::json() const {
  Json json = {{kind, toJson(pieces)}};
  if (reference) {
    json["reference"] = toJson(*reference);
    json["pitch_class_distance"] = histogramDistance(pieces.pitchClasses, reference->pitchClasses);
  }
  return json.dump(1) + "\n";
}
