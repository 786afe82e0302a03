// JSON from files nobody vouches for.
#include "Json.h"

#include <fmt/format.h>

#include <set>
#include <vector>

namespace sm1rt {

using nlohmann::json;

namespace {

/// Builds the document through the library's own builder and refuses what the builder would let pass.
class StrictBuilder : public nlohmann::json_sax<json> {
public:
  StrictBuilder(json &root) : builder(root, /*allow_exceptions=*/false) {}

  std::string problem;

  bool null() override { return count() && builder.null(); }
  bool boolean(bool value) override { return count() && builder.boolean(value); }
  bool number_integer(number_integer_t value) override { return count() && builder.number_integer(value); }
  bool number_unsigned(number_unsigned_t value) override { return count() && builder.number_unsigned(value); }
  bool number_float(number_float_t value, const string_t &text) override { return count() && builder.number_float(value, text); }
  bool string(string_t &value) override { return count() && builder.string(value); }
  bool binary(binary_t &value) override { return count() && builder.binary(value); }

  bool start_object(size_t) override { return enter() && builder.start_object(size_t(-1)); }
  bool end_object() override { return leave() && builder.end_object(); }
  bool start_array(size_t) override { return enter() && builder.start_array(size_t(-1)); }
  bool end_array() override { return leave() && builder.end_array(); }

  bool key(string_t &name) override {
    if (!keys.back().insert(name).second) {
      problem = fmt::format("key '{}' appears twice", name);
      return false;
    }
    return builder.key(name);
  }

  bool parse_error(size_t position, const std::string &, const nlohmann::detail::exception &) override {
    if (problem.empty())
      problem = fmt::format("not JSON from byte {} on", position);
    return false;
  }

private:
  static constexpr size_t deepest = 64;
  /// Values of one document. A value takes some ten times its text in memory; no header of ours has a tenth of these.
  static constexpr size_t mostValues = 10'000'000;

  bool count() {
    if (++values <= mostValues)
      return true;
    problem = fmt::format("more than {} values", mostValues);
    return false;
  }
  bool enter() {
    keys.emplace_back();
    if (!count())
      return false;
    if (keys.size() <= deepest)
      return true;
    problem = fmt::format("nested more than {} deep", deepest);
    return false;
  }
  bool leave() {
    keys.pop_back();
    return true;
  }

  nlohmann::detail::json_sax_dom_parser<json> builder;
  std::vector<std::set<std::string>> keys;
  size_t values = 0;
};

} // namespace

Expected<json> parseJson(std::string_view text, const std::string &where) {
  json root;
  StrictBuilder builder(root);
  if (!json::sax_parse(text.begin(), text.end(), &builder))
    return Error{fmt::format("{}: {}", where, builder.problem.empty() ? "not JSON" : builder.problem)};
  return root;
}

std::string quoteJson(std::string_view text) {
  return json(std::string(text)).dump(-1, ' ', false, json::error_handler_t::replace);
}

void JsonCursor::fail(std::string_view what) const {
  if (failure->empty())
    *failure = fmt::format("{}: {}", path, what);
}

static const json &nothing() {
  static const json null;
  return null;
}

bool JsonCursor::has(const char *key) const { return value->is_object() && value->contains(key); }

JsonCursor JsonCursor::operator[](const char *key) const {
  std::string inner = path.empty() ? key : fmt::format("{}.{}", path, key);
  if (!value->is_object()) {
    fail("must be an object");
    return {nothing(), inner, *failure};
  }
  auto found = value->find(key);
  if (found != value->end())
    return {*found, inner, *failure};
  fail(fmt::format("key '{}' is missing", key));
  return {nothing(), inner, *failure};
}

JsonCursor JsonCursor::operator[](size_t index) const {
  bool valid = value->is_array() && index < value->size();
  return {valid ? (*value)[index] : nothing(), fmt::format("{}[{}]", path, index), *failure};
}

size_t JsonCursor::arraySize(size_t limit) const {
  if (!value->is_array())
    fail("must be an array");
  else if (value->size() > limit)
    fail(fmt::format("{} elements, at most {} are allowed", value->size(), limit));
  return failed() ? 0 : value->size();
}

int64_t JsonCursor::integer(int64_t least, int64_t most) const {
  if (!value->is_number_integer()) {
    fail("must be an integer");
    return least;
  }
  bool tooLarge = value->is_number_unsigned() && value->get<uint64_t>() > uint64_t(INT64_MAX);
  int64_t number = tooLarge ? 0 : value->get<int64_t>();
  if (!tooLarge && number >= least && number <= most)
    return number;
  fail(fmt::format("{} is outside {} to {}", value->dump(), least, most));
  return least;
}

double JsonCursor::number(double least, double most) const {
  if (!value->is_number()) {
    fail("must be a number");
    return least;
  }
  double number = value->get<double>();
  if (number >= least && number <= most)
    return number;
  fail(fmt::format("{} is outside {} to {}", value->dump(), least, most));
  return least;
}

bool JsonCursor::boolean() const {
  if (!value->is_boolean())
    fail("must be true or false");
  return value->is_boolean() && value->get<bool>();
}

std::string JsonCursor::string() const {
  if (!value->is_string())
    fail("must be a string");
  return value->is_string() ? value->get_ref<const std::string &>() : std::string();
}

std::string JsonCursor::name() const {
  std::string text = string();
  if (text.empty())
    fail("must not be empty");
  return text;
}

std::vector<std::string> JsonCursor::keys() const {
  std::vector<std::string> names;
  if (!value->is_object())
    fail("must be an object");
  else
    for (auto &item : value->items())
      names.push_back(item.key());
  return names;
}

} // namespace sm1rt
