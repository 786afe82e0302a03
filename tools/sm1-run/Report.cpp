// sm1-run report: what many samples of a model, or the pieces of a folder, are like, beside those of another folder.
#include "Commands.h"
#include "MusicFiles.h"
#include "Progress.h"
#include "ReportTable.h"
#include "Voices.h"

#include "Platform.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <filesystem>
#include <memory>

using namespace sm1rt;

namespace {
struct ReportOptions {
  CommonOptions common;
  ContinuationOptions continuation;
  ConditioningOptions conditioning;
  std::string reference, json, tokensOut;
  std::string tokenizer = "v1";
  int64_t samples = 200;
};
} // namespace

/// Samples that are made side by side; what comes out does not depend on it.
constexpr int64_t sideBySide = 256;

static bool isPieceFile(const std::string &path) {
  std::string name = std::filesystem::path(path).filename().string();
  bool aboutTokens = name == "vocab_config.json" || (name.size() > 10 && name.rfind(".info.json") == name.size() - 10);
  return isMidiPath(path) || (isJsonPath(path) && !aboutTokens);
}

/// Whether the first argument is music rather than a model.
static bool isMusic(const std::string &path) {
  if (isDirectory(path))
    return !fileExists((std::filesystem::path(path) / "config.json").string());
  return isPieceFile(path);
}

static Expected<void> addFile(PieceStatistics &statistics, const ReportOptions &options, const std::string &path,
                              const Vocabulary *known) {
  Expected<Vocabulary> vocabulary = known ? *known : Vocabulary::ofSize(Vocabulary::musicTokens);
  if (isMidiPath(path)) {
    Expected<Tokenized> tokens = tokenizeFile(path, *vocabulary, options.tokenizer, {});
    if (!tokens)
      return tokens.error();
    statistics.add(tokens->tokens, *vocabulary);
    return {};
  }
  if (!known)
    vocabulary = vocabularyOfTokens(options.conditioning, path);
  if (!vocabulary)
    return vocabulary.error();
  Expected<TokenLists> lists = readTokenFile(path, {vocabulary->size()});
  if (!lists)
    return lists.error();
  for (const std::vector<int32_t> &list : *lists)
    statistics.add(list, *vocabulary);
  return {};
}

/// Statistics of a file, or of all files below a folder. A file that cannot be read is an error where it is alone, else a line.
static Expected<PieceStatistics> measureFiles(const ReportOptions &options, const std::string &path, const Vocabulary *vocabulary) {
  Expected<std::vector<std::string>> paths = listFiles({path}, ".mid, .midi or .json", isPieceFile);
  if (!paths)
    return paths.error();
  PieceStatistics statistics;
  Progress progress("reading", int64_t(paths->size()), "files");
  for (size_t index = 0; index < paths->size(); ++index) {
    Expected<void> added = addFile(statistics, options, (*paths)[index], vocabulary);
    if (!added && paths->size() == 1)
      return added.error();
    if (!added)
      fmt::print(stderr, "left out: {}\n", added.error().message);
    progress.update(int64_t(index + 1));
  }
  if (statistics.ended.whole == 0)
    return Error{fmt::format("{}: none of {} could be read", path, counted(int64_t(paths->size()), "file"))};
  return statistics;
}

/// Samples first .. last-1.
static Expected<std::vector<Voice>> startSamples(Model &model, const Vocabulary &vocabulary, const ReportOptions &options,
                                                 const std::vector<int32_t> &start, int64_t first, int64_t last) {
  std::vector<Voice> voices;
  for (int64_t sample = first; sample < last; ++sample) {
    Expected<Continuation> continuation = Continuation::start(vocabulary, options.continuation, start, uint64_t(sample));
    if (!continuation)
      return continuation.error();
    voices.push_back({model.newSequence(), std::move(*continuation)});
  }
  return voices;
}

static Expected<TokenLists> makeSamples(Model &model, const Vocabulary &vocabulary, const ReportOptions &options) {
  PromptOptions prompt;
  prompt.conditioning = options.conditioning;
  Expected<std::optional<VocabConfig>> config =
      findVocabConfig(options.conditioning, {options.common.model, options.common.params});
  if (!config)
    return config.error();
  Expected<TokenLists> start = readPrompts(prompt, *config, vocabulary, options.common.model);
  if (!start)
    return start;
  TokenLists samples;
  Progress progress("generating", options.samples, "samples");
  for (int64_t first = 0; first < options.samples; first += sideBySide) {
    int64_t last = std::min(first + sideBySide, options.samples);
    Expected<std::vector<Voice>> voices = startSamples(model, vocabulary, options, start->front(), first, last);
    if (!voices)
      return voices.error();
    Expected<Made> made = continueAll(model, *voices, [&] {
      progress.update(first + std::count_if(voices->begin(), voices->end(), [](auto &each) { return each.continuation.done(); }));
    });
    if (!made)
      return made.error();
    for (const Voice &voice : *voices)
      samples.push_back(voice.continuation.tokens());
  }
  return samples;
}

