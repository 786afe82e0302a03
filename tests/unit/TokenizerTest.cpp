// The two sets of rules note by note, and that v1 is undone by the writer: notes to tokens to MIDI to tokens.
#include "sm1rt/music/Tokenizer.h"

#include "MidiBytes.h"
#include "TestFiles.h"
#include "sm1rt/music/Grammar.h"
#include "sm1rt/music/MidiWriter.h"
#include "sm1rt/music/Song.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <random>
#include <tuple>

using namespace sm1rt;
using namespace sm1test;

namespace {

const Vocabulary vocabulary = *Vocabulary::ofSize(161 + 5);

/// A file with 4 ticks a sixteenth.
constexpr double ticksPerQuarter = 16;

MidiFile fileOf(std::vector<MidiNote> notes) {
  MidiFile file;
  file.ticksPerQuarter = ticksPerQuarter;
  file.tempos = {{0, 0, 500'000}};
  file.notes = std::move(notes);
  return file;
}

MidiNote note(int64_t start, int64_t end, int pitch = 60, int program = 0) { return {start, end, pitch, 64, program, false, -1}; }

Tokenized tokenized(const MidiFile &file, Tokenizer tokenizer) {
  Expected<Tokenized> result = tokenize(file, vocabulary, tokenizer);
  EXPECT_TRUE(result) << (result ? "" : result.error().message);
  Grammar grammar(vocabulary);
  for (int32_t token : result->tokens)
    EXPECT_TRUE(grammar.accept(token)) << vocabulary.name(token);
  EXPECT_TRUE(grammar.ended());
  return *result;
}

/// "BOS, BAR, SECTION late, …"
std::string said(const MidiFile &file, Tokenizer tokenizer) {
  std::vector<std::string> names;
  for (int32_t token : tokenized(file, tokenizer).tokens)
    names.push_back(vocabulary.name(token));
  return fmt::format("{}", fmt::join(names, ", "));
}

using NoteKey = std::tuple<int64_t, int, int, int, int>;

std::vector<NoteKey> notesOf(const std::vector<int32_t> &tokens) {
  std::vector<NoteKey> notes;
  for (const Note &each : readSong(tokens, vocabulary).notes)
    notes.emplace_back(each.start, each.duration, each.track, each.pitch, each.velocity);
  return notes;
}

TEST(Tokenizer, SaysANote) {
  MidiFile file = fileOf({note(8, 16), note(8, 12, 64)});
  for (Tokenizer tokenizer : {Tokenizer::V0, Tokenizer::V1})
    EXPECT_EQ(said(file, tokenizer), "BOS, BAR, SECTION early, TEMPO 120, POS 2, TRACK 0, PITCH 60, DUR 2, VEL 5, PITCH 64, DUR 1, "
                                     "VEL 5, EOS");
  EXPECT_EQ(toString(tokenized(file, Tokenizer::V1).report), "");
}

TEST(Tokenizer, MapsProgramsByTheFirstRuleThatFits) {
  int programs[] = {7, 24, 35, 43, 44, 48, 56, 64, 16, 88, 104, 8, 127}, tracks[] = {0, 0, 2, 3, 5, 1, 0, 6, 7, 1, 0, 8, 8};
  for (size_t index = 0; index < std::size(programs); ++index) {
    std::vector<int32_t> tokens = tokenized(fileOf({note(0, 4, 60, programs[index])}), Tokenizer::V0).tokens;
    EXPECT_EQ(std::get<2>(notesOf(tokens).at(0)), tracks[index]) << programs[index];
  }
  MidiFile drums = fileOf({note(0, 4)});
  drums.notes[0].drums = true;
  EXPECT_EQ(std::get<2>(notesOf(tokenized(drums, Tokenizer::V0).tokens).at(0)), 4);
}

TEST(Tokenizer, RoundsPastABarLine) {
  MidiFile file = fileOf({note(0, 4), note(63, 67)});
  EXPECT_EQ(std::get<0>(notesOf(tokenized(file, Tokenizer::V0).tokens).at(1)), 0) << "the published defect";
  EXPECT_EQ(std::get<0>(notesOf(tokenized(file, Tokenizer::V1).tokens).at(1)), 16);
  EXPECT_EQ(toString(tokenized(file, Tokenizer::V0).report), "1 start moved to the grid, 1 note a bar early");
  EXPECT_EQ(toString(tokenized(file, Tokenizer::V1).report), "1 start moved to the grid");
}

TEST(Tokenizer, KeepsEmptyBarsInV1) {
  MidiFile file = fileOf({note(64, 68), note(256, 260)});
  EXPECT_EQ(tokenized(file, Tokenizer::V0).bars, 2);
  EXPECT_EQ(tokenized(file, Tokenizer::V1).bars, 5);
  EXPECT_EQ(
      said(file, Tokenizer::V1),
      "BOS, BAR, SECTION early, TEMPO 120, BAR, SECTION early, POS 0, TRACK 0, PITCH 60, DUR 1, VEL 5, BAR, SECTION mid, BAR, "
      "SECTION late, BAR, SECTION late, POS 0, TRACK 0, PITCH 60, DUR 1, VEL 5, EOS");
}

TEST(Tokenizer, FollowsTheTempoMapInV1) {
  // A bar at 120 (2 s), then at 60: v0 divides 2 s by the new sixteenth of 0.25 s and is half a bar early.
  MidiFile file = fileOf({note(0, 4), note(64, 68)});
  file.tempos.push_back({64, 2, 1'000'000});
  EXPECT_EQ(std::get<0>(notesOf(tokenized(file, Tokenizer::V0).tokens).at(1)), 8);
  EXPECT_EQ(std::get<0>(notesOf(tokenized(file, Tokenizer::V1).tokens).at(1)), 16);
  EXPECT_NE(said(file, Tokenizer::V1).find("SECTION late, TEMPO 60, POS 0"), std::string::npos);
}

TEST(Tokenizer, CountsTemposThatItCannotSay) {
  MidiFile file = fileOf({note(0, 4), note(128, 132)});
  file.tempos = {{0, 0, 60'000'000 / 123}, {64, 2, 60'000'000 / 300}, {96, 3, 60'000'000 / 130}};
  EXPECT_EQ(toString(tokenized(file, Tokenizer::V1).report), "2 tempos rounded, 1 tempo change moved to the next bar");
  EXPECT_NE(said(file, Tokenizer::V1)
                .find("TEMPO 120, POS 0, TRACK 0, PITCH 60, DUR 1, VEL 5, BAR, SECTION mid, TEMPO 200, BAR, "
                      "SECTION late, TEMPO 130"),
            std::string::npos);
}

TEST(Tokenizer, ClampsAndSplits) {
  MidiFile file = fileOf({note(16, 16 + 36 * 4, 10), note(20, 20, 120)});
  Tokenized v0 = tokenized(file, Tokenizer::V0), v1 = tokenized(file, Tokenizer::V1);
  EXPECT_EQ(toString(v0.report), "1 duration rounded, 2 pitches clamped to 21-108, 1 note shortened");
  EXPECT_EQ(toString(v1.report), "1 duration rounded, 2 pitches clamped to 21-108, 1 long note struck again at bar lines");
  EXPECT_EQ(notesOf(v0.tokens), (std::vector<NoteKey>{{4, 16, 0, 21, 72}, {5, 1, 0, 108, 72}}));
  EXPECT_EQ(notesOf(v1.tokens),
            (std::vector<NoteKey>{{4, 12, 0, 21, 72}, {5, 1, 0, 108, 72}, {16, 16, 0, 21, 72}, {32, 8, 0, 21, 72}}));
}

TEST(Tokenizer, SoundsAKeyOnceAtATimeInV1) {
  MidiFile file = fileOf({note(0, 16), note(0, 32), note(16, 24)});
  Tokenized v1 = tokenized(file, Tokenizer::V1);
  EXPECT_EQ(notesOf(v1.tokens), (std::vector<NoteKey>{{0, 4, 0, 60, 72}, {4, 2, 0, 60, 72}}));
  EXPECT_EQ(toString(v1.report), "1 note shortened, 1 doubled note left out");
  EXPECT_EQ(notesOf(tokenized(file, Tokenizer::V0).tokens).size(), 3u);
}

TEST(Tokenizer, RefusesSilenceAndWhatNeverEnds) {
  EXPECT_ERROR(tokenize(fileOf({}), vocabulary, Tokenizer::V1), "it has no notes");
  for (Tokenizer tokenizer : {Tokenizer::V0, Tokenizer::V1})
    EXPECT_ERROR(tokenize(fileOf({note(int64_t(1) << 50, int64_t(1) << 50)}), vocabulary, tokenizer), "at most 32768 are read");
}

TEST(Tokenizer, PutsThePrefixInFront) {
  Expected<Tokenized> result = tokenize(fileOf({note(0, 4)}), vocabulary, Tokenizer::V1, {2, 4});
  ASSERT_OK(result);
  EXPECT_EQ(std::vector<int32_t>(result->tokens.begin(), result->tokens.begin() + 3), (std::vector<int32_t>{2, 4, 5 + 1}));
}

TEST(Tokenizer, KeepsFirstBars) {
  std::vector<int32_t> tokens = tokenized(fileOf({note(0, 4), note(64, 68)}), Tokenizer::V1).tokens;
  Expected<std::vector<int32_t>> one = firstBars(tokens, vocabulary, 1), two = firstBars(tokens, vocabulary, 2);
  ASSERT_OK(one);
  ASSERT_OK(two);
  EXPECT_EQ(notesOf(*one).size(), 1u);
  EXPECT_EQ(two->size() + 1, tokens.size());
  EXPECT_ERROR(firstBars(tokens, vocabulary, 3), "it has 2 bars, 3 were asked for");
}

/// Any music that the vocabulary can say and that strikes no key that still sounds.
std::vector<int32_t> randomPiece(std::mt19937 &random) {
  auto draw = [&](int count) { return int(random() % unsigned(count)); };
  std::vector<int32_t> tokens = {vocabulary.token(Field::Bos)};
  std::vector<int64_t> free(9 * 128, 0);
  for (int64_t bar = 0; bar < 12; ++bar) {
    tokens.push_back(vocabulary.token(Field::Bar));
    tokens.push_back(vocabulary.token(Field::Section, bar < 4 ? 0 : bar < 8 ? 1 : 2));
    if (bar == 0 || draw(4) == 0)
      tokens.push_back(vocabulary.token(Field::Tempo, 40 + 10 * draw(17)));
    for (int position = 0; position < 16; ++position)
      for (int track = 0; track < 9; ++track) {
        int pitch = 21 + draw(88), duration = 1 + draw(16);
        int64_t start = bar * 16 + position, &next = free[size_t(track * 128 + pitch)];
        if (draw(8) != 0 || start < next)
          continue;
        next = start + duration;
        for (int32_t token : {vocabulary.token(Field::Position, position), vocabulary.token(Field::Track, track),
                              vocabulary.token(Field::Pitch, pitch), vocabulary.token(Field::Duration, duration),
                              vocabulary.token(Field::Velocity, 1 + draw(8))})
          tokens.push_back(token);
      }
  }
  tokens.push_back(vocabulary.token(Field::Eos));
  return tokens;
}

TEST(Tokenizer, KeepsEveryNoteOnTheWayThroughMidi) {
  TemporaryFolder folder;
  std::mt19937 random(3);
  for (int round = 0; round < 20; ++round) {
    std::vector<int32_t> piece = randomPiece(random);
    Song song = readSong(piece, vocabulary);
    ASSERT_OK(writeMidi(song, folder.file("p.mid")));
    Expected<MidiFile> file = readMidi(folder.file("p.mid"));
    ASSERT_OK(file);
    Tokenized back = tokenized(*file, Tokenizer::V1);
    ASSERT_GT(song.notes.size(), 100u);
    EXPECT_EQ(notesOf(back.tokens), notesOf(piece));
    EXPECT_EQ(toString(back.report), "");
    // Tempos too, but for those that are said again without a change.
    std::vector<std::pair<int64_t, int>> tempos[2];
    for (const TempoChange &tempo : song.tempos)
      if (tempos[0].empty() || tempos[0].back().second != tempo.bpm)
        tempos[0].emplace_back(tempo.start, tempo.bpm);
    for (const TempoChange &tempo : readSong(back.tokens, vocabulary).tempos)
      tempos[1].emplace_back(tempo.start, tempo.bpm);
    EXPECT_EQ(tempos[0], tempos[1]);
  }
}

// A few kilobytes of MIDI must not become gigabytes of tokens.
TEST(TokenizerTest, RefusesALongNoteOnEveryKey) {
  std::vector<MidiNote> notes;
  for (int program : {0, 16, 24, 32, 40, 48, 56, 64, 72})
    for (int pitch = 21; pitch <= 108; ++pitch)
      notes.push_back(note(0, 32767 * 64, pitch, program));
  Expected<Tokenized> refused = tokenize(fileOf(notes), vocabulary, Tokenizer::V1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "cut at bar lines it has more than 6000000 notes; cut it into shorter pieces");
}

} // namespace
