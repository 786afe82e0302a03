// MIDI files read event by event, every length checked before it is believed. libsmf only writes in this library: its reader ends
// the process (an assertion) on one damaged file in a hundred.
#include "sm1rt/music/MidiReader.h"

#include "MidiMark.h"
#include "Platform.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <tuple>

namespace sm1rt {
namespace {

constexpr uint64_t fileLimitBytes = uint64_t(16) << 20;
constexpr int defaultMicrosecondsPerQuarter = 500'000;
constexpr int drumChannel = 9, channels = 16;

/// A part of the file that is read from front to back; positions are those in the file.
struct Bytes {
  const uint8_t *data;
  size_t at, end;

  size_t left() const { return end - at; }
  bool startsWith(const char *tag) const { return left() >= 4 && std::memcmp(data + at, tag, 4) == 0; }
  uint32_t bigEndian(int count) {
    uint32_t value = 0;
    for (; count > 0; --count)
      value = value << 8 | data[at++];
    return value;
  }
  /// A number of 7-bit digits, at most four of them; nothing when it is cut or longer.
  std::optional<uint32_t> variableLength() {
    uint32_t value = 0;
    for (int digit = 0; digit < 4 && at < end; ++digit) {
      uint8_t byte = data[at++];
      value = value << 7 | (byte & 0x7F);
      if (byte < 0x80)
        return value;
    }
    return std::nullopt;
  }
};

struct ChannelEvent {
  enum Kind : uint8_t { Off, On, Program };
  int64_t tick;
  uint32_t key; ///< track, channel, pitch: what tells sounding notes apart
  Kind kind;
  uint8_t value; ///< velocity or program

  uint32_t track() const { return key >> 11; }
  int channel() const { return int(key >> 7 & 0xF); }
  int pitch() const { return int(key & 0x7F); }
};

/// Everything the tracks say, before it is put in order.
struct Content {
  std::vector<ChannelEvent> events;
  std::vector<MidiTempo> tempos;
  std::vector<int64_t> trackEnds; ///< ticks
  std::vector<int> trackTokens;   ///< -1 for tracks that are not ours
  bool otherMetre = false;
};

class TrackReader {
public:
  TrackReader(Bytes bytes, int64_t startTick, Content &content)
      : bytes(bytes), tick(startTick), track(uint32_t(content.trackEnds.size())), content(content) {
    content.trackTokens.push_back(-1);
  }

  Expected<void> read() {
    while (!ended && bytes.left() > 0) {
      eventStart = bytes.at;
      std::optional<uint32_t> delta = bytes.variableLength();
      if (!delta || bytes.left() == 0)
        return broken("a time without an event");
      tick += *delta;
      if (Expected<void> event = readEvent(); !event)
        return event;
    }
    content.trackEnds.push_back(tick);
    return {};
  }

private:
  Error broken(const std::string &what) const {
    return {fmt::format("byte {}, track {}: {}; the file is damaged", eventStart, track, what)};
  }

  Expected<void> readEvent() {
    uint8_t status = bytes.data[bytes.at];
    if (status >= 0x80)
      ++bytes.at;
    else if (runningStatus == 0)
      return broken(fmt::format("it has {:#04x} where an event has to start", status));
    else
      status = runningStatus;
    if (status < 0xF0)
      return readChannelEvent(status);
    runningStatus = 0;
    return status == 0xFF ? readMeta() : readSystemEvent(status);
  }

  Expected<void> readChannelEvent(uint8_t status) {
    runningStatus = status;
    int kind = status >> 4;
    size_t count = kind == 0xC || kind == 0xD ? 1 : 2;
    if (bytes.left() < count)
      return broken("an event is cut short");
    uint8_t first = bytes.data[bytes.at], second = count == 2 ? bytes.data[bytes.at + 1] : 0;
    if (first >= 0x80 || second >= 0x80)
      return broken(fmt::format("event {:#04x} has a value above 127", status));
    bytes.at += count;
    uint32_t channelKey = track << 11 | uint32_t(status & 0xF) << 7;
    if (kind == 0x8 || kind == 0x9)
      content.events.push_back(
          {tick, channelKey | first, kind == 0x9 && second > 0 ? ChannelEvent::On : ChannelEvent::Off, second});
    else if (kind == 0xC)
      content.events.push_back({tick, channelKey, ChannelEvent::Program, first});
    return {};
  }

