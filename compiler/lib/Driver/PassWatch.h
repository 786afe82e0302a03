//===- PassWatch.h - which pass it was that ended the program ----------------------------------------------------===//

#ifndef SM1C_LIB_DRIVER_PASSWATCH_H
#define SM1C_LIB_DRIVER_PASSWATCH_H

namespace mlir {
class PassManager;
} // namespace mlir

namespace sm1 {

/// A pass that `passes` runs and that crashes is named on standard error. For passes that nobody here has tested: those of plugins.
void watchPasses(mlir::PassManager &passes);

} // namespace sm1

#endif // SM1C_LIB_DRIVER_PASSWATCH_H
