// Songs and MIDI files: files are read back through the MIDI library and compared in seconds, as a player would hear them.
#include "sm1rt/music/MidiWriter.h"

#include <gtest/gtest.h>
#include <smf.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>

using namespace sm1rt;

namespace {

const Vocabulary vocabulary = *Vocabulary::ofSize(161);

int32_t id(Field field, int value = 0) { return vocabulary.token(field, value); }

void addNote(std::vector<int32_t> &tokens, int position, int track, int pitch, int duration, int velocity) {
  for (int32_t token : {id(Field::Position, position), id(Field::Track, track), id(Field::Pitch, pitch),
                        id(Field::Duration, duration), id(Field::Velocity, velocity)})
    tokens.push_back(token);
}

void addBar(std::vector<int32_t> &tokens, int tempo = 0) {
  tokens.push_back(id(Field::Bar));
  tokens.push_back(id(Field::Section));
  if (tempo)
    tokens.push_back(id(Field::Tempo, tempo));
}

struct HeardNote {
  double start, end;
  int channel, program, pitch, velocity;
};

struct HeardFile {
  std::vector<HeardNote> notes; ///< by start, then pitch
  double length = 0;
  int tracks = 0;
  int danglingEvents = 0; ///< offs without on, ons without off
};

struct DeleteSmf {
  void operator()(smf_t *smf) const { smf_delete(smf); }
};

/// Plays the file: what sounds when, on which channel and program.
HeardFile hear(const std::string &path) {
  HeardFile heard;
  std::unique_ptr<smf_t, DeleteSmf> smf(smf_load(path.c_str()));
  EXPECT_TRUE(smf) << path;
  if (!smf)
    return heard;
  heard.length = smf_get_length_seconds(smf.get());
  heard.tracks = smf->number_of_tracks;
  std::map<int, int> programs;
  std::map<std::pair<int, int>, HeardNote> sounding;
  while (smf_event_t *event = smf_get_next_event(smf.get())) {
    int kind = event->midi_buffer[0] & 0xF0, channel = event->midi_buffer[0] & 0x0F;
    if (smf_event_is_metadata(event))
      continue;
    std::pair<int, int> key = {channel, event->midi_buffer[1]};
    if (kind == 0xC0) {
      programs[channel] = event->midi_buffer[1];
    } else if (kind == 0x90) {
      heard.danglingEvents += int(sounding.count(key));
      sounding[key] = {event->time_seconds, 0, channel, programs[channel], key.second, event->midi_buffer[2]};
    } else if (kind == 0x80) {
      heard.danglingEvents += sounding.count(key) == 0;
      HeardNote note = sounding[key];
      note.end = event->time_seconds;
      heard.notes.push_back(note);
      sounding.erase(key);
    }
  }
  heard.danglingEvents += int(sounding.size());
  std::sort(heard.notes.begin(), heard.notes.end(),
            [](const HeardNote &a, const HeardNote &b) { return a.start != b.start ? a.start < b.start : a.pitch < b.pitch; });
  return heard;
}

class MidiWriterTest : public testing::Test {
protected:
  void SetUp() override {
    folder =
        std::filesystem::temp_directory_path() /
        ("sm1-midi-" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()) + std::to_string(std::rand()));
    std::filesystem::create_directories(folder);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  HeardFile written(const std::vector<int32_t> &tokens) {
    std::string path = (folder / "song.mid").string();
    Expected<void> done = writeMidi(readSong(tokens, vocabulary), path);
    EXPECT_TRUE(done) << (done ? "" : done.error().message);
    return hear(path);
  }

  size_t filesInFolder() const {
    return size_t(std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator()));
  }

  std::filesystem::path folder;
};

TEST_F(MidiWriterTest, NotesStandWhereTheirTokensSay) {
  std::vector<int32_t> tokens = {id(Field::Bos)};
  addBar(tokens, 120);
  addNote(tokens, 0, 0, 60, 4, 1);
  addNote(tokens, 6, 3, 36, 16, 8);
  tokens.push_back(id(Field::Eos));
  HeardFile heard = written(tokens);
  ASSERT_EQ(heard.notes.size(), 2u);
  EXPECT_EQ(heard.danglingEvents, 0);
  EXPECT_EQ(heard.tracks, 3);
  // A sixteenth at 120 quarters a minute lasts 0.125 s.
  EXPECT_DOUBLE_EQ(heard.notes[0].start, 0);
  EXPECT_NEAR(heard.notes[0].end, 0.5, 1e-9);
  EXPECT_EQ(heard.notes[0].pitch, 60);
  EXPECT_EQ(heard.notes[0].velocity, 8);
  EXPECT_EQ(heard.notes[0].program, 0);
  EXPECT_NEAR(heard.notes[1].start, 0.75, 1e-9);
  EXPECT_NEAR(heard.notes[1].end, 2.75, 1e-9);
  EXPECT_EQ(heard.notes[1].velocity, 120);
  EXPECT_EQ(heard.notes[1].program, 33);
}

