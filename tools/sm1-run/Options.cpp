// Command lines through CLI11; its exceptions end here.
#include "Options.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>

void addCommonOptions(CLI::App &app, CommonOptions &options) {
  app.add_option("MODEL", options.model, "a package (.sm1pkg) or a checkpoint directory")->required();
  std::string group = "How the model is opened";
  app.add_option("--params", options.params, "checkpoint directory or safetensors file for a package without weights")
      ->type_name("DIR|FILE")
      ->group(group);
  app.add_option("--form", options.form, "arithmetic of the scan: exact, or closed_form to diagnose old checkpoints")
      ->check(CLI::IsMember({"exact", "closed_form"}))
      ->type_name("FORM")
      ->group(group);
  app.add_option("--weights", options.weights, "how matrices are stored: f32, bf16, f16, int8, int4; default: as in the checkpoint")
      ->type_name("DTYPE")
      ->group(group);
  app.add_option("--compute", options.compute, "what projections multiply: f32, bf16, fp8 (GPUs from sm_89 on), int8; default: f32")
      ->type_name("DTYPE")
      ->group(group);
  app.add_option("--device", options.device,
                 "auto, cpu, cuda or cuda:N; never another than asked for; auto: a GPU if it can, else the CPU")
      ->type_name("DEVICE")
      ->group(group);
  app.add_option("--isa", options.isa, "target to take from the package, e.g. x86-64-v3 or sm_90; default: the best")
      ->type_name("TARGET")
      ->group(group);
  app.add_option("--threads", options.threads, "worker threads; default: one per core")
      ->check(CLI::Range(1, 1024))
      ->type_name("N")
      ->group(group);
  app.add_option("--replace", options.replace,
                 "on a GPU: a kernel of your own, in CUDA C++, instead of a generated one (kernels/OwnKernels.md)")
      ->type_name("KERNEL=FILE.cu[:FUNCTION]")
      ->allow_extra_args(false)
      ->group(group);
  app.add_flag("--trust", options.trust, "take kernels of --replace without comparing them with the generated ones")->group(group);
  app.add_option("--step", options.step,
                 "how a GPU computes a step: token, in one launch; kernels, one after the other; auto, default: token where it can")
      ->type_name("WAY")
      ->group(group);
  app.add_option("--variants", options.variants,
                 "on a GPU: entries for few or many rows (see inspect) to take whatever the number of rows; none: never")
      ->delimiter(',')
      ->type_name("ENTRY,...")
      ->allow_extra_args(false)
      ->group(group);
  app.add_flag("--trace", options.trace, "one line per launch on standard error")->group(group);
}

/// Says that a word is no command; CLI11 says only that one is required.
static int refuseCommand(const CLI::App &tool, const std::string &word) {
  std::vector<std::string> names;
  for (const CLI::App *command : tool.get_subcommands([](const CLI::App *) { return true; }))
    names.push_back(command->get_name());
  fmt::print(stderr, "error: '{}' is none of the commands of {}: {}\n", word, tool.get_name(), fmt::join(names, ", "));
  return 2;
}

int runTool(CLI::App &tool, const std::vector<Command> &commands, int argc, char **argv) {
  try {
    tool.parse(argc, argv);
  } catch (const CLI::RequiredError &error) {
    bool unknown = argc > 1 && argv[1][0] != '-' && tool.get_subcommands().empty();
    return unknown ? refuseCommand(tool, argv[1]) : (tool.exit(error), 2);
  } catch (const CLI::ParseError &error) {
    return tool.exit(error) == 0 ? 0 : 2;
  }
  for (const Command &command : commands) {
    if (!command.app->parsed())
      continue;
    if (sm1rt::Expected<void> done = command.run(); !done) {
      fmt::print(stderr, "error: {}\n", done.error().message);
      return 1;
    }
    // Output may sit in a buffer that a full disk or a closed pipe refuses.
    return std::fflush(stdout) == 0 ? 0 : 1;
  }
  return 2;
}
