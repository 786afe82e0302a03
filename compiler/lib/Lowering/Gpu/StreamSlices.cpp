//===- StreamSlices.cpp - what is added to a tile's sums, brought to shared memory by the copy engine ---------------===//
//
// A row of a slice is one bulk copy, asked for by a lane of the warp that reads it; the warp's barrier counts the bytes.

#include "StreamSlices.h"

#include "../../Transforms/BlockForms.h"
#include "../../Transforms/KernelMerge.h"
#include "GpuOps.h"

using namespace mlir;
using namespace sm1;

static constexpr int64_t floatBytes = 4, barrierBytes = 8, warpsOfGroup = 4, groups = 2, mostShared = 227 << 10;
/// A warp's barriers: bytes of a slice, and where it says that its tile's last slice is read.
enum Kind : int64_t { Bytes, Read, kinds };

StreamSlices::StreamSlices(BlockKernel &block, int64_t panels, int64_t used) : block(block), panels(panels) {
  for (BlockArgument argument : block.kernel.getBlock().getArguments()) {
    auto type = cast<RankedTensorType>(argument.getType());
    bool isMultiplied = llvm::any_of(argument.getUsers(), [](Operation *user) { return isa<LinearOp>(user); });
    if (isMultiplied || !type.getElementType().isF32() || channels(type) != widthOf(block.kernel))
      continue;
    if (isStream(type) && !stream)
      stream = argument;
    if (classify(type) == TensorClass::Param && type.getRank() == 1 && !param)
      param = argument;
  }
  int64_t bytes = warpsOfGroup * (rowsOfPlace() * stride() * floatBytes + groups * kinds * barrierBytes);
  if (used + bytes > mostShared)
    stream = {};
}

Value StreamSlices::warp() { return block.rem(block.div(block.thread, lanesOfWarp), warpsOfGroup); }
Value StreamSlices::lane() { return block.rem(block.thread, lanesOfWarp); }

void StreamSlices::place() {
  if (!areThere())
    return;
  places = block.shared({warpsOfGroup, rowsOfPlace(), stride()}, block.builder.getF32Type());
  barriers = block.shared({groups * warpsOfGroup * kinds * barrierBytes}, block.builder.getI8Type());
}

Value StreamSlices::barrierAt(Value turn, int64_t kind) {
  Value number = block.add(block.mul(turn, warpsOfGroup), warp());
  Value place = block.add(block.mul(number, kinds * barrierBytes), block.constant(kind * barrierBytes));
  return cuda::addressOf(block.builder, block.loc, barriers, place, cuda::sharedMemory);
}

/// At the bytes' barrier a lane arrives for each row of the place.
void StreamSlices::makeBarriers() {
  for (int64_t number = 0; areThere() && number < groups * warpsOfGroup * kinds; ++number)
    cuda::initBulkBarrier(
        block.builder, block.loc,
        cuda::addressOf(block.builder, block.loc, barriers, block.constant(number * barrierBytes), cuda::sharedMemory),
        number % kinds == Bytes ? rowsOfPlace() : 1);
}

void StreamSlices::take(Value turn, Value index) {
  OpBuilder &builder = block.builder;
  Value round = block.div(index, groups), isFirst = block.less(turn, block.constant(1));
  // The first tile's warps have nobody to wait for: the phase before the first has always ended.
  Value phase = arith::SelectOp::create(builder, block.loc, isFirst, block.add(round, block.constant(1)), round);
  Value parity = arith::IndexCastOp::create(builder, block.loc, builder.getI32Type(), block.rem(phase, 2));
  cuda::waitForBytes(builder, block.loc, barrierAt(block.sub(block.constant(1), turn), Read), parity);
}

/// The tile's channels of what begins at byte `from`, to the place's row of this lane.
void StreamSlices::copyRow(Value array, Value from, Value barrier) {
  OpBuilder &builder = block.builder;
  Value bytes = arith::ConstantIntOp::create(builder, block.loc, panels * panelWidth * floatBytes, 32);
  Value to = block.mul(block.add(block.mul(warp(), rowsOfPlace()), lane()), stride() * floatBytes);
  cuda::expectBytes(builder, block.loc, barrier, bytes);
  cuda::copyBulk(builder, block.loc, cuda::addressOf(builder, block.loc, places, to, cuda::sharedMemory),
                 cuda::addressOf(builder, block.loc, array, from, cuda::globalMemory), bytes, barrier);
}

void StreamSlices::start(Value turn, Value firstRow, Value firstPanel, bool isFirst) {
  block.when(block.less(lane(), block.constant(rowsOfPlace())), [&] {
    Value row = block.add(firstRow, lane()), barrier = barrierAt(turn, Bytes),
          inRow = block.mul(firstPanel, panelWidth * floatBytes);
    Value array = block.buffers.inputs.lookup(stream), isOfSlice = block.less(lane(), block.constant(rowsOfSlice));
    int64_t rowBytes = cast<MemRefType>(array.getType()).getShape().back() * floatBytes;
    auto arrive = [&] { cuda::arrive(block.builder, block.loc, barrier); };
    block.choose(
        arith::AndIOp::create(block.builder, block.loc, isOfSlice, block.less(row, block.count)),
        [&] { copyRow(array, block.add(block.mul(row, rowBytes), inRow), barrier); },
        [&] {
          if (!param || !isFirst)
            return arrive();
          block.choose(isOfSlice, arrive, [&] { copyRow(block.buffers.inputs.lookup(param), inRow, barrier); });
        });
  });
}

void StreamSlices::wait(Value turn, int64_t number) {
  cuda::waitForBytes(block.builder, block.loc, barrierAt(turn, Bytes),
                     arith::ConstantIntOp::create(block.builder, block.loc, number % 2, 32));
}

void StreamSlices::give(TileEvaluator &evaluator, int64_t first, int64_t count) {
  Value inPanel = block.mul(block.rem(lane(), threadLanes), threadLanes);
  auto load = [&](BlockArgument argument, Value row) {
    SmallVector<Value> vectors;
    for (int64_t panel = first; panel < first + count; ++panel)
      vectors.push_back(block.load(places, {warp(), row, block.add(inPanel, block.constant(panel * panelWidth))}, threadLanes));
    evaluator.define(argument, std::move(vectors));
  };
  load(stream, block.div(lane(), threadLanes));
  if (param)
    load(param, block.constant(rowsOfSlice));
}

void StreamSlices::leave(Value turn, bool isLast) {
  cuda::warpBarrier(block.builder, block.loc);
  if (isLast)
    block.when(block.less(lane(), block.constant(1)), [&] { cuda::arrive(block.builder, block.loc, barrierAt(turn, Read)); });
}
