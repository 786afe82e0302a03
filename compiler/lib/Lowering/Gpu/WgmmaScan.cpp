//===- WgmmaScan.cpp - tiles that are chunks of a sequence, and a warpgroup that scans them (sm_90a) ----------------===//
//
// Two warpgroups share a tile of all projections, whose sums they leave in shared memory as bf16 and go on; a third one scans them
// while the next tile is multiplied (TileScan.h). Tiles are taken in the order of their numbers, with time outermost, so that a
// chunk waits for lower numbers alone.

#include "WgmmaTiles.h"

#include "GpuOps.h"

using namespace mlir;
using namespace sm1;

Value WgmmaTilesBuilder::parityOf(Value index, bool before) {
  Value parity = block.rem(before ? block.add(index, block.constant(1)) : index, 2);
  return arith::IndexCastOp::create(builder, loc, builder.getI32Type(), parity);
}

void WgmmaTilesBuilder::leaveSums(Value index, ArrayRef<Value> sums) {
  cuda::waitForBytes(builder, loc, takenAt(), parityOf(index, /*before=*/true));
  for (int64_t part = 0; part < parts(); ++part)
    for (int64_t half = 0; half < 2; ++half) {
      Value row = rowOf(part, half), inTile = block.sub(row, firstRow);
      for (int64_t panel = 0; panel < panels; ++panel) {
        Tile tile = tileOf(row, block.add(firstPanel, block.constant(panel)), 1);
        TileEvaluator evaluator(builder, block.kernel, block.buffers, tile);
        for (auto [number, linear] : llvm::enumerate(linears))
          evaluator.define(linear.getResult(), {sumsOf(sums, number, part, half, panel)});
        SmallVector<Operation *> ops = block.mainOps();
        scale(evaluator, size_t(part * 2 + half), 1, ops);
        for (auto [number, linear] : llvm::enumerate(linears))
          scan->leave(evaluator.at(TileScan::handed(linear), 0, 0), number, inTile, panel, lane);
      }
    }
  cuda::arrive(builder, loc, leftAt());
}

/// Of all warpgroups but the first two multiply, and the last one scans.
void WgmmaTilesBuilder::scanOrMultiply(Value tiles) {
  block.choose(
      block.less(block.constant(groupsOfTile()), warpgroup),
      [&] {
        cuda::setRegisters(builder, loc, registersOfScan(block.schedule), /*more=*/true);
        block.loop(block.constant(0), tiles, 1, [&](Value index) {
          takeTileAt(index);
          block.when(block.less(tiles, block.add(index, block.constant(2))),
                     [&] { block.startLaterKernel(BlockKernel::LaterKernel::AfterSums); });
          scan->scan({firstRow, firstPanel, chunk.segment, chunk.number},
                     [&] { cuda::waitForBytes(builder, loc, leftAt(), parityOf(index)); });
          cuda::arrive(builder, loc, takenAt());
        });
      },
      [&] {
        cuda::setRegisters(builder, loc, registers(), /*more=*/true);
        multiplyTiles(tiles);
      });
}
