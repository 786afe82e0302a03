// Notes are placed on the grid by one of two sets of rules, then written bar by bar by the same code.
#include "sm1rt/music/Tokenizer.h"

#include "sm1rt/music/Song.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>

namespace sm1rt {
namespace {

constexpr int drumTrack = 4, otherTrack = 8;
constexpr int lowestPitch = 21, highestPitch = 108;
constexpr int maxDuration = 16;
constexpr int64_t maxBars = 32768;
/// Notes after cutting: one long note on every key would make hundreds of millions.
constexpr size_t maxPlaced = 6'000'000;
/// Sixteenths; starts closer to the grid than this are on it.
constexpr double gridTolerance = 1e-4;

/// A note as its tokens will say it.
struct GridNote {
  int64_t bar;
  int position, track, pitch, duration, velocityBucket;
  int tempo; ///< V0: the tempo in force at its start, rounded
};

/// General MIDI programs first to last belong to a track token; the first row that fits wins.
struct ProgramRow {
  int first, last, track;
};
constexpr ProgramRow programRows[] = {
    {0, 7, 0},   {24, 31, 0}, {56, 63, 0}, {104, 111, 0}, {48, 55, 1}, {88, 95, 1},
    {24, 39, 2}, {32, 39, 3}, {43, 43, 3}, {40, 47, 5},   {56, 79, 6}, {16, 23, 7},
};

int trackOf(const MidiNote &note) {
  if (note.drums)
    return drumTrack;
  for (const ProgramRow &row : programRows)
    if (note.program >= row.first && note.program <= row.last)
      return row.track;
  return otherTrack;
}

int velocityBucketOf(const MidiNote &note) { return std::min(8, note.velocity / 16 + 1); }

int roundedTempo(double bpm) {
  double rounded = std::floor(std::clamp(bpm, 40.0, 200.0) / 10 + 0.5) * 10;
  return int(rounded);
}

bool onGrid(double sixteenths) { return std::abs(sixteenths - std::nearbyint(sixteenths)) < gridTolerance; }

int clampedPitch(int pitch, GridReport &report) {
  int clamped = std::clamp(pitch, lowestPitch, highestPitch);
  report.clampedPitches += clamped != pitch;
  return clamped;
}

Error tooLong(double sixteenths) {
  return {
      fmt::format("it lasts {:.0f} bars, at most {} are read; cut it into shorter pieces", sixteenths / sixteenthsPerBar, maxBars)};
}

using Placed = Expected<std::vector<GridNote>>;

Placed placeV0(const MidiFile &file, GridReport &report) {
  std::vector<GridNote> placed;
  for (const MidiNote &note : file.notes) {
    double sixteenth = file.tempoAt(note.start).microsecondsPerQuarter * 1e-6 / 4;
    double start = file.secondsAt(note.start) / sixteenth;
    double duration = (file.secondsAt(note.end) - file.secondsAt(note.start)) / sixteenth;
    if (start >= double(maxBars * sixteenthsPerBar))
      return tooLong(start);
    // Seconds times tempo may fall a rounding error short of the bar line.
    auto bar = int64_t(std::floor((start + 1e-9) / sixteenthsPerBar));
    int position = int(std::nearbyint(start - double(bar * sixteenthsPerBar)));
    report.misplacedNotes += position == sixteenthsPerBar;
    report.movedStarts += !onGrid(start);
    report.shortenedNotes += duration > maxDuration + gridTolerance;
    report.roundedDurations += duration <= maxDuration && (!onGrid(duration) || duration < 0.5);
    placed.push_back({bar, position % sixteenthsPerBar, trackOf(note), clampedPitch(note.pitch, report),
                      int(std::clamp(std::nearbyint(duration), 1.0, double(maxDuration))), velocityBucketOf(note),
                      roundedTempo(file.tempoAt(note.start).bpm())});
  }
  return placed;
}

/// A note on the grid before it is cut into what DUR can say.
struct LongNote {
  int64_t start, end; ///< sixteenths
  int track, pitch, velocityBucket;
};

Expected<std::vector<LongNote>> roundToGrid(const MidiFile &file, GridReport &report) {
  std::vector<LongNote> notes;
  for (const MidiNote &note : file.notes) {
    double start = double(note.start) * 4 / file.ticksPerQuarter, end = double(note.end) * 4 / file.ticksPerQuarter;
    if (end >= double(maxBars * sixteenthsPerBar))
      return tooLong(end);
    double rounded = std::floor(start + 0.5), duration = std::floor(end - start + 0.5);
    report.movedStarts += !onGrid(start);
    report.roundedDurations += !onGrid(end - start) || duration < 1;
    notes.push_back({int64_t(rounded), int64_t(rounded + std::max(duration, 1.0)),
                     note.trackToken >= 0 ? note.trackToken : trackOf(note), clampedPitch(note.pitch, report),
                     velocityBucketOf(note)});
  }
  return notes;
}

/// One key sounds once at a time, as on the instrument, so that writing the tokens as MIDI and reading them gives the same tokens.
std::vector<LongNote> withoutOverlaps(std::vector<LongNote> notes, GridReport &report) {
  std::stable_sort(notes.begin(), notes.end(), [](const LongNote &a, const LongNote &b) {
    return std::tie(a.track, a.pitch, a.start, b.end) < std::tie(b.track, b.pitch, b.start, a.end);
  });
  std::vector<LongNote> kept;
  for (const LongNote &note : notes) {
    bool sameKey = !kept.empty() && kept.back().track == note.track && kept.back().pitch == note.pitch;
    if (sameKey && kept.back().start == note.start) {
      ++report.doubledNotes;
      continue;
    }
    if (sameKey && kept.back().end > note.start) {
      kept.back().end = note.start;
      ++report.shortenedNotes;
    }
    kept.push_back(note);
  }
  return kept;
}

Placed placeV1(const MidiFile &file, GridReport &report) {
  Expected<std::vector<LongNote>> notes = roundToGrid(file, report);
  if (!notes)
    return notes.error();
  std::vector<GridNote> placed;
  for (LongNote note : withoutOverlaps(std::move(*notes), report)) {
    bool split = note.end - note.start > maxDuration;
    report.splitNotes += split;
    while (note.start < note.end) {
      if (placed.size() == maxPlaced)
        return Error{fmt::format("cut at bar lines it has more than {} notes; cut it into shorter pieces", maxPlaced)};
      int64_t bar = note.start / sixteenthsPerBar, barEnd = (bar + 1) * sixteenthsPerBar;
      int64_t end = split ? std::min(note.end, barEnd) : note.end;
      placed.push_back(
          {bar, int(note.start % sixteenthsPerBar), note.track, note.pitch, int(end - note.start), note.velocityBucket, 0});
      note.start = end;
    }
  }
  return placed;
}

void countTempos(const MidiFile &file, Tokenizer tokenizer, GridReport &report) {
  for (const MidiTempo &tempo : file.tempos) {
    // Tempos are whole microseconds a quarter, so 130 is 130.0001.
    report.roundedTempos += std::abs(roundedTempo(tempo.bpm()) - tempo.bpm()) > 0.01;
    double bars = double(tempo.tick) / (4 * file.ticksPerQuarter);
    report.movedTempos += tokenizer == Tokenizer::V1 && std::abs(bars - std::nearbyint(bars)) * sixteenthsPerBar > 0.5;
  }
}

class BarWriter {
public:
  BarWriter(const MidiFile &file, const Vocabulary &vocabulary, Tokenizer tokenizer, const std::vector<GridNote> &notes)
      : file(file), vocabulary(vocabulary), tokenizer(tokenizer), notes(notes), lastBar(notes.back().bar) {}

