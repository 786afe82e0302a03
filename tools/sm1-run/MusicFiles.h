// Music on the command line: MIDI and token files by name, conditioning, prompts.
#ifndef SM1_TOOLS_MUSICFILES_H
#define SM1_TOOLS_MUSICFILES_H

#include "sm1rt/Error.h"
#include "sm1rt/music/TokenFile.h"
#include "sm1rt/music/Tokenizer.h"
#include "sm1rt/music/VocabConfig.h"
#include "sm1rt/music/Vocabulary.h"

#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

/// .mid or .midi, in any case.
bool isMidiPath(const std::string &path);
bool isJsonPath(const std::string &path);
/// Whether a file of music has one of these names, MIDI or tokens; names say what is read.
sm1rt::Expected<void> checkMusicPath(const std::string &path);
/// A file that is no MIDI by its name, as somebody might name for sound, tokens or a picture.
bool namesOtherThanMidi(const std::string &path);
/// For CLI11: a shell's variable that nobody has set would be no file at all, without a word.
std::string whyEmpty(std::string &path);

/// out.mid of a batch becomes out-0.mid, out-1.mid, …; of a batch of one it stays.
std::string numberedPath(const std::string &out, size_t index, size_t batch);

/// "1 bar", "2 bars".
std::string counted(int64_t count, const std::string &noun);

/// Files as given, and of folders every file below them that `wanted` accepts, in the order of their names. A folder without any is
/// refused; `kind` names what it lacks.
sm1rt::Expected<std::vector<std::string>> listFiles(const std::vector<std::string> &inputs, const std::string &kind,
                                                    bool (*wanted)(const std::string &path));

/// What stands before BOS, as asked for on the command line.
struct ConditioningOptions {
  std::string vocabConfig;         ///< file; empty: the one beside the checkpoint's config.json
  std::vector<std::string> wishes; ///< FIELD=VALUE
};

/// Adds --vocab-config.
void addVocabConfigOption(CLI::App &app, ConditioningOptions &options);

/// Adds --cond and --vocab-config.
void addConditioningOptions(CLI::App &app, ConditioningOptions &options);

/// The configuration that `options` names, else that of one of the `checkpoints` (directories; others are passed over), else none.
sm1rt::Expected<std::optional<sm1rt::VocabConfig>> findVocabConfig(const ConditioningOptions &options,
                                                                   const std::vector<std::string> &checkpoints);

/// The conditioning ids in front of BOS; empty for a vocabulary that has none. `config` must have as many ids as the vocabulary.
/// Wishes without a configuration are refused.
sm1rt::Expected<std::vector<int32_t>> conditioningPrefix(const ConditioningOptions &options,
                                                         const std::optional<sm1rt::VocabConfig> &config,
                                                         const sm1rt::Vocabulary &vocabulary);

/// The vocabulary of a token file: that of --vocab-config, else that which its information says, else one without conditioning ids.
sm1rt::Expected<sm1rt::Vocabulary> vocabularyOfTokens(const ConditioningOptions &options, const std::string &path);

/// Adds --tokenizer: v0 or v1.
void addTokenizerOption(CLI::App &app, std::string &tokenizer);

/// A MIDI file as tokens; `tokenizer` is v0 or v1.
sm1rt::Expected<sm1rt::Tokenized> tokenizeFile(const std::string &path, const sm1rt::Vocabulary &vocabulary,
                                               const std::string &tokenizer, const std::vector<int32_t> &prefix);

struct PromptOptions {
  std::string path; ///< MIDI file or JSON token lists; empty: BOS
  int64_t bars = 0; ///< 0: all
  std::string tokenizer = "v1";
  ConditioningOptions conditioning;
};

/// Adds --prompt, --prompt-bars, --tokenizer, --cond and --vocab-config.
void addPromptOptions(CLI::App &app, PromptOptions &options);

/// The start of a piece, or of several. Conditioning ids are put in front of lists that start with BOS and of MIDI files; a token
/// list with its own stays as it is, and wishes for it are refused. `model` is for errors.
sm1rt::Expected<sm1rt::TokenLists> readPrompts(const PromptOptions &options, const std::optional<sm1rt::VocabConfig> &config,
                                               const sm1rt::Vocabulary &vocabulary, const std::string &model);

#endif // SM1_TOOLS_MUSICFILES_H
