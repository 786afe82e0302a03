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
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/IR/Verifier.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Interfaces/VectorInterfaces.h"
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

namespace {
/// What upstream has passes for and our lowerings make none of, though a pass of somebody else's may.
struct Rare {
  bool transfers = true, views = true;
};
} // namespace

static Rare findRare(ModuleOp kernels) {
  Rare rare{false, false};
  kernels.walk([&](Operation *op) {
    rare.transfers |= isa<VectorTransferOpInterface>(op);
    rare.views |=
        isa<affine::AffineDialect>(op->getDialect()) || isa<memref::SubViewOp, memref::ReinterpretCastOp, memref::ExpandShapeOp,
                                                            memref::CollapseShapeOp, memref::ExtractStridedMetadataOp>(op);
  });
  return rare;
}

/// What is left between entries and the LLVM dialect: bodies are lowered one by one, as many at a time as there are threads.
static void buildConversions(OpPassManager &module, bool hasBf16, Rare rare = {}) {
  OpPassManager &passes = module.nest<LLVM::LLVMFuncOp>();
  passes.addPass(createExpandArithmetic({hasBf16}));
  if (rare.transfers)
    passes.addPass(createConvertVectorToSCFPass());
  passes.addPass(createSCFToControlFlowPass());
  if (rare.views) {
    passes.addPass(memref::createExpandStridedMetadataPass());
    passes.addPass(createLowerAffinePass());
  }
  passes.addPass(createConvertVectorToLLVMPass());
  passes.addPass(createConvertToLLVMPass());
  passes.addPass(createReconcileUnrealizedCastsPass());
  // All else is LLVM's to simplify, which takes it a tenth of the time.
  passes.addPass(createCSEPass());
}

void sm1::buildCpuLlvmPipeline(OpPassManager &passes) {
  passes.addPass(createCpuEntries());
  buildConversions(passes, /*hasBf16=*/false);
}

void sm1::buildGpuLlvmPipeline(OpPassManager &passes) {
  passes.addPass(createGpuEntries());
  buildConversions(passes, /*hasBf16=*/true);
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

OwningOpRef<ModuleOp> sm1::kernelEntries(ModuleOp module, ArrayRef<Operation *> wanted, const Target &target) {
  OwningOpRef<ModuleOp> clone = ModuleOp::create(module.getLoc());
  for (Operation *op : wanted)
    clone->push_back(op->clone());
  PassManager passes(module.getContext());
  if (target.isGpu()) { // which takes the number of threads from dispatches
    passes.addPass(createGpuEntries());
  } else {
    markStreamResults(*clone);
    for (auto model : llvm::make_early_inc_range(clone->getOps<ModelOp>()))
      model.erase();
    passes.addPass(createCpuEntries());
  }
  if (failed(passes.run(*clone)))
    return nullptr;
  return clone;
}

LogicalResult sm1::lowerToLlvm(ModuleOp kernels, const Target &target) {
  PassManager passes(kernels.getContext());
  // Nobody's passes but ours run here: between them nothing is verified, behind them everything.
  passes.enableVerifier(false);
  buildConversions(passes, target.isGpu(), findRare(kernels));
  if (failed(passes.run(kernels)) || failed(verify(kernels)))
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