  /// System events have no place in a file but for SysEx; those whose length is known are skipped.
  Expected<void> readSystemEvent(uint8_t status) {
    if (status == 0xF4 || status == 0xF5)
      return broken(fmt::format("event {:#04x} is not defined", status));
    size_t length = status == 0xF2 ? 2 : status == 0xF1 || status == 0xF3 ? 1 : 0;
    if (status == 0xF0 || status == 0xF7) {
      std::optional<uint32_t> stated = bytes.variableLength();
      if (!stated)
        return broken("a SysEx event has no length");
      length = *stated;
    }
    if (length > bytes.left())
      return broken(fmt::format("event {:#04x} has {} bytes, the track has {} left", status, length, bytes.left()));
    bytes.at += length;
    return {};
  }

  Expected<void> readMeta() {
    if (bytes.left() == 0)
      return broken("a meta event is cut short");
    uint8_t type = bytes.data[bytes.at++];
    std::optional<uint32_t> length = bytes.variableLength();
    if (!length || *length > bytes.left())
      return broken(fmt::format("meta event {:#04x} has {} bytes, the track has {} left", type, length.value_or(0), bytes.left()));
    Bytes value{bytes.data, bytes.at, bytes.at + *length};
    bytes.at += *length;
    if (type == 0x2F)
      ended = true;
    else if (type == 0x51 && *length == 3)
      addTempo(int(value.bigEndian(3)));
    else if (type == 0x58 && *length >= 2)
      readMetre(value);
    else if (type == midiMarkType)
      content.trackTokens.back() = readMidiMark(value.data + value.at, value.left());
    return {};
  }

  /// No time at all a quarter is no tempo.
  void addTempo(int microseconds) {
    if (microseconds > 0)
      content.tempos.push_back({tick, 0, microseconds});
  }

  void readMetre(Bytes value) {
    uint32_t beats = value.bigEndian(1), logUnit = value.bigEndian(1);
    content.otherMetre |= logUnit > 7 || beats * 4 != 4u << logUnit;
  }