  int64_t write(std::vector<int32_t> &tokens) {
    int64_t bars = 0;
    for (int64_t bar = tokenizer == Tokenizer::V0 ? notes.front().bar : 0; bar <= lastBar; ++bar) {
      if (tokenizer == Tokenizer::V0 && notes[next].bar != bar)
        continue;
      ++bars;
      writeBarStart(tokens, bar);
      while (next < notes.size() && notes[next].bar == bar)
        writeNote(tokens, bar);
    }
    return bars;
  }

private:
  void writeBarStart(std::vector<int32_t> &tokens, int64_t bar) {
    tokens.push_back(vocabulary.token(Field::Bar));
    double place = double(bar) / double(std::max<int64_t>(lastBar, 1));
    tokens.push_back(vocabulary.token(Field::Section, place < 0.33 ? 0 : place < 0.66 ? 1 : 2));
    int bpm = tempoOf(bar);
    if (bpm != tempo)
      tokens.push_back(vocabulary.token(Field::Tempo, bpm));
    tempo = bpm;
  }

  /// V1 lets a change that is up to half a sixteenth late count for its bar.
  int tempoOf(int64_t bar) const {
    if (tokenizer == Tokenizer::V0)
      return notes[next].tempo;
    return roundedTempo(file.tempoAt(int64_t((4 * double(bar) + 0.125) * file.ticksPerQuarter)).bpm());
  }

