// The command line of sm1c as a CompileRequest.
#ifndef SM1C_OPTIONS_H
#define SM1C_OPTIONS_H

#include "sm1c/Compile.h"

#include <optional>

struct ParsedOptions {
  sm1::CompileRequest request;
  /// The same with the options of --compare on top.
  std::optional<sm1::CompileRequest> other;
  bool printPipelines = false;
  /// True after --help and --version, and after an error that has been printed; `exitCode` is what to leave with.
  bool finished = false;
  int exitCode = 0;
};
ParsedOptions parseOptions(int argc, char **argv);

#endif // SM1C_OPTIONS_H
