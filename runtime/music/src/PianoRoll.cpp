// Collects notes, names their voices and keeps what is worth saying above them.
#include "sm1rt/music/PianoRoll.h"

#include "sm1rt/music/Names.h"
#include "sm1rt/music/Song.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sm1rt {
namespace {

constexpr int voiceKeys = 64;

/// Numbers the voices that occur, in the order of their keys: a key is a track token, or a family of programs after them.
class VoiceTable {
public:
  void use(int key) { used[size_t(key)] = true; }

  void name(PianoRoll &roll) {
    for (int key = 0; key < voiceKeys; ++key) {
      if (!used[size_t(key)])
        continue;
      index[size_t(key)] = roll.voices.size();
      roll.voices.emplace_back(key < trackCount ? trackName(key) : programFamily((key - trackCount) * 8));
    }
  }

  size_t of(int key) const { return index[size_t(key)]; }

private:
  bool used[voiceKeys] = {};
  size_t index[voiceKeys] = {};
};

int keyOf(const MidiNote &note) {
  if (note.trackToken >= 0)
    return note.trackToken;
  return note.drums ? drumTrack : trackCount + note.program / 8;
}

void sortByStart(PianoRoll &roll) {
  std::stable_sort(roll.notes.begin(), roll.notes.end(), [](const RollNote &a, const RollNote &b) { return a.start < b.start; });
  std::stable_sort(roll.marks.begin(), roll.marks.end(), [](const RollMark &a, const RollMark &b) { return a.start < b.start; });
}

/// Bars that the notes reach into, at least `least`.
int64_t barsOf(const PianoRoll &roll, int64_t least) {
  double end = 0;
  for (const RollNote &note : roll.notes)
    end = std::max(end, note.start + note.length);
  return std::max(least, int64_t(std::ceil(end / sixteenthsPerBar - 1e-6)));
}

/// SECTION where it differs from that of the bar before.
void markSections(PianoRoll &roll, const std::vector<int32_t> &tokens, const Vocabulary &vocabulary) {
  int64_t bar = -1;
  int section = -1;
  for (int32_t token : tokens) {
    TokenMeaning meaning = vocabulary.meaning(token);
    bar += meaning.field == Field::Bar;
    if (meaning.field != Field::Section || meaning.value == section || bar < 0)
      continue;
    section = meaning.value;
    roll.marks.push_back({double(bar * sixteenthsPerBar), sectionName(section)});
  }
}

} // namespace

PianoRoll rollOfTokens(const std::vector<int32_t> &tokens, const Vocabulary &vocabulary) {
  Song song = readSong(tokens, vocabulary);
  PianoRoll roll;
  VoiceTable voices;
  for (const Note &note : song.notes)
    voices.use(note.track);
  voices.name(roll);
  for (const Note &note : song.notes)
    roll.notes.push_back({double(note.start), double(note.duration), note.pitch, note.velocity, voices.of(note.track)});
  markSections(roll, tokens, vocabulary);
  for (const TempoChange &tempo : song.tempos)
    roll.marks.push_back({double(tempo.start), fmt::format("{} bpm", tempo.bpm)});
  roll.bars = barsOf(roll, song.bars);
  sortByStart(roll);
  return roll;
}

PianoRoll rollOfMidi(const MidiFile &file) {
  PianoRoll roll;
  VoiceTable voices;
  for (const MidiNote &note : file.notes)
    voices.use(keyOf(note));
  voices.name(roll);
  double sixteenths = 4 / file.ticksPerQuarter;
  for (const MidiNote &note : file.notes)
    roll.notes.push_back({double(note.start) * sixteenths, double(note.end - note.start) * sixteenths, note.pitch, note.velocity,
                          voices.of(keyOf(note))});
  for (const MidiTempo &tempo : file.tempos) {
    std::string text = fmt::format("{:.0f} bpm", tempo.bpm());
    if (roll.marks.empty() || roll.marks.back().text != text)
      roll.marks.push_back({double(tempo.tick) * sixteenths, text});
  }
  roll.bars = barsOf(roll, 0);
  sortByStart(roll);
  return roll;
}

} // namespace sm1rt
