// MIDI files of every kind and of no kind: notes and tempos where the file has them, one clear error where it does not.
#include "sm1rt/music/MidiReader.h"

#include "MidiBytes.h"
#include "TestFiles.h"

#include <random>

using namespace sm1rt;
using namespace sm1test;

namespace {

constexpr int ticks = 96;

MidiFile parsed(const std::string &bytes) {
  Expected<MidiFile> file = parseMidi(bytes, "m.mid");
  EXPECT_TRUE(file) << (file ? "" : file.error().message);
  return file ? *file : MidiFile();
}

TEST(MidiReader, ReadsNotesWithProgramsAndChannels) {
  std::string track = midiEvent(0, {0xC2, 48}) + midiEvent(0, {0x92, 60, 100}) + midiEvent(0, {0x99, 36, 90}) +
                      midiEvent(96, {0x82, 60, 0}) + midiEvent(200, {0x89, 36, 64});
  MidiFile file = parsed(midiBytes(0, ticks, {track}));
  ASSERT_EQ(file.notes.size(), 2u);
  EXPECT_EQ(file.notes[0].pitch, 36);
  EXPECT_TRUE(file.notes[0].drums);
  EXPECT_EQ(file.notes[0].end, 296);
  EXPECT_EQ(file.notes[1].program, 48);
  EXPECT_EQ(file.notes[1].velocity, 100);
  EXPECT_EQ(file.notes[1].end, 96);
  EXPECT_FALSE(file.notes[1].drums);
  EXPECT_EQ(file.notes[1].trackToken, -1);
  EXPECT_EQ(file.tempos.size(), 1u);
  EXPECT_DOUBLE_EQ(file.secondsAt(96), 0.5) << "no tempo: 120 quarters a minute";
}

TEST(MidiReader, FollowsRunningStatus) {
  std::string track = midiEvent(0, {0x90, 60, 100}) + midiEvent(0, {64, 80}) + midiEvent(48, {60, 0}) + midiEvent(48, {64, 0});
  MidiFile file = parsed(midiBytes(0, ticks, {track}));
  ASSERT_EQ(file.notes.size(), 2u);
  EXPECT_EQ(file.notes[0].end, 48);
  EXPECT_EQ(file.notes[1].end, 96);
}

TEST(MidiReader, IntegratesTheTempoMapOfAllTracks) {
  std::string first = midiTempo(0, 1'000'000) + midiTempo(192, 250'000);
  std::string second = midiEvent(288, {0x90, 60, 1}) + midiEvent(96, {0x80, 60, 0});
  MidiFile file = parsed(midiBytes(1, ticks, {first, second}));
  ASSERT_EQ(file.tempos.size(), 2u);
  EXPECT_DOUBLE_EQ(file.secondsAt(96), 1);
  EXPECT_DOUBLE_EQ(file.secondsAt(file.notes.at(0).start), 2.25);
  EXPECT_DOUBLE_EQ(file.tempoAt(191).bpm(), 60);
  EXPECT_DOUBLE_EQ(file.tempoAt(192).bpm(), 240);
}

TEST(MidiReader, PlaysThePatternsOfFormat2OneAfterTheOther) {
  std::string pattern = midiEvent(0, {0x90, 60, 1}) + midiEvent(96, {0x80, 60, 0});
  MidiFile file = parsed(midiBytes(2, ticks, {pattern, pattern}));
  ASSERT_EQ(file.notes.size(), 2u);
  EXPECT_EQ(file.notes[1].start, 96);
  EXPECT_EQ(file.notes[1].end, 192);
}

TEST(MidiReader, EndsTheOldestOfOverlappingNotes) {
  std::string track = midiEvent(0, {0x90, 60, 10}) + midiEvent(10, {0x90, 60, 20}) + midiEvent(10, {0x80, 60, 0}) +
                      midiEvent(10, {0x80, 60, 0}) + midiEvent(10, {0x80, 60, 0});
  MidiFile file = parsed(midiBytes(0, ticks, {track}));
  ASSERT_EQ(file.notes.size(), 2u);
  EXPECT_EQ(file.notes[0].velocity, 10);
  EXPECT_EQ(file.notes[0].end, 20);
  EXPECT_EQ(file.notes[1].end, 30);
}

TEST(MidiReader, KeepsNotesWithoutLengthAndWithoutEnd) {
  std::string track =
      midiEvent(0, {0x90, 60, 10}) + midiEvent(0, {0x80, 60, 0}) + midiEvent(50, {0x90, 62, 10}) + midiEvent(50, {0xB0, 1, 1});
  MidiFile file = parsed(midiBytes(0, ticks, {track}));
  ASSERT_EQ(file.notes.size(), 2u);
  EXPECT_EQ(file.notes[0].end, 0);
  EXPECT_EQ(file.notes[1].end, 100);
  EXPECT_EQ(file.unendedNotes, 1);
}

TEST(MidiReader, ReadsSmpteTime) {
  std::string track = midiTempo(0, 100'000) + midiEvent(500, {0x90, 60, 1}) + midiEvent(500, {0x80, 60, 0});
  MidiFile file = parsed(midiBytes(1, 0xE728, {track}));
  EXPECT_DOUBLE_EQ(file.ticksPerQuarter, 500) << "25 frames of 40 ticks a second";
  EXPECT_DOUBLE_EQ(file.secondsAt(file.notes.at(0).start), 0.5) << "tempo has no say in SMPTE time";
}

TEST(MidiReader, PassesOverWhatIsNoMusic) {
  std::string track = midiEvent(0, {0xF0, 3, 1, 2, 0xF7}) + midiEvent(0, {0xFF, 1, 2, 'h', 'i'}) + midiTempo(0, 0) +
                      midiEvent(0, {0xFF, 0x58, 4, 3, 2, 24, 8}) + midiEvent(0, {0xE0, 0, 64}) + midiEvent(0, {0xF8}) +
                      midiEvent(0, {0x90, 60, 1}) + midiEvent(9, {0x80, 60, 0});
  std::string bytes = midiBytes(1, ticks, {track});
  bytes = bytes.substr(0, 14) + midiChunk("XFIH", "what is this") + bytes.substr(14) + "trailing";
  MidiFile file = parsed(bytes);
  EXPECT_EQ(file.notes.size(), 1u);
  EXPECT_TRUE(file.otherMetre);
  EXPECT_EQ(parsed(midiChunk("RIFF", "RMIDdata    " + bytes)).notes.size(), 1u);
}

TEST(MidiReader, ReadsTenThousandTracks) {
  std::vector<std::string> tracks(10000, midiEvent(0, {0x90, 60, 1}) + midiEvent(9, {0x80, 60, 0}));
  MidiFile file = parsed(midiBytes(1, ticks, tracks));
  EXPECT_EQ(file.notes.size(), 10000u);
  EXPECT_EQ(file.unendedNotes, 0);
}

TEST(MidiReader, RefusesWithThePlace) {
  std::string note = midiEvent(0, {0x90, 60, 1}) + midiEvent(9, {0x80, 60, 0}), good = midiBytes(1, ticks, {note, note});
  EXPECT_ERROR(parseMidi("", "m.mid"), "m.mid: not a MIDI file; it does not start with MThd");
  EXPECT_ERROR(parseMidi("<html>not music</html>", "m.mid"), "not a MIDI file");
  EXPECT_ERROR(parseMidi(good.substr(0, 10), "m.mid"), "the header is cut short");
  EXPECT_ERROR(parseMidi(good.substr(0, 14), "m.mid"), "it has 0 of the 2 tracks that its header counts; the file is cut short");
  EXPECT_ERROR(parseMidi(good.substr(0, 30), "m.mid"), "byte 22: a chunk has 12 bytes, 8 are left; the file is cut short");
  EXPECT_ERROR(parseMidi(midiBytes(3, ticks, {note}), "m.mid"), "MIDI format 3, known are 0 to 2");
  EXPECT_ERROR(parseMidi(midiBytes(1, 0, {note}), "m.mid"), "0 ticks a quarter");
  EXPECT_ERROR(parseMidi(midiBytes(1, 0xE700, {note}), "m.mid"), "0 ticks a quarter");
  EXPECT_ERROR(parseMidi(midiBytes(1, ticks, {midiEvent(0, {60, 1})}), "m.mid"), "it has 0x3c where an event has to start");
  EXPECT_ERROR(parseMidi(midiBytes(1, ticks, {note, midiEvent(0, {0x90, 60, 200})}), "m.mid"),
               "byte 42, track 1: event 0x90 has a value above 127; the file is damaged");
  EXPECT_ERROR(parseMidi(midiBytes(1, ticks, {midiEvent(0, {0xFF, 1, 99})}), "m.mid"), "meta event 0x01 has 99 bytes");
  EXPECT_ERROR(parseMidi(midiBytes(1, ticks, {bytesOf({0x80, 0x80, 0x80, 0x80, 0})}), "m.mid"), "a time without an event");
  EXPECT_ERROR(readMidi("/nowhere/m.mid"), "/nowhere/m.mid: ");
}

TEST(MidiReader, SurvivesDamage) {
  std::string note =
      midiEvent(0, {0x90, 60, 1}) + midiEvent(9, {60, 0}) + midiEvent(0, {0xFF, 1, 2, 'h', 'i'}) + midiTempo(3, 500'000);
  const std::string good = midiBytes(1, ticks, {note + note, note, note});
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(parseMidi(good.substr(0, size), "m.mid")) << size;
  std::mt19937 random(1);
  int read = 0;
  for (int round = 0; round < 50'000; ++round) {
    std::string damaged = good;
    for (int change = 0; change <= round % 4; ++change)
      damaged[random() % damaged.size()] = char(random());
    Expected<MidiFile> file = parseMidi(damaged, "m.mid");
    read += bool(file);
    for (const MidiNote &each : file ? file->notes : std::vector<MidiNote>())
      ASSERT_TRUE(each.start <= each.end && each.start >= 0 && file->secondsAt(each.start) >= 0);
  }
  EXPECT_GT(read, 1000);
}

} // namespace
