//===- PassWatch.cpp - which pass it was that ended the program --------------------------------------------------===//

#include "PassWatch.h"

#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/Signals.h"

#include <unistd.h>

using namespace mlir;

/// The whole line, made before the pass runs: a signal handler may not allocate. A crash is handled on the thread that crashed.
static thread_local std::string lineOfCrash;

static void printCrash(void *) {
  if (!lineOfCrash.empty())
    (void)!write(STDERR_FILENO, lineOfCrash.data(), lineOfCrash.size());
}

namespace {
struct NameRunningPass : PassInstrumentation {
  void runBeforePass(Pass *pass, Operation *) override {
    StringRef name = pass->getArgument().empty() ? pass->getName() : pass->getArgument();
    lineOfCrash =
        ("sm1c: error: the pass '" + name + "' crashed; the same command behind 'gdb -ex run --args' shows where\n").str();
  }
  void runAfterPass(Pass *, Operation *) override { lineOfCrash.clear(); }
  void runAfterPassFailed(Pass *, Operation *) override { lineOfCrash.clear(); }
};
} // namespace

void sm1::watchPasses(PassManager &passes) {
  static const bool once = (llvm::sys::AddSignalHandler(printCrash, nullptr), true);
  (void)once;
  passes.addInstrumentation(std::make_unique<NameRunningPass>());
}
