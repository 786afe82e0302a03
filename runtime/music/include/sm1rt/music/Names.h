// What musicians call things: notes, chords, instruments, beats.
#ifndef SM1RT_MUSIC_NAMES_H
#define SM1RT_MUSIC_NAMES_H

#include <string>
#include <vector>

namespace sm1rt {

constexpr int trackCount = 9;
/// The track token of drums; their pitches name instruments, so nothing harmonic counts them.
constexpr int drumTrack = 4;

/// "C4" for MIDI pitch 60; black keys as sharps.
std::string noteName(int pitch);
/// "C" to "B" for 0 to 11.
const char *pitchClassName(int pitchClass);
/// "Am", "G7/B" for pitches that form a triad, a seventh chord or a suspended fourth, the lowest after the stroke where it is not
/// the root; empty for everything else.
std::string chordName(const std::vector<int> &pitches);

/// What a track token 0 to 8 mostly holds: "piano", "drums".
const char *trackName(int track);
/// The family of a General MIDI program (zero-based, 0 to 127): "piano", "strings".
const char *programFamily(int program);

/// How a sixteenth 0 to 15 of a bar is counted: 1 1e 1& 1a 2 ….
std::string beatName(int position);

} // namespace sm1rt

#endif // SM1RT_MUSIC_NAMES_H
