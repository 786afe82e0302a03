// Notes over time, whatever they come from: what a picture of a piece shows.
#ifndef SM1RT_MUSIC_PIANOROLL_H
#define SM1RT_MUSIC_PIANOROLL_H

#include "sm1rt/music/MidiReader.h"
#include "sm1rt/music/Vocabulary.h"

#include <cstdint>
#include <string>
#include <vector>

namespace sm1rt {

struct RollNote {
  double start, length; ///< sixteenths; start since the start of the first bar
  int pitch;            ///< MIDI, 0 to 127
  int velocity;         ///< MIDI, 1 to 127
  size_t voice;         ///< index in PianoRoll::voices
};

/// Something said above the time at which it begins to hold.
struct RollMark {
  double start; ///< sixteenths
  std::string text;
};

struct PianoRoll {
  int64_t bars = 0;                ///< of sixteen sixteenths
  std::vector<std::string> voices; ///< names
  std::vector<RollNote> notes;     ///< by start
  std::vector<RollMark> marks;     ///< tempo changes and sections, by start
};

/// One voice for each track token in use.
PianoRoll rollOfTokens(const std::vector<int32_t> &tokens, const Vocabulary &vocabulary);

/// Notes where the file has them, not on the grid. One voice for each family of instruments; in a file that writeMidi made, for
/// each track token.
PianoRoll rollOfMidi(const MidiFile &file);

} // namespace sm1rt

#endif // SM1RT_MUSIC_PIANOROLL_H
