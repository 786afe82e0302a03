//===- StoreTuned.cpp - from measured times to a file of tuned schedules -----------------------------------------===//

#include "../Driver/StageFiles.h"
#include "TuningFiles.h"
#include "sm1c/Compile.h"
#include "sm1c/Tuning.h"

#include "sm1rt/Packing.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"

#include <cmath>
#include <map>
#include <optional>

using namespace sm1;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
namespace json = llvm::json;

namespace {
/// Seconds of one load, repetition by repetition.
using Times = std::vector<double>;

struct Measured {
  std::string name, key;
  std::vector<std::string> schedules;                ///< of the candidates; the first is the present one
  std::vector<std::map<std::string, Times>> seconds; ///< of each, by load
  std::map<std::string, Times> again;                ///< of the present one, measured a second time
  std::vector<std::string> wrong;                    ///< of each, what its results differ in; empty: they do not
};

struct Results {
  std::string target, device;
  std::vector<Measured> kernels;
};

/// A winner by key.
struct Winner {
  std::string schedule;
  double relative = 1;
};
} // namespace

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

static Expected<json::Object> readJson(const std::string &path, StringRef format, StringRef hint, std::string &text) {
  auto file = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!file)
    return createStringError(path + ": " + StringRef(file.getError().message()).lower() + "; " + hint);
  text = (*file)->getBuffer().str();
  auto value = json::parse(text);
  if (!value)
    return createStringError(path + ": no JSON: " + llvm::toString(value.takeError()));
  json::Object *object = value->getAsObject();
  StringRef found = object ? object->getString("format").value_or("") : "";
  if (found != format)
    return createStringError(path + ": format '" + found + "', this sm1c reads '" + format + "'; " + hint);
  return std::move(*object);
}

static Error damaged(const std::string &path, const llvm::Twine &what) {
  return createStringError(path + ": " + what + "; the file is damaged or was edited, measure again");
}

static Error readCandidates(const json::Object &file, const std::string &path, Results &results) {
  results.target = file.getString("target").value_or("").str();
  if (!findTarget(results.target))
    return damaged(path, "no target called '" + llvm::Twine(results.target) + "'");
  const json::Array *kernels = file.getArray("kernels");
  if (!kernels)
    return damaged(path, "no list 'kernels'");
  for (const json::Value &value : *kernels) {
    const json::Object *kernel = value.getAsObject();
    const json::Array *candidates = kernel ? kernel->getArray("candidates") : nullptr;
    if (!candidates || candidates->empty() || !kernel->getString("name") || !kernel->getString("key"))
      return damaged(path, "a kernel without name, key or candidates");
    Measured measured{kernel->getString("name")->str(), kernel->getString("key")->str(), {}, {}, {}, {}};
    for (const json::Value &candidate : *candidates) {
      const json::Object *object = candidate.getAsObject();
      auto schedule = object ? object->getString("schedule") : std::nullopt;
      if (!schedule)
        return damaged(path, "a candidate of '" + measured.name + "' has no schedule");
      measured.schedules.push_back(schedule->str());
    }
    measured.seconds.resize(candidates->size());
    measured.wrong.resize(candidates->size());
    results.kernels.push_back(std::move(measured));
  }
  return Error::success();
}

/// The kernel and the candidate that a row is about.
static Expected<std::pair<Measured *, size_t>> placeOf(const json::Object *row, const std::string &path, Results &results) {
  auto name = row ? row->getString("kernel") : std::nullopt;
  auto package = row ? row->getInteger("package") : std::nullopt;
  if (!name || !package)
    return damaged(path, "a row without kernel or package");
  auto kernel = llvm::find_if(results.kernels, [&](const Measured &known) { return known.name == *name; });
  if (kernel == results.kernels.end() || *package < 0 || size_t(*package) >= kernel->schedules.size())
    return damaged(path, "package " + llvm::Twine(*package) + " has no candidate for '" + *name + "'");
  return std::pair(&*kernel, size_t(*package));
}

