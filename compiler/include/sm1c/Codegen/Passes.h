//===- Passes.h - declarations of the passes to the LLVM dialect -------------------------------------------------===//

#ifndef SM1C_CODEGEN_PASSES_H
#define SM1C_CODEGEN_PASSES_H

#include "mlir/Pass/Pass.h"

namespace sm1 {
#define GEN_PASS_DECL
#include "sm1c/Codegen/Passes.h.inc"

/// What is added to a kernel's name to name its entry.
inline constexpr llvm::StringLiteral entrySuffix = "$entry";
/// Arguments of every kernel function after its buffers: the fields of Sm1CpuTask.
inline constexpr unsigned numTaskArguments = 8;
} // namespace sm1

#endif // SM1C_CODEGEN_PASSES_H
