//===- Codegen.h - from kernel functions to flat machine code ----------------------------------------------------===//
//
// The last arrow of a CPU target: functions of Stage::Target to the LLVM dialect, to LLVM IR, to an object, to flat code. Each step
// can be looked at by itself. Errors about the source are MLIR diagnostics; errors of the later steps are llvm::Errors.

#ifndef SM1C_CODEGEN_H
#define SM1C_CODEGEN_H

#include "sm1c/Target.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <string>
#include <vector>

namespace llvm {
class LLVMContext;
class Module;
class TargetMachine;
} // namespace llvm

namespace mlir {
class DialectRegistry;
class OpPassManager;
} // namespace mlir

namespace sm1 {

/// Registers sm1-copy-carried, sm1-expand-for-cpu, sm1-cpu-entries and the pipeline sm1-cpu-to-llvm.
void registerCodegenPasses();

/// Dialect interfaces and translations that code generation needs; call once for the registry of a context.
void registerCodegenDialects(mlir::DialectRegistry &registry);

/// From kernel functions to the LLVM dialect.
void buildCpuLlvmPipeline(mlir::OpPassManager &passes);

/// The kernel functions of a module at Stage::Target, in a module of their own, their stream results marked as aliasing nothing.
mlir::OwningOpRef<mlir::ModuleOp> kernelFunctions(mlir::ModuleOp module);

/// Runs buildCpuLlvmPipeline on `kernels` and checks that nothing but the LLVM dialect is left.
llvm::LogicalResult lowerToLlvm(mlir::ModuleOp kernels);

/// LLVM for one target: no multiply-add is fused that the source does not fuse, so that every target computes the same bits.
llvm::Expected<std::unique_ptr<llvm::TargetMachine>> createTargetMachine(const Target &target);

/// LLVM IR of a lowered module, for the machine, not yet optimised. nullptr after a diagnostic.
std::unique_ptr<llvm::Module> translateToLlvmIr(mlir::ModuleOp lowered, llvm::LLVMContext &context, const Target &target,
                                                llvm::TargetMachine &machine);

/// LLVM's O3 pipeline. Loops are never turned into library calls.
void optimize(llvm::Module &module, llvm::TargetMachine &machine);

/// Assembly text; `module` stays as it is.
llvm::Expected<std::string> emitAssembly(const llvm::Module &module, llvm::TargetMachine &machine);
/// A relocatable ELF object; `module` is used up by code generation.
llvm::Expected<llvm::SmallVector<char, 0>> emitObject(llvm::Module &module, llvm::TargetMachine &machine);

/// Machine code of one target: the same at every address that is a multiple of 64.
struct FlatCode {
  std::vector<uint8_t> bytes;
  struct Kernel {
    std::string name;
    uint64_t offset;
  };
  /// In ascending order of names.
  std::vector<Kernel> kernels;
};

/// Lays the code and constants of an ELF object out in one piece and resolves what refers from one to the other. Refused, with the
/// symbol's name: undefined symbols, writable data, absolute addresses.
llvm::Expected<FlatCode> flatten(llvm::ArrayRef<char> object);

} // namespace sm1

#endif // SM1C_CODEGEN_H
