// Progress of long work on standard error: a bar on a terminal, an occasional line elsewhere.
#ifndef SM1_TOOLS_PROGRESS_H
#define SM1_TOOLS_PROGRESS_H

#include <chrono>
#include <cstdint>
#include <string>

class Progress {
public:
  /// `what` is being done, `total` of `unit` long: Progress("scoring", 69062, "tokens").
  Progress(std::string what, int64_t total, std::string unit);
  /// Removes the bar from the terminal.
  ~Progress();
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;

  /// `done` units so far. Cheap; draws at most ten times a second, or a line every ten seconds.
  void update(int64_t done);
  double elapsedSeconds() const;

private:
  using Clock = std::chrono::steady_clock;

  void drawBar(int64_t done, double rate) const;
  void printLine(int64_t done, double rate) const;

  std::string what, unit;
  int64_t total;
  bool terminal;
  bool drawn = false;
  Clock::time_point start, lastDrawn;
};

/// "1:07".
std::string clockTime(double seconds);

#endif // SM1_TOOLS_PROGRESS_H
