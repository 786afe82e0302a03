// The half of tuning that needs the device, and neither compiler nor description. compiler/docs/Tuning.md has the files' fields.
#include "Tune.h"

#include "Json.h"
#include "Kernels.h"
#include "OpenModel.h"
#include "Platform.h"
#include "Progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

using namespace sm1rt;
using Json = nlohmann::ordered_json;

// As compiler/lib/Tuning/TuningFiles.h has them.
constexpr const char *candidatesFormat = "sm1 tuning candidates 1", *timesFormat = "sm1 tuning times 1";
constexpr int cpuTurns = 9, gpuTurns = 30;
constexpr size_t mostPackages = 101;

namespace {
struct TuneKernel {
  std::string name;
  size_t candidates;
};

struct TuneLoad {
  std::string name;
  RunShape shape;
};

/// What tune.json says.
struct Candidates {
  std::string target, hash;
  std::vector<std::string> packages;
  std::vector<TuneKernel> kernels;
  std::vector<TuneLoad> loads;
};

/// A package with the runs that time its kernels.
struct TunedPackage {
  TunedPackage(Model opened, const Candidates &candidates);
  const PlanProgram &program() const { return model.plan().programs.find(model.target())->second; }

  Model model;
  WorkCounter work;
  std::vector<std::unique_ptr<Runner>> runners;     // per load
  std::vector<std::unique_ptr<KernelTimer>> timers; // likewise
};

class Tuning {
public:
  explicit Tuning(const TuneOptions &options) : options(options) {}
  Expected<void> run();

private:
  Expected<void> open();
  Expected<void> runOnce(TunedPackage &package, bool keep);
  bool isTimed(const std::string &kernel) const;
  Expected<void> compare();
  Expected<void> measure();
  void print() const;
  Expected<void> write() const;
  std::optional<Samples> secondsOf(const std::string &kernel, size_t package, size_t load) const;

  const TuneOptions &options;
  Candidates candidates;
  Expected<void> openPackage(const std::string &name);
  /// Of the folder, and once more the first: what two runs of one schedule differ by is no gain of another.
  std::vector<std::unique_ptr<TunedPackage>> packages;
  Json wrong = Json::array();
};
} // namespace

//===-- What there is to measure --------------------------------------------------------------------------------------------===//

static TuneLoad loadOf(const std::string &entry, int64_t batch, int64_t time) {
  TuneLoad load;
  load.name = fmt::format("{}:{}x{}", entry, batch, time);
  load.shape = {entry == "step" ? RunKind::Decode : RunKind::Prefill, batch, time};
  load.shape.oneByOne = true;
  return load;
}

/// "prefill:1x512", "step:8x4".
static Expected<TuneLoad> parseLoad(const std::string &text) {
  long batch = 0, time = 0;
  char entry[8] = "", rest = 0;
  int read = std::sscanf(text.c_str(), "%7[a-z]:%ldx%ld%c", entry, &batch, &time, &rest);
  std::string name = entry;
  if (read != 3 || (name != "prefill" && name != "step") || batch < 1 || time < 1 || batch > 4096 || time > (1 << 20))
    return Error{fmt::format("--loads: '{}' is no run; write prefill:SEQUENCESxTOKENS or step:SEQUENCESxSTEPS", text)};
  return loadOf(name, batch, time);
}

