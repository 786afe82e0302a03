// Which token may follow which: [conditioning ids] BOS, then bars of BAR SECTION [TEMPO] (POS TRACK (PITCH DUR VEL)+)*, then EOS.
#ifndef SM1RT_MUSIC_GRAMMAR_H
#define SM1RT_MUSIC_GRAMMAR_H

#include "sm1rt/Error.h"
#include "sm1rt/music/Vocabulary.h"

#include <cstdint>

namespace sm1rt {

/// A reader of one token list, one token after the other. Positions never run backwards inside a bar (equal ones may: another
/// track). A bar may be empty. A piece may end where a bar may end. PAD has no place in a piece.
class Grammar {
public:
  explicit Grammar(const Vocabulary &vocabulary) : vocabulary(vocabulary) {}

  /// Whether `token` (below the vocabulary's size) may come next.
  bool allows(int32_t token) const;
  /// Moves past `token`; an error that names it and its place in the list, and no move, where it may not come next.
  Expected<void> accept(int32_t token);
  /// Moves past any token below the vocabulary's size, as if it might come next.
  void advance(int32_t token);
  /// Overwrites with minus infinity the logits [V] of tokens that may not come next; with `mayEnd` false also EOS. After BOS it
  /// always leaves at least one token, and never PAD, BOS or a conditioning id.
  void mask(float *logits, bool mayEnd) const;

  /// BOS has been read.
  bool started() const { return place != Place::Start; }
  /// EOS has been read; nothing may follow.
  bool ended() const { return place == Place::End; }

private:
  /// Named after what has just been read.
  enum class Place { Start, Bos, Bar, Section, Tempo, Position, Track, Pitch, Duration, Velocity, End };

  bool allowsField(Field field) const;
  bool barMayEnd() const { return place == Place::Section || place == Place::Tempo || place == Place::Velocity; }

  Vocabulary vocabulary;
  Place place = Place::Start;
  int lastPosition = 0; ///< in the current bar
  int64_t tokensRead = 0;
};

} // namespace sm1rt

#endif // SM1RT_MUSIC_GRAMMAR_H
