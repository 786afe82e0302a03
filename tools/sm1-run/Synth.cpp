// Runs fluidsynth and checks what it wrote: it may end with success and have written nothing that sounds.
#include "Synth.h"

#include "Platform.h"
#include "sm1rt/music/MidiWriter.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <vector>

using namespace sm1rt;
namespace fs = std::filesystem;

static constexpr const char *packages = "install it (Debian: apt-get install fluidsynth fluid-soundfont-gm)";

void addSynthOptions(CLI::App &app, SynthOptions &options) {
  std::string group = "How it sounds";
  app.add_option("--soundfont", options.soundfont, "instruments, .sf2 or .sf3; default: one that is installed")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--sample-rate", options.rate, "samples a second")
      ->check(CLI::Range(8000, 96000))
      ->capture_default_str()
      ->type_name("N")
      ->group(group);
  app.add_option("--gain", options.gain, "loudness; too much distorts")
      ->check(CLI::Range(0.0, 10.0))
      ->capture_default_str()
      ->type_name("X")
      ->group(group);
}

/// Folders where distributions keep soundfonts.
static std::vector<fs::path> soundfontFolders() {
  std::vector<fs::path> folders = {"/usr/share/sounds/sf2", "/usr/share/sounds/sf3", "/usr/share/soundfonts",
                                   "/usr/local/share/soundfonts", "/opt/share/soundfonts"};
  if (const char *home = std::getenv("HOME"))
    folders.push_back(fs::path(home) / ".local/share/soundfonts");
  return folders;
}

static bool isSoundfont(const fs::path &path) { return path.extension() == ".sf2" || path.extension() == ".sf3"; }

/// The distribution's default, else the first by name; General MIDI sets come before what only sounds like a part of one.
static std::optional<std::string> installedSoundfont() {
  std::vector<fs::path> found;
  for (const fs::path &folder : soundfontFolders()) {
    std::error_code code;
    for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code))
      if (isSoundfont(entry->path()) && fs::is_regular_file(entry->path()))
        found.push_back(entry->path());
  }
  auto rank = [](const fs::path &path) {
    std::string name = path.filename().string();
    return name.rfind("default", 0) == 0 ? 0 : name.find("GM") != std::string::npos ? 1 : 2;
  };
  std::sort(found.begin(), found.end(), [&](const fs::path &a, const fs::path &b) {
    return rank(a) != rank(b) ? rank(a) < rank(b) : a.filename() < b.filename();
  });
  return found.empty() ? std::nullopt : std::optional<std::string>(found.front().string());
}

Expected<void> findSynth(SynthOptions &options) {
  Expected<ProcessResult> version = runProcess({"fluidsynth", "--version"});
  if (!version || version->exitCode != 0)
    return Error{fmt::format("fluidsynth: not found in PATH, and WAV files are its work; {}, or play the MIDI file", packages)};
  if (!options.soundfont.empty()) {
    if (!fileExists(options.soundfont))
      return Error{fmt::format("{}: no such soundfont", options.soundfont)};
    return {};
  }
  std::optional<std::string> installed = installedSoundfont();
  if (!installed)
    return Error{fmt::format("soundfont: none found in the usual folders, such as {}; {}, or name one with --soundfont",
                             soundfontFolders().front().string(), packages)};
  options.soundfont = *installed;
  return {};
}

/// Whether a WAV file of 16 bits a sample holds more than the noise that rounding to them leaves.
static Expected<bool> sounds(const std::string &path) {
  Expected<FileMapping> file = FileMapping::open(path);
  if (!file)
    return file.error();
  constexpr uint64_t headerBytes = 44;
  const uint8_t *data = file->data();
  if (file->size() < headerBytes || std::string(data, data + 4) != "RIFF")
    return Error{fmt::format("{}: fluidsynth wrote no WAV file", path)};
  constexpr int audible = 100; // of 32767
  for (uint64_t byte = headerBytes; byte + 1 < file->size(); byte += 2)
    if (std::abs(int(int16_t(data[byte] | data[byte + 1] << 8))) >= audible)
      return true;
  return false;
}

static std::string lastLine(std::string text) {
  while (!text.empty() && std::isspace((unsigned char)text.back()))
    text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

static Expected<void> renderTo(const std::string &midi, const std::string &target, const SynthOptions &options) {
  Expected<ProcessResult> result =
      runProcess({"fluidsynth", "-n", "-i", "-q", "-T", "wav", "-O", "s16", "-F", target, "-r", std::to_string(options.rate), "-g",
                  fmt::format("{:.3f}", options.gain), options.soundfont, midi});
  if (!result)
    return result.error();
  if (result->exitCode != 0 || !fileExists(target))
    return Error{fmt::format("fluidsynth: exit code {}; {}", result->exitCode, lastLine(result->output))};
  Expected<bool> audible = sounds(target);
  if (!audible)
    return audible.error();
  if (!*audible)
    return Error{fmt::format("{}: nothing sounds with the soundfont {}; name another with --soundfont{}", midi, options.soundfont,
                             result->output.empty() ? "" : "; fluidsynth says: " + lastLine(result->output))};
  return {};
}

Expected<void> renderWav(const std::string &midi, const std::string &wav, const SynthOptions &options) {
  std::string temporary = temporaryName(wav);
  Expected<void> done = renderTo(midi, temporary, options);
  if (done)
    done = replaceFile(temporary, wav);
  if (!done)
    removeFile(temporary);
  return done;
}

Expected<void> renderSong(const Song &song, const std::string &wav, const SynthOptions &options) {
  std::string midi = temporaryName(wav);
  Expected<void> done = writeMidi(song, midi);
  if (done)
    done = renderWav(midi, wav, options);
  removeFile(midi);
  return done ? done : done.error().in(wav);
}
