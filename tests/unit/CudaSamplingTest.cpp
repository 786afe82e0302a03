// Tokens chosen on the GPU are those chosen on the CPU, for thousands of rows of logits and all options together; and generation is
// the same on both, token by token, whoever is in the batch.
#include "CudaTest.h"

#include "ChoiceRows.h"
#include "Device.h"

#include <cmath>
#include <limits>
#include <random>

using namespace sm1rt;
using namespace sm1test;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

class CudaSamplingTest : public CudaTest {
protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (!IsSkipped())
      writeToyGpuPackage(package);
  }

  std::unique_ptr<Device> openRaw() {
    auto opened = Package::open(package);
    EXPECT_TRUE(bool(opened)) << opened.error().message;
    opens.push_back(std::move(*opened));
    OpenOptions options;
    options.device = "cuda";
    auto device = openDevice(opens.back(), options);
    EXPECT_TRUE(bool(device)) << device.error().message;
    return std::move(device->device);
  }

  /// Logits with ties, zeros of both signs and bars; `spread` from flat to a single peak.
  std::vector<float> randomLogits(size_t count) {
    std::normal_distribution<float> normal;
    float spread = std::ldexp(1.0f, int(random() % 12) - 5);
    std::vector<float> logits(count);
    for (float &logit : logits)
      logit = random() % 8 == 0 ? float(int(random() % 5) - 2) * spread : random() % 50 == 0 ? -0.0f : normal(random) * spread;
    for (float &logit : logits)
      if (random() % 40 == 0)
        logit = -infinity;
    if (random() % 25 == 0)
      logits[random() % count] = random() % 2 ? infinity : std::nanf("");
    return logits;
  }

  TokenChoice randomChoice(size_t count) {
    TokenChoice choice;
    choice.greedy = random() % 6 == 0;
    choice.temperature = random() % 5 == 0 ? 1e-3 : 0.1 + double(random() % 1000) / 400;
    choice.topP = random() % 4 == 0 ? 1 : random() % 7 == 0 ? 0 : double(random() % 1000) / 1000;
    choice.draw = double(random()) / 4294967296.0;
    choice.penalty = random() % 2 ? 1 : 1 + double(random() % 100) / 50;
    for (size_t i = 0, many = random() % 20; i < many; ++i)
      choice.penalised.add(int32_t(random() % count));
    for (size_t i = 0, many = random() % 3 ? random() % 20 : 3 * count; i < many; ++i)
      choice.barred.add(int32_t(random() % count));
    if (random() % 3 == 0) {
      choice.kept = int32_t(random() % count);
      choice.dropped = int32_t(random() % count);
    }
    choice.end = random() % 3 ? -1 : int32_t(random() % count);
    choice.last = random() % 5 == 0;
    return choice;
  }

  void expectSameTokens(Device &device, size_t rows, size_t count);

  std::vector<Package> opens;
  std::mt19937 random{11};
};

std::unique_ptr<DeviceBuffer> onDevice(Device &device, const void *data, uint64_t bytes) {
  auto buffer = device.allocate(bytes);
  EXPECT_TRUE(bool(buffer));
  EXPECT_TRUE(bool(device.upload({(*buffer)->address, bytes, static_cast<const uint8_t *>(data), bytes, bytes, 1})));
  return std::move(*buffer);
}

template <typename Item> std::vector<Item> fromDevice(Device &device, const DeviceBuffer &buffer) {
  std::vector<Item> items(buffer.bytes / sizeof(Item));
  EXPECT_TRUE(bool(
      device.download({reinterpret_cast<uint8_t *>(items.data()), buffer.bytes, buffer.address, buffer.bytes, buffer.bytes, 1})));
  return items;
}

