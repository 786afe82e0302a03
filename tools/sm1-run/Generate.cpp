// sm1-run generate: continues prompts token by token and writes what comes out as MIDI files and token lists.
#include "Commands.h"
#include "Follow.h"
#include "Form.h"
#include "MusicFiles.h"
#include "Progress.h"
#include "States.h"
#include "Synth.h"
#include "Voices.h"

#include "Platform.h"
#include "sm1rt/music/MidiWriter.h"
#include "sm1rt/music/TokenFile.h"

#include <CLI/CLI.hpp>
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
  FormOptions form;
  SynthOptions synth;
  StateOptions state;
  std::string out, tokensOut, wav;
  int64_t batch = 0; ///< 0: one, or one for each prompt
  bool follow = false;
  bool maxTokensGiven = false, seedGiven = false;
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
  if (!options.state.in.empty())
    return resumeVoices(model, vocabulary, options.continuation, options.state, options.batch, options.seedGiven);
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

/// Shows the work: bars as they are made, or how far it is.
static Expected<Made> continueAndShow(Model &model, std::vector<Voice> &voices, const Vocabulary &vocabulary,
                                      const GenerateOptions &options) {
  if (options.follow) {
    Follower follower(vocabulary, voices);
    return continueAll(model, voices, [&] { follower.update(voices); });
  }
  Progress progress("generating", options.continuation.maxTokens, voices.size() == 1 ? "tokens" : "tokens of each");
  return continueAll(model, voices, [&] {
    int64_t longest = 0;
    for (const Voice &voice : voices)
      longest = std::max(longest, voice.continuation.newTokens());
    progress.update(longest);
  });
}

static const char *endingOf(const Continuation &piece, const ContinuationOptions &options) {
  if (!piece.endedByItself())
    return "cut at the maximum";
  return options.bars ? "ended as asked for" : "ended by itself";
}

static Expected<void> writeMidiFiles(const std::vector<Voice> &voices, const Vocabulary &vocabulary,
                                     const GenerateOptions &options) {
  for (size_t index = 0; index < voices.size(); ++index) {
    const Continuation &piece = voices[index].continuation;
    Song song = readSong(piece.tokens(), vocabulary);
    std::string path = numberedPath(options.out, index, voices.size());
    if (Expected<void> written = writeMidi(song, path); !written)
      return written;
    std::string ignored = song.ignoredTokens ? fmt::format(", {} without a note", counted(song.ignoredTokens, "token")) : "";
    fmt::print("{}: {}, {}, {}, {}{}\n", path, counted(song.bars, "bar"), counted(int64_t(song.notes.size()), "note"),
               counted(int64_t(piece.tokens().size()), "token"), endingOf(piece, options.continuation), ignored);
  }
  return {};
}

static Expected<void> writeWavFiles(const std::vector<Voice> &voices, const Vocabulary &vocabulary,
                                    const GenerateOptions &options) {
  Progress progress("rendering", int64_t(voices.size()), "files");
  for (size_t index = 0; index < voices.size(); ++index) {
    std::string wav = numberedPath(options.wav, index, voices.size());
    if (Expected<void> done = renderSong(readSong(voices[index].continuation.tokens(), vocabulary), wav, options.synth); !done)
      return done;
    progress.update(int64_t(index + 1));
    fmt::print("{}: with {}\n", wav, options.synth.soundfont);
  }
  return {};
}

static Expected<void> writeTokens(const std::vector<Voice> &voices, const Vocabulary &vocabulary, const GenerateOptions &options) {
  TokenLists lists;
  int64_t tokens = 0;
  for (const Voice &voice : voices) {
    lists.push_back(voice.continuation.tokens());
    tokens += int64_t(lists.back().size());
  }
  Expected<void> written = writeTokenFile(options.tokensOut, lists);
  // Ids say nothing without the vocabulary; the one without conditioning ids is what everybody takes for granted.
  if (written && vocabulary.conditioningCount() > 0)
    written = writeTokenInfo(options.tokensOut, {options.prompt.tokenizer, vocabulary.size(), {}});
  if (!written)
    return written;
  fmt::print("{}: {}, {}\n", options.tokensOut, counted(int64_t(lists.size()), "token list"), counted(tokens, "token"));
  return {};
}

static Expected<void> writeAll(const std::vector<Voice> &voices, const Vocabulary &vocabulary, const GenerateOptions &options) {
  Expected<void> written;
  if (!options.tokensOut.empty())
    written = writeTokens(voices, vocabulary, options);
  if (written && !options.out.empty())
    written = writeMidiFiles(voices, vocabulary, options);
  if (written && !options.wav.empty())
    written = writeWavFiles(voices, vocabulary, options);
  if (written && !options.state.out.empty())
    written = saveVoices(voices, options.state.out);
  return written;
}

