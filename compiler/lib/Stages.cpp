//===- Stages.cpp - the pipeline, read top to bottom -------------------------------------------------------------===//

#include "sm1c/Stages.h"
#include "sm1c/Codegen.h"
#include "sm1c/Codegen/Passes.h"
#include "sm1c/Lowering/Passes.h"
#include "sm1c/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

#include <iterator>

using namespace mlir;
using namespace sm1;

namespace sm1 {
#define GEN_PASS_REGISTRATION
#include "sm1c/Transforms/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "sm1c/Lowering/Passes.h.inc"
} // namespace sm1

StringRef sm1::stageName(Stage stage) {
  static constexpr llvm::StringLiteral names[] = {"spec", "precise", "fused", "scheduled", "target"};
  return names[static_cast<int>(stage)];
}

std::optional<Stage> sm1::parseStage(StringRef name) {
  for (Stage stage : allStages)
    if (stageName(stage) == name)
      return stage;
  return std::nullopt;
}

namespace {
struct EntryFacts {
  llvm::StringLiteral name, suffix; ///< of the entry, and what the names of its own kernels end in
  RunSize size;
  bool needsWgmma = false; ///< only targets with wgmma have it
};
} // namespace

/// In the order of Entry.
static constexpr EntryFacts entryTable[] = {
    {"", "", RunSize::Many},                               // Both
    {"prefill", "", RunSize::Many},                        // Prefill
    {"prefill_long", "_long", RunSize::Many, true},        // PrefillLong
    {"prefill_larger", "_larger", RunSize::Many, true},    // PrefillLarger
    {"prefill_large", "_large", RunSize::Some, true},      // PrefillLarge
    {"prefill_most", "_most", RunSize::Some, true},        // PrefillMost
    {"prefill_more", "_more", RunSize::Some, true},        // PrefillMore
    {"prefill_some", "_some", RunSize::Some},              // PrefillSome
    {"prefill_several", "_several", RunSize::Some, true},  // PrefillSeveral
    {"prefill_few", "_few", RunSize::Few},                 // PrefillFew
    {"step", "_step", RunSize::Few},                       // Step
    {"step_few", "_step_few", RunSize::Few, true},         // StepFew
    {"step_several", "_step_several", RunSize::Few, true}, // StepSeveral
    {"step_some", "_step_some", RunSize::Few},             // StepSome
    {"step_many", "_step_many", RunSize::Some},            // StepMany
    {"step_most", "_step_most", RunSize::Some, true},      // StepMost
};
static_assert(std::size(entryTable) == size_t(Entry::StepMost) + 1);

static const EntryFacts &factsOf(Entry entry) { return entryTable[static_cast<int>(entry)]; }

StringRef sm1::entryName(Entry entry) { return factsOf(entry).name; }
StringRef sm1::nameSuffix(Entry entry) { return factsOf(entry).suffix; }
RunSize sm1::sizeOf(Entry entry) { return factsOf(entry).size; }

std::optional<Entry> sm1::parseEntry(StringRef name) {
  for (Entry entry : gpuEntries)
    if (entryName(entry) == name)
      return entry;
  return std::nullopt;
}

bool sm1::hasEntry(const Target &target, Entry entry) {
  return target.isGpu() == (entry != Entry::Both) && (!factsOf(entry).needsWgmma || target.wgmma);
}

/// Rows of prompts up to which one program is faster than the next: mostly those whose tiles find a multiprocessor each.
static constexpr int64_t mostOfPrefillFew = 128, mostOfPrefillSeveral = 320, mostOfPrefillSome = 512, mostOfPrefillMore = 768,
                         mostOfPrefillMost = 1024, mostOfPrefillLarge = 1536, mostOfPrefillLarger = 2112;
