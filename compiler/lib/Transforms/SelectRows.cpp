//===- SelectRows.cpp - compute selected results only for the rows that the caller asks for ----------------------===//

#include "KernelMerge.h"
#include "sm1c/Transforms/Passes.h"

#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/SetVector.h"

namespace sm1 {
#define GEN_PASS_DEF_SELECTROWS
#include "sm1c/Transforms/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

/// Operations that compute a row from the same row of their operands.
static bool isRowWise(Operation *op) {
  return isa<LinearOp, RmsNormOp, SplitOp>(op) || (OpTrait::hasElementwiseMappableTraits(op) && !isRowInvariant(op));
}

/// The operations of `model` that only selected results need, in order: what is used by them alone, seen from the end.
static SmallVector<Operation *> selectedPart(ModelOp model) {
  llvm::SetVector<Operation *> part;
  for (Operation &op : llvm::reverse(model.getBody().front())) {
    auto isSelected = [&](OpOperand &use) {
      return part.contains(use.getOwner()) || (isa<ReturnOp>(use.getOwner()) && model.resultIsSelected(use.getOperandNumber()));
    };
    if (isRowWise(&op) && !op.use_empty() && llvm::all_of(op.getUses(), isSelected))
      part.insert(&op);
  }
  SmallVector<Operation *> ordered = part.takeVector();
  std::reverse(ordered.begin(), ordered.end());
  return ordered;
}

namespace {
struct SelectRows : sm1::impl::SelectRowsBase<SelectRows> {
  void runOnOperation() override {
    getOperation()->walk([&](ModelOp model) { selectIn(model); });
  }

private:
  void selectIn(ModelOp model) {
    SmallVector<Operation *> part = selectedPart(model);
    Operation *terminator = model.getBody().front().getTerminator();
    IRRewriter rewriter(&getContext());
    llvm::DenseMap<Value, Value> selected;
    auto select = [&](OpOperand &use) {
      Value value = use.get();
      Operation *op = value.getDefiningOp();
      bool isRepeated = op && isRowInvariant(op) && use.getOwner() != terminator;
      if (classify(value.getType()) != TensorClass::Stream || isRepeated || llvm::is_contained(part, op))
        return;
      Value &rows = selected[value];
      if (!rows) {
        rewriter.setInsertionPointAfterValue(value);
        rows = SelectRowsOp::create(rewriter, value.getLoc(), value);
      }
      use.set(rows);
    };
    for (Operation *op : part)
      for (OpOperand &operand : op->getOpOperands())
        select(operand);
    for (OpOperand &result : terminator->getOpOperands())
      if (model.resultIsSelected(result.getOperandNumber()))
        select(result);
  }
};
} // namespace
