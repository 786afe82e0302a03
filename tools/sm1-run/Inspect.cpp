// sm1-run inspect: what a package or checkpoint holds. Reads only: nothing is compiled, mapped executable or run.
#include "Commands.h"

#include "Platform.h"
#include "sm1rt/Package.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <set>

using namespace sm1rt;

namespace {
struct InspectOptions {
  std::string model;
  bool source = false;
};
} // namespace

/// "1.4 MB"; bytes below a kilobyte are spelled out.
static std::string size(uint64_t bytes) {
  if (bytes < 1000)
    return fmt::format("{} B", bytes);
  const char *units[] = {"kB", "MB", "GB", "TB"};
  double value = double(bytes) / 1000;
  size_t unit = 0;
  for (; value >= 1000 && unit < 3; ++unit)
    value /= 1000;
  return fmt::format("{:.1f} {}", value, units[unit]);
}

static std::string describePort(const Plan &plan, const PlanPort &port) {
  switch (port.kind) {
  case PlanPort::Kind::Tokens:
    return fmt::format("I32 [batch, time], 0 to {}", port.limit - 1);
  case PlanPort::Kind::Rows:
    return fmt::format("F32 [batch, time, {}]{}", port.width,
                       port.rows == RowSpace::Selected ? ", for the positions asked for" : "");
  case PlanPort::Kind::State:
    break;
  }
  std::string shape;
  for (int64_t dimension : plan.states[port.state].denseShape())
    shape += fmt::format(", {}", dimension);
  return fmt::format("F32 [batch{}], state '{}'", shape, plan.states[port.state].name);
}

static uint64_t parameterCount(const Plan &plan) {
  uint64_t count = 0;
  for (const PlanParam &param : plan.params)
    if (param.equals < 0)
      count += uint64_t(param.copies()) * elementCount(param.shape).value_or(0);
  return count;
}

static uint64_t stateBytes(const Plan &plan) {
  uint64_t bytes = 0;
  for (const PlanState &state : plan.states)
    bytes += 4 * elementCount(state.denseShape()).value_or(0);
  return bytes;
}

static void printModel(const Package &package) {
  const Plan &plan = package.plan;
  fmt::print("{}\n", package.file.path());
  fmt::print("  model        {}, {} parameters, state {} a sequence\n", plan.model, parameterCount(plan), size(stateBytes(plan)));
  fmt::print("  compiled by  {}\n", plan.compiler);
  fmt::print("  arithmetic   form {}, weights {}, compute {}{}\n", plan.form, plan.storage, plan.compute,
             plan.wholeSequence ? ", whole sequences only" : "");
  for (const PlanPort &port : plan.inputs)
    fmt::print("  input        {}: {}\n", port.name, describePort(plan, port));
  for (const PlanPort &port : plan.outputs)
    fmt::print("  output       {}: {}\n", port.name, describePort(plan, port));
}

/// Launches of one run: a loop's body counts once for each layer.
static int64_t launchCount(const std::vector<PlanStep> &steps) {
  int64_t count = 0;
  for (const PlanStep &step : steps)
    count += int64_t(step.body.size()) * std::max<int64_t>(step.layers, 1);
  return count;
}

/// A kernel ends where the next one begins; they may be listed in any order.
static void printKernels(const PlanProgram &program, uint64_t codeBytes) {
  std::set<uint64_t> offsets;
  for (const PlanKernel &kernel : program.kernels)
    offsets.insert(kernel.offset);
  for (const PlanKernel &kernel : program.kernels) {
    auto next = offsets.upper_bound(kernel.offset);
    uint64_t end = next == offsets.end() ? codeBytes : *next;
    fmt::print("    kernel     {:<40} {:>10}\n", kernel.name, size(end - kernel.offset));
  }
}

/// A range of a kernel's launches: "256", "128 to 256".
static std::string range(int64_t least, int64_t most) {
  return least == most ? std::to_string(most) : fmt::format("{} to {}", least, most);
}

/// What a block of each kernel takes, over all its launches.
static void printGpuKernels(const PlanProgram &program) {
  for (size_t index = 0; index < program.kernels.size(); ++index) {
    int64_t launches = 0;
    std::set<int64_t> threads, shared;
    for (const auto &[entry, steps] : program.entries)
      for (const PlanStep &step : steps)
        for (const PlanLaunch &launch : step.body)
          if (launch.kernel == index) {
            ++launches;
            threads.insert(launch.threads);
            shared.insert(launch.shared);
          }
    if (launches == 0)
      fmt::print("    kernel     {:<40} never launched\n", program.kernels[index].name);
    else
      fmt::print("    kernel     {:<40} {} threads, {} B of dynamic shared memory\n", program.kernels[index].name,
                 range(*threads.begin(), *threads.rbegin()), range(*shared.begin(), *shared.rbegin()));
  }
}

