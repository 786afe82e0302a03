// A token list read as music: notes and tempo changes on a grid of sixteenths.
#ifndef SM1RT_MUSIC_SONG_H
#define SM1RT_MUSIC_SONG_H

#include "sm1rt/music/Vocabulary.h"

#include <cstdint>
#include <vector>

namespace sm1rt {

constexpr int sixteenthsPerBar = 16;

struct Note {
  int64_t start; ///< sixteenths since the start of the first bar
  int duration;  ///< sixteenths, 1 to 16; may reach into the next bar
  int track;     ///< 0 to 8
  int pitch;     ///< MIDI, 21 to 108
  int velocity;  ///< MIDI, 8 to 120: the middle of the token's bucket
};

struct TempoChange {
  int64_t start; ///< sixteenths; always the start of a bar
  int bpm;       ///< quarters a minute
};

struct Song {
  int64_t bars = 0;
  std::vector<Note> notes;         ///< in the order of the tokens
  std::vector<TempoChange> tempos; ///< ascending, at most one a bar; empty: none was given
  int64_t ignoredTokens = 0;       ///< tokens of notes that lack a bar, a position, a track or a part of the note
};

/// Reads any list of ids below the vocabulary's size, also one cut in the middle of a note or one that breaks the grammar: what
/// makes no note is counted in `ignoredTokens`. Reading stops at EOS.
Song readSong(const std::vector<int32_t> &tokens, const Vocabulary &vocabulary);

} // namespace sm1rt

#endif // SM1RT_MUSIC_SONG_H
