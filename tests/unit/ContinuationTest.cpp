// Pieces in the making: length and form as asked for whatever the model wants, and a penalty that knows its own piece only.
#include "sm1rt/music/Continuation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

using namespace sm1rt;

namespace {

const Vocabulary vocabulary = *Vocabulary::ofSize(161);

int32_t id(Field field, int value = 0) { return vocabulary.token(field, value); }

/// Goes on until done with logits that are zero but for `wanted`.
std::vector<int32_t> play(const ContinuationOptions &options, int32_t wanted, float logit,
                          std::vector<int32_t> prompt = {id(Field::Bos)}, uint64_t sequence = 0) {
  Expected<Continuation> piece = Continuation::start(vocabulary, options, std::move(prompt), sequence);
  EXPECT_TRUE(piece) << (piece ? "" : piece.error().message);
  std::vector<float> logits(161, 0.0f);
  logits[size_t(wanted)] = logit;
  while (piece && !piece->done())
    EXPECT_TRUE(piece->append(logits.data()));
  return piece ? piece->tokens() : std::vector<int32_t>();
}

int64_t barsOf(const std::vector<int32_t> &tokens) { return std::count(tokens.begin(), tokens.end(), id(Field::Bar)); }

std::vector<int> sectionsOf(const std::vector<int32_t> &tokens) {
  std::vector<int> sections;
  for (int32_t token : tokens)
    if (TokenMeaning meaning = vocabulary.meaning(token); meaning.field == Field::Section)
      sections.push_back(meaning.value);
  return sections;
}

ContinuationOptions barOptions(int64_t bars) {
  ContinuationOptions options;
  options.bars = bars;
  options.maxTokens = 20000;
  options.sampling.topP = 1;
  return options;
}

std::string refusal(const ContinuationOptions &options) {
  Expected<Continuation> piece = Continuation::start(vocabulary, options, {id(Field::Bos)}, 0);
  return piece ? "" : piece.error().message;
}

// A model that would always end, one that would never end a bar otherwise than by another, one that likes neither.
TEST(Bars, AreAsManyAsAskedForWhateverTheModelWants) {
  for (bool grammar : {true, false})
    for (int32_t wanted : {id(Field::Eos), id(Field::Bar), id(Field::Position, 3)}) {
      ContinuationOptions options = barOptions(5);
      options.grammar = grammar;
      std::vector<int32_t> tokens = play(options, wanted, 6);
      EXPECT_EQ(barsOf(tokens), 5) << vocabulary.name(wanted) << (grammar ? "" : ", no grammar");
      EXPECT_EQ(tokens.back(), id(Field::Eos));
    }
}

TEST(Bars, CountFromThePromptOn) {
  std::vector<int32_t> prompt = {id(Field::Bos), id(Field::Bar), id(Field::Section, 2), id(Field::Bar), id(Field::Section, 2)};
  std::vector<int32_t> tokens = play(barOptions(3), id(Field::Bar), 6, prompt);
  EXPECT_EQ(barsOf(tokens), 5);
}

// Notes that the model would rather not write do not fill the place of an end that may not come: its probability goes to BAR.
TEST(Bars, GiveTheProbabilityOfAnEndToTheNextBar) {
  std::vector<int32_t> tokens = play(barOptions(200), id(Field::Eos), 12);
  EXPECT_EQ(barsOf(tokens), 200);
  EXPECT_LT(std::count(tokens.begin(), tokens.end(), id(Field::Track, 0)), 5);
}

TEST(Bars, StopAtMaxTokens) {
  ContinuationOptions options = barOptions(50);
  options.maxTokens = 30;
  EXPECT_EQ(play(options, id(Field::Bar), 6).size(), 31u);
}

TEST(Sections, StandAsAskedFor) {
  ContinuationOptions options = barOptions(6);
  options.sections = {0, 0, 1, 2, 2, 2};
  EXPECT_EQ(sectionsOf(play(options, id(Field::Section, 1), 9)), options.sections);
  EXPECT_NE(sectionsOf(play(barOptions(6), id(Field::Section, 1), 9)), options.sections);
}

TEST(Form, IsRefusedWhereItCannotBeKept) {
  ContinuationOptions options = barOptions(2);
  options.sections = {0};
  EXPECT_EQ(refusal(options), "sections: 1 of them for 2 bars; every new bar has one");
  options.sections = {0, 3};
  EXPECT_EQ(refusal(options), "sections: 3, there are 0 to 2");
  options.sections = {0, 2};
  EXPECT_EQ(refusal(options), "");
  options.grammar = false;
  EXPECT_NE(refusal(options).find("without the grammar"), std::string::npos);
  options = barOptions(2);
  options.greedy = true;
  EXPECT_NE(refusal(options).find("masks nothing"), std::string::npos);
  EXPECT_NE(refusal(barOptions(-1)).find("bars: -1"), std::string::npos);
}

/// A bar up to a TRACK, after notes of `pitch`.
std::vector<int32_t> promptWith(int pitch, int notes) {
  std::vector<int32_t> tokens = {id(Field::Bos), id(Field::Bar), id(Field::Section, 0)};
  for (int note = 0; note < notes; ++note)
    for (int32_t token :
         {id(Field::Position, 0), id(Field::Track, 0), id(Field::Pitch, pitch), id(Field::Duration, 1), id(Field::Velocity, 4)})
      tokens.push_back(token);
  tokens.push_back(id(Field::Position, 4));
  tokens.push_back(id(Field::Track, 0));
  return tokens;
}

/// How often `pitch` follows `prompt` in a thousand draws.
int countPitch(const std::vector<int32_t> &prompt, int pitch, double penalty, int64_t window) {
  ContinuationOptions options;
  options.maxTokens = 1;
  options.sampling.topP = 1;
  options.sampling.temperature = 1;
  options.sampling.repetitionPenalty = penalty;
  options.sampling.penaltyWindow = window;
  int count = 0;
  for (uint64_t sequence = 0; sequence < 1000; ++sequence)
    count += play(options, id(Field::Pitch, pitch), 4, prompt, sequence).back() == id(Field::Pitch, pitch);
  return count;
}

TEST(RepetitionPenalty, LooksBackOnItsOwnPieceWithinTheWindow) {
  int free = countPitch(promptWith(50, 3), 60, 4, 256), penalised = countPitch(promptWith(60, 3), 60, 4, 256);
  EXPECT_GT(free, 300);      // e^4 against 87 others
  EXPECT_LT(penalised, 100); // e^1
  EXPECT_EQ(countPitch(promptWith(60, 3), 60, 4, 4), free) << "the note lies before the window";
  EXPECT_EQ(countPitch(promptWith(60, 3), 60, 4, 0), free);
  EXPECT_EQ(countPitch(promptWith(60, 3), 60, 1, 256), free);
}

TEST(RepetitionPenalty, RefusesAWindowBelowZero) {
  ContinuationOptions options;
  options.sampling.penaltyWindow = -1;
  EXPECT_EQ(refusal(options), "penalty window: -1, must be at least 0 (0 switches the penalty off)");
}

} // namespace