/// The same of targets without wgmma, which have two such programs.
static constexpr int64_t mostOfFewElsewhere = 192, mostOfSomeElsewhere = 1536;
/// Sequences of a step that go row by row where there are no tiles for few.
static constexpr int64_t mostOfStep = 16;
/// Sequences whose rows fit one tile. Clusters of blocks then share its sums, which is faster than row by row even for one
/// sequence, where no launch takes whole tokens. Up to the first number kernels let the next one start at once.
static constexpr int64_t mostOfStepFew = 32, mostOfStepSeveral = 64;
/// Sequences up to which tiles for few rows are faster than those for some.
static constexpr int64_t mostOfStepSome = 192;
/// Sequences whose tiles of 64 rows, of two blocks of a cluster each where there are fewest, find a multiprocessor each.
static constexpr int64_t mostOfStepMany = 384;

std::optional<EntryRange> sm1::rangeOf(Entry entry, bool ofWgmma) {
  switch (entry) {
  case Entry::PrefillFew:
    return EntryRange{"prefill", 1, ofWgmma ? mostOfPrefillFew : mostOfFewElsewhere};
  case Entry::PrefillSeveral:
    return EntryRange{"prefill", mostOfPrefillFew + 1, mostOfPrefillSeveral};
  case Entry::PrefillSome:
    return ofWgmma ? EntryRange{"prefill", mostOfPrefillSeveral + 1, mostOfPrefillSome}
                   : EntryRange{"prefill", mostOfFewElsewhere + 1, mostOfSomeElsewhere};
  case Entry::PrefillMore:
    return EntryRange{"prefill", mostOfPrefillSome + 1, mostOfPrefillMore};
  case Entry::PrefillMost:
    return EntryRange{"prefill", mostOfPrefillMore + 1, mostOfPrefillMost};
  case Entry::PrefillLarge:
    return EntryRange{"prefill", mostOfPrefillMost + 1, mostOfPrefillLarge};
  case Entry::PrefillLarger:
    return EntryRange{"prefill", mostOfPrefillLarge + 1, mostOfPrefillLarger};
  case Entry::PrefillLong:
    return EntryRange{"prefill", mostOfPrefillLarger + 1, INT32_MAX};
  case Entry::StepFew:
    return EntryRange{"step", 1, mostOfStepFew};
  case Entry::StepSeveral:
    return EntryRange{"step", mostOfStepFew + 1, mostOfStepSeveral};
  case Entry::StepSome:
    return EntryRange{"step", (ofWgmma ? mostOfStepSeveral : mostOfStep) + 1, mostOfStepSome};
  case Entry::StepMany:
    return EntryRange{"step", mostOfStepSome + 1, ofWgmma ? mostOfStepMany : INT32_MAX};
  case Entry::StepMost:
    return EntryRange{"step", mostOfStepMany + 1, INT32_MAX};
  default:
    return std::nullopt;
  }
}

namespace {
struct FusionPass {
  llvm::StringLiteral flag;
  std::unique_ptr<Pass> (*create)();
};
} // namespace

/// In this order: what ends in a scan first, then what ends in a projection; norms last, when their users are one kernel.
static constexpr llvm::StringLiteral projectionScan = "sm1-fuse-projection-scan";
static constexpr FusionPass fusions[] = {
    {"sm1-fuse-elementwise", createFuseElementwise},
    {"sm1-fuse-scan-producers", createFuseScanProducers},
    {"sm1-fuse-scan-readout", createFuseScanReadout},
    {"sm1-fuse-conv-norm", createFuseConvNorm},
    {"sm1-fuse-projection-siblings", createFuseProjectionSiblings},
    {"sm1-fuse-projection-epilogue", createFuseProjectionEpilogue},
    {projectionScan, createFuseProjectionScan},
    {"sm1-fuse-norm-projection", createFuseNormProjection},
    {"sm1-fuse-rounding", createFuseRounding},
};

/// The last of them, for GPUs' steps of many sequences and prompts of few rows, and of many on sm_90a: elsewhere more rows write
/// and read more than a kernel less saves.
static constexpr llvm::StringLiteral normHalves = "sm1-fuse-norm-halves";

