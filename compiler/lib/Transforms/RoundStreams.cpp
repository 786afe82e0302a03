//===- RoundStreams.cpp - store in bf16 what prefill kernels hand to each other ----------------------------------===//

#include "RoundStreams.h"

#include "KernelMerge.h"
#include "sm1/IR/Sm1NormHalves.h"

#include "mlir/IR/Remarks.h"

using namespace mlir;
using namespace sm1;

/// Whether an operation reads places of `stream` that are not its own row and channel.
static bool readsByIndex(Operation *op, Value stream) {
  auto scan = dyn_cast<SelectiveScanOp>(op);
  return isa<SplitOp, SelectRowsOp, YieldOp>(op) || (scan && (scan.getB() == stream || scan.getC() == stream));
}

/// Why `stream`, a result of a kernel, keeps its f32; nullptr if it can be stored in bf16.
static const char *whyNotRound(OpResult stream) {
  Operation *maker = cast<KernelOp>(stream.getOwner()).yielded()[stream.getResultNumber()].getDefiningOp();
  // Sums that go on from layer to layer would be rounded again and again.
  if (!isa_and_nonnull<LinearOp, RmsNormOp, RmsScaleOp>(maker))
    return "it is neither a projection nor a norm";
  for (OpOperand &use : stream.getUses()) {
    auto user = dyn_cast<KernelOp>(use.getOwner());
    if (!user)
      return "it leaves the kernels";
    BlockArgument argument = user.getBlock().getArgument(use.getOperandNumber());
    if (llvm::any_of(argument.getUsers(), [&](Operation *op) { return readsByIndex(op, argument); }))
      return "a kernel reads it by index";
  }
  return nullptr;
}

/// Number of the result of `kernel` that is `value` rounded to `type`, made where there is none.
static unsigned roundedResult(IRRewriter &rewriter, KernelOp kernel, unsigned number, RankedTensorType type) {
  Operation *yield = kernel.getBlock().getTerminator();
  Value value = yield->getOperand(number);
  for (auto [index, yielded] : llvm::enumerate(kernel.yielded()))
    if (auto rounding = yielded.getDefiningOp<arith::TruncFOp>();
        rounding && rounding.getIn() == value && yielded.getType() == type)
      return index;
  rewriter.setInsertionPoint(yield);
  yield->setOperand(number, arith::TruncFOp::create(rewriter, value.getLoc(), type, value));
  kernel->getResult(number).setType(type);
  return number;
}

/// A kernel like `kernel` without result `number`, which nobody uses.
static KernelOp withoutResult(IRRewriter &rewriter, KernelOp kernel, unsigned number) {
  SmallVector<Type> types(kernel.getResultTypes());
  types.erase(types.begin() + number);
  rewriter.setInsertionPoint(kernel);
  auto made = KernelOp::create(rewriter, kernel.getLoc(), types, kernel.getKernelName(), kernel.getInputs(), ScheduleAttr(),
                               BlockScheduleAttr(), kernel.getSelected());
  made.getBody().takeBody(kernel.getBody());
  made.getBlock().getTerminator()->eraseOperand(number);
  SmallVector<Value> kept(kernel.getResults());
  kept.erase(kept.begin() + number);
  for (auto [old, result] : llvm::zip(kept, made.getResults()))
    rewriter.replaceAllUsesWith(old, result);
  rewriter.eraseOp(kernel);
  return made;
}

/// Users read `rounded`, and widen it before anything else.
static void readRounded(IRRewriter &rewriter, Value stream, Value rounded) {
  for (OpOperand &use : llvm::make_early_inc_range(stream.getUses())) {
    auto user = cast<KernelOp>(use.getOwner());
    BlockArgument argument = user.getBlock().getArgument(use.getOperandNumber());
    Type wide = argument.getType();
    argument.setType(rounded.getType());
    use.set(rounded);
    rewriter.setInsertionPointToStart(&user.getBlock());
    auto widened = arith::ExtFOp::create(rewriter, argument.getLoc(), wide, argument);
    rewriter.replaceAllUsesExcept(argument, widened, widened);
  }
}

static void round(IRRewriter &rewriter, KernelOp kernel, unsigned number, RankedTensorType type) {
  remark::passed(kernel.getLoc(), remark::RemarkOpts::name("RoundStreams").category("schedule").subCategory(kernel.getKernelName()))
      << "result " + std::to_string(number) + " is stored in bf16";
  unsigned rounded = roundedResult(rewriter, kernel, number, type.clone(rewriter.getBF16Type()));
  readRounded(rewriter, kernel->getResult(number), kernel->getResult(rounded));
  if (rounded != number)
    withoutResult(rewriter, kernel, number);
}

/// Rounds the first stream that can be; false when there is none.
static bool roundOne(IRRewriter &rewriter, Operation *root) {
  return root
      ->walk([&](KernelOp kernel) {
        for (OpResult stream : kernel->getResults()) {
          auto type = cast<RankedTensorType>(stream.getType());
          if (classify(type) != TensorClass::Stream || !type.getElementType().isF32() || stream.use_empty() || whyNotRound(stream))
            continue;
          round(rewriter, kernel, stream.getResultNumber(), type);
          return WalkResult::interrupt();
        }
        return WalkResult::advance();
      })
      .wasInterrupted();
}

void sm1::roundStreams(Operation *root) {
  IRRewriter rewriter(root->getContext());
  while (roundOne(rewriter, root))
    ;
}
