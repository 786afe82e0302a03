//===- sm1-lsp-server.cpp - MLIR's language server, with this dialect --------------------------------------------===//

#include "sm1/IR/Sm1.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<sm1::Sm1Dialect>();
  return mlir::failed(mlir::MlirLspServerMain(argc, argv, registry));
}
