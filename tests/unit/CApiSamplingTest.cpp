// Sampling through the C API is the sampler of generation: the same tokens from the same logits.
#include "sm1rt/music/Continuation.h"
#include "sm1rt/sm1rt.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <tuple>

using namespace sm1rt;

namespace {

/// Logits after a list: any function of it will do.
std::vector<float> logitsAfter(const std::vector<int32_t> &tokens, int64_t count) {
  std::mt19937 random(uint32_t(tokens.size() * 31 + size_t(tokens.back())));
  std::vector<float> logits;
  for (int64_t token = 0; token < count; ++token)
    logits.push_back(float(random() % 4000) / 500 - 4);
  return logits;
}

TEST(CApiSampling, ChoosesWhatGenerationChooses) {
  Vocabulary vocabulary = *Vocabulary::ofSize(161 + 3);
  for (uint64_t sequence : {0, 1, 9}) {
    ContinuationOptions options;
    options.grammar = false;
    options.maxTokens = 200;
    options.minTokens = 200;
    options.sampling.seed = 12345678901234567ull;
    // BAR, so that nothing is forced on the first token.
    Continuation piece = *Continuation::start(vocabulary, options, {4, 6}, sequence);
    sm1rt_sampling sampling;
    sm1rt_sampling_init(&sampling, vocabulary.size());
    sampling.seed = options.sampling.seed;
    sampling.sequence = sequence;
    while (!piece.done()) {
      std::vector<int32_t> tokens = piece.tokens();
      std::vector<float> logits = logitsAfter(tokens, vocabulary.size());
      for (int32_t barred : {0, 1, 2, vocabulary.token(Field::Pad), vocabulary.token(Field::Bos), vocabulary.token(Field::Eos)})
        logits[size_t(barred)] = -INFINITY;
      int32_t chosen = -1;
      ASSERT_EQ(sm1rt_sample(logits.data(), vocabulary.size(), &sampling, tokens.data(), tokens.size(), &chosen), 0)
          << sm1rt_last_error();
      ASSERT_EQ(chosen, *piece.append(logits.data())) << "token " << tokens.size() << " of sequence " << sequence;
    }
  }
}

TEST(CApiSampling, PenaltyIsForItsIdsAndWindow) {
  const float logits[] = {2.0f, 1.9f, -1.0f, 0.5f};
  sm1rt_sampling sampling;
  sm1rt_sampling_init(&sampling, 4);
  EXPECT_EQ(sampling.penalty_begin, sampling.penalty_end) << "no music, no pitches";
  sampling.top_p = 0; // the best that is left
  const int32_t tokens[] = {0, 3, 3};
  int32_t chosen = -1;
  auto sample = [&] { return sm1rt_sample(logits, 4, &sampling, tokens, 3, &chosen); };
  ASSERT_EQ(sample(), 0);
  EXPECT_EQ(chosen, 0);
  sampling.penalty_end = 2;
  sampling.repetition_penalty = 1.5;
  ASSERT_EQ(sample(), 0);
  EXPECT_EQ(chosen, 1);
  sampling.penalty_window = 2;
  ASSERT_EQ(sample(), 0);
  EXPECT_EQ(chosen, 0);
  sampling.greedy = 1;
  sampling.penalty_window = 3;
  ASSERT_EQ(sample(), 0);
  EXPECT_EQ(chosen, 0) << "greedy knows no penalty";
}

TEST(CApiSampling, RefusesNonsense) {
  float logits[] = {0, 1, 2};
  int32_t chosen = -7;
  sm1rt_sampling good;
  sm1rt_sampling_init(&good, 3);
  auto refused = [&](auto change, const char *says) {
    sm1rt_sampling sampling = good;
    change(sampling);
    EXPECT_EQ(sm1rt_sample(logits, 3, &sampling, nullptr, 0, &chosen), -1);
    EXPECT_NE(std::strstr(sm1rt_last_error(), says), nullptr) << sm1rt_last_error();
  };
  refused([](auto &s) { s.size = 8; }, "sm1rt_sampling_init");
  refused([](auto &s) { s.temperature = 0; }, "temperature: 0");
  refused([](auto &s) { s.top_p = 1.5; }, "top-p: 1.5");
  refused([](auto &s) { s.repetition_penalty = 0.5; }, "repetition penalty: 0.5");
  refused([](auto &s) { s.penalty_end = 4; }, "ids 0 to 4 are outside 0 to 3");
  refused([](auto &s) { s.penalty_begin = -1; }, "ids -1 to 0");
  for (auto [values, options, token, name] : {std::tuple(static_cast<float *>(nullptr), &good, &chosen, "logits"),
                                              std::tuple(logits, static_cast<sm1rt_sampling *>(nullptr), &chosen, "sampling"),
                                              std::tuple(logits, &good, static_cast<int32_t *>(nullptr), "token")}) {
    EXPECT_EQ(sm1rt_sample(values, 3, options, nullptr, 0, token), -1);
    EXPECT_EQ(sm1rt_last_error(), std::string(name) + ": null, the call needs one");
  }
  sm1rt_sampling_init(nullptr, 3);
  EXPECT_EQ(sm1rt_sample(logits, 0, &good, nullptr, 0, &chosen), -1);
  EXPECT_EQ(sm1rt_sample(logits, 3, &good, nullptr, 2, &chosen), -1);
  logits[1] = NAN;
  EXPECT_EQ(sm1rt_sample(logits, 3, &good, nullptr, 0, &chosen), -1);
  EXPECT_NE(std::strstr(sm1rt_last_error(), "token 1 has nan"), nullptr) << sm1rt_last_error();
  EXPECT_EQ(chosen, -7) << "an error leaves it alone";
}

} // namespace
