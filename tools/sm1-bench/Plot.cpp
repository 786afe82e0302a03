// Writes SVG by hand: axes, ticks, lines, points and words.
#include "Plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <set>

// Lengths in pixels.
constexpr double width = 760, height = 440;
constexpr double left = 76, right = 24, top = 66, bottom = 58;
constexpr double plotWidth = width - left - right, plotHeight = height - top - bottom;
constexpr double leastTickDistance = 34;
constexpr int wantedTicks = 6;

/// Colours that stay apart for the colour-blind (Okabe and Ito).
constexpr std::array<const char *, 7> colours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#636363"};

/// Text for XML; what is no printable ASCII becomes '?'.
static std::string escaped(const std::string &text) {
  std::string safe;
  for (char letter : text)
    safe += letter == '&'                  ? "&amp;"
            : letter == '<'                ? "&lt;"
            : letter == '>'                ? "&gt;"
            : letter < ' ' || letter > '~' ? "?"
                                           : std::string(1, letter);
  return safe;
}

/// "512", "64K", "1M"; other numbers as they are.
static std::string tickName(double value) {
  constexpr double kilo = 1024, mega = kilo * kilo;
  if (value >= mega && std::fmod(value, mega) == 0)
    return fmt::format("{:.0f}M", value / mega);
  if (value >= kilo && std::fmod(value, kilo) == 0)
    return fmt::format("{:.0f}K", value / kilo);
  return fmt::format("{:g}", value);
}

/// 1, 2 or 5 times a power of ten: the step between some six ticks up to `most`.
static double tickStep(double most) {
  double rough = most / wantedTicks, power = std::pow(10, std::floor(std::log10(rough)));
  double part = rough / power;
  return power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
}

namespace {

class Drawing {
public:
  explicit Drawing(const Plot &plot) : plot(plot) {
    double highest = 0;
    for (const PlotSeries &series : plot.series)
      for (const PlotPoint &point : series.points) {
        xs.insert(point.x);
        highest = std::max({highest, point.y, point.high});
      }
    step = tickStep(highest > 0 ? highest : 1);
    most = std::ceil(highest * 1.02 / step) * step;
  }

  std::string draw() {
    put("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" font-family=\"sans-serif\" "
        "font-size=\"12\" fill=\"#444\">\n",
        width, height);
    put("<title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n", escaped(plot.title));
    put("<text x=\"{}\" y=\"28\" font-size=\"17\" fill=\"#000\">{}</text>\n", left, escaped(plot.title));
    put("<text x=\"{}\" y=\"48\">{}</text>\n", left, escaped(plot.subtitle));
    drawYAxis();
    drawXAxis();
    for (size_t series = 0; series < plot.series.size(); ++series)
      drawSeries(plot.series[series], colours[series % colours.size()]);
    if (plot.series.size() > 1)
      drawLegend();
    return std::move(svg) + "</svg>\n";
  }

private:
  template <typename... Values> void put(fmt::format_string<Values...> format, Values &&...values) {
    fmt::format_to(std::back_inserter(svg), format, std::forward<Values>(values)...);
  }

  double xOf(double x) const {
    double first = std::log2(*xs.begin()), last = std::log2(*xs.rbegin());
    double inside = 24; // points keep off the axis
    return first == last ? left + plotWidth / 2
                         : left + inside + (std::log2(x) - first) / (last - first) * (plotWidth - 2 * inside);
  }
  double yOf(double y) const { return top + plotHeight * (1 - y / most); }

  void drawYAxis() {
    for (int tick = 0; tick * step <= most * 1.001; ++tick) {
      double y = yOf(tick * step);
      put("<path d=\"M{} {:.1f}h{}\" stroke=\"{}\"/>", left, y, plotWidth, tick ? "#e2e2e2" : "#444");
      put("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:g}</text>\n", left - 8, y + 4, tick * step);
    }
    put("<text transform=\"translate(20 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n", top + plotHeight / 2,
        escaped(plot.yLabel));
  }

  /// A tick for each x; names that would touch are left out.
  void drawXAxis() {
    double lastNamed = -leastTickDistance;
    for (double x : xs) {
      put("<path d=\"M{:.1f} {}v5\" stroke=\"#444\"/>", xOf(x), top + plotHeight);
      if (xOf(x) - lastNamed >= leastTickDistance) {
        put("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>", xOf(x), top + plotHeight + 20, tickName(x));
        lastNamed = xOf(x);
      }
      svg += '\n';
    }
    put("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", left + plotWidth / 2, height - 14, escaped(plot.xLabel));
  }

  void drawSeries(const PlotSeries &series, const char *colour) {
    put("<g stroke=\"{0}\" fill=\"{0}\">\n<polyline fill=\"none\" stroke-width=\"1.8\" points=\"", colour);
    for (const PlotPoint &point : series.points)
      put("{:.1f},{:.1f} ", xOf(point.x), yOf(point.y));
    svg += "\"/>\n";
    for (const PlotPoint &point : series.points) {
      put("<path d=\"M{:.1f} {:.1f}V{:.1f}\" stroke-width=\"5\" opacity=\"0.3\"/>", xOf(point.x), yOf(point.low), yOf(point.high));
      put("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.4\"><title>{:g}: {:.6g}</title></circle>\n", xOf(point.x), yOf(point.y),
          point.x, point.y);
    }
    svg += "</g>\n";
  }

  /// In the lower right corner: latencies lie flat above it, throughputs rise above it.
  void drawLegend() {
    double y = top + plotHeight - 14 - 18 * double(plot.series.size() - 1), x = left + plotWidth - 12;
    for (size_t series = 0; series < plot.series.size(); ++series, y += 18) {
      put("<path d=\"M{} {:.1f}h-22\" stroke=\"{}\" stroke-width=\"3\"/>", x, y - 4, colours[series % colours.size()]);
      put("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", x - 30, y, escaped(plot.series[series].name));
    }
  }

  const Plot &plot;
  std::set<double> xs;
  double most, step;
  std::string svg;
};

} // namespace

std::string drawPlot(const Plot &plot) { return Drawing(plot).draw(); }
