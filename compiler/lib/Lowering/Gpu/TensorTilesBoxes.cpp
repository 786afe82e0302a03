//===- TensorTilesBoxes.cpp - operands of mma.sync by the copy engine (sm_90 and later) ---------------------------===//
//
// A step is 128 bytes of k, twice that of other tiles. Warps share the weights of a step among each other, one bulk copy for each
// panel; its rows are a box of their tensor map, which swizzles them on the way and has zeros for what is not there. A barrier of
// the stage counts the bytes, another one warps that have read them. So warps do not wait for each other at every step, have no
// addresses of copies in their registers, and leave the way to shared memory to their operands.

#include "TensorTilesBuilder.h"

#include "GpuOps.h"

using namespace mlir;
using namespace sm1;

static constexpr int64_t barrierBytes = 8;

static Value word(BlockKernel &block, Value index) {
  return arith::IndexCastOp::create(block.builder, block.loc, block.builder.getI32Type(), index);
}
static Value isEqual(BlockKernel &block, Value a, int64_t b) {
  return arith::CmpIOp::create(block.builder, block.loc, arith::CmpIPredicate::eq, a, block.constant(b));
}

Value TensorTilesBuilder::barrierAt(Value stage, int64_t first) {
  Value place = block.mul(block.add(stage, block.constant(first)), barrierBytes);
  return cuda::addressOf(block.builder, block.loc, barriers, place, cuda::sharedMemory);
}

void TensorTilesBuilder::makeBarriers() {
  block.when(isEqual(block, block.thread, 0), [&] {
    for (int64_t stage = 0; stage < stages; ++stage) {
      cuda::initBulkBarrier(block.builder, block.loc, fullAt(block.constant(stage)), 1);
      cuda::initBulkBarrier(block.builder, block.loc, freeAt(block.constant(stage)), threads / lanesOfWarp);
    }
    cuda::fenceBulkBarriers(block.builder, block.loc);
    cuda::fetchMap(block.builder, block.loc, block.map);
  });
  block.barrier();
}

/// A lane of each warp for each panel that it copies. Of the last step weights may have fewer tiles of k. Instructions of the copy
/// engine take their operands from a warp's registers, so that lanes ask one after another: warps share them, and take turns with
/// what there is one of.
void TensorTilesBuilder::copyWeightsOfStep(Value step, Value stage) {
  OpBuilder &builder = block.builder;
  int64_t all = cast<MemRefType>(ownWeight.getType()).getDimSize(1), last = all - (steps - 1) * sliceTiles,
          count = int64_t(linears.size()) * panels;
  Value tilesOfStep = block.constant(sliceTiles);
  if (last < sliceTiles)
    tilesOfStep = arith::SelectOp::create(builder, block.loc, isEqual(block, step, steps - 1), block.constant(last), tilesOfStep);
  Value bytes = block.mul(tilesOfStep, tileBytes);
  block.when(asksInStep(step), [&] {
    Value whole = block.add(block.mul(bytes, count), block.constant(rowSliceBytes));
    cuda::expectBytes(builder, block.loc, fullAt(stage), word(block, whole));
  });
  block.when(block.less(ownPanel, block.constant(count)), [&] {
    Value to = block.add(block.mul(stage, weightSliceBytes), block.mul(ownPanel, panelBytes));
    Value from = block.add(ownFrom, block.mul(step, sliceTiles * tileBytes));
    cuda::copyBulk(builder, block.loc, cuda::addressOf(builder, block.loc, weightStages, to, cuda::sharedMemory),
                   cuda::addressOf(builder, block.loc, ownWeight, from, cuda::globalMemory), word(block, bytes), fullAt(stage));
  });
}

/// Whether this is the lane that asks for the rows of `step`, and says how many bytes there are.
Value TensorTilesBuilder::asksInStep(Value step) {
  Value number = block.rem(step, threads / lanesOfWarp);
  Value isWarp =
      arith::CmpIOp::create(block.builder, block.loc, arith::CmpIPredicate::eq, block.div(block.thread, lanesOfWarp), number);
  return arith::AndIOp::create(block.builder, block.loc, isWarp, isEqual(block, lane, lanesOfWarp - 1));
}

