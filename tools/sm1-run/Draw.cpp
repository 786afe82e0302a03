// sm1-run draw: pieces as pictures.
#include "Commands.h"
#include "MusicFiles.h"
#include "OpenModel.h"

#include "Platform.h"
#include "sm1rt/music/MidiReader.h"
#include "sm1rt/music/RollPicture.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <filesystem>
#include <memory>

using namespace sm1rt;

namespace {
struct DrawOptions {
  std::string input, out;
  PictureOptions picture;
  ConditioningOptions conditioning;
};
} // namespace

static Expected<void> writePicture(const PianoRoll &roll, const PictureOptions &options, const std::string &path) {
  Expected<std::string> svg = drawRoll(roll, options);
  if (!svg)
    return svg.error();
  if (Expected<void> written = writeFile(path, *svg); !written)
    return written;
  fmt::print("{}: {} of {}, {}\n", path, counted(options.bars ? options.bars : roll.bars - options.firstBar + 1, "bar"), roll.bars,
             counted(int64_t(roll.notes.size()), "note"));
  return {};
}

static Expected<void> drawMidi(const DrawOptions &options) {
  Expected<MidiFile> file = readMidi(options.input);
  if (!file)
    return file.error();
  if (file->otherMetre)
    fmt::print(stderr, "{}: it states another metre; the picture has bars of four quarters\n", options.input);
  Expected<void> drawn = writePicture(rollOfMidi(*file), options.picture, options.out);
  return drawn ? drawn : drawn.error().in(options.input);
}

static Expected<void> drawTokens(const DrawOptions &options) {
  Expected<Vocabulary> vocabulary = vocabularyOfTokens(options.conditioning, options.input);
  if (!vocabulary)
    return vocabulary.error();
  Expected<TokenLists> lists = readTokenFile(options.input, {vocabulary->size()});
  if (!lists)
    return lists.error();
  for (size_t index = 0; index < lists->size(); ++index) {
    PictureOptions picture = options.picture;
    if (lists->size() > 1)
      picture.title += fmt::format(", piece {}", index);
    Expected<void> drawn =
        writePicture(rollOfTokens((*lists)[index], *vocabulary), picture, numberedPath(options.out, index, lists->size()));
    if (!drawn)
      return drawn.error().in(fmt::format("{}: list {}", options.input, index));
  }
  return {};
}

static Expected<void> draw(DrawOptions options) {
  std::filesystem::path input(options.input);
  if (Expected<void> music = checkMusicPath(options.input); !music)
    return music;
  if (std::filesystem::path(options.out).extension() != ".svg")
    return Error{fmt::format("{}: pictures are SVG; name a .svg file, which every browser opens", options.out)};
  if (Expected<void> writable = checkWritable(options.out, {options.input}); !writable)
    return writable;
  if (options.picture.title.empty())
    options.picture.title = input.filename().string();
  return isMidiPath(options.input) ? drawMidi(options) : drawTokens(options);
}

Command addDraw(CLI::App &tool) {
  auto options = std::make_shared<DrawOptions>();
  CLI::App *app = tool.add_subcommand("draw", "See it: a piano roll of MIDI or tokens as an SVG picture");
  app->add_option("IN", options->input, "MIDI file, or JSON file of token lists")->required();
  app->add_option("-o,--out", options->out, "SVG file; NAME-0.svg, NAME-1.svg, ... of several lists")
      ->required()
      ->type_name("FILE");
  app->add_option("--title", options->picture.title, "default: the name of the file")->type_name("TEXT");
  auto bar = CLI::Range(int64_t(1), int64_t(1) << 40);
  app->add_option("--first-bar", options->picture.firstBar, "bar to start with")->check(bar)->capture_default_str()->type_name("N");
  app->add_option("--bars", options->picture.bars, "bars to draw; default: all")->check(bar)->type_name("N");
  app->add_option("--bars-per-row", options->picture.barsPerRow, "default: all up to 16")
      ->check(CLI::Range(int64_t(1), int64_t(256)))
      ->type_name("N");
  addVocabConfigOption(*app, options->conditioning);
  app->footer(
      "A colour for each instrument, rows of bars as in a score, louder notes denser. MIDI files are drawn as they are, not on\n"
      "the grid of the tokens.\n\n"
      "Examples:\n"
      "  sm1-run draw song.mid -o song.svg\n"
      "  sm1-run draw song.mid -o bridge.svg --first-bar 33 --bars 8\n"
      "  sm1-run draw tokens.json -o heard.svg");
  return {app, [options] { return draw(*options); }};
}
