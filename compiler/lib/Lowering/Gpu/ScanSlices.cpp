//===- ScanSlices.cpp - what a block does before and after it walks a scan ---------------------------------------===//

#include "ScanSlices.h"

using namespace mlir;
using namespace sm1;

ScanSlices sm1::slicesAround(BlockKernel &block, Operation *scan, Value kept, Value added, ValueRange apart) {
  ScanSlices slices;
  for (BlockArgument argument : block.kernel.getBlock().getArguments())
    if (isStream(argument.getType()) && !llvm::is_contained(apart, argument) &&
        llvm::none_of(argument.getUsers(), [](Operation *user) { return isa<SplitOp, SelectRowsOp>(user); }))
      slices.streams.push_back(argument);
  slices.before = sliceOf(block.kernel, kept);
  for (Operation *op : sliceOf(block.kernel, added))
    if (!llvm::is_contained(slices.before, op))
      slices.before.push_back(op);
  slices.after = block.mainOps();
  llvm::erase_if(slices.after, [&](Operation *op) { return op == scan || llvm::is_contained(slices.before, op); });
  return slices;
}
