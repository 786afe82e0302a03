// Sampling: the random numbers are the published ones, and each knob does what its text says.
#include "sm1rt/music/Sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

using namespace sm1rt;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// Known answers of the generator's authors (Random123, kat_vectors, philox4x32 10).
TEST(Philox, GivesThePublishedAnswers) {
  using Counter = std::array<uint32_t, 4>;
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}), (Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(UniformAt, IsSpreadOverTheUnitIntervalAndTellsPlacesApart) {
  double sum = 0, smallest = 1, largest = 0;
  std::set<double> seen;
  for (uint64_t position = 0; position < 10000; ++position) {
    double value = uniformAt(7, 2, position);
    sum += value;
    smallest = std::min(smallest, value);
    largest = std::max(largest, value);
    seen.insert(value);
  }
  EXPECT_NEAR(sum / 10000, 0.5, 0.01);
  EXPECT_GE(smallest, 0);
  EXPECT_LT(smallest, 0.01);
  EXPECT_LT(largest, 1);
  EXPECT_GT(largest, 0.99);
  EXPECT_EQ(seen.size(), 10000u);
  EXPECT_NE(uniformAt(7, 2, 0), uniformAt(7, 3, 0));
  EXPECT_NE(uniformAt(7, 2, 0), uniformAt(8, 2, 0));
  EXPECT_NE(uniformAt(7, 2, 0), uniformAt(7, 2, uint64_t(1) << 32));
}

/// How often each of the tokens comes out of 20,000 draws.
std::vector<double> frequencies(const std::vector<float> &logits, const SamplingOptions &options) {
  constexpr int draws = 20000;
  std::vector<double> counts(logits.size(), 0);
  for (int draw = 0; draw < draws; ++draw)
    counts[size_t(*sampleToken(logits.data(), int64_t(logits.size()), options, uniformAt(1, 0, uint64_t(draw))))] += 1.0 / draws;
  return counts;
}

SamplingOptions plain() {
  SamplingOptions options;
  options.temperature = 1;
  options.topP = 1;
  return options;
}

TEST(SampleToken, DrawsWithTheProbabilitiesOfTheLogits) {
  std::vector<float> logits = {std::log(0.1f), std::log(0.6f), -infinity, std::log(0.3f)};
  std::vector<double> counts = frequencies(logits, plain());
  EXPECT_NEAR(counts[0], 0.1, 0.01);
  EXPECT_NEAR(counts[1], 0.6, 0.015);
  EXPECT_EQ(counts[2], 0);
  EXPECT_NEAR(counts[3], 0.3, 0.015);
}

TEST(SampleToken, TemperatureDividesLogits) {
  SamplingOptions options = plain();
  options.temperature = 0.5;
  std::vector<double> counts = frequencies({std::log(0.25f), std::log(0.75f)}, options);
  EXPECT_NEAR(counts[1], 0.9, 0.01);
}

// Masses before the tokens, best first: 0, 0.5, 0.8, 0.95.
TEST(SampleToken, TopPKeepsATokenWhileTheMassBeforeItIsAtMostP) {
  std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.15f), std::log(0.05f)};
  auto kept = [&](double topP) {
    SamplingOptions options = plain();
    options.topP = topP;
    int count = 0;
    for (double frequency : frequencies(logits, options))
      count += frequency > 0;
    return count;
  };
  EXPECT_EQ(kept(0.0), 1);
  EXPECT_EQ(kept(0.49), 1);
  EXPECT_EQ(kept(0.51), 2);
  EXPECT_EQ(kept(0.79), 2);
  EXPECT_EQ(kept(0.81), 3);
  EXPECT_EQ(kept(0.94), 3);
  EXPECT_EQ(kept(0.96), 4);
  EXPECT_EQ(kept(1.0), 4);
}

TEST(SampleToken, TopPIsRenormalised) {
  SamplingOptions options = plain();
  options.topP = 0.6;
  std::vector<double> counts = frequencies({std::log(0.5f), std::log(0.3f), std::log(0.2f)}, options);
  EXPECT_NEAR(counts[0], 0.625, 0.015);
  EXPECT_NEAR(counts[1], 0.375, 0.015);
  EXPECT_EQ(counts[2], 0);
}

TEST(SampleToken, RefusesLogitsThatAreNoNumbers) {
  for (float bad : {std::nanf(""), infinity}) {
    std::vector<float> logits = {0, bad, 1};
    EXPECT_FALSE(sampleToken(logits.data(), 3, plain(), 0.5));
    EXPECT_FALSE(argmax(logits.data(), 3));
  }
  std::vector<float> none = {-infinity, -infinity};
  EXPECT_FALSE(sampleToken(none.data(), 2, plain(), 0.5));
}

TEST(Argmax, TakesTheSmallestIdAmongEquals) {
  std::vector<float> logits = {-3, 2, 1, 2};
  EXPECT_EQ(*argmax(logits.data(), 4), 1);
}

TEST(PenaliseRepetition, LowersPositiveAndNegativeLogitsOfRecentPitches) {
  Vocabulary vocabulary = *Vocabulary::ofSize(161);
  int32_t high = vocabulary.token(Field::Pitch, 80), low = vocabulary.token(Field::Pitch, 40),
          old = vocabulary.token(Field::Pitch, 50);
  int32_t bar = vocabulary.token(Field::Bar);
  std::vector<int32_t> tokens = {old, high, bar, low, high};
  std::vector<float> logits(161, 3.0f);
  logits[size_t(low)] = -2.0f;
  penaliseRepetition(logits.data(), tokens, vocabulary, 1.08, 4);
  EXPECT_FLOAT_EQ(logits[size_t(high)], 3.0f / 1.08f) << "once, however often it occurred";
  EXPECT_FLOAT_EQ(logits[size_t(low)], -2.0f * 1.08f);
  EXPECT_EQ(logits[size_t(old)], 3.0f) << "outside the window";
  EXPECT_EQ(logits[size_t(bar)], 3.0f) << "not a pitch";
}

TEST(CheckSamplingOptions, NamesTheOptionOutOfRange) {
  auto complaint = [](auto change) {
    SamplingOptions options;
    change(options);
    Expected<void> checked = checkSamplingOptions(options);
    return checked ? std::string() : checked.error().message;
  };
  EXPECT_EQ(complaint([](SamplingOptions &) {}), "");
  EXPECT_NE(complaint([](SamplingOptions &options) { options.temperature = -1; }).find("temperature: -1"), std::string::npos);
  EXPECT_NE(complaint([](SamplingOptions &options) { options.topP = 1.5; }).find("top-p: 1.5"), std::string::npos);
  EXPECT_NE(complaint([](SamplingOptions &options) { options.repetitionPenalty = 0.5; }).find("penalty: 0.5"), std::string::npos);
  EXPECT_NE(complaint([](SamplingOptions &options) { options.temperature = std::nan(""); }), "");
}

} // namespace