void CudaSamplingTest::expectSameTokens(Device &device, size_t rows, size_t count) {
  size_t stride = (count + 15) / 16 * 16;
  std::vector<float> logits(rows * stride, std::nanf("")); // padding may hold anything
  std::vector<TokenChoice> choices;
  std::vector<uint8_t> choiceRows;
  for (size_t row = 0; row < rows; ++row) {
    std::vector<float> values = randomLogits(count);
    std::copy(values.begin(), values.end(), logits.begin() + std::ptrdiff_t(row * stride));
    choices.push_back(randomChoice(count));
    appendChoiceRow(choiceRows, row % 9 == 8 ? nullptr : &choices.back(), int64_t(count));
  }
  std::vector<uint64_t> sequences(rows, 77);
  std::vector<int32_t> tokens(rows, -5);
  auto logitsThere = onDevice(device, logits.data(), logits.size() * 4);
  auto tokensThere = onDevice(device, tokens.data(), rows * 4), sequencesThere = onDevice(device, sequences.data(), rows * 8);
  SampleLaunch launch{reinterpret_cast<const float *>(logitsThere->address),
                      int64_t(stride),
                      int64_t(count),
                      int64_t(rows),
                      choiceRows.data(),
                      reinterpret_cast<int32_t *>(tokensThere->address),
                      reinterpret_cast<uint64_t *>(sequencesThere->address)};
  ASSERT_OK(device.sample(launch));
  auto chosen = device.awaitSample();
  ASSERT_OK(chosen);
  auto *results = reinterpret_cast<const sm1sampling::Chosen *>(*chosen);
  tokens = fromDevice<int32_t>(device, *tokensThere);
  sequences = fromDevice<uint64_t>(device, *sequencesThere);
  for (size_t row = 0; row < rows; ++row) {
    if (row % 9 == 8) {
      ASSERT_EQ(tokens[row], -5) << "a skipped row was chosen for";
      ASSERT_EQ(sequences[row], 77u);
      continue;
    }
    auto expected = chooseToken(&logits[row * stride], int64_t(count), choices[row]), got = chosenToken(results[row]);
    ASSERT_EQ(bool(expected), bool(got)) << "row " << row;
    if (!expected) {
      ASSERT_EQ(expected.error().message, got.error().message);
      ASSERT_EQ(tokens[row], 0);
      ASSERT_EQ(sequences[row], 0u);
      continue;
    }
    ASSERT_EQ(*expected, *got) << "row " << row << " of " << count;
    ASSERT_EQ(tokens[row], *got);
    ASSERT_EQ(sequences[row], choices[row].last || *got == choices[row].end ? 0u : 77u);
  }
}

TEST_F(CudaSamplingTest, ChoosesWhatTheCpuChooses) {
  auto device = openRaw();
  for (size_t count : {1, 2, 31, 442, 512, 513})
    for (int round = 0; round < (real ? 50 : 3); ++round)
      expectSameTokens(*device, 120, count);
}

// More than fit in shared memory: sorted in global memory.
TEST_F(CudaSamplingTest, LargeVocabularies) {
  auto device = openRaw();
  expectSameTokens(*device, real ? 300 : 7, 1025);
  expectSameTokens(*device, real ? 300 : 3, 5000);
  if (real)
    expectSameTokens(*device, 40, 150000);
}

//===-- Generation ----------------------------------------------------------------------------------------------------------===//

/// How pieces of a test are chosen: everything follows from the piece and the tokens so far.
struct TestPiece {
  uint64_t seed;
  size_t wanted;
  std::vector<int32_t> tokens;

  TokenChoice choice() const {
    TokenChoice choice;
    std::mt19937 random(uint32_t(seed * 1000 + tokens.size()));
    choice.temperature = 3;
    choice.topP = 0.95;
    choice.draw = double(random()) / 4294967296.0;
    choice.penalty = 1.3;
    if (!tokens.empty())
      choice.penalised.add(tokens.back());
    choice.barred.add(int32_t(tokens.size() % toyVocab));
    choice.end = seed % 3 == 0 ? 7 : -1;
    choice.last = seed % 2 == 0 && tokens.size() + 1 == wanted;
    return choice;
  }
};

/// The same by single steps and the CPU's sampler over the reference model.
std::vector<int32_t> continuedByReference(TestPiece piece, const std::vector<int32_t> &prompt, ToyReference &reference) {
  std::vector<int32_t> unread = prompt;
  for (;;) {
    std::vector<float> logits;
    for (int32_t token : unread)
      logits = reference.step(token);
    // The toy's rows are wider than its vocabulary; logits are the first of them.
    TokenChoice choice = piece.choice();
    int32_t token = *chooseToken(logits.data(), toyVocab, choice);
    piece.tokens.push_back(token);
    unread = {token};
    if (piece.tokens.size() >= piece.wanted || choice.last || token == choice.end)
      return piece.tokens;
  }
}

/// The toy package with logits as wide as its vocabulary.
ToyGpuOptions logitsPackage() {
  ToyGpuOptions options;
  options.planChanges = {
      {"outputs", nlohmann::json::array({{{"name", "y"}, {"kind", "rows"}, {"width", toyVocab}, {"rows", "selected"}},
                                         {{"name", "h_out"}, {"kind", "state"}, {"state", 0}},
                                         {{"name", "last_out"}, {"kind", "state"}, {"state", 1}}})}};
  return options;
}

