// Saved states: what goes in comes out, a resumed sequence goes on as the unbroken one, and what is not a state of this model is
// refused.
#include "sm1rt/StateFile.h"
#include "Platform.h"
#include "TestPackage.h"
#include "sm1rt/Model.h"

#include <cmath>

using namespace sm1rt;
using namespace sm1test;

namespace {

class StateFileTest : public testing::Test {
protected:
  void SetUp() override {
    if (!cpuFeatures().v3)
      GTEST_SKIP() << "this machine does not run x86-64-v3";
    writeToyPackage(folder.file("toy.sm1pkg"), false);
  }
  Model open(int threads) {
    OpenOptions options;
    options.threads = threads;
    return std::move(*Model::open(folder.file("toy.sm1pkg"), options));
  }
  std::string path() { return folder.file("a.state"); }

  TemporaryFolder folder;
};

/// Runs tokens through sequences side by side; y of the last token of the last one.
std::vector<float> run(Model &model, std::vector<Sequence *> sequences, const std::vector<int32_t> &tokens) {
  std::vector<Piece> pieces;
  for (Sequence *sequence : sequences) {
    Piece piece;
    piece.sequence = sequence;
    piece.tokens = tokens.data();
    piece.count = int64_t(tokens.size());
    piece.selected = {piece.count - 1};
    pieces.push_back(piece);
  }
  auto outputs = model.run("prefill", pieces);
  EXPECT_TRUE(bool(outputs)) << outputs.error().message;
  return {outputs->front().end() - toyChannels, outputs->front().end()};
}

TEST_F(StateFileTest, KeepsStatesAndConversation) {
  Model model = open(1);
  Sequence sequence = model.newSequence();
  run(model, {&sequence}, {1, 2, 3});
  const Conversation saved{{1, 2, 3, 7}, ~uint64_t(0), 12};
  ASSERT_OK(sequence.save(path(), saved));
  auto file = StateFile::open(path());
  ASSERT_OK(file);
  EXPECT_EQ(file->model(), "toy");
  EXPECT_EQ(file->fingerprint(), *model.fingerprint());
  EXPECT_EQ(file->position(), 3);
  EXPECT_EQ(file->states().size(), 2u);
  Sequence later = model.newSequence();
  auto loaded = later.load(path());
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->tokens, saved.tokens);
  EXPECT_EQ(loaded->seed, saved.seed);
  EXPECT_EQ(loaded->sequence, saved.sequence);
  EXPECT_EQ(later.read(0), sequence.read(0));
  EXPECT_EQ(later.read(1), sequence.read(1));
}

// On another number of threads, at another place of a batch: the bits of the unbroken sequence.
TEST_F(StateFileTest, ResumesToTheBit) {
  Model first = open(1);
  Sequence unbroken = first.newSequence();
  run(first, {&unbroken}, {1, 2, 3, 4, 5});
  ASSERT_OK(unbroken.save(path()));
  std::vector<float> expected = run(first, {&unbroken}, {6, 7, 8});
  Model second = open(3);
  Sequence resumed = second.newSequence(), neighbour = second.newSequence(), another = second.newSequence();
  run(second, {&neighbour}, {9});
  ASSERT_OK(resumed.load(path()));
  EXPECT_EQ(run(second, {&neighbour, &another, &resumed}, {6, 7, 8}), expected);
  EXPECT_EQ(resumed.read(0), unbroken.read(0));
  EXPECT_EQ(resumed.position(), 8);
}

