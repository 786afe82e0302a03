// sm1-run render: MIDI files and token files as sound.
#include "Commands.h"
#include "MusicFiles.h"
#include "OpenModel.h"
#include "Progress.h"
#include "Synth.h"

#include "Platform.h"
#include "sm1rt/music/MidiReader.h"
#include "sm1rt/music/Song.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <memory>

using namespace sm1rt;

namespace {
struct RenderOptions {
  std::string input, out;
  ConditioningOptions conditioning;
  SynthOptions synth;
};
} // namespace

static Expected<void> renderMidi(const RenderOptions &options) {
  // fluidsynth plays silence for what it cannot read; our own reader says what is wrong.
  if (Expected<MidiFile> file = readMidi(options.input); !file)
    return file.error();
  Progress progress("rendering", 1, "file");
  if (Expected<void> rendered = renderWav(options.input, options.out, options.synth); !rendered)
    return rendered;
  fmt::print("{}: {} with {}\n", options.out, options.input, options.synth.soundfont);
  return {};
}

static Expected<void> renderTokens(const RenderOptions &options) {
  Expected<Vocabulary> vocabulary = vocabularyOfTokens(options.conditioning, options.input);
  if (!vocabulary)
    return vocabulary.error();
  Expected<TokenLists> lists = readTokenFile(options.input, {vocabulary->size()});
  if (!lists)
    return lists.error();
  Progress progress("rendering", int64_t(lists->size()), "files");
  for (size_t index = 0; index < lists->size(); ++index) {
    std::string wav = numberedPath(options.out, index, lists->size());
    if (Expected<void> done = renderSong(readSong((*lists)[index], *vocabulary), wav, options.synth); !done)
      return done;
    progress.update(int64_t(index + 1));
    fmt::print("{}: list {} of {} with {}\n", wav, index, options.input, options.synth.soundfont);
  }
  return {};
}

static Expected<void> render(RenderOptions options) {
  if (Expected<void> music = checkMusicPath(options.input); !music)
    return music;
  if (Expected<void> writable = checkWritable(options.out, {options.input}); !writable)
    return writable;
  if (Expected<void> found = findSynth(options.synth); !found)
    return found;
  return isMidiPath(options.input) ? renderMidi(options) : renderTokens(options);
}

Command addRender(CLI::App &tool) {
  auto options = std::make_shared<RenderOptions>();
  CLI::App *app = tool.add_subcommand("render", "Hear it: a WAV file from MIDI or tokens, through fluidsynth");
  app->add_option("IN", options->input, "MIDI file, or JSON file of token lists")->required();
  app->add_option("-o,--out", options->out, "WAV file; NAME-0.wav, NAME-1.wav, ... of several lists")
      ->required()
      ->type_name("FILE");
  addSynthOptions(*app, options->synth);
  addVocabConfigOption(*app, options->conditioning);
  app->footer("The sound is the work of fluidsynth and a soundfont (Debian: fluidsynth, fluid-soundfont-gm).\n\n"
              "Examples:\n"
              "  sm1-run render song.mid -o song.wav\n"
              "  sm1-run render tokens.json -o heard.wav --soundfont piano.sf2");
  return {app, [options] { return render(*options); }};
}
