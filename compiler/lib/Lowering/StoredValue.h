//===- StoredValue.h - values that a kernel widens as it reads them ----------------------------------------------===//

#ifndef SM1C_LOWERING_STOREDVALUE_H
#define SM1C_LOWERING_STOREDVALUE_H

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace sm1 {

/// What is in memory of `value`: of a block argument that is only widened, the argument.
inline mlir::Value storedValue(mlir::Value value) {
  auto widened = value.getDefiningOp<mlir::arith::ExtFOp>();
  return widened && llvm::isa<mlir::BlockArgument>(widened.getIn()) ? widened.getIn() : value;
}

} // namespace sm1

#endif // SM1C_LOWERING_STOREDVALUE_H