std::vector<StringRef> sm1::fusionPasses() {
  std::vector<StringRef> flags;
  for (const FusionPass &fusion : fusions)
    flags.push_back(fusion.flag);
  flags.push_back(normHalves);
  return flags;
}

/// Programs whose tiles multiply e4m3: of many rows. The others wait for weights or for each other, and keep bf16, as that for most
/// does, where tiles of bf16 find a multiprocessor each and norms, which are whole beside e4m3, would cost more than it saves.
static bool multipliesFp8(const StageOptions &options) {
  return options.fp8 && llvm::is_contained({Entry::Prefill, Entry::PrefillLong, Entry::PrefillLarger, Entry::PrefillLarge,
                                            Entry::PrefillMore, Entry::PrefillSome},
                                           options.entry);
}

static void buildPrecise(OpPassManager &passes, const StageOptions &options) {
  if (options.form != ScanForm::Exact)
    passes.addPass(createSetScanForm({stringifyScanForm(options.form).str()}));
  passes.addPass(createCanonicalizerPass()); // a split of a projection becomes projections
  // What a GPU rounds of streams depends on its programs' kernels: sm1-schedule-for-gpu.
  bool roundsStreams = options.entry == Entry::Both && options.compute == "bf16";
  passes.addPass(createMakePrecise({options.storage, multipliesFp8(options) ? "fp8" : options.compute, roundsStreams}));
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
}

/// What a GPU leaves apart when there are many rows: projections run in any order of rows and panels, while a scan walks rows in
/// order, unless tiles are chunks of a sequence, and a norm needs whole ones.
static bool keepsApart(const StageOptions &options, StringRef flag) {
  bool prefills = options.entry != Entry::Both && !isStep(options.entry);
  return (prefills && !takesChunks(options.entry) && flag == projectionScan) ||
         ((prefills || rangeOf(options.entry)) && flag == "sm1-fuse-norm-projection");
}

static void buildFused(OpPassManager &passes, const StageOptions &options) {
  passes.addPass(createSelectRows());
  passes.addPass(createCSEPass());
  passes.addPass(createFormKernels());
  if (!options.unfused.empty()) {
    KeepApartOptions apart;
    apart.kernels.assign(options.unfused.begin(), options.unfused.end());
    passes.addPass(createKeepApart(apart));
  }
  for (const FusionPass &fusion : fusions)
    if (!llvm::is_contained(options.disabled, fusion.flag) && !keepsApart(options, fusion.flag))
      passes.addPass(fusion.flag == projectionScan ? createFuseProjectionScan({takesChunks(options.entry)}) : fusion.create());
  bool dividesNorms = rangeOf(options.entry) && (isStep(options.entry) || sizeOf(options.entry) == RunSize::Few);
  if (dividesNorms && !llvm::is_contained(options.disabled, normHalves))
    passes.addPass(createFuseNormHalves({isStep(options.entry), /*tiles=*/false}));
  passes.addPass(createCSEPass());
}

static void buildScheduled(OpPassManager &passes, const StageOptions &options) {
  std::string name = options.target->name.str();
  // What is fused is all GPUs'; tiles of more than few rows that pay for the halves of a norm are one target's.
  bool isOfMore = options.target->wgmma && !isStep(options.entry) && sizeOf(options.entry) != RunSize::Few;
  if (isOfMore && !llvm::is_contained(options.disabled, normHalves))
    passes.addPass(createFuseNormHalves({/*step=*/false, /*tiles=*/sizeOf(options.entry) == RunSize::Many}));
  if (options.target->isGpu())
    passes.addPass(createScheduleForGpu({name, entryName(options.entry).str(), options.compute, options.schedule, options.tuned}));
  else
    passes.addPass(createScheduleForCpu({name, options.schedule, options.tuned}));
}

