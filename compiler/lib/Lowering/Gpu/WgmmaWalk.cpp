//===- WgmmaWalk.cpp - blocks that go on from tile to tile of a warpgroup's tensor cores (sm_90a) -------------------===//
//
// Blocks that go on from tile to tile (walksTiles) have a multiprocessor each, and one more warpgroup, whose first thread copies as
// far ahead as there are stages, also for the next tile while this one's sums are finished. A stage has a barrier more: there warps
// say that they have multiplied it. With two tiles at a time one is finished while the other is multiplied; where blocks have only
// one, warpgroups share it.

#include "WgmmaTiles.h"

#include "GpuOps.h"

#include "llvm/Support/SaveAndRestore.h"

using namespace mlir;
using namespace sm1;

/// Takes the block's tile number `index`: those with its own number, and so many further on as there are blocks. Neighbours lie
/// side by side, so that those that are multiplied at the same time are some blocks of rows by all panels. Where tiles are chunks
/// their table, which is there when the inputs are, says which rows a tile has.
void WgmmaTilesBuilder::takeTileAt(Value index, bool inputsAreThere) {
  int64_t across = panelsOfBlocks(block.kernel) / panels;
  cuda::PlaceInGrid grid = cuda::placeInGrid(builder, loc);
  Value number = block.add(grid.number, builder.createOrFold<arith::MulIOp>(loc, index, grid.blocks));
  if (!block.chunks)
    return takeTile({block.mul(block.div(number, across), rows), block.mul(block.rem(number, across), panels)});
  Value row;
  if (inputsAreThere) {
    constexpr int64_t words = 4; // first row, end of the segment, segment, number in the segment
    Value first = block.mul(block.div(number, across), words);
    auto word = [&](int64_t place) {
      Value value = block.loadScalar(block.chunks, block.add(first, block.constant(place)));
      return arith::IndexCastUIOp::create(builder, loc, builder.getIndexType(), value).getResult();
    };
    row = word(0), block.count = word(1), chunk = {word(2), word(3)};
  }
  takeTile({row, block.mul(block.rem(number, across), panels)});
}

void WgmmaTilesBuilder::walk() {
  cuda::PlaceInGrid grid = cuda::placeInGrid(builder, loc);
  Value rowBlocks = block.chunks ? block.chunkCount : block.div(block.add(block.count, block.constant(rows - 1)), rows);
  Value all = block.mul(rowBlocks, panelsOfBlocks(block.kernel) / panels);
  Value reached = block.add(block.sub(all, grid.number), block.sub(grid.blocks, block.constant(1)));
  Value tiles = arith::DivUIOp::create(builder, loc, reached, grid.blocks);
  Value isAlone = block.less(all, block.add(grid.blocks, block.constant(1)));
  makeBarriers(isAlone);
  takeTileAt(block.constant(0), /*inputsAreThere=*/false);
  whenFirst([&] { // weights wait for no kernel
    for (int64_t step = 0; step < firstSteps(); ++step)
      copyWeights(block.constant(step), block.constant(step));
  });
  block.waitForInputs();
  block.barrier();
  bool shareRegisters = block.schedule.getThreads() > 2 * threadsOfWarpgroup; // else all have what a thread can have
  block.choose(
      isEqual(warpgroup, 0),
      [&] {
        if (shareRegisters)
          cuda::setRegisters(builder, loc, registersOfCopies, /*more=*/false);
        whenFirst([&] { copyTiles(tiles); });
        if (takesSlices() && mayShareTile()) // of tiles that warpgroups do not share
          block.when(block.less(grid.blocks, all), [&] { copySlices(tiles); });
        else if (takesSlices())
          copySlices(tiles);
      },
      [&] {
        if (hasScan())
          return scanOrMultiply(tiles);
        if (shareRegisters)
          cuda::setRegisters(builder, loc, registers(), /*more=*/true);
        if (!mayShareTile())
          return multiplyTiles(tiles);
        block.choose(
            isAlone, [&] { multiplyOneTile(tiles); }, [&] { multiplyTiles(tiles); });
      });
}

