// Fields of a plan that its model and its programs have alike.
#ifndef SM1RT_SRC_PLANFIELDS_H
#define SM1RT_SRC_PLANFIELDS_H

#include "Json.h"
#include "sm1rt/Plan.h"

#include <fmt/format.h>

#include <initializer_list>
#include <vector>

namespace sm1rt {

constexpr int64_t widthLimit = int64_t(1) << 24;
constexpr int64_t layerLimit = 1 << 16;

using Choices = std::initializer_list<const char *>;

/// A string that is one of `choices`; its index.
inline size_t readChoice(const JsonCursor &at, Choices choices) {
  std::string text = at.string();
  std::string all;
  size_t index = 0;
  for (const char *choice : choices) {
    if (text == choice)
      return index;
    all += fmt::format("{}'{}'", index++ ? ", " : "", choice);
  }
  at.fail(fmt::format("'{}' is none of {}", text, all));
  return 0;
}

/// A string that is one of `choices`.
inline std::string readWord(const JsonCursor &at, Choices choices) { return choices.begin()[readChoice(at, choices)]; }

inline std::string readCompute(const JsonCursor &at) { return readWord(at, {"f32", "bf16", "fp8", "int8"}); }

inline RowSpace readRowSpace(const JsonCursor &at) {
  return readChoice(at, {"all", "selected"}) == 0 ? RowSpace::All : RowSpace::Selected;
}

inline DType readDType(const JsonCursor &at) {
  std::string text = at.string();
  auto dtype = parseDType(text);
  if (!dtype)
    at.fail(fmt::format("'{}' is no dtype", text));
  return dtype.value_or(DType::F32);
}

/// An element of `items` by index; 0 after a failure, with `items` possibly empty.
template <typename Item> size_t readIndex(const JsonCursor &at, const std::vector<Item> &items, const char *what) {
  if (items.empty()) {
    at.fail(fmt::format("there is no {}", what));
    return 0;
  }
  int64_t index = at.integer(INT64_MIN, INT64_MAX);
  if (index >= 0 && uint64_t(index) < items.size())
    return size_t(index);
  at.fail(fmt::format("{} {} does not exist, there are {}", what, index, items.size()));
  return 0;
}

} // namespace sm1rt

#endif // SM1RT_SRC_PLANFIELDS_H
