// Reads --sections; what it asks for is kept to by sm1rt::Continuation.
#include "Form.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <sstream>

using namespace sm1rt;

constexpr int64_t maxBars = 32768;

namespace {
/// One part of --sections.
struct SectionWish {
  int section;
  int64_t bars; ///< 0: a share of all
};
} // namespace

static Expected<SectionWish> readWish(const std::string &text) {
  std::string name = text.substr(0, text.find(':'));
  SectionWish wish{-1, 0};
  std::string names;
  for (int section = 0; section < sectionCount; ++section) {
    names += fmt::format("{}{}", section ? ", " : "", sectionName(section));
    if (name == sectionName(section))
      wish.section = section;
  }
  if (wish.section < 0)
    return Error{fmt::format("--sections: no section '{}'; there are {}", name, names)};
  if (name.size() == text.size())
    return wish;
  std::string count = text.substr(name.size() + 1);
  bool digits = !count.empty() && count.size() < 10 && count.find_first_not_of("0123456789") == std::string::npos;
  wish.bars = digits ? std::stoll(count) : 0;
  if (wish.bars < 1 || wish.bars > maxBars)
    return Error{fmt::format("--sections: '{}' bars of {}; a whole number from 1 to {} is needed", count, name, maxBars)};
  return wish;
}

static Expected<std::vector<SectionWish>> readWishes(const std::string &text) {
  std::vector<SectionWish> wishes;
  std::istringstream parts(text + ",");
  for (std::string part; std::getline(parts, part, ',');) {
    Expected<SectionWish> wish = readWish(part);
    if (!wish)
      return wish.error();
    wishes.push_back(*wish);
  }
  return wishes;
}

/// Gives every wish its bars; `bars` is that of --bars, 0 for none.
static Expected<void> shareBars(std::vector<SectionWish> &wishes, int64_t bars) {
  int64_t stated = 0, total = 0;
  for (const SectionWish &wish : wishes) {
    stated += wish.bars > 0;
    total += wish.bars;
  }
  auto count = int64_t(wishes.size());
  if (stated != 0 && stated != count)
    return Error{"--sections: some have a number of bars and some have none; give it to all, or to none and say --bars"};
  if (stated != 0 && bars != 0 && bars != total)
    return Error{fmt::format("--sections: they have {} bars and --bars is {}; leave --bars away", total, bars)};
  if (stated == 0 && bars < count)
    return Error{bars == 0 ? "--sections: how many bars? say --bars=N, or NAME:BARS for each section"
                           : fmt::format("--sections: {} sections for --bars={}; every section needs a bar", count, bars)};
  for (int64_t index = 0; stated == 0 && index < count; ++index)
    wishes[size_t(index)].bars = bars / count + (index < bars % count);
  return {};
}

Expected<void> setForm(const FormOptions &options, ContinuationOptions &continuation) {
  continuation.bars = options.bars;
  continuation.sections.clear();
  if (options.sections.empty())
    return {};
  Expected<std::vector<SectionWish>> wishes = readWishes(options.sections);
  if (!wishes)
    return wishes.error();
  if (Expected<void> shared = shareBars(*wishes, options.bars); !shared)
    return shared;
  for (const SectionWish &wish : *wishes)
    continuation.sections.insert(continuation.sections.end(), size_t(wish.bars), wish.section);
  continuation.bars = int64_t(continuation.sections.size());
  return {};
}

void addFormOptions(CLI::App &app, FormOptions &options) {
  std::string group = "How the piece is built";
  app.add_option("--bars", options.bars, "new bars, exactly; also sets --max-tokens high enough where it is left away")
      ->check(CLI::Range(int64_t(1), maxBars))
      ->type_name("N")
      ->group(group);
  app.add_option("--sections", options.sections,
                 "where in a piece the new bars stand, in order: early, mid or late, each with its bars, or sharing --bars")
      ->type_name("NAME[:BARS],...")
      ->group(group);
}
