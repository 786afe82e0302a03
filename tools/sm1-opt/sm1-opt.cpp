//===- sm1-opt.cpp - mlir-opt for this dialect: every pass of ours and of upstream -------------------------------===//

#include "sm1/IR/Sm1.h"
#include "sm1c/Stages.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  mlir::registerAllPasses();
  sm1::registerPasses();
  registry.insert<sm1::Sm1Dialect>();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "sm1 optimizer driver\n", registry));
}
