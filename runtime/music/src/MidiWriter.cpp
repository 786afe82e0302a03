// Songs to MIDI through libsmf. A bar is 1920 ticks whatever the tempo, so its length in seconds follows the tempo in force.
#include "sm1rt/music/MidiWriter.h"

#include "MidiMark.h"
#include "Platform.h"

#include <fmt/format.h>
#include <smf.h>

#include <algorithm>
#include <array>
#include <memory>

namespace sm1rt {
namespace {

constexpr int trackTokens = 9;
constexpr int drumTrack = 4, drumChannel = 9;
constexpr std::array<int, trackTokens> programs = {0, 48, 25, 33, 0, 40, 56, 16, 0};
constexpr std::array<const char *, trackTokens> trackNames = {"piano",  "strings", "guitar", "bass", "drums",
                                                              "violin", "brass",   "organ",  "other"};

constexpr int ticksPerQuarter = 4 * ticksPerSixteenth;
constexpr int64_t ticksPerBar = int64_t(sixteenthsPerBar) * ticksPerSixteenth;
/// Delta times have 28 bits in the file; a song of one silent stretch must still fit.
constexpr int64_t maxBars = ((int64_t(1) << 28) - 1) / ticksPerBar;

constexpr uint64_t fileLimitBytes = uint64_t(1) << 30;

struct DeleteSmf {
  void operator()(smf_t *smf) const { smf_delete(smf); }
};

/// A note that is certain to end before its pitch sounds again on its track.
struct Span {
  int64_t begin, end; ///< ticks
  int pitch, velocity;
};

struct NoteEvent {
  int64_t tick;
  bool on;
  int pitch, velocity;
};

std::vector<Span> spansOfTrack(const Song &song, int track) {
  std::vector<Span> spans;
  for (const Note &note : song.notes)
    if (note.track == track)
      spans.push_back(
          {note.start * ticksPerSixteenth, (note.start + note.duration) * ticksPerSixteenth, note.pitch, note.velocity});
  std::stable_sort(spans.begin(), spans.end(), [](const Span &a, const Span &b) {
    if (a.pitch != b.pitch)
      return a.pitch < b.pitch;
    return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
  });
  auto sameStart = [](const Span &a, const Span &b) { return a.pitch == b.pitch && a.begin == b.begin; };
  spans.erase(std::unique(spans.begin(), spans.end(), sameStart), spans.end());
  for (size_t index = 0; index + 1 < spans.size(); ++index)
    if (spans[index].pitch == spans[index + 1].pitch)
      spans[index].end = std::min(spans[index].end, spans[index + 1].begin);
  return spans;
}

/// In time order; at one tick what ends comes before what begins.
std::vector<NoteEvent> eventsOfTrack(const Song &song, int track) {
  std::vector<NoteEvent> events;
  for (const Span &span : spansOfTrack(song, track)) {
    events.push_back({span.begin, true, span.pitch, span.velocity});
    events.push_back({span.end, false, span.pitch, 0});
  }
  std::stable_sort(events.begin(), events.end(),
                   [](const NoteEvent &a, const NoteEvent &b) { return a.tick != b.tick ? a.tick < b.tick : a.on < b.on; });
  return events;
}

/// Returns false when the library has no memory for the event.
bool addEvent(smf_track_t *track, int64_t tick, smf_event_t *event) {
  if (!event)
    return false;
  smf_track_add_event_pulses(track, event, int(tick));
  return true;
}

bool addBytes(smf_track_t *track, int64_t tick, std::vector<unsigned char> bytes) {
  return addEvent(track, tick, smf_event_new_from_pointer(bytes.data(), int(bytes.size())));
}

bool addTempo(smf_track_t *track, int64_t tick, int bpm) {
  int microseconds = (60'000'000 + bpm / 2) / bpm;
  return addBytes(
      track, tick,
      {0xFF, 0x51, 3, (unsigned char)(microseconds >> 16), (unsigned char)(microseconds >> 8), (unsigned char)microseconds});
}

smf_track_t *addTrack(smf_t *smf) {
  smf_track_t *track = smf_track_new();
  if (track)
    smf_add_track(smf, track);
  return track;
}

/// The end of the last bar, or of a note that rings over it.
int64_t endOfSong(const Song &song) {
  int64_t end = song.bars * ticksPerBar;
  for (const Note &note : song.notes)
    end = std::max(end, (note.start + note.duration) * int64_t(ticksPerSixteenth));
  return end;
}

bool addConductorTrack(smf_t *smf, const Song &song) {
  smf_track_t *track = addTrack(smf);
  if (!track)
    return false;
  // 4/4; 24 MIDI clocks a click, 8 thirty-seconds a quarter.
  bool added = addBytes(track, 0, {0xFF, 0x58, 4, 4, 2, 24, 8});
  if (song.tempos.empty() || song.tempos.front().start > 0)
    added = added && addTempo(track, 0, defaultTempoBpm);
  for (const TempoChange &tempo : song.tempos)
    added = added && addTempo(track, tempo.start * ticksPerSixteenth, tempo.bpm);
  return added && smf_track_add_eot_pulses(track, int(endOfSong(song))) == 0;
}

bool addNoteTrack(smf_t *smf, const Song &song, int trackToken) {
  std::vector<NoteEvent> events = eventsOfTrack(song, trackToken);
  if (events.empty())
    return true;
  smf_track_t *track = addTrack(smf);
  if (!track)
    return false;
  int channel = channelOfTrack(trackToken);
  bool added = addEvent(track, 0, smf_event_new_textual(3, trackNames[size_t(trackToken)])) &&
               addBytes(track, 0, midiMark(trackToken)) &&
               addEvent(track, 0, smf_event_new_from_bytes(0xC0 | channel, programOfTrack(trackToken), -1));
  for (const NoteEvent &event : events)
    added = added &&
            addEvent(track, event.tick, smf_event_new_from_bytes((event.on ? 0x90 : 0x80) | channel, event.pitch, event.velocity));
  return added && smf_track_add_eot_pulses(track, int(endOfSong(song))) == 0;
}

/// The library prints its own messages; ours say what the reader of them can do.
void keepQuiet(const char *, GLogLevelFlags, const char *, void *) {}

/// The library writes to a path and does not know when a place must not be replaced, so its file is copied from a temporary one.
Expected<void> save(smf_t *smf, const std::string &path) {
  std::string temporary = temporaryName(path);
  unsigned handler = g_log_set_handler("libsmf", GLogLevelFlags(G_LOG_LEVEL_MASK), keepQuiet, nullptr);
  bool saved = smf_save(smf, temporary.c_str()) == 0;
  g_log_remove_handler("libsmf", handler);
  Expected<std::string> bytes = readTextFile(temporary, fileLimitBytes);
  removeFile(temporary);
  if (!saved || !bytes)
    return Error{
        fmt::format("{}: cannot be written; check that its folder exists and may be written to, and that the disk has room", path)};
  return writeFile(path, *bytes);
}

} // namespace

int programOfTrack(int track) { return programs[size_t(track)]; }

int channelOfTrack(int track) { return track == drumTrack ? drumChannel : track; }

Expected<void> writeMidi(const Song &song, const std::string &path) {
  if (song.bars > maxBars)
    return Error{fmt::format("{}: {} bars, a MIDI file holds {}; make a shorter piece", path, song.bars, maxBars)};
  std::unique_ptr<smf_t, DeleteSmf> smf(smf_new());
  bool built = smf && smf_set_format(smf.get(), 1) == 0 && smf_set_ppqn(smf.get(), ticksPerQuarter) == 0;
  built = built && addConductorTrack(smf.get(), song);
  for (int track = 0; track < trackTokens; ++track)
    built = built && addNoteTrack(smf.get(), song, track);
  if (!built)
    return Error{fmt::format("{}: not enough memory for {} notes", path, song.notes.size())};
  return save(smf.get(), path);
}

} // namespace sm1rt