static Expected<Candidates> readCandidates(const std::string &folder) {
  std::string path = folder + "/tune.json";
  auto text = readTextFile(path, 64 << 20);
  if (!text)
    return text.error().in("sm1c MODEL --tune=" + folder + " writes it");
  auto parsed = parseJson(*text, path);
  if (!parsed)
    return parsed.error();
  std::string failure;
  JsonCursor file(*parsed, "", failure);
  Candidates candidates;
  std::string format = file["format"].string();
  if (failure.empty() && format != candidatesFormat)
    return Error{
        fmt::format("{}: format '{}', this sm1-bench reads '{}'; use the sm1c of this release", path, format, candidatesFormat)};
  candidates.hash = toHex(fnv1a(text->data(), text->size()));
  candidates.target = file["target"].name();
  JsonCursor packages = file["packages"], kernels = file["kernels"], loads = file["loads"];
  for (size_t index = 0, count = packages.arraySize(mostPackages); index < count; ++index)
    candidates.packages.push_back(packages[index].name());
  for (size_t index = 0, count = kernels.arraySize(); index < count; ++index)
    candidates.kernels.push_back({kernels[index]["name"].name(), kernels[index]["candidates"].arraySize(mostPackages)});
  for (size_t index = 0, count = loads.arraySize(); index < count; ++index)
    candidates.loads.push_back(
        loadOf(loads[index]["entry"].name(), loads[index]["batch"].integer(1, 4096), loads[index]["time"].integer(1, 1 << 20)));
  if (!failure.empty())
    return Error{path + ": " + failure};
  if (candidates.packages.empty())
    return Error{path + ": names no package"};
  return candidates;
}

TunedPackage::TunedPackage(Model opened, const Candidates &candidates) : model(std::move(opened)), work(model.plan(), program()) {
  std::vector<std::string> names;
  for (const TuneKernel &kernel : candidates.kernels)
    names.push_back(kernel.name);
  for (const TuneLoad &load : candidates.loads) {
    runners.push_back(std::make_unique<Runner>(model, load.shape));
    timers.push_back(std::make_unique<KernelTimer>(model, work, names));
  }
}

Expected<void> Tuning::open() {
  auto read = readCandidates(options.common.model);
  if (!read)
    return read.error();
  candidates = std::move(*read);
  if (!options.loads.empty())
    candidates.loads.clear();
  for (const std::string &text : options.loads) {
    auto load = parseLoad(text);
    if (!load)
      return load.error();
    candidates.loads.push_back(*load);
  }
  for (const std::string &name : candidates.packages)
    if (auto opened = openPackage(name); !opened)
      return opened;
  return openPackage(candidates.packages.front());
}

Expected<void> Tuning::openPackage(const std::string &name) {
  CommonOptions own = options.common;
  own.model = options.common.model + "/" + name;
  own.isa = candidates.target;
  own.step = "kernels";
  auto model = openModel(own);
  if (!model)
    return model.error();
  packages.push_back(std::make_unique<TunedPackage>(std::move(*model), candidates));
  // The first run of a size makes room for it, which is no part of any kernel.
  for (auto &runner : packages.back()->runners)
    if (auto first = runner->run(); !first)
      return first.error().in(name);
  return {};
}

//===-- Comparing and timing ------------------------------------------------------------------------------------------------===//

Expected<void> Tuning::runOnce(TunedPackage &package, bool keep) {
  for (size_t load = 0; load < candidates.loads.size(); ++load) {
    auto once = [&]() -> Expected<void> {
      Expected<double> seconds = package.runners[load]->run();
      return seconds ? Expected<void>() : seconds.error();
    };
    if (auto done = package.timers[load]->timeRun(once, keep); !done)
      return done.error().in(candidates.loads[load].name);
  }
  return {};
}

/// Whether some run has the kernel, which is known after the first.
bool Tuning::isTimed(const std::string &kernel) const {
  return std::any_of(packages[0]->timers.begin(), packages[0]->timers.end(), [&](const auto &timer) {
    std::vector<KernelRow> rows = timer->rows();
    return std::any_of(rows.begin(), rows.end(), [&](const KernelRow &row) { return row.name == kernel; });
  });
}

