// Writes SVG by hand: rectangles, lines and words. Every row of bars has the same pitches, so that heights compare.
#include "sm1rt/music/RollPicture.h"

#include "sm1rt/music/Names.h"
#include "sm1rt/music/Song.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace sm1rt {
namespace {

// Lengths in pixels.
constexpr double leftMargin = 48, rightMargin = 16, rollWidth = 1408;
constexpr double headHeight = 66, markHeight = 30, rowGap = 14, footHeight = 10;
constexpr double noteGap = 0.6; ///< so that repeated notes stay two
constexpr int octave = 12;
constexpr int leastPitches = 2 * octave;
constexpr int64_t mostBarsPerRow = 16;
constexpr double beatLinesFrom = 40; ///< bar width below which lines for beats would be a grey mass

/// Colours that stay apart for the colour-blind (Okabe and Ito), then some more.
constexpr std::array<const char *, 12> colours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
                                                  "#7b4173", "#8c6d31", "#393b79", "#637939", "#843c39", "#636363"};

bool isBlackKey(int pitch) {
  constexpr int blackKeys = 1 << 1 | 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10;
  return blackKeys >> (pitch % octave) & 1;
}

/// Bytes of the UTF-8 character that starts at `at`; 0 where none does.
size_t characterBytes(const std::string &text, size_t at) {
  auto lead = (unsigned char)text[at];
  size_t bytes = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (bytes == 0 || at + bytes > text.size())
    return 0;
  for (size_t next = 1; next < bytes; ++next)
    if (((unsigned char)text[at + next] & 0xc0) != 0x80)
      return 0;
  return bytes;
}

/// Text for XML. File names may hold anything: what is no UTF-8 or no printable character becomes '?'.
std::string escaped(const std::string &text) {
  std::string safe;
  for (size_t at = 0; at < text.size();) {
    size_t bytes = characterBytes(text, at);
    char letter = text[at];
    if (bytes == 0 || (unsigned char)letter < 0x20)
      safe += '?';
    else if (letter == '&')
      safe += "&amp;";
    else if (letter == '<')
      safe += "&lt;";
    else if (letter == '>')
      safe += "&gt;";
    else
      safe += text.substr(at, bytes);
    at += std::max<size_t>(bytes, 1);
  }
  return safe;
}

class Picture {
public:
  Picture(const PianoRoll &roll, const PictureOptions &options) : roll(roll), title(options.title) {
    firstBar = options.firstBar - 1;
    endBar = options.bars ? firstBar + options.bars : roll.bars;
    int64_t bars = std::max<int64_t>(endBar - firstBar, 1);
    barsPerRow = options.barsPerRow ? options.barsPerRow : std::min(bars, mostBarsPerRow);
    rows = (bars + barsPerRow - 1) / barsPerRow;
    choosePitches();
    sixteenth = rollWidth / double(barsPerRow * sixteenthsPerBar);
    rowHeight = markHeight + double(highest - lowest + 1) * keyHeight + rowGap;
  }

  std::string draw() {
    double width = leftMargin + rollWidth + rightMargin, height = headHeight + double(rows) * rowHeight + footHeight;
    put("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
        "font-family=\"sans-serif\" font-size=\"11\" fill=\"#444\">\n",
        width, height);
    put("<title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n", escaped(title));
    drawHead();
    for (int64_t row = 0; row < rows; ++row)
      drawKeyboard(row);
    for (size_t voice = 0; voice < roll.voices.size(); ++voice)
      drawVoice(voice);
    drawMarks();
    return std::move(svg) + "</svg>\n";
  }

private:
  template <typename... Values> void put(fmt::format_string<Values...> format, Values &&...values) {
    fmt::format_to(std::back_inserter(svg), format, std::forward<Values>(values)...);
  }

  double firstSixteenth() const { return double(firstBar * sixteenthsPerBar); }
  double endSixteenth() const { return double(endBar * sixteenthsPerBar); }
  bool shows(const RollNote &note) const { return note.start < endSixteenth() && note.start + note.length > firstSixteenth(); }

  /// Whole octaves look alike in every picture; at least two of them.
  void choosePitches() {
    lowest = 127, highest = 0;
    for (const RollNote &note : roll.notes) {
      if (!shows(note))
        continue;
      lowest = std::min(lowest, note.pitch);
      highest = std::max(highest, note.pitch);
    }
    if (lowest > highest)
      lowest = highest = 60;
    lowest = lowest / octave * octave;
    highest = std::max(highest / octave * octave + octave, lowest + leastPitches);
    keyHeight = highest - lowest > 5 * octave ? 4 : 6;
  }

  double rowTop(int64_t row) const { return headHeight + double(row) * rowHeight + markHeight; }
  double yOf(int64_t row, int pitch) const { return rowTop(row) + double(highest - pitch) * keyHeight; }
  double xOf(double sixteenthOfRow) const { return leftMargin + sixteenthOfRow * sixteenth; }
  int64_t barsOfRow(int64_t row) const { return std::min(barsPerRow, endBar - firstBar - row * barsPerRow); }

