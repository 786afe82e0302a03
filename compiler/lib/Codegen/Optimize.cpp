//===- Optimize.cpp - LLVM's passes over kernels, in an order for CPUs and one for GPUs --------------------------===//
//
// A CPU's go through LLVM's own O3 pipeline. Most of that is for calls, objects in memory and loops that nobody has unrolled; a
// kernel of a GPU is one function of straight code and few loops, for which the passes below make the same PTX in three quarters
// of the time. Each one stands here because some kernel came out different without it.

#include "sm1c/Codegen.h"

#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Module.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/AggressiveInstCombine/AggressiveInstCombine.h"
#include "llvm/Transforms/IPO/FunctionAttrs.h"
#include "llvm/Transforms/IPO/GlobalOpt.h"
#include "llvm/Transforms/IPO/SCCP.h"
#include "llvm/Transforms/InstCombine/InstCombine.h"
#include "llvm/Transforms/Scalar/ConstraintElimination.h"
#include "llvm/Transforms/Scalar/CorrelatedValuePropagation.h"
#include "llvm/Transforms/Scalar/DivRemPairs.h"
#include "llvm/Transforms/Scalar/EarlyCSE.h"
#include "llvm/Transforms/Scalar/GVN.h"
#include "llvm/Transforms/Scalar/IndVarSimplify.h"
#include "llvm/Transforms/Scalar/InferAlignment.h"
#include "llvm/Transforms/Scalar/LICM.h"
#include "llvm/Transforms/Scalar/LoopDeletion.h"
#include "llvm/Transforms/Scalar/LoopIdiomRecognize.h"
#include "llvm/Transforms/Scalar/LoopInstSimplify.h"
#include "llvm/Transforms/Scalar/LoopPassManager.h"
#include "llvm/Transforms/Scalar/LoopRotation.h"
#include "llvm/Transforms/Scalar/LoopSimplifyCFG.h"
#include "llvm/Transforms/Scalar/LoopUnrollPass.h"
#include "llvm/Transforms/Scalar/Reassociate.h"
#include "llvm/Transforms/Scalar/SCCP.h"
#include "llvm/Transforms/Scalar/SROA.h"
#include "llvm/Transforms/Scalar/SimpleLoopUnswitch.h"
#include "llvm/Transforms/Scalar/SimplifyCFG.h"
#include "llvm/Transforms/Scalar/SpeculativeExecution.h"
#include "llvm/Transforms/Vectorize/VectorCombine.h"

using namespace llvm;

static constexpr int unrollingOfO3 = 3;

static LICMPass moveOutOfLoops(bool speculates) {
  LICMOptions options;
  options.AllowSpeculation = speculates;
  return LICMPass(options);
}

/// What the first reading of a function shows, before anything is known of its loops.
static void addFirstPasses(ModulePassManager &passes) {
  FunctionPassManager first;
  first.addPass(SimplifyCFGPass());
  first.addPass(SROAPass(SROAOptions::ModifyCFG)); // for memory that a plugin's lowering takes; ours takes none
  first.addPass(EarlyCSEPass());
  passes.addPass(createModuleToFunctionPassAdaptor(std::move(first)));
  passes.addPass(IPSCCPPass());
  passes.addPass(GlobalOptPass());
  FunctionPassManager second;
  second.addPass(InstCombinePass());
  second.addPass(SimplifyCFGPass(SimplifyCFGOptions().convertSwitchRangeToICmp(true)));
  passes.addPass(createModuleToFunctionPassAdaptor(std::move(second)));
  // What is only read can be read as constants are: see below.
  passes.addPass(createModuleToPostOrderCGSCCPassAdaptor(PostOrderFunctionAttrsPass(/*SkipNonRecursive=*/true)));
}

static void addScalarPasses(FunctionPassManager &passes) {
  passes.addPass(EarlyCSEPass(/*UseMemorySSA=*/true));
  passes.addPass(SpeculativeExecutionPass(/*OnlyIfDivergentTarget=*/true));
  passes.addPass(CorrelatedValuePropagationPass());
  passes.addPass(InstCombinePass());
  passes.addPass(AggressiveInstCombinePass());
  passes.addPass(ReassociatePass());
  passes.addPass(ConstraintEliminationPass());
}

