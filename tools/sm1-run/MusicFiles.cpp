// From names and wishes on the command line to token lists.
#include "MusicFiles.h"

#include "Platform.h"

#include "sm1rt/music/MidiReader.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

using namespace sm1rt;
namespace fs = std::filesystem;

static std::string lowerExtension(const std::string &path) {
  std::string extension = fs::path(path).extension().string();
  for (char &letter : extension)
    letter = char(std::tolower((unsigned char)letter));
  return extension;
}

bool isMidiPath(const std::string &path) { return lowerExtension(path) == ".mid" || lowerExtension(path) == ".midi"; }

bool isJsonPath(const std::string &path) { return lowerExtension(path) == ".json"; }

Expected<void> checkMusicPath(const std::string &path) {
  if (isMidiPath(path) || isJsonPath(path))
    return {};
  return Error{fmt::format("{}: neither .mid nor .json; give a MIDI file or a token file", path)};
}

bool namesOtherThanMidi(const std::string &path) {
  std::string extension = lowerExtension(path);
  return extension == ".wav" || extension == ".json" || extension == ".svg";
}

std::string numberedPath(const std::string &out, size_t index, size_t batch) {
  if (batch == 1)
    return out;
  fs::path path(out);
  std::string name = fmt::format("{}-{}{}", path.stem().string(), index, path.extension().string());
  return (path.parent_path() / name).string();
}

std::string counted(int64_t count, const std::string &noun) { return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s"); }

static Expected<void> addFolder(const std::string &folder, bool (*wanted)(const std::string &), std::vector<std::string> &paths) {
  std::error_code code;
  fs::recursive_directory_iterator entry(folder, fs::directory_options::skip_permission_denied, code), end;
  for (; !code && entry != end; entry.increment(code)) {
    std::error_code unknown;
    if (entry->is_regular_file(unknown) && wanted(entry->path().string()))
      paths.push_back(entry->path().string());
  }
  if (code)
    return Error{fmt::format("{}: {}", folder, code.message())};
  return {};
}

Expected<std::vector<std::string>> listFiles(const std::vector<std::string> &inputs, const std::string &kind,
                                             bool (*wanted)(const std::string &path)) {
  std::vector<std::string> paths;
  for (const std::string &input : inputs) {
    size_t before = paths.size();
    if (!isDirectory(input)) {
      paths.push_back(input);
      continue;
    }
    if (Expected<void> added = addFolder(input, wanted, paths); !added)
      return added.error();
    if (paths.size() == before)
      return Error{fmt::format("{}: holds no {} file", input, kind)};
    std::sort(paths.begin() + ptrdiff_t(before), paths.end());
  }
  return paths;
}

constexpr const char *conditioningGroup = "What to play, for models with conditioning ids";

void addVocabConfigOption(CLI::App &app, ConditioningOptions &options) {
  app.add_option("--vocab-config", options.vocabConfig, "default: vocab_config.json in the checkpoint directory")
      ->type_name("FILE")
      ->group(conditioningGroup);
}

void addConditioningOptions(CLI::App &app, ConditioningOptions &options) {
  app.add_option("--cond", options.wishes,
                 "a field of vocab_config.json and its value; repeatable; fields left out take the middle")
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false)
      ->group(conditioningGroup);
  addVocabConfigOption(app, options);
}

Expected<std::optional<VocabConfig>> findVocabConfig(const ConditioningOptions &options,
                                                     const std::vector<std::string> &checkpoints) {
  std::string path = options.vocabConfig;
  for (const std::string &checkpoint : checkpoints)
    if (std::string beside = (fs::path(checkpoint) / "vocab_config.json").string();
        path.empty() && isDirectory(checkpoint) && fileExists(beside))
      path = beside;
  if (path.empty())
    return std::optional<VocabConfig>();
  Expected<VocabConfig> config = VocabConfig::read(path);
  if (!config)
    return config.error();
  return std::optional<VocabConfig>(std::move(*config));
}

