// Command lines through CLI11; its exceptions end here.
#include "Options.h"

#include "sm1rt/PackageFormat.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cctype>
#include <cerrno>
#include <cstdio>
#include <system_error>

using namespace sm1rt;

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
  app.add_option("--compute", options.compute,
                 "what projections multiply: f32, bf16, fp8 (GPUs from sm_89 on), int8; default: f32, on GPUs bf16 "
                 "where matrices are stored so")
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

/// What is wrong with the command line, and the way out. CLI11 starts some of its sentences with a capital and knows of a word that
/// is no command only that one is missing.
static void printMistake(const CLI::App &tool, const CLI::ParseError &error) {
  const CLI::App *command = &tool;
  std::string name = tool.get_name();
  while (!command->get_subcommands().empty()) {
    command = command->get_subcommands().front();
    name += " " + command->get_name();
  }
  std::vector<std::string> names;
  for (const CLI::App *each : command->get_subcommands([](const CLI::App *) { return true; }))
    names.push_back(each->get_name());
  if (names.empty() || error.get_exit_code() != int(CLI::ExitCodes::RequiredError)) {
    std::string what = error.what();
    if (what.size() > 1 && std::islower(static_cast<unsigned char>(what[1])))
      what[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(what[0])));
    fmt::print(stderr, "error: {}; {} --help lists what there is\n", what, name);
  } else if (std::vector<std::string> words = command->remaining(); words.empty()) {
    fmt::print(stderr, "error: {} needs a command: {}\n", name, fmt::join(names, ", "));
  } else {
    fmt::print(stderr, "error: '{}' is none of the commands of {}: {}\n", words.front(), name, fmt::join(names, ", "));
  }
}

static Error outputError(std::error_code code) {
  std::string text = code.message();
  text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return Error{"standard output: " + text};
}

/// Output may sit in a buffer that a full disk refuses.
static Expected<void> finishOutput() {
  if (std::fflush(stdout) == 0 && !std::ferror(stdout))
    return {};
  return outputError(std::error_code(errno ? errno : EIO, std::generic_category()));
}

static Expected<void> run(const Command &command) {
  try {
    Expected<void> done = command.run();
    return done ? finishOutput() : done;
  } catch (const std::system_error &error) { // how fmt::print says that it cannot write
    return outputError(error.code());
  }
}

int runTool(CLI::App &tool, const std::vector<Command> &commands, int argc, char **argv) {
  tool.set_version_flag("--version", fmt::format("{} {} (package format {})", tool.get_name(), SM1_VERSION, SM1_FORMAT_VERSION));
  try {
    tool.parse(argc, argv);
  } catch (const CLI::Success &help) {
    return tool.exit(help);
  } catch (const CLI::ParseError &error) {
    printMistake(tool, error);
    return 2;
  }
  for (const Command &command : commands) {
    if (!command.app->parsed())
      continue;
    Expected<void> done = run(command);
    if (!done)
      fmt::print(stderr, "error: {}\n", done.error().message);
    return done ? 0 : 1;
  }
  return 2;
}
