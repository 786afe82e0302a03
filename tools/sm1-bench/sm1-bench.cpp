// sm1-bench: how fast a model runs here, as a fraction of what this machine can do at best.
#include "Curves.h"
#include "Projection.h"
#include "Report.h"
#include "Rows.h"
#include "Tune.h"

#include "Platform.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <string_view>

using namespace sm1rt;

namespace {
struct BenchOptions {
  CommonOptions common;
  RowOptions rows;
  std::vector<int64_t> batches, times; ///< empty: the command's own
  int64_t steps = 0;                   ///< 0: the command's own
  bool json = false, oneByOne = false;
  std::string svg; ///< of curves; empty: none
};

/// A word of the command line, and what it measures.
struct Subject {
  const char *name, *text;
  std::vector<RunKind> kinds;
  std::vector<std::string> kernels; ///< with rows of these kernels; "": of all
  Plot (*plot)(const Measurement &);
};
} // namespace

constexpr int64_t decodeSteps = 32, promptTime = 512;

static const std::vector<Subject> &subjects() {
  using Kind = RunKind;
  static const std::vector<Subject> all = {
      {"decode", "One token at a time", {Kind::Decode}, {}, nullptr},
      {"prefill", "Many tokens at once", {Kind::Prefill}, {}, nullptr},
      {"end-to-end", "A prompt at once, then one token at a time", {Kind::EndToEnd}, {}, nullptr},
      {"all", "These three; what runs when no row is named", {Kind::Decode, Kind::Prefill, Kind::EndToEnd}, {}, nullptr},
      {"kernels", "Each launch of decode and prefill", {Kind::Decode, Kind::Prefill}, {""}, nullptr},
      {"scan", "Kernels with 'scan' in their name", {Kind::Decode, Kind::Prefill}, {"scan"}, nullptr},
      {"conv", "Kernels with 'conv' in their name", {Kind::Decode, Kind::Prefill}, {"conv"}, nullptr},
      {"context", "Latency of a step after 1K to 256K tokens, each of them read", {Kind::Decode}, {}, contextPlot},
      {"batch", "Throughput of decode with 1 to 64 sequences", {Kind::Decode}, {}, batchPlot}};
  return all;
}

//===-- From options to rows ------------------------------------------------------------------------------------------------===//

static std::vector<int64_t> orElse(const std::vector<int64_t> &given, std::vector<int64_t> own) {
  return given.empty() ? own : given;
}

/// Steps after contexts, the shortest first, as each goes on from the one before.
static std::vector<RunShape> contextShapes(const BenchOptions &options) {
  std::vector<int64_t> contexts = orElse(options.times, {1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18});
  std::sort(contexts.begin(), contexts.end());
  std::vector<RunShape> shapes;
  for (int64_t context : contexts)
    for (int64_t batch : orElse(options.batches, {1}))
      shapes.push_back({RunKind::Decode, batch, options.steps ? options.steps : decodeSteps, 0, context});
  return shapes;
}

static std::vector<RunShape> shapesOf(const Subject &subject, const BenchOptions &options) {
  if (subject.plot == contextPlot)
    return contextShapes(options);
  std::vector<int64_t> batches = orElse(options.batches, {1});
  if (subject.plot == batchPlot)
    batches = orElse(options.batches, {1, 2, 4, 8, 16, 32, 64});
  std::vector<RunShape> shapes;
  for (RunKind kind : subject.kinds)
    for (int64_t batch : batches)
      for (int64_t time : orElse(options.times, {kind == RunKind::Decode ? decodeSteps : promptTime}))
        shapes.push_back({kind, batch, time, kind == RunKind::EndToEnd ? (options.steps ? options.steps : decodeSteps) : 0, 0});
  return shapes;
}

