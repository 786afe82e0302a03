// Standard MIDI Files as notes in ticks and a tempo map.
#ifndef SM1RT_MUSIC_MIDIREADER_H
#define SM1RT_MUSIC_MIDIREADER_H

#include "sm1rt/Error.h"

#include <cstdint>
#include <string>
#include <vector>

namespace sm1rt {

struct MidiNote {
  int64_t start, end; ///< ticks; end >= start, equal for a note without length
  int pitch;          ///< 0 to 127
  int velocity;       ///< 1 to 127
  int program;        ///< General MIDI, zero-based: that of the channel when the note starts
  bool drums;         ///< on channel 10 (counted from 1)
  int trackToken;     ///< 0 to 8 in a file that writeMidi made; -1 elsewhere
};

struct MidiTempo {
  int64_t tick;
  double seconds; ///< since the start of the file
  int microsecondsPerQuarter;

  double bpm() const { return 60e6 / microsecondsPerQuarter; }
};

struct MidiFile {
  double ticksPerQuarter = 0;    ///< above 0; of a file in SMPTE time, what lasts half a second
  std::vector<MidiNote> notes;   ///< by start, then pitch
  std::vector<MidiTempo> tempos; ///< ascending; the first at tick 0, 120 quarters a minute where the file says none
  int64_t unendedNotes = 0;      ///< notes that nothing ends; they last to the end of their track
  bool otherMetre = false;       ///< it states a metre whose bar is not four quarters

  /// The tempo in force at a tick.
  const MidiTempo &tempoAt(int64_t tick) const;
  double secondsAt(int64_t tick) const;
};

/// Reads formats 0, 1 and 2 (its patterns one after the other), also in an RMID wrapper. A note that is struck again before it ends
/// sounds twice; of several that sound the oldest ends first. Tracks without an end mark, chunks of other kinds and what follows
/// the last track are accepted. Everything else that breaks the format, a file cut short, and files above 16 MiB are errors that
/// name the track and the byte.
Expected<MidiFile> readMidi(const std::string &path);

/// The same from a file's content; `name` stands for the path in errors.
Expected<MidiFile> parseMidi(const std::string &bytes, const std::string &name);

} // namespace sm1rt

#endif // SM1RT_MUSIC_MIDIREADER_H
