// Tokens that one launch chooses as the host orders: those that the host would choose itself, also where the host is late, fails,
// or ends one piece of a batch. Usage: sm1-orders-test DEVICE MODEL, with MODEL a package with a kernel for whole tokens.

#include "TestProgram.h"

#include "sm1rt/Generation.h"
#include "sm1rt/Model.h"
#include "sm1rt/Plan.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

using namespace sm1rt;

namespace {

std::string device, package;
constexpr size_t batch = 2;
constexpr int64_t newTokens = 6;

Expected<Model> open() {
  OpenOptions options;
  options.step = "token";
  options.device = device;
  return Model::open(package, options);
}

Model model() {
  Expected<Model> opened = open();
  if (!opened) {
    fmt::print("{}\n", opened.error().message);
    std::abort();
  }
  return std::move(*opened);
}

/// How token number `tokens.size()` of a piece is chosen: in turn from all tokens, from some, and greedily; what came before is
/// less likely.
TokenChoice choiceAfter(const std::vector<int32_t> &tokens, size_t piece, int64_t vocabulary) {
  TokenChoice choice;
  choice.last = int64_t(tokens.size()) >= newTokens; // the prompt has one
  choice.greedy = tokens.size() % 3 == 0;
  choice.temperature = 1.5;
  choice.topP = 0.98;
  choice.draw = double((tokens.size() * 37 + piece * 59 + size_t(tokens.back())) % 101) / 101;
  choice.penalty = 1.3;
  for (int32_t token : tokens)
    choice.penalised.add(token);
  if (tokens.size() % 3 == 1)
    choice.barred.add(int32_t(vocabulary / 3), int32_t(vocabulary));
  return choice;
}

/// What a generation does besides: called with each token.
using Hook = std::function<Expected<bool>(size_t piece, size_t count)>;

struct Generated {
  std::vector<std::vector<int32_t>> tokens; ///< per piece, the prompt first
  std::vector<int64_t> positions;
  std::vector<std::vector<float>> states;
  std::string error;
};

Generated generate(Model &model, const Hook &hook) {
  const int64_t vocabulary = model.plan().inputs.front().limit;
  Generated made;
  std::vector<Sequence> sequences;
  std::vector<int32_t> prompts;
  for (size_t i = 0; i < batch; ++i) {
    sequences.push_back(model.newSequence());
    prompts.push_back(int32_t(1 + i));
    made.tokens.push_back({prompts.back()});
  }
  std::vector<Piece> pieces(batch);
  for (size_t i = 0; i < batch; ++i) {
    pieces[i].sequence = &sequences[i];
    pieces[i].tokens = &prompts[i];
    pieces[i].count = 1;
  }
  Generation generation;
  generation.choose = [&](size_t piece) { return choiceAfter(made.tokens[piece], piece, vocabulary); };
  generation.take = [&](size_t piece, int32_t token) -> Expected<bool> {
    made.tokens[piece].push_back(token);
    return hook(piece, made.tokens[piece].size());
  };
  if (Expected<void> done = model.generate(pieces, generation); !done)
    made.error = done.error().message;
  for (Sequence &sequence : sequences) {
    made.positions.push_back(sequence.position());
    made.states.push_back(sequence.read(0));
  }
  return made;
}

Expected<bool> goOn(size_t, size_t) { return true; }

TEST(Orders, ChooseWhatTheHostWouldChoose) {
  Model model = ::model();
  const int64_t vocabulary = model.plan().inputs.front().limit;
  Generated made = generate(model, goOn);
  ASSERT_EQ(made.error, "");
  for (size_t piece = 0; piece < batch; ++piece) {
    ASSERT_EQ(int64_t(made.tokens[piece].size()), newTokens + 1);
    EXPECT_EQ(made.positions[piece], newTokens);
    Sequence sequence = model.newSequence();
    std::vector<int32_t> tokens = {made.tokens[piece].front()};
    while (int64_t(tokens.size()) <= newTokens) {
      Piece one;
      one.sequence = &sequence;
      one.tokens = &tokens.back();
      one.count = 1;
      one.selected = {0};
      Expected<Outputs> outputs = model.run("step", {one});
      ASSERT_TRUE(outputs) << outputs.error().message;
      Expected<int32_t> token = chooseToken(outputs->front().data(), vocabulary, choiceAfter(tokens, piece, vocabulary));
      ASSERT_TRUE(token) << token.error().message;
      tokens.push_back(*token);
    }
    EXPECT_EQ(made.tokens[piece], tokens) << "piece " << piece;
    EXPECT_EQ(made.states[piece], sequence.read(0)) << "piece " << piece;
  }
  EXPECT_NE(made.tokens[0], made.tokens[1]);
}

TEST(Orders, MayBeLate) {
  Model model = ::model();
  Generated quick = generate(model, goOn);
  Generated late = generate(model, [](size_t piece, size_t count) -> Expected<bool> {
    if (piece == 0 && count == 4)
      std::this_thread::sleep_for(std::chrono::milliseconds(800));
    return true;
  });
  EXPECT_EQ(late.error, "");
  EXPECT_EQ(late.tokens, quick.tokens);
  EXPECT_EQ(late.states, quick.states);
}

TEST(Orders, LeaveOnePieceWhereItEnds) {
  Model model = ::model();
  Generated whole = generate(model, goOn);
  Generated cut = generate(model, [](size_t piece, size_t count) -> Expected<bool> { return piece == 0 || count < 3; });
  EXPECT_EQ(cut.error, "");
  EXPECT_EQ(cut.tokens[0], whole.tokens[0]);
  EXPECT_EQ(cut.tokens[1], std::vector<int32_t>(whole.tokens[1].begin(), whole.tokens[1].begin() + 3));
  EXPECT_EQ(cut.positions, (std::vector<int64_t>{newTokens, 3})); // its last token was under way
}

TEST(Orders, EndWithTheCallersError) {
  Model model = ::model();
  Generated failed = generate(model, [](size_t piece, size_t count) -> Expected<bool> {
    if (piece == 1 && count == 3)
      return Error{"enough"};
    return true;
  });
  EXPECT_EQ(failed.error, "enough");
  Generated again = generate(model, goOn);
  EXPECT_EQ(again.error, "");
  EXPECT_EQ(int64_t(again.tokens[1].size()), newTokens + 1);
}

} // namespace

int main(int argc, char **argv) {
  std::vector<std::string> words = wordsOf(argc, argv, "sm1-orders-test DEVICE MODEL");
  device = words[0];
  package = words[1];
  skipWithout(device);
  if (Expected<Model> opened = open(); !opened && opened.error().message.find("no NVRTC") != std::string::npos)
    skipAll(opened.error().message);
  return RUN_ALL_TESTS();
}