static Error readTimes(const json::Object &file, const std::string &path, Results &results) {
  results.device = file.getString("device").value_or("").str();
  const json::Array *rows = file.getArray("rows"), *wrong = file.getArray("wrong");
  if (!rows || !wrong)
    return damaged(path, "no lists 'rows' and 'wrong'");
  for (const json::Value &value : *rows) {
    const json::Object *row = value.getAsObject();
    auto place = placeOf(row, path, results);
    if (!place)
      return place.takeError();
    auto load = row->getString("load");
    const json::Array *seconds = row->getArray("seconds");
    if (!load || !seconds || seconds->empty())
      return damaged(path, "a row of '" + place->first->name + "' without load or seconds");
    bool isAgain = row->getBoolean("again").value_or(false);
    Times &times = (isAgain ? place->first->again : place->first->seconds[place->second])[load->str()];
    for (const json::Value &second : *seconds) {
      auto number = second.getAsNumber();
      if (!number || !(*number > 0) || !std::isfinite(*number))
        return damaged(path, "a time of '" + place->first->name + "' is no positive number");
      times.push_back(*number);
    }
  }
  for (const json::Value &value : *wrong) {
    auto place = placeOf(value.getAsObject(), path, results);
    if (!place)
      return place.takeError();
    place->first->wrong[place->second] = value.getAsObject()->getString("why").value_or("its results differ").str();
  }
  return Error::success();
}

static Expected<Results> readResults(const std::string &folder) {
  std::string candidates, times;
  auto manifest = readJson(candidatesPath(folder), candidatesFormat, "sm1c MODEL --tune=" + folder + " writes it", candidates);
  if (!manifest)
    return manifest.takeError();
  auto measured = readJson(timesPath(folder), timesFormat, "sm1-bench tune " + folder + " writes it", times);
  if (!measured)
    return measured.takeError();
  Results results;
  if (Error error = readCandidates(*manifest, candidatesPath(folder), results))
    return error;
  // Before anything that it says is compared with the candidates.
  StringRef target = measured->getString("target").value_or("");
  if (target != results.target)
    return createStringError(timesPath(folder) + ": is of target '" + target + "', the candidates are for '" + results.target +
                             "'; run sm1-bench tune " + folder);
  StringRef hash = measured->getString("candidates").value_or("");
  std::string own = sm1rt::toHex(sm1rt::fnv1a(candidates.data(), candidates.size()));
  if (hash != own)
    return createStringError(timesPath(folder) + ": is of candidates " + hash + ", " + candidatesPath(folder) + " has " + own +
                             "; run sm1-bench tune " + folder);
  if (Error error = readTimes(*measured, timesPath(folder), results))
    return error;
  return results;
}

//===----------------------------------------------------------------------===//
// Choosing
//===----------------------------------------------------------------------===//

/// A winner has to gain so much over all runs, three quarters of the repetitions have to see some of it, and no run may lose more
/// than the other.
static constexpr double leastGain = 0.98, mostLoss = 1.02;

static double quantile(std::vector<double> values, double part) {
  llvm::sort(values);
  double place = part * double(values.size() - 1);
  size_t below = size_t(place), above = std::min(below + 1, values.size() - 1);
  return values[below] + (place - double(below)) * (values[above] - values[below]);
}

using TimesByLoad = std::map<std::string, Times>;

static void add(TimesByLoad &sums, const TimesByLoad &more) {
  for (auto &[load, times] : more) {
    auto [sum, isNew] = sums.emplace(load, times);
    for (size_t index = 0; !isNew && index < std::min(times.size(), sum->second.size()); ++index)
      sum->second[index] += times[index];
  }
}

/// Seconds of all kernels of a key with candidate `number`, by load; nothing where some were not measured or are wrong.
static std::optional<TimesByLoad> secondsOf(llvm::ArrayRef<const Measured *> kernels, size_t number) {
  TimesByLoad sums;
  for (const Measured *kernel : kernels) {
    if (number >= kernel->schedules.size() || !kernel->wrong[number].empty() || kernel->seconds[number].empty())
      return std::nullopt;
    add(sums, kernel->seconds[number]);
  }
  return sums;
}

/// Of their present schedule, measured again.
static TimesByLoad secondsAgain(llvm::ArrayRef<const Measured *> kernels) {
  TimesByLoad sums;
  for (const Measured *kernel : kernels)
    add(sums, kernel->again);
  return sums;
}

