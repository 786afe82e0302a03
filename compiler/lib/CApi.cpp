//===- CApi.cpp - libsm1c: compile() for C -----------------------------------------------------------------------===//

#include "sm1c/Compile.h"
#include "sm1c/sm1c.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"

using namespace sm1;

/// Sets `field` where the caller said something.
static void assign(std::string &field, const char *text) {
  if (text && *text)
    field = text;
}

int sm1c_compile(const Sm1cRequest *options, Sm1cReport report, void *user) {
  auto say = [&](const std::string &line) {
    if (report)
      report(line.c_str(), user);
  };
  if (!options || !options->model || !options->output) {
    say(std::string("sm1c: error: ") +
        (!options          ? "request"
         : !options->model ? "model"
                           : "output") +
        ": null, the call needs one");
    return 1;
  }
  CompileRequest request;
  assign(request.model, options->model);
  assign(request.output, options->output);
  assign(request.weights, options->weights);
  assign(request.compute, options->compute);
  assign(request.form, options->form);
  assign(request.params, options->params);
  assign(request.weightsIn, options->weightsIn);
  if (options->targets && *options->targets) {
    llvm::SmallVector<llvm::StringRef> names;
    llvm::StringRef(options->targets).split(names, ',');
    request.targets.clear();
    for (llvm::StringRef name : names)
      request.targets.push_back(name.trim().str());
  }
  return compile(request, say) ? 0 : 1;
}

const char *sm1c_version(void) {
  static const std::string version = compilerVersion();
  return version.c_str();
}
