// Pictures: every note is where it belongs, and the text is XML whatever the title.
#include "sm1rt/music/PianoRoll.h"
#include "sm1rt/music/RollPicture.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

using namespace sm1rt;

namespace {

const Vocabulary vocabulary = *Vocabulary::ofSize(161);

int32_t id(Field field, int value = 0) { return vocabulary.token(field, value); }

std::vector<int32_t> smallPiece() {
  return {id(Field::Bos),         id(Field::Bar),          id(Field::Section, 0),  id(Field::Tempo, 90),   id(Field::Position, 4),
          id(Field::Track, 7),    id(Field::Pitch, 60),    id(Field::Duration, 8), id(Field::Velocity, 8), id(Field::Position, 8),
          id(Field::Track, 3),    id(Field::Pitch, 36),    id(Field::Duration, 4), id(Field::Velocity, 1), id(Field::Bar),
          id(Field::Section, 2),  id(Field::Position, 12), id(Field::Track, 7),    id(Field::Pitch, 62),   id(Field::Duration, 16),
          id(Field::Velocity, 8), id(Field::Eos)};
}

/// A rectangle that stands for a note.
struct Box {
  double x, y, width, height, opacity;
};

std::vector<Box> boxesOf(const std::string &svg) {
  std::vector<Box> boxes;
  for (size_t at = svg.find("<rect x="); at != std::string::npos; at = svg.find("<rect x=", at + 1)) {
    Box box;
    if (std::sscanf(svg.c_str() + at, "<rect x=\"%lf\" y=\"%lf\" width=\"%lf\" height=\"%lf\" rx=\"1\" opacity=\"%lf\"", &box.x,
                    &box.y, &box.width, &box.height, &box.opacity) == 5)
      boxes.push_back(box);
  }
  return boxes;
}

size_t count(const std::string &text, const std::string &part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size()))
    ++found;
  return found;
}

TEST(PianoRoll, HoldsNotesVoicesAndMarksOfTokens) {
  PianoRoll roll = rollOfTokens(smallPiece(), vocabulary);
  EXPECT_EQ(roll.bars, 3); // the last note sounds into a third
  EXPECT_EQ(roll.voices, (std::vector<std::string>{"bass", "organ"}));
  ASSERT_EQ(roll.notes.size(), 3u);
  EXPECT_EQ(roll.notes[1].start, 8);
  EXPECT_EQ(roll.notes[1].voice, 0u);
  EXPECT_EQ(roll.notes[2].start, 28);
  ASSERT_EQ(roll.marks.size(), 3u);
  EXPECT_EQ(roll.marks[0].text, "early");
  EXPECT_EQ(roll.marks[1].text, "90 bpm");
  EXPECT_EQ(roll.marks[2].text, "late");
  EXPECT_EQ(roll.marks[2].start, 16);
}

TEST(PianoRoll, KeepsTheTimeOfMidiAndNamesFamilies) {
  MidiFile file;
  file.ticksPerQuarter = 96;
  file.notes = {{5, 101, 60, 100, 0, false, -1}, {96, 192, 40, 50, 33, false, -1}, {96, 120, 38, 90, 0, true, -1}};
  file.tempos = {{0, 0, 500000}, {96, 0.5, 500001}};
  PianoRoll roll = rollOfMidi(file);
  EXPECT_EQ(roll.voices, (std::vector<std::string>{"drums", "piano", "bass"}));
  EXPECT_DOUBLE_EQ(roll.notes[0].start, 5 / 24.0);
  EXPECT_DOUBLE_EQ(roll.notes[0].length, 4);
  EXPECT_EQ(roll.marks.size(), 1u) << "the second tempo reads the same";
  EXPECT_EQ(roll.bars, 1);
}

TEST(RollPicture, PutsNotesWhereTheyBelong) {
  PianoRoll roll = rollOfTokens(smallPiece(), vocabulary);
  Expected<std::string> svg = drawRoll(roll, {"small"});
  ASSERT_TRUE(svg);
  std::vector<Box> boxes = boxesOf(*svg); // by voice: bass, organ, organ
  ASSERT_EQ(boxes.size(), 3u);
  double sixteenth = (boxes[2].x - boxes[1].x) / 24;
  EXPECT_NEAR(boxes[0].x - boxes[1].x, 4 * sixteenth, 0.02);
  EXPECT_NEAR(boxes[2].width / boxes[1].width, 2, 0.02);
  EXPECT_GT(boxes[0].y, boxes[1].y + 100);                                      // low notes lie low
  EXPECT_NEAR((boxes[0].y - boxes[1].y) / (boxes[1].y - boxes[2].y), 12, 0.01); // 24 semitones against 2
  EXPECT_GT(boxes[1].opacity, 0.9);
  EXPECT_LT(boxes[0].opacity, 0.4);
  for (const char *text : {">small<", ">organ<", ">bass<", ">C4<", ">90 bpm<", ">late<"})
    EXPECT_NE(svg->find(text), std::string::npos) << text;
}

TEST(RollPicture, BreaksNotesOverRows) {
  PianoRoll roll = rollOfTokens(smallPiece(), vocabulary);
  PictureOptions options;
  options.barsPerRow = 1;
  std::vector<Box> boxes = boxesOf(*drawRoll(roll, options));
  ASSERT_EQ(boxes.size(), 4u);
  EXPECT_NEAR(boxes[3].width / boxes[2].width, 3, 0.02); // 4 sixteenths before the bar line, 12 after
  EXPECT_GT(boxes[3].y, boxes[2].y + 50);
  EXPECT_LT(boxes[3].x, boxes[2].x);
}

TEST(RollPicture, ShowsThePartAskedFor) {
  PianoRoll roll = rollOfTokens(smallPiece(), vocabulary);
  PictureOptions options;
  options.firstBar = 2;
  options.bars = 1;
  EXPECT_EQ(boxesOf(*drawRoll(roll, options)).size(), 1u);
  options.bars = 3;
  EXPECT_EQ(drawRoll(roll, options).error().message, "it has bars 1 to 3, bars 2 to 4 were asked for");
  roll.bars = maxPictureBars + 1;
  EXPECT_NE(drawRoll(roll, {}).error().message.find("a picture has at most 2048"), std::string::npos);
  EXPECT_NE(drawRoll(PianoRoll(), {}).error().message.find("no bars"), std::string::npos);
}

TEST(RollPicture, EscapesItsTitle) {
  PianoRoll roll = rollOfTokens(smallPiece(), vocabulary);
  std::string svg = *drawRoll(roll, {"a<b> & \"\xc3\xa9\" \xff\xc3(\x01"});
  EXPECT_EQ(count(svg, "a&lt;b&gt; &amp; \"\xc3\xa9\" ?"
                       "?(?"),
            2u);
  EXPECT_EQ(count(svg, "\xff"), 0u);
}

} // namespace
