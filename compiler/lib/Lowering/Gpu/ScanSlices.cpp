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

std::pair<Value, Value> sm1::rowsOfSegment(BlockKernel &block, Value segment) {
  auto table = [&](Value index) {
    Value row = block.loadScalar(block.buffers.segmentStart, index);
    return arith::IndexCastOp::create(block.builder, block.loc, block.builder.getIndexType(), row).getResult();
  };
  Value start = table(segment);
  return {start, table(block.add(segment, block.constant(1)))};
}

Value sm1::initialState(BlockKernel &block, ScanOp scan, Value segment, Value channel) {
  Value init = scan.getInit();
  return init ? block.loadScalar(block.buffers.inputs.lookup(init), {segment, channel}) : block.number(0);
}

void sm1::storeLastState(BlockKernel &block, ScanOp scan, Value state, Value segment, Value channel) {
  for (auto [index, yielded] : llvm::enumerate(block.kernel.yielded()))
    if (yielded == scan.getLast())
      block.storeScalar(state, block.buffers.results[index], {segment, channel});
}
