// A piece that does not end: the token after hundreds of thousands takes as long as the one after a thousand, in the memory of the thousandth,
// and the state is that of a prefill. Prints its figures. Usage: sm1-long-test PACKAGE TOKENS [THREADS], with the package of a
// model from tokens to logits that carries its weights.

#include "sm1rt/Model.h"
#include "sm1rt/Plan.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>
#include <set>
#include <string>

using namespace sm1rt;
using Clock = std::chrono::steady_clock;

namespace {

std::string package;
int64_t length;
int threads = 2;

constexpr int64_t young = 1000;                   // where latency and memory are looked at first
constexpr uint64_t mostAboveWeights = 64e6;       // bytes
constexpr uint64_t mostAboveWeightsOpened = 16e6; // bytes, before the first run
constexpr uint64_t mostGrowth = 1 << 20;          // bytes, from token 1,000 to the last
constexpr double mostLatencyRatio = 1.25;         // of medians that are measured turn by turn
constexpr int64_t turns = 2000;

/// Resident bytes of this process.
uint64_t residentBytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * 4096;
}

uint64_t packedBytes(const Plan &plan) {
  uint64_t bytes = 0;
  for (const PlanWeight &weight : plan.weights)
    bytes += uint64_t(weight.copies()) * *byteCount(weight.type);
  return bytes;
}

Piece pieceOf(Sequence &sequence, const int32_t *tokens, int64_t count, std::vector<int64_t> selected) {
  Piece piece;
  piece.sequence = &sequence;
  piece.tokens = tokens;
  piece.count = count;
  piece.selected = std::move(selected);
  return piece;
}

/// Lets a sequence go on from token 1 by `count` tokens; resident bytes after `young` of them and at the end.
struct Growth {
  std::vector<int32_t> tokens; // those that it read
  uint64_t early = 0, late = 0;
};
Growth generate(Model &model, Sequence &sequence, int64_t count) {
  Growth growth;
  growth.tokens.assign(size_t(count), 1); // all of its pages are there before anything is measured
  int64_t read = 0;
  Generation generation;
  generation.choose = [&](size_t) {
    TokenChoice choice;
    double whole;
    choice.draw = std::modf(double(read) * 0.61803398875, &whole);
    return choice;
  };
  generation.take = [&](size_t, int32_t token) -> Expected<bool> {
    if (++read == young)
      growth.early = residentBytes();
    if (read < count)
      growth.tokens[size_t(read)] = token;
    return read < count;
  };
  int32_t first = 1;
  auto done = model.generate({pieceOf(sequence, &first, 1, {})}, generation);
  EXPECT_TRUE(bool(done)) << done.error().message;
  growth.late = residentBytes();
  return growth;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

/// Microseconds of a step of each sequence, in turns, so that whatever else the machine does meets both.
std::pair<double, double> latencies(Model &model, Sequence &first, Sequence &second) {
  std::vector<double> times[2];
  Sequence *sequences[2] = {&first, &second};
  for (int64_t turn = 0; turn < turns; ++turn)
    for (int which : {0, 1}) {
      int32_t token = 2;
      std::vector<Piece> pieces{pieceOf(*sequences[which], &token, 1, {0})};
      auto begin = Clock::now();
      auto outputs = model.run("step", pieces);
      times[which].push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
      EXPECT_TRUE(bool(outputs));
    }
  return {median(times[0]), median(times[1])};
}

TEST(LongRunTest, StaysAsItWas) {
  OpenOptions options;
  options.threads = threads;
  options.device = "cpu";
  auto model = Model::open(package, options);
  ASSERT_TRUE(bool(model)) << model.error().message;
  uint64_t weights = packedBytes(model->plan()), opened = residentBytes();
  EXPECT_LE(opened, weights + mostAboveWeightsOpened) << "weights are in memory twice";

  // The largest pass there is comes first: from then on nothing has a reason to grow.
  std::vector<int32_t> prompt(size_t(model->rowsPerPass()) + 1, 3);
  Sequence other = model->newSequence();
  ASSERT_TRUE(bool(model->run("prefill", {pieceOf(other, prompt.data(), int64_t(prompt.size()), {0})})));
  other.reset();

  Sequence old = model->newSequence();
  Growth growth = generate(*model, old, length);
  ASSERT_EQ(old.position(), length);
  EXPECT_GT(std::set<int32_t>(growth.tokens.begin(), growth.tokens.end()).size(), 4u);
  double megabytes = 1e-6;
  fmt::print("{} tokens of {}, {}: weights {:.1f} MB, resident {:.1f} MB at token {}, {:.1f} MB at the end\n", length,
             model->plan().model, model->deviceName(), weights * megabytes, growth.early * megabytes, young,
             growth.late * megabytes);
  EXPECT_LE(growth.late, weights + mostAboveWeights);
  EXPECT_LE(growth.late, growth.early + mostGrowth);

  // The same tokens at once: the same state, bit for bit.
  Sequence whole = model->newSequence();
  ASSERT_TRUE(bool(model->run("prefill", {pieceOf(whole, growth.tokens.data(), length, {})})));
  for (size_t state = 0; state < model->plan().states.size(); ++state) {
    std::vector<float> stepped = old.read(state), prefilled = whole.read(state);
    ASSERT_FALSE(stepped.empty());
    EXPECT_TRUE(std::any_of(stepped.begin(), stepped.end(), [](float x) { return x != 0; }));
    EXPECT_EQ(std::memcmp(stepped.data(), prefilled.data(), stepped.size() * sizeof(float)), 0) << "state " << state;
  }

  generate(*model, other, young);
  auto [early, late] = latencies(*model, other, old);
  fmt::print("a step after {} tokens {:.2f} us, after {} tokens {:.2f} us, ratio {:.3f}\n", young, early, length, late,
             late / early);
  EXPECT_LT(late, early * mostLatencyRatio);
}

} // namespace

int main(int argc, char **argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc < 3 || argc > 4) {
    fmt::print("usage: sm1-long-test PACKAGE TOKENS [THREADS]\n");
    return 2;
  }
  package = argv[1];
  length = std::atoll(argv[2]);
  threads = argc > 3 ? std::atoi(argv[3]) : threads;
  if (length <= young) {
    fmt::print("TOKENS: {} is not above {}\n", length, young);
    return 2;
  }
  return RUN_ALL_TESTS();
}
