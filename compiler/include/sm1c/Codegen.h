//===- Codegen.h - from kernel functions to flat machine code or PTX ---------------------------------------------===//
//
// The last arrow of a target: functions of Stage::Target to the LLVM dialect, to LLVM IR, and then to an object and flat code for a CPU,
// to PTX for a GPU. Each step can be looked at by itself. Errors about the source are MLIR diagnostics; errors of the later steps are llvm::Errors.

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

/// Registers sm1-copy-carried, sm1-expand-arithmetic, sm1-cpu-entries, sm1-gpu-entries and the pipelines sm1-cpu-to-llvm and
/// sm1-gpu-to-llvm.
void registerCodegenPasses();

/// Dialect interfaces and translations that code generation needs; call once for the registry of a context.
void registerCodegenDialects(mlir::DialectRegistry &registry);

/// From kernel functions to the LLVM dialect.
void buildCpuLlvmPipeline(mlir::OpPassManager &passes);
void buildGpuLlvmPipeline(mlir::OpPassManager &passes);

/// What lowerToLlvm takes of a module at Stage::Target. For a CPU: the kernel functions alone, their stream results marked as aliasing
/// nothing. For a GPU: everything, as the dispatches know how many threads a function runs on.
mlir::OwningOpRef<mlir::ModuleOp> kernelFunctions(mlir::ModuleOp module, const Target &target);

/// Runs the target's pipeline on `kernels` and checks that nothing but the LLVM dialect (and for a GPU, NVVM) is left.
llvm::LogicalResult lowerToLlvm(mlir::ModuleOp kernels, const Target &target);

/// Gives every operation of a lowered module the one place of the description that it comes from, and every function a scope for
/// them, so that machine code says the line and column of each instruction.
llvm::LogicalResult addLineInfo(mlir::ModuleOp lowered);

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

/// Code of one target. For a CPU: machine code, the same at every address that is a multiple of 64. For a GPU: PTX and a NUL; offsets are 0.
struct FlatCode {
  std::vector<uint8_t> bytes;
  /// GPU: a cubin of the same kernels, empty where no ptxas was found.
  std::vector<uint8_t> cubin;
  struct Kernel {
    std::string name;
    uint64_t offset;
    int64_t registers = 0; ///< of a GPU's thread; 0: no ptxas has said
  };
  /// In ascending order of names.
  std::vector<Kernel> kernels;
};

/// Lays the code and constants of an ELF object out in one piece and resolves what refers from one to the other. Refused, with the
/// symbol's name: undefined symbols, writable data, absolute addresses.
llvm::Expected<FlatCode> flatten(llvm::ArrayRef<char> object);

/// The kernels of an optimised module of a GPU as PTX; `module` stays as it is.
llvm::Expected<FlatCode> emitPtx(const llvm::Module &module, llvm::TargetMachine &machine);

/// The registers of each kernel of `code` by ptxas, and code.cubin. ptxas is looked for in PATH, then in CUDA_HOME/bin and /usr/local/cuda/bin;
/// without one nothing happens. An error when ptxas refuses the text.
llvm::Error assemblePtx(FlatCode &code, const Target &target);

} // namespace sm1

#endif // SM1C_CODEGEN_H
