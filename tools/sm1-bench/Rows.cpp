// Opens the model in every way that was asked for and takes the rows and the ceilings in turns.
#include "Rows.h"

#include "Context.h"
#include "GpuRows.h"
#include "Kernels.h"
#include "Progress.h"
#include "VariantCeilings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <set>

using namespace sm1rt;

namespace {

/// The model as one target with one number of threads.
struct OpenVariant {
  OpenVariant(Model opened, int threads, const CommonOptions &common, Ceilings &ceilings);

  const PlanProgram &program() const { return model.plan().programs.find(model.target())->second; }
  bool onGpu() const { return program().capability > 0; }

  Model model;
  WorkCounter work;
  Variant facts;
  VariantCeilings ceilings;
};

/// A row with the runs that fill it.
struct TimedRow {
  Row row;
  std::unique_ptr<Runner> runner;
  std::unique_ptr<KernelTimer> kernels; ///< null: only the row
  std::unique_ptr<CacheRuns> cacheRuns; ///< null: on a CPU
};

/// All of a benchmark while it runs.
class Bench {
public:
  Bench(const CommonOptions &common, const RowOptions &options) : common(common), options(options) {}

  Expected<Measurement> run();

private:
  Expected<void> openVariants();
  Expected<void> openVariant(const std::string &package, const std::string &isa, int threads);
  Expected<void> checkKernelNames(const PlanProgram &program) const;
  Expected<void> addRows(size_t variant);
  Expected<void> openCeilings();
  Expected<void> repeat(int repetition);
  Expected<void> repeatRow(TimedRow &timed, bool keep);
  void chooseCeilings();
  Expected<void> measureEnergy(Measurement &measurement);
  KernelRow finished(const TimedRow &timed, size_t kernel) const;
  std::optional<KernelRow> tokenRow(const TimedRow &timed) const;
  void compareWithFirst(Measurement &measurement) const;
  Measurement finish();

  const CommonOptions &common;
  const RowOptions &options;
  std::vector<std::unique_ptr<OpenVariant>> variants;
  std::vector<TimedRow> rows;
  Ceilings ceilings;
  int repetitions = 0;
};

} // namespace

/// A GPU's runs are short, and few of them say nothing of the slowest in a hundred.
constexpr int cpuRepetitions = 7, gpuRepetitions = 100;

/// Bytes of the weights that a program reads; the package may hold others for other targets.
static double packedBytes(const Plan &plan, const PlanProgram &program) {
  std::set<size_t> read;
  for (auto &[entry, steps] : program.entries)
    for (const PlanStep &step : steps)
      for (const PlanLaunch &launch : step.body)
        for (const PlanArg &arg : launch.args)
          if (arg.kind == PlanArg::Kind::Weight)
            read.insert(arg.index);
  double bytes = 0;
  for (size_t index : read)
    bytes += double(plan.weights[index].copies()) * double(byteCount(plan.weights[index].type).value_or(0));
  return bytes;
}

OpenVariant::OpenVariant(Model opened, int threads, const CommonOptions &common, Ceilings &allCeilings)
    : model(std::move(opened)),
      work(model.plan(), program(), std::set<std::string>(common.variants.begin(), common.variants.end())),
      ceilings(allCeilings, facts, onGpu()) {
  const Plan &plan = model.plan();
  facts = {common.model,          model.deviceName(),          model.target(), plan.storage, program().compute,
           onGpu() ? 0 : threads, packedBytes(plan, program())};
}

/// Of the same names and sizes.
static bool sameParams(const Plan &one, const Plan &other) {
  return std::equal(one.params.begin(), one.params.end(), other.params.begin(), other.params.end(),
                    [](const PlanParam &a, const PlanParam &b) { return a.name == b.name && a.shape == b.shape; });
}

//===-- Before the clock ----------------------------------------------------------------------------------------------------===//

Expected<void> Bench::openVariants() {
  std::vector<std::string> packages = {common.model};
  packages.insert(packages.end(), options.pipelines.begin(), options.pipelines.end());
  for (const std::string &package : packages)
    for (const std::string &isa : options.isas)
      for (int threads : options.threads)
        if (Expected<void> opened = openVariant(package, isa, threads); !opened)
          return opened;
  return {};
}

Expected<void> Bench::openVariant(const std::string &package, const std::string &isa, int threads) {
  CommonOptions own = common;
  own.model = package;
  own.isa = isa;
  own.threads = threads;
  Expected<Model> model = openModel(own);
  if (!model)
    return model.error();
  variants.push_back(std::make_unique<OpenVariant>(std::move(*model), threads ? threads : availableCores(), own, ceilings));
  const Plan &first = variants.front()->model.plan(), &plan = variants.back()->model.plan();
  if (!sameParams(first, plan))
    return Error{
        fmt::format("{}: is another model than {}; packages that are compared have the same parameters", package, common.model)};
  return checkKernelNames(variants.back()->program());
}

