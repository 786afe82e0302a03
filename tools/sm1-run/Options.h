// Options that every command of sm1-run and sm1-bench has, and the shape of a command.
#ifndef SM1_TOOLS_OPTIONS_H
#define SM1_TOOLS_OPTIONS_H

#include "sm1rt/Error.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

struct CommonOptions {
  std::string model;  ///< package or checkpoint directory
  std::string params; ///< checkpoint directory or safetensors file; empty: the model's own
  std::string device = "auto";
  std::string isa;         ///< empty: the best
  std::string form;        ///< empty: exact, or what the package has
  std::string weights;     ///< empty: the checkpoint's dtype, or what the package has
  std::string compute;     ///< empty: what sm1c takes by default, or what the package has
  int threads = 0;         ///< 0: one per core
  int64_t rowsPerPass = 0; ///< 0: what suits the device
  bool trace = false;
  std::vector<std::string> replace;  ///< KERNEL=FILE.cu[:FUNCTION]
  bool trust = false;                ///< replacements are not checked
  std::string step = "auto";         ///< OpenOptions::step
  std::vector<std::string> variants; ///< entries of a package's ranges; empty: as the ranges say
};

/// A subcommand and what it does once its options are parsed.
struct Command {
  CLI::App *app;
  std::function<sm1rt::Expected<void>()> run;
};

/// Adds MODEL and the options above to `app`. `options` must live as long as `app`.
void addCommonOptions(CLI::App &app, CommonOptions &options);

/// Parses the command line and runs the chosen command: 0 it worked, 1 it said an error, 2 the command line cannot be read. All
/// programs of this project keep to these.
int runTool(CLI::App &tool, const std::vector<Command> &commands, int argc, char **argv);

#endif // SM1_TOOLS_OPTIONS_H