static Expected<void> bench(const Subject &subject, BenchOptions options) {
  if (!options.svg.empty())
    if (Expected<void> writable = checkWritable(options.svg); !writable)
      return writable;
  options.rows.shapes = shapesOf(subject, options);
  for (RunShape &shape : options.rows.shapes)
    shape.oneByOne = options.oneByOne;
  options.rows.kernels |= !subject.kernels.empty();
  if (!subject.kernels.empty() && !subject.kernels.front().empty())
    options.rows.kernelNames = subject.kernels;
  Expected<Measurement> measurement = measure(options.common, options.rows);
  if (!measurement)
    return measurement.error();
  options.json ? printJson(*measurement) : printText(*measurement);
  return options.svg.empty() ? Expected<void>() : writeFile(options.svg, drawPlot(subject.plot(*measurement)));
}

//===-- Command line --------------------------------------------------------------------------------------------------------===//

/// Whole numbers from 1 to `most`.
static CLI::Option *addListOption(CLI::App &app, const char *name, std::vector<int64_t> &values, const char *text, int64_t most) {
  return app.add_option(name, values, text)
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(int64_t(1), most))
      ->type_name("N,...");
}

/// Lists, in the place of the single values that other programs take.
static void addListOptions(CLI::App &app, BenchOptions &options) {
  std::string group = app.get_option("--isa")->get_group();
  app.remove_option(app.get_option("--isa"));
  app.remove_option(app.get_option("--threads"));
  app.add_option("--isa", options.rows.isas, "targets to take from the package, e.g. x86-64-v3,x86-64-v4; default: the best")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("TARGET,...")
      ->group(group);
  app.add_option("--threads", options.rows.threads, "worker threads; default: one per core")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(1, 1024))
      ->type_name("N,...")
      ->group(group);
  addListOption(app, "--batch", options.batches, "sequences side by side", 65536);
}

static void addPipelineOption(CLI::App &app, BenchOptions &options) {
  app.add_option("--pipelines", options.rows.pipelines,
                 "other packages of the same model, in turns with MODEL: how many times as fast (tools/bench-pipelines makes them)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("PACKAGE,...");
}

static void addRowOptions(CLI::App &app, const Subject &subject, BenchOptions &options) {
  bool context = subject.plot == contextPlot;
  const char *timeText = context ? "tokens that a sequence has read before"
                                 : "tokens of each sequence in one repetition; default: decode 32, prompts 512";
  addListOption(app, "--time", options.times, timeText, int64_t(1) << 24);
  bool steps = context || std::count(subject.kinds.begin(), subject.kinds.end(), RunKind::EndToEnd) != 0;
  if (steps)
    app.add_option("--steps", options.steps, "tokens one at a time after that; default: 32")
        ->check(CLI::Range(int64_t(1), int64_t(1) << 24))
        ->type_name("N");
  app.add_option("--repeat", options.rows.repetitions, "repetitions, after one that does not count; default: 7, on a GPU 100")
      ->check(CLI::Range(1, 10000))
      ->type_name("N");
  app.add_flag("--one-by-one", options.oneByOne,
               "steps from token to logits, each by itself; else as in generating, where a GPU may go on token after token");
  app.add_flag("--no-energy", options.rows.skipEnergy, "leaves out the second that a GPU's energy takes for each row");
  app.add_flag("--toy-ceilings", options.rows.toyCeilings,
               "ceilings of a GPU over next to nothing, for emulators; they mean nothing");
  app.add_option("--rows-per-pass", options.common.rowsPerPass,
                 "rows that go over the layers at once; default: what suits the device")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 24))
      ->type_name("N");
  if (subject.kernels.empty() && !subject.plot)
    app.add_flag("--kernels", options.rows.kernels, "a row for each kernel, too, timed inside runs of their own");
  if (!subject.plot)
    app.add_flag("--slices", options.rows.slices,
                 "with kernels, on a CPU: sets each launch against the peak of its cores right before and after it");
  if (subject.plot)
    app.add_option("--svg", options.svg, "draws the curve to a file")->type_name("FILE");
  app.add_flag("--json", options.json, "a JSON object instead of tables");
}