/// What can be said before anything is compiled or run.
static Expected<void> checkFiles(GenerateOptions &options) {
  if (options.out.empty() && options.tokensOut.empty() && options.wav.empty() && options.state.out.empty() && !options.follow)
    return Error{"generate: nothing to write; name a MIDI file with -o, a WAV file with --wav, a JSON file with --tokens-out, a "
                 "state with --state-out, or read along with --follow"};
  if (!options.state.in.empty() && (!options.prompt.path.empty() || !options.prompt.conditioning.wishes.empty()))
    return Error{"generate: --state-in goes on from where it was saved; leave --prompt and --cond away"};
  if (namesOtherThanMidi(options.out))
    return Error{fmt::format("{}: -o names a MIDI file; sound goes to --wav FILE, tokens go to --tokens-out FILE, and a picture is "
                             "what sm1-run draw makes of MIDI",
                             options.out)};
  std::vector<std::string> outputs = {options.out, options.tokensOut, options.wav, options.state.out};
  for (const std::string &path : outputs)
    if (!path.empty() && std::count(outputs.begin(), outputs.end(), path) > 1)
      return Error{fmt::format("{}: is named for two outputs; name a file for each", path)};
  std::vector<std::string> read = {options.common.model, options.common.params, options.prompt.path};
  for (const std::string &path : outputs)
    if (!path.empty())
      if (Expected<void> writable = checkWritable(path, read); !writable)
        return writable;
  return options.wav.empty() ? Expected<void>() : findSynth(options.synth);
}

/// Bars asked for are not to be cut by a maximum that nobody asked for.
constexpr int64_t tokensPerBar = 1024;

static Expected<void> settle(GenerateOptions &options) {
  if (Expected<void> form = setForm(options.form, options.continuation); !form)
    return form;
  if (options.continuation.bars > 0 && !options.maxTokensGiven)
    options.continuation.maxTokens = options.continuation.bars * tokensPerBar;
  return checkFiles(options);
}

static Expected<void> generate(GenerateOptions options) {
  if (Expected<void> settled = settle(options); !settled)
    return settled;
  Expected<Model> model = openModel(options.common);
  if (!model)
    return model.error();
  Expected<Vocabulary> vocabulary = vocabularyOf(*model, options.common.model);
  if (!vocabulary)
    return vocabulary.error();
  Expected<std::vector<Voice>> voices = startVoices(*model, *vocabulary, options);
  if (!voices)
    return voices.error();
  Expected<Made> made = continueAndShow(*model, *voices, *vocabulary, options);
  if (!made)
    return made.error().in(options.common.model);
  if (Expected<void> written = writeAll(*voices, *vocabulary, options); !written)
    return written;
  fmt::print("{} new tokens in {:.1f} s, {:.0f} tokens/s on {}\n", made->tokens, made->seconds,
             double(made->tokens) / made->seconds, model->deviceName());
  return {};
}

Command addGenerate(CLI::App &tool) {
  auto options = std::make_shared<GenerateOptions>();
  CLI::App *app = tool.add_subcommand("generate", "Make music: a MIDI file from a model");
  addCommonOptions(*app, options->common);
  app->add_option("-o,--out", options->out, "MIDI file; a batch writes NAME-0.mid, NAME-1.mid, ...")->type_name("FILE");
  app->add_option("--tokens-out", options->tokensOut, "JSON file for the token lists, prompts included")->type_name("FILE");
  app->add_option("--wav", options->wav, "WAV file, through fluidsynth; a batch writes NAME-0.wav, ...")->type_name("FILE");
  addPromptOptions(*app, options->prompt);
  app->add_option("--batch", options->batch, "pieces to make at once; a piece does not depend on the others")
      ->check(CLI::Range(int64_t(1), int64_t(65536)))
      ->type_name("N");
  app->add_flag("--follow", options->follow, "print every bar as text as soon as it is made");
  addStateOptions(*app, options->state);
  addFormOptions(*app, options->form);
  addContinuationOptions(*app, options->continuation);
  addSynthOptions(*app, options->synth);
  app->footer("Examples:\n"
              "  sm1-run generate checkpoints/chorales -o chorale.mid                   a piece\n"
              "  sm1-run generate checkpoints/chorales -o chorale.mid --seed 2          another\n"
              "  sm1-run generate checkpoints/chorales -o c.mid --batch 8               c-0.mid to c-7.mid\n"
              "  sm1-run generate checkpoints/chorales -o end.mid --prompt start.json   continue a token list\n"
              "  sm1-run generate checkpoints/chorales -o end.mid --prompt song.mid --prompt-bars 4 --bars 32 --follow\n"
              "  sm1-run generate checkpoints/chorales -o c.mid --sections early:8,late:8 --wav c.wav\n"
              "  sm1-run generate checkpoints/steered -o slow.mid --cond tempo=60 --cond key_root=0\n"
              "  sm1-run generate model.sm1pkg --greedy --tokens-out t.json --prompt start.json --max-tokens 400");
  return {app, [options, app] {
            options->maxTokensGiven = app->count("--max-tokens") > 0;
            options->seedGiven = app->count("--seed") > 0;
            return generate(*options);
          }};
}
