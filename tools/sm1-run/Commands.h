// The commands of sm1-run. Each function adds its subcommand with options and help to the tool.
#ifndef SM1_TOOLS_COMMANDS_H
#define SM1_TOOLS_COMMANDS_H

#include "Options.h"

Command addGenerate(CLI::App &tool);
Command addLogits(CLI::App &tool);
Command addScore(CLI::App &tool);
Command addCall(CLI::App &tool);
Command addInspect(CLI::App &tool);
Command addTokenize(CLI::App &tool);
Command addState(CLI::App &tool);
Command addDraw(CLI::App &tool);
Command addRender(CLI::App &tool);
Command addReport(CLI::App &tool);

#endif // SM1_TOOLS_COMMANDS_H