/// A part of a name that no kernel has would leave the tables empty.
Expected<void> Bench::checkKernelNames(const PlanProgram &program) const {
  std::vector<std::string> names;
  for (const PlanKernel &kernel : program.kernels)
    names.push_back(kernel.name);
  for (const std::string &part : options.kernelNames)
    if (std::none_of(names.begin(), names.end(), [&](auto &name) { return name.find(part) != std::string::npos; }))
      return Error{fmt::format("{}: no kernel has '{}' in its name; there are {}", common.model, part, fmt::join(names, ", "))};
  return {};
}

/// Contexts are read once, in order of their length, each going on from the one before.
Expected<void> Bench::addRows(size_t variant) {
  Model &model = variants[variant]->model;
  ContextReader reader(model);
  for (const RunShape &shape : options.shapes) {
    TimedRow timed;
    timed.row.shape = shape;
    timed.row.variant = variant;
    if (shape.context > 0)
      if (Expected<void> read = reader.readTo(shape.context); !read)
        return read.error().in(common.model);
    timed.row.residentBytes = shape.context > 0 ? residentBytes() : 0;
    timed.runner = std::make_unique<Runner>(model, shape, &reader.sequence());
    const WorkCounter &work = variants[variant]->work;
    if (shape.prompt() > 0)
      timed.row.work.add(work.ofRun("prefill", shape.batch, shape.prompt(), model.rowsPerPass()));
    timed.row.work.add(work.ofPass("step", shape.batch, shape.batch, shape.batch), double(shape.decoded()));
    timed.row.launchesPerToken = launchesPerToken(model, shape, timed.row.work);
    if (options.kernels)
      timed.kernels = std::make_unique<KernelTimer>(model, work, options.kernelNames);
    std::optional<Peak> peak = peakOf(variants[variant]->facts.target, variants[variant]->facts.compute);
    if (timed.kernels && options.slices && peak && peakAvailable(*peak))
      timed.kernels->setPeak(
          [peak = *peak, threads = variants[variant]->facts.threads] { return measurePeakSlice(peak, threads); });
    if (variants[variant]->onGpu())
      timed.cacheRuns = std::make_unique<CacheRuns>(model, shape, &reader.sequence());
    rows.push_back(std::move(timed));
  }
  return {};
}

/// Those of every machine that a variant runs on.
Expected<void> Bench::openCeilings() {
  double weightBytes = 0;
  int threads = 0;
  for (const auto &variant : variants) {
    if (variant->onGpu() && !ceilings.gpu()) {
      auto machine = GpuMachine::open(ordinalOf(variant->model), options.toyCeilings);
      if (!machine)
        return machine.error();
      ceilings.openGpu(std::move(*machine));
    }
    if (variant->onGpu())
      continue;
    weightBytes = std::max(weightBytes, variant->facts.packedWeightBytes);
    threads = std::max(threads, variant->facts.threads);
  }
  if (threads == 0)
    return {};
  if (!cpuFeatures().v3)
    return Error{cpuName() + ": has no AVX2, the ceilings cannot be measured"};
  return ceilings.openCpu(weightBytes, threads);
}

//===-- Turns ---------------------------------------------------------------------------------------------------------------===//

/// Asks for each ceiling that a row needs; what kernels there are is known after their first run.
void Bench::chooseCeilings() {
  for (TimedRow &timed : rows) {
    VariantCeilings &own = variants[timed.row.variant]->ceilings;
    timed.row.ceilings = own.ofRun(timed.row.work);
    if (!timed.kernels)
      continue;
    own.askForRates();
    timed.row.kernels = timed.kernels->rows();
    for (KernelRow &kernel : timed.row.kernels)
      kernel.ceilings = own.ofKernel(kernel.work);
  }
}

Expected<void> Bench::repeatRow(TimedRow &timed, bool keep) {
  Expected<double> seconds = timed.runner->run();
  if (!seconds)
    return seconds.error();
  if (keep)
    timed.row.seconds.values.push_back(*seconds);
  if (timed.cacheRuns)
    if (Expected<void> done = timed.cacheRuns->run(*ceilings.gpu(), keep); !done)
      return done;
  if (!timed.kernels)
    return {};
  auto again = [&]() -> Expected<void> {
    Expected<double> run = timed.runner->run();
    return run ? Expected<void>() : run.error();
  };
  return timed.kernels->timeRun(again, keep);
}

/// One turn of everything; its figures are kept only when `keep`.
/// The first repetition does not count. Rows begin with another one each time: whoever follows the ceilings finds their data in the
/// caches and the clock where they left it, and was up to a third slower for it.
Expected<void> Bench::repeat(int repetition) {
  bool keep = repetition > 0;
  for (size_t index = 0; index < rows.size(); ++index)
    if (Expected<void> done = repeatRow(rows[(index + size_t(repetition)) % rows.size()], keep); !done)
      return done;
  if (!keep)
    chooseCeilings();
  return ceilings.measure(keep);
}

