// The token vocabulary of SM1 models: which id means what, for any number of conditioning ids in front.
#ifndef SM1RT_MUSIC_VOCABULARY_H
#define SM1RT_MUSIC_VOCABULARY_H

#include "sm1rt/Error.h"

#include <cstdint>
#include <string>

namespace sm1rt {

/// What a token says. The order is that of the ids.
enum class Field { Conditioning, Pad, Bos, Eos, Bar, Position, Track, Pitch, Duration, Velocity, Tempo, Section };

/// A token taken apart. `value` is in the field's own unit: Conditioning the id; Position 0-15 and Duration 1-16 in sixteenths;
/// Track 0-8; Pitch 21-108 (MIDI); Velocity bucket 1-8; Tempo 40-200 in steps of 10 (quarters a minute); Section 0 early, 1 mid, 2
/// late; else 0.
struct TokenMeaning {
  Field field;
  int value;
};

/// early, mid, late: the thirds of a piece, numbered 0 to 2.
constexpr int sectionCount = 3;
const char *sectionName(int section);

/// A vocabulary of V ids: N = V - 161 conditioning ids, then the 161 ids of music. A value; cheap to copy.
class Vocabulary {
public:
  /// Number of ids that are not conditioning ids.
  static constexpr int64_t musicTokens = 161;

  /// Refuses vocabularies that have no room for the ids of music.
  static Expected<Vocabulary> ofSize(int64_t size);

  int64_t size() const { return conditioning + musicTokens; }
  /// Number N of conditioning ids; they are 0..N-1.
  int64_t conditioningCount() const { return conditioning; }

  /// The id of `value` of `field`; the value must be one that TokenMeaning lists.
  int32_t token(Field field, int value = 0) const;
  /// First id of a field and one past its last.
  int32_t begin(Field field) const;
  int32_t end(Field field) const;

  /// `token` must be below size().
  TokenMeaning meaning(int32_t token) const;
  /// For people: "PITCH 60", "SECTION early", "BAR".
  std::string name(int32_t token) const;

private:
  explicit Vocabulary(int64_t conditioning) : conditioning(conditioning) {}

  int64_t conditioning;
};

} // namespace sm1rt

#endif // SM1RT_MUSIC_VOCABULARY_H
