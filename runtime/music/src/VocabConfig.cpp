// The conditioning vocabulary, checked once when it is read; after that every field's ids are sound.
#include "sm1rt/music/VocabConfig.h"

#include "Json.h"
#include "Platform.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <unordered_set>

namespace sm1rt {
namespace {

/// Keeps the order of fields, which is that of the prefix.
using Json = nlohmann::ordered_json;

constexpr uint64_t fileLimitBytes = 512 << 10;
constexpr int64_t maxTokens = 1'000'000;
constexpr size_t maxKeys = 4096;

/// A value for a person. Lists and objects are only named: they may be nested deeper than the stack.
std::string shown(const Json &value) { return value.is_structured() ? fmt::format("an {}", value.type_name()) : value.dump(); }

/// A whole number of `object`, from `least` to `most`.
Expected<int64_t> wholeNumber(const Json &object, const char *key, int64_t least, int64_t most) {
  auto found = object.find(key);
  if (found == object.end() || !found->is_number_integer())
    return Error{fmt::format("'{}' is {}, a whole number is needed", key, found == object.end() ? "missing" : shown(*found))};
  bool wide = found->is_number_unsigned() && found->get<uint64_t>() > uint64_t(INT64_MAX);
  if (wide || found->get<int64_t>() > most || found->get<int64_t>() < least)
    return Error{fmt::format("'{}' is {}, must be from {} to {}", key, found->dump(), least, most)};
  return found->get<int64_t>();
}

Expected<const Json *> listOf(const Json &object, const char *key, int64_t most) {
  auto found = object.find(key);
  if (found == object.end() || !found->is_array())
    return Error{fmt::format("'{}' is {}, must be a list", key, found == object.end() ? "missing" : found->type_name())};
  if (int64_t(found->size()) > most)
    return Error{fmt::format("'{}' has {} entries, n_buckets leaves room for {}", key, found->size(), most)};
  return &*found;
}

Expected<void> readBoundaries(const Json &object, ConditioningField &field) {
  Expected<const Json *> boundaries = listOf(object, "boundaries", field.buckets - 1);
  if (!boundaries)
    return boundaries.error();
  for (const Json &boundary : **boundaries) {
    if (!boundary.is_number())
      return Error{fmt::format("'boundaries' has {}, numbers are needed", shown(boundary))};
    double value = boundary.get<double>();
    if (!std::isfinite(value) || (!field.boundaries.empty() && value < field.boundaries.back()))
      return Error{fmt::format("'boundaries' has {} after {}, they must ascend", value,
                               field.boundaries.empty() ? value : field.boundaries.back())};
    field.boundaries.push_back(value);
  }
  return {};
}

Expected<void> readValues(const Json &object, ConditioningField &field) {
  Expected<const Json *> values = listOf(object, "values", field.buckets);
  if (!values)
    return values.error();
  if ((*values)->empty())
    return Error{"'values' is empty; it needs at least one"};
  std::unordered_set<std::string> seen;
  for (const Json &value : **values) {
    if (value.is_structured() || value.is_null())
      return Error{fmt::format("'values' has a {}, texts or numbers are needed", value.type_name())};
    std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    if (!seen.insert(text).second)
      return Error{fmt::format("'values' has '{}' twice", text)};
    field.values.push_back(text);
  }
  return {};
}

Expected<ConditioningField> readField(const std::string &name, const Json &object, int64_t total) {
  ConditioningField field;
  field.name = name;
  if (!object.is_object())
    return Error{fmt::format("it is {}, must be an object", shown(object))};
  auto type = object.find("type");
  if (type == object.end() || (*type != "continuous" && *type != "categorical"))
    return Error{fmt::format("'type' is {}, must be continuous or categorical", type == object.end() ? "missing" : shown(*type))};
  field.continuous = *type == "continuous";
  Expected<int64_t> offset = wholeNumber(object, "token_offset", 0, total - 1);
  if (!offset)
    return offset.error();
  Expected<int64_t> buckets = wholeNumber(object, "n_buckets", 1, total - *offset);
  if (!buckets)
    return buckets.error();
  field.tokenOffset = int32_t(*offset);
  field.buckets = int32_t(*buckets);
  if (Expected<void> read = field.continuous ? readBoundaries(object, field) : readValues(object, field); !read)
    return read.error();
  return field;
}

/// Two fields may not share an id.
Expected<void> checkApart(std::vector<ConditioningField> fields) {
  std::sort(fields.begin(), fields.end(),
            [](const ConditioningField &a, const ConditioningField &b) { return a.tokenOffset < b.tokenOffset; });
  for (size_t index = 1; index < fields.size(); ++index) {
    const ConditioningField &before = fields[index - 1], &after = fields[index];
    if (before.tokenOffset + before.buckets > after.tokenOffset)
      return Error{fmt::format("field '{}' has ids {} to {} and field '{}' starts at {}; fields may not share ids", before.name,
                               before.tokenOffset, before.tokenOffset + before.buckets - 1, after.name, after.tokenOffset)};
  }
  return {};
}

/// Objects that keep their order find keys one by one, so a wide one would take hours.
bool hasWideObject(const nlohmann::json &value) {
  if (value.is_object() && value.size() > maxKeys)
    return true;
  return value.is_structured() && std::any_of(value.begin(), value.end(), hasWideObject);
}

/// The document in its order, once it is known to be harmless: no key twice, not too deep, not too wide.
Expected<Json> parseOrdered(const std::string &text, const std::string &name) {
  Expected<nlohmann::json> strict = parseJson(text, name);
  if (!strict)
    return strict.error();
  if (hasWideObject(*strict))
    return Error{fmt::format("{}: an object has more than {} keys", name, maxKeys)};
  return Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

Expected<double> parseNumber(const std::string &text) {
  char *end = nullptr;
  double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !std::isfinite(value))
    return Error{"no number"};
  return value;
}

} // namespace

std::string ConditioningField::choices() const {
  if (!continuous)
    return fmt::format("{}", fmt::join(values, ", "));
  if (boundaries.empty())
    return "any number";
  std::string text = fmt::format("below {}", boundaries.front());
  for (size_t index = 1; index < boundaries.size(); ++index)
    text += fmt::format(", {} to {}", boundaries[index - 1], boundaries[index]);
  return text + fmt::format(", {} and above", boundaries.back());
}

Expected<int32_t> ConditioningField::token(const std::string &value) const {
  if (continuous) {
    Expected<double> number = parseNumber(value);
    if (!number)
      return Error{fmt::format("'{}' is '{}', a number is needed: {}", name, value, choices())};
    auto above = std::upper_bound(boundaries.begin(), boundaries.end(), *number);
    return tokenOffset + int32_t(above - boundaries.begin());
  }
  auto found = std::find(values.begin(), values.end(), value);
  if (found == values.end())
    return Error{fmt::format("'{}' is '{}', it can be {}", name, value, choices())};
  return tokenOffset + int32_t(found - values.begin());
}

Expected<VocabConfig> VocabConfig::read(const std::string &path) {
  Expected<std::string> text = readTextFile(path, fileLimitBytes);
  if (!text)
    return text.error();
  return parse(*text, path);
}

Expected<VocabConfig> VocabConfig::parse(const std::string &text, const std::string &name) {
  Expected<Json> parsed = parseOrdered(text, name);
  if (!parsed)
    return parsed.error();
  const Json &json = *parsed;
  if (!json.is_object())
    return Error{fmt::format("{}: it is no JSON object", name)};
  VocabConfig config;
  Expected<int64_t> total = wholeNumber(json, "total_cond_tokens", 0, maxTokens);
  if (!total)
    return total.error().in(name);
  config.total = *total;
  auto fields = json.find("bucket_config");
  if (fields == json.end() || !fields->is_object())
    return Error{fmt::format("{}: 'bucket_config' is {}, must be an object of fields", name,
                             fields == json.end() ? "missing" : fields->type_name())};
  if (config.total == 0 && !fields->empty())
    return Error{fmt::format("{}: 'total_cond_tokens' is 0, field '{}' has no ids to take", name, fields->begin().key())};
  for (const auto &[key, value] : fields->items()) {
    Expected<ConditioningField> field = readField(key, value, config.total);
    if (!field)
      return field.error().in(fmt::format("{}: field '{}'", name, key));
    config.list.push_back(std::move(*field));
  }
  if (Expected<void> apart = checkApart(config.list); !apart)
    return apart.error().in(name);
  return config;
}

Expected<std::vector<int32_t>> VocabConfig::prefix(const std::vector<ConditioningWish> &wishes) const {
  std::vector<int32_t> tokens;
  for (const ConditioningField &field : list)
    tokens.push_back(field.defaultToken());
  std::vector<bool> wished(list.size(), false);
  for (const auto &[name, value] : wishes) {
    auto field =
        std::find_if(list.begin(), list.end(), [&, &wanted = name](const ConditioningField &each) { return each.name == wanted; });
    if (field == list.end()) {
      std::string names;
      for (const ConditioningField &each : list)
        names += (names.empty() ? "" : ", ") + each.name;
      return Error{fmt::format("no field '{}'; there are {}", name, names.empty() ? "none" : names)};
    }
    auto index = size_t(field - list.begin());
    if (wished[index])
      return Error{fmt::format("'{}' is given twice", name)};
    wished[index] = true;
    Expected<int32_t> token = field->token(value);
    if (!token)
      return token.error();
    tokens[index] = *token;
  }
  return tokens;
}

} // namespace sm1rt
