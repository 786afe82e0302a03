// Opens the model in every way that was asked for and takes the rows and the ceilings in turns.
#include "Rows.h"

#include "Context.h"
#include "Kernels.h"
#include "Progress.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <set>

using namespace sm1rt;

namespace {

/// The model as one target with one number of threads.
struct OpenVariant {
  OpenVariant(Model opened, int threads);

  const PlanProgram &program() const { return model.plan().programs.find(model.target())->second; }
  bool onCpu() const { return program().capability == 0; }

  Model model;
  WorkCounter work;
  Variant facts;
  /// Ceilings that predictions are made from: reading, and multiplying in each arithmetic.
  struct {
    std::optional<size_t> read, f32, bf16, int8;
  } machine;
};

/// A row with the runs that fill it.
struct TimedRow {
  Row row;
  std::unique_ptr<Runner> runner;
  std::unique_ptr<KernelTimer> kernels; ///< null: only the row
};

/// All of a benchmark while it runs.
class Bench {
public:
  Bench(const CommonOptions &common, const RowOptions &options) : common(common), options(options) {}

  Expected<Measurement> run();

private:
  Expected<void> openVariants();
  Expected<void> checkKernelNames(const PlanProgram &program) const;
  Expected<void> addRows(size_t variant);
  Expected<void> makeCeilings();
  Expected<void> repeat(bool keep);
  std::optional<size_t> memoryCeiling(size_t variant, double readBytes, double writtenBytes);
  std::optional<size_t> arithmeticCeiling(size_t variant, std::string_view compute);
  std::optional<size_t> workCeiling(size_t variant, double flops);
  void chooseCeilings();
  void chooseMachineCeilings(size_t variant);
  MachineRates machineRates(const OpenVariant &variant) const;
  KernelRow finished(const TimedRow &timed, size_t kernel) const;
  Measurement finish();

  const CommonOptions &common;
  const RowOptions &options;
  std::vector<std::unique_ptr<OpenVariant>> variants;
  std::vector<TimedRow> rows;
  std::optional<Ceilings> ceilings; // of the CPU, when it is what runs
};

} // namespace

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

OpenVariant::OpenVariant(Model opened, int threads) : model(std::move(opened)), work(model.plan(), program()) {
  const Plan &plan = model.plan();
  facts = {model.deviceName(), model.target(), plan.storage, program().compute, threads, packedBytes(plan, program())};
}

//===-- Before the clock ----------------------------------------------------------------------------------------------------===//

Expected<void> Bench::openVariants() {
  for (const std::string &isa : options.isas)
    for (int threads : options.threads) {
      CommonOptions own = common;
      own.isa = isa;
      own.threads = threads;
      Expected<Model> model = openModel(own);
      if (!model)
        return model.error();
      variants.push_back(std::make_unique<OpenVariant>(std::move(*model), threads ? threads : availableCores()));
      if (Expected<void> there = checkKernelNames(variants.back()->program()); !there)
        return there;
    }
  return {};
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
    if (options.kernels)
      timed.kernels = std::make_unique<KernelTimer>(model, work, options.kernelNames);
    rows.push_back(std::move(timed));
  }
  return {};
}

/// Ceilings are those of CPUs: of a GPU's rows there are only times.
Expected<void> Bench::makeCeilings() {
  double weightBytes = 0;
  int threads = 0;
  for (const auto &variant : variants) {
    if (!variant->onCpu())
      continue;
    weightBytes = std::max(weightBytes, variant->facts.packedWeightBytes);
    threads = std::max(threads, variant->facts.threads);
  }
  if (threads == 0)
    return {};
  if (!cpuFeatures().v3)
    return Error{cpuName() + ": has no AVX2, the ceilings cannot be measured"};
  Expected<Ceilings> made = Ceilings::create(weightBytes, threads);
  if (!made)
    return made.error();
  ceilings.emplace(std::move(*made));
  return {};
}

//===-- Turns ---------------------------------------------------------------------------------------------------------------===//

std::optional<size_t> Bench::memoryCeiling(size_t variant, double readBytes, double writtenBytes) {
  if (!ceilings || !variants[variant]->onCpu())
    return std::nullopt;
  return ceilings->memory(nearestMix(readBytes, writtenBytes), variants[variant]->facts.threads);
}

std::optional<size_t> Bench::arithmeticCeiling(size_t variant, std::string_view compute) {
  if (!ceilings || !variants[variant]->onCpu())
    return std::nullopt;
  const Variant &facts = variants[variant]->facts;
  std::optional<Peak> peak = peakOf(facts.target, compute);
  if (!peak || !peakAvailable(*peak))
    return std::nullopt;
  return ceilings->arithmetic(*peak, facts.threads);
}

