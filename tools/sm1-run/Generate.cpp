// sm1-run generate: continues prompts token by token and writes what comes out as MIDI files and token lists.
#include "Commands.h"
#include "MusicFiles.h"
#include "OpenModel.h"
#include "Progress.h"

#include "sm1rt/music/Continuation.h"
#include "sm1rt/music/MidiWriter.h"
#include "sm1rt/music/TokenFile.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

using namespace sm1rt;

namespace {

struct GenerateOptions {
  CommonOptions common;
  ContinuationOptions continuation;
  PromptOptions prompt;
  std::string out, tokensOut;
  int64_t batch = 0; ///< 0: one, or one for each prompt
  bool noGrammar = false;
};

/// One piece of the batch with the model's memory of it.
struct Voice {
  Sequence sequence;
  Continuation continuation;
};

/// What a call made, for the summary.
struct Made {
  int64_t tokens = 0;
  double seconds = 0;
};

} // namespace

/// One prompt for each sequence: a single one serves them all.
static Expected<TokenLists> promptsOfBatch(const GenerateOptions &options, TokenLists prompts) {
  size_t batch = options.batch ? size_t(options.batch) : prompts.size();
  if (prompts.size() == 1)
    prompts.resize(batch, prompts.front());
  if (prompts.size() != batch)
    return Error{fmt::format("{}: {} prompts for --batch={}; give one prompt, as many as the batch has, or leave --batch away",
                             options.prompt.path, prompts.size(), batch)};
  return prompts;
}

static Expected<std::vector<Voice>> startVoices(Model &model, const Vocabulary &vocabulary, const GenerateOptions &options) {
  Expected<std::optional<VocabConfig>> config =
      findVocabConfig(options.prompt.conditioning, {options.common.model, options.common.params});
  if (!config)
    return config.error();
  Expected<TokenLists> prompts = readPrompts(options.prompt, *config, vocabulary, options.common.model);
  if (prompts)
    prompts = promptsOfBatch(options, std::move(*prompts));
  if (!prompts)
    return prompts.error();
  std::vector<Voice> voices;
  for (size_t index = 0; index < prompts->size(); ++index) {
    Expected<Continuation> continuation =
        Continuation::start(vocabulary, options.continuation, std::move((*prompts)[index]), uint64_t(index));
    if (!continuation)
      return options.prompt.path.empty() ? continuation.error() : continuation.error().in(options.prompt.path);
    voices.push_back({model.newSequence(), std::move(*continuation)});
  }
  return voices;
}

/// Runs the prompt (`firstTime`) or the last token of every piece that is not done and appends a token to each. False: all are
/// done.
static Expected<bool> advance(Model &model, const TokenModel &ports, std::vector<Voice> &voices, bool firstTime) {
  std::vector<Piece> pieces;
  std::vector<Voice *> running;
  for (Voice &voice : voices) {
    if (voice.continuation.done())
      continue;
    const std::vector<int32_t> &tokens = voice.continuation.tokens();
    Piece piece;
    piece.sequence = &voice.sequence;
    piece.count = firstTime ? int64_t(tokens.size()) : 1;
    piece.tokens = tokens.data() + tokens.size() - size_t(piece.count);
    piece.selected = {piece.count - 1};
    pieces.push_back(std::move(piece));
    running.push_back(&voice);
  }
  if (running.empty())
    return false;
  Expected<Outputs> outputs = model.run(firstTime ? "prefill" : "step", pieces);
  if (!outputs)
    return outputs.error();
  const float *logits = (*outputs)[ports.logitsOutput].data();
  for (size_t index = 0; index < running.size(); ++index)
    if (Expected<int32_t> token = running[index]->continuation.append(logits + int64_t(index) * ports.logitsWidth); !token)
      return token.error();
  return true;
}

static Expected<Made> continueAll(Model &model, const TokenModel &ports, std::vector<Voice> &voices, int64_t maxTokens) {
  Progress progress("generating", maxTokens, voices.size() == 1 ? "tokens" : "tokens of each");
  bool firstTime = true;
  for (;;) {
    Expected<bool> advanced = advance(model, ports, voices, firstTime);
    if (!advanced)
      return advanced.error();
    if (!*advanced)
      break;
    firstTime = false;
    int64_t longest = 0;
    for (const Voice &voice : voices)
      longest = std::max(longest, voice.continuation.newTokens());
    progress.update(longest);
  }
  Made made;
  made.seconds = progress.elapsedSeconds();
  for (const Voice &voice : voices)
    made.tokens += voice.continuation.newTokens();
  return made;
}

static Expected<void> writeMidiFiles(const std::vector<Voice> &voices, const Vocabulary &vocabulary, const std::string &out) {
  for (size_t index = 0; index < voices.size(); ++index) {
    const Continuation &piece = voices[index].continuation;
    Song song = readSong(piece.tokens(), vocabulary);
    std::string path = numberedPath(out, index, voices.size());
    if (Expected<void> written = writeMidi(song, path); !written)
      return written;
    std::string ignored = song.ignoredTokens ? fmt::format(", {} tokens that make no note left out", song.ignoredTokens) : "";
    fmt::print("{}: {} bars, {} notes, {} tokens, {}{}\n", path, song.bars, song.notes.size(), piece.tokens().size(),
               piece.endedByItself() ? "ended by itself" : "cut at the maximum", ignored);
  }
  return {};
}

