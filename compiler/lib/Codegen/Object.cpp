//===- Object.cpp - LLVM IR of one target, and the object file or assembly that is made of it --------------------===//

#include "sm1c/Codegen.h"

#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/Utils/Cloning.h"

#include <mutex>

using namespace llvm;
using namespace sm1;

/// Kernels of a CPU are the same for every operating system; ELF is what FlatCode.cpp reads.
static constexpr StringLiteral cpuTriple = "x86_64-unknown-linux-gnu", gpuTriple = "nvptx64-nvidia-cuda";

static void initializeBackends() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
  });
}

Expected<std::unique_ptr<TargetMachine>> sm1::createTargetMachine(const sm1::Target &target) {
  initializeBackends();
  std::string error;
  Triple triple(target.isGpu() ? gpuTriple : cpuTriple);
  const llvm::Target *backend = TargetRegistry::lookupTarget(triple, error);
  if (!backend)
    return createStringError(Twine(target.name) + ": this LLVM has no backend for it: " + error);
  TargetOptions options;
  options.AllowFPOpFusion = FPOpFusion::Strict;
  options.NoTrappingFPMath = true;
  auto model = target.isGpu() ? std::optional<CodeModel::Model>() : CodeModel::Small;
  // Aggressive generation of PTX numbers values once more where early CSE does the same: a fifth of its time for no register less.
  auto effort = target.isGpu() ? CodeGenOptLevel::Default : CodeGenOptLevel::Aggressive;
  std::unique_ptr<TargetMachine> machine(
      backend->createTargetMachine(triple, target.cpu, target.features, options, Reloc::PIC_, model, effort));
  if (!machine)
    return createStringError(Twine(target.name) + ": no code generator for cpu " + target.cpu);
  return machine;
}

std::unique_ptr<Module> sm1::translateToLlvmIr(mlir::ModuleOp lowered, LLVMContext &context, const sm1::Target &target,
                                               TargetMachine &machine) {
  std::unique_ptr<Module> module = mlir::translateModuleToLLVMIR(lowered, context, target.name);
  if (!module)
    return nullptr;
  module->setTargetTriple(machine.getTargetTriple());
  module->setDataLayout(machine.createDataLayout());
  for (Function &function : *module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", target.cpu);
    function.addFnAttr("target-features", target.features);
    // Kernels never unwind; without unwind tables the object has only code and constants.
    function.addFnAttr(Attribute::NoUnwind);
    if (target.isGpu())
      continue;
    // Without this LLVM keeps to 256 bits on AVX-512.
    function.addFnAttr("prefer-vector-width", std::to_string(32 * target.vectorLanes));
    function.addFnAttr("no-builtins");
  }
  return module;
}

/// Runs the code generator; it changes the module.
static Error emit(Module &module, TargetMachine &machine, raw_pwrite_stream &stream, CodeGenFileType type) {
  legacy::PassManager passes;
  TargetLibraryInfoImpl library(machine.getTargetTriple());
  library.disableAllFunctions();
  passes.add(new TargetLibraryInfoWrapperPass(library));
  if (machine.addPassesToEmitFile(passes, stream, nullptr, type, /*DisableVerify=*/true))
    return createStringError("this LLVM cannot write this kind of file for " + module.getTargetTriple().str());
  passes.run(module);
  return Error::success();
}

Expected<std::string> sm1::emitAssembly(const Module &module, TargetMachine &machine) {
  SmallVector<char, 0> text;
  raw_svector_ostream stream(text);
  std::unique_ptr<Module> clone = CloneModule(module);
  if (Error error = emit(*clone, machine, stream, CodeGenFileType::AssemblyFile))
    return error;
  return std::string(text.begin(), text.end());
}

Expected<SmallVector<char, 0>> sm1::emitObject(Module &module, TargetMachine &machine) {
  SmallVector<char, 0> object;
  raw_svector_ostream stream(object);
  if (Error error = emit(module, machine, stream, CodeGenFileType::ObjectFile))
    return error;
  return object;
}
