//===- sm1-opt.cpp - mlir-opt for this dialect: every pass of ours and of upstream -------------------------------===//

#include "sm1/IR/Sm1.h"
#include "sm1c/Plugin.h"
#include "sm1c/Stages.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

/// MLIR loads plugins by itself, but would run one for another version until it falls over.
static bool hasOwnPlugins(llvm::ArrayRef<char *> arguments) {
  for (auto [index, argument] : llvm::enumerate(arguments)) {
    auto [option, path] = llvm::StringRef(argument).ltrim('-').split('=');
    if (option != "load-pass-plugin" || !llvm::StringRef(argument).starts_with("-"))
      continue;
    if (path.empty() && index + 1 < arguments.size())
      path = arguments[index + 1];
    if (llvm::Error error = sm1::checkPlugin(path.str())) {
      llvm::errs() << "sm1-opt: error: " << llvm::toString(std::move(error)) << "\n";
      return false;
    }
  }
  return true;
}

int main(int argc, char **argv) {
  if (!hasOwnPlugins({argv, size_t(argc)}))
    return 1;
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  mlir::registerAllPasses();
  sm1::registerPasses();
  registry.insert<sm1::Sm1Dialect>();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "sm1 optimizer driver\n", registry));
}
