// A bar of tokens as a line that a musician can read.
#ifndef SM1RT_MUSIC_BARTEXT_H
#define SM1RT_MUSIC_BARTEXT_H

#include "sm1rt/music/Vocabulary.h"

#include <cstdint>
#include <string>
#include <vector>

namespace sm1rt {

/// Section, tempo where it is stated, and for each track its notes by beat, a chord's name after its notes:
/// "early  120 bpm  organ: 1 C3 G3 E4 C5 (C)  2& D5". `tokens` is a bar from its BAR on; like readSong it takes any tokens.
std::string describeBar(const std::vector<int32_t> &tokens, const Vocabulary &vocabulary);

} // namespace sm1rt

#endif // SM1RT_MUSIC_BARTEXT_H
