//===- LowerToLlvm.cpp - kernel functions to the LLVM dialect ----------------------------------------------------===//

#include "sm1/IR/Sm1.h"
#include "sm1c/Codegen.h"
#include "sm1c/Codegen/Passes.h"

#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Conversion/ConvertToLLVM/ToLLVMPass.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Conversion/VectorToSCF/VectorToSCF.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Transforms/Passes.h"

namespace sm1 {
#define GEN_PASS_REGISTRATION
#include "sm1c/Codegen/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

void sm1::registerCodegenPasses() {
  registerSm1CodegenPasses();
  PassPipelineRegistration<>("sm1-cpu-to-llvm", "Kernel functions of a CPU target to the LLVM dialect", buildCpuLlvmPipeline);
  PassPipelineRegistration<>("sm1-gpu-to-llvm", "Functions of a GPU to kernels of the LLVM dialect", buildGpuLlvmPipeline);
}

void sm1::registerCodegenDialects(DialectRegistry &registry) {
  registry.insert<LLVM::LLVMDialect>();
  registerAllExtensions(registry);
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
}

/// What is left between entries and the LLVM dialect.
static void buildConversions(OpPassManager &passes) {
  passes.addPass(createConvertVectorToSCFPass());
  passes.addPass(createSCFToControlFlowPass());
  passes.addPass(memref::createExpandStridedMetadataPass());
  passes.addPass(createLowerAffinePass());
  passes.addPass(createConvertVectorToLLVMPass());
  passes.addPass(createConvertToLLVMPass());
  passes.addPass(createReconcileUnrealizedCastsPass());
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
}

void sm1::buildCpuLlvmPipeline(OpPassManager &passes) {
  passes.addPass(createExpandArithmetic());
  passes.addPass(createCpuEntries());
  buildConversions(passes);
}

void sm1::buildGpuLlvmPipeline(OpPassManager &passes) {
  passes.addPass(createExpandArithmetic({/*hasBf16=*/true}));
  passes.addPass(createGpuEntries());
  buildConversions(passes);
}

/// A dispatch never writes to a workspace buffer that it reads or writes under another name (BufferAssignment.cpp keeps to this),
/// so its stream results alias nothing. States may be updated in place and stay unmarked.
static void markStreamResults(ModuleOp module) {
  SymbolTable symbols(module);
  auto noalias = UnitAttr::get(module.getContext());
  module.walk([&](DispatchOp dispatch) {
    auto function = symbols.lookup<func::FuncOp>(dispatch.getCallee());
    for (auto [index, type] : llvm::enumerate(dispatch.getResultTypes()))
      if (function && classify(type) == TensorClass::Stream)
        function.setArgAttr(dispatch.getInputs().size() + index, "llvm.noalias", noalias);
  });
}

OwningOpRef<ModuleOp> sm1::kernelFunctions(ModuleOp module, const Target &target) {
  OwningOpRef<ModuleOp> clone = module.clone();
  if (target.isGpu()) // sm1-gpu-entries needs the dispatches
    return clone;
  markStreamResults(*clone);
  for (auto model : llvm::make_early_inc_range(clone->getOps<ModelOp>()))
    model.erase();
  return clone;
}

LogicalResult sm1::lowerToLlvm(ModuleOp kernels, const Target &target) {
  PassManager passes(kernels.getContext());
  if (target.isGpu())
    buildGpuLlvmPipeline(passes);
  else
    buildCpuLlvmPipeline(passes);
  if (failed(passes.run(kernels)))
    return failure();
  auto left = kernels.walk([&](Operation *op) {
    StringRef dialect = op->getName().getDialectNamespace();
    if (isa<ModuleOp>(op) || dialect == "llvm" || (target.isGpu() && dialect == "nvvm"))
      return WalkResult::advance();
    op->emitError("no form for ") << target.name << " of " << op->getName() << ": nothing lowers it to LLVM";
    return WalkResult::interrupt();
  });
  return failure(left.wasInterrupted());
}
