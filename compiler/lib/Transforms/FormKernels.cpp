//===- FormKernels.cpp - give every operation a kernel of its own ------------------------------------------------===//

#include "KernelMerge.h"
#include "sm1c/Transforms/Passes.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

namespace sm1 {
#define GEN_PASS_DEF_FORMKERNELS
#include "sm1c/Transforms/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

/// What was rounded, as f32 again. What rounds it is a kernel by then.
static bool widensRounded(Operation *op) {
  auto widened = dyn_cast<arith::ExtFOp>(op);
  KernelOp maker = widened ? definingKernel(widened.getIn()) : KernelOp();
  return maker && onlyRounds(maker);
}

/// Copied into each kernel that uses it: what is the same for every row, what is widened, since what is narrow has fewer bytes to
/// read, and comparisons and integers, which have no memory form.
static bool isRepeated(Operation *op) {
  auto hasNoMemoryForm = [](Type type) { return classify(type) == TensorClass::Unknown; };
  return isRowInvariant(op) || widensRounded(op) ||
         (OpTrait::hasElementwiseMappableTraits(op) && llvm::all_of(op->getResultTypes(), hasNoMemoryForm));
}

static bool isStructure(Operation *op) {
  return isa<ParamOp, LayersOp, KernelOp, LaunchOp>(op) || op->hasTrait<OpTrait::IsTerminator>();
}

static bool hasKernelForm(Operation *op) {
  return isa<EmbeddingOp, LinearOp, RmsNormOp, Conv1dOp, ScanOp, SelectiveScanOp, SplitOp, SelectRowsOp, BroadcastOp>(op) ||
         (OpTrait::hasElementwiseMappableTraits(op) && llvm::all_of(op->getResultTypes(), isStream));
}

static std::string nameFor(Operation *op) {
  Value weight;
  if (auto linear = dyn_cast<LinearOp>(op))
    weight = linear.getWeight();
  else if (auto norm = dyn_cast<RmsNormOp>(op))
    weight = norm.getWeight();
  std::string stem = weight ? stemOfWeight(weight) : "";
  return stem.empty() ? op->getName().stripDialect().str() : stem;
}

/// `op` and the repeated operations behind it, in order, and the values they read from outside.
static void collect(Operation *op, llvm::SetVector<Operation *> &ops, llvm::SetVector<Value> &inputs) {
  for (Value operand : op->getOperands()) {
    Operation *producer = operand.getDefiningOp();
    if (producer && isRepeated(producer))
      collect(producer, ops, inputs);
    else
      inputs.insert(operand);
  }
  ops.insert(op);
}

/// True if `value` has one row per selected row.
static bool isSelected(Value value) {
  auto kernel = value.getDefiningOp<KernelOp>();
  return kernel && kernel.getSelected();
}

/// A kernel of `op` that yields `results` of it, before it.
static void wrap(IRRewriter &rewriter, Operation *op, ValueRange results) {
  llvm::SetVector<Operation *> ops;
  llvm::SetVector<Value> inputs;
  collect(op, ops, inputs);
  bool selected = isa<SelectRowsOp>(op) || llvm::any_of(inputs, isSelected);
  auto kernel = KernelOp::create(rewriter, op->getLoc(), TypeRange(results), rewriter.getStringAttr(nameFor(op)),
                                 inputs.getArrayRef(), ScheduleAttr(), BlockScheduleAttr(), selected);
  OpBuilder::InsertionGuard guard(rewriter);
  Block *block = rewriter.createBlock(&kernel.getBody());
  IRMapping mapping;
  for (Value input : inputs)
    mapping.map(input, block->addArgument(input.getType(), input.getLoc()));
  for (Operation *part : ops)
    rewriter.clone(*part, mapping);
  YieldOp::create(rewriter, op->getLoc(), llvm::map_to_vector(results, [&](Value result) { return mapping.lookup(result); }));
  rewriter.replaceAllUsesWith(results, kernel.getResults());
}

static SmallVector<Value> usedResults(Operation *op) {
  SmallVector<Value> used;
  llvm::copy_if(op->getResults(), std::back_inserter(used), [](Value result) { return !result.use_empty(); });
  return used;
}

namespace {
struct FormKernels : sm1::impl::FormKernelsBase<FormKernels> {
  void runOnOperation() override {
    WalkResult result = getOperation()->walk([&](Operation *op) {
      if (!isa<ModelOp, LayersOp>(op))
        return WalkResult::advance();
      return WalkResult(formIn(op->getRegion(0).front()));
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }

private:
  LogicalResult formIn(Block &block) {
    IRRewriter rewriter(&getContext());
    for (Operation &op : llvm::make_early_inc_range(block)) {
      // What is repeated is written to memory only where no kernel reads it: at the end of a model or layer, and by layers.
      bool isWritten = !isRepeated(&op) || llvm::any_of(op.getUsers(), isStructure);
      if (isStructure(&op) || !isWritten || op.use_empty())
        continue;
      if (!hasKernelForm(&op))
        return op.emitError("'")
               << op.getName()
               << "' has no kernel form; a description is made of sm1 operators and of elementwise arith and math on streams";
      rewriter.setInsertionPoint(&op);
      // The parts of a split have different widths, and a kernel has one.
      if (isa<SplitOp>(op))
        for (Value part : op.getResults())
          wrap(rewriter, &op, part);
      else
        wrap(rewriter, &op, usedResults(&op));
    }
    // What was copied into kernels has no user left outside; neither have the originals.
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
      if (!isa<KernelOp>(op) && isOpTriviallyDead(&op))
        rewriter.eraseOp(&op);
    return success();
  }
};
} // namespace