/// The candidate's time by that of the present schedule; nothing if it gains nothing that can be told from noise.
static std::optional<double> gainOf(const TimesByLoad &present, const TimesByLoad &own) {
  std::vector<double> logs; // by repetition, summed over loads
  if (present.empty())
    return std::nullopt;
  for (auto &[load, times] : present) {
    auto found = own.find(load);
    if (found == own.end() || found->second.size() != times.size() || (!logs.empty() && logs.size() != times.size()))
      return std::nullopt;
    std::vector<double> ratios;
    logs.resize(times.size());
    for (size_t index = 0; index < times.size(); ++index) {
      ratios.push_back(found->second[index] / times[index]);
      logs[index] += std::log(ratios.back());
    }
    if (quantile(ratios, 0.5) > mostLoss)
      return std::nullopt;
  }
  double loads = double(present.size()), gain = std::exp(quantile(logs, 0.5) / loads);
  bool isGain = gain < leastGain && quantile(logs, 0.75) < 0;
  return isGain ? std::optional<double>(gain) : std::nullopt;
}

static std::map<std::string, Winner> chooseWinners(const Results &results, const Report &report) {
  std::map<std::string, std::vector<const Measured *>> byKey;
  for (const Measured &kernel : results.kernels)
    byKey[kernel.key].push_back(&kernel);
  std::map<std::string, Winner> winners;
  for (auto &[key, kernels] : byKey) {
    for (const Measured *kernel : kernels)
      for (size_t number = 0; number < kernel->wrong.size(); ++number)
        if (!kernel->wrong[number].empty())
          report("sm1c: note: " + kernel->name + ": candidate " + std::to_string(number) + " is wrong: " + kernel->wrong[number]);
    auto present = secondsOf(kernels, 0);
    if (!present)
      continue;
    TimesByLoad again = secondsAgain(kernels);
    Winner winner;
    for (size_t number = 1; number < kernels.front()->schedules.size(); ++number)
      if (auto seconds = secondsOf(kernels, number)) {
        auto gain = gainOf(*present, *seconds), second = gainOf(again, *seconds);
        if (gain && second && std::max(*gain, *second) < winner.relative)
          winner = {kernels.front()->schedules[number], std::max(*gain, *second)};
      }
    if (!winner.schedule.empty())
      winners[key] = winner;
    report(llvm::formatv("sm1c: note: {0}: {1}", kernels.front()->name,
                         winner.schedule.empty()
                             ? "keeps its schedule"
                             : llvm::formatv("{0:f3} of its time with {1}", winner.relative, winner.schedule).str())
               .str());
  }
  return winners;
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

/// Lines of a file of tuned schedules by their first word, KEY@TARGET; nothing of one that is not there.
static Expected<std::map<std::string, std::string>> linesOf(const std::string &path) {
  std::map<std::string, std::string> lines;
  auto text = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!text)
    return lines;
  if (auto tuned = TunedSchedules::load(path); !tuned) // which says what is wrong with it
    return tuned.takeError();
  llvm::SmallVector<StringRef> rows;
  (*text)->getBuffer().split(rows, '\n', -1, false);
  for (StringRef row : rows)
    if (!row.trim().empty() && !row.trim().starts_with("#"))
      lines[row.trim().split(' ').first.str()] = row.trim().str();
  return lines;
}

bool sm1::storeTuned(const std::string &folder, const std::string &path, const Report &report) {
  auto results = readResults(folder);
  if (!results)
    return report("sm1c: error: " + llvm::toString(results.takeError())), false;
  auto lines = linesOf(path);
  if (!lines)
    return report("sm1c: error: " + llvm::toString(lines.takeError())), false;
  for (auto &[key, winner] : chooseWinners(*results, report)) {
    std::string name = key + "@" + results->target;
    (*lines)[name] =
        name + " " + winner.schedule + llvm::formatv(" # {0:f3} of before, {1}", winner.relative, results->device).str();
  }
  std::string text = tunedHeader.str() + "\n";
  for (auto &[name, line] : *lines)
    text += line + "\n";
  if (Error error = writeFile(path, text))
    return report("sm1c: error: " + llvm::toString(std::move(error))), false;
  return true;
}
