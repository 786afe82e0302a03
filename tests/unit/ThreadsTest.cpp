// The rules of threads, kept from many at once: what belongs to one thread needs no lock, what is shared takes turns, and every bit
// is that of one thread alone. Worth most under the thread sanitizer.
#include "Platform.h"
#include "TestPackage.h"
#include "sm1rt/Model.h"
#include "sm1rt/sm1rt.h"

#include <cstring>
#include <thread>

using namespace sm1rt;
using namespace sm1test;

namespace {

constexpr int teams = 4, rounds = 25;

class ThreadsTest : public testing::Test {
protected:
  void SetUp() override {
    if (!cpuFeatures().v3)
      GTEST_SKIP() << "this machine does not run x86-64-v3";
    writeToyPackage(package(), false);
  }
  std::string package() { return folder.file("toy.sm1pkg"); }

  Model open() {
    OpenOptions options;
    options.threads = 2;
    auto model = Model::open(package(), options);
    EXPECT_TRUE(bool(model)) << model.error().message;
    return std::move(*model);
  }

  TemporaryFolder folder;
};

/// `work(0)` to `work(teams - 1)` at the same time.
template <typename Work> void together(Work work) {
  std::vector<std::thread> threads;
  for (int team = 0; team < teams; ++team)
    threads.emplace_back([&work, team] { work(team); });
  for (std::thread &thread : threads)
    thread.join();
}

int32_t tokenOf(int team, int round) { return int32_t((team * 7 + round * 3) % toyVocab); }

/// One step; empty when it was refused.
std::vector<float> step(Model &model, Sequence &sequence, int32_t token) {
  Piece piece;
  piece.sequence = &sequence;
  piece.tokens = &token;
  piece.count = 1;
  piece.selected = {0};
  auto outputs = model.run("step", {piece});
  return outputs ? outputs->front() : std::vector<float>();
}

// Every thread with sequences of its own on one model: steps, forks, reads, resets, files.
TEST_F(ThreadsTest, SequencesOfOneModel) {
  Model model = open();
  std::vector<int> wrong(teams);
  together([&](int team) {
    Sequence sequence = model.newSequence();
    ToyReference reference;
    for (int round = 0; round < rounds; ++round) {
      wrong[size_t(team)] += step(model, sequence, tokenOf(team, round)) != reference.step(tokenOf(team, round));
      Sequence fork = sequence.fork();
      ToyReference ahead = reference;
      wrong[size_t(team)] += step(model, fork, 5) != ahead.step(5);
      wrong[size_t(team)] += sequence.read(0) != reference.h;
      std::string path = folder.file("state-" + std::to_string(team));
      wrong[size_t(team)] += !sequence.save(path) || !fork.load(path) || fork.read(1) != reference.last;
      fork.reset();
      wrong[size_t(team)] += fork.position() != 0;
    }
  });
  EXPECT_EQ(wrong, std::vector<int>(teams));
}

// A sequence may go from thread to thread, one after the other.
TEST_F(ThreadsTest, ASequenceMovesOn) {
  Model model = open();
  Sequence sequence = model.newSequence();
  ToyReference reference;
  for (int round = 0; round < rounds; ++round) {
    std::vector<float> y;
    std::thread([&] { y = step(model, sequence, tokenOf(0, round)); }).join();
    ASSERT_EQ(y, reference.step(tokenOf(0, round)));
  }
}

// Models share nothing: opened, asked, used and closed side by side.
TEST_F(ThreadsTest, ModelsSideBySide) {
  std::vector<int> wrong(teams);
  std::vector<std::string> fingerprints(teams);
  together([&](int team) {
    for (int round = 0; round < 3; ++round) {
      Model model = open();
      fingerprints[size_t(team)] = *model.fingerprint();
      Sequence sequence = model.newSequence();
      ToyReference reference;
      for (int32_t token = 0; token < 8; ++token)
        wrong[size_t(team)] += step(model, sequence, token) != reference.step(token);
    }
  });
  EXPECT_EQ(wrong, std::vector<int>(teams));
  EXPECT_EQ(fingerprints, std::vector<std::string>(teams, fingerprints.front()));
}

// A refused call of one thread neither disturbs the others nor shows in their error text.
TEST_F(ThreadsTest, ErrorsBelongToTheirThread) {
  sm1rt_model *model = sm1rt_open(package().c_str(), nullptr);
  ASSERT_NE(model, nullptr) << sm1rt_last_error();
  std::vector<int> wrong(teams);
  together([&](int team) {
    sm1rt_sequence *sequence = sm1rt_sequence_new(model);
    ToyReference reference;
    for (int round = 0; round < rounds; ++round) {
      int32_t bad = 1000 + team, good = tokenOf(team, round);
      wrong[size_t(team)] += sm1rt_step(model, &sequence, 1, &bad) != nullptr;
      sm1rt_result *result = sm1rt_step(model, &sequence, 1, &good);
      std::vector<float> y = reference.step(good);
      wrong[size_t(team)] += !result || std::memcmp(sm1rt_result_values(result), y.data(), y.size() * sizeof(float)) != 0;
      wrong[size_t(team)] += !std::strstr(sm1rt_last_error(), ("token " + std::to_string(bad)).c_str());
      wrong[size_t(team)] += !sm1rt_fingerprint(model);
      sm1rt_result_free(result);
    }
    sm1rt_sequence_free(sequence);
  });
  EXPECT_EQ(wrong, std::vector<int>(teams));
  sm1rt_model_free(model);
}

} // namespace