static void buildTarget(OpPassManager &passes, const StageOptions &options) {
  if (options.target->isGpu())
    passes.addPass(createKernelToGpu({options.target->name.str(), isStep(options.entry)}));
  else
    passes.addPass(createKernelToCpu({/*maddLanes=*/options.target->integerDots ? 0 : options.target->vectorLanes}));
  passes.addPass(createCopyCarried({options.target->isGpu() && options.target->gpu->overlapsKernels()}));
  // Functions one by one, as many at a time as there are threads.
  OpPassManager &functions = passes.nest<func::FuncOp>();
  if (options.target->isGpu() && options.compute == "bf16")
    functions.addPass(createApproximateMath());
  functions.addPass(createExpandMath());
  // Nothing here makes blocks that regions could lose.
  functions.addPass(
      createCanonicalizerPass(GreedyRewriteConfig().setRegionSimplificationLevel(GreedySimplifyRegionLevel::Disabled)));
  functions.addPass(createCSEPass());
  functions.addPass(createLoopInvariantCodeMotionPass());
  if (!options.target->isGpu())
    functions.addPass(createSpreadSteps());
  OpPassManager &model = passes.nest<ModelOp>();
  model.addPass(createCanonicalizerPass());
  model.addPass(createCSEPass());
}

void sm1::buildStage(OpPassManager &passes, Stage stage, const StageOptions &options) {
  switch (stage) {
  case Stage::Spec:
    return;
  case Stage::Precise:
    return buildPrecise(passes, options);
  case Stage::Fused:
    return buildFused(passes, options);
  case Stage::Scheduled:
    return buildScheduled(passes, options);
  case Stage::Target:
    return buildTarget(passes, options);
  }
}

namespace {
/// Options of the pipelines sm1-to-<stage>.
struct PipelineOptions : PassPipelineOptions<PipelineOptions> {
  Option<std::string> target{*this, "target", llvm::cl::desc("a name of the target table"), llvm::cl::init("x86-64-v4")};
  Option<std::string> entry{
      *this, "entry",
      llvm::cl::desc("for a GPU: prefill, prefill_long, prefill_larger, prefill_large, prefill_most, prefill_more, "
                     "prefill_some, prefill_several, prefill_few, step, step_few, step_several, "
                     "step_some, step_many or step_most"),
      llvm::cl::init("prefill")};
  Option<std::string> weights{*this, "weights", llvm::cl::desc("storage of matrices"), llvm::cl::init("f32")};
  Option<std::string> compute{*this, "compute", llvm::cl::desc("what projections multiply"), llvm::cl::init("f32")};
};
} // namespace

static void buildUpTo(OpPassManager &passes, Stage last, const PipelineOptions &given) {
  StageOptions options;
  options.storage = given.weights;
  options.compute = given.compute;
  if ((options.fp8 = options.compute == "fp8"))
    options.compute = "bf16";
  options.target = findTarget(given.target);
  if (!options.target) // which says what is wrong
    return passes.addPass(createScheduleForCpu({given.target, "", ""}));
  if (options.target->isGpu() && !parseEntry(given.entry)) // likewise
    return passes.addPass(createScheduleForGpu({given.target, given.entry, given.compute, "", ""}));
  if (options.target->isGpu())
    options.entry = parseEntry(given.entry).value_or(Entry::Prefill);
  for (Stage stage : allStages)
    if (stage <= last)
      buildStage(passes, stage, options);
}

void sm1::registerPasses() {
  registerSm1TransformsPasses();
  registerSm1LoweringPasses();
  registerCodegenPasses();
  for (Stage stage : {Stage::Precise, Stage::Fused, Stage::Scheduled, Stage::Target})
    PassPipelineRegistration<PipelineOptions>(
        ("sm1-to-" + stageName(stage)).str(), ("from a description to the stage " + stageName(stage)).str(),
        [stage](OpPassManager &passes, const PipelineOptions &options) { buildUpTo(passes, stage, options); });
}