/// Of what a program multiplies with; nothing for what multiplies nothing.
std::optional<size_t> Bench::workCeiling(size_t variant, double flops) {
  return flops > 0 ? arithmeticCeiling(variant, variants[variant]->facts.compute) : std::nullopt;
}

/// Multiplying in f32 also tells how fast everything elementwise can be.
void Bench::chooseMachineCeilings(size_t variant) {
  OpenVariant &open = *variants[variant];
  open.machine = {memoryCeiling(variant, 1, 0), arithmeticCeiling(variant, "f32"), std::nullopt, std::nullopt};
  if (open.facts.compute == "bf16")
    open.machine.bf16 = arithmeticCeiling(variant, "bf16");
  if (open.facts.compute == "int8")
    open.machine.int8 = arithmeticCeiling(variant, "int8");
}

/// Asks for each ceiling that a row needs; what kernels there are is known after their first run.
void Bench::chooseCeilings() {
  for (TimedRow &timed : rows) {
    size_t variant = timed.row.variant;
    const Work &work = timed.row.work;
    bool weights = work.weightBytes > 0;
    timed.row.ceilings = {memoryCeiling(variant, weights ? work.weightBytes : work.readBytes, weights ? 0 : work.writtenBytes),
                          workCeiling(variant, work.flops)};
    if (!timed.kernels)
      continue;
    chooseMachineCeilings(variant);
    timed.row.kernels = timed.kernels->rows();
    for (KernelRow &kernel : timed.row.kernels)
      kernel.ceilings = {memoryCeiling(variant, kernel.work.weightBytes + kernel.work.readBytes, kernel.work.writtenBytes),
                         workCeiling(variant, kernel.work.flops)};
  }
}

/// One turn of everything; its figures are kept only when `keep`.
Expected<void> Bench::repeat(bool keep) {
  for (TimedRow &timed : rows) {
    Expected<double> seconds = timed.runner->run();
    if (!seconds)
      return seconds.error();
    if (keep)
      timed.row.seconds.values.push_back(*seconds);
    if (!timed.kernels)
      continue;
    auto again = [&]() -> Expected<void> {
      Expected<double> run = timed.runner->run();
      return run ? Expected<void>() : run.error();
    };
    if (Expected<void> done = timed.kernels->timeRun(again, keep); !done)
      return done;
  }
  if (!keep)
    chooseCeilings();
  if (ceilings)
    ceilings->measure(keep);
  return {};
}

//===-- After the clock -----------------------------------------------------------------------------------------------------===//

MachineRates Bench::machineRates(const OpenVariant &variant) const {
  auto rate = [&](std::optional<size_t> ceiling) { return ceiling ? ceilings->all()[*ceiling].perSecond.median() : 0; };
  const auto &machine = variant.machine;
  return {variant.facts.target, variant.facts.threads, rate(machine.read),    rate(machine.f32),
          rate(machine.bf16),   rate(machine.int8),    lastLevelCacheBytes(), variant.facts.packedWeightBytes};
}

KernelRow Bench::finished(const TimedRow &timed, size_t kernel) const {
  KernelRow row = timed.kernels->rows()[kernel];
  row.ceilings = timed.row.kernels[kernel].ceilings;
  row.predictedSeconds = timed.kernels->predict(kernel, machineRates(*variants[timed.row.variant]));
  return row;
}

Measurement Bench::finish() {
  Measurement measurement;
  measurement.model = common.model;
  measurement.repetitions = options.repetitions;
  for (const auto &variant : variants)
    measurement.variants.push_back(variant->facts);
  for (TimedRow &timed : rows) {
    Row row = timed.row;
    for (size_t kernel = 0; kernel < row.kernels.size(); ++kernel)
      row.kernels[kernel] = finished(timed, kernel);
    measurement.rows.push_back(std::move(row));
  }
  if (ceilings) {
    measurement.ceilings = ceilings->all();
    measurement.ceilingBytes = double(ceilings->memoryBytes());
    measurement.hugePages = ceilings->hugePages();
  }
  return measurement;
}

Expected<Measurement> Bench::run() {
  if (Expected<void> opened = openVariants(); !opened)
    return opened.error();
  for (size_t variant = 0; variant < variants.size(); ++variant)
    if (Expected<void> added = addRows(variant); !added)
      return added.error();
  if (Expected<void> made = makeCeilings(); !made)
    return made.error();
  Progress progress("measuring", options.repetitions + 1, "repetitions");
  for (int repetition = 0; repetition <= options.repetitions; ++repetition) {
    // The first turn warms caches, pages and clocks.
    if (Expected<void> done = repeat(repetition > 0); !done)
      return done.error().in(common.model);
    progress.update(repetition + 1);
  }
  return finish();
}

Expected<Measurement> measure(const CommonOptions &common, const RowOptions &options) { return Bench(common, options).run(); }
