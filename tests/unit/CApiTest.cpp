// The C API, used as a C program would.
#include "Platform.h"
#include "TestPackage.h"
#include "sm1rt/sm1rt.h"

#include <cstring>

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
  EXPECT_EQ(sm1rt_sequence_load(sequence, "nowhere"), -1);
  EXPECT_EQ(sm1rt_sequence_position(sequence), 0);
  sm1rt_sequence_free(sequence);
  sm1rt_sequence_free(nullptr);
  sm1rt_model_free(nullptr);
  sm1rt_result_free(nullptr);
}

} // namespace
