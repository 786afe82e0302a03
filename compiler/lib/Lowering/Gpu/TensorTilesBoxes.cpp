//===- TensorTilesBoxes.cpp - operands of mma.sync by the copy engine (sm_90 and later) ---------------------------===//
//
// A step is 128 bytes of k, twice that of other tiles. Its weights lie packed as in a stage ("stages") and come in one bulk copy
// for each projection, its rows in one copy of a box of their tensor map, which swizzles them on the way and has zeros for what is
// not there. One lane asks for both. A barrier of the stage counts the bytes, another one warps that have read them. So warps do
// not wait for each other at every step, have no addresses of copies in their registers, and leave the way to shared memory to
// their operands.

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

/// By the lane that asks for what step `step` needs. Warps take turns: the copy engine's instructions hold up who starts them.
void TensorTilesBuilder::whenAsking(Value step, llvm::function_ref<void()> body) {
  Value asking = block.mul(block.rem(step, threads / lanesOfWarp), lanesOfWarp);
  block.when(arith::CmpIOp::create(block.builder, block.loc, arith::CmpIPredicate::eq, block.thread, asking), body);
}

void TensorTilesBuilder::copyWeightsOfStep(Value step, Value stage) {
  OpBuilder &builder = block.builder;
  auto number32 = [&](int64_t value) { return arith::ConstantIntOp::create(builder, block.loc, value, 32); };
  cuda::expectBytes(builder, block.loc, fullAt(stage), number32(rowSliceBytes + weightSliceBytes));
  for (auto [index, linear] : llvm::enumerate(linears)) {
    Value weight = block.buffers.inputs.lookup(linear.getWeight());
    int64_t stepBytes = cast<MemRefType>(weight.getType()).getDimSize(1) * panelBytes;
    Value to = block.add(block.mul(stage, weightSliceBytes), block.constant(int64_t(index) * panels * panelBytes));
    Value from = block.add(block.mul(step, stepBytes), block.mul(firstPanel, panelBytes));
    cuda::copyBulk(builder, block.loc, cuda::addressOf(builder, block.loc, weightStages, to, cuda::sharedMemory),
                   cuda::addressOf(builder, block.loc, weight, from, cuda::globalMemory), number32(panels * panelBytes),
                   fullAt(stage));
  }
}

void TensorTilesBuilder::copyRowsOfStep(Value step, Value stage) {
  OpBuilder &builder = block.builder;
  Value to = cuda::addressOf(builder, block.loc, rowStages, block.mul(stage, rowSliceBytes), cuda::sharedMemory);
  cuda::copyBox(builder, block.loc, to, block.map, word(block, block.mul(step, sliceDepth)), word(block, firstRow), fullAt(stage));
}

void TensorTilesBuilder::startBox(Value step, Place free) {
  whenAsking(step, [&] {
    cuda::waitForBytes(block.builder, block.loc, freeAt(free.stage), free.parity);
    copyWeightsOfStep(step, free.stage);
    copyRowsOfStep(step, free.stage);
  });
}

void TensorTilesBuilder::startFirstBoxes() {
  makeBarriers();
  int64_t ahead = std::min(stages - 1, steps);
  auto start = [&](void (TensorTilesBuilder::*copy)(Value, Value)) {
    for (int64_t step = 0; step < ahead; ++step)
      whenAsking(block.constant(step), [&] { (this->*copy)(block.constant(step), block.constant(step)); });
  };
  start(&TensorTilesBuilder::copyWeightsOfStep);
  fetchParameters(block, firstPanel, panels);
  fetchStates(block, firstRow, firstPanel, rows, panels);
  block.waitForInputs();
  start(&TensorTilesBuilder::copyRowsOfStep);
  if (rows > mostRowsOfFew && !takesStream())
    fetchStreamLines(block, {firstRow, firstPanel}, rows, panels);
}

/// Half of the last tile's products are started before what the next step needs is waited for.
TensorTilesBuilder::Operands TensorTilesBuilder::multiplyBox(Operands operands, Place place, SmallVector<Value> &sums, bool ahead,
                                                             StartCopies startCopies) {
  int64_t count = ahead ? sliceTiles : tilesOfLastStep();
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