static Expected<std::vector<ConditioningWish>> parseWishes(const std::vector<std::string> &texts) {
  std::vector<ConditioningWish> wishes;
  for (const std::string &text : texts) {
    size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      return Error{fmt::format("--cond: '{}' is no FIELD=VALUE; write, for example, --cond tempo=120", text)};
    wishes.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return wishes;
}

Expected<std::vector<int32_t>> conditioningPrefix(const ConditioningOptions &options, const std::optional<VocabConfig> &config,
                                                  const Vocabulary &vocabulary) {
  Expected<std::vector<ConditioningWish>> wishes = parseWishes(options.wishes);
  if (!wishes)
    return wishes.error();
  if (!config && !wishes->empty())
    return Error{fmt::format("--cond: the vocabulary has {} conditioning ids and no vocab_config.json that says what they mean; "
                             "name one with --vocab-config, or leave --cond away",
                             vocabulary.conditioningCount())};
  if (!config)
    return std::vector<int32_t>();
  if (config->totalTokens() != vocabulary.conditioningCount())
    return Error{fmt::format("vocab_config.json: 'total_cond_tokens' is {}, the model has {} conditioning ids; take the file that "
                             "the model was trained with",
                             config->totalTokens(), vocabulary.conditioningCount())};
  Expected<std::vector<int32_t>> prefix = config->prefix(*wishes);
  return prefix ? prefix : prefix.error().in("--cond");
}

Expected<Vocabulary> vocabularyOfTokens(const ConditioningOptions &options, const std::string &path) {
  Expected<std::optional<VocabConfig>> config = findVocabConfig(options, {});
  if (!config)
    return config.error();
  if (*config)
    return Vocabulary::ofSize(Vocabulary::musicTokens + (*config)->totalTokens());
  Expected<std::optional<TokenInfo>> info = readTokenInfo(path);
  if (!info)
    return info.error();
  return Vocabulary::ofSize(*info ? (*info)->vocabulary : Vocabulary::musicTokens);
}

void addTokenizerOption(CLI::App &app, std::string &tokenizer) {
  app.add_option("--tokenizer", tokenizer, "rules for MIDI files: v1, or v0, with which models were published")
      ->check(CLI::IsMember({"v0", "v1"}))
      ->capture_default_str()
      ->type_name("NAME");
}

Expected<Tokenized> tokenizeFile(const std::string &path, const Vocabulary &vocabulary, const std::string &tokenizer,
                                 const std::vector<int32_t> &prefix) {
  Expected<MidiFile> file = readMidi(path);
  if (!file)
    return file.error();
  Expected<Tokenized> tokens = tokenize(*file, vocabulary, *parseTokenizer(tokenizer), prefix);
  return tokens ? std::move(tokens) : tokens.error().in(path);
}

std::string whyEmpty(std::string &path) { return path.empty() ? "is empty, name a file or leave the option away" : ""; }

void addPromptOptions(CLI::App &app, PromptOptions &options) {
  app.add_option("--prompt", options.path,
                 "what to continue: a MIDI file, or a JSON file with a token list, or with one for each "
                 "sequence; default: BOS")
      ->check(CLI::Validator(whyEmpty, "FILE"))
      ->type_name("FILE");
  app.add_option("--prompt-bars", options.bars, "bars to keep of the prompt, from its start; default: all")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 40))
      ->type_name("N");
  addTokenizerOption(app, options.tokenizer);
  addConditioningOptions(app, options.conditioning);
}

static Expected<TokenLists> readMidiPrompt(const PromptOptions &options, const Vocabulary &vocabulary,
                                           const std::vector<int32_t> &prefix) {
  Expected<Tokenized> tokenized = tokenizeFile(options.path, vocabulary, options.tokenizer, prefix);
  if (!tokenized)
    return tokenized.error();
  // What follows continues the piece, so its end goes.
  tokenized->tokens.pop_back();
  std::string misfits = toString(tokenized->report);
  fmt::print("{}: {}, {}{}{}\n", options.path, counted(tokenized->bars, "bar"), counted(tokenized->report.notes, "note"),
             misfits.empty() ? "" : "; ", misfits);
  return TokenLists{std::move(tokenized->tokens)};
}

static Expected<TokenLists> readTokenPrompts(const PromptOptions &options, const Vocabulary &vocabulary,
                                             const std::vector<int32_t> &prefix) {
  Expected<TokenLists> lists = readTokenFile(options.path, {vocabulary.size()});
  if (!lists)
    return lists;
  for (std::vector<int32_t> &list : *lists) {
    if (list.front() == vocabulary.token(Field::Bos))
      list.insert(list.begin(), prefix.begin(), prefix.end());
    else if (!options.conditioning.wishes.empty())
      return Error{fmt::format("{}: it starts with {} and not with BOS, so --cond has no place; take the ids before BOS away",
                               options.path, vocabulary.name(list.front()))};
  }
  return lists;
}

Expected<TokenLists> readPrompts(const PromptOptions &options, const std::optional<VocabConfig> &config,
                                 const Vocabulary &vocabulary, const std::string &model) {
  Expected<std::vector<int32_t>> prefix = conditioningPrefix(options.conditioning, config, vocabulary);
  if (!prefix)
    return prefix.error();
  bool needsPrefix = options.path.empty() || isMidiPath(options.path);
  if (needsPrefix && !config && vocabulary.conditioningCount() > 0)
    return Error{fmt::format("{}: its vocabulary has {} conditioning ids that stand before BOS and say what to play; name its "
                             "vocab_config.json with --vocab-config, or give a prefix that ends with BOS (id {}) as --prompt "
                             "tokens.json",
                             model, vocabulary.conditioningCount(), vocabulary.token(Field::Bos))};
  Expected<TokenLists> lists = TokenLists{*prefix};
  if (options.path.empty())
    lists->front().push_back(vocabulary.token(Field::Bos));
  else
    lists =
        isMidiPath(options.path) ? readMidiPrompt(options, vocabulary, *prefix) : readTokenPrompts(options, vocabulary, *prefix);
  if (!lists || options.bars == 0)
    return lists;
  for (std::vector<int32_t> &list : *lists) {
    Expected<std::vector<int32_t>> kept = firstBars(list, vocabulary, options.bars);
    if (!kept)
      return kept.error().in(options.path.empty() ? "--prompt-bars without --prompt" : options.path);
    list = std::move(*kept);
  }
  return lists;
}