/// Every candidate on the rows of the present kernel. One that fails to run is as wrong as one with other results.
Expected<void> Tuning::compare() {
  if (auto done = runOnce(*packages[0], false); !done)
    return done;
  Progress progress("comparing", int64_t(candidates.kernels.size()), "kernels");
  for (size_t index = 0; index < candidates.kernels.size(); ++index) {
    const TuneKernel &kernel = candidates.kernels[index];
    for (size_t package = 1; package < std::min(kernel.candidates, candidates.packages.size()) && isTimed(kernel.name); ++package)
      if (auto same = packages[package]->model.compareKernel(kernel.name, packages[0]->model, options.checkRows); !same)
        wrong.push_back({{"kernel", kernel.name}, {"package", package}, {"why", same.error().message}});
    progress.update(int64_t(index) + 1);
  }
  return {};
}

/// In turns, each beginning with another package: whoever follows another finds caches and clocks as that has left them.
Expected<void> Tuning::measure() {
  int turns = options.repetitions ? options.repetitions : packages[0]->program().capability ? gpuTurns : cpuTurns;
  Progress progress("measuring", turns + 1, "repetitions");
  for (int turn = 0; turn <= turns; ++turn) {
    for (size_t index = 0; index < packages.size(); ++index)
      if (auto done = runOnce(*packages[(index + size_t(turn)) % packages.size()], turn > 0); !done)
        return done;
    progress.update(turn + 1);
  }
  return {};
}

//===-- What was found ------------------------------------------------------------------------------------------------------===//

/// Nothing of a kernel that the load does not run.
std::optional<Samples> Tuning::secondsOf(const std::string &kernel, size_t package, size_t load) const {
  for (const KernelRow &row : packages[package]->timers[load]->rows())
    if (row.name == kernel && !row.seconds.empty())
      return row.seconds;
  return std::nullopt;
}

void Tuning::print() const {
  fmt::print("{}\n  {:<28} {:<14} {:>10} {:>10} {:>5}\n", packages[0]->model.deviceName(), "kernel", "run", "present us",
             "least us", "of");
  for (const TuneKernel &kernel : candidates.kernels)
    for (size_t load = 0; load < candidates.loads.size(); ++load) {
      std::optional<Samples> present = secondsOf(kernel.name, 0, load);
      if (!present)
        continue;
      double own = present->median(), least = own;
      size_t best = 0;
      for (size_t package = 1; package < std::min(kernel.candidates, candidates.packages.size()); ++package)
        if (auto other = secondsOf(kernel.name, package, load); other && other->median() < least)
          least = other->median(), best = package;
      fmt::print("  {:<28} {:<14} {:>10.1f} {:>10.1f} {:>5}\n", kernel.name, candidates.loads[load].name, 1e6 * own, 1e6 * least,
                 best);
    }
  for (const Json &row : wrong)
    fmt::print("  wrong: {}, candidate {}: {}\n", row["kernel"].get<std::string>(), row["package"].get<size_t>(),
               row["why"].get<std::string>());
}

Expected<void> Tuning::write() const {
  Json rows = Json::array();
  auto add = [&](const TuneKernel &kernel, size_t package, size_t candidate) {
    for (size_t load = 0; load < candidates.loads.size(); ++load)
      if (auto seconds = secondsOf(kernel.name, package, load))
        rows.push_back({{"kernel", kernel.name},
                        {"package", candidate},
                        {"again", package != candidate},
                        {"load", candidates.loads[load].name},
                        {"seconds", seconds->values}});
  };
  for (const TuneKernel &kernel : candidates.kernels) {
    for (size_t package = 0; package < std::min(kernel.candidates, candidates.packages.size()); ++package)
      add(kernel, package, package);
    add(kernel, candidates.packages.size(), 0);
  }
  Json all = {{"format", timesFormat},
              {"target", candidates.target},
              {"candidates", candidates.hash},
              {"device", packages[0]->model.deviceName()},
              {"rows", rows},
              {"wrong", wrong}};
  return writeFile(options.common.model + "/times.json", all.dump(1) + "\n");
}

Expected<void> Tuning::run() {
  for (auto step : {&Tuning::open, &Tuning::compare, &Tuning::measure})
    if (auto done = (this->*step)(); !done)
      return done;
  print();
  return write();
}

Expected<void> tune(const TuneOptions &options) { return Tuning(options).run(); }
