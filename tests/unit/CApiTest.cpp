// The C API, used as a C program would.
#include "Platform.h"
#include "TestPackage.h"
#include "sm1rt/sm1rt.h"

#include <cstring>
#include <utility>

using namespace sm1test;

namespace {

class CApiTest : public testing::Test {
protected:
  void SetUp() override {
    if (!sm1rt::cpuFeatures().v3)
      GTEST_SKIP() << "this machine does not run x86-64-v3";
    writeToyPackage(folder.file("toy.sm1pkg"), true);
    writeToyCheckpoint(folder.file("model.safetensors"));
    model = sm1rt_open_with_params(folder.file("toy.sm1pkg").c_str(), folder.path.c_str());
    ASSERT_NE(model, nullptr) << sm1rt_last_error();
  }
  void TearDown() override { sm1rt_model_free(model); }

  TemporaryFolder folder;
  sm1rt_model *model = nullptr;
};

TEST_F(CApiTest, DescribesTheModel) {
  EXPECT_EQ(sm1rt_abi_version(), uint32_t(SM1RT_ABI_VERSION));
  EXPECT_EQ(sm1rt_token_limit(model), toyVocab);
  ASSERT_EQ(sm1rt_output_count(model), 1u);
  EXPECT_STREQ(sm1rt_output_name(model, 0), "y");
  EXPECT_EQ(sm1rt_output_width(model, 0), toyChannels);
  EXPECT_EQ(sm1rt_output_name(model, 1), nullptr);
  EXPECT_NE(std::strstr(sm1rt_device_name(model), "x86-64-v3"), nullptr);
}

TEST_F(CApiTest, PrefillThenStep) {
  sm1rt_sequence *sequences[] = {sm1rt_sequence_new(model), sm1rt_sequence_new(model)};
  const int32_t tokens[] = {1, 2, 3, 10, 9}, next[] = {4, 5};
  const int64_t counts[] = {3, 2};
  sm1rt_result *result = sm1rt_prefill(model, sequences, 2, tokens, counts, 0);
  ASSERT_NE(result, nullptr) << sm1rt_last_error();
  sm1rt_tensor y;
  ASSERT_EQ(sm1rt_result_tensor(result, 0, &y), 0);
  EXPECT_EQ(y.shape[0], 2);
  EXPECT_EQ(y.shape[1], toyChannels);
  ToyReference first, second;
  first.step(1);
  first.step(2);
  second.step(10);
  std::vector<float> a = first.step(3), b = second.step(9);
  EXPECT_EQ(std::memcmp(sm1rt_result_values(result), a.data(), a.size() * 4), 0);
  EXPECT_EQ(std::memcmp(sm1rt_result_values(result) + toyChannels, b.data(), b.size() * 4), 0);
  EXPECT_EQ(sm1rt_result_tensor(result, 1, &y), -1);
  EXPECT_NE(std::strstr(sm1rt_last_error(), "does not exist"), nullptr);
  sm1rt_result_free(result);

  sm1rt_sequence *fork = sm1rt_sequence_fork(sequences[1]);
  ASSERT_EQ(sm1rt_sequence_save(sequences[1], folder.file("state").c_str()), 0);
  ASSERT_EQ(sm1rt_sequence_reset(sequences[1]), 0);
  ASSERT_EQ(sm1rt_sequence_load(sequences[1], folder.file("state").c_str()), 0);
  EXPECT_EQ(sm1rt_sequence_position(sequences[1]), 2);
  sm1rt_sequence *pair[] = {sequences[1], fork};
  result = sm1rt_step(model, pair, 2, next);
  ASSERT_NE(result, nullptr) << sm1rt_last_error();
  ToyReference third = second;
  a = second.step(4);
  b = third.step(5);
  EXPECT_EQ(std::memcmp(sm1rt_result_values(result), a.data(), a.size() * 4), 0);
  EXPECT_EQ(std::memcmp(sm1rt_result_values(result) + toyChannels, b.data(), b.size() * 4), 0);
  sm1rt_result_free(result);
  for (sm1rt_sequence *sequence : {sequences[0], sequences[1], fork})
    sm1rt_sequence_free(sequence);
}

TEST_F(CApiTest, GenericCall) {
  const int32_t tokens[] = {3, 1, 4, 1};
  const int64_t shape[] = {1, 4};
  sm1rt_tensor input = {"tokens", SM1RT_I32, 2, shape, tokens};
  sm1rt_result *result = sm1rt_call(model, "prefill", &input, 1, nullptr, 0);
  ASSERT_NE(result, nullptr) << sm1rt_last_error();
  ASSERT_EQ(sm1rt_result_count(result), 3u);
  ToyReference reference;
  std::vector<float> y;
  for (int32_t token : tokens)
    y = reference.step(token);
  EXPECT_EQ(std::memcmp(sm1rt_result_values(result) + 3 * toyChannels, y.data(), y.size() * 4), 0);
  sm1rt_tensor state;
  ASSERT_EQ(sm1rt_result_tensor(result, 1, &state), 0);
  EXPECT_STREQ(state.name, "h_out");
  EXPECT_EQ(std::memcmp(state.data, reference.h.data(), reference.h.size() * 4), 0);
  sm1rt_result_free(result);
}

TEST_F(CApiTest, ErrorsAreText) {
  EXPECT_EQ(sm1rt_open(nullptr, nullptr), nullptr);
  EXPECT_EQ(sm1rt_open("nowhere.sm1pkg", nullptr), nullptr);
  EXPECT_STREQ(sm1rt_last_error(), "nowhere.sm1pkg: no such file or directory");
  sm1rt_options options = {};
  EXPECT_EQ(sm1rt_open(folder.file("toy.sm1pkg").c_str(), &options), nullptr);
  EXPECT_NE(std::strstr(sm1rt_last_error(), "sm1rt_options_init"), nullptr);
  sm1rt_sequence *sequence = sm1rt_sequence_new(model);
  const int32_t token = 99;
  EXPECT_EQ(sm1rt_step(model, &sequence, 1, &token), nullptr);
  EXPECT_NE(std::strstr(sm1rt_last_error(), "token 99"), nullptr);
  EXPECT_EQ(sm1rt_step(model, &sequence, size_t(-1), &token), nullptr);
  EXPECT_NE(std::strstr(sm1rt_last_error(), "sequences, a run has at most 16777216"), nullptr) << sm1rt_last_error();
  EXPECT_EQ(sm1rt_step(model, nullptr, 1, &token), nullptr);
  EXPECT_STREQ(sm1rt_last_error(), "sequences: null, the call needs one");
  EXPECT_EQ(sm1rt_sequence_load(sequence, "nowhere"), -1);
  EXPECT_EQ(sm1rt_sequence_position(sequence), 0);
  sm1rt_sequence_free(sequence);
  sm1rt_sequence_free(nullptr);
  sm1rt_model_free(nullptr);
  sm1rt_result_free(nullptr);
}

/// `refused` is what a call with a null gave, as it should; the error names the argument.
void says(bool refused, const char *name) {
  EXPECT_TRUE(refused) << name;
  EXPECT_EQ(sm1rt_last_error(), std::string(name) + ": null, the call needs one");
}

// A null where a call needs a handle, a string or an array, in every function that takes one.
TEST_F(CApiTest, RefusesNullModels) {
  says(!sm1rt_open(nullptr, nullptr), "package");
  says(!sm1rt_device_name(nullptr), "model");
  says(!sm1rt_fingerprint(nullptr), "model");
  says(sm1rt_token_limit(nullptr) == 0, "model");
  says(sm1rt_input_count(nullptr) == 0 && !sm1rt_input_name(nullptr, 0) && sm1rt_input_width(nullptr, 0) == 0, "model");
  says(sm1rt_output_count(nullptr) == 0 && !sm1rt_output_name(nullptr, 0) && sm1rt_output_width(nullptr, 0) == 0, "model");
  sm1rt_tensor tensor;
  says(sm1rt_state_count(nullptr) == 0 && sm1rt_state(nullptr, 0, &tensor) == -1, "model");
  says(sm1rt_state(model, 0, nullptr) == -1, "tensor");
}

TEST_F(CApiTest, RefusesNullSequencesAndFiles) {
  says(!sm1rt_sequence_new(nullptr), "model");
  says(!sm1rt_sequence_fork(nullptr), "sequence");
  says(sm1rt_sequence_reset(nullptr) == -1 && sm1rt_sequence_position(nullptr) == -1, "sequence");
  sm1rt_sequence *sequence = sm1rt_sequence_new(model);
  float value = 0;
  says(sm1rt_sequence_read(nullptr, 0, &value, 1) == -1 && sm1rt_sequence_write(nullptr, 0, &value, 1) == -1, "sequence");
  says(sm1rt_sequence_read(sequence, 0, nullptr, 1) == -1 && sm1rt_sequence_write(sequence, 0, nullptr, 1) == -1, "values");
  says(sm1rt_sequence_save(nullptr, "p") == -1 && sm1rt_sequence_load(nullptr, "p") == -1, "sequence");
  says(sm1rt_sequence_save(sequence, nullptr) == -1 && sm1rt_sequence_load(sequence, nullptr) == -1, "path");
  says(sm1rt_sequence_save_conversation(sequence, "p", nullptr) == -1, "conversation");
  says(sm1rt_sequence_load_conversation(sequence, "p", nullptr) == -1, "conversation");
  sm1rt_conversation empty = {sizeof(empty), nullptr, 2, 0, 0};
  EXPECT_EQ(sm1rt_sequence_save_conversation(sequence, "p", &empty), -1);
  EXPECT_STREQ(sm1rt_last_error(), "conversation: tokens are null, 2 were promised");
  sm1rt_state_comparison comparison = {};
  comparison.size = sizeof(comparison);
  says(sm1rt_state_compare(nullptr, "b", &comparison) == -1, "a");
  says(sm1rt_state_compare("a", nullptr, &comparison) == -1, "b");
  says(sm1rt_state_compare("a", "b", nullptr) == -1, "comparison");
  sm1rt_sequence_free(sequence);
}

TEST_F(CApiTest, RefusesNullInRuns) {
  sm1rt_sequence *sequence = sm1rt_sequence_new(model);
  const int32_t token = 1;
  const int64_t one = 1;
  says(!sm1rt_prefill(nullptr, &sequence, 1, &token, &one, 0) && !sm1rt_step(nullptr, &sequence, 1, &token), "model");
  says(!sm1rt_prefill(model, &sequence, 1, &token, nullptr, 0), "counts");
  EXPECT_EQ(sm1rt_step(model, &sequence, 1, nullptr), nullptr);
  EXPECT_STREQ(sm1rt_last_error(), "piece 0: no tokens, the model reads tokens");
  says(!sm1rt_run(nullptr, "step", &sequence, 1, nullptr, 0, nullptr, 0), "model");
  says(!sm1rt_run(model, nullptr, &sequence, 1, nullptr, 0, nullptr, 0), "entry");
  says(!sm1rt_run(model, "step", nullptr, 1, nullptr, 0, nullptr, 0), "sequences");
  sm1rt_tensor shapeless = {"tokens", SM1RT_I32, 1, nullptr, &token}, nameless = {nullptr, SM1RT_I32, 1, &one, &token};
  for (auto [given, text] : {std::pair(&shapeless, "shape"), std::pair(&nameless, "name")}) {
    EXPECT_EQ(sm1rt_run(model, "step", &sequence, 1, given, 1, nullptr, 0), nullptr);
    EXPECT_EQ(sm1rt_last_error(), "input 0: its " + std::string(text) + " is null");
  }
  says(!sm1rt_call(nullptr, "step", nullptr, 0, nullptr, 0), "model");
  says(!sm1rt_call(model, nullptr, nullptr, 0, nullptr, 0), "entry");
  EXPECT_EQ(sm1rt_call(model, "step", nullptr, 1, nullptr, 0), nullptr);
  EXPECT_STREQ(sm1rt_last_error(), "inputs: null, 1 were promised");

  sm1rt_tensor tensor;
  sm1rt_result *result = sm1rt_step(model, &sequence, 1, &token);
  ASSERT_NE(result, nullptr) << sm1rt_last_error();
  says(sm1rt_result_count(nullptr) == 0 && !sm1rt_result_values(nullptr), "result");
  says(sm1rt_result_tensor(nullptr, 0, &tensor) == -1, "result");
  says(sm1rt_result_tensor(result, 0, nullptr) == -1, "tensor");
  sm1rt_result_free(result);
  sm1rt_sequence_free(sequence);
}

// A program that was compiled with other headers is told so, with both versions, before anything is opened.
TEST_F(CApiTest, RefusesAnotherVersionOfTheInterface) {
  EXPECT_EQ(sm1rt_check_abi(SM1RT_ABI_VERSION), 0);
  EXPECT_EQ(sm1rt_check_abi(SM1RT_ABI_VERSION + 1), -1);
  std::string both = "version " + std::to_string(SM1RT_ABI_VERSION + 1) + " of the interface, the library has " +
                     std::to_string(SM1RT_ABI_VERSION);
  EXPECT_NE(std::strstr(sm1rt_last_error(), both.c_str()), nullptr) << sm1rt_last_error();
  EXPECT_EQ(sm1rt_open_abi(SM1RT_ABI_VERSION - 1, folder.file("toy.sm1pkg").c_str(), nullptr), nullptr);
  EXPECT_NE(std::strstr(sm1rt_last_error(), "compile it with the headers"), nullptr) << sm1rt_last_error();
}

// The general run: inputs by name, any lengths, the same bits as tokens one by one.
TEST_F(CApiTest, RunsByName) {
  sm1rt_sequence *sequences[] = {sm1rt_sequence_new(model), sm1rt_sequence_new(model)};
  const int32_t tokens[] = {1, 2, 3, 10, 9};
  const int64_t counts[] = {3, 2}, five = 5, four = 4;
  sm1rt_tensor input = {"tokens", SM1RT_I32, 1, &five, tokens};
  sm1rt_result *result = sm1rt_run(model, "prefill", sequences, 2, &input, 1, counts, 1);
  ASSERT_NE(result, nullptr) << sm1rt_last_error();
  ToyReference references[2];
  const float *row = sm1rt_result_values(result);
  for (int i = 0; i < 5; ++i, row += toyChannels) {
    std::vector<float> y = references[i / 3].step(tokens[i]);
    EXPECT_EQ(std::memcmp(row, y.data(), y.size() * 4), 0) << "row " << i;
  }
  sm1rt_result_free(result);
  auto refused = [&](const sm1rt_tensor *inputs, size_t count, const char *says) {
    EXPECT_EQ(sm1rt_run(model, "prefill", sequences, 2, inputs, count, counts, 0), nullptr);
    EXPECT_NE(std::strstr(sm1rt_last_error(), says), nullptr) << sm1rt_last_error();
  };
  refused(&input, 0, "input 'tokens' is missing");
  sm1rt_tensor both[] = {input, {"x", SM1RT_F32, 1, &five, tokens}};
  refused(both, 2, "2 inputs given, the run needs 1");
  refused(&both[1], 1, "input 'tokens' is missing; the first that is given is 'x'");
  both[0].shape = &four;
  refused(both, 1, "is I32 [4], the run needs I32 [5]");
  both[0] = input;
  both[0].dtype = SM1RT_F32;
  refused(both, 1, "is F32 [5], the run needs I32 [5]");
  both[0].data = nullptr;
  refused(both, 1, "is null");
  EXPECT_EQ(sm1rt_sequence_position(sequences[0]), 3);
  for (sm1rt_sequence *sequence : sequences)
    sm1rt_sequence_free(sequence);
}

TEST_F(CApiTest, StatesInMemory) {
  ASSERT_EQ(sm1rt_state_count(model), 2u);
  sm1rt_tensor h;
  ASSERT_EQ(sm1rt_state(model, 0, &h), 0);
  EXPECT_STREQ(h.name, "h");
  ASSERT_EQ(h.rank, 2u);
  EXPECT_EQ(h.shape[0] * h.shape[1], toyLayers * toyChannels);
  EXPECT_EQ(sm1rt_state(model, 2, &h), -1);
  sm1rt_sequence *a = sm1rt_sequence_new(model), *b = sm1rt_sequence_new(model);
  const int32_t token = 4;
  sm1rt_result_free(sm1rt_step(model, &a, 1, &token));
  ToyReference reference;
  reference.step(token);
  std::vector<float> values(size_t(toyLayers * toyChannels)), back(values.size());
  ASSERT_EQ(sm1rt_sequence_read(a, 0, values.data(), values.size()), 0) << sm1rt_last_error();
  EXPECT_EQ(values, reference.h);
  ASSERT_EQ(sm1rt_sequence_write(b, 0, values.data(), values.size()), 0) << sm1rt_last_error();
  ASSERT_EQ(sm1rt_sequence_read(b, 0, back.data(), back.size()), 0);
  EXPECT_EQ(back, values);
  EXPECT_EQ(sm1rt_sequence_read(a, 0, back.data(), 3), -1);
  EXPECT_EQ(sm1rt_sequence_read(a, 9, back.data(), 3), -1);
  EXPECT_EQ(sm1rt_sequence_write(b, 1, values.data(), 3), -1);
  EXPECT_EQ(std::string(sm1rt_fingerprint(model)).size(), 16u);
  sm1rt_sequence_free(a);
  sm1rt_sequence_free(b);
}

TEST_F(CApiTest, ConversationsAsFiles) {
  sm1rt_sequence *a = sm1rt_sequence_new(model), *b = sm1rt_sequence_new(model);
  const int32_t tokens[] = {1, 2, 3};
  const int64_t two = 2;
  sm1rt_result_free(sm1rt_prefill(model, &a, 1, tokens, &two, 0));
  sm1rt_conversation here = {sizeof(here), tokens, 3, 42, 5}, there = {};
  std::string path = folder.file("c.state"), other = folder.file("d.state");
  ASSERT_EQ(sm1rt_sequence_save_conversation(a, path.c_str(), &here), 0) << sm1rt_last_error();
  ASSERT_EQ(sm1rt_sequence_load_conversation(b, path.c_str(), &there), 0) << sm1rt_last_error();
  EXPECT_EQ(there.size, sizeof(there));
  EXPECT_EQ(std::vector<int32_t>(there.tokens, there.tokens + there.token_count), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(there.seed, 42u);
  EXPECT_EQ(there.sequence, 5u);
  EXPECT_EQ(sm1rt_sequence_position(b), 2);

  there.seed = 43;
  ASSERT_EQ(sm1rt_sequence_save_conversation(b, other.c_str(), &there), 0) << sm1rt_last_error();
  sm1rt_state_comparison compared = {};
  EXPECT_EQ(sm1rt_state_compare(path.c_str(), other.c_str(), &compared), -1);
  compared.size = sizeof(compared);
  ASSERT_EQ(sm1rt_state_compare(path.c_str(), path.c_str(), &compared), 0) << sm1rt_last_error();
  EXPECT_TRUE(compared.identical);
  ASSERT_EQ(sm1rt_state_compare(path.c_str(), other.c_str(), &compared), 0) << sm1rt_last_error();
  EXPECT_FALSE(compared.identical) << "another seed";
  EXPECT_TRUE(compared.same_model);
  EXPECT_EQ(compared.common_tokens, 3);
  EXPECT_EQ(compared.largest_distance, 0);
  here.size = 0;
  EXPECT_EQ(sm1rt_sequence_save_conversation(a, path.c_str(), &here), -1);
  sm1rt_sequence_free(a);
  sm1rt_sequence_free(b);
}

} // namespace