/// `place`: stage and parity. What waits for the parity before the first has not to wait: nobody has read the stage.
void WgmmaTilesBuilder::copyStep(Value step, int64_t there, SmallVector<Value> &place) {
  Value stage = place[0], parity = place[1];
  cuda::waitForBytes(builder, loc, freeAt(stage), arith::XOrIOp::create(builder, loc, parity, number32(1)));
  copyWeights(step, stage, there);
  copyRows(step, stage);
  place.clear();
  goOn(stage, parity, place);
}

/// What follows the sums asks for streams some panels at a time, and waits for memory each time. Behind the products of a next tile
/// nobody sees that; of the block's last tile its rows are asked for with its steps, so that they are in the second cache; where a
/// warpgroup scans, of all tiles.
void WgmmaTilesBuilder::fetchRows(Value step, Value isLast) {
  int64_t rowsOfStep = llvm::divideCeil(rows, steps);
  if (isPart())
    return;
  auto fetch = [&] { fetchStreams(block, {firstRow, firstPanel}, rows, panels, block.mul(step, rowsOfStep), rowsOfStep); };
  hasScan() ? fetch() : block.when(isLast, fetch);
}

void WgmmaTilesBuilder::copyTiles(Value tiles) {
  int64_t ahead = firstSteps();
  if (block.chunks)
    takeTileAt(block.constant(0));
  for (int64_t step = 0; step < ahead; ++step)
    copyRows(block.constant(step), block.constant(step));
  for (int64_t step = 0; step < ahead; ++step)
    fetchRows(block.constant(step), block.less(tiles, block.constant(2)));
  SmallVector<Value> place{block.constant(ahead % stages), number32(ahead / stages % 2)};
  block.loopWith(block.constant(0), tiles, 1, place, [&](Value index, ValueRange carried) {
    takeTileAt(index);
    Value isLast = block.less(tiles, block.add(index, block.constant(2)));
    Value begin = arith::SelectOp::create(builder, loc, isEqual(index, 0), block.constant(ahead), block.constant(0));
    SmallVector<Value> place = block.loopWith(begin, block.constant(steps - 1), 1, carried, [&](Value step, ValueRange carried) {
      SmallVector<Value> place(carried);
      copyStep(step, slices, place);
      fetchRows(step, isLast);
      return place;
    });
    copyStep(block.constant(steps - 1), lastSlices(), place);
    fetchRows(block.constant(steps - 1), isLast);
    return place;
  });
}

/// Each by the warp behind that of the thread which copies what is multiplied.
void WgmmaTilesBuilder::copySlices(Value tiles) {
  constexpr int64_t rowsOfWarp = rowsOfProduct / 4;
  for (int64_t part = 0; part < slicesOfStream.parts(); ++part)
    block.when(isEqual(warp, part + 1), [&] {
      block.loop(block.constant(0), tiles, 1, [&](Value index) {
        takeTileAt(index);
        for (int64_t number = 0; number < parts() * 2; ++number)
          slicesOfStream.copy(
              [&](Value reader) {
                Value inTile = block.constant(number / 2 * rowsOfProduct + number % 2 * StreamSlices::rowsOfSlice);
                return block.add(block.add(firstRow, block.mul(reader, rowsOfWarp)), inTile);
              },
              firstPanel, number, part);
      });
    });
}

void WgmmaTilesBuilder::arriveWarp(Value barrier) {
  block.when(isEqual(lane, 0), [&] { cuda::arrive(builder, loc, barrier); });
}

/// A barrier's parity tells one phase from the next alone: nobody asks for a tile's bytes before those of the tile before are
/// there, which lay in the same stages.
void WgmmaTilesBuilder::waitForTurn(Value index) {
  if (!turns())
    return;
  Value isFirst = isEqual(turn, 0), round = block.div(index, turns());
  auto choose = [&](Value first, Value other) { return arith::SelectOp::create(builder, loc, isFirst, first, other).getResult(); };
  Value before = choose(block.constant(turns() - 1), block.sub(turn, block.constant(1)));
  Value parity = block.rem(choose(block.add(round, block.constant(1)), round), 2);
  cuda::waitForBytes(builder, loc, turnAt(before), arith::IndexCastOp::create(builder, loc, builder.getI32Type(), parity));
}

