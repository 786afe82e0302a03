// Draws progress; knows nothing of the work.
#include "Progress.h"

#include "Platform.h"

#include <fmt/format.h>

#include <algorithm>

Progress::Progress(std::string what, int64_t total, std::string unit)
    : what(std::move(what)), unit(std::move(unit)), total(std::max<int64_t>(total, 1)), terminal(sm1rt::stderrIsTerminal()),
      start(Clock::now()), lastDrawn(start) {}

Progress::~Progress() {
  if (terminal && drawn)
    fmt::print(stderr, "\r\033[K");
}

double Progress::elapsedSeconds() const { return std::chrono::duration<double>(Clock::now() - start).count(); }

void Progress::update(int64_t done) {
  Clock::time_point now = Clock::now();
  double sinceDrawn = std::chrono::duration<double>(now - lastDrawn).count();
  if (sinceDrawn < (terminal ? 0.1 : 10))
    return;
  lastDrawn = now;
  drawn = true;
  double rate = double(done) / std::max(elapsedSeconds(), 1e-9);
  terminal ? drawBar(done, rate) : printLine(done, rate);
}

void Progress::drawBar(int64_t done, double rate) const {
  constexpr int width = 30;
  int filled = int(width * std::min(done, total) / total);
  double left = rate > 0 ? double(total - std::min(done, total)) / rate : 0;
  fmt::print(stderr, "\r\033[K{} [{:#<{}}{:.<{}}] {}/{} {}, {:.0f}/s, {} left", what, "", filled, "", width - filled, done, total,
             unit, rate, clockTime(left));
  std::fflush(stderr);
}

void Progress::printLine(int64_t done, double rate) const {
  fmt::print(stderr, "{}: {} of {} {}, {:.0f}/s\n", what, done, total, unit, rate);
}

std::string clockTime(double seconds) {
  int64_t whole = int64_t(seconds + 0.5);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}
