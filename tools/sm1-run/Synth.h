// MIDI files made audible by fluidsynth, a program of its own.
#ifndef SM1_TOOLS_SYNTH_H
#define SM1_TOOLS_SYNTH_H

#include "sm1rt/Error.h"
#include "sm1rt/music/Song.h"

#include <string>

namespace CLI {
class App;
}

struct SynthOptions {
  std::string soundfont; ///< .sf2 or .sf3; empty: one that is installed
  int rate = 44100;      ///< samples a second
  double gain = 0.6;     ///< fluidsynth's own is 0.2, which is quiet for a few voices
};

/// Adds --soundfont, --sample-rate and --gain.
void addSynthOptions(CLI::App &app, SynthOptions &options);

/// Looks for fluidsynth and a soundfont, before long work; names the soundfont in `options` where it was left open.
sm1rt::Expected<void> findSynth(SynthOptions &options);

/// Writes the MIDI file `midi` as `wav`: 16 bits, stereo; whole or not at all. A file without any sound is an error.
sm1rt::Expected<void> renderWav(const std::string &midi, const std::string &wav, const SynthOptions &options);
/// The same of a song that is in no file.
sm1rt::Expected<void> renderSong(const sm1rt::Song &song, const std::string &wav, const SynthOptions &options);

#endif // SM1_TOOLS_SYNTH_H
