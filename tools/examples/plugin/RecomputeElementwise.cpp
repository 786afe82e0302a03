// A fusion pass that is not sm1's: what several elementwise kernels read is computed again in each, instead of once and through
// memory. sm1's own passes leave such a value alone ("its result is used elsewhere"), since they never compute anything twice.
//   sm1c two-readers.mlir -o two.sm1pkg --load-pass-plugin=./recompute.so --pipeline=fused=default,recompute-elementwise --remarks
#include "sm1c/Plugin.h"
#include "sm1c/Transforms/KernelMerge.h"

#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"

using namespace mlir;
using namespace sm1;

/// Whether `producer` is worth repeating: elementwise, and so is everything that reads it, which is more than one kernel.
static bool isRepeatable(KernelOp producer) {
  if (!contentsOf(producer).isElementwise() || producer->getNumResults() != 1)
    return false;
  SmallVector<Operation *> users(producer->getUsers());
  return users.size() > 1 && llvm::all_of(users, [&](Operation *user) {
           auto kernel = dyn_cast<KernelOp>(user);
           return kernel && contentsOf(kernel).isElementwise() && kernel->getBlock() == producer->getBlock() &&
                  kernel.getSelected() == producer.getSelected();
         });
}

/// Gives every reader a copy of its own and puts it inside.
static void repeat(IRRewriter &rewriter, KernelOp producer) {
  SmallVector<Operation *> users(producer->getUsers());
  for (Operation *user : users) {
    auto reader = cast<KernelOp>(user);
    rewriter.setInsertionPoint(reader);
    auto copy = cast<KernelOp>(rewriter.clone(*producer));
    rewriter.replaceUsesWithIf(producer->getResult(0), copy->getResult(0), [&](OpOperand &use) { return use.getOwner() == user; });
    remark::passed(reader.getLoc(), remark::RemarkOpts::name("RecomputeElementwise").category("fusion"))
        << (reader.getKernelName() + " computes " + producer.getKernelName() + " itself").str();
    mergeKernels(rewriter, copy, reader, /*named=*/reader);
  }
  rewriter.eraseOp(producer);
}

namespace {
struct RecomputeElementwise : PassWrapper<RecomputeElementwise, OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(RecomputeElementwise)
  StringRef getArgument() const override { return "recompute-elementwise"; }
  StringRef getDescription() const override {
    return "Compute elementwise values again in every elementwise kernel that reads them";
  }

  void runOnOperation() override {
    SmallVector<KernelOp> kernels;
    getOperation()->walk([&](KernelOp kernel) { kernels.push_back(kernel); });
    IRRewriter rewriter(&getContext());
    for (KernelOp kernel : llvm::reverse(kernels)) // readers first, so that what they took in is repeated, too
      if (isRepeatable(kernel))
        repeat(rewriter, kernel);
  }
};
} // namespace

static void registerPasses() { PassRegistration<RecomputeElementwise>(); }
SM1_PASS_PLUGIN("recompute", registerPasses)
