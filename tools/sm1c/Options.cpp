// The command line of sm1c. The only file that may throw: CLI11 reports mistakes by exceptions, which end here.
#include "Options.h"

#include <CLI/CLI.hpp>

#include <cctype>
#include <iostream>

static constexpr char examples[] = R"(Examples:
  sm1c checkpoints/chorales -o chorales.sm1pkg
      a checkpoint directory (config.json, model.safetensors) becomes a package with its weights
  sm1c layer.mlir --params=layer.safetensors -o layer.sm1pkg
      the same for a description of your own
  sm1c checkpoints/chorales --emit=spec -o chorales.mlir
      the description that config.json stands for, ready to be edited and compiled
  sm1c layer.mlir -o layer.sm1pkg --weights-in=external
      kernels and plan only; weights are named when it runs: sm1-run ... --params=layer.safetensors
  sm1c checkpoints/chorales -o chorales.sm1pkg --weights=int8 --compute=int8
      a quarter of the bytes of f32, multiplied as bytes; for CPUs
  sm1c layer.mlir --emit=fused --remarks
      which operations became one kernel, and why others did not
  sm1c layer.mlir --emit=asm --target=x86-64-v3
      the machine code of one target
  sm1c layer.mlir -o layer.sm1pkg --dump-stages=stages
      every stage from description to machine code, as numbered files
  sm1c layer.mlir --report=layer.html --compare="--no-fuse=all"
      one page: the layer's graph, every kernel's stages, code, resources and predicted times, beside those without fusion
  sm1c layer.mlir --diff-stage=fused --compare="--no-fuse=sm1-fuse-scan-readout"
      what one pass does to the IR of a stage
  sm1c layer.mlir -o layer.sm1pkg --load-pass-plugin=./mine.so --pipeline=fused=default,my-pass --schedule=tiles.txt
      passes and schedules of your own
  sm1c checkpoints/chorales --target=x86-64-v4 --tune=candidates --tune-device=cpu --tune-into=tuned.txt
      schedules measured here; sm1c checkpoints/chorales --tuned=tuned.txt -o chorales.sm1pkg has them)";

static std::string joined(const std::vector<std::string> &words) {
  std::string text;
  for (const std::string &word : words)
    text += (text.empty() ? "" : ", ") + word;
  return text;
}

/// Options that say what to compile for what; --compare may have them, too.
static void addCompileOptions(CLI::App &app, sm1::CompileRequest &request) {
  app.add_option("--target", request.targets,
                 "targets in the package: native (every level of this machine's architecture that makes a difference) or some of " +
                     joined(sm1::targetNames()))
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--params", request.params, "checkpoint directory or .safetensors file (default: MODEL, if it is a directory)");
  app.add_option("--weights", request.weights,
                 "storage of matrices: f32, bf16, f16, int8 (a scale for each row), int4 (a scale for 32 columns) (default: as in "
                 "the checkpoint)");
  app.add_option("--compute", request.compute,
                 "what projections multiply: f32; bf16, where matrices are stored so; fp8, the same, in prompts e4m3 (from sm_89); "
                 "int8, where they are int8 or int4 (default: f32 on CPUs; on GPUs bf16 where matrices are stored so)");
  app.add_option("--weights-in", request.weightsIn,
                 "package, or external: bound when it runs (default: package, if there is a checkpoint)");
  app.add_option("--form", request.form, "arithmetic of scans: exact (default), closed_form (diagnosis of old checkpoints)");
  app.add_option("--no-fuse", request.disabledPasses,
                 "fusion passes to leave out; other speed and, but for norm-halves, the same bits: all, " +
                     joined(sm1::fusionPassNames()))
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option(
         "--variants", request.variants,
         "for GPUs: entries for so many rows that the package has beside prefill and step, such as step_some (default: all that a "
         "target has); none: it takes less time to compile, and batches longer")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--load-pass-plugin", request.plugins, "a library with passes of your own, see compiler/docs/Plugins.md")
      ->allow_extra_args(false);
  app.add_option(
         "--pipeline", request.pipelines,
         "STAGE=PASSES: passes on the way to precise, fused, scheduled or target; the word default stands for the stage's own")
      ->allow_extra_args(false);
  app.add_option("--schedule", request.schedule,
                 "a file of tiles, splits, threads, fusion kernel by kernel, see compiler/docs/Schedules.md");
  app.add_option("--tuned", request.tuned,
                 "a file of measured schedules, see compiler/docs/Tuning.md; none: not even those that sm1c comes with");
}

