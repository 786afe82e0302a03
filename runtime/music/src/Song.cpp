// Tokens to notes, tolerantly: a model without a grammar may say anything, and what it says sensibly should still be heard.
#include "sm1rt/music/Song.h"

#include <optional>

namespace sm1rt {
namespace {

class SongReader {
public:
  void read(TokenMeaning meaning) {
    switch (meaning.field) {
    case Field::Bar:
      startBar();
      break;
    case Field::Position:
      dropHalfNote();
      position = meaning.value;
      break;
    case Field::Track:
      dropHalfNote();
      track = meaning.value;
      break;
    case Field::Tempo:
      dropHalfNote();
      setTempo(meaning.value);
      break;
    case Field::Pitch:
      dropHalfNote();
      pitch = meaning.value;
      break;
    case Field::Duration:
      readDuration(meaning.value);
      break;
    case Field::Velocity:
      readVelocity(meaning.value);
      break;
    default:
      break;
    }
  }

  Song finish() {
    dropHalfNote();
    return std::move(song);
  }

private:
  void startBar() {
    dropHalfNote();
    ++song.bars;
    position.reset();
    track.reset();
  }

  void dropHalfNote() {
    song.ignoredTokens += int(pitch.has_value()) + int(duration.has_value());
    pitch.reset();
    duration.reset();
  }

  /// A bar has one tempo from its first sixteenth on, wherever in the bar the token stands.
  void setTempo(int bpm) {
    if (song.bars == 0) {
      ++song.ignoredTokens;
      return;
    }
    int64_t start = (song.bars - 1) * sixteenthsPerBar;
    if (!song.tempos.empty() && song.tempos.back().start == start)
      song.tempos.back().bpm = bpm;
    else
      song.tempos.push_back({start, bpm});
  }

  void readDuration(int sixteenths) {
    if (pitch && !duration) {
      duration = sixteenths;
      return;
    }
    dropHalfNote();
    ++song.ignoredTokens;
  }

  void readVelocity(int bucket) {
    if (song.bars == 0 || !position || !track || !pitch || !duration) {
      dropHalfNote();
      ++song.ignoredTokens;
      return;
    }
    int64_t start = (song.bars - 1) * sixteenthsPerBar + *position;
    song.notes.push_back({start, *duration, *track, *pitch, 16 * (bucket - 1) + 8});
    pitch.reset();
    duration.reset();
  }

  Song song;
  std::optional<int> position, track, pitch, duration;
};

} // namespace

Song readSong(const std::vector<int32_t> &tokens, const Vocabulary &vocabulary) {
  SongReader reader;
  for (int32_t token : tokens) {
    TokenMeaning meaning = vocabulary.meaning(token);
    if (meaning.field == Field::Eos)
      break;
    reader.read(meaning);
  }
  return reader.finish();
}

} // namespace sm1rt
