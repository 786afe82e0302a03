//===- sm1c.cpp - the compiler's command line --------------------------------------------------------------------===//

#include "Options.h"

#include "llvm/Support/ErrorHandling.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdlib>

/// LLVM ends a process that it cannot go on with; say so in our words. Nothing is written before code generation is over.
static void onFatalError(void *, const char *reason, bool) {
  llvm::errs() << "sm1c: error: code generation gave up: " << reason << "\n";
  std::_Exit(1);
}

static void printError(const std::string &line) { llvm::errs() << line << "\n"; }
static void print(const std::string &line) { llvm::outs() << line << "\n"; }

/// Does the one thing that was asked for; false after an error.
static bool run(const ParsedOptions &options) {
  const sm1::CompileRequest &request = options.request;
  if (options.printPipelines)
    return sm1::printPipelines(request, printError, print);
  if (!request.diffStage.empty())
    return sm1::diffStage(request, *options.other, printError, print);
  if (!request.reportPage.empty())
    return sm1::writeReport(request, options.other ? &*options.other : nullptr, printError);
  if (!request.tune.empty() && !sm1::writeCandidates(request, printError))
    return false;
  if (!request.tuneInto.empty())
    return sm1::storeTuned(request.tune.empty() ? request.model : request.tune, request.tuneInto, printError);
  return !request.tune.empty() || sm1::compile(request, printError);
}

int main(int argc, char **argv) {
  ParsedOptions options = parseOptions(argc, argv);
  if (options.finished)
    return options.exitCode;
  llvm::install_fatal_error_handler(onFatalError);
  return run(options) ? 0 : 1;
}
