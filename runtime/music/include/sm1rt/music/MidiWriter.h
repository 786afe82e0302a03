// Songs as Standard MIDI Files that any player opens.
#ifndef SM1RT_MUSIC_MIDIWRITER_H
#define SM1RT_MUSIC_MIDIWRITER_H

#include "sm1rt/Error.h"
#include "sm1rt/music/Song.h"

#include <string>

namespace sm1rt {

constexpr int ticksPerSixteenth = 120;
/// Tempo of a song that states none; also that of the MIDI standard.
constexpr int defaultTempoBpm = 120;

/// General MIDI program (zero-based) and channel (zero-based) of a track token 0 to 8.
int programOfTrack(int track);
int channelOfTrack(int track);

/// Writes `song` to `path`, whole or not at all: format 1, 480 ticks a quarter; first a track of tempo changes and the 4/4 metre,
/// then one for every track token in use. The first bar starts at time 0. A note that is struck again before it ends, ends there;
/// of two notes that start together on one pitch the longer stays. Errors: a song too long for the format, a path that cannot be
/// written.
Expected<void> writeMidi(const Song &song, const std::string &path);

} // namespace sm1rt

#endif // SM1RT_MUSIC_MIDIWRITER_H
