//===- TensorTiles.cpp - which tile a block takes, and what it needs in the L2 cache -----------------------------===//

#include "TensorTiles.h"

#include "../../Transforms/KernelMerge.h"
#include "GpuOps.h"

using namespace mlir;
using namespace sm1;

/// Neighbouring blocks take the same panels of this many blocks of rows: both operands are then in the L2 cache when they are read
/// again.
static constexpr int64_t rowBlocksTogether = 16;

TilePlace sm1::placeTile(BlockKernel &block, int64_t rows, int64_t panels) {
  OpBuilder &builder = block.builder;
  Value rowBlocks = block.div(block.add(block.count, block.constant(rows - 1)), rows);
  int64_t panelBlocks = llvm::divideCeil(panelsOfBlocks(block.kernel), panels);
  Value number =
      block.add(cuda::blockId(builder, block.loc, cuda::Axis::X),
                builder.createOrFold<arith::MulIOp>(block.loc, cuda::blockId(builder, block.loc, cuda::Axis::Y), rowBlocks));
  Value band = block.div(number, rowBlocksTogether * panelBlocks), inBand = block.rem(number, rowBlocksTogether * panelBlocks);
  Value first = block.mul(band, rowBlocksTogether);
  Value height = block.least(block.sub(rowBlocks, first), block.constant(rowBlocksTogether));
  Value firstRow = block.mul(block.add(first, builder.createOrFold<arith::RemUIOp>(block.loc, inBand, height)), rows);
  return {firstRow, block.mul(builder.createOrFold<arith::DivUIOp>(block.loc, inBand, height), panels)};
}

static constexpr int64_t lineBytes = 128, floatBytes = 4;

void sm1::fetchParameters(BlockKernel &block, Value firstPanel, int64_t panels) {
  for (auto [argument, input] : llvm::zip(block.kernel.getBlock().getArguments(), block.kernel.getInputs())) {
    auto param = input.getDefiningOp<ParamOp>();
    if (!param || param.getLayout().value_or("") != "channels")
      continue;
    Value array = block.buffers.inputs.lookup(argument);
    auto type = cast<MemRefType>(array.getType());
    int64_t elementBytes = type.getElementTypeBitWidth() / 8, rowBytes = type.getShape().back() * elementBytes,
            panelBytes = panelWidth * elementBytes, rows = type.getNumElements() * elementBytes / rowBytes,
            lines = llvm::divideCeil(panels * panelBytes, lineBytes) + (panels * panelBytes % lineBytes ? 1 : 0);
    block.share(block.constant(rows * lines), [&](Value number) {
      Value inRow = block.add(block.mul(firstPanel, panelBytes), block.mul(block.rem(number, lines), lineBytes));
      Value place =
          block.add(block.mul(block.div(number, lines), rowBytes), block.least(inRow, block.constant(rowBytes - elementBytes)));
      cuda::fetchLine(block.builder, block.loc, cuda::addressOf(block.builder, block.loc, array, place, cuda::globalMemory));
    });
  }
}

void sm1::fetchStates(BlockKernel &block, Value firstRow, Value firstPanel, int64_t rows, int64_t panels) {
  if (!block.buffers.oneRowPerSegment)
    return;
  OpBuilder &builder = block.builder;
  for (Value argument : block.kernel.getBlock().getArguments()) {
    if (classify(argument.getType()) != TensorClass::State)
      continue;
    Value state = block.buffers.inputs.lookup(argument);
    auto shape = cast<MemRefType>(state.getType()).getShape();
    int64_t taps = shape.size() > 2 ? shape[1] : 1, tapBytes = shape.back() * floatBytes;
    int64_t tileBytes = panels * panelWidth * floatBytes, lines = llvm::divideCeil(tileBytes, lineBytes);
    Value there = block.least(block.constant(rows), block.sub(block.count, firstRow));
    block.share(block.mul(there, taps * lines), [&](Value number) {
      Value place = block.add(block.mul(firstRow, taps), block.div(number, lines));
      Value inTile = block.add(block.mul(firstPanel, panelWidth * floatBytes), block.mul(block.rem(number, lines), lineBytes));
      if (shape.back() % (panels * panelWidth)) // the last tile stands out behind the last panel
        inTile = block.least(inTile, block.constant(tapBytes - floatBytes));
      cuda::fetchLine(
          builder, block.loc,
          cuda::addressOf(builder, block.loc, state, block.add(block.mul(place, tapBytes), inTile), cuda::globalMemory));
    });
  }
}

/// Streams as wide as what the kernel makes, but for what it multiplies.
static SmallVector<BlockArgument> streamsBehindSums(KernelOp kernel) {
  return llvm::filter_to_vector(kernel.getBlock().getArguments(), [&](BlockArgument stream) {
    bool isMultiplied = llvm::any_of(stream.getUsers(), [](Operation *user) { return isa<LinearOp>(user); });
    return isStream(stream.getType()) && !isMultiplied && channels(stream.getType()) == widthOf(kernel);
  });
}

void sm1::fetchStreams(BlockKernel &block, TilePlace tile, int64_t rows, int64_t panels, Value first, int64_t count) {
  OpBuilder &builder = block.builder;
  for (BlockArgument stream : streamsBehindSums(block.kernel)) {
    Value array = block.buffers.inputs.lookup(stream);
    auto type = cast<MemRefType>(array.getType());
    int64_t elementBytes = type.getElementTypeBitWidth() / 8, panelBytes = panelWidth * elementBytes;
    Value bytes = arith::ConstantIntOp::create(builder, block.loc, panels * panelBytes, 32);
    for (int64_t number = 0; number < count; ++number) {
      Value inTile = block.add(first, block.constant(number)), row = block.add(tile.firstRow, inTile);
      Value isThere =
          arith::AndIOp::create(builder, block.loc, block.less(inTile, block.constant(rows)), block.less(row, block.count));
      block.when(isThere, [&] {
        Value place = block.add(block.mul(row, type.getShape().back() * elementBytes), block.mul(tile.firstPanel, panelBytes));
        cuda::fetchBulk(builder, block.loc, cuda::addressOf(builder, block.loc, array, place, cuda::globalMemory), bytes);
      });
    }
  }
}

void sm1::fetchStreamLines(BlockKernel &block, TilePlace tile, int64_t rows, int64_t panels) {
  Value last = block.sub(block.count, block.constant(1));
  for (BlockArgument stream : streamsBehindSums(block.kernel)) {
    Value array = block.buffers.inputs.lookup(stream);
    auto type = cast<MemRefType>(array.getType());
    int64_t elementBytes = type.getElementTypeBitWidth() / 8, rowBytes = type.getShape().back() * elementBytes,
            panelBytes = panelWidth * elementBytes, lines = llvm::divideCeil(panels * panelBytes, lineBytes);
    block.share(block.constant(rows * lines), [&](Value number) {
      Value row = block.least(block.add(tile.firstRow, block.div(number, lines)), last);
      Value inRow = block.add(block.mul(tile.firstPanel, panelBytes), block.mul(block.rem(number, lines), lineBytes));
      Value place = block.add(block.mul(row, rowBytes), block.least(inRow, block.constant(rowBytes - elementBytes)));
      cuda::fetchLine(block.builder, block.loc, cuda::addressOf(block.builder, block.loc, array, place, cuda::globalMemory));
    });
  }
}
