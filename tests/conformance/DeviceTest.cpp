// What only shows at length and at size, on any device: a long generation in another place of a batch, and rows past 2^31 elements.
// Usage: sm1-device-test DEVICE MODEL PARAMS TOKENS WIDE ROWS, with MODEL an external package from tokens to logits, WIDE the
// package of specs/wide.mlir, TOKENS the length of the generation and ROWS how many rows come before those that are looked at (0:
// no such test).

#include "TestProgram.h"

#include "sm1rt/Model.h"
#include "sm1rt/Plan.h"
#include "sm1rt/Safetensors.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <random>

using namespace sm1rt;

namespace {

std::string device, package, params, widePackage;
int64_t newTokens, rowsBefore;

Model open(const std::string &path, const std::string &weights, int64_t rowsPerPass = 0) {
  OpenOptions options;
  options.step = "kernels"; // which serve batches of every size with the same bits
  options.device = device;
  options.params = weights;
  options.rowsPerPass = rowsPerPass;
  Expected<Model> model = Model::open(path, options);
  if (!model) {
    fmt::print("{}\n", model.error().message);
    std::abort();
  }
  return std::move(*model);
}

Piece pieceOf(Sequence &sequence, const int32_t *tokens, int64_t count) {
  Piece piece;
  piece.sequence = &sequence;
  piece.tokens = tokens;
  piece.count = count;
  piece.selected = {count - 1};
  return piece;
}

bool sameBits(const std::vector<float> &a, const std::vector<float> &b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// A generation by likeliest tokens: the tokens, and the states at its end.
struct Generated {
  std::vector<int32_t> tokens;
  std::vector<std::vector<float>> states;
};

/// Sequence `place` of `batch` generates; the others are fed tokens that have nothing to do with it.
Generated generate(Model &model, size_t batch, size_t place) {
  const int64_t vocabulary = model.plan().inputs.front().limit;
  std::vector<Sequence> sequences;
  std::vector<int32_t> next(batch, 1);
  for (size_t i = 0; i < batch; ++i)
    sequences.push_back(model.newSequence());
  Generated generated;
  for (int64_t position = 0; position < newTokens; ++position) {
    std::vector<Piece> pieces;
    for (size_t i = 0; i < batch; ++i)
      pieces.push_back(pieceOf(sequences[i], &next[i], 1));
    Expected<Outputs> outputs = model.run("step", pieces);
    if (!outputs) {
      ADD_FAILURE() << outputs.error().message;
      return generated;
    }
    const float *logits = outputs->front().data() + place * size_t(vocabulary);
    for (size_t i = 0; i < batch; ++i)
      next[i] = int32_t((position * 7919 + int64_t(i) * 31 + 5) % vocabulary);
    // The likeliest of a window that moves, so that the piece does not end up in a loop.
    int64_t window = position % 7 * vocabulary / 8, width = std::max<int64_t>(vocabulary / 8, 1);
    next[place] = int32_t(std::max_element(logits + window, logits + window + width) - logits);
    generated.tokens.push_back(next[place]);
  }
  for (size_t state = 0; state < model.plan().states.size(); ++state)
    generated.states.push_back(sequences[place].read(state));
  return generated;
}

TEST(Device, ALongGenerationIsTheSameInAnotherPlace) {
  Model model = open(package, params);
  fmt::print("{}, {} tokens\n", model.deviceName(), newTokens);
  Generated alone = generate(model, 1, 0), among = generate(model, 6, 4);
  EXPECT_EQ(alone.tokens, among.tokens);
  for (size_t state = 0; state < alone.states.size(); ++state)
    EXPECT_TRUE(sameBits(alone.states[state], among.states[state])) << "state " << state;
  EXPECT_GT(*std::max_element(alone.tokens.begin(), alone.tokens.end()), 0);
}

/// Random weights for specs/wide.mlir.
std::string wideParams() {
  std::string path =
      (std::filesystem::temp_directory_path() / fmt::format("sm1-wide-{}.safetensors", std::random_device()())).string();
  std::vector<TensorDeclaration> tensors{
      {"embed.weight", {DType::F32, {64, 4096}}}, {"norm.weight", {DType::F32, {4096}}}, {"head.weight", {DType::F32, {16, 4096}}}};
  Expected<SafetensorsWriter> writer = SafetensorsWriter::create(path, tensors, {});
  std::mt19937 generator(3);
  std::normal_distribution<float> normal;
  for (const TensorDeclaration &tensor : tensors) {
    std::vector<float> values(*elementCount(tensor.type.shape));
    std::generate(values.begin(), values.end(), [&] { return normal(generator); });
    (void)writer->write(tensor.name, values.data(), values.size() * sizeof(float));
  }
  (void)writer->commit();
  return path;
}

TEST(Device, RowsPast31BitsOfElements) {
  if (rowsBefore == 0)
    GTEST_SKIP() << "no rows asked for";
  constexpr int64_t own = 1000;
  std::string weights = wideParams();
  Model model = open(widePackage, weights, /*rowsPerPass=*/1 << 20);
  std::vector<int32_t> before(size_t(rowsBefore), 0), tokens(own);
  for (size_t i = 0; i < before.size(); ++i)
    before[i] = int32_t(i * 13 % 64);
  for (size_t i = 0; i < tokens.size(); ++i)
    tokens[i] = int32_t(i * 29 % 61);
  Sequence alone = model.newSequence(), first = model.newSequence(), second = model.newSequence();
  Expected<Outputs> small = model.run("prefill", {pieceOf(alone, tokens.data(), own)});
  ASSERT_TRUE(small) << small.error().message;
  Expected<Outputs> large = model.run("prefill", {pieceOf(first, before.data(), rowsBefore), pieceOf(second, tokens.data(), own)});
  ASSERT_TRUE(large) << large.error().message;
  fmt::print("{}, {} rows of 4096: {:.2f} times 2^31 elements\n", model.deviceName(), rowsBefore + own,
             double(rowsBefore + own) * 4096 / double(int64_t(1) << 31));
  std::vector<float> last(large->front().end() - 16, large->front().end());
  EXPECT_TRUE(sameBits(last, small->front()));
  EXPECT_TRUE(sameBits(second.read(0), alone.read(0)));
  EXPECT_NE(*std::max_element(last.begin(), last.end()), 0);
  std::filesystem::remove(weights);
}

} // namespace

int main(int argc, char **argv) {
  std::vector<std::string> words = wordsOf(argc, argv, "sm1-device-test DEVICE MODEL PARAMS TOKENS WIDE ROWS");
  device = words[0];
  package = words[1];
  params = words[2];
  newTokens = std::stoll(words[3]);
  widePackage = words[4];
  rowsBefore = std::stoll(words[5]);
  skipWithout(device);
  return RUN_ALL_TESTS();
}
