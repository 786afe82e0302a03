//===- TensorTiles.cpp - which tile a block takes ----------------------------------------------------------------===//

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
