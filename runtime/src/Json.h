// JSON from files nobody vouches for: duplicate keys, deep nesting and broken text are errors, never exceptions.
#ifndef SM1RT_SRC_JSON_H
#define SM1RT_SRC_JSON_H

#include "sm1rt/Error.h"

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

namespace sm1rt {

/// Parses one JSON value that fills `text`. Errors start with `where`.
Expected<nlohmann::json> parseJson(std::string_view text, const std::string &where);

/// `text` as a JSON string, quotes included; bytes that are not UTF-8 are replaced.
std::string quoteJson(std::string_view text);

/// A place in a JSON document with its path, for readers that check as they go. The first failure is kept, everything after it
/// returns harmless values, so a reader is a straight list of fields and asks once at the end.
class JsonCursor {
public:
  JsonCursor(const nlohmann::json &value, std::string path, std::string &failure)
      : value(&value), path(std::move(path)), failure(&failure) {}

  bool has(const char *key) const;
  /// Member of an object; its absence is a failure.
  JsonCursor operator[](const char *key) const;
  /// Element of an array.
  JsonCursor operator[](size_t index) const;
  /// Length of an array of at most `limit` elements.
  size_t arraySize(size_t limit = 1 << 16) const;
  int64_t integer(int64_t least, int64_t most) const;
  /// A finite number, whole or not.
  double number(double least, double most) const;
  bool boolean() const;
  std::string string() const;
  /// A string with at least one character.
  std::string name() const;
  /// Members of an object.
  std::vector<std::string> keys() const;
  bool isString() const { return value->is_string(); }

  /// Records a failure at this place unless there is one already.
  void fail(std::string_view what) const;
  bool failed() const { return !failure->empty(); }

private:
  const nlohmann::json *value;
  std::string path;
  std::string *failure;
};

} // namespace sm1rt

#endif // SM1RT_SRC_JSON_H
