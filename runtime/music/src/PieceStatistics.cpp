// One pass for each question; none needs more memory than a piece.
#include "sm1rt/music/PieceStatistics.h"

#include "sm1rt/music/Grammar.h"
#include "sm1rt/music/Names.h"
#include "sm1rt/music/Song.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <set>
#include <string_view>
#include <unordered_set>

namespace sm1rt {
namespace {

constexpr int octave = 12;
constexpr int64_t sixteenthsPerBeat = 4;

/// What is wrong with `token`, which the grammar does not allow.
GrammarError classify(const Grammar &grammar, const Vocabulary &vocabulary, int32_t token) {
  auto allows = [&](Field field, int value) { return grammar.allows(vocabulary.token(field, value)); };
  Field field = vocabulary.meaning(token).field;
  if (field == Field::Position && allows(Field::Position, sixteenthsPerBar - 1))
    return GrammarError::BackwardsPosition;
  bool inNote = allows(Field::Duration, 1) || allows(Field::Velocity, 1);
  if (inNote || field == Field::Duration || field == Field::Velocity)
    return GrammarError::BrokenNote;
  if (field == Field::Pitch)
    return GrammarError::LostPitch;
  bool afterTrack = allows(Field::Pitch, 60) && !allows(Field::Eos, 0);
  if (allows(Field::Track, 0) || afterTrack || field == Field::Track)
    return GrammarError::EmptyPlace;
  if (allows(Field::Section, 0) || field == Field::Section || field == Field::Tempo)
    return GrammarError::LostMark;
  return GrammarError::Other;
}

bool isDissonant(const std::set<int> &pitches) {
  constexpr int dissonances = 1 << 1 | 1 << 2 | 1 << 6 | 1 << 10 | 1 << 11;
  for (auto low = pitches.begin(); low != pitches.end(); ++low)
    for (auto high = std::next(low); high != pitches.end(); ++high)
      if (dissonances >> ((*high - *low) % octave) & 1)
        return true;
  return false;
}

/// The ids of a stretch of tokens as bytes, for hashing.
std::string_view bytesOf(const std::vector<int32_t> &tokens, size_t begin, size_t count) {
  return {reinterpret_cast<const char *>(tokens.data() + begin), count * sizeof(int32_t)};
}

} // namespace

const char *describe(GrammarError error) {
  constexpr std::array<const char *, grammarErrorKinds> texts = {
      "positions that run backwards",     "pitches without position or track", "notes with a part missing",
      "positions or tracks with no note", "sections or tempos out of place",   "other"};
  return texts[size_t(error)];
}

void PieceStatistics::add(const std::vector<int32_t> &list, const Vocabulary &vocabulary) {
  auto end = std::find(list.begin(), list.end(), vocabulary.token(Field::Eos));
  ended.part += end != list.end();
  ++ended.whole;
  std::vector<int32_t> piece(list.begin(), end == list.end() ? end : end + 1);
  lengths.push_back(int64_t(piece.size()));
  tokens += int64_t(piece.size());
  countErrors(piece, vocabulary);
  countRepeats(piece, vocabulary);
  countHarmony(piece, vocabulary);
}

void PieceStatistics::countErrors(const std::vector<int32_t> &piece, const Vocabulary &vocabulary) {
  Grammar grammar(vocabulary);
  for (int32_t token : piece) {
    if (!grammar.allows(token))
      ++errors[size_t(classify(grammar, vocabulary, token))];
    grammar.advance(token);
  }
}

void PieceStatistics::countRepeats(const std::vector<int32_t> &piece, const Vocabulary &vocabulary) {
  for (size_t index = 0; index < ngramLengths.size(); ++index) {
    std::unordered_set<std::string_view> seen;
    for (size_t begin = 0; begin + ngramLengths[index] <= piece.size(); ++begin) {
      repeatedNgrams[index].part += !seen.insert(bytesOf(piece, begin, ngramLengths[index])).second;
      ++repeatedNgrams[index].whole;
    }
  }
  // From its first position on, so that a bar is the same in another section or tempo.
  std::unordered_set<std::string_view> seen;
  size_t begin = piece.size();
  for (size_t index = 0; index <= piece.size(); ++index) {
    Field field = index < piece.size() ? vocabulary.meaning(piece[index]).field : Field::Eos;
    if (field == Field::Position)
      begin = std::min(begin, index);
    if ((field != Field::Bar && field != Field::Eos) || begin >= index)
      continue;
    repeatedBars.part += !seen.insert(bytesOf(piece, begin, index - begin)).second;
    ++repeatedBars.whole;
    begin = piece.size();
  }
}

void PieceStatistics::countHarmony(const std::vector<int32_t> &piece, const Vocabulary &vocabulary) {
  Song song = readSong(piece, vocabulary);
  bars += song.bars;
  notes += int64_t(song.notes.size());
  std::vector<std::set<int>> beats(size_t(song.bars * (sixteenthsPerBar / sixteenthsPerBeat)));
  for (const Note &note : song.notes) {
    if (note.track == drumTrack)
      continue;
    ++pitchClasses[size_t(note.pitch % octave)];
    int64_t first = (note.start + sixteenthsPerBeat - 1) / sixteenthsPerBeat;
    for (int64_t beat = first; beat * sixteenthsPerBeat < note.start + note.duration && beat < int64_t(beats.size()); ++beat)
      beats[size_t(beat)].insert(note.pitch);
  }
  for (const std::set<int> &pitches : beats) {
    dissonantBeats.whole += pitches.size() >= 2;
    dissonantBeats.part += isDissonant(pitches);
  }
}

int64_t PieceStatistics::errorCount() const { return std::accumulate(errors.begin(), errors.end(), int64_t(0)); }

int64_t PieceStatistics::medianLength() const {
  if (lengths.empty())
    return 0;
  std::vector<int64_t> sorted = lengths;
  auto middle = sorted.begin() + ptrdiff_t(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return *middle;
}

double histogramDistance(const std::array<int64_t, 12> &a, const std::array<int64_t, 12> &b) {
  auto sum = [](const std::array<int64_t, 12> &counts) {
    return std::max(std::accumulate(counts.begin(), counts.end(), 0.0), 1.0);
  };
  double distance = 0;
  for (size_t index = 0; index < a.size(); ++index)
    distance += std::abs(double(a[index]) / sum(a) - double(b[index]) / sum(b));
  return distance / 2;
}

} // namespace sm1rt
