// From a package's plan and the table of cards to times.
#include "Projection.h"

#include "Prediction.h"

#include "sm1rt/Package.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>

using namespace sm1rt;
using Json = nlohmann::ordered_json;

namespace {
/// A kernel in a run of some shape.
struct ProjectedKernel {
  std::string name;
  int64_t launches;
  double registers;
  Work work; ///< of one launch
  GpuPrediction prediction;
};

struct ProjectedRun {
  const GpuCard *card;
  std::string target, entry, compute;
  RunShape shape;
  std::vector<ProjectedKernel> kernels; ///< in order; kernels that loops repeat once
  double seconds = 0;                   ///< of all launches, kernel by kernel, and the starts of them
  std::optional<double> tokenSeconds;   ///< of a step in one launch
};
} // namespace

/// The best program of the package for a card; null when there is none.
static const std::pair<const std::string, PlanProgram> *programFor(const Plan &plan, const GpuCard &card) {
  const std::pair<const std::string, PlanProgram> *best = nullptr;
  for (const auto &program : plan.programs)
    if (program.second.capability > (best ? best->second.capability : 0) &&
        program.second.capability <= card.rates.facts.capability)
      best = &program;
  return best;
}

static double passBytes(const WorkCounter &work) { return work.ofPass("step", 1, 1, 1).weightBytes; }

static Expected<ProjectedRun> project(const Package &package, const GpuCard &card, const RunShape &shape) {
  const auto *found = programFor(package.plan, card);
  if (!found)
    return Error{fmt::format("{}: has no code for {} ({}); recompile with --target={}", package.file.path(), card.name, card.target,
                             card.target)};
  const auto &[target, program] = *found;
  WorkCounter work(package.plan, program);
  bool step = shape.kind == RunKind::Decode;
  int64_t rows = step ? shape.batch : shape.batch * shape.time, longest = step ? 1 : shape.time;
  ProjectedRun run{&card, target,      work.variantOf(step ? "step" : "prefill", rows, shape.batch), program.compute, shape, {},
                   0,     std::nullopt};
  GpuRates rates = card.rates;
  rates.launchSeconds = step ? graphLaunchSeconds : hostLaunchSeconds;
  for (const PlanStep &part : program.entries.find(run.entry)->second)
    for (const PlanLaunch &launch : part.body) {
      const std::string &name = program.kernels[launch.kernel].name;
      if (!launch.cost)
        return Error{fmt::format("{}: has no costs of kernel '{}'; recompile it", package.file.path(), name)};
      int64_t own = launch.rows == RowSpace::All ? rows : shape.batch, launches = std::max<int64_t>(part.layers, 1);
      LaunchRows size{own, shape.batch, rows, longest};
      ProjectedKernel kernel{name, launches, launch.cost->registers, work.ofLaunch(launch, size),
                             predictOnGpu(launch, size, rates, passBytes(work))};
      run.seconds += double(launches) * kernel.prediction.seconds;
      run.kernels.push_back(std::move(kernel));
    }
  if (step && program.token)
    run.tokenSeconds = predictedTokenSeconds(package.plan, *program.token, double(shape.batch), rates);
  return run;
}

//===-- For programs and for people -----------------------------------------------------------------------------------------===//

static Json toJson(const ProjectedRun &run) {
  Json kernels = Json::array();
  for (const ProjectedKernel &kernel : run.kernels) {
    const GpuPrediction &prediction = kernel.prediction;
    kernels.push_back({{"kernel", kernel.name},
                       {"launches", kernel.launches},
                       {"seconds", prediction.seconds},
                       {"bound", prediction.bound()},
                       {"launch", prediction.launch},
                       {"waiting", prediction.waiting},
                       {"memory", prediction.memory},
                       {"products", prediction.products},
                       {"elementwise", prediction.elementwise},
                       {"blocks", prediction.blocks},
                       {"blocks_per_multiprocessor", prediction.blocksPerMultiprocessor},
                       {"registers", kernel.registers},
                       {"bytes", kernel.work.bytes()},
                       {"flops", kernel.work.flops}});
  }
  return {{"card", run.card->name},
          {"target", run.target},
          {"compute", run.compute},
          {"name", run.shape.name()},
          {"entry", run.entry},
          {"batch", run.shape.batch},
          {"time", run.shape.kind == RunKind::Decode ? 1 : run.shape.time},
          {"seconds", run.seconds},
          {"token_seconds", run.tokenSeconds ? Json(*run.tokenSeconds) : Json()},
          {"kernels", kernels}};
}

static void print(const ProjectedRun &run) {
  bool step = run.shape.kind == RunKind::Decode;
  fmt::print("\n{}, {} ({}), batch {}{}: {:.3f} ms kernel by kernel", run.card->name, run.entry, run.target, run.shape.batch,
             step ? "" : fmt::format(", {} tokens", run.shape.time), 1e3 * run.seconds);
  if (run.tokenSeconds)
    fmt::print(", {:.3f} ms in one launch", 1e3 * *run.tokenSeconds);
  constexpr const char *layout = "  {:<24.24} {:>5} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8} {:>5}\n";
  fmt::print("\n");
  fmt::print(fmt::runtime(layout), "kernel", "count", "us", "waiting", "memory", "products", "other", "MB", "blocks", "/SM");
  for (const ProjectedKernel &kernel : run.kernels) {
    const GpuPrediction &prediction = kernel.prediction;
    auto micros = [](double seconds) { return fmt::format("{:.2f}", 1e6 * seconds); };
    fmt::print(fmt::runtime(layout), kernel.name, kernel.launches, micros(prediction.seconds), micros(prediction.waiting),
               micros(prediction.memory), micros(prediction.products), micros(prediction.elementwise),
               fmt::format("{:.2f}", kernel.work.bytes() / 1e6), prediction.blocks, prediction.blocksPerMultiprocessor);
  }
}

Expected<void> printProjection(const ProjectionOptions &options) {
  auto package = Package::open(options.package);
  if (!package)
    return package.error();
  std::vector<std::string> names;
  for (const GpuCard &card : gpuCards())
    names.push_back(card.name);
  Json runs = Json::array();
  if (!options.json)
    fmt::print("{}: projection by the cost model, nothing here was measured\n", options.package);
  for (const std::string &name : options.cards.empty() ? names : options.cards) {
    const GpuCard *card = findGpuCard(name);
    if (!card)
      return Error{fmt::format("card '{}' is none of {}", name, fmt::join(names, ", "))};
    for (const RunShape &shape : options.shapes) {
      auto run = project(*package, *card, shape);
      if (!run)
        return run.error();
      options.json ? runs.push_back(toJson(*run)) : print(*run);
    }
  }
  if (options.json)
    fmt::print("{}\n", Json{{"model", options.package}, {"projection", true}, {"runs", runs}}.dump(2));
  return {};
}
