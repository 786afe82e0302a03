// sm1-run: runs models. Each command is in a file of its own name.
#include "Commands.h"

#include <CLI/CLI.hpp>

int main(int argc, char **argv) {
  CLI::App tool(
      "Runs scalar state-space models: packages made by sm1c, or checkpoint directories, which are compiled on first use.",
      "sm1-run");
  tool.require_subcommand(1);
  tool.footer("Examples:\n"
              "  sm1-run generate model.sm1pkg -o piece.mid --seed 7\n"
              "  sm1-run tokenize song.mid -o song.json\n"
              "  sm1-run draw song.mid -o song.svg\n"
              "  sm1-run report checkpoints/chorales --reference songs/\n"
              "  sm1-run score checkpoints/chorales --tokens pieces.json\n"
              "  sm1-run inspect model.sm1pkg\n"
              "  sm1-run generate --help");
  std::vector<Command> commands = {addGenerate(tool), addTokenize(tool), addDraw(tool), addRender(tool),  addReport(tool),
                                   addScore(tool),    addLogits(tool),   addCall(tool), addInspect(tool), addState(tool)};
  return runTool(tool, commands, argc, argv);
}
