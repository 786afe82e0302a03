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
      every stage from description to machine code, as numbered files)";

static std::string joined(const std::vector<std::string> &words) {
  std::string text;
  for (const std::string &word : words)
    text += (text.empty() ? "" : ", ") + word;
  return text;
}

static void addOptions(CLI::App &app, sm1::CompileRequest &request, std::string &stopAfter) {
  app.add_option("MODEL", request.model, "a description FILE.mlir, or a checkpoint directory with config.json")->required();
  app.add_option("-o,--output", request.output, "the package; with --emit the text, which goes to standard output without -o");
  app.add_option("--target", request.targets,
                 "targets in the package: native (every level of this machine's architecture that makes a difference) or some of " +
                     joined(sm1::targetNames()))
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--params", request.params, "checkpoint directory or .safetensors file (default: MODEL, if it is a directory)");
  app.add_option("--weights", request.weights,
                 "storage of matrices: f32, bf16, f16, int8 (a scale for each row), int4 (a scale for 32 columns) (default: as in "
                 "the checkpoint)");
  app.add_option(
      "--compute", request.compute,
      "what projections multiply: f32; bf16, where matrices are stored so; int8, where they are int8 or int4 (default: f32 on "
      "CPUs; on GPUs bf16 where matrices are stored so)");
  app.add_option("--weights-in", request.weightsIn,
                 "package, or external: bound when it runs (default: package, if there is a checkpoint)");
  app.add_option("--form", request.form, "arithmetic of scans: exact (default), closed_form (diagnosis of old checkpoints)");
  app.add_option("--emit", request.emit, "print a stage instead: " + joined(sm1::emitNames()));
  app.add_option("--stop-after", stopAfter, "the same as --emit");
  app.add_option("--dump-stages", request.dumpStages, "folder for every stage on the way, as numbered files");
  app.add_option("--no-fuse", request.disabledPasses,
                 "fusion passes to leave out; same bits, other speed: all, " + joined(sm1::fusionPassNames()))
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_flag("--remarks", request.remarks, "say what each fusion pass did, and what it did not and why");
  app.add_flag("--timing", request.timing, "say how long each phase took");
  app.set_version_flag("--version", sm1::compilerVersion());
}

static ParsedOptions refused(std::string why) {
  // CLI11 starts some of its sentences with a capital, we do not.
  if (why.size() > 1 && std::islower(static_cast<unsigned char>(why[1])))
    why[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(why[0])));
  std::cerr << "sm1c: error: " << why << "\n";
  ParsedOptions parsed;
  parsed.finished = true;
  parsed.exitCode = 1;
  return parsed;
}

ParsedOptions parseOptions(int argc, char **argv) {
  ParsedOptions parsed;
  std::string stopAfter;
  CLI::App app{"Compiles a model to a package that sm1-run executes.", "sm1c"};
  app.get_formatter()->column_width(28);
  app.footer(examples);
  addOptions(app, parsed.request, stopAfter);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success &success) {
    parsed.finished = true;
    app.exit(success, std::cout, std::cerr);
    return parsed;
  } catch (const CLI::Error &error) {
    return refused(std::string(error.what()) + "; sm1c --help lists what there is");
  }
  if (!stopAfter.empty() && !parsed.request.emit.empty() && stopAfter != parsed.request.emit)
    return refused("--stop-after=" + stopAfter + " and --emit=" + parsed.request.emit + " ask for two stages; pass one of them");
  if (!stopAfter.empty())
    parsed.request.emit = stopAfter;
  return parsed;
}