TEST_F(MidiWriterTest, BarLengthFollowsTheTempoInForce) {
  std::vector<int32_t> tokens = {id(Field::Bos)};
  addBar(tokens, 120);
  addNote(tokens, 0, 7, 60, 4, 4);
  addBar(tokens, 60);
  addNote(tokens, 4, 7, 62, 4, 4);
  addBar(tokens);
  addNote(tokens, 0, 7, 64, 4, 4);
  addBar(tokens, 200);
  addNote(tokens, 0, 7, 65, 4, 4);
  HeardFile heard = written(tokens);
  ASSERT_EQ(heard.notes.size(), 4u);
  EXPECT_NEAR(heard.notes[1].start, 2 + 1, 1e-6);
  EXPECT_NEAR(heard.notes[1].end, 2 + 2, 1e-6);
  EXPECT_NEAR(heard.notes[2].start, 2 + 4, 1e-6);
  EXPECT_NEAR(heard.notes[3].start, 2 + 4 + 4, 1e-6);
  EXPECT_NEAR(heard.notes[3].end, 10 + 0.3, 1e-6);
  EXPECT_NEAR(heard.length, 10 + 1.2, 1e-6);
}

TEST_F(MidiWriterTest, EmptyBarsTakeTheirTime) {
  std::vector<int32_t> tokens = {id(Field::Bos)};
  addBar(tokens);
  addBar(tokens);
  addNote(tokens, 0, 0, 60, 1, 4);
  addBar(tokens);
  HeardFile heard = written(tokens);
  ASSERT_EQ(heard.notes.size(), 1u);
  EXPECT_NEAR(heard.notes[0].start, 2, 1e-9) << "a bar at the default tempo";
  EXPECT_NEAR(heard.length, 6, 1e-9);
}

TEST_F(MidiWriterTest, TracksHaveTheirProgramsAndDrumsTheirChannel) {
  std::vector<int32_t> tokens = {id(Field::Bos)};
  addBar(tokens);
  for (int track = 0; track < 9; ++track)
    addNote(tokens, track, track, 50 + track, 1, 4);
  HeardFile heard = written(tokens);
  ASSERT_EQ(heard.notes.size(), 9u);
  int programs[] = {0, 48, 25, 33, 0, 40, 56, 16, 0};
  for (int track = 0; track < 9; ++track) {
    EXPECT_EQ(heard.notes[size_t(track)].program, programs[track]);
    EXPECT_EQ(heard.notes[size_t(track)].channel == 9, track == 4);
  }
}

TEST_F(MidiWriterTest, ANoteStruckAgainEndsFirst) {
  std::vector<int32_t> tokens = {id(Field::Bos)};
  addBar(tokens, 60);
  addNote(tokens, 0, 0, 60, 16, 4);
  addNote(tokens, 4, 0, 60, 2, 6);
  addNote(tokens, 4, 0, 60, 8, 5);
  HeardFile heard = written(tokens);
  EXPECT_EQ(heard.danglingEvents, 0);
  ASSERT_EQ(heard.notes.size(), 2u);
  EXPECT_NEAR(heard.notes[0].end, 1, 1e-9);
  EXPECT_NEAR(heard.notes[1].start, 1, 1e-9);
  EXPECT_NEAR(heard.notes[1].end, 3, 1e-9) << "the longer of two that start together";
}

TEST_F(MidiWriterTest, LeavesNoFileWhereItCannotWrite) {
  Song song;
  song.bars = 1;
  Expected<void> noFolder = writeMidi(song, (folder / "missing" / "song.mid").string());
  ASSERT_FALSE(noFolder);
  EXPECT_NE(noFolder.error().message.find("check that its folder exists"), std::string::npos);
  std::filesystem::create_directory(folder / "taken");
  EXPECT_FALSE(writeMidi(song, (folder / "taken").string()));
  song.bars = 10'000'000;
  Expected<void> tooLong = writeMidi(song, (folder / "song.mid").string());
  ASSERT_FALSE(tooLong);
  EXPECT_NE(tooLong.error().message.find("10000000 bars"), std::string::npos);
  EXPECT_EQ(filesInFolder(), 1u);
}

TEST_F(MidiWriterTest, ReplacesAnOlderFileAndLeavesNothingBeside) {
  std::ofstream(folder / "song.mid") << "old";
  std::vector<int32_t> tokens = {id(Field::Bos)};
  addBar(tokens);
  addNote(tokens, 0, 0, 60, 1, 4);
  EXPECT_EQ(written(tokens).notes.size(), 1u);
  EXPECT_EQ(filesInFolder(), 1u);
}

TEST(ReadSong, CountsWhatItCannotHear) {
  std::vector<int32_t> tokens = {id(Field::Bos), id(Field::Pitch, 60), id(Field::Duration, 1), id(Field::Velocity, 1)};
  addBar(tokens);
  addNote(tokens, 0, 0, 60, 1, 1);
  tokens.push_back(id(Field::Pitch, 61));
  tokens.push_back(id(Field::Duration, 2));
  Song song = readSong(tokens, vocabulary);
  EXPECT_EQ(song.notes.size(), 1u);
  EXPECT_EQ(song.bars, 1);
  EXPECT_EQ(song.ignoredTokens, 5);
}

TEST(ReadSong, StopsAtEos) {
  std::vector<int32_t> tokens = {id(Field::Bos)};
  addBar(tokens);
  addNote(tokens, 0, 0, 60, 1, 1);
  tokens.push_back(id(Field::Eos));
  addBar(tokens);
  EXPECT_EQ(readSong(tokens, vocabulary).bars, 1);
}

} // namespace
