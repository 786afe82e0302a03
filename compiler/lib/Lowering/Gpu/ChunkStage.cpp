//===- ChunkStage.cpp - a chunk of a scan on its way through shared memory ----------------------------------------===//

#include "ChunkStage.h"

#include "GpuOps.h"

using namespace mlir;
using namespace sm1;

static constexpr int64_t copiedBytes = 16, streamBytes = 2, copiedLanes = copiedBytes / streamBytes;

ChunkStage::ChunkStage(BlockKernel &block, ArrayRef<BlockArgument> streams, int64_t width)
    : block(block), streams(streams), width(width), chunkRows(block.schedule.getRowTile()),
      pairs(chunkRows * width / threadLanes / block.schedule.getThreads() / rowsTogether) {
  Type element = getElementTypeOrSelf(streams.front().getType());
  memory = block.shared({int64_t(streams.size()) * chunkRows, width}, element);
  unit = block.rem(block.thread, width / threadLanes);
  group = block.div(block.thread, width / threadLanes);
}

void ChunkStage::fill(Value firstRow, Value firstUnit, Value rowEnd) {
  OpBuilder &builder = block.builder;
  Value bytes = arith::ConstantIntOp::create(builder, block.loc, copiedBytes, 32);
  Value odd = block.rem(block.thread, rowsTogether), column = block.mul(block.div(unit, copiedLanes / threadLanes), copiedLanes);
  Value firstColumn = block.add(block.mul(firstUnit, threadLanes), column);
  for (int64_t pair = 0; pair < pairs; ++pair) {
    Value own = block.add(block.constant(pair * rowsTogether), odd), row = block.add(firstRow, own);
    if (rowEnd)
      row = block.least(row, block.sub(rowEnd, block.constant(1)));
    Value rowInStage = block.add(block.mul(group, pairs * rowsTogether), own);
    for (auto [index, stream] : llvm::enumerate(streams)) {
      Value place = block.add(block.mul(row, strideOf(channels(stream.getType()))), firstColumn);
      Value from = cuda::addressOf(builder, block.loc, block.buffers.inputs.lookup(stream), block.mul(place, streamBytes),
                                   cuda::globalMemory);
      Value placeInStage = block.add(block.mul(block.add(rowInStage, block.constant(int64_t(index) * chunkRows)), width), column);
      Value to = cuda::addressOf(builder, block.loc, memory, block.mul(placeInStage, streamBytes), cuda::sharedMemory);
      cuda::copyAsync(builder, block.loc, to, from, bytes);
    }
    cuda::commitCopies(builder, block.loc);
  }
}

ChunkStage::Rows ChunkStage::take(int64_t pair) {
  cuda::waitForCopies(block.builder, block.loc, uint32_t(pairs - 1 - pair));
  cuda::warpBarrier(block.builder, block.loc);
  Rows rows(streams.size());
  for (size_t stream = 0; stream < streams.size(); ++stream)
    for (int64_t row = 0; row < rowsTogether; ++row) {
      Value at = block.add(block.mul(group, pairs * rowsTogether),
                           block.constant(int64_t(stream) * chunkRows + pair * rowsTogether + row));
      rows[stream].push_back(block.load(memory, {at, block.mul(unit, threadLanes)}, threadLanes));
    }
  return rows;
}
