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

int main(int argc, char **argv) {
  ParsedOptions options = parseOptions(argc, argv);
  if (options.finished)
    return options.exitCode;
  llvm::install_fatal_error_handler(onFatalError);
  bool compiled = sm1::compile(options.request, [](const std::string &line) { llvm::errs() << line << "\n"; });
  return compiled ? 0 : 1;
}
