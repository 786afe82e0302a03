//===- SpreadSteps.cpp - steps of tile registers among the vectors that work beside them -------------------------===//
//
// A core takes instructions in order until so many of them wait for each other, or tiles for registers, that it has to stop. Behind
// a step of four products it soon does, and behind some hundred vector instructions of one chain, too. So both work at once only
// where they alternate every few instructions.

#include "MatrixTiles.h"
#include "sm1c/Lowering/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace sm1 {
#define GEN_PASS_DEF_SPREADSTEPS
#include "sm1c/Lowering/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

/// Whether vectors take time for it.
static bool isWork(Operation &op) {
  return op.getNumResults() == 1 && isa<VectorType>(op.getResult(0).getType()) && !op.hasTrait<OpTrait::ConstantLike>() &&
         !isa<vector::BroadcastOp>(op);
}

/// Holds the first operands of `target`, and of as many operations like it as follow, behind what is in front of it: LLVM keeps an
/// order between pieces of assembly, which are empty here, and steps, but not between steps and arithmetic.
static void pin(Operation *target) {
  constexpr int64_t most = 4;
  OpBuilder builder(target);
  Operation *op = target;
  for (int64_t i = 0; i < most && op && op->getName() == target->getName(); ++i, op = op->getNextNode()) {
    if (op->getNumOperands() == 0)
      continue;
    Value operand = op->getOperand(0);
    Operation *source = operand.getDefiningOp();
    auto type = dyn_cast<VectorType>(operand.getType());
    if (!source || source->getBlock() != target->getBlock() || !source->isBeforeInBlock(target) || !type ||
        type.getNumElements() != panelWidth || type.getElementTypeBitWidth() != 32)
      continue;
    auto pinned =
        LLVM::InlineAsmOp::create(builder, op->getLoc(), type, operand, "", "=v,0", /*has_side_effects=*/true,
                                  /*is_align_stack=*/false, LLVM::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr());
    op->setOperand(0, pinned.getResult(0));
  }
}

/// What marked operations compute for others stays where it is.
static void spread(Block &block) {
  SmallVector<SmallVector<Operation *>> steps;
  SmallVector<Operation *> work;
  for (Operation &op : block) {
    if (auto number = op.getAttrOfType<IntegerAttr>(stepAttr)) {
      steps.resize(std::max<size_t>(steps.size(), size_t(number.getInt()) + 1));
      steps[size_t(number.getInt())].push_back(&op);
    } else if (isWork(op)) {
      work.push_back(&op);
    }
  }
  if (work.empty())
    return;
  for (auto [number, step] : llvm::enumerate(steps)) {
    Operation *target = work[number * work.size() / steps.size()];
    llvm::SmallPtrSet<Operation *, 32> moved;
    for (Operation *op : llvm::reverse(step))
      if (llvm::all_of(op->getUsers(), [&](Operation *user) { return moved.contains(user); }))
        moved.insert(op);
    for (Operation *op : step)
      if (moved.contains(op))
        op->moveBefore(target);
    pin(target);
  }
}

namespace {
struct SpreadSteps : sm1::impl::SpreadStepsBase<SpreadSteps> {
  void runOnOperation() override {
    getOperation()->walk([](Block *block) { spread(*block); });
    getOperation()->walk([](Operation *op) { op->removeAttr(stepAttr); });
  }
};
} // namespace