static void addOptions(CLI::App &app, ParsedOptions &parsed, std::string &stopAfter, std::string &compare) {
  sm1::CompileRequest &request = parsed.request;
  app.add_option("MODEL", request.model, "a description FILE.mlir, or a checkpoint directory with config.json")->required();
  app.add_option("-o,--output", request.output, "the package; with --emit the text, which goes to standard output without -o");
  addCompileOptions(app, request);
  app.add_option("--emit", request.emit, "print a stage instead: " + joined(sm1::emitNames()));
  app.add_option("--stop-after", stopAfter, "the same as --emit")->check(CLI::IsMember(sm1::emitNames()))->type_name("TEXT");
  app.add_option("--dump-stages", request.dumpStages, "folder for every stage on the way, as numbered files");
  app.add_option("--report", request.reportPage, "a page of HTML with kernels, stages, resources and predictions");
  app.add_option("--diff-stage", request.diffStage,
                 "print what --compare changes at a stage, as diff does: " + joined(sm1::emitNames()));
  app.add_option("--compare", compare, "options of another way, on top of these: --compare=\"--no-fuse=all\"");
  app.add_option("--tune", request.tune, "folder for packages with other schedules of the one --target, to be measured");
  app.add_option("--tune-candidates", request.tuneCandidates, "other schedules of a kernel at most; default: 8")
      ->check(CLI::Range(1, 100));
  app.add_option("--tune-device", request.tuneDevice, "cpu or cuda: measures them here, with sm1-bench beside this program")
      ->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--tune-into", request.tuneInto,
                 "file for the schedules that won, for --tuned; MODEL is the folder of --tune where that was measured before");
  app.add_flag("--print-pipelines", parsed.printPipelines, "print the passes on the way to each stage, as --pipeline takes them");
  app.add_flag("--line-info", request.lineInfo,
               "carry lines of the description into PTX and assembly, for debuggers and profilers");
  app.add_flag("--remarks", request.remarks, "say what each fusion pass did, and what it did not and why");
  app.add_flag("--timing", request.timing, "say how long each phase took");
  app.set_version_flag("--version", sm1::compilerVersion());
}

/// As in all programs: 2 for a command line that cannot be read, 1 for one that asks for what cannot be done.
constexpr int unreadable = 2, undoable = 1;

static ParsedOptions refused(std::string why, int exitCode) {
  // CLI11 starts some of its sentences with a capital, we do not.
  if (why.size() > 1 && std::islower(static_cast<unsigned char>(why[1])))
    why[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(why[0])));
  std::cerr << "sm1c: error: " << why << "\n";
  ParsedOptions parsed;
  parsed.finished = true;
  parsed.exitCode = exitCode;
  return parsed;
}

/// Why options do not go together; empty if they do.
static std::string whyNot(const ParsedOptions &parsed, const std::string &stopAfter, const std::string &compare) {
  const sm1::CompileRequest &request = parsed.request;
  if (!stopAfter.empty() && !request.emit.empty() && stopAfter != request.emit)
    return "--stop-after=" + stopAfter + " and --emit=" + request.emit + " ask for two stages; pass one of them";
  if (!request.diffStage.empty() && compare.empty())
    return "--diff-stage needs another way to compare with: --compare=\"OPTIONS\"";
  if (request.diffStage.empty() && request.reportPage.empty() && !compare.empty())
    return "--compare goes with --report=FILE or --diff-stage=STAGE";
  if (!request.reportPage.empty() && (!request.output.empty() || !request.emit.empty() || !stopAfter.empty()))
    return "--report writes the page and nothing else; leave out -o, --emit and --stop-after";
  bool tunes = !request.tune.empty() || !request.tuneInto.empty();
  bool writes = !request.output.empty() || !request.emit.empty() || !stopAfter.empty() || !request.dumpStages.empty();
  if (tunes && (writes || !request.reportPage.empty() || !request.diffStage.empty()))
    return "--tune and --tune-into write their folder and file and nothing else; leave out other outputs";
  if (!request.tuneDevice.empty() && request.tune.empty())
    return "--tune-device measures the candidates of --tune=FOLDER; pass that, too";
  if (!request.tune.empty() && !request.tuneInto.empty() && request.tuneDevice.empty())
    return "--tune and --tune-into in one go need --tune-device to measure in between";
  return "";
}

/// The request with the options of --compare in the place of its own.
static sm1::CompileRequest withOptions(sm1::CompileRequest request, const std::string &options) {
  CLI::App app{"", "sm1c --compare"};
  addCompileOptions(app, request);
  app.set_help_flag();
  app.parse(options);
  return request;
}

ParsedOptions parseOptions(int argc, char **argv) {
  ParsedOptions parsed;
  std::string stopAfter, compare;
  CLI::App app{"Compiles a model to a package that sm1-run executes.", "sm1c"};
  app.get_formatter()->column_width(28);
  app.footer(examples);
  addOptions(app, parsed, stopAfter, compare);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success &success) {
    parsed.finished = true;
    app.exit(success, std::cout, std::cerr);
    return parsed;
  } catch (const CLI::Error &error) {
    return refused(std::string(error.what()) + "; sm1c --help lists what there is", unreadable);
  }
  if (std::string why = whyNot(parsed, stopAfter, compare); !why.empty())
    return refused(why, undoable);
  if (!stopAfter.empty())
    parsed.request.emit = stopAfter;
  if (compare.empty())
    return parsed;
  parsed.request.compareText = compare;
  try {
    parsed.other = withOptions(parsed.request, compare);
  } catch (const CLI::Error &error) {
    return refused("--compare=" + compare + ": " + error.what() +
                       "; it takes what says how to compile, such as --no-fuse and --pipeline",
                   unreadable);
  }
  return parsed;
}
