// vocab_config.json: whatever is accepted gives a prefix of conditioning ids, with and without wishes.
#include "FuzzTarget.h"

#include "sm1rt/music/VocabConfig.h"

using namespace sm1rt;
using sm1fuzz::require;

std::vector<std::string> sm1fuzz::seeds() {
  return {R"({"total_cond_tokens": 7, "bucket_config": {"tempo": {"type": "continuous", "token_offset": 0, "n_buckets": 4,)"
          R"( "boundaries": [80, 110.5, 140]}, "key_root": {"type": "categorical", "token_offset": 4, "n_buckets": 3,)"
          R"( "values": [0, "four", 7]}}})",
          R"({"total_cond_tokens": 0, "bucket_config": {}})",
          R"({"total_cond_tokens": 2, "bucket_config": {"a": {"type": "categorical", "token_offset": 0, "n_buckets": 2,)"
          R"( "values": [true, -1.5e3]}}, "note": [[[]]]})"};
}

static void checkPrefix(const VocabConfig &config, const std::vector<ConditioningWish> &wishes) {
  auto prefix = config.prefix(wishes);
  if (!prefix)
    return;
  require(prefix->size() == config.fields().size(), "every field has an id");
  for (int32_t token : *prefix)
    require(token >= 0 && token < config.totalTokens(), "an id is a conditioning id");
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  auto config = VocabConfig::parse({reinterpret_cast<const char *>(data), size}, "fuzz");
  if (!config) {
    require(!config.error().message.empty(), "a refusal has a reason");
    return 0;
  }
  require(bool(config->prefix({})), "a prefix needs no wishes");
  checkPrefix(*config, {});
  for (const ConditioningField &field : config->fields()) {
    require(!field.choices().empty() || !field.continuous, "a field says what it can be");
    for (const char *value : {"0", "100", "-1e308", "four", "nan", ""})
      checkPrefix(*config, {{field.name, value}});
    for (const std::string &value : field.values)
      checkPrefix(*config, {{field.name, value}});
  }
  return 0;
}