static void addLoopPasses(FunctionPassManager &passes) {
  LoopPassManager shaping, counting;
  shaping.addPass(LoopInstSimplifyPass());
  shaping.addPass(LoopSimplifyCFGPass());
  shaping.addPass(moveOutOfLoops(/*speculates=*/false)); // as far as turning a loop should not copy it
  shaping.addPass(LoopRotatePass());
  shaping.addPass(moveOutOfLoops(/*speculates=*/true));
  shaping.addPass(SimpleLoopUnswitchPass(/*NonTrivial=*/true));
  passes.addPass(createFunctionToLoopPassAdaptor(std::move(shaping), /*UseMemorySSA=*/true));
  passes.addPass(SimplifyCFGPass(SimplifyCFGOptions().convertSwitchRangeToICmp(true)));
  passes.addPass(InstCombinePass());
  counting.addPass(LoopIdiomRecognizePass());
  counting.addPass(IndVarSimplifyPass());
  counting.addPass(LoopDeletionPass());
  counting.addPass(LoopFullUnrollPass(unrollingOfO3));
  passes.addPass(createFunctionToLoopPassAdaptor(std::move(counting)));
}

/// What unrolled loops have shown.
static void addLastPasses(FunctionPassManager &passes) {
  passes.addPass(VectorCombinePass());
  passes.addPass(GVNPass());
  passes.addPass(SCCPPass());
  passes.addPass(InstCombinePass());
  passes.addPass(CorrelatedValuePropagationPass());
  passes.addPass(createFunctionToLoopPassAdaptor(moveOutOfLoops(/*speculates=*/true), /*UseMemorySSA=*/true));
  passes.addPass(SimplifyCFGPass(
      SimplifyCFGOptions().convertSwitchRangeToICmp(true).convertSwitchToArithmetic(true).hoistCommonInsts(true).sinkCommonInsts(
          true)));
  passes.addPass(InstCombinePass());
  LoopPassManager turning;
  turning.addPass(LoopRotatePass());
  turning.addPass(LoopDeletionPass());
  passes.addPass(createFunctionToLoopPassAdaptor(std::move(turning)));
  passes.addPass(InferAlignmentPass());
  passes.addPass(LoopUnrollPass(LoopUnrollOptions(unrollingOfO3)));
  passes.addPass(InstCombinePass());
  passes.addPass(DivRemPairsPass());
}

static ModulePassManager gpuPasses(PassBuilder &builder) {
  ModulePassManager passes;
  builder.invokePipelineStartEPCallbacks(passes, OptimizationLevel::O3); // ranges of thread numbers
  addFirstPasses(passes);
  FunctionPassManager functions;
  addScalarPasses(functions);
  addLoopPasses(functions);
  addLastPasses(functions);
  passes.addPass(createModuleToFunctionPassAdaptor(std::move(functions)));
  return passes;
}

/// Arguments of kernels that start while earlier ones run, without those that are said to be constant.
static SmallVector<Argument *> writtenByOthers(Module &module) {
  auto waits = [](const Instruction &instruction) {
    auto *call = dyn_cast<CallBase>(&instruction);
    auto *text = call ? dyn_cast<InlineAsm>(call->getCalledOperand()) : nullptr;
    return text && StringRef(text->getAsmString()).contains("griddepcontrol.wait");
  };
  SmallVector<Argument *> found;
  for (Function &function : module)
    if (any_of(instructions(function), waits))
      for (Argument &argument : function.args())
        if (!argument.hasAttribute(Attribute::ReadOnly))
          found.push_back(&argument);
  return found;
}

void sm1::optimize(Module &module, TargetMachine &machine) {
  bool isCpu = machine.getTargetTriple().isX86();
  // With an empty library no loop becomes a call of memset or memcpy, which flat code could not reach.
  TargetLibraryInfoImpl library(machine.getTargetTriple());
  library.disableAllFunctions();
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager graphs;
  ModuleAnalysisManager modules;
  PipelineTuningOptions tuning;
  // Kernels of a CPU are vectors already, and unrolled as their schedules say; more of it doubles the code and the time it takes.
  tuning.LoopVectorization = tuning.SLPVectorization = tuning.LoopUnrolling = false;
  PassBuilder builder(&machine, tuning);
  functions.registerPass([&] { return TargetLibraryAnalysis(library); });
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(graphs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, graphs, modules);
  ModulePassManager passes = isCpu ? builder.buildPerModuleDefaultPipeline(OptimizationLevel::O3) : gpuPasses(builder);
  SmallVector<Argument *> written = writtenByOthers(module);
  passes.run(module, modules);
  // What is only read LLVM reads by ld.global.nc. That may find a line in the first cache which it brought there before an earlier
  // kernel wrote it, and is for what nobody writes while the kernel is there.
  for (Argument *argument : written)
    for (Attribute::AttrKind kind : {Attribute::ReadOnly, Attribute::ReadNone})
      argument->removeAttr(kind);
}
