// Models on the CUDA device, over the hand-made package: the same bits as one token after the other in plain loops, whatever the
// batch, and whether launches go out one by one or as a graph.
#include "CudaTest.h"

#include "sm1rt/Plan.h"

using namespace sm1rt;
using namespace sm1test;

namespace {

class CudaDeviceTest : public CudaTest, protected ToyTokens {
protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (!IsSkipped())
      writeToyGpuPackage(package);
  }
};

void appendReference(std::vector<float> &y, ToyReference &reference, int32_t token) {
  std::vector<float> row = reference.step(token);
  y.insert(y.end(), row.begin(), row.end());
}

void expectState(const Sequence &sequence, const ToyReference &reference) {
  EXPECT_EQ(sequence.read(0), reference.h);
  EXPECT_EQ(sequence.read(1), reference.last);
}

TEST_F(CudaDeviceTest, SaysWhatItRunsOn) {
  std::vector<std::string> lines;
  OpenOptions options;
  options.trace = [&](std::string_view line) { lines.emplace_back(line); };
  Model model = open(options);
  EXPECT_EQ(model.target(), "sm_90");
  EXPECT_EQ(model.deviceName().compare(0, 8, "cuda:0 ("), 0) << model.deviceName();
  EXPECT_NE(model.deviceName().find("sm_90, PTX)"), std::string::npos) << model.deviceName();
  Sequence sequence = model.newSequence();
  std::vector<int32_t> tokens = {1, 2, 3};
  ASSERT_OK(model.run("prefill", {piece(sequence, tokens)}));
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_NE(lines[3].find("layer=1 kernel=toy_scan device=cuda:0(sm_90,PTX) rows=1 panels=2"), std::string::npos) << lines[3];
}

TEST_F(CudaDeviceTest, ExternalWeightsGiveTheSameBits) {
  ToyGpuOptions external;
  external.external = true;
  writeToyGpuPackage(package, external);
  writeToyCheckpoint(folder.file("model.safetensors"));
  OpenOptions options;
  options.params = folder.file("model.safetensors");
  Model model = open(options);
  Sequence sequence = model.newSequence();
  std::vector<int32_t> tokens = randomTokens(9);
  auto outputs = model.run("prefill", {piece(sequence, tokens)});
  ASSERT_OK(outputs);
  std::vector<float> expected;
  ToyReference reference;
  for (int32_t token : tokens)
    appendReference(expected, reference, token);
  EXPECT_EQ((*outputs)[0], expected);
}

// Ragged batches, chunks and passes, prefill and step mixed: sequences keep their own state and length.
TEST_F(CudaDeviceTest, EveryCutGivesTheSameBits) {
  for (int round = 0; round < 20; ++round) {
    OpenOptions options;
    options.rowsPerPass = round % 4 == 0 ? 0 : 1 + int64_t(random() % 40);
    Model model = open(options);
    size_t batch = 1 + random() % 5;
    std::vector<Sequence> sequences;
    std::vector<ToyReference> references(batch);
    for (size_t b = 0; b < batch; ++b)
      sequences.push_back(model.newSequence());
    for (int run = 0; run < 12; ++run) {
      bool step = random() % 3 != 0;
      std::vector<std::vector<int32_t>> tokens(batch);
      std::vector<Piece> pieces;
      std::vector<float> expected;
      for (size_t b = 0; b < batch; ++b) {
        if (random() % 4 == 0)
          continue;
        tokens[b] = randomTokens(step ? 1 : 1 + random() % 25);
        pieces.push_back(piece(sequences[b], tokens[b]));
        for (int32_t token : tokens[b])
          appendReference(expected, references[b], token);
      }
      if (pieces.empty())
        continue;
      auto outputs = model.run(step ? "step" : "prefill", pieces);
      ASSERT_OK(outputs);
      ASSERT_EQ((*outputs)[0], expected);
    }
    for (size_t b = 0; b < batch; ++b)
      expectState(sequences[b], references[b]);
  }
}

// Steps are replayed as graphs: batches that alternate, memory that moves and sequences that come and go must not meet an old
// graph.
TEST_F(CudaDeviceTest, GraphsFollowTheBatch) {
  Model model = open();
  std::vector<Sequence> sequences;
  std::vector<ToyReference> references(6);
  for (size_t b = 0; b < 6; ++b)
    sequences.push_back(model.newSequence());
  for (int round = 0; round < 60; ++round) {
    std::vector<size_t> members;
    for (size_t b = 0; b < 6; ++b)
      if ((round % 3 == 0 && b < 2) || (round % 3 == 1 && b >= 4) || (round % 3 == 2 && random() % 2))
        members.push_back(b);
    if (round == 30) { // more rows than ever: the workspace moves
      std::vector<int32_t> tokens = randomTokens(200);
      ASSERT_OK(model.run("prefill", {piece(sequences[0], tokens)}));
      for (int32_t token : tokens)
        references[0].step(token);
    }
    if (round == 40) { // another memory for a sequence
      sequences[1] = model.newSequence();
      references[1] = {};
    }
    if (members.empty())
      continue;
    std::vector<int32_t> tokens = randomTokens(6);
    std::vector<Piece> pieces;
    std::vector<float> expected;
    for (size_t b : members) {
      pieces.push_back(piece(sequences[b], tokens, b, 1));
      appendReference(expected, references[b], tokens[b]);
    }
    auto outputs = model.run("step", pieces);
    ASSERT_OK(outputs);
    ASSERT_EQ((*outputs)[0], expected) << "round " << round;
  }
  for (size_t b = 0; b < 6; ++b)
    expectState(sequences[b], references[b]);
}

