// From the notes of a MIDI file to tokens, and what of them did not fit the grid.
#ifndef SM1RT_MUSIC_TOKENIZER_H
#define SM1RT_MUSIC_TOKENIZER_H

#include "sm1rt/Error.h"
#include "sm1rt/music/MidiReader.h"
#include "sm1rt/music/Vocabulary.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sm1rt {

/// V0: the rules that SM1 models were published with. A start is its time in seconds divided by the sixteenth of the tempo in
/// force, so that bars shift after a change of tempo; one that rounds up past the last sixteenth of a bar falls to the first of the
/// same bar; bars without notes are left out; durations end at 16. V1: starts follow the tempo map; rounding up reaches the next
/// bar; bars without notes stay; longer notes are struck again at every bar line (there is no token for a tie); of notes of one
/// track token that start together on one pitch the longest stays, and one that is struck again before it ends, ends there.
enum class Tokenizer { V0, V1 };

/// "v0", "v1".
const char *tokenizerName(Tokenizer tokenizer);
std::optional<Tokenizer> parseTokenizer(const std::string &name);

/// Notes and tempo changes that the tokens say otherwise than the file. A note may count in several.
struct GridReport {
  int64_t notes = 0;            ///< notes read
  int64_t movedStarts = 0;      ///< start rounded to a sixteenth
  int64_t roundedDurations = 0; ///< duration rounded to sixteenths, or raised to one
  int64_t clampedPitches = 0;   ///< below 21 or above 108
  int64_t shortenedNotes = 0;   ///< longer than 16 sixteenths (V0), or struck again before their end (V1)
  int64_t splitNotes = 0;       ///< longer than 16 sixteenths, struck again at bar lines (V1)
  int64_t doubledNotes = 0;     ///< left out for a longer one at the same place (V1)
  int64_t misplacedNotes = 0;   ///< at the first sixteenth of their bar instead of the next bar's (V0)
  int64_t roundedTempos = 0;    ///< not a multiple of 10 from 40 to 200
  int64_t movedTempos = 0;      ///< changes inside a bar, which count from the next one
  int64_t unendedNotes = 0;     ///< as MidiFile
  int64_t otherMetres = 0;      ///< files whose metre has other bars than four quarters; bars are four quarters all the same

  GridReport &operator+=(const GridReport &other);
};

/// "12 starts moved to the grid, 3 pitches clamped"; empty when everything fits.
std::string toString(const GridReport &report);

struct Tokenized {
  std::vector<int32_t> tokens; ///< prefix, BOS, bars, EOS
  int64_t bars = 0;
  GridReport report;
};

/// Tokens of `file`: `prefix` (conditioning ids), BOS, bars, EOS. Follows the Grammar. Refuses a file without notes and one longer
/// than 32768 bars.
Expected<Tokenized> tokenize(const MidiFile &file, const Vocabulary &vocabulary, Tokenizer tokenizer,
                             const std::vector<int32_t> &prefix = {});

/// The list up to and without bar `bars` (counted from 0) and without EOS: the start of a piece. Refuses a list with fewer bars.
Expected<std::vector<int32_t>> firstBars(const std::vector<int32_t> &tokens, const Vocabulary &vocabulary, int64_t bars);

} // namespace sm1rt

#endif // SM1RT_MUSIC_TOKENIZER_H
