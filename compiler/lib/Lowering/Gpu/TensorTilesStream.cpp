//===- TensorTilesStream.cpp - what is added to the sums of tiles by mma.sync, through shared memory --------------===//
//
// Registers full of sums have room for few loads at a time, each of which waits for memory. When the last steps are multiplied
// nobody fills the stages of those before them: there a warp asks for what its tile has of a stream in f32, row by row, and finds
// it behind its last product. Chunks of 16 bytes are swizzled, so that eight lanes, of four rows and two panels, take all banks.

#include "TensorTilesBuilder.h"

#include "GpuOps.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

static constexpr int64_t floatBytes = 4, chunksOfPanel = panelWidth * floatBytes / 16;

/// Two warps have a stage: one the place of its rows, one that of its weights.
BlockArgument TensorTilesBuilder::addedStream() {
  int64_t warpBytes = warpRows * warpPanels * panelWidth * floatBytes, warps = threads / lanesOfWarp;
  if (!boxes || group != 4 || warps != 4 || stages < 3 || steps < 3 || warpBytes > std::min(rowSliceBytes, weightSliceBytes))
    return {};
  for (BlockArgument argument : block.kernel.getBlock().getArguments()) {
    auto type = cast<RankedTensorType>(argument.getType());
    bool isMultiplied = llvm::any_of(argument.getUsers(), [](Operation *user) { return isa<LinearOp>(user); });
    if (isStream(type) && !isMultiplied && type.getElementType().isF32() && channels(type) == widthOf(block.kernel))
      return argument;
  }
  return {};
}

/// Where what the warp has lies, the address as an index: stages of steps before the last two.
Value TensorTilesBuilder::streamPlace() {
  OpBuilder &builder = block.builder;
  auto at = [&](Value array, int64_t step, int64_t bytes) {
    Value base = memref::ExtractAlignedPointerAsIndexOp::create(builder, block.loc, array);
    return block.add(base, block.constant(step % stages * bytes));
  };
  auto choose = [&](Value condition, Value yes, Value no) {
    return arith::SelectOp::create(builder, block.loc, condition, yes, no).getResult();
  };
  auto ofStep = [&](int64_t step) {
    return choose(block.less(block.rem(warp, 2), block.constant(1)), at(rowStages, step, rowSliceBytes),
                  at(weightStages, step, weightSliceBytes));
  };
  return choose(block.less(warp, block.constant(2)), ofStep(steps - 3), ofStep(steps - 2));
}

static Value pointerTo(BlockKernel &block, Value place) {
  Value number = arith::IndexCastOp::create(block.builder, block.loc, block.builder.getI64Type(), place);
  return LLVM::IntToPtrOp::create(block.builder, block.loc,
                                  LLVM::LLVMPointerType::get(block.builder.getContext(), cuda::sharedMemory), number);
}

static Value byteOf(BlockKernel &block, Value row, Value chunk, int64_t panels) {
  Value turned = arith::XOrIOp::create(block.builder, block.loc, chunk, block.rem(block.div(row, 2), 4));
  return block.add(block.mul(row, panels * panelWidth * floatBytes), block.mul(turned, 16));
}

void TensorTilesBuilder::startStream(bool second) {
  OpBuilder &builder = block.builder;
  int64_t step = second ? steps - 2 : steps - 3, chunks = warpPanels * chunksOfPanel, rowsAtOnce = lanesOfWarp / chunks;
  Value isOwn = block.less(warp, block.constant(2));
  if (second)
    isOwn = block.less(block.constant(1), warp);
  block.when(isOwn, [&] {
    Value parity = arith::ConstantIntOp::create(builder, block.loc, step / stages % 2, 32);
    cuda::waitForBytes(builder, block.loc, freeAt(block.constant(step % stages)), parity);
    Value array = block.buffers.inputs.lookup(addedStream());
    int64_t stride = cast<MemRefType>(array.getType()).getShape().back() * floatBytes;
    Value chunk = block.rem(lane, chunks), panel = block.add(block.add(firstPanel, warpPanel), block.div(chunk, chunksOfPanel));
    Value isPanel = block.less(panel, block.constant(strideOf(widthOf(block.kernel)) / panelWidth));
    Value column = block.add(block.mul(block.add(firstPanel, warpPanel), panelWidth * floatBytes), block.mul(chunk, 16));
    Value place = streamPlace(), none = arith::ConstantIntOp::create(builder, block.loc, 0, 32),
          all = arith::ConstantIntOp::create(builder, block.loc, 16, 32);
    for (int64_t first = 0; first < warpRows; first += rowsAtOnce) {
      Value inWarp = block.add(block.constant(first), block.div(lane, chunks));
      Value row = block.add(block.add(firstRow, warpRow), inWarp);
      Value isThere = arith::AndIOp::create(builder, block.loc, block.less(row, block.count), isPanel);
      Value from =
          arith::SelectOp::create(builder, block.loc, isThere, block.add(block.mul(row, stride), column), block.constant(0));
      cuda::copyAsync(builder, block.loc, pointerTo(block, block.add(place, byteOf(block, inWarp, chunk, warpPanels))),
                      cuda::addressOf(builder, block.loc, array, from, cuda::globalMemory),
                      arith::SelectOp::create(builder, block.loc, isThere, all, none));
    }
  });
}

void TensorTilesBuilder::waitForStream() {
  cuda::commitCopies(block.builder, block.loc);
  cuda::waitForCopies(block.builder, block.loc, 0);
  cuda::warpBarrier(block.builder, block.loc);
}

void TensorTilesBuilder::giveStream(TileEvaluator &evaluator, int64_t firstOfGroup, int64_t half, int64_t first, int64_t count) {
  OpBuilder &builder = block.builder;
  Value owner = block.div(lane, 4), place = streamPlace();
  Value chunk = block.add(block.mul(block.add(block.constant(firstOfGroup), block.rem(owner, group)), chunksOfPanel),
                          block.add(block.div(owner, group), block.constant(half * 2)));
  SmallVector<Value> vectors;
  for (int64_t j = first; j < first + count; ++j) {
    Value row = block.add(rowInWarp, block.constant(j));
    SmallVector<Value> numbers;
    for (Value word :
         cuda::loadWords(builder, block.loc, pointerTo(block, block.add(place, byteOf(block, row, chunk, warpPanels)))))
      numbers.push_back(arith::BitcastOp::create(builder, block.loc, builder.getF32Type(), word));
    vectors.push_back(vector::FromElementsOp::create(builder, block.loc, VectorType::get({4}, builder.getF32Type()), numbers));
  }
  evaluator.define(addedStream(), std::move(vectors));
}