  Bytes bytes;
  int64_t tick;
  uint32_t track;
  Content &content;
  uint8_t runningStatus = 0;
  size_t eventStart = 0;
  bool ended = false;
};

struct Header {
  int format, tracks;
  double ticksPerQuarter;
  bool smpte;
};

Expected<Header> readHeader(Bytes &file) {
  // RMID: RIFF <size> RMID data <size> and then the file.
  if (file.startsWith("RIFF") && file.left() >= 20 && std::memcmp(file.data + 8, "RMID", 4) == 0)
    file.at += 20;
  if (!file.startsWith("MThd"))
    return Error{"not a MIDI file; it does not start with MThd"};
  if (file.left() < 14)
    return Error{"the header is cut short; the file is damaged"};
  file.at += 4;
  uint32_t length = file.bigEndian(4);
  if (length < 6 || length > file.left())
    return Error{fmt::format("the header says {} bytes, {} are left and 6 are needed; the file is damaged", length, file.left())};
  size_t end = file.at + length;
  int format = int(file.bigEndian(2)), tracks = int(file.bigEndian(2)), division = int(file.bigEndian(2));
  file.at = end;
  if (format > 2)
    return Error{fmt::format("MIDI format {}, known are 0 to 2", format)};
  bool smpte = division >= 0x8000;
  int framesPerSecond = 0x100 - (division >> 8);
  // 29 stands for 29.97 frames. Half a second takes the place of a quarter, which such a file does not have.
  double perQuarter = smpte ? (framesPerSecond == 29 ? 29.97 : framesPerSecond) * (division & 0xFF) / 2 : division;
  if (perQuarter <= 0)
    return Error{"the header says 0 ticks a quarter; the file is damaged"};
  return Header{format, tracks, perQuarter, smpte};
}

Expected<Content> readTracks(Bytes &file, const Header &header) {
  Content content;
  int64_t start = 0;
  while (int(content.trackEnds.size()) < header.tracks) {
    if (file.left() < 8)
      return Error{fmt::format("it has {} of the {} tracks that its header counts; the file is cut short", content.trackEnds.size(),
                               header.tracks)};
    bool isTrack = file.startsWith("MTrk");
    file.at += 4;
    uint32_t length = file.bigEndian(4);
    if (length > file.left())
      return Error{fmt::format("byte {}: a chunk has {} bytes, {} are left; the file is cut short", file.at, length, file.left())};
    if (isTrack) {
      TrackReader reader({file.data, file.at, file.at + length}, start, content);
      if (Expected<void> read = reader.read(); !read)
        return read.error();
      if (header.format == 2)
        start = content.trackEnds.back();
    }
    file.at += length;
  }
  return content;
}

/// Sorted, from tick 0, one for each tick (the last one said), with their seconds.
std::vector<MidiTempo> tempoMap(std::vector<MidiTempo> tempos, double ticksPerQuarter) {
  std::stable_sort(tempos.begin(), tempos.end(), [](const MidiTempo &a, const MidiTempo &b) { return a.tick < b.tick; });
  std::vector<MidiTempo> map = {{0, 0, defaultMicrosecondsPerQuarter}};
  for (MidiTempo tempo : tempos) {
    const MidiTempo &last = map.back();
    tempo.seconds = last.seconds + double(tempo.tick - last.tick) / ticksPerQuarter * last.microsecondsPerQuarter * 1e-6;
    if (tempo.tick == last.tick)
      map.back() = tempo;
    else
      map.push_back(tempo);
  }
  return map;
}

/// The start or the end of a note, with the program that its channel has by then.
struct Strike {
  ChannelEvent event;
  int program;
};

std::vector<Strike> strikesOf(Content &content) {
  std::stable_sort(content.events.begin(), content.events.end(),
                   [](const ChannelEvent &a, const ChannelEvent &b) { return a.tick < b.tick; });
  std::array<int, channels> programs{};
  std::vector<Strike> strikes;
  for (const ChannelEvent &event : content.events) {
    if (event.kind == ChannelEvent::Program)
      programs[size_t(event.channel())] = event.value;
    else
      strikes.push_back({event, programs[size_t(event.channel())]});
  }
  return strikes;
}

/// Pairs the strikes and releases of one key after the other: the oldest sounding note ends first.
void pairNotes(std::vector<Strike> strikes, const Content &content, MidiFile &file) {
  std::stable_sort(strikes.begin(), strikes.end(), [](const Strike &a, const Strike &b) { return a.event.key < b.event.key; });
  size_t oldest = 0;
  auto leaveUnended = [&] {
    file.unendedNotes += int64_t(file.notes.size() - oldest);
    oldest = file.notes.size();
  };
  for (size_t index = 0; index < strikes.size(); ++index) {
    const ChannelEvent &event = strikes[index].event;
    if (index > 0 && strikes[index - 1].event.key != event.key)
      leaveUnended();
    if (event.kind == ChannelEvent::On)
      file.notes.push_back({event.tick, content.trackEnds[event.track()], event.pitch(), event.value, strikes[index].program,
                            event.channel() == drumChannel, content.trackTokens[event.track()]});
    else if (oldest < file.notes.size())
      file.notes[oldest++].end = event.tick;
  }
  leaveUnended();
}

} // namespace

const MidiTempo &MidiFile::tempoAt(int64_t tick) const {
  auto later = std::upper_bound(tempos.begin() + 1, tempos.end(), tick,
                                [](int64_t value, const MidiTempo &tempo) { return value < tempo.tick; });
  return *(later - 1);
}

double MidiFile::secondsAt(int64_t tick) const {
  const MidiTempo &tempo = tempoAt(tick);
  return tempo.seconds + double(tick - tempo.tick) / ticksPerQuarter * tempo.microsecondsPerQuarter * 1e-6;
}

Expected<MidiFile> parseMidi(const std::string &bytes, const std::string &name) {
  Bytes reader{reinterpret_cast<const uint8_t *>(bytes.data()), 0, bytes.size()};
  Expected<Header> header = readHeader(reader);
  if (!header)
    return header.error().in(name);
  Expected<Content> content = readTracks(reader, *header);
  if (!content)
    return content.error().in(name);
  MidiFile file;
  file.ticksPerQuarter = header->ticksPerQuarter;
  file.otherMetre = content->otherMetre;
  if (header->smpte)
    content->tempos.clear();
  file.tempos = tempoMap(std::move(content->tempos), file.ticksPerQuarter);
  pairNotes(strikesOf(*content), *content, file);
  std::stable_sort(file.notes.begin(), file.notes.end(),
                   [](const MidiNote &a, const MidiNote &b) { return std::tie(a.start, a.pitch) < std::tie(b.start, b.pitch); });
  return file;
}

Expected<MidiFile> readMidi(const std::string &path) {
  Expected<std::string> bytes = readTextFile(path, fileLimitBytes);
  if (!bytes)
    return bytes.error();
  return parseMidi(*bytes, path);
}

} // namespace sm1rt
