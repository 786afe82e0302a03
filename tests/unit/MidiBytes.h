// MIDI files for tests, put together byte by byte, so that they can lie.
#ifndef SM1_TESTS_UNIT_MIDIBYTES_H
#define SM1_TESTS_UNIT_MIDIBYTES_H

#include <cstdint>
#include <string>
#include <vector>

namespace sm1test {

inline std::string bigEndian(uint32_t value, int count) {
  std::string bytes;
  for (int shift = 8 * (count - 1); shift >= 0; shift -= 8)
    bytes += char(value >> shift & 0xFF);
  return bytes;
}

inline std::string bytesOf(const std::vector<int> &values) {
  std::string bytes;
  for (int value : values)
    bytes += char(value);
  return bytes;
}

/// A number of 7-bit digits.
inline std::string variableLength(uint32_t value) {
  std::string bytes(1, char(value & 0x7F));
  while (value >>= 7)
    bytes.insert(bytes.begin(), char(0x80 | (value & 0x7F)));
  return bytes;
}

inline std::string midiEvent(uint32_t delta, const std::vector<int> &values) { return variableLength(delta) + bytesOf(values); }

inline std::string midiTempo(uint32_t delta, uint32_t microsecondsPerQuarter) {
  return midiEvent(delta, {0xFF, 0x51, 3}) + bigEndian(microsecondsPerQuarter, 3);
}

const std::string endOfTrack = bytesOf({0, 0xFF, 0x2F, 0});

inline std::string midiChunk(const std::string &tag, const std::string &content) {
  return tag + bigEndian(uint32_t(content.size()), 4) + content;
}

/// A header that states `tracks.size()` tracks, and the tracks, to each of which an end mark is added.
inline std::string midiBytes(int format, int division, const std::vector<std::string> &tracks) {
  std::string bytes =
      midiChunk("MThd", bigEndian(uint32_t(format), 2) + bigEndian(uint32_t(tracks.size()), 2) + bigEndian(uint32_t(division), 2));
  for (const std::string &track : tracks)
    bytes += midiChunk("MTrk", track + endOfTrack);
  return bytes;
}

} // namespace sm1test

#endif // SM1_TESTS_UNIT_MIDIBYTES_H
