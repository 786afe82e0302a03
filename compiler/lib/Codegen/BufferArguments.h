//===- BufferArguments.h - memrefs from bare pointers ------------------------------------------------------------===//

#ifndef SM1C_CODEGEN_BUFFERARGUMENTS_H
#define SM1C_CODEGEN_BUFFERARGUMENTS_H

#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace sm1 {

/// A buffer whose place of an element follows from its type and a pointer alone.
bool isDenseBuffer(mlir::Type type);

/// An llvm.func of `function`'s body whose arguments are bare pointers and 64-bit integers where `function` has buffers and indices. The
/// body is moved; `function` stays, empty. Memrefs are built at its top: sizes of dynamic dimensions are not known there and not needed.
mlir::LLVM::LLVMFuncOp moveBody(mlir::OpBuilder &builder, mlir::func::FuncOp function, mlir::LLVM::Linkage linkage);

} // namespace sm1

#endif // SM1C_CODEGEN_BUFFERARGUMENTS_H
