// The command line of sm1c as a CompileRequest.
#ifndef SM1C_OPTIONS_H
#define SM1C_OPTIONS_H

#include "sm1c/Compile.h"

/// Fills `request`. A number is the exit code to leave with: after --help and --version, or after an error that has been printed.
struct ParsedOptions {
  sm1::CompileRequest request;
  bool finished = false;
  int exitCode = 0;
};
ParsedOptions parseOptions(int argc, char **argv);

#endif // SM1C_OPTIONS_H