static std::string describeCode(const Package &package, const std::string &target) {
  const PlanProgram &program = package.plan.programs.find(target)->second;
  uint64_t bytes = package.code(target).bytes;
  if (program.capability == 0)
    return size(bytes) + " of code";
  const FileTensor *cubin = package.cubin(target);
  return fmt::format("PTX {}, {}, compute {}", size(bytes), cubin ? "cubin " + size(cubin->bytes) : "no cubin", program.compute);
}

/// Which runs take the entry, where it stands in for another.
static std::string describeRange(const PlanProgram &program, const std::string &entry) {
  for (const PlanRange &range : program.ranges)
    if (range.variant == entry) {
      int64_t chunkRows = chunkRowsOf(program.entries.find(entry)->second);
      return (range.mostRows < INT32_MAX
                  ? fmt::format(", in place of {} for {} to {} rows", range.entry, range.leastRows, range.mostRows)
                  : fmt::format(", in place of {} from {} rows on", range.entry, range.leastRows)) +
             (chunkRows ? fmt::format(", in sequences that fill chunks of {}", chunkRows) : "");
    }
  return "";
}

static void printTargets(const Package &package) {
  for (const auto &[target, program] : package.plan.programs) {
    fmt::print("  target       {}: {}, {} kernels\n", target, describeCode(package, target), program.kernels.size());
    for (const auto &[entry, steps] : program.entries)
      fmt::print("    entry      {}: {} launches{}\n", entry, launchCount(steps), describeRange(program, entry));
    if (program.capability)
      printGpuKernels(program);
    else
      printKernels(program, package.code(target).bytes);
  }
}

static uint64_t packedBytes(const Plan &plan) {
  uint64_t bytes = 0;
  for (const PlanWeight &weight : plan.weights)
    bytes += uint64_t(weight.copies()) * byteCount(weight.type).value_or(0);
  return bytes;
}

static void printSizes(const Package &package) {
  uint64_t code = 0;
  for (const auto &program : package.plan.programs)
    code += package.code(program.first).bytes;
  bool external = package.plan.weightsExternal;
  fmt::print("  sizes        file {}, header and plan {}, code {}, weights {} {}\n", size(package.file.fileBytes()),
             size(package.file.dataOffset()), size(code), size(packedBytes(package.plan)),
             external ? "in memory, from a checkpoint (--params)" : "in the file");
  for (const auto &[part, hash] : package.plan.hashes)
    fmt::print("  hash         {} {}\n", part, hash);
}

static Expected<void> inspectPackage(const InspectOptions &options) {
  Expected<Package> package = Package::open(options.model);
  if (!package)
    return package.error();
  if (options.source) {
    fmt::print("{}", package->source);
    return {};
  }
  printModel(*package);
  printTargets(*package);
  printSizes(*package);
  return {};
}

static Expected<void> inspectCheckpoint(const InspectOptions &options) {
  if (options.source)
    return Error{fmt::format("{}: a checkpoint has no source; sm1c {} --emit=spec prints the description it stands for",
                             options.model, options.model)};
  std::filesystem::path folder(options.model);
  Expected<std::string> config = readTextFile((folder / "config.json").string(), 1 << 20);
  if (!config)
    return config.error();
  fmt::print("{}\n  config.json\n{}\n", options.model, *config);
  std::string weights = (folder / "model.safetensors").string();
  if (!fileExists(weights)) {
    fmt::print("  no model.safetensors: it compiles, but cannot run\n");
    return {};
  }
  Expected<SafetensorsFile> file = SafetensorsFile::open(weights);
  if (!file)
    return file.error();
  uint64_t elements = 0;
  for (const FileTensor &tensor : file->tensors()) {
    elements += elementCount(tensor.type.shape).value_or(0);
    fmt::print("  tensor       {:<40} {}\n", tensor.name, toString(tensor.type));
  }
  fmt::print("  sizes        file {}, {} tensors, {} elements\n", size(file->fileBytes()), file->tensors().size(), elements);
  return {};
}

static Expected<void> inspect(const InspectOptions &options) {
  return isDirectory(options.model) ? inspectCheckpoint(options) : inspectPackage(options);
}

Command addInspect(CLI::App &tool) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App *app = tool.add_subcommand("inspect", "What a package or checkpoint holds; reads only");
  app->add_option("MODEL", options->model, "a package (.sm1pkg) or a checkpoint directory")->required();
  app->add_flag("--source", options->source, "print the description that was compiled, MLIR text, and nothing else");
  app->footer("Examples:\n"
              "  sm1-run inspect model.sm1pkg\n"
              "  sm1-run inspect model.sm1pkg --source > spec.mlir");
  return {app, [options] { return inspect(*options); }};
}