  void writeNote(std::vector<int32_t> &tokens, int64_t bar) {
    const GridNote &note = notes[next];
    bool grouped =
        next > 0 && notes[next - 1].bar == bar && notes[next - 1].position == note.position && notes[next - 1].track == note.track;
    if (!grouped) {
      tokens.push_back(vocabulary.token(Field::Position, note.position));
      tokens.push_back(vocabulary.token(Field::Track, note.track));
    }
    tokens.push_back(vocabulary.token(Field::Pitch, note.pitch));
    tokens.push_back(vocabulary.token(Field::Duration, note.duration));
    tokens.push_back(vocabulary.token(Field::Velocity, note.velocityBucket));
    ++next;
  }

  const MidiFile &file;
  const Vocabulary &vocabulary;
  Tokenizer tokenizer;
  const std::vector<GridNote> &notes;
  int64_t lastBar;
  size_t next = 0;
  int tempo = 0;
};

/// The counts of a report with what they count, one and many, in the order in which they are said.
struct ReportRow {
  int64_t GridReport::*count;
  const char *one, *many;
};
constexpr ReportRow reportRows[] = {
    {&GridReport::movedStarts, "start moved to the grid", "starts moved to the grid"},
    {&GridReport::roundedDurations, "duration rounded", "durations rounded"},
    {&GridReport::clampedPitches, "pitch clamped to 21-108", "pitches clamped to 21-108"},
    {&GridReport::shortenedNotes, "note shortened", "notes shortened"},
    {&GridReport::splitNotes, "long note struck again at bar lines", "long notes struck again at bar lines"},
    {&GridReport::doubledNotes, "doubled note left out", "doubled notes left out"},
    {&GridReport::misplacedNotes, "note a bar early", "notes a bar early"},
    {&GridReport::roundedTempos, "tempo rounded", "tempos rounded"},
    {&GridReport::movedTempos, "tempo change moved to the next bar", "tempo changes moved to the next bar"},
    {&GridReport::unendedNotes, "note without an end", "notes without an end"},
    {&GridReport::otherMetres, "file with a metre other than four quarters a bar",
     "files with a metre other than four quarters a bar"},
};

} // namespace

const char *tokenizerName(Tokenizer tokenizer) { return tokenizer == Tokenizer::V0 ? "v0" : "v1"; }

std::optional<Tokenizer> parseTokenizer(const std::string &name) {
  for (Tokenizer tokenizer : {Tokenizer::V0, Tokenizer::V1})
    if (name == tokenizerName(tokenizer))
      return tokenizer;
  return std::nullopt;
}

GridReport &GridReport::operator+=(const GridReport &other) {
  notes += other.notes;
  for (const ReportRow &row : reportRows)
    this->*row.count += other.*row.count;
  return *this;
}

std::string toString(const GridReport &report) {
  std::string text;
  for (const ReportRow &row : reportRows)
    if (report.*row.count > 0)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", report.*row.count, report.*row.count == 1 ? row.one : row.many);
  return text;
}

Expected<Tokenized> tokenize(const MidiFile &file, const Vocabulary &vocabulary, Tokenizer tokenizer,
                             const std::vector<int32_t> &prefix) {
  if (file.notes.empty())
    return Error{"it has no notes"};
  Tokenized result;
  result.report.notes = int64_t(file.notes.size());
  result.report.unendedNotes = file.unendedNotes;
  result.report.otherMetres = file.otherMetre;
  countTempos(file, tokenizer, result.report);
  Placed notes = tokenizer == Tokenizer::V0 ? placeV0(file, result.report) : placeV1(file, result.report);
  if (!notes)
    return notes.error();
  std::stable_sort(notes->begin(), notes->end(), [](const GridNote &a, const GridNote &b) {
    return std::tie(a.bar, a.position, a.track, a.pitch) < std::tie(b.bar, b.position, b.track, b.pitch);
  });
  result.tokens = prefix;
  result.tokens.push_back(vocabulary.token(Field::Bos));
  result.bars = BarWriter(file, vocabulary, tokenizer, *notes).write(result.tokens);
  result.tokens.push_back(vocabulary.token(Field::Eos));
  return result;
}

Expected<std::vector<int32_t>> firstBars(const std::vector<int32_t> &tokens, const Vocabulary &vocabulary, int64_t bars) {
  std::vector<int32_t> kept;
  int64_t begun = 0;
  for (int32_t token : tokens) {
    begun += token == vocabulary.token(Field::Bar);
    if (begun > bars || token == vocabulary.token(Field::Eos))
      break;
    kept.push_back(token);
  }
  if (begun < bars)
    return Error{fmt::format("it has {} bars, {} were asked for", begun, bars)};
  return kept;
}

} // namespace sm1rt
