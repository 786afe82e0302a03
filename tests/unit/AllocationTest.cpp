// Nothing is allocated for a token: memory that steps need is there after the first ones. Counts every operator new of the process,
// on any thread.
#include "Platform.h"
#include "TestPackage.h"
#include "sm1rt/Model.h"

#include <atomic>
#include <cstdlib>
#include <new>

using namespace sm1rt;
using namespace sm1test;

static std::atomic<int64_t> allocations{0};

static void *counted(std::size_t bytes, std::size_t alignment) {
  ++allocations;
  void *memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (!memory)
    throw std::bad_alloc();
  return memory;
}

#pragma GCC diagnostic ignored "-Wmismatched-new-delete" // GCC sees free() where `new` is inlined, and not that it is this one
void *operator new(std::size_t bytes) { return counted(bytes ? bytes : 1, alignof(std::max_align_t)); }
void *operator new(std::size_t bytes, std::align_val_t alignment) { return counted(bytes ? bytes : 1, std::size_t(alignment)); }
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void *memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void *memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace {

class AllocationTest : public testing::TestWithParam<int> {
protected:
  void SetUp() override {
    if (!cpuFeatures().v3)
      GTEST_SKIP() << "this machine does not run x86-64-v3";
    std::string package = folder.file("toy.sm1pkg");
    nlohmann::json plan = toyPlan(false);
    plan["outputs"][0]["width"] = toyVocab; // logits, so that it generates
    writeToyPackage(package, false, &plan);
    OpenOptions options;
    options.threads = GetParam();
    auto opened = Model::open(package, options);
    ASSERT_OK(opened);
    model = std::make_unique<Model>(std::move(*opened));
  }

  TemporaryFolder folder;
  std::unique_ptr<Model> model;
};

// The counter counts: what the other tests say means something.
TEST_P(AllocationTest, Counts) {
  int64_t before = allocations;
  std::vector<int> some(100);
  EXPECT_EQ(allocations - before, 1);
  EXPECT_EQ(some[99], 0);
}

TEST_P(AllocationTest, Generation) {
  constexpr int batch = 3, tokens = 400, warm = 20;
  std::vector<Sequence> sequences;
  std::vector<Piece> prompts;
  int32_t first[batch] = {1, 2, 3};
  for (int i = 0; i < batch; ++i)
    sequences.push_back(model->newSequence());
  for (int i = 0; i < batch; ++i) {
    prompts.emplace_back();
    prompts.back().sequence = &sequences[size_t(i)];
    prompts.back().tokens = &first[i];
    prompts.back().count = 1;
  }
  int steps = 0;
  int64_t before = 0, after = 0, sum = 0;
  Generation generation;
  generation.choose = [&](size_t index) {
    TokenChoice choice;
    choice.topP = 0.9;
    choice.draw = double(steps * 7 % 10 + int(index)) / 13;
    return choice;
  };
  generation.take = [&](size_t, int32_t token) -> Expected<bool> {
    sum += token;
    return steps < tokens;
  };
  generation.stepped = [&] {
    if (++steps == warm)
      before = allocations;
    if (steps == tokens)
      after = allocations;
  };
  ASSERT_OK(model->generate(prompts, generation));
  EXPECT_GT(steps, tokens);
  EXPECT_GT(sum, 0);
  EXPECT_EQ(after - before, 0) << "in " << tokens - warm << " steps of " << batch << " sequences";
}

// A step that somebody else asks for: the vectors of its result, which are the caller's, and no more.
TEST_P(AllocationTest, Steps) {
  Sequence sequence = model->newSequence();
  int32_t token = 4;
  Piece piece;
  piece.sequence = &sequence;
  piece.tokens = &token;
  piece.count = 1;
  piece.selected = {0};
  std::vector<Piece> pieces{piece};
  int64_t before = 0;
  constexpr int steps = 200, warm = 3;
  for (int step = 0; step < steps; ++step) {
    if (step == warm)
      before = allocations;
    auto outputs = model->run("step", pieces);
    ASSERT_OK(outputs);
    ASSERT_NE(outputs->front()[0], 0);
  }
  EXPECT_EQ(allocations - before, 2 * (steps - warm));
}

INSTANTIATE_TEST_SUITE_P(Threads, AllocationTest, testing::Values(1, 3));

} // namespace
