// Conditioning: fields to ids, what nobody asks for, and everything that is refused.
#include "sm1rt/music/VocabConfig.h"

#include "TestFiles.h"
#include "sm1rt/music/Grammar.h"

using namespace sm1rt;

namespace {

const std::string tempoField =
    R"("tempo": {"type": "continuous", "token_offset": 0, "n_buckets": 4, "boundaries": [80, 100, 120.5]})";
const std::string keyField =
    R"("key_root": {"type": "categorical", "token_offset": 4, "n_buckets": 12, "values": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]})";
const std::string styleField =
    R"("style": {"type": "categorical", "token_offset": 16, "n_buckets": 3, "values": ["bach", "jazz", "none"]})";

std::string configOf(const std::string &fields, const std::string &total = "19") {
  return "{\"total_cond_tokens\": " + total + ", \"bucket_config\": {" + fields + "}}";
}

/// Not in the order of their ids.
const VocabConfig config = *VocabConfig::parse(configOf(keyField + "," + tempoField + "," + styleField), "v.json");

std::vector<int32_t> prefixOf(const std::vector<ConditioningWish> &wishes) {
  Expected<std::vector<int32_t>> prefix = config.prefix(wishes);
  EXPECT_TRUE(prefix) << (prefix ? "" : prefix.error().message);
  return prefix ? *prefix : std::vector<int32_t>();
}

TEST(VocabConfig, TakesTheMiddleForWhatNobodyAsks) { EXPECT_EQ(prefixOf({}), (std::vector<int32_t>{4 + 6, 2, 16 + 1})); }

TEST(VocabConfig, FindsTheBucket) {
  EXPECT_EQ(prefixOf({{"tempo", "79.9"}})[1], 0);
  EXPECT_EQ(prefixOf({{"tempo", "80"}})[1], 1) << "a boundary belongs to the bucket above it";
  EXPECT_EQ(prefixOf({{"tempo", "1e3"}})[1], 3);
  EXPECT_EQ(prefixOf({{"key_root", "0"}, {"style", "none"}}), (std::vector<int32_t>{4, 2, 18}));
}

TEST(VocabConfig, RefusesWishesWithAListOfWhatThereIs) {
  EXPECT_ERROR(config.prefix({{"mood", "1"}}), "no field 'mood'; there are key_root, tempo, style");
  EXPECT_ERROR(config.prefix({{"style", "rock"}}), "'style' is 'rock', it can be bach, jazz, none");
  EXPECT_ERROR(config.prefix({{"tempo", "fast"}}),
               "'tempo' is 'fast', a number is needed: below 80, 80 to 100, 100 to 120.5, 120.5 and above");
  EXPECT_ERROR(config.prefix({{"tempo", "nan"}}), "a number is needed");
  EXPECT_ERROR(config.prefix({{"tempo", ""}}), "a number is needed");
  EXPECT_ERROR(config.prefix({{"tempo", "80"}, {"tempo", "90"}}), "'tempo' is given twice");
}

TEST(VocabConfig, RefusesConfigurationsThatMakeNoSense) {
  auto refused = [](const std::string &text) { return VocabConfig::parse(text, "v.json"); };
  EXPECT_ERROR(refused("{"), "v.json: not JSON from byte");
  EXPECT_ERROR(refused("[]"), "it is no JSON object");
  EXPECT_ERROR(refused("{}"), "'total_cond_tokens' is missing");
  EXPECT_ERROR(refused(configOf("", "-1")), "'total_cond_tokens' is -1, must be from 0 to 1000000");
  EXPECT_ERROR(refused(configOf("", "18446744073709551615")), "must be from 0 to 1000000");
  EXPECT_ERROR(refused(R"({"total_cond_tokens": 3})"), "'bucket_config' is missing");
  EXPECT_ERROR(refused(configOf(tempoField, "0")), "'total_cond_tokens' is 0, field 'tempo' has no ids to take");
  EXPECT_ERROR(refused(configOf(R"("a": 3)")), "field 'a': it is 3, must be an object");
  EXPECT_ERROR(refused(configOf(R"("a": {"type": "odd"})")), "'type' is \"odd\", must be continuous or categorical");
  EXPECT_ERROR(refused(configOf(keyField, "15")), "field 'key_root': 'n_buckets' is 12, must be from 1 to 11");
  EXPECT_ERROR(refused(configOf(R"("a": {"type": "continuous", "token_offset": 0, "n_buckets": 2, "boundaries": [1, 2]})")),
               "'boundaries' has 2 entries, n_buckets leaves room for 1");
  EXPECT_ERROR(refused(configOf(R"("a": {"type": "continuous", "token_offset": 0, "n_buckets": 3, "boundaries": [2, 1]})")),
               "'boundaries' has 1 after 2, they must ascend");
  EXPECT_ERROR(refused(configOf(R"("a": {"type": "categorical", "token_offset": 0, "n_buckets": 3, "values": ["x", "x"]})")),
               "'values' has 'x' twice");
  EXPECT_ERROR(
      refused(configOf(tempoField + R"(, "a": {"type": "categorical", "token_offset": 3, "n_buckets": 1, "values": [1]})")),
      "field 'tempo' has ids 0 to 3 and field 'a' starts at 3");
  EXPECT_ERROR(refused(configOf(tempoField + "," + tempoField)), "key 'tempo' appears twice");
  EXPECT_ERROR(refused(configOf("\"a\": " + std::string(100'000, '[') + std::string(100'000, ']'))), "nested more than 64 deep");
  std::string wide = "\"k\": 0";
  for (int key = 0; key < 50'000; ++key)
    wide += ", \"" + std::to_string(key) + "\": 0";
  EXPECT_ERROR(refused(configOf(wide)), "an object has more than 4096 keys");
}

TEST(VocabConfig, GrammarFollowsTheOffset) {
  Vocabulary vocabulary = *Vocabulary::ofSize(161 + config.totalTokens());
  Grammar grammar(vocabulary);
  for (int32_t token : prefixOf({{"tempo", "90"}}))
    ASSERT_TRUE(grammar.accept(token));
  EXPECT_FALSE(grammar.started());
  ASSERT_TRUE(grammar.accept(19 + 1)) << "BOS";
  std::vector<float> logits(size_t(vocabulary.size()), 1.0f);
  grammar.mask(logits.data(), true);
  for (int32_t token = 0; token < vocabulary.size(); ++token)
    EXPECT_EQ(logits[size_t(token)] == 1.0f, token == 19 + 3) << "only BAR may follow: " << token;
}

} // namespace