/// Samples of a model, measured; `vocabulary` becomes the model's.
static Expected<PieceStatistics> measureModel(const ReportOptions &options, std::optional<Vocabulary> &vocabulary) {
  Expected<Model> model = openModel(options.common);
  if (!model)
    return model.error();
  Expected<Vocabulary> known = vocabularyOf(*model, options.common.model);
  if (!known)
    return known.error();
  vocabulary = *known;
  Expected<TokenLists> samples = makeSamples(*model, *known, options);
  if (!samples)
    return samples.error().in(options.common.model);
  if (!options.tokensOut.empty()) {
    Expected<void> written = writeTokenFile(options.tokensOut, *samples);
    if (written && known->conditioningCount() > 0)
      written = writeTokenInfo(options.tokensOut, {options.tokenizer, known->size(), {}});
    if (!written)
      return written.error();
  }
  PieceStatistics statistics;
  for (const std::vector<int32_t> &sample : *samples)
    statistics.add(sample, *known);
  return statistics;
}

static Expected<void> checkFiles(const ReportOptions &options) {
  for (const std::string &path : {options.json, options.tokensOut})
    if (!path.empty())
      if (Expected<void> writable = checkWritable(path, {options.common.model, options.common.params, options.reference});
          !writable)
        return writable;
  if (!options.reference.empty() && !fileExists(options.reference))
    return Error{fmt::format("{}: no such file or folder to compare with", options.reference)};
  return {};
}

static Expected<void> report(const ReportOptions &options) {
  if (Expected<void> checked = checkFiles(options); !checked)
    return checked;
  bool music = isMusic(options.common.model);
  if (music && !options.tokensOut.empty())
    return Error{fmt::format("{}: music and no model, so there are no samples for --tokens-out", options.common.model)};
  std::optional<Vocabulary> vocabulary;
  Expected<PieceStatistics> pieces =
      music ? measureFiles(options, options.common.model, nullptr) : measureModel(options, vocabulary);
  if (!pieces)
    return pieces.error();
  ReportTable table(music ? "pieces" : "samples", std::move(*pieces));
  if (!options.reference.empty()) {
    Expected<PieceStatistics> reference = measureFiles(options, options.reference, vocabulary ? &*vocabulary : nullptr);
    if (!reference)
      return reference.error();
    table.compareWith(std::move(*reference));
  }
  if (!options.json.empty())
    if (Expected<void> written = writeFile(options.json, table.json()); !written)
      return written;
  fmt::print("{}", table.text());
  return {};
}

Command addReport(CLI::App &tool) {
  auto options = std::make_shared<ReportOptions>();
  CLI::App *app = tool.add_subcommand("report", "What the pieces of a model or of a folder are like");
  addCommonOptions(*app, options->common);
  app->get_option("MODEL")->description("a package, a checkpoint directory; or music: a folder, a MIDI or token file");
  app->add_option("--samples", options->samples, "pieces to make")
      ->check(CLI::Range(int64_t(1), int64_t(100'000)))
      ->capture_default_str()
      ->type_name("N");
  app->add_option("--reference", options->reference, "music to compare with: a folder, a MIDI or token file")->type_name("PATH");
  app->add_option("--json", options->json, "JSON file for all figures")->type_name("FILE");
  app->add_option("--tokens-out", options->tokensOut, "JSON file for the samples")->type_name("FILE");
  addTokenizerOption(*app, options->tokenizer);
  addConditioningOptions(*app, options->conditioning);
  addContinuationOptions(*app, options->continuation);
  app->footer(
      "A beat is dissonant where two of its pitches, struck or held, are a second, a seventh or a tritone apart, octaves taken\n"
      "away (1, 2, 6, 10, 11 semitones); beats with fewer than two pitches and drums do not count. An n-gram or a bar is repeated\n"
      "where it stood in its piece before.\n\n"
      "Examples:\n"
      "  sm1-run report checkpoints/chorales --samples 50 --reference songs/\n"
      "  sm1-run report model.sm1pkg --temperature 1 --top-p 0.95 --repetition-penalty 1 --no-grammar --max-tokens 2000\n"
      "  sm1-run report songs/ --json songs.json");
  return {app, [options] { return report(*options); }};
}
