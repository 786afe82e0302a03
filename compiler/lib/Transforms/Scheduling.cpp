//===- Scheduling.cpp - names, layouts of parameters and launches ------------------------------------------------===//

#include "Scheduling.h"

#include "sm1c/ScheduleFile.h"
#include "sm1c/Tuning.h"

#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace sm1;

/// How the body of the kernel reads its parameter `argument`; empty if it reads it in two ways.
static StringRef layoutOf(BlockArgument argument, StringRef matrixLayout) {
  StringRef layout;
  for (OpOperand &use : argument.getUses()) {
    auto linear = dyn_cast<LinearOp>(use.getOwner());
    StringRef wanted = linear && linear.getWeight() == argument   ? matrixLayout
                       : linear && linear.getScales() == argument ? "scales"
                       : isa<EmbeddingOp>(use.getOwner())         ? "rows"
                                                                  : "channels";
    if (!layout.empty() && layout != wanted)
      return {};
    layout = wanted;
  }
  return layout;
}

/// Each parameter of `kernel` gets the layout it is read in; one that others read differently is named a second time.
static LogicalResult chooseLayouts(IRRewriter &rewriter, KernelOp kernel, const Scheduler &scheduler) {
  for (OpOperand &input : kernel->getOpOperands()) {
    auto param = input.get().getDefiningOp<ParamOp>();
    if (!param)
      continue;
    StringRef matrixLayout = scheduler.matrixLayout(kernel, getElementTypeOrSelf(param.getType()));
    StringRef layout = layoutOf(kernel.getBlock().getArgument(input.getOperandNumber()), matrixLayout);
    if (layout.empty())
      return kernel.emitOpError("reads parameter '") << param.getTensor() << "' in two layouts; give it two sm1.param";
    if (param.getLayout() && *param.getLayout() != layout) {
      rewriter.setInsertionPoint(param);
      param = cast<ParamOp>(rewriter.clone(*param));
      input.set(param);
    }
    param.setLayout(layout);
  }
  return success();
}

/// True for "w_step" and "w_step_2" where `suffix` is "_step".
static bool endsIn(StringRef name, StringRef suffix) {
  StringRef stem = name.rtrim("0123456789");
  if (stem != name)
    stem.consume_back("_");
  return name.ends_with(suffix) || stem.ends_with(suffix);
}

static void launch(IRRewriter &rewriter, KernelOp kernel) {
  rewriter.setInsertionPoint(kernel);
  auto launch = LaunchOp::create(rewriter, kernel.getLoc(), kernel.getResultTypes(), Sync::None);
  rewriter.replaceAllUsesWith(kernel.getResults(), launch.getResults());
  Block *block = rewriter.createBlock(&launch.getBody());
  rewriter.moveOpBefore(kernel, block, block->end());
  rewriter.setInsertionPointToEnd(block);
  YieldOp::create(rewriter, kernel.getLoc(), kernel.getResults());
}

LogicalResult sm1::scheduleKernels(Operation *root, const Scheduler &scheduler) {
  // Kernels become functions beside the model, whose name is taken.
  llvm::StringSet<> names;
  for (Operation &op : root->getRegion(0).front())
    if (auto symbol = dyn_cast<SymbolOpInterface>(op))
      names.insert(symbol.getName());
  // Numbers go by the name alone, which entries share: what two of them have is called the same, whatever suffixes others have.
  llvm::StringMap<int> numbers;
  auto uniqueName = [&](KernelOp kernel) {
    StringRef name = kernel.getKernelName();
    std::string suffix = scheduler.suffix ? scheduler.suffix(kernel) : "";
    bool looksForeign = llvm::any_of(scheduler.foreignSuffixes, [&](StringRef foreign) { return endsIn(name, foreign); });
    std::string stem = (name + (looksForeign ? "_rows" : "") + suffix).str();
    int number = ++numbers[name];
    std::string unique = number == 1 ? stem : stem + "_" + std::to_string(number);
    while (!names.insert(unique).second)
      unique = stem + "_" + std::to_string(++number);
    return unique;
  };
  std::optional<ScheduleFile> overrides;
  if (!scheduler.overrides.empty()) {
    auto read = ScheduleFile::read(scheduler.overrides);
    if (!read)
      return root->emitError(llvm::toString(read.takeError()));
    overrides.emplace(std::move(*read));
  }
  auto tuned = TunedSchedules::load(scheduler.tuned);
  if (!tuned)
    return root->emitError(llvm::toString(tuned.takeError()));
  SmallVector<KernelOp> kernels;
  root->walk([&](KernelOp kernel) { kernels.push_back(kernel); });
  IRRewriter rewriter(root->getContext());
  for (KernelOp kernel : kernels) {
    bool isGiven = kernel.getSchedule() || kernel.getBlocks();
    scheduler.choose(kernel);
    kernel.setKernelName(uniqueName(kernel));
    if (!isGiven && failed(tuned->apply(kernel, scheduler.key(kernel), *scheduler.target, scheduler.isStep)))
      return failure();
    if (overrides && failed(overrides->apply(kernel, kernel.getKernelName(), *scheduler.target)))
      return failure();
    if (failed(chooseLayouts(rewriter, kernel, scheduler)))
      return failure();
    if (!kernel->getParentOfType<LaunchOp>())
      launch(rewriter, kernel);
  }
  return success();
}
