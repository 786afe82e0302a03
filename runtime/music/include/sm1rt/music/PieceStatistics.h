// What can be counted about pieces: how they are built, whether they end, repeat themselves, and sound.
#ifndef SM1RT_MUSIC_PIECESTATISTICS_H
#define SM1RT_MUSIC_PIECESTATISTICS_H

#include "sm1rt/music/Vocabulary.h"

#include <array>
#include <cstdint>
#include <vector>

namespace sm1rt {

/// Ways in which a token can stand where the Grammar does not allow it.
enum class GrammarError {
  BackwardsPosition, ///< POS before the last one of its bar
  LostPitch,         ///< PITCH without POS and TRACK before it
  BrokenNote,        ///< PITCH DUR VEL with a part missing, or a part without the others
  EmptyPlace,        ///< POS or TRACK without what belongs to it
  LostMark,          ///< BAR without SECTION, SECTION or TEMPO not at the start of a bar
  Other              ///< PAD, BOS or a conditioning id in the piece, or a start without BOS
};
constexpr size_t grammarErrorKinds = 6;
/// "positions that run backwards".
const char *describe(GrammarError error);

/// Parts of a whole, added up over pieces.
struct Share {
  int64_t part = 0, whole = 0;

  /// 0 where there is nothing to share.
  double value() const { return whole ? double(part) / double(whole) : 0; }
};

/// Lengths of the n-grams that are looked for.
constexpr std::array<size_t, 3> ngramLengths = {8, 16, 32};

/// Sums over token lists, each a piece.
class PieceStatistics {
public:
  /// Adds a list of ids below the vocabulary's size. Ids after EOS are not looked at.
  void add(const std::vector<int32_t> &tokens, const Vocabulary &vocabulary);

  Share ended;                  ///< pieces with EOS
  std::vector<int64_t> lengths; ///< tokens of each piece
  int64_t tokens = 0, bars = 0, notes = 0;
  std::array<int64_t, grammarErrorKinds> errors = {};         ///< by GrammarError
  std::array<Share, ngramLengths.size()> repeatedNgrams = {}; ///< n-grams of tokens that stood in their piece before
  Share repeatedBars;                                         ///< bars with notes that are those of an earlier bar of their piece
  std::array<int64_t, 12> pitchClasses = {};                  ///< notes by pitch class, C first, without drums
  /// Beats (sixteenths 0, 4, 8, 12 of every bar) on which at least two pitches sound, drums left out, whether struck there or held;
  /// of those, the dissonant: two of the pitches are 1, 2, 6, 10 or 11 semitones apart, octaves taken away (seconds, sevenths,
  /// tritones).
  Share dissonantBeats;

  int64_t errorCount() const;
  int64_t medianLength() const;

private:
  void countErrors(const std::vector<int32_t> &piece, const Vocabulary &vocabulary);
  void countRepeats(const std::vector<int32_t> &piece, const Vocabulary &vocabulary);
  void countHarmony(const std::vector<int32_t> &piece, const Vocabulary &vocabulary);
};

/// Half the sum of the differences of two histograms' shares: 0 for equal ones, 1 for those without anything in common.
double histogramDistance(const std::array<int64_t, 12> &a, const std::array<int64_t, 12> &b);

} // namespace sm1rt

#endif // SM1RT_MUSIC_PIECESTATISTICS_H
