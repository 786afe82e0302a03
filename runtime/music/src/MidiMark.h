// How a track of a MIDI file that we wrote says which track token it stands for: programs alone do not tell (two track tokens are
// pianos). A sequencer-specific meta event, which every other program skips: 7D (no manufacturer) 's' 'm' '1' track.
#ifndef SM1RT_MUSIC_SRC_MIDIMARK_H
#define SM1RT_MUSIC_SRC_MIDIMARK_H

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace sm1rt {

constexpr uint8_t midiMarkType = 0x7F;

/// The whole meta event for track token 0 to 8.
inline std::vector<unsigned char> midiMark(int track) { return {0xFF, midiMarkType, 5, 0x7D, 's', 'm', '1', (unsigned char)track}; }

/// The track token that the content of a sequencer-specific event states; -1 when it is none of ours.
inline int readMidiMark(const uint8_t *content, size_t bytes) {
  bool ours = bytes == 5 && std::memcmp(content, "\x7Dsm1", 4) == 0 && content[4] <= 8;
  return ours ? content[4] : -1;
}

} // namespace sm1rt

#endif // SM1RT_MUSIC_SRC_MIDIMARK_H
