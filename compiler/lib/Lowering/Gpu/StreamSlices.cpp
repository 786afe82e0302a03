//===- StreamSlices.cpp - what is added to a tile's sums, brought to shared memory by the copy engine ---------------===//
//
// A row of a slice is one bulk copy, asked for by a lane of a warp that copies; a barrier of the warp that reads it counts the
// bytes, and there it says at another that it has.

#include "StreamSlices.h"

#include "../../Transforms/BlockForms.h"
#include "../../Transforms/KernelMerge.h"
#include "GpuOps.h"

using namespace mlir;
using namespace sm1;

static constexpr int64_t floatBytes = 4, barrierBytes = 8, warpsOfGroup = 4, groups = 2, mostShared = 227 << 10;
/// A warp's barriers: bytes of each part of a slice, where it says that it has read them, and where it says, of each warpgroup's
/// tiles, that the last slice is read.
enum Barrier : int64_t { Bytes = 0, Free = 2, Read = 4, barriersOfWarp = 6 };

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
  if (used + bytes() > mostShared)
    stream = {};
}

int64_t StreamSlices::bytes() const {
  int64_t channels = param ? panels * panelWidth : 0;
  for (int64_t part = 0; part < parts(); ++part)
    channels += rowsOfSlice * stride(part);
  constexpr int64_t mostPadding = 5 * 128; // of arrays
  return warpsOfGroup * (channels * floatBytes + barriersOfWarp * barrierBytes) + mostPadding;
}

Value StreamSlices::warp() { return block.rem(block.div(block.thread, lanesOfWarp), warpsOfGroup); }
Value StreamSlices::lane() { return block.rem(block.thread, lanesOfWarp); }

void StreamSlices::place() {
  if (!areThere())
    return;
  Type f32 = block.builder.getF32Type();
  for (int64_t part = 0; part < parts(); ++part)
    places.push_back(block.shared({warpsOfGroup, rowsOfSlice, stride(part)}, f32));
  for (int64_t part = 0; param && part < parts(); ++part)
    paramPlaces.push_back(block.shared({warpsOfGroup, 1, panelsOf(part) * panelWidth}, f32));
  barriers = block.shared({warpsOfGroup * barriersOfWarp * barrierBytes}, block.builder.getI8Type());
}

Value StreamSlices::barrierAt(Value warp, int64_t number) {
  Value place = block.add(block.mul(warp, barriersOfWarp * barrierBytes), block.constant(number * barrierBytes));
  return cuda::addressOf(block.builder, block.loc, barriers, place, cuda::sharedMemory);
}

Value StreamSlices::readAt(Value turn) {
  Value first = barrierAt(warp(), Read), second = barrierAt(warp(), Read + 1), isFirst = block.less(turn, block.constant(1));
  return arith::SelectOp::create(block.builder, block.loc, isFirst, first, second);
}

/// At the bytes' barrier a lane arrives for each row.
void StreamSlices::makeBarriers() {
  for (int64_t warp = 0; areThere() && warp < warpsOfGroup; ++warp)
    for (int64_t number = 0; number < barriersOfWarp; ++number)
      cuda::initBulkBarrier(block.builder, block.loc, barrierAt(block.constant(warp), number), number < Free ? rowsOfSlice : 1);
}

void StreamSlices::take(Value turn, Value index) {
  OpBuilder &builder = block.builder;
  Value round = block.div(index, groups), isFirst = block.less(turn, block.constant(1));
  // The first tile's warps have nobody to wait for: the phase before the first has always ended.
  Value phase = arith::SelectOp::create(builder, block.loc, isFirst, block.add(round, block.constant(1)), round);
  Value parity = arith::IndexCastOp::create(builder, block.loc, builder.getI32Type(), block.rem(phase, 2));
  cuda::waitForBytes(builder, block.loc, readAt(block.sub(block.constant(1), turn)), parity);
}

