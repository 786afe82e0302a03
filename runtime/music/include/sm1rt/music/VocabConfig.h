// vocab_config.json: what the conditioning ids in front of a vocabulary mean, and the prefix that asks for something.
#ifndef SM1RT_MUSIC_VOCABCONFIG_H
#define SM1RT_MUSIC_VOCABCONFIG_H

#include "sm1rt/Error.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace sm1rt {

/// A wish: a field and its value as a person writes it.
using ConditioningWish = std::pair<std::string, std::string>;

/// One field with the ids tokenOffset .. tokenOffset + buckets - 1.
struct ConditioningField {
  std::string name;
  bool continuous = false;
  int32_t tokenOffset = 0;
  int32_t buckets = 0;
  std::vector<double> boundaries;  ///< continuous: ascending; bucket = number of boundaries <= value
  std::vector<std::string> values; ///< categorical: bucket = index; numbers as JSON writes them

  /// What the ids between the boundaries or the values are: "below 80, 80 to 120, 120 and above".
  std::string choices() const;
  /// The id for a value; an error that lists the choices when it is none.
  Expected<int32_t> token(const std::string &value) const;
  int32_t defaultToken() const { return tokenOffset + buckets / 2; }
};

class VocabConfig {
public:
  static Expected<VocabConfig> read(const std::string &path);
  /// From text; `name` stands for the path in errors. Refuses fields that are incomplete, of the wrong type, unordered, outside the
  /// conditioning ids, or on the ids of another field.
  static Expected<VocabConfig> parse(const std::string &text, const std::string &name);

  int64_t totalTokens() const { return total; }
  const std::vector<ConditioningField> &fields() const { return list; }

  /// One id for each field in the file's order; fields without a wish take the middle bucket. Refuses unknown fields, values out of
  /// range, and two wishes for one field.
  Expected<std::vector<int32_t>> prefix(const std::vector<ConditioningWish> &wishes) const;

private:
  int64_t total = 0;
  std::vector<ConditioningField> list;
};

} // namespace sm1rt

#endif // SM1RT_MUSIC_VOCABCONFIG_H
