// sm1-bench: how fast a model runs here, as a fraction of what this machine can do at best.
#include "Report.h"

#include <algorithm>
#include <string_view>

using namespace sm1rt;

namespace {
struct BenchOptions {
  CommonOptions common;
  RowOptions rows;
  int64_t time = 0; ///< 0: each row's own
  bool json = false;
};
} // namespace

static Expected<void> bench(BenchOptions options) {
  if (options.time)
    options.rows.decodeTime = options.rows.prefillTime = options.time;
  Expected<Measurement> measurement = measure(options.common, options.rows);
  if (!measurement)
    return measurement.error();
  options.json ? printJson(*measurement) : printText(*measurement);
  return {};
}

static Command addBench(CLI::App &tool, const char *name, const char *text, bool decode, bool prefill) {
  auto options = std::make_shared<BenchOptions>();
  options->rows.decode = decode;
  options->rows.prefill = prefill;
  CLI::App *app = tool.add_subcommand(name, text);
  addCommonOptions(*app, options->common);
  app->add_flag("--json", options->json, "a JSON object instead of text");
  app->add_option("--batch", options->rows.batch, "sequences side by side")
      ->check(CLI::Range(int64_t(1), int64_t(65536)))
      ->capture_default_str()
      ->type_name("N");
  app->add_option("--time", options->time, "tokens of each sequence in one repetition; default: decode 32, prefill 512")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 24))
      ->type_name("N");
  app->add_option("--repeat", options->rows.repetitions, "repetitions, after one that does not count")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str()
      ->type_name("N");
  return {app, [options] { return bench(*options); }};
}

int main(int argc, char **argv) {
  CLI::App tool("Times a model, and in the same run what the machine can read and multiply at best.", "sm1-bench");
  tool.require_subcommand(1);
  tool.footer("Examples:\n"
              "  sm1-bench model.sm1pkg                                  both rows\n"
              "  sm1-bench decode checkpoints/chorales --threads=2       one token at a time\n"
              "  sm1-bench prefill model.sm1pkg --time=2048 --json       a long prompt");
  std::vector<Command> commands = {addBench(tool, "decode", "One token at a time", true, false),
                                   addBench(tool, "prefill", "Many tokens at once", false, true),
                                   addBench(tool, "all", "Both; what runs when no row is named", true, true)};
  // The row may be left out: sm1-bench MODEL.
  std::vector<char *> arguments(argv, argv + argc);
  char all[] = "all";
  auto isKnown = [](std::string_view word) {
    return word == "decode" || word == "prefill" || word == "all" || word == "-h" || word == "--help";
  };
  if (argc > 1 && std::none_of(arguments.begin() + 1, arguments.end(), isKnown))
    arguments.insert(arguments.begin() + 1, all);
  return runTool(tool, commands, int(arguments.size()), arguments.data());
}
