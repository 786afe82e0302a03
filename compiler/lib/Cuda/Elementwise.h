//===- Elementwise.h - elementwise operations and numbers as CUDA C++ ----------------------------------------------===//

#ifndef SM1C_CUDA_ELEMENTWISE_H
#define SM1C_CUDA_ELEMENTWISE_H

#include "sm1/IR/Sm1.h"

#include "llvm/ADT/APFloat.h"

#include <optional>
#include <string>

namespace sm1 {

/// How an elementwise operation is written with the functions of kernels/sm1_math.cuh, {0} to {2} being its operands; empty if it
/// has no form.
llvm::StringRef cudaForm(mlir::Operation *op);

/// The number of a constant; none if its elements differ or are no f32.
std::optional<llvm::APFloat> splatNumber(mlir::arith::ConstantOp constant);

/// The shortest decimal that is the same f32.
std::string cudaLiteral(const llvm::APFloat &number);

} // namespace sm1

#endif // SM1C_CUDA_ELEMENTWISE_H
