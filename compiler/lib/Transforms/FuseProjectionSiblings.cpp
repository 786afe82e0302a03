//===- FuseProjectionSiblings.cpp - one kernel for projections of the same values --------------------------------===//

#include "KernelMerge.h"
#include "sm1c/Transforms/Passes.h"

#include "mlir/IR/Remarks.h"

namespace sm1 {
#define GEN_PASS_DEF_FUSEPROJECTIONSIBLINGS
#include "sm1c/Transforms/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

/// The value that every projection of `kernel` multiplies, seen from outside; null if there are several or it is computed inside.
static Value multiplied(KernelOp kernel) {
  Value x;
  for (auto linear : kernel.getBlock().getOps<LinearOp>()) {
    auto argument = dyn_cast<BlockArgument>(linear.getX());
    Value outside = argument ? kernel.getInputs()[argument.getArgNumber()] : Value();
    if (!outside || (x && x != outside))
      return {};
    x = outside;
  }
  return x;
}

/// Why `second` cannot join `first`, which stands before it; nullptr if it can.
static const char *whyNot(KernelOp first, KernelOp second) {
  if (widthOf(first) != widthOf(second))
    return "it has another width";
  if (contentsOf(first).linears + contentsOf(second).linears > maxProjections)
    return "the sums of more than three projections do not fit the registers";
  return whyNotMerge(first, second);
}

namespace {
struct FuseProjectionSiblings : sm1::impl::FuseProjectionSiblingsBase<FuseProjectionSiblings> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    while (mergeOne(rewriter))
      ;
  }

private:
  bool mergeOne(IRRewriter &rewriter) {
    SmallVector<KernelOp> kernels;
    getOperation()->walk([&](KernelOp kernel) {
      KernelContents contents = contentsOf(kernel);
      if (contents.isProjection() && !contents.elementwise && !contents.norms && multiplied(kernel))
        kernels.push_back(kernel);
    });
    for (auto [index, second] : llvm::enumerate(kernels))
      for (KernelOp first : ArrayRef(kernels).take_front(index))
        if (multiplied(first) == multiplied(second) && first->getBlock() == second->getBlock() && report(first, second)) {
          mergeKernels(rewriter, first, second, first);
          return true;
        }
    return false;
  }

  /// Says once what becomes of the pair; true if it merges.
  bool report(KernelOp first, KernelOp second) {
    auto options = remark::RemarkOpts::name("FuseProjectionSiblings").category("fusion").subCategory(second.getKernelName());
    const char *why = whyNot(first, second);
    if (!why)
      remark::passed(second.getLoc(), options) << (first.getKernelName() + " and " + second.getKernelName() + " are one kernel").str();
    else if (reported.insert({first, second}).second)
      remark::missed(second.getLoc(), options)
          << (second.getKernelName() + " stays beside " + first.getKernelName() + ": " + why).str();
    return !why;
  }

  llvm::DenseSet<std::pair<Operation *, Operation *>> reported;
};
} // namespace
