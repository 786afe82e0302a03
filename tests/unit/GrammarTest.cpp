// The grammar: what a piece may look like, what is refused and how, and that the mask says the same.
#include "sm1rt/music/Grammar.h"
#include "sm1rt/music/Continuation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

using namespace sm1rt;

namespace {

const Vocabulary vocabulary = *Vocabulary::ofSize(161);

int32_t id(Field field, int value = 0) { return vocabulary.token(field, value); }

/// A piece of our own: a chord on two tracks, an empty bar, a tempo change.
std::vector<int32_t> smallPiece() {
  return {id(Field::Bos),         id(Field::Bar),         id(Field::Section, 0),  id(Field::Tempo, 80),   id(Field::Position, 0),
          id(Field::Track, 0),    id(Field::Pitch, 60),   id(Field::Duration, 4), id(Field::Velocity, 5), id(Field::Pitch, 67),
          id(Field::Duration, 4), id(Field::Velocity, 5), id(Field::Position, 0), id(Field::Track, 3),    id(Field::Pitch, 36),
          id(Field::Duration, 8), id(Field::Velocity, 6), id(Field::Bar),         id(Field::Section, 1),  id(Field::Bar),
          id(Field::Section, 2),  id(Field::Tempo, 60),   id(Field::Position, 8), id(Field::Track, 0),    id(Field::Pitch, 72),
          id(Field::Duration, 8), id(Field::Velocity, 4), id(Field::Eos)};
}

Grammar after(const std::vector<int32_t> &tokens) {
  Grammar grammar(vocabulary);
  for (int32_t token : tokens) {
    Expected<void> accepted = grammar.accept(token);
    EXPECT_TRUE(accepted) << (accepted ? "" : accepted.error().message);
  }
  return grammar;
}

/// The ids that the mask leaves.
std::vector<int32_t> allowedIds(const Grammar &grammar, bool mayEnd = true) {
  std::vector<float> logits(161, 1.0f);
  grammar.mask(logits.data(), mayEnd);
  std::vector<int32_t> ids;
  for (int32_t token = 0; token < 161; ++token)
    if (std::isfinite(logits[size_t(token)]))
      ids.push_back(token);
  return ids;
}

TEST(Grammar, AcceptsAPieceTokenForToken) {
  Grammar grammar = after(smallPiece());
  EXPECT_TRUE(grammar.ended());
}

TEST(Grammar, FirstTokenAfterBosIsBar) { EXPECT_EQ(allowedIds(after({id(Field::Bos)})), std::vector<int32_t>{id(Field::Bar)}); }

TEST(Grammar, MaskAndAcceptAgreeAtEveryPlace) {
  std::vector<int32_t> piece = smallPiece();
  for (size_t length = 1; length < piece.size(); ++length) {
    Grammar grammar = after({piece.begin(), piece.begin() + ptrdiff_t(length)});
    std::vector<int32_t> allowed = allowedIds(grammar);
    ASSERT_FALSE(allowed.empty());
    for (int32_t token = 0; token < 161; ++token) {
      Grammar copy = grammar;
      bool listed = std::find(allowed.begin(), allowed.end(), token) != allowed.end();
      EXPECT_EQ(bool(copy.accept(token)), listed) << "after " << length << " tokens, " << vocabulary.name(token);
    }
    EXPECT_EQ(allowed.end(), std::find(allowed.begin(), allowed.end(), id(Field::Pad)));
    EXPECT_EQ(allowed.end(), std::find(allowed.begin(), allowed.end(), id(Field::Bos)));
  }
}

TEST(Grammar, PositionsDoNotRunBackwardsInsideABar) {
  std::vector<int32_t> tokens = {id(Field::Bos),      id(Field::Bar),       id(Field::Section),     id(Field::Position, 8),
                                 id(Field::Track, 0), id(Field::Pitch, 60), id(Field::Duration, 1), id(Field::Velocity, 4)};
  Grammar grammar = after(tokens);
  EXPECT_FALSE(grammar.allows(id(Field::Position, 7)));
  EXPECT_TRUE(grammar.allows(id(Field::Position, 8)));
  EXPECT_TRUE(grammar.allows(id(Field::Position, 15)));
  ASSERT_TRUE(grammar.accept(id(Field::Bar)));
  ASSERT_TRUE(grammar.accept(id(Field::Section)));
  EXPECT_TRUE(grammar.allows(id(Field::Position, 0)));
}

TEST(Grammar, EndsOnlyWhereABarMayEndAndWhenItMay) {
  std::vector<int32_t> piece = smallPiece();
  piece.pop_back();
  Grammar atEnd = after(piece);
  EXPECT_TRUE(atEnd.allows(id(Field::Eos)));
  std::vector<int32_t> barred = allowedIds(atEnd, false);
  EXPECT_EQ(barred.end(), std::find(barred.begin(), barred.end(), id(Field::Eos)));
  EXPECT_FALSE(barred.empty());
  piece.pop_back();
  EXPECT_FALSE(after(piece).allows(id(Field::Eos)));
  EXPECT_FALSE(after({id(Field::Bos), id(Field::Bar)}).allows(id(Field::Eos)));
}

TEST(Grammar, TempoStandsOnlyAfterSection) {
  EXPECT_TRUE(after({id(Field::Bos), id(Field::Bar), id(Field::Section)}).allows(id(Field::Tempo, 90)));
  EXPECT_FALSE(after({id(Field::Bos), id(Field::Bar), id(Field::Section), id(Field::Tempo, 90)}).allows(id(Field::Tempo, 90)));
}

TEST(Grammar, ConditioningIdsStandBeforeBosOnly) {
  Vocabulary conditioned = *Vocabulary::ofSize(165);
  Grammar grammar(conditioned);
  ASSERT_TRUE(grammar.accept(2));
  ASSERT_TRUE(grammar.accept(3));
  ASSERT_TRUE(grammar.accept(conditioned.token(Field::Bos)));
  EXPECT_FALSE(grammar.allows(2));
}

TEST(Grammar, NamesTheTokenThatItRefuses) {
  Grammar grammar = after({id(Field::Bos), id(Field::Bar)});
  Expected<void> refused = grammar.accept(id(Field::Pitch, 60));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "token 2: PITCH 60 (id 68) cannot come here in a piece");
  EXPECT_FALSE(grammar.accept(161));
  EXPECT_TRUE(grammar.accept(id(Field::Section, 0))) << "a refusal must not move the grammar";
}

