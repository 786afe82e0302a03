// Tables of names, and chords found by comparing sets of pitch classes.
#include "sm1rt/music/Names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace sm1rt {
namespace {

constexpr int octave = 12;

/// Semitones above the root as bits.
struct ChordRow {
  int intervals;
  const char *suffix;
};

constexpr int bits(int a, int b, int c = 0) { return 1 | 1 << a | 1 << b | 1 << c; }

constexpr std::array<ChordRow, 10> chordRows = {{
    {bits(4, 7), ""},
    {bits(3, 7), "m"},
    {bits(3, 6), "dim"},
    {bits(4, 8), "aug"},
    {bits(4, 7, 10), "7"},
    {bits(3, 7, 10), "m7"},
    {bits(4, 7, 11), "maj7"},
    {bits(3, 6, 10), "m7b5"},
    {bits(3, 6, 9), "dim7"},
    {bits(5, 7), "sus4"},
}};

} // namespace

const char *pitchClassName(int pitchClass) {
  constexpr std::array<const char *, octave> names = {"C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"};
  return names[size_t(pitchClass)];
}

std::string noteName(int pitch) { return fmt::format("{}{}", pitchClassName(pitch % octave), pitch / octave - 1); }

std::string chordName(const std::vector<int> &pitches) {
  if (pitches.empty())
    return "";
  int bass = *std::min_element(pitches.begin(), pitches.end()) % octave;
  // The lowest note first: of the readings that an augmented or diminished chord has, that one is meant.
  for (int step = 0; step < octave; ++step) {
    int root = (bass + step) % octave, intervals = 0;
    for (int pitch : pitches)
      intervals |= 1 << ((pitch - root + octave) % octave);
    for (const ChordRow &row : chordRows)
      if (row.intervals == intervals)
        return fmt::format("{}{}{}{}", pitchClassName(root), row.suffix, step ? "/" : "", step ? pitchClassName(bass) : "");
  }
  return "";
}

const char *trackName(int track) {
  constexpr std::array<const char *, trackCount> names = {"piano",        "ensemble", "guitar", "bass", "drums",
                                                          "solo strings", "winds",    "organ",  "other"};
  return names[size_t(track)];
}

const char *programFamily(int program) {
  constexpr std::array<const char *, 16> names = {
      "piano", "chromatic percussion", "organ",     "guitar",        "bass",   "strings",    "ensemble",     "brass", "reed",
      "pipe",  "synth lead",           "synth pad", "synth effects", "ethnic", "percussive", "sound effects"};
  return names[size_t(program / 8)];
}

std::string beatName(int position) {
  constexpr std::array<const char *, 4> parts = {"", "e", "&", "a"};
  return fmt::format("{}{}", position / 4 + 1, parts[size_t(position % 4)]);
}

} // namespace sm1rt