TEST_F(StateFileTest, RefusesWhatIsNotAState) {
  Model model = open(1);
  Sequence sequence = model.newSequence();
  run(model, {&sequence}, {1, 2});
  std::vector<float> before = sequence.read(0);
  auto refused = [&](const std::string &header, size_t bytes, const char *says) {
    writeBytes(path(), safetensorsBytes(header, std::string(bytes, '\0')));
    EXPECT_ERROR(StateFile::open(path()), says);
    EXPECT_ERROR(sequence.load(path()), says);
  };
  auto metadata = [](const std::string &position, const std::string &more = "") {
    return R"({"__metadata__":{"sm1.state":"1","sm1.model":"toy","sm1.fingerprint":"0","sm1.position":")" + position + "\"" + more +
           "}";
  };
  const std::string tokens = R"(,"tokens":{"dtype":"I32","shape":[2],"data_offsets":[0,8]}})",
                    key = R"(,"sm1.seed":"1","sm1.sequence":"0")";
  refused("{}", 0, "not a state file");
  refused(metadata("x") + "}", 0, "sm1.position 'x' is no count");
  refused(metadata("-1") + "}", 0, "must be at least 0");
  refused(metadata("99999999999999999999") + "}", 0, "is no count");
  refused(metadata("3", key) + tokens, 8, "the state has read 3 tokens, the conversation has 2");
  refused(metadata("1") + tokens, 8, "sm1.seed '' is no count");
  refused(metadata("0") + R"(,"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1, "'x' is neither a state nor the tokens");
  refused(metadata("0", key) + R"(,"tokens":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8, "must be I32 [n]");
  writeBytes(path(), safetensorsBytes(metadata("1", key) + tokens, std::string(8, '\xff')));
  EXPECT_ERROR(StateFile::open(path()), "token 0 is -1");
  writeBytes(path(), safetensorsBytes(metadata("1", key) + tokens, std::string(8, '\0')));
  EXPECT_ERROR(sequence.load(path()), "state of model 'toy' with fingerprint 0, this is 'toy' with");
  EXPECT_EQ(sequence.read(0), before);
  EXPECT_EQ(sequence.position(), 2);
}

TEST_F(StateFileTest, RefusesConversationsThatCannotBe) {
  Model model = open(1);
  Sequence sequence = model.newSequence();
  run(model, {&sequence}, {1, 2});
  EXPECT_ERROR(sequence.save(path(), {{1}, 0, 0}), "1 tokens, the sequence has read 2");
  EXPECT_ERROR(sequence.save(path(), {{1, 2, 11}, 0, 0}), "token 11 at position 2 is outside 0 to 10");
  EXPECT_FALSE(fileExists(path())) << "nothing half written";
}

TEST_F(StateFileTest, MeasuresDistance) {
  Model model = open(1);
  Sequence a = model.newSequence();
  run(model, {&a}, {1, 2, 3});
  Sequence b = a.fork();
  std::vector<float> h = b.read(0);
  double norm = 0;
  for (float value : h)
    norm += double(value) * value;
  h[5] += 0.5f;
  ASSERT_OK(b.write(0, h));
  ASSERT_OK(a.save(path(), {{1, 2, 3, 4}, 1, 0}));
  ASSERT_OK(b.save(folder.file("b.state"), {{1, 2, 3, 5, 6}, 1, 0}));
  auto first = StateFile::open(path()), second = StateFile::open(folder.file("b.state"));
  ASSERT_OK(first);
  ASSERT_OK(second);
  auto same = compareStates(*first, *first), other = compareStates(*second, *first);
  ASSERT_OK(same);
  ASSERT_OK(other);
  EXPECT_TRUE(same->identical());
  EXPECT_FALSE(other->identical());
  EXPECT_TRUE(other->sameModel && other->samePosition && other->sameKey && !other->sameTokens);
  EXPECT_EQ(other->commonTokens, 3);
  EXPECT_NEAR(other->states[0].relative, 0.5 / std::sqrt(norm), 1e-6);
  EXPECT_FALSE(other->states[0].sameBits);
  EXPECT_TRUE(other->states[1].sameBits);
  writeBytes(folder.file("c.state"), safetensorsBytes(R"({"__metadata__":{"sm1.state":"1","sm1.position":"0"}})", ""));
  EXPECT_ERROR(compareStates(*first, *StateFile::open(folder.file("c.state"))), "2 states");
}

} // namespace
