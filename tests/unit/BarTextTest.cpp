// Bars and chords in the words of musicians.
#include "sm1rt/music/BarText.h"
#include "sm1rt/music/Names.h"

#include <gtest/gtest.h>

using namespace sm1rt;

namespace {

const Vocabulary vocabulary = *Vocabulary::ofSize(168); // seven conditioning ids

int32_t id(Field field, int value = 0) { return vocabulary.token(field, value); }

TEST(Names, SayNotesAndBeats) {
  EXPECT_EQ(noteName(60), "C4");
  EXPECT_EQ(noteName(21), "A0");
  EXPECT_EQ(noteName(0), "C-1");
  EXPECT_EQ(noteName(70), "A#4");
  EXPECT_EQ(beatName(0), "1");
  EXPECT_EQ(beatName(6), "2&");
  EXPECT_EQ(beatName(15), "4a");
  EXPECT_STREQ(trackName(7), "organ");
  EXPECT_STREQ(programFamily(127), "sound effects");
}

TEST(Names, FindChords) {
  EXPECT_EQ(chordName({48, 55, 64, 72}), "C");
  EXPECT_EQ(chordName({57, 60, 64}), "Am");
  EXPECT_EQ(chordName({59, 62, 65, 67}), "G7/B");
  EXPECT_EQ(chordName({60, 64, 68}), "Caug"); // and not Eaug or G#aug
  EXPECT_EQ(chordName({62, 65, 68, 71}), "Ddim7");
  EXPECT_EQ(chordName({60, 65, 67}), "Csus4");
  EXPECT_EQ(chordName({60, 61, 62}), "");
  EXPECT_EQ(chordName({60, 64}), "");
  EXPECT_EQ(chordName({}), "");
}

TEST(BarText, SaysSectionTempoVoicesAndChords) {
  std::vector<int32_t> bar = {id(Field::Bar), id(Field::Section, 1), id(Field::Tempo, 120), id(Field::Position, 0),
                              id(Field::Track, 0)};
  for (int pitch : {64, 60, 67})
    for (int32_t token : {id(Field::Pitch, pitch), id(Field::Duration, 4), id(Field::Velocity, 5)})
      bar.push_back(token);
  for (int32_t token :
       {id(Field::Position, 0), id(Field::Track, 3), id(Field::Pitch, 36), id(Field::Duration, 4), id(Field::Velocity, 5),
        id(Field::Position, 7), id(Field::Track, 0), id(Field::Pitch, 71), id(Field::Duration, 1), id(Field::Velocity, 5)})
    bar.push_back(token);
  EXPECT_EQ(describeBar(bar, vocabulary), "mid    120 bpm  piano: 1 C4 E4 G4 (C)  2a B4  | bass: 1 C2");
  EXPECT_EQ(describeBar({id(Field::Bar), id(Field::Section, 0)}, vocabulary), "early  rest");
  EXPECT_EQ(describeBar({id(Field::Pitch, 60), 3}, vocabulary), "-      rest");
}

} // namespace