//===-- After the clock -----------------------------------------------------------------------------------------------------===//

KernelRow Bench::finished(const TimedRow &timed, size_t kernel) const {
  KernelRow row = timed.kernels->rows()[kernel];
  row.ceilings = timed.row.kernels[kernel].ceilings;
  row.predictedSeconds = timed.kernels->predict(kernel, variants[timed.row.variant]->ceilings.rates());
  return row;
}

/// The kernel for whole tokens is not timed by itself: it is the run.
std::optional<KernelRow> Bench::tokenRow(const TimedRow &timed) const {
  const OpenVariant &variant = *variants[timed.row.variant];
  const RunShape &shape = timed.row.shape;
  bool whole = shape.kind == RunKind::Decode && !shape.oneByOne && shape.batch <= variant.model.tokenSequences();
  if (!whole || !timed.kernels)
    return std::nullopt;
  KernelRow row;
  row.entry = tokenEntry;
  row.name = "sm1_token";
  row.launches = shape.decoded();
  row.work = timed.row.work;
  row.seconds = timed.row.seconds;
  row.ceilings = timed.row.ceilings;
  row.predictedSeconds = double(row.launches) * predictedTokenSeconds(variant.model.plan(), *variant.program().token,
                                                                      double(shape.batch), gpuRatesOf(variant.ceilings.rates()));
  return row;
}

/// Runs again, one after the other, for as long as the counter needs.
Expected<void> Bench::measureEnergy(Measurement &measurement) {
  if (!ceilings.gpu() || options.skipEnergy)
    return {};
  Expected<EnergyCounter> counter = EnergyCounter::open(ceilings.gpu()->busId());
  if (!counter)
    measurement.noEnergy = counter.error().message;
  for (size_t index = 0; counter && index < rows.size(); ++index)
    if (rows[index].cacheRuns) {
      Expected<Energy> energy = energyOf(*rows[index].runner, rows[index].row.shape, *counter);
      if (!energy)
        return energy.error();
      measurement.rows[index].energy = *energy;
    }
  return {};
}

/// Variants come package by package, each with the same rows.
void Bench::compareWithFirst(Measurement &measurement) const {
  size_t ofPackage = rows.size() / (options.pipelines.size() + 1);
  for (size_t row = ofPackage; row < rows.size(); ++row) {
    PipelineRatio ratio{row, row % ofPackage, {}};
    const std::vector<double> &own = measurement.rows[row].seconds.values, &first = measurement.rows[ratio.first].seconds.values;
    for (size_t repetition = 0; repetition < own.size(); ++repetition)
      ratio.speedup.values.push_back(first[repetition] / own[repetition]);
    measurement.ratios.push_back(std::move(ratio));
  }
}

Measurement Bench::finish() {
  Measurement measurement;
  measurement.model = common.model;
  measurement.repetitions = repetitions;
  for (const auto &variant : variants)
    measurement.variants.push_back(variant->facts);
  for (TimedRow &timed : rows) {
    Row row = timed.row;
    if (timed.cacheRuns)
      row.cache = timed.cacheRuns->samples();
    for (size_t kernel = 0; kernel < row.kernels.size(); ++kernel)
      row.kernels[kernel] = finished(timed, kernel);
    if (std::optional<KernelRow> token = tokenRow(timed))
      row.kernels.push_back(std::move(*token));
    measurement.rows.push_back(std::move(row));
  }
  compareWithFirst(measurement);
  measurement.ceilings = ceilings.all();
  measurement.ceilingBytes = ceilings.memoryBytes();
  measurement.hugePages = ceilings.hugePages();
  measurement.cacheBytes = ceilings.hasCpu() ? lastLevelCacheBytes() : ceilings.gpu()->l2Bytes();
  return measurement;
}

Expected<Measurement> Bench::run() {
  if (Expected<void> opened = openVariants(); !opened)
    return opened.error();
  for (size_t variant = 0; variant < variants.size(); ++variant)
    if (Expected<void> added = addRows(variant); !added)
      return added.error();
  if (Expected<void> opened = openCeilings(); !opened)
    return opened.error();
  repetitions = options.repetitions ? options.repetitions : ceilings.gpu() ? gpuRepetitions : cpuRepetitions;
  Progress progress("measuring", repetitions + 1, "repetitions");
  for (int repetition = 0; repetition <= repetitions; ++repetition) {
    // The first turn warms caches, pages and clocks.
    if (Expected<void> done = repeat(repetition); !done)
      return done.error().in(common.model);
    progress.update(repetition + 1);
  }
  Measurement measurement = finish();
  if (Expected<void> done = measureEnergy(measurement); !done)
    return done.error();
  return measurement;
}

Expected<Measurement> measure(const CommonOptions &common, const RowOptions &options) { return Bench(common, options).run(); }