void TensorTilesBuilder::copyRowsOfStep(Value step, Value stage) {
  OpBuilder &builder = block.builder;
  block.when(asksInStep(step), [&] {
    Value to = cuda::addressOf(builder, block.loc, rowStages, block.mul(stage, rowSliceBytes), cuda::sharedMemory);
    cuda::copyBox(builder, block.loc, to, block.map, word(block, block.mul(step, sliceDepth)), word(block, firstRow),
                  fullAt(stage));
  });
}

void TensorTilesBuilder::startBox(Value step, Place free) {
  cuda::waitForBytes(block.builder, block.loc, freeAt(free.stage), free.parity);
  copyWeightsOfStep(step, free.stage);
  copyRowsOfStep(step, free.stage);
}

void TensorTilesBuilder::startFirstBoxes() {
  int64_t count = int64_t(linears.size()) * panels;
  ownPanel = block.add(block.mul(block.div(block.thread, lanesOfWarp), panelsOfWarp()), lane);
  ownPanel = arith::SelectOp::create(block.builder, block.loc, block.less(lane, block.constant(panelsOfWarp())), ownPanel,
                                     block.constant(count));
  Value panel = block.rem(ownPanel, panels), linear = block.div(ownPanel, panels);
  ownWeight = block.buffers.inputs.lookup(linears.front().getWeight());
  auto shape = cast<MemRefType>(ownWeight.getType()).getShape();
  for (size_t number = 1; number < linears.size(); ++number)
    ownWeight = arith::SelectOp::create(block.builder, block.loc, isEqual(block, linear, int64_t(number)),
                                        block.buffers.inputs.lookup(linears[number].getWeight()), ownWeight);
  Value place = block.add(firstPanel, panel);
  if (shape[0] % panels) // panels that are not there are multiplied for nobody
    place = block.least(place, block.constant(shape[0] - 1));
  ownFrom = block.mul(place, shape[1] * tileBytes);
  makeBarriers();
  int64_t ahead = std::min(stages - 1, steps);
  for (int64_t step = 0; step < ahead; ++step)
    copyWeightsOfStep(block.constant(step), block.constant(step));
  fetchParameters(block, firstPanel, panels);
  fetchStates(block, firstRow, firstPanel, rows, panels);
  block.waitForInputs();
  for (int64_t step = 0; step < ahead; ++step)
    copyRowsOfStep(block.constant(step), block.constant(step));
  if (rows > mostRowsOfFew && !takesStream())
    fetchStreamLines(block, {firstRow, firstPanel}, rows, panels);
}

/// Half of the last tile's products are started before what the next step needs is waited for.
TensorTilesBuilder::Operands TensorTilesBuilder::multiplyBox(Operands operands, Place place, SmallVector<Value> &sums, bool ahead,
                                                             StartCopies startCopies) {
  int64_t all = cast<MemRefType>(ownWeight.getType()).getDimSize(1), count = ahead ? sliceTiles : all - (steps - 1) * sliceTiles;
  for (int64_t k = 0; k < count; ++k) {
    bool isLast = k + 1 == count;
    size_t fragments = operands.weights.size(), half = k == 0 || isLast ? fragments / 2 : 0;
    Operands next;
    if (!isLast)
      next = readOperands(place.stage, k + 1);
    multiply(operands, sums, 0, half);
    if (k == 0)
      startCopies();
    if (isLast && ahead) {
      Place later = nextPlace(place);
      cuda::waitForBytes(block.builder, block.loc, fullAt(later.stage), later.parity);
      next = readOperands(later.stage, 0);
      cuda::warpBarrier(block.builder, block.loc);
      block.when(isEqual(block, lane, 0), [&] { cuda::arrive(block.builder, block.loc, freeAt(place.stage)); });
    }
    multiply(operands, sums, half, fragments);
    operands = std::move(next);
  }
  return operands;
}
