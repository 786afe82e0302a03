// A search by coordinates, and the file that keeps its result.
#include "TokenDelays.h"

#include "../Platform.h"
#include "sm1rt/Packing.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>

namespace sm1rt::cuda {

using Clock = std::chrono::steady_clock;

/// Three microseconds: more than any words take.
static constexpr uint16_t mostClocks = 6000;

std::string TokenDelays::text() const {
  return fmt::format("pace {}, delays {}, {}", clocks.front(), fmt::join(clocks.begin() + 1, clocks.end(), " "), origin);
}

//===-- Setting -------------------------------------------------------------------------------------------------------------===//

/// Numbers with `separator` between them; empty where there is anything else.
static TokenClocks parseClocks(std::string_view text, char separator) {
  TokenClocks clocks;
  for (const char *at = text.data(), *end = at + text.size(); at <= end;) {
    uint16_t number = 0;
    auto [behind, error] = std::from_chars(at, end, number);
    if (error != std::errc() || number > mostClocks || (behind != end && *behind != separator))
      return {};
    clocks.push_back(number);
    at = behind + 1;
  }
  return clocks;
}

Expected<DelaySetting> DelaySetting::ofEnvironment() {
  const char *value = std::getenv("SM1_TOKEN_DELAYS");
  DelaySetting setting;
  if (!value || !*value)
    return setting;
  setting.measures = false;
  if (std::string_view(value) == "fixed")
    return setting;
  setting.given = parseClocks(value, ',');
  if (setting.given.empty())
    return Error{
        fmt::format("SM1_TOKEN_DELAYS is '{}'; it has to be 'fixed', or clocks of at most {} with commas between: the pace of "
                    "weights, then the delay of each phase",
                    value, mostClocks)};
  return setting;
}

//===-- Search --------------------------------------------------------------------------------------------------------------===//

namespace {
class Search {
public:
  Search(TokenClocks start, const TimeOfClocks &timeOf) : clocks(std::move(start)), timeOf(timeOf) {}

  Expected<TokenClocks> run();

private:
  /// Differences below are noise.
  static constexpr double worthwhile = 0.998;
  static constexpr std::chrono::milliseconds patience{1500};
  bool isLate() const { return Clock::now() - began > patience; }
  Expected<void> improve(size_t place, const std::vector<int> &candidates);
  using Candidates = std::function<std::vector<int>(int present)>;
  static Candidates around(int step) {
    return [step](int present) { return std::vector<int>{present - step, present + step}; };
  }
  Expected<void> round(const Candidates &delays, const Candidates &paces);
  Expected<bool> isQuicker(const TokenClocks &start);

  TokenClocks clocks;
  const TimeOfClocks &timeOf;
  const Clock::time_point began = Clock::now();
};
} // namespace

static std::vector<int> upTo(int last, int step) {
  std::vector<int> numbers;
  for (int number = 0; number <= last; number += step)
    numbers.push_back(number);
  return numbers;
}

/// Takes the candidate that is best in one place. Clocks drift, so the present one is timed with them.
Expected<void> Search::improve(size_t place, const std::vector<int> &candidates) {
  if (isLate())
    return {};
  TokenClocks tried = clocks;
  auto best = timeOf(clocks);
  if (!best)
    return best.error();
  for (int candidate : candidates) {
    if (candidate < 0 || candidate > mostClocks || candidate == clocks[place] || isLate())
      continue;
    tried[place] = uint16_t(candidate);
    auto seconds = timeOf(tried);
    if (!seconds)
      return seconds.error();
    if (*seconds < *best * worthwhile) {
      best = seconds;
      clocks[place] = uint16_t(candidate);
    }
  }
  return {};
}

/// All delays, then the pace: one that suits bad delays is no good start.
Expected<void> Search::round(const Candidates &delays, const Candidates &paces) {
  for (size_t place = 1; place < clocks.size(); ++place)
    if (auto done = improve(place, delays(clocks[place])); !done)
      return done;
  return improve(0, paces(clocks[0]));
}

/// In turns, so that whoever else uses the device disturbs both.
Expected<bool> Search::isQuicker(const TokenClocks &start) {
  static constexpr size_t turns = 5;
  std::vector<double> before, after;
  while (after.size() < turns && !(isLate() && !after.empty())) {
    auto first = timeOf(start), second = timeOf(clocks);
    if (!first || !second)
      return !first ? first.error() : second.error();
    before.push_back(*first);
    after.push_back(*second);
  }
  std::sort(before.begin(), before.end());
  std::sort(after.begin(), after.end());
  return after[after.size() / 2] < before[before.size() / 2];
}

Expected<TokenClocks> Search::run() {
  const TokenClocks start = clocks;
  const Candidates delays = [](int) { return upTo(3600, 400); }, paces = [](int) { return upTo(1500, 100); };
  for (int coarse = 0; coarse < 2; ++coarse)
    if (auto done = round(delays, paces); !done)
      return done.error();
  for (auto [delayStep, paceStep] : {std::pair(200, 50), std::pair(100, 25)})
    if (auto done = round(around(delayStep), around(paceStep)); !done)
      return done.error();
  auto quicker = isQuicker(start);
  if (!quicker)
    return quicker.error();
  return *quicker ? clocks : start;
}

Expected<TokenClocks> searchClocks(const TokenClocks &start, const TimeOfClocks &timeOf) { return Search(start, timeOf).run(); }

//===-- File ----------------------------------------------------------------------------------------------------------------===//
//
// Three lines: what it is and for which device; the clocks; a hash of both.

static std::string headOf(const Context &context) {
  return fmt::format("sm1 delays 3: {}, {} multiprocessors, {} kHz\n", context.deviceName, context.multiprocessorCount,
                     context.clockKHz);
}

static std::string hashOf(std::string_view text) { return toHex(fnv1a(text.data(), text.size())) + "\n"; }

TokenClocks readClocks(const std::string &path, const Context &context, size_t phases) {
  static constexpr uint64_t mostBytes = 4096;
  if (path.empty() || !fileExists(path))
    return {};
  auto text = readTextFile(path, mostBytes);
  const std::string head = headOf(context);
  if (!text || text->compare(0, head.size(), head) != 0)
    return {};
  size_t end = text->find('\n', head.size());
  if (end == std::string::npos || text->substr(end + 1) != hashOf(std::string_view(*text).substr(0, end + 1)))
    return {};
  TokenClocks clocks = parseClocks(std::string_view(*text).substr(head.size(), end - head.size()), ' ');
  return clocks.size() == phases + 1 ? clocks : TokenClocks();
}

void keepClocks(const std::string &path, const Context &context, const TokenClocks &clocks) {
  if (path.empty())
    return;
  std::string text = headOf(context) + fmt::format("{}\n", fmt::join(clocks, " "));
  (void)writeFile(path, text + hashOf(text));
}

} // namespace sm1rt::cuda
