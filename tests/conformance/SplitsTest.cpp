// A sequence's bits depend on nothing but the sequence. Random cuts in time, batches, places, lengths and thread counts, each
// compared bit for bit with every sequence run alone, whole, on one thread. Usage: sm1-splits-test PACKAGE, of a model from tokens
// to logits.

#include "TestProgram.h"

#include "sm1rt/Model.h"
#include "sm1rt/Plan.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>

using namespace sm1rt;

namespace {

std::string package;
std::mt19937 generator(20); // one stream for all cases: a failure repeats

constexpr int64_t longest = 90;
constexpr int cases = 1200;

int64_t draw(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(generator); }

std::vector<int64_t> allOf(int64_t count) {
  std::vector<int64_t> rows(count);
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

Model open(int threads, int64_t rowsPerPass) {
  OpenOptions options;
  options.threads = threads;
  options.rowsPerPass = rowsPerPass;
  Expected<Model> model = Model::open(package, options);
  if (!model) {
    fmt::print("{}\n", model.error().message);
    std::abort();
  }
  return std::move(*model);
}

/// One sequence and all that came of it: the logits of every token and the state after the last.
struct Passage {
  std::vector<int32_t> tokens;
  std::vector<float> logits;
  std::vector<std::vector<float>> states;
};

/// Floats of one row of logits, the only output that is not a state.
int64_t logitsWidth(const Model &model) {
  for (const PlanPort &port : model.plan().outputs)
    if (port.kind == PlanPort::Kind::Rows)
      return port.width;
  return 0;
}

void readStates(const Model &model, const Sequence &sequence, Passage &passage) {
  passage.states.clear();
  for (size_t state = 0; state < model.plan().states.size(); ++state)
    passage.states.push_back(sequence.read(state));
}

bool sameBits(const std::vector<float> &a, const std::vector<float> &b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void expectSame(const Passage &got, const Passage &alone, const std::string &what) {
  EXPECT_TRUE(sameBits(got.logits, alone.logits)) << what << ": logits";
  for (size_t state = 0; state < alone.states.size(); ++state)
    EXPECT_TRUE(sameBits(got.states[state], alone.states[state])) << what << ": state " << state;
}

Piece pieceOf(Sequence &sequence, const Passage &passage, int64_t begin, int64_t count) {
  Piece piece;
  piece.sequence = &sequence;
  piece.tokens = passage.tokens.data() + begin;
  piece.count = count;
  piece.selected = allOf(count);
  return piece;
}

/// Sequences of random lengths with what each gives alone.
std::vector<Passage> makeAlone(int count) {
  Model model = open(1, 4096);
  const int64_t vocabulary = model.plan().inputs.front().limit;
  std::vector<Passage> passages(count);
  for (Passage &passage : passages) {
    passage.tokens.resize(draw(1, longest));
    for (int32_t &token : passage.tokens)
      token = static_cast<int32_t>(draw(0, vocabulary - 1));
    Sequence sequence = model.newSequence();
    Expected<Outputs> outputs = model.run("prefill", {pieceOf(sequence, passage, 0, passage.tokens.size())});
    if (!outputs) {
      fmt::print("{}\n", outputs.error().message);
      std::abort();
    }
    passage.logits = outputs->front();
    readStates(model, sequence, passage);
  }
  return passages;
}

/// Takes a batch of sequences through random pieces until all have ended; in a round of single tokens the entry may be `step`.
void runInPieces(Model &model, const std::vector<Passage> &alone, const std::string &what) {
  std::vector<Passage> got(alone.size());
  std::vector<Sequence> sequences;
  std::vector<int64_t> done(alone.size());
  for (size_t i = 0; i < alone.size(); ++i)
    sequences.push_back(model.newSequence());
  const int64_t longestPiece = draw(1, longest);
  const int64_t width = logitsWidth(model);

  for (size_t ended = 0; ended < alone.size();) {
    std::vector<Piece> pieces;
    std::vector<size_t> owners;
    for (size_t i = 0; i < alone.size(); ++i) {
      const int64_t left = static_cast<int64_t>(alone[i].tokens.size()) - done[i];
      if (left == 0 || draw(0, 3) == 0) // some sequences sit a round out
        continue;
      pieces.push_back(pieceOf(sequences[i], alone[i], done[i], draw(1, std::min(left, longestPiece))));
      done[i] += pieces.back().count;
      ended += pieces.back().count == left;
      owners.push_back(i);
    }
    if (pieces.empty())
      continue;
    const bool single = std::all_of(pieces.begin(), pieces.end(), [](const Piece &piece) { return piece.count == 1; });
    Expected<Outputs> outputs = model.run(single && draw(0, 1) ? "step" : "prefill", pieces);
    ASSERT_TRUE(outputs) << what << ": " << outputs.error().message;
    const std::vector<float> &logits = outputs->front();
    auto row = logits.begin();
    for (size_t piece = 0; piece < pieces.size(); ++piece) {
      std::vector<float> &mine = got[owners[piece]].logits;
      mine.insert(mine.end(), row, row + pieces[piece].count * width);
      row += pieces[piece].count * width;
    }
  }
  for (size_t i = 0; i < alone.size(); ++i) {
    readStates(model, sequences[i], got[i]);
    expectSame(got[i], alone[i], fmt::format("{}, sequence {} of {}, {} tokens", what, i, alone.size(), alone[i].tokens.size()));
  }
}

TEST(Splits, SameBitsHoweverASequenceIsCut) {
  const std::vector<Passage> alone = makeAlone(40);
  std::vector<Model> models;
  for (int threads : {1, 2, 3})
    for (int64_t rowsPerPass : {1, 7, 64, 256})
      models.push_back(open(threads, rowsPerPass));
  for (int number = 0; number < cases && !::testing::Test::HasFailure(); ++number) {
    std::vector<Passage> batch;
    for (int64_t left = draw(1, 6); left > 0; --left)
      batch.push_back(alone[draw(0, alone.size() - 1)]);
    const size_t model = draw(0, models.size() - 1);
    runInPieces(models[model], batch, fmt::format("case {}, model {}", number, model));
  }
}

TEST(Splits, AForkGoesOnAsTheOriginal) {
  const std::vector<Passage> alone = makeAlone(1);
  Model model = open(2, 64);
  Sequence sequence = model.newSequence();
  ASSERT_TRUE(model.run("prefill", {pieceOf(sequence, alone[0], 0, 1)}));
  Sequence copy = sequence.fork();
  Expected<Outputs> first = model.run("step", {pieceOf(sequence, alone[0], 0, 1)});
  Expected<Outputs> second = model.run("step", {pieceOf(copy, alone[0], 0, 1)});
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(sameBits(first->front(), second->front()));
}

} // namespace

int main(int argc, char **argv) {
  package = wordsOf(argc, argv, "sm1-splits-test PACKAGE")[0];
  return RUN_ALL_TESTS();
}