static Expected<void> writeTokens(const std::vector<Voice> &voices, const std::string &path) {
  TokenLists lists;
  size_t tokens = 0;
  for (const Voice &voice : voices) {
    lists.push_back(voice.continuation.tokens());
    tokens += lists.back().size();
  }
  if (Expected<void> written = writeTokenFile(path, lists); !written)
    return written;
  fmt::print("{}: {} token list{}, {} tokens\n", path, lists.size(), lists.size() == 1 ? "" : "s", tokens);
  return {};
}

/// What can be said before anything is compiled or run.
static Expected<void> checkFiles(const GenerateOptions &options) {
  if (options.out.empty() && options.tokensOut.empty())
    return Error{"generate: nothing to write; name a MIDI file with -o, or a JSON file with --tokens-out"};
  for (const std::string &path : {options.out, options.tokensOut})
    if (!path.empty())
      if (Expected<void> writable = checkWritable(path); !writable)
        return writable;
  return {};
}

static Expected<void> generate(GenerateOptions options) {
  if (Expected<void> checked = checkFiles(options); !checked)
    return checked;
  options.continuation.grammar = !options.noGrammar;
  Expected<Model> model = openModel(options.common);
  if (!model)
    return model.error();
  Expected<TokenModel> ports = tokenModelOf(model->plan(), options.common.model);
  if (!ports)
    return ports.error();
  Expected<Vocabulary> vocabulary = Vocabulary::ofSize(ports->vocabulary);
  if (!vocabulary)
    return vocabulary.error().in(options.common.model);
  Expected<std::vector<Voice>> voices = startVoices(*model, *vocabulary, options);
  if (!voices)
    return voices.error();
  Expected<Made> made = continueAll(*model, *ports, *voices, options.continuation.maxTokens);
  if (!made)
    return made.error().in(options.common.model);
  Expected<void> written;
  if (!options.tokensOut.empty())
    written = writeTokens(*voices, options.tokensOut);
  if (written && !options.out.empty())
    written = writeMidiFiles(*voices, *vocabulary, options.out);
  if (!written)
    return written;
  fmt::print("{} new tokens in {:.1f} s, {:.0f} tokens/s on {}\n", made->tokens, made->seconds,
             double(made->tokens) / made->seconds, model->deviceName());
  return {};
}

static void addSamplingOptions(CLI::App &app, GenerateOptions &options) {
  std::string group = "How tokens are chosen";
  ContinuationOptions &continuation = options.continuation;
  SamplingOptions &sampling = continuation.sampling;
  app.add_option("--seed", sampling.seed, "the same seed gives the same piece")
      ->capture_default_str()
      ->type_name("N")
      ->group(group);
  app.add_option("--temperature", sampling.temperature, "above 1: bolder; below: safer")
      ->capture_default_str()
      ->type_name("X")
      ->group(group);
  app.add_option("--top-p", sampling.topP, "a token stays while the probability of better ones is at most this")
      ->capture_default_str()
      ->type_name("X")
      ->group(group);
  app.add_option("--repetition-penalty", sampling.repetitionPenalty, "on pitches of the last 256 tokens; 1: none")
      ->capture_default_str()
      ->type_name("X")
      ->group(group);
  app.add_option("--max-tokens", continuation.maxTokens, "new tokens after which a piece is cut")
      ->capture_default_str()
      ->type_name("N")
      ->group(group);
  app.add_option("--min-tokens", continuation.minTokens, "new tokens before which a piece does not end")
      ->capture_default_str()
      ->type_name("N")
      ->group(group);
  app.add_flag("--greedy", continuation.greedy,
               "the most likely token, always; masks nothing, none of the options above but --max-tokens")
      ->group(group);
  app.add_flag("--no-grammar", options.noGrammar, "allow tokens that make no music where they stand")->group(group);
}

Command addGenerate(CLI::App &tool) {
  auto options = std::make_shared<GenerateOptions>();
  CLI::App *app = tool.add_subcommand("generate", "Make music: a MIDI file from a model");
  addCommonOptions(*app, options->common);
  app->add_option("-o,--out", options->out, "MIDI file; a batch writes NAME-0.mid, NAME-1.mid, ...")->type_name("FILE");
  app->add_option("--tokens-out", options->tokensOut, "JSON file for the token lists, prompts included")->type_name("FILE");
  addPromptOptions(*app, options->prompt);
  app->add_option("--batch", options->batch, "pieces to make at once; a piece does not depend on the others")
      ->check(CLI::Range(int64_t(1), int64_t(65536)))
      ->type_name("N");
  addSamplingOptions(*app, *options);
  app->footer("Examples:\n"
              "  sm1-run generate checkpoints/chorales -o chorale.mid                   a piece\n"
              "  sm1-run generate checkpoints/chorales -o chorale.mid --seed 2          another\n"
              "  sm1-run generate checkpoints/chorales -o c.mid --batch 8               c-0.mid to c-7.mid\n"
              "  sm1-run generate checkpoints/chorales -o end.mid --prompt start.json   continue a token list\n"
              "  sm1-run generate checkpoints/chorales -o end.mid --prompt song.mid --prompt-bars 4\n"
              "  sm1-run generate checkpoints/steered -o slow.mid --cond tempo=60 --cond key_root=0\n"
              "  sm1-run generate model.sm1pkg --greedy --tokens-out t.json --prompt start.json --max-tokens 400");
  return {app, [options] { return generate(*options); }};
}
