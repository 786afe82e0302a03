// The vocabulary: every id has one meaning and the way back leads to the same id.
#include "sm1rt/music/Vocabulary.h"

#include <gtest/gtest.h>

using namespace sm1rt;

namespace {

Vocabulary vocabularyOf(int64_t size) {
  Expected<Vocabulary> vocabulary = Vocabulary::ofSize(size);
  EXPECT_TRUE(vocabulary);
  return *vocabulary;
}

TEST(Vocabulary, RefusesSizesWithoutRoomForMusic) {
  Expected<Vocabulary> tooSmall = Vocabulary::ofSize(160);
  ASSERT_FALSE(tooSmall);
  EXPECT_NE(tooSmall.error().message.find("160 ids, music needs at least 161"), std::string::npos);
  EXPECT_TRUE(Vocabulary::ofSize(161));
}

TEST(Vocabulary, PlacesFieldsAfterTheConditioningIds) {
  Vocabulary published = vocabularyOf(442);
  EXPECT_EQ(published.conditioningCount(), 281);
  EXPECT_EQ(published.token(Field::Pad), 281);
  EXPECT_EQ(published.token(Field::Bos), 282);
  EXPECT_EQ(published.token(Field::Section, 2), 441);
}

TEST(Vocabulary, KnowsTheFirstAndLastIdOfEveryField) {
  Vocabulary plain = vocabularyOf(161);
  EXPECT_EQ(plain.token(Field::Bar), 3);
  EXPECT_EQ(plain.token(Field::Position, 0), 4);
  EXPECT_EQ(plain.token(Field::Position, 15), 19);
  EXPECT_EQ(plain.token(Field::Track, 8), 28);
  EXPECT_EQ(plain.token(Field::Pitch, 21), 29);
  EXPECT_EQ(plain.token(Field::Pitch, 108), 116);
  EXPECT_EQ(plain.token(Field::Duration, 16), 132);
  EXPECT_EQ(plain.token(Field::Velocity, 8), 140);
  EXPECT_EQ(plain.token(Field::Tempo, 40), 141);
  EXPECT_EQ(plain.token(Field::Tempo, 200), 157);
  EXPECT_EQ(plain.token(Field::Section, 0), 158);
}

TEST(Vocabulary, TakesEveryTokenApartAndPutsItTogether) {
  for (int64_t size : {161, 170, 442}) {
    Vocabulary vocabulary = vocabularyOf(size);
    for (int32_t token = 0; token < size; ++token) {
      TokenMeaning meaning = vocabulary.meaning(token);
      EXPECT_EQ(vocabulary.token(meaning.field, meaning.value), token);
      EXPECT_GE(token, vocabulary.begin(meaning.field));
      EXPECT_LT(token, vocabulary.end(meaning.field));
    }
  }
}

TEST(Vocabulary, NamesTokensForPeople) {
  Vocabulary vocabulary = vocabularyOf(163);
  EXPECT_EQ(vocabulary.name(0), "COND 0");
  EXPECT_EQ(vocabulary.name(vocabulary.token(Field::Bar)), "BAR");
  EXPECT_EQ(vocabulary.name(vocabulary.token(Field::Pitch, 60)), "PITCH 60");
  EXPECT_EQ(vocabulary.name(vocabulary.token(Field::Section, 1)), "SECTION mid");
}

} // namespace
