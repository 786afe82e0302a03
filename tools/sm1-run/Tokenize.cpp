// sm1-run tokenize: MIDI files and folders of them to token lists, and token lists to MIDI files.
#include "Commands.h"
#include "MusicFiles.h"
#include "OpenModel.h"
#include "Progress.h"

#include "Platform.h"
#include "sm1rt/music/MidiWriter.h"
#include "sm1rt/music/Song.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <memory>

using namespace sm1rt;

namespace {

struct TokenizeOptions {
  std::vector<std::string> inputs;
  std::string out;
  std::string tokenizer = "v1";
  ConditioningOptions conditioning;
};

/// What a run over many files made.
struct Summary {
  TokenLists lists;
  TokenInfo info;
  GridReport report;
  int64_t bars = 0, tokens = 0;
  std::vector<std::string> refused; ///< why
};

} // namespace

static Expected<Vocabulary> vocabularyOf(const std::optional<VocabConfig> &config) {
  return Vocabulary::ofSize(Vocabulary::musicTokens + (config ? config->totalTokens() : 0));
}

/// Of one file an error is the command's; of many it is a line, and the others go on.
static Expected<Summary> tokenizeAll(const TokenizeOptions &options, const std::vector<std::string> &paths,
                                     const Vocabulary &vocabulary, const std::vector<int32_t> &prefix) {
  Summary summary;
  summary.info = {options.tokenizer, vocabulary.size(), {}};
  Progress progress("tokenizing", int64_t(paths.size()), "files");
  for (size_t index = 0; index < paths.size(); ++index) {
    Expected<Tokenized> tokenized = tokenizeFile(paths[index], vocabulary, options.tokenizer, prefix);
    progress.update(int64_t(index + 1));
    if (!tokenized && paths.size() == 1)
      return tokenized.error();
    if (!tokenized) {
      summary.refused.push_back(tokenized.error().message);
      continue;
    }
    summary.report += tokenized->report;
    summary.bars += tokenized->bars;
    summary.tokens += int64_t(tokenized->tokens.size());
    summary.lists.push_back(std::move(tokenized->tokens));
    summary.info.sources.push_back(paths[index]);
  }
  if (summary.lists.empty())
    return Error{fmt::format("{}: none of {} files could be read", options.inputs.front(), paths.size())};
  return summary;
}

static Expected<void> midiToTokens(const TokenizeOptions &options) {
  Expected<std::vector<std::string>> paths = listFiles(options.inputs, ".mid or .midi", isMidiPath);
  if (!paths)
    return paths.error();
  Expected<std::optional<VocabConfig>> config = findVocabConfig(options.conditioning, {});
  if (!config)
    return config.error();
  Expected<Vocabulary> vocabulary = vocabularyOf(*config);
  if (!vocabulary)
    return vocabulary.error();
  Expected<std::vector<int32_t>> prefix = conditioningPrefix(options.conditioning, *config, *vocabulary);
  if (!prefix)
    return prefix.error();
  Expected<Summary> summary = tokenizeAll(options, *paths, *vocabulary, *prefix);
  if (!summary)
    return summary.error();
  Expected<void> written = writeTokenFile(options.out, summary->lists);
  if (written)
    written = writeTokenInfo(options.out, summary->info);
  if (!written)
    return written;
  std::string misfits = toString(summary->report);
  fmt::print("{}: {}, {}, {}, {}, tokenizer {}\n", options.out, counted(int64_t(summary->lists.size()), "piece"),
             counted(summary->bars, "bar"), counted(summary->report.notes, "note"), counted(summary->tokens, "token"),
             summary->info.tokenizer);
  fmt::print("does not fit the grid: {}\n", misfits.empty() ? "nothing" : misfits);
  for (const std::string &reason : summary->refused)
    fmt::print(stderr, "left out: {}\n", reason);
  if (!summary->refused.empty())
    fmt::print("left out: {} of {} files\n", summary->refused.size(), paths->size());
  return {};
}

static Expected<void> tokensToMidi(const TokenizeOptions &options) {
  const std::string &path = options.inputs.front();
  if (!options.conditioning.wishes.empty())
    return Error{"--cond: it has no place in MIDI files; leave it away"};
  Expected<Vocabulary> vocabulary = vocabularyOfTokens(options.conditioning, path);
  if (!vocabulary)
    return vocabulary.error();
  Expected<TokenLists> lists = readTokenFile(path, {vocabulary->size()});
  if (!lists)
    return lists.error();
  int64_t bars = 0, notes = 0, ignored = 0;
  Progress progress("writing", int64_t(lists->size()), "files");
  for (size_t index = 0; index < lists->size(); ++index) {
    Song song = readSong((*lists)[index], *vocabulary);
    if (Expected<void> written = writeMidi(song, numberedPath(options.out, index, lists->size())); !written)
      return written;
    bars += song.bars;
    notes += int64_t(song.notes.size());
    ignored += song.ignoredTokens;
    progress.update(int64_t(index + 1));
  }
  std::string last = lists->size() == 1 ? "" : fmt::format(" to {}", numberedPath(options.out, lists->size() - 1, lists->size()));
  fmt::print("{}{}: {}, {}, {}{}\n", numberedPath(options.out, 0, lists->size()), last, counted(int64_t(lists->size()), "piece"),
             counted(bars, "bar"), counted(notes, "note"),
             ignored ? fmt::format(", {} without a note", counted(ignored, "token")) : "");
  return {};
}

static Expected<void> tokenizeCommand(const TokenizeOptions &options) {
  if (!isJsonPath(options.out) && !isMidiPath(options.out))
    return Error{fmt::format("{}: neither .json (MIDI to tokens) nor .mid (tokens to MIDI)", options.out)};
  if (Expected<void> writable = checkWritable(options.out); !writable)
    return writable;
  bool fromTokens = std::any_of(options.inputs.begin(), options.inputs.end(), isJsonPath);
  if (isJsonPath(options.out) && fromTokens)
    return Error{
        fmt::format("{}: tokens already; name a .mid file with -o to hear them, or a MIDI file as input", options.inputs.front())};
  if (isJsonPath(options.out))
    return midiToTokens(options);
  if (options.inputs.size() != 1 || !fromTokens)
    return Error{fmt::format("{}: is made of one token file (.json); name a .json file with -o to make tokens", options.out)};
  return tokensToMidi(options);
}

Command addTokenize(CLI::App &tool) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App *app = tool.add_subcommand("tokenize", "MIDI files to tokens, and tokens to MIDI files");
  app->add_option("IN", options->inputs, "MIDI files and folders of them, or one JSON file of token lists")->required();
  app->add_option("-o,--out", options->out,
                  "JSON file for tokens; MIDI file for music, NAME-0.mid, NAME-1.mid, ... of several lists")
      ->required()
      ->type_name("FILE");
  addTokenizerOption(*app, options->tokenizer);
  addConditioningOptions(*app, options->conditioning);
  app->footer("Notes come to stand on a grid of sixteenths in bars of four quarters; what does not fit is counted and said.\n"
              "tokens.info.json, beside tokens.json, keeps the tokenizer, the size of the vocabulary and the file of each list.\n"
              "Files of a folder that cannot be read are named and left out.\n\n"
              "Examples:\n"
              "  sm1-run tokenize song.mid -o song.json\n"
              "  sm1-run tokenize songs/ more/ -o all.json              every .mid and .midi below the folders\n"
              "  sm1-run tokenize song.json -o heard.mid                what the model sees of it\n"
              "  sm1-run tokenize song.mid -o song.json --tokenizer=v0  as models were published with");
  return {app, [options] { return tokenizeCommand(*options); }};
}