  void drawHead() {
    int64_t shown = std::count_if(roll.notes.begin(), roll.notes.end(), [&](const RollNote &note) { return shows(note); });
    put("<text x=\"{}\" y=\"24\" font-size=\"17\" fill=\"#000\">{}</text>\n", leftMargin, escaped(title));
    put("<text x=\"{}\" y=\"24\" text-anchor=\"end\">bars {} to {} of {}, {} notes; denser is louder</text>\n",
        leftMargin + rollWidth, firstBar + 1, endBar, roll.bars, shown);
    double x = leftMargin;
    for (size_t voice = 0; voice < roll.voices.size(); ++voice) {
      put("<rect x=\"{:.1f}\" y=\"38\" width=\"14\" height=\"10\" rx=\"2\" fill=\"{}\"/>", x, colourOf(voice));
      put("<text x=\"{:.1f}\" y=\"47\">{}</text>\n", x + 19, escaped(roll.voices[voice]));
      x += 38 + 6.5 * double(roll.voices[voice].size());
    }
  }

  static const char *colourOf(size_t voice) { return colours[voice % colours.size()]; }

  void drawKeyboard(int64_t row) {
    double width = double(barsOfRow(row) * sixteenthsPerBar) * sixteenth;
    double bottom = yOf(row, lowest) + keyHeight;
    for (int pitch = lowest; pitch <= highest; ++pitch) {
      double y = yOf(row, pitch);
      if (isBlackKey(pitch))
        put("<rect x=\"{}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{}\" fill=\"#f3f3f3\"/>\n", leftMargin, y, width, keyHeight);
      if (pitch % octave == 0) {
        put("<path d=\"M{} {:.1f}h{:.1f}\" stroke=\"#b8b8b8\"/>", leftMargin, y + keyHeight, width);
        put("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", leftMargin - 6, y + keyHeight, noteName(pitch));
      }
    }
    drawBarLines(row, rowTop(row), bottom);
  }

  void drawBarLines(int64_t row, double top, double bottom) {
    double barWidth = sixteenth * sixteenthsPerBar;
    for (int64_t bar = 0; bar <= barsOfRow(row); ++bar) {
      double x = xOf(double(bar * sixteenthsPerBar));
      put("<path d=\"M{:.1f} {:.1f}V{:.1f}\" stroke=\"#909090\"/>", x, top, bottom);
      if (bar == barsOfRow(row))
        break;
      put("<text x=\"{:.1f}\" y=\"{:.1f}\" fill=\"#888\">{}</text>\n", x + 2, top - 4, firstBar + row * barsPerRow + bar + 1);
      for (int beat = 1; beat < 4 && barWidth >= beatLinesFrom; ++beat)
        put("<path d=\"M{:.1f} {:.1f}V{:.1f}\" stroke=\"#e2e2e2\"/>", x + beat * barWidth / 4, top, bottom);
    }
    svg += '\n';
  }

  void drawVoice(size_t voice) {
    put("<g fill=\"{}\">\n", colourOf(voice));
    for (const RollNote &note : roll.notes)
      if (note.voice == voice && shows(note))
        drawNote(note);
    svg += "</g>\n";
  }

  /// A note that reaches over the end of a row goes on in the next.
  void drawNote(const RollNote &note) {
    double rowLength = double(barsPerRow * sixteenthsPerBar);
    double start = std::max(note.start, firstSixteenth()) - firstSixteenth();
    double end = std::min(note.start + note.length, endSixteenth()) - firstSixteenth();
    for (auto row = int64_t(start / rowLength); row < rows && double(row) * rowLength < end; ++row) {
      double from = std::max(start - double(row) * rowLength, 0.0), to = std::min(end - double(row) * rowLength, rowLength);
      double width = std::max((to - from) * sixteenth - noteGap, 1.0);
      put("<rect x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{:.1f}\" rx=\"1\" opacity=\"{:.2f}\"/>\n", xOf(from),
          yOf(row, note.pitch), width, keyHeight - 0.4, 0.3 + 0.7 * note.velocity / 127);
    }
  }

  /// Marks that would touch stand one after the other.
  void drawMarks() {
    double rowLength = double(barsPerRow * sixteenthsPerBar), freeFrom = -1;
    int64_t lastRow = -1;
    for (const RollMark &mark : roll.marks) {
      if (mark.start < firstSixteenth() || mark.start >= endSixteenth())
        continue;
      double start = mark.start - firstSixteenth();
      auto row = int64_t(start / rowLength);
      double x = xOf(start - double(row) * rowLength) + 2;
      if (row == lastRow && x < freeFrom)
        x = freeFrom;
      put("<text x=\"{:.1f}\" y=\"{:.1f}\" fill=\"#222\" font-style=\"italic\">{}</text>\n", x, rowTop(row) - 17,
          escaped(mark.text));
      freeFrom = x + 8 + 6.2 * double(mark.text.size());
      lastRow = row;
    }
  }

  const PianoRoll &roll;
  std::string title, svg;
  int64_t firstBar, endBar, barsPerRow, rows;
  int lowest = 0, highest = 0;
  double keyHeight = 6, sixteenth, rowHeight;
};

} // namespace

Expected<std::string> drawRoll(const PianoRoll &roll, const PictureOptions &options) {
  if (roll.bars == 0)
    return Error{"it has no bars, there is nothing to draw"};
  int64_t bars = options.bars ? options.bars : roll.bars - options.firstBar + 1;
  if (options.firstBar < 1 || options.firstBar > roll.bars || bars < 1 || options.firstBar + bars - 1 > roll.bars)
    return Error{fmt::format("it has bars 1 to {}, bars {} to {} were asked for", roll.bars, options.firstBar,
                             options.firstBar + std::max<int64_t>(bars, 1) - 1)};
  if (bars > maxPictureBars)
    return Error{fmt::format("{} bars, a picture has at most {}; draw a part of them", bars, maxPictureBars)};
  return Picture(roll, options).draw();
}

} // namespace sm1rt
