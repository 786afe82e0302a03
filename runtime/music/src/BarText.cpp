// Notes of a bar grouped by track, then by beat.
#include "sm1rt/music/BarText.h"

#include "sm1rt/music/Names.h"
#include "sm1rt/music/Song.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace sm1rt {

/// track → sixteenth → pitches.
using Voices = std::map<int, std::map<int64_t, std::vector<int>>>;

static std::string describeBeat(int64_t position, std::vector<int> pitches, bool drums) {
  std::sort(pitches.begin(), pitches.end());
  std::string text = beatName(int(position));
  for (int pitch : pitches)
    text += " " + noteName(pitch);
  std::string chord = drums ? "" : chordName(pitches);
  return chord.empty() ? text : fmt::format("{} ({})", text, chord);
}

static std::string describeVoices(const Voices &voices) {
  std::string text;
  for (const auto &[track, beats] : voices) {
    text += fmt::format("{}{}:", text.empty() ? "" : "  | ", trackName(track));
    const char *gap = " ";
    for (const auto &[position, pitches] : beats) {
      text += gap + describeBeat(position, pitches, track == drumTrack);
      gap = "  ";
    }
  }
  return text.empty() ? "rest" : text;
}

std::string describeBar(const std::vector<int32_t> &tokens, const Vocabulary &vocabulary) {
  std::string section = "-";
  for (int32_t token : tokens)
    if (TokenMeaning meaning = vocabulary.meaning(token); meaning.field == Field::Section)
      section = sectionName(meaning.value);
  Song song = readSong(tokens, vocabulary);
  Voices voices;
  for (const Note &note : song.notes)
    voices[note.track][note.start % sixteenthsPerBar].push_back(note.pitch);
  std::string tempo = song.tempos.empty() ? "" : fmt::format("{} bpm  ", song.tempos.back().bpm);
  return fmt::format("{:<5}  {}{}", section, tempo, describeVoices(voices));
}

} // namespace sm1rt
