//===- SelectRows.cpp - compute selected results only for the rows that the caller asks for ===//

#include "KernelMerge.h"
#include "sm1c/Transforms/Passes.h"

#include "mlir/IR/IRMapping.h"

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

namespace {
/// The copy of a computation that runs over the selected rows only.
class Selection {
public:
  explicit Selection(IRRewriter &rewriter) : rewriter(rewriter) {}

  /// `value` for the selected rows.
  Value select(Value value) {
    if (Value known = mapping.lookupOrNull(value))
      return known;
    Operation *op = value.getDefiningOp();
    if (classify(value.getType()) != TensorClass::Stream || (op && isRowInvariant(op)))
      return value;
    if (op && isRowWise(op) && llvm::all_of(op->getResults(), [](Value v) { return v.use_empty() || v.hasOneUse(); })) {
      IRMapping operands;
      for (Value operand : op->getOperands())
        operands.map(operand, select(operand));
      Operation *copy = rewriter.clone(*op, operands);
      mapping.map(op->getResults(), copy->getResults());
    } else
      mapping.map(value, SelectRowsOp::create(rewriter, value.getLoc(), value));
    return mapping.lookup(value);
  }

private:
  IRRewriter &rewriter;
  IRMapping mapping;
};

struct SelectRows : sm1::impl::SelectRowsBase<SelectRows> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    getOperation()->walk([&](ModelOp model) {
      Operation *terminator = model.getBody().front().getTerminator();
      rewriter.setInsertionPoint(terminator);
      Selection selection(rewriter);
      for (OpOperand &result : terminator->getOpOperands())
        if (model.resultIsSelected(result.getOperandNumber()))
          result.set(selection.select(result.get()));
    });
  }
};
} // namespace