static Command addSubject(CLI::App &tool, const Subject &subject) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App *app = tool.add_subcommand(subject.name, subject.text);
  addCommonOptions(*app, options->common);
  addListOptions(*app, *options);
  addRowOptions(*app, subject, *options);
  if (!subject.plot)
    addPipelineOption(*app, *options);
  return {app, [options, &subject] { return bench(subject, *options); }};
}

/// A subcommand of its own: it opens no device.
static Command addPredict(CLI::App &tool) {
  struct PredictOptions : ProjectionOptions {
    std::vector<int64_t> batches, times;
  };
  auto options = std::make_shared<PredictOptions>();
  CLI::App *app = tool.add_subcommand("predict", "What the cost model expects of a GPU that need not be here: a projection");
  app->add_option("PACKAGE", options->package, "a package with code for the cards' architecture")->required();
  app->add_option("--card", options->cards, "h200, rtx-5060-ti, rtx-5080, rtx-5090; default: all")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("CARD,...");
  addListOption(*app, "--batch", options->batches, "sequences of a step; default: 1", 65536);
  addListOption(*app, "--time", options->times, "tokens of a prefill of one sequence; default: 512", int64_t(1) << 24);
  app->add_flag("--json", options->json, "a JSON object instead of tables");
  return {app, [options] {
            for (int64_t batch : orElse(options->batches, {1}))
              options->shapes.push_back({RunKind::Decode, batch, 1});
            for (int64_t time : orElse(options->times, {promptTime}))
              options->shapes.push_back({RunKind::Prefill, 1, time});
            return printProjection(*options);
          }};
}

static Command addTune(CLI::App &tool) {
  auto options = std::make_shared<TuneOptions>();
  CLI::App *app = tool.add_subcommand("tune", "Packages of sm1c --tune, kernel by kernel beside each other, to FOLDER/times.json");
  addCommonOptions(*app, options->common);
  app->add_option("--loads", options->loads, "runs in which kernels are timed, prefill:1x512 or step:8x1; default: what sm1c chose")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("RUN,...");
  app->add_option("--repeat", options->repetitions, "repetitions, after one that does not count; default: 9, on a GPU 30")
      ->check(CLI::Range(1, 10000))
      ->type_name("N");
  app->add_option("--check-rows", options->checkRows, "rows of the largest comparison with the present kernels; default: 1100")
      ->check(CLI::Range(int64_t(0), int64_t(1) << 16))
      ->type_name("N");
  return {app, [options] { return tune(*options); }};
}

static bool namesSubject(std::string_view word) {
  return word == "-h" || word == "--help" || word == "--version" || word == "predict" || word == "tune" ||
         std::any_of(subjects().begin(), subjects().end(), [&](const Subject &subject) { return word == subject.name; });
}

int main(int argc, char **argv) {
  CLI::App tool("Times a model, and in the same run what the machine can read, write and multiply at best.", "sm1-bench");
  tool.require_subcommand(1);
  tool.footer("Examples:\n"
              "  sm1-bench model.sm1pkg                                          decode, prefill, both\n"
              "  sm1-bench decode model.sm1pkg --threads=1,2 --batch=1,8         one token at a time\n"
              "  sm1-bench prefill model.sm1pkg --time=2048 --kernels --json     a long prompt, and each kernel in it\n"
              "  sm1-bench scan scan.sm1pkg --time=4096 --rows-per-pass=4096     one kernel, its arrays beyond the caches\n"
              "  sm1-bench context model.sm1pkg --svg=context.svg                is a step as fast after 256K tokens?");
  std::vector<Command> commands;
  for (const Subject &subject : subjects())
    commands.push_back(addSubject(tool, subject));
  commands.push_back(addPredict(tool));
  commands.push_back(addTune(tool));
  // The row may be left out: sm1-bench MODEL.
  std::vector<char *> arguments(argv, argv + argc);
  char all[] = "all";
  if (argc > 1 && std::none_of(arguments.begin() + 1, arguments.end(), namesSubject))
    arguments.insert(arguments.begin() + 1, all);
  return runTool(tool, commands, int(arguments.size()), arguments.data());
}