void StreamSlices::copyRow(Value array, Value place, int64_t part, Value from, Value warp, Value row, Value barrier) {
  OpBuilder &builder = block.builder;
  auto type = cast<MemRefType>(place.getType());
  Value bytes = arith::ConstantIntOp::create(builder, block.loc, panelsOf(part) * panelWidth * floatBytes, 32);
  Value to = block.mul(block.add(block.mul(warp, type.getDimSize(1)), row), type.getDimSize(2) * floatBytes);
  cuda::copyBulk(builder, block.loc, cuda::addressOf(builder, block.loc, place, to, cuda::sharedMemory),
                 cuda::addressOf(builder, block.loc, array, from, cuda::globalMemory), bytes, barrier);
}

/// A lane has a row of one of the warps, which has read what lay there: of a first slice, the last of the tile before. Slices of a
/// tile are even in number, so that a parity is one of numbers. With the first slice comes the part of the parameter, asked for by
/// the lane of the first row.
void StreamSlices::copy(llvm::function_ref<Value(Value)> firstRowOf, Value firstPanel, int64_t number, int64_t part) {
  OpBuilder &builder = block.builder;
  Value reader = block.div(lane(), rowsOfSlice), inSlice = block.rem(lane(), rowsOfSlice);
  auto number32 = [&](int64_t value) { return arith::ConstantIntOp::create(builder, block.loc, value, 32).getResult(); };
  cuda::waitForBytes(builder, block.loc, barrierAt(reader, Free + part), number32((number + 1) % 2));
  Value row = block.add(firstRowOf(reader), inSlice), isThere = block.less(row, block.count),
        barrier = barrierAt(reader, Bytes + part);
  Value isFirst = block.less(inSlice, block.constant(1)), all = number32(panelsOf(part) * panelWidth * floatBytes);
  auto bytesIf = [&](Value condition) {
    return arith::SelectOp::create(builder, block.loc, condition, all, number32(0)).getResult();
  };
  bool withParam = number == 0 && param;
  Value bytes = bytesIf(isThere);
  if (withParam)
    bytes = arith::AddIOp::create(builder, block.loc, bytes, bytesIf(isFirst));
  cuda::expectBytes(builder, block.loc, barrier, bytes);
  Value inRow = block.mul(block.add(firstPanel, block.constant(firstPanelOf(part))), panelWidth * floatBytes);
  block.when(isThere, [&] {
    Value array = block.buffers.inputs.lookup(stream);
    int64_t rowBytes = cast<MemRefType>(array.getType()).getShape().back() * floatBytes;
    copyRow(array, places[size_t(part)], part, block.add(block.mul(row, rowBytes), inRow), reader, inSlice, barrier);
  });
  if (withParam)
    block.when(isFirst, [&] {
      copyRow(block.buffers.inputs.lookup(param), paramPlaces[size_t(part)], part, inRow, reader, block.constant(0), barrier);
    });
}

void StreamSlices::read(Value turn, int64_t number, bool isLast, llvm::function_ref<void(int64_t, int64_t)> body) {
  OpBuilder &builder = block.builder;
  for (int64_t part = 0; part < parts(); ++part) {
    cuda::waitForBytes(builder, block.loc, barrierAt(warp(), Bytes + part),
                       arith::ConstantIntOp::create(builder, block.loc, number % 2, 32));
    body(firstPanelOf(part), firstPanelOf(part + 1));
    cuda::warpBarrier(builder, block.loc); // all lanes have read it
    block.when(block.less(lane(), block.constant(1)), [&] {
      cuda::arrive(builder, block.loc, barrierAt(warp(), Free + part));
      if (isLast && part == parts() - 1)
        cuda::arrive(builder, block.loc, readAt(turn));
    });
  }
}

void StreamSlices::give(TileEvaluator &evaluator, int64_t first, int64_t count) {
  int64_t part = first < firstPanelOf(1) ? 0 : 1;
  Value inPanel = block.mul(block.rem(lane(), threadLanes), threadLanes);
  auto load = [&](BlockArgument argument, Value place, Value row) {
    SmallVector<Value> vectors;
    for (int64_t panel = first - firstPanelOf(part); panel < first - firstPanelOf(part) + count; ++panel)
      vectors.push_back(block.load(place, {warp(), row, block.add(inPanel, block.constant(panel * panelWidth))}, threadLanes));
    evaluator.define(argument, std::move(vectors));
  };
  load(stream, places[size_t(part)], block.div(lane(), threadLanes));
  if (param)
    load(param, paramPlaces[size_t(part)], block.constant(0));
}
