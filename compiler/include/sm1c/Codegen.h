//===- Codegen.h - from kernel functions to flat machine code or PTX ---------------------------------------------===//
//
// The last arrow of a target: functions of Stage::Target to the LLVM dialect, to LLVM IR, and then to an object and flat code for a
// CPU, to PTX for a GPU. Each step can be looked at by itself. Errors about the source are MLIR diagnostics; errors of the later
// steps are llvm::Errors.

#ifndef SM1C_CODEGEN_H
#define SM1C_CODEGEN_H

#include "sm1/IR/Sm1.h"
#include "sm1c/Target.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"

#include <functional>
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

/// Some functions of a module at Stage::Target, `wanted`, as entries of the LLVM dialect that a runtime or a driver calls; their
/// bodies are what they were. nullptr after a diagnostic.
mlir::OwningOpRef<mlir::ModuleOp> kernelEntries(mlir::ModuleOp module, llvm::ArrayRef<mlir::Operation *> wanted,
                                                const Target &target);

/// Lowers the bodies of entries, and checks that nothing but the LLVM dialect (and for a GPU, NVVM) is left.
llvm::LogicalResult lowerToLlvm(mlir::ModuleOp kernels, const Target &target);

/// Gives every operation of a lowered module the one place of the description that it comes from, and every function a scope for
/// them, so that machine code says the line and column of each instruction.
llvm::LogicalResult addLineInfo(mlir::ModuleOp lowered);

/// LLVM for one target: no multiply-add is fused that the source does not fuse, so that every target computes the same bits.
llvm::Expected<std::unique_ptr<llvm::TargetMachine>> createTargetMachine(const Target &target);

/// LLVM IR of a lowered module, for the machine, not yet optimised. nullptr after a diagnostic.
std::unique_ptr<llvm::Module> translateToLlvmIr(mlir::ModuleOp lowered, llvm::LLVMContext &context, const Target &target,
                                                llvm::TargetMachine &machine);

/// LLVM's O3 pipeline, for a GPU as much of it as its kernels need. Loops are never turned into library calls.
void optimize(llvm::Module &module, llvm::TargetMachine &machine);

/// Assembly text; `module` stays as it is.
llvm::Expected<std::string> emitAssembly(const llvm::Module &module, llvm::TargetMachine &machine);
/// A relocatable ELF object; `module` is used up by code generation.
llvm::Expected<llvm::SmallVector<char, 0>> emitObject(llvm::Module &module, llvm::TargetMachine &machine);

/// Code of one target. For a CPU: machine code, the same at every address that is a multiple of 64. For a GPU: PTX and a NUL;
/// offsets are 0.
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

/// The registers of each kernel of `code` by ptxas, and code.cubin. ptxas is looked for in PATH, then in CUDA_HOME/bin and
/// /usr/local/cuda/bin; without one nothing happens. An error when ptxas refuses the text.
llvm::Error assemblePtx(FlatCode &code, const Target &target);

/// What is wanted of kernels, and so what is made.
struct CodeWish {
  bool ir = false;        ///< LLVM IR as text
  bool text = false;      ///< assembly of a CPU as text; a GPU's is its code
  bool code = true;       ///< code; without it nothing behind LLVM IR
  bool assembled = false; ///< what ptxas says and makes of it
};

/// Something to run in any thread; larger tasks take longer.
struct CodeTask {
  size_t size;
  std::function<void()> run;
};

/// Kernels of one target from Stage::Target to machine code: lowered, then compiled in tasks, then put together.
class KernelCode {
public:
  explicit KernelCode(const Target &target) : target(target) {}

  /// `modules` are those of all entries and stay as they are. Failure after a diagnostic.
  llvm::LogicalResult lower(llvm::ArrayRef<mlir::ModuleOp> modules, bool lineInfo);
  /// What is to be done, in any order and thread; this object stays where it is meanwhile.
  std::vector<CodeTask> tasks(const CodeWish &wish);
  /// After all tasks, in any thread: what was wanted, or the first error.
  llvm::Error finish(const CodeWish &wish);

  std::string ir, assembly;
  FlatCode code;

private:
  struct Kernel {
    mlir::func::FuncOp function;
    BlockScheduleAttr blocks;
  };
  /// Kernels that one module of LLVM holds.
  struct Part {
    explicit Part(mlir::OwningOpRef<mlir::ModuleOp> module);
    ~Part();

    mlir::OwningOpRef<mlir::ModuleOp> lowered;
    size_t operations = 0;
    std::unique_ptr<llvm::LLVMContext> context;
    std::unique_ptr<llvm::TargetMachine> machine;
    std::unique_ptr<llvm::Module> ir;
    std::string irText, text, error;
    FlatCode flat; ///< of a CPU
  };

  llvm::LogicalResult addEntry(mlir::ModuleOp module, llvm::StringMap<Kernel> &known);
  void dropTwins();
  void split();
  void compile(Part &part, const CodeWish &wish) const;
  static std::string printed(const llvm::Module &module);
  llvm::Expected<std::string> linkedIr() const;
  std::string joinedPtx() const;

  const Target &target;
  mlir::OwningOpRef<mlir::ModuleOp> kernels; ///< those of all entries, until they are parts
  std::vector<std::unique_ptr<Part>> parts;
  /// Of kernels with a part each, in order: the name, and that of the kernel whose code it has. Empty where all are one part.
  std::vector<std::pair<std::string, std::string>> names;
  llvm::StringMap<Part *> partOf;
};

} // namespace sm1

#endif // SM1C_CODEGEN_H