void expectGeneration(Model &model, size_t batch, std::mt19937 &random) {
  std::vector<Sequence> sequences;
  std::vector<TestPiece> pieces;
  std::vector<std::vector<int32_t>> prompts(batch), expected;
  std::vector<ToyReference> references(batch);
  std::vector<Piece> given;
  for (size_t b = 0; b < batch; ++b) {
    sequences.push_back(model.newSequence());
    pieces.push_back({b + random() % 50, 1 + random() % 30, {}});
    for (size_t i = 0, count = 1 + random() % 9; i < count; ++i)
      prompts[b].push_back(int32_t(random() % toyVocab));
    expected.push_back(continuedByReference(pieces[b], prompts[b], references[b]));
  }
  for (size_t b = 0; b < batch; ++b) {
    Piece piece;
    piece.sequence = &sequences[b];
    piece.tokens = prompts[b].data();
    piece.count = int64_t(prompts[b].size());
    given.push_back(piece);
  }
  Generation generation;
  generation.choose = [&](size_t b) { return pieces[b].choice(); };
  generation.take = [&](size_t b, int32_t token) -> Expected<bool> {
    pieces[b].tokens.push_back(token);
    return pieces[b].tokens.size() < pieces[b].wanted;
  };
  ASSERT_OK(model.generate(given, generation));
  for (size_t b = 0; b < batch; ++b) {
    ASSERT_EQ(pieces[b].tokens, expected[b]) << "piece " << b;
    // Without `last` the device may have read the last token as well; the position tells.
    int64_t read = int64_t(prompts[b].size() + expected[b].size()) - 1, position = sequences[b].position();
    bool foretold = pieces[b].seed % 2 == 0 || expected[b].back() == (pieces[b].seed % 3 == 0 ? 7 : -1);
    ASSERT_TRUE(position == read || (!foretold && position == read + 1)) << position << " of " << read;
    if (position > read)
      references[b].step(expected[b].back());
    ASSERT_EQ(sequences[b].read(0), references[b].h) << "piece " << b;
    ASSERT_EQ(sequences[b].read(1), references[b].last) << "piece " << b;
  }
}

TEST_F(CudaSamplingTest, GeneratesWhatTheReferenceGenerates) {
  writeToyGpuPackage(package, logitsPackage());
  for (int64_t rowsPerPass : {0, 4})
    for (size_t batch : {1, 3, 9}) {
      OpenOptions options;
      options.rowsPerPass = rowsPerPass;
      Model model = open(options);
      for (int round = 0; round < 3; ++round)
        expectGeneration(model, batch, random);
    }
}

// A sequence that the device has stopped goes on when it is asked to, in the same place of the same batch.
TEST_F(CudaSamplingTest, GoesOnWhereItStopped) {
  writeToyGpuPackage(package, logitsPackage());
  Model model = open();
  Sequence sequence = model.newSequence();
  ToyReference reference;
  int32_t token = 4;
  for (int round = 0; round < 3; ++round) {
    TestPiece piece{2, 3, {}};
    std::vector<int32_t> prompt = {token}, expected = continuedByReference(piece, prompt, reference);
    Piece given;
    given.sequence = &sequence;
    given.tokens = prompt.data();
    given.count = 1;
    Generation generation;
    generation.choose = [&](size_t) { return piece.choice(); };
    generation.take = [&](size_t, int32_t chosen) -> Expected<bool> {
      piece.tokens.push_back(chosen);
      return true;
    };
    ASSERT_OK(model.generate({given}, generation));
    ASSERT_EQ(piece.tokens, expected) << "round " << round;
    ASSERT_EQ(sequence.position(), 3 * (round + 1));
    ASSERT_EQ(sequence.read(0), reference.h);
    token = expected.back();
  }
}

// The same on the CPU device: a token is fed back there, too.
TEST_F(CudaSamplingTest, TheCpuGeneratesTheSame) {
  writeToyGpuPackage(package, logitsPackage());
  auto model = tryOpen("cpu");
  if (!model)
    GTEST_SKIP() << model.error().message;
  for (size_t batch : {1, 9})
    expectGeneration(*model, batch, random);
}

TEST_F(CudaSamplingTest, ErrorsOfChoicesComeBack) {
  writeToyGpuPackage(package, logitsPackage());
  Model model = open();
  Sequence sequence = model.newSequence();
  std::vector<int32_t> prompt = {1, 2};
  Piece piece;
  piece.sequence = &sequence;
  piece.tokens = prompt.data();
  piece.count = 2;
  int taken = 0;
  Generation generation;
  generation.choose = [&](size_t) {
    TokenChoice choice;
    if (taken == 3)
      choice.barred.add(0, toyVocab);
    return choice;
  };
  generation.take = [&](size_t, int32_t) -> Expected<bool> { return ++taken < 10; };
  EXPECT_ERROR(model.generate({piece}, generation), "no token may come next");
  EXPECT_EQ(taken, 3);
  generation.choose = [](size_t) { return TokenChoice(); };
  generation.take = [](size_t, int32_t) -> Expected<bool> { return Error{"enough"}; };
  EXPECT_ERROR(model.generate({piece}, generation), "enough");
}

} // namespace