/// Logits that depend on token and place, so that every choice differs.
std::vector<float> noisyLogits(uint64_t place) {
  std::vector<float> logits(161);
  for (size_t token = 0; token < logits.size(); ++token)
    logits[token] = float(uniformAt(99, token, place) * 8 - 4);
  return logits;
}

std::vector<int32_t> continued(const ContinuationOptions &options, uint64_t sequence) {
  Expected<Continuation> piece = Continuation::start(vocabulary, options, {id(Field::Bos)}, sequence);
  EXPECT_TRUE(piece);
  while (!piece->done())
    EXPECT_TRUE(piece->append(noisyLogits(piece->tokens().size()).data()));
  return piece->tokens();
}

TEST(Continuation, EveryPieceItMakesFollowsTheGrammar) {
  ContinuationOptions options;
  options.maxTokens = 600;
  options.minTokens = 100;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    options.sampling.seed = seed;
    std::vector<int32_t> tokens = continued(options, seed);
    EXPECT_GT(tokens.size(), 100u);
    after(tokens);
  }
}

TEST(Continuation, DependsOnSeedAndSequenceOnly) {
  ContinuationOptions options;
  options.maxTokens = 200;
  options.minTokens = 200;
  std::vector<int32_t> first = continued(options, 3);
  EXPECT_EQ(first.size(), 201u);
  EXPECT_EQ(first, continued(options, 3));
  EXPECT_NE(first, continued(options, 4));
  options.sampling.seed = 1;
  EXPECT_NE(first, continued(options, 3));
}

TEST(Continuation, GreedyMasksNothing) {
  ContinuationOptions options;
  options.greedy = true;
  options.minTokens = 5;
  std::vector<float> logits(161, 0.0f);
  logits[0] = 2;
  Expected<Continuation> piece = Continuation::start(vocabulary, options, {id(Field::Bos)}, 0);
  ASSERT_TRUE(piece);
  EXPECT_EQ(*piece->append(logits.data()), 0);
  logits[size_t(id(Field::Eos))] = 3;
  EXPECT_EQ(*piece->append(logits.data()), id(Field::Eos));
  EXPECT_TRUE(piece->endedByItself());
}

TEST(Continuation, WithoutGrammarStillStartsWithBarAndNeverPads) {
  ContinuationOptions options;
  options.grammar = false;
  std::vector<float> logits(161, 0.0f);
  logits[0] = logits[1] = 50;
  Expected<Continuation> piece = Continuation::start(vocabulary, options, {id(Field::Bos)}, 0);
  ASSERT_TRUE(piece);
  EXPECT_EQ(*piece->append(logits.data()), id(Field::Bar));
  for (int count = 0; count < 50 && !piece->done(); ++count)
    EXPECT_GT(*piece->append(logits.data()), 1);
}

TEST(Continuation, RefusesBadPromptsAndOptions) {
  ContinuationOptions options;
  auto refuses = [&](std::vector<int32_t> prompt, const std::string &reason) {
    Expected<Continuation> piece = Continuation::start(vocabulary, options, std::move(prompt), 0);
    ASSERT_FALSE(piece) << reason;
    EXPECT_NE(piece.error().message.find(reason), std::string::npos) << piece.error().message;
  };
  refuses({}, "empty");
  refuses({id(Field::Bos), 161}, "id 161, the vocabulary has 0 to 160");
  refuses(smallPiece(), "ends with EOS");
  refuses({id(Field::Bos), id(Field::Bos)}, "cannot come here");
  options.minTokens = options.maxTokens + 1;
  refuses({id(Field::Bos)}, "min tokens");
  options.minTokens = 0;
  options.sampling.temperature = 0;
  refuses({id(Field::Bos)}, "temperature");
}

} // namespace
