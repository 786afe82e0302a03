// Counts of small pieces that can be checked by hand.
#include "sm1rt/music/PieceStatistics.h"

#include <gtest/gtest.h>

#include <vector>

using namespace sm1rt;

namespace {

const Vocabulary vocabulary = *Vocabulary::ofSize(161);

int32_t id(Field field, int value = 0) { return vocabulary.token(field, value); }

using Tokens = std::vector<int32_t>;

Tokens operator+(Tokens a, const Tokens &b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

const Tokens begin = {id(Field::Bos)}, end = {id(Field::Eos)}, bar = {id(Field::Bar), id(Field::Section, 0)};

Tokens place(int position, int track = 7) { return {id(Field::Position, position), id(Field::Track, track)}; }
Tokens note(int pitch, int duration = 4) {
  return {id(Field::Pitch, pitch), id(Field::Duration, duration), id(Field::Velocity, 4)};
}

PieceStatistics of(const Tokens &tokens) {
  PieceStatistics statistics;
  statistics.add(tokens, vocabulary);
  return statistics;
}

int64_t errors(const Tokens &tokens, GrammarError kind) {
  PieceStatistics statistics = of(tokens);
  EXPECT_EQ(statistics.errorCount(), statistics.errors[size_t(kind)]) << "errors of other kinds, too";
  return statistics.errors[size_t(kind)];
}

TEST(PieceStatistics, FindsNoErrorInAPiece) {
  Tokens piece = begin + bar + place(0) + note(60) + note(64) + place(0, 3) + note(36) + place(12) + note(62) + bar + bar + end;
  EXPECT_EQ(of(piece).errorCount(), 0);
}

TEST(PieceStatistics, TellsErrorsApart) {
  Tokens start = begin + bar + place(8) + note(60);
  EXPECT_EQ(errors(start + place(4) + note(62) + place(3) + note(62) + end, GrammarError::BackwardsPosition), 2);
  EXPECT_EQ(errors(start + bar + place(0) + note(62), GrammarError::BackwardsPosition), 0);
  EXPECT_EQ(errors(begin + bar + note(60) + end, GrammarError::LostPitch), 1);
  EXPECT_EQ(errors(start + Tokens{id(Field::Position, 9)} + note(62), GrammarError::LostPitch), 1);
  EXPECT_EQ(errors(start + Tokens{id(Field::Pitch, 60)} + bar, GrammarError::BrokenNote), 1);
  EXPECT_EQ(errors(start + Tokens{id(Field::Pitch, 60), id(Field::Velocity, 3)}, GrammarError::BrokenNote), 1);
  EXPECT_EQ(errors(start + Tokens{id(Field::Position, 9)} + bar, GrammarError::EmptyPlace), 1);
  EXPECT_EQ(errors(start + place(9) + end, GrammarError::EmptyPlace), 1);
  EXPECT_EQ(errors(start + Tokens{id(Field::Section, 1)}, GrammarError::LostMark), 1);
  EXPECT_EQ(errors(start + Tokens{id(Field::Bar)} + place(0) + note(60), GrammarError::LostMark), 1);
  EXPECT_EQ(errors(start + Tokens{id(Field::Pad)}, GrammarError::Other), 1);
}

TEST(PieceStatistics, CountsEndsAndLengths) {
  PieceStatistics statistics;
  statistics.add(begin + bar + end + bar, vocabulary); // what follows the end is not looked at
  statistics.add(begin + bar + bar, vocabulary);
  statistics.add(begin + bar, vocabulary);
  EXPECT_EQ(statistics.ended.part, 1);
  EXPECT_EQ(statistics.ended.whole, 3);
  EXPECT_EQ(statistics.tokens, 4 + 5 + 3);
  EXPECT_EQ(statistics.bars, 1 + 2 + 1);
  EXPECT_EQ(statistics.medianLength(), 4);
}

// Beats 1 and 2: a held third, consonant, then a second above it; beat 3: the held note alone does not count; beat 4: a major
// seventh over an octave; the drum sounds with everything.
TEST(PieceStatistics, HearsDissonanceOnBeats) {
  Tokens piece = begin + bar + place(0) + note(60, 12) + note(64, 8) + place(0, 4) + note(37, 16) + place(4) + note(62, 4) +
                 place(12) + note(60) + note(83) + end;
  PieceStatistics statistics = of(piece);
  EXPECT_EQ(statistics.dissonantBeats.whole, 3);
  EXPECT_EQ(statistics.dissonantBeats.part, 2);
  EXPECT_EQ(statistics.pitchClasses[0], 2);
  EXPECT_EQ(statistics.pitchClasses[1], 0) << "drums have no pitch class";
  EXPECT_EQ(statistics.pitchClasses[11], 1);
  for (int interval : {1, 2, 6, 10, 11, 13, 18})
    EXPECT_EQ(of(begin + bar + place(0) + note(50) + note(50 + interval)).dissonantBeats.part, 1) << interval;
  for (int interval : {3, 4, 5, 7, 8, 9, 12, 16})
    EXPECT_EQ(of(begin + bar + place(0) + note(50) + note(50 + interval)).dissonantBeats.part, 0) << interval;
  EXPECT_EQ(of(begin + bar + place(2) + note(50, 2) + note(51, 2)).dissonantBeats.whole, 0) << "between beats";
}

TEST(PieceStatistics, FindsRepeats) {
  Tokens first = bar + place(0) + note(60) + note(64), second = bar + place(0) + note(60) + note(65);
  PieceStatistics statistics = of(begin + first + second + first + bar + end);
  EXPECT_EQ(statistics.repeatedBars.part, 1);
  EXPECT_EQ(statistics.repeatedBars.whole, 3);
  EXPECT_EQ(statistics.repeatedNgrams[0].whole, 34 - 8 + 1);
  // Twelve tokens from the third BAR on stood at the first; nine from the end of a bar into the next one stood between the first
  // two.
  EXPECT_EQ(statistics.repeatedNgrams[0].part, (12 - 8 + 1) + (9 - 8 + 1));
  EXPECT_EQ(statistics.repeatedNgrams[2].part, 0);
}

TEST(HistogramDistance, GoesFromEqualToNothingInCommon) {
  std::array<int64_t, 12> a = {1, 1}, b = {4, 4}, c = {0, 0, 7}, d = {1, 0, 1};
  EXPECT_DOUBLE_EQ(histogramDistance(a, b), 0);
  EXPECT_DOUBLE_EQ(histogramDistance(a, c), 1);
  EXPECT_DOUBLE_EQ(histogramDistance(a, d), 0.5);
}

} // namespace
