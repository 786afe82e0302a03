//===- ChunkInputs.cpp - what a thread reads of a chunk of a scan, through registers or shared memory -------------===//

#include "ChunkInputs.h"

#include "GpuOps.h"

using namespace mlir;
using namespace sm1;

//===----------------------------------------------------------------------===//
// Registers
//===----------------------------------------------------------------------===//

namespace {
class RegisterInputs : public ChunkInputs {
public:
  RegisterInputs(ArrayRef<BlockArgument> streams) : streams(streams) {}

  void begin(Value, Value, Value) override {}
  /// Enough for the memory, and few enough for the registers.
  int64_t rowsAhead() const override { return 2; }
  void give(TileEvaluator &evaluator, int64_t) override {
    for (BlockArgument stream : streams)
      evaluator.at(stream, 0, 0);
  }

private:
  ArrayRef<BlockArgument> streams;
};
} // namespace

std::unique_ptr<ChunkInputs> sm1::makeRegisterInputs(ArrayRef<BlockArgument> streams) {
  return std::make_unique<RegisterInputs>(streams);
}

//===----------------------------------------------------------------------===//
// Shared memory
//===----------------------------------------------------------------------===//

static constexpr int64_t copiedBytes = 16, streamBytes = 2, copiedLanes = copiedBytes / streamBytes;
/// Two lanes that are neighbours copy for each other, each the eight channels of both in every second row.
static constexpr int64_t rowsTogether = 2;

namespace {
class SharedInputs : public ChunkInputs {
public:
  SharedInputs(BlockKernel &block, ArrayRef<BlockArgument> streams, int64_t width);

  void begin(Value firstRow, Value unit, Value rowEnd) override;
  int64_t rowsAhead() const override { return 0; }
  void give(TileEvaluator &evaluator, int64_t number) override;

private:
  void copy(Value firstRow, Value firstUnit, Value rowEnd);
  /// Asks for what is the same in all rows before anybody waits for rows: LLVM would load it where it is used first.
  void readParameters(Value row, Value unit);
  /// Waits for rows 2 pair and 2 pair + 1 of the thread.
  void take(int64_t pair);

  BlockKernel &block;
  ArrayRef<BlockArgument> streams;
  int64_t width, chunkRows, pairs;
  Value memory, unitInBlock, group;
  SmallVector<SmallVector<Value, rowsTogether>> taken; ///< [stream][row]
};
} // namespace

SharedInputs::SharedInputs(BlockKernel &block, ArrayRef<BlockArgument> streams, int64_t width)
    : block(block), streams(streams), width(width), chunkRows(block.schedule.getRowTile()),
      pairs(chunkRows * width / threadLanes / block.schedule.getThreads() / rowsTogether) {
  Type element = getElementTypeOrSelf(streams.front().getType());
  memory = block.shared({int64_t(streams.size()) * chunkRows, width}, element);
  unitInBlock = block.rem(block.thread, width / threadLanes);
  group = block.div(block.thread, width / threadLanes);
}

void SharedInputs::begin(Value firstRow, Value unit, Value rowEnd) {
  copy(firstRow, block.sub(unit, unitInBlock), rowEnd);
  readParameters(firstRow, unit);
}

void SharedInputs::copy(Value firstRow, Value firstUnit, Value rowEnd) {
  OpBuilder &builder = block.builder;
  Value bytes = arith::ConstantIntOp::create(builder, block.loc, copiedBytes, 32);
  Value odd = block.rem(block.thread, rowsTogether);
  Value column = block.mul(block.div(unitInBlock, copiedLanes / threadLanes), copiedLanes);
  Value firstColumn = block.add(block.mul(firstUnit, threadLanes), column);
  for (int64_t pair = 0; pair < pairs; ++pair) {
    Value own = block.add(block.constant(pair * rowsTogether), odd), row = block.add(firstRow, own);
    if (rowEnd)
      row = block.least(row, block.sub(rowEnd, block.constant(1)));
    Value rowInMemory = block.add(block.mul(group, pairs * rowsTogether), own);
    for (auto [index, stream] : llvm::enumerate(streams)) {
      Value place = block.add(block.mul(row, strideOf(channels(stream.getType()))), firstColumn);
      Value from = cuda::addressOf(builder, block.loc, block.buffers.inputs.lookup(stream), block.mul(place, streamBytes),
                                   cuda::globalMemory);
      Value rowOfStream = block.add(rowInMemory, block.constant(int64_t(index) * chunkRows));
      Value placeInMemory = block.add(block.mul(rowOfStream, width), column);
      Value to = cuda::addressOf(builder, block.loc, memory, block.mul(placeInMemory, streamBytes), cuda::sharedMemory);
      cuda::copyAsync(builder, block.loc, to, from, bytes);
    }
    cuda::commitCopies(builder, block.loc);
  }
}

void SharedInputs::readParameters(Value row, Value unit) {
  TileEvaluator evaluator(block.builder, block.kernel, block.buffers, {row, unit, 1, 1, threadLanes, {}});
  for (BlockArgument argument : block.kernel.getBlock().getArguments())
    if (isParam(argument.getType(), 1) && getElementTypeOrSelf(argument.getType()).isF32())
      cuda::computeHere(block.builder, block.loc, evaluator.at(argument, 0, 0));
}

void SharedInputs::take(int64_t pair) {
  cuda::waitForCopies(block.builder, block.loc, uint32_t(pairs - 1 - pair));
  cuda::warpBarrier(block.builder, block.loc);
  taken.assign(streams.size(), {});
  for (size_t stream = 0; stream < streams.size(); ++stream)
    for (int64_t row = 0; row < rowsTogether; ++row) {
      Value at = block.add(block.mul(group, pairs * rowsTogether),
                           block.constant(int64_t(stream) * chunkRows + pair * rowsTogether + row));
      taken[stream].push_back(block.load(memory, {at, block.mul(unitInBlock, threadLanes)}, threadLanes));
    }
}

void SharedInputs::give(TileEvaluator &evaluator, int64_t number) {
  int64_t row = number % rowsTogether;
  if (row == 0)
    take(number / rowsTogether);
  for (auto [stream, rows] : llvm::zip_equal(streams, taken))
    evaluator.define(stream, {rows[row]});
}

std::unique_ptr<ChunkInputs> sm1::makeSharedInputs(BlockKernel &block, ArrayRef<BlockArgument> streams, int64_t width) {
  return std::make_unique<SharedInputs>(block, streams, width);
}