Value WgmmaTilesBuilder::stageBefore(Value stage) {
  return arith::SelectOp::create(builder, loc, isEqual(stage, 0), block.constant(stages - 1), block.sub(stage, block.constant(1)));
}

/// `carried` as of sumSteps. When the products are started, those of the step before are waited for, but of a tile's first.
void WgmmaTilesBuilder::multiplyStep(SmallVector<Value> &carried, int64_t there, bool isFirst, bool isLast) {
  Value parity = carried.pop_back_val(), stage = carried.pop_back_val();
  cuda::waitForBytes(builder, loc, barrierAt(stage), parity);
  if (isLast && turns())
    arriveWarp(turnAt(turn));
  multiplyStage(stage, carried, there);
  if (!isFirst) {
    carried = cuda::waitForProducts(builder, loc, 1, carried);
    arriveWarp(freeAt(stageBefore(stage)));
  }
  goOn(stage, parity, carried);
}

SmallVector<Value> WgmmaTilesBuilder::sumTile(Value index) {
  Value first = block.mul(index, steps), turns = block.rem(block.div(first, stages), 2);
  // Zeros are in registers before the first product: what is written there behind it would have it waited for.
  SmallVector<Value> zeros(parts() * columns() / 2, block.number(0)), carried = cuda::waitForProducts(builder, loc, 0, zeros);
  carried.push_back(block.rem(first, stages));
  carried.push_back(arith::IndexCastOp::create(builder, loc, builder.getI32Type(), turns));
  waitForTurn(index);
  multiplyStep(carried, steps > 1 ? slices : lastSlices(), /*isFirst=*/true, /*isLast=*/steps == 1);
  if (steps > 2)
    carried = block.loopWith(block.constant(1), block.constant(steps - 1), 1, carried, [&](Value, ValueRange before) {
      SmallVector<Value> next(before);
      multiplyStep(next, slices, /*isFirst=*/false);
      return next;
    });
  takeTileAt(index);
  askForSquares();
  if (takesRowsEarly())
    loadInputs(&EarlyInputs::load);
  if (steps > 1)
    multiplyStep(carried, lastSlices(), /*isFirst=*/false, /*isLast=*/true);
  carried.pop_back();
  Value behind = carried.pop_back_val();
  SmallVector<Value> sums = cuda::waitForProducts(builder, loc, 0, carried);
  arriveWarp(freeAt(stageBefore(behind)));
  return sums;
}

/// Warpgroups of one tile share its rows; those of another take the next.
void WgmmaTilesBuilder::multiplyTiles(Value tiles) {
  llvm::SaveAndRestore inBlock(warpgroup);
  Value own = block.sub(warpgroup, block.constant(1));
  turn = block.div(own, groupsOfTile()), warpgroup = block.rem(own, groupsOfTile());
  block.loop(turn, tiles, atOnce, [&](Value index) {
    SmallVector<Value> sums = sumTile(index);
    takeTileAt(index); // again: sums take the registers
    takeFactors();
    block.choose(
        block.less(block.add(index, block.constant(atOnce)), tiles), [] {},
        [&] { block.startLaterKernel(BlockKernel::LaterKernel::AfterSums); });
    if (takesSlices())
      slicesOfStream.take(turn, index);
    hasScan() ? leaveSums(index, sums) : finish(sums);
  });
}

/// The block's only tile: all warpgroups have a part of its rows, so that none waits while another finishes all of it.
void WgmmaTilesBuilder::multiplyOneTile(Value tiles) {
  llvm::SaveAndRestore rowsOfMany(warpgroupRows, warpgroupRows / atOnce), tilesOfMany(atOnce, int64_t(1));
  multiplyTiles(tiles);
  early.clear();
}