// So are prompts from the third of a size in a row on: other tokens, sequences and lengths of the same sums, and, once a graph is
// known, more rows behind the same longest sequence.
TEST_F(CudaDeviceTest, PromptsOfOneSizeComeAgain) {
  Model model = open();
  std::vector<Sequence> sequences;
  std::vector<ToyReference> references(4);
  for (size_t b = 0; b < 4; ++b)
    sequences.push_back(model.newSequence());
  for (int round = 0; round < 24; ++round) {
    size_t first = size_t(round) % 2 * 2, rows = round == 9 ? 5 : round == 15 ? 300 : 12, others = round / 6 % 2 ? 7 : 3;
    std::vector<int32_t> tokens = randomTokens(rows + others);
    std::vector<std::pair<size_t, size_t>> cuts = {{0, others}, {others, rows}};
    if (round % 3 == 0)
      cuts = {{0, rows}, {rows, others}};
    std::vector<Piece> pieces;
    std::vector<float> expected;
    for (size_t b = 0; b < 2; ++b) {
      auto [begin, count] = cuts[b];
      pieces.push_back(piece(sequences[first + b], tokens, begin, count));
      for (size_t t = begin; t < begin + count; ++t)
        appendReference(expected, references[first + b], tokens[t]);
    }
    auto outputs = model.run("prefill", pieces);
    ASSERT_OK(outputs);
    ASSERT_EQ((*outputs)[0], expected) << "round " << round;
  }
  for (size_t b = 0; b < 4; ++b)
    expectState(sequences[b], references[b]);
}

// By events between launches, which may not change a bit; steps, too, one launch after the other.
TEST_F(CudaDeviceTest, TimesEveryLaunch) {
  Model model = open();
  Sequence sequence = model.newSequence();
  std::vector<int32_t> tokens = randomTokens(9);
  ToyReference reference;
  std::vector<float> expected;
  for (int32_t token : tokens)
    appendReference(expected, reference, token);
  std::vector<LaunchTime> times;
  model.timeLaunches([&](const LaunchTime &time) { times.push_back(time); });
  auto outputs = model.run("prefill", {piece(sequence, tokens, 0, 8)});
  ASSERT_OK(outputs);
  auto last = model.run("step", {piece(sequence, tokens, 8)});
  ASSERT_OK(last);
  model.timeLaunches(nullptr);
  (*outputs)[0].insert((*outputs)[0].end(), (*last)[0].begin(), (*last)[0].end());
  EXPECT_EQ((*outputs)[0], expected);
  ASSERT_EQ(times.size(), 10u);
  for (size_t index = 0; index < times.size(); ++index) {
    EXPECT_GT(times[index].seconds, 0) << index;
    EXPECT_EQ(times[index].passRows, index < 5 ? 8 : 1) << index;
    EXPECT_EQ(times[index].longest, times[index].passRows) << index;
  }
}

// The stream is not held back for ever.
TEST_F(CudaDeviceTest, FailsWhileTiming) {
  if (real)
    GTEST_SKIP() << "only the emulator fails on demand";
  std::vector<int32_t> tokens = randomTokens(3);
  for (const char *function :
       {"cuLaunchHostFunc", "cuEventCreate:2", "cuEventRecord:3", "cuLaunchKernelEx:4", "cuEventElapsedTime:2"}) {
    set("SM1_EMULATOR_FAIL", function);
    Model model = open();
    Sequence sequence = model.newSequence();
    model.timeLaunches([](const LaunchTime &) {});
    EXPECT_ERROR(model.run("prefill", {piece(sequence, tokens)}), "cuda:0: CUDA_ERROR");
  }
}

TEST_F(CudaDeviceTest, StepsWithoutOutputsMoveTheState) {
  Model model = open();
  Sequence sequence = model.newSequence();
  ToyReference reference;
  for (int32_t token : randomTokens(5)) {
    std::vector<int32_t> tokens = {token};
    Piece one = piece(sequence, tokens);
    one.selected.clear();
    ASSERT_OK(model.run("step", {one}));
    reference.step(token);
  }
  expectState(sequence, reference);
  EXPECT_EQ(sequence.position(), 5);
}

TEST_F(CudaDeviceTest, ForksResetsAndWritesState) {
  Model model = open();
  Sequence sequence = model.newSequence();
  std::vector<int32_t> tokens = randomTokens(7);
  ASSERT_OK(model.run("prefill", {piece(sequence, tokens)}));
  Sequence fork = sequence.fork();
  sequence.reset();
  expectState(sequence, {});
  ToyReference reference;
  for (int32_t token : tokens)
    reference.step(token);
  expectState(fork, reference);
  ASSERT_OK(sequence.write(0, reference.h));
  ASSERT_OK(sequence.write(1, reference.last));
  expectState(sequence, reference);
}

TEST_F(CudaDeviceTest, FingerprintIsThatOfTheCpu) {
  Model model = open();
  OpenOptions options;
  options.device = "cpu";
  auto cpu = Model::open(package, options);
  if (!cpu)
    GTEST_SKIP() << cpu.error().message;
  EXPECT_EQ(*model.fingerprint(), *cpu->fingerprint());
}

} // namespace
