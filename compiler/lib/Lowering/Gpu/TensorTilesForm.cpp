//===- TensorTilesForm.cpp - projections of many rows on tensor cores --------------------------------------------===//
//
// Weights are the 16-row operand of mma.m16n8k16, or of m16n8k32 where they are e4m3, packed as its fragments; rows are the
// 8-column one. To copies and to ldmatrix both are the same: a register has 4 bytes of k, two numbers or four. A warp takes
// row_tile rows by some panels of every projection, and keeps its sums and two sets of operands in registers: while one set is
// multiplied, the next is on its way from shared memory, where asynchronous copies bring it from memory `stages` steps of k ahead.
// A step is 64 bytes of k, or 64 for each of `depth_split` groups of warps. A sum is one chain over k for each of these groups,
// added in order: the same for every shape of tile.
//
// A lane of the instruction has channels 8 apart. It reads the fragments of other lanes instead, so that what it holds in its
// registers are neighbouring channels (`group` of them) of a row: what follows the sums is computed on them where they are. Where
// results have 16 bits, lanes exchange halves of panels before, so that neighbours fill whole sectors of memory at once.

#include "TensorTilesBuilder.h"

#include "GpuOps.h"
#include "NormHalves.h"

using namespace mlir;
using namespace sm1;

/// Sums, two sets of operands and squares of rows that a thread has room for beside addresses.
static constexpr int64_t mostRegisters = 184;

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

/// Chunk c of row r lies at c ^ (r/2 % 4), of rows of 128 bytes at c ^ (r % 8), as the copy engine does, so that eight rows of a
/// column of chunks are in eight different groups of banks.
Value TensorTilesBuilder::swizzled(Value row, Value chunk) {
  Value turn = block.rem(block.div(row, 8 / chunksPerRow), chunksPerRow);
  return arith::XOrIOp::create(block.builder, block.loc, chunk, turn);
}

/// Where the chunk of lane `lane` of a panel's fragment lies: lanes that read at the same time read two neighbouring panels, which
/// lie in different banks. Where they read one it may be odd as well as even. Panels that the copy engine brings lie 64 bytes
/// further apart instead.
Value TensorTilesBuilder::weightSlot(Value panel, Value lane) {
  return group == 1 || boxes ? lane
                             : arith::XOrIOp::create(block.builder, block.loc, lane, block.mul(block.rem(panel, 2), 4)).getResult();
}

void TensorTilesBuilder::place() {
  x = block.buffers.inputs.lookup(linears.front().getX());
  TilePlace tile = placeTile(block, rows, panels);
  firstRow = tile.firstRow, firstPanel = tile.firstPanel;
  int64_t sliceWarps = threads / lanesOfWarp / slices, warpColumns = panels / warpPanels;
  Value number = block.div(block.thread, lanesOfWarp);
  lane = block.rem(block.thread, lanesOfWarp);
  slice = block.div(number, sliceWarps);
  warp = block.rem(number, sliceWarps);
  warpPanel = block.mul(block.rem(warp, warpColumns), warpPanels);
  warpRow = block.mul(block.div(warp, warpColumns), warpRows);
  Type byte = block.builder.getI8Type();
  rowStages = block.shared({stages * slices * rowSliceBytes}, byte);
  weightStages = block.shared({stages * slices * weightSliceBytes}, byte);
  if (boxes)
    barriers = block.shared({2 * stages * 8}, byte);

  // The instruction's lane has channels lane/4 and that plus 8. This one reads those of `group` such lanes of one panel; where they
  // are two and halves are exchanged, the lane half a warp away has the neighbouring two.
  Value owner = block.div(lane, 4), panel = block.add(warpPanel, block.rem(owner, group)), first = block.div(owner, group);
  if (group == 2 && storesWide())
    first = block.add(block.mul(block.rem(first, 2), 2), block.div(first, 2));
  Value slot = block.add(block.mul(first, 4 * group), block.rem(lane, 4));
  for (int64_t odd = 0; odd < 2; ++odd)
    weightLane[odd] = block.add(block.add(block.mul(slice, weightSliceBytes), block.mul(panel, panelBytes)),
                                block.mul(weightSlot(panel, block.add(slot, block.constant(4 * odd))), chunkBytes));
  // Lanes 0-7 and 8-15 name the rows of a tile for the halves of a tile of k, the others those of the next tile.
  Value matrix = block.div(lane, rowsOfTile);
  Value row = block.add(warpRow, block.add(block.mul(block.div(matrix, 2), rowsOfTile), block.rem(lane, rowsOfTile)));
  for (int64_t k = 0; k < sliceTiles; ++k)
    rowLane.push_back(block.add(block.add(block.mul(slice, rowSliceBytes), block.mul(row, chunksPerRow * chunkBytes)),
                                block.mul(swizzled(row, block.add(block.constant(2 * k), block.rem(matrix, 2))), chunkBytes)));
}

static Value turnedWhen(BlockKernel &block, Value condition, Value parity) {
  Value one = arith::ConstantIntOp::create(block.builder, block.loc, 1, 32);
  Value other = arith::XOrIOp::create(block.builder, block.loc, parity, one);
  return arith::SelectOp::create(block.builder, block.loc, condition, other, parity);
}

TensorTilesBuilder::Place TensorTilesBuilder::nextPlace(Place place) {
  Value next = block.add(place.stage, block.constant(1));
  Value isLast = arith::CmpIOp::create(block.builder, block.loc, arith::CmpIPredicate::eq, next, block.constant(stages));
  Place later{arith::SelectOp::create(block.builder, block.loc, isLast, block.constant(0), next), {}};
  if (boxes)
    later.parity = turnedWhen(block, isLast, place.parity);
  return later;
}

TensorTilesBuilder::Place TensorTilesBuilder::placeBefore(Place place) {
  Value isFirst = arith::CmpIOp::create(block.builder, block.loc, arith::CmpIPredicate::eq, place.stage, block.constant(0));
  Place before{arith::SelectOp::create(block.builder, block.loc, isFirst, block.constant(stages - 1),
                                       block.sub(place.stage, block.constant(1))),
               {}};
  if (boxes)
    before.parity = turnedWhen(block, isFirst, place.parity);
  return before;
}

//===----------------------------------------------------------------------===//
// Copies
//===----------------------------------------------------------------------===//

/// Neighbouring threads copy the chunks of a row, then the next row.
void TensorTilesBuilder::planRowCopies() {
  int64_t stride = cast<MemRefType>(x.getType()).getDimSize(1), stepChunks = slices * chunksPerRow;
  Value last = block.sub(block.count, block.constant(1));
  Value row = block.div(block.thread, stepChunks), inRow = block.rem(block.thread, stepChunks),
        column = block.mul(inRow, chunkBytes / numberBytes);
  Value line = block.add(block.mul(block.div(inRow, chunksPerRow), rows), row),
        chunk = swizzled(row, block.rem(inRow, chunksPerRow));
  Value to = block.mul(block.add(block.mul(line, chunksPerRow), chunk), chunkBytes);
  for (int64_t first = 0; first < rows * stepChunks; first += threads) { // whole turns of the swizzle further on
    int64_t later = first / stepChunks;
    Value place = block.add(block.add(firstRow, row), block.constant(later)), own = block.least(place, last);
    copies.push_back({x, block.mul(block.add(block.mul(own, stride), column), numberBytes),
                      block.add(to, block.constant(later * chunksPerRow * chunkBytes)), column,
                      std::min(threads, rows * stepChunks - first),
                      rows <= mostRowsOfFew ? block.less(place, block.count) : Value()});
  }
}

/// Neighbouring threads copy what a step has of one panel, then of the next.
void TensorTilesBuilder::planWeightCopies(size_t linear) {
  const int64_t sliceChunks = sliceTiles * lanesOfWarp;
  int64_t panelChunks = slices * sliceChunks;
  Value weight = block.buffers.inputs.lookup(linears[linear].getWeight());
  auto shape = cast<MemRefType>(weight.getType()).getShape();
  for (int64_t first = 0; first < panels * panelChunks; first += threads) {
    // Threads that stand at the same place of every round have only something constant to add.
    bool wholePanels = threads % panelChunks == 0;
    Value part = block.add(block.thread, block.constant(wholePanels ? 0 : first));
    int64_t later = wholePanels ? first / panelChunks : 0;
    Value panel = block.div(part, panelChunks), inPanel = block.rem(part, panelChunks), inSlice = block.rem(inPanel, sliceChunks);
    Value place = block.add(block.add(firstPanel, panel), block.constant(later));
    if (shape[0] % panels)
      place = block.least(place, block.constant(shape[0] - 1));
    Value from = block.add(block.mul(place, shape[1] * tileBytes), block.mul(inPanel, chunkBytes));
    Value parity = later % 2 ? block.add(panel, block.constant(1)) : panel;
    Value slot =
        block.add(block.mul(block.div(inSlice, lanesOfWarp), lanesOfWarp), weightSlot(parity, block.rem(inSlice, lanesOfWarp)));
    Value to = block.add(block.mul(block.div(inPanel, sliceChunks), weightSliceBytes),
                         block.mul(block.add(block.mul(panel, sliceChunks), slot), chunkBytes));
    int64_t fixed = (int64_t(linear) * panels + later) * sliceChunks * chunkBytes;
    copies.push_back({weight, from, block.add(to, block.constant(fixed)), block.mul(block.div(inPanel, sliceChunks), sliceDepth),
                      std::min(threads, panels * panelChunks - first)});
  }
}

void TensorTilesBuilder::startCopy(const Copy &copy, Value step, Value stage) {
  OpBuilder &builder = block.builder;
  bool ofRows = copy.array == x;
  Value from = block.add(copy.from, block.mul(step, slices * (ofRows ? lineBytes : sliceTiles * tileBytes)));
  Value bytes = arith::ConstantIntOp::create(builder, block.loc, chunkBytes, 32);
  int64_t there = ofRows ? depth : llvm::alignTo(depth, sliceDepth); // weights have zeros to the end of a slice
  if (there % (slices * sliceDepth)) {
    // Past the last channel lies padding that may hold anything, also no number at all: it must become zero.
    Value column = block.add(copy.column, block.mul(step, slices * sliceDepth));
    Value left = block.mul(block.sub(block.constant(there), column), ofRows ? numberBytes : chunkBytes);
    Value inside = arith::MaxSIOp::create(builder, block.loc, block.least(left, block.constant(chunkBytes)), block.constant(0));
    bytes = arith::IndexCastOp::create(builder, block.loc, builder.getI32Type(), inside);
    // An address in the array all the same.
    Value isInside = arith::CmpIOp::create(builder, block.loc, arith::CmpIPredicate::ne, inside, block.constant(0));
    from = arith::SelectOp::create(builder, block.loc, isInside, from, block.constant(0));
  }
  if (copy.isThere) {
    Value none = arith::ConstantIntOp::create(builder, block.loc, 0, 32);
    bytes = arith::SelectOp::create(builder, block.loc, copy.isThere, bytes, none);
  }
  Value to = block.add(copy.to, block.mul(stage, slices * (ofRows ? rowSliceBytes : weightSliceBytes)));
  auto start = [&] {
    cuda::copyAsync(builder, block.loc,
                    cuda::addressOf(builder, block.loc, ofRows ? rowStages : weightStages, to, cuda::sharedMemory),
                    cuda::addressOf(builder, block.loc, copy.array, from, cuda::globalMemory), bytes);
  };
  if (copy.threads < threads)
    block.when(block.less(block.thread, block.constant(copy.threads)), start);
  else
    start();
}

void TensorTilesBuilder::startStage(Value step, Value stage) {
  for (const Copy &copy : copies)
    startCopy(copy, step, stage);
  cuda::commitCopies(block.builder, block.loc);
}

void TensorTilesBuilder::startFirstStages() {
  auto start = [&](int64_t step, bool ofRows) {
    for (const Copy &copy : copies)
      if (step < steps && (copy.array == x) == ofRows)
        startCopy(copy, block.constant(step), block.constant(step));
  };
  for (int64_t step = 0; step + 1 < stages; ++step)
    start(step, /*ofRows=*/false);
  fetchParameters(block, firstPanel, panels);
  fetchStates(block, firstRow, firstPanel, rows, panels);
  block.waitForInputs();
  for (int64_t step = 0; step + 1 < stages; ++step) {
    start(step, /*ofRows=*/true);
    cuda::commitCopies(block.builder, block.loc);
  }
  if (rows > mostRowsOfFew)
    fetchStreamLines(block, {firstRow, firstPanel}, rows, panels);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

TensorTilesBuilder::Operands TensorTilesBuilder::readOperands(Value stage, int64_t k) {
  OpBuilder &builder = block.builder;
  Operands operands;
  Value stageRows = block.add(block.mul(stage, slices * rowSliceBytes), rowLane[k]);
  for (int64_t pair = 0; pair < tiles / 2; ++pair) {
    Value place = block.add(stageRows, block.constant(pair * 2 * rowsOfTile * chunksPerRow * chunkBytes));
    operands.rows.push_back(
        cuda::loadMatrices(builder, block.loc, cuda::addressOf(builder, block.loc, rowStages, place, cuda::sharedMemory)));
  }
  Value stageWeights = block.mul(stage, slices * weightSliceBytes);
  for (size_t l = 0; l < linears.size(); ++l)
    for (int64_t panel = 0; panel < warpPanels; ++panel) {
      int64_t inGroup = panel % group, firstOfGroup = panel - inGroup;
      int64_t fixed = (l * panels + firstOfGroup) * panelBytes + k * tileBytes + inGroup / 2 * 8 * chunkBytes;
      Value place = block.add(block.add(stageWeights, weightLane[inGroup % 2]), block.constant(fixed));
      operands.weights.push_back(
          cuda::loadWords(builder, block.loc, cuda::addressOf(builder, block.loc, weightStages, place, cuda::sharedMemory)));
    }
  return operands;
}

void TensorTilesBuilder::multiply(const Operands &operands, SmallVector<Value> &sums, size_t begin, size_t end) {
  for (size_t fragment = begin; fragment < end; ++fragment)
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const Fragment &pair = operands.rows[tile / 2];
      int64_t at = sumIndex(fragment / warpPanels, int64_t(fragment % warpPanels), tile), half = tile % 2 * 2;
      Fragment sum = cuda::multiplyAdd(block.builder, block.loc, operands.weights[fragment], {pair[half], pair[half + 1]},
                                       {sums[at], sums[at + 1], sums[at + 2], sums[at + 3]}, fp8);
      llvm::copy(sum, sums.begin() + at);
    }
}

TensorTilesBuilder::Operands TensorTilesBuilder::multiplyStage(Operands operands, Place place, SmallVector<Value> &sums, bool ahead,
                                                               StartCopies startCopies) {
  if (boxes)
    return multiplyBox(std::move(operands), place, sums, ahead, startCopies);
  for (int64_t k = 0; k < sliceTiles; ++k) {
    Operands next;
    if (k + 1 < sliceTiles) {
      next = readOperands(place.stage, k + 1);
    } else if (ahead) {
      // Everybody's copies of the next step are there, and everybody has read what this step needs: its stage can be filled again.
      cuda::waitForCopies(block.builder, block.loc, stages - 2);
      block.barrier();
      next = readOperands(nextPlace(place).stage, 0);
    }
    if (k == 0)
      startCopies();
    multiply(operands, sums);
    operands = std::move(next);
  }
  return operands;
}

void TensorTilesBuilder::sumSteps(int64_t begin, int64_t end, StartOfStep start, Operands &operands, Place &place,
                                  SmallVector<Value> &sums) {
  if (begin >= end)
    return;
  SmallVector<Value> initial(sums);
  auto append = [&](SmallVector<Value> &values, const Operands &operands, Place place) {
    for (auto *fragments : {&operands.weights, &operands.rows})
      for (const Fragment &fragment : *fragments)
        llvm::append_range(values, fragment);
    values.push_back(place.stage);
    if (boxes)
      values.push_back(place.parity);
  };
  auto take = [&](ValueRange values) {
    Operands taken = operands;
    for (auto *fragments : {&taken.weights, &taken.rows})
      for (Fragment &fragment : *fragments) {
        llvm::copy(values.take_front(4), fragment.begin());
        values = values.drop_front(4);
      }
    return std::pair(taken, Place{values.front(), boxes ? values.back() : Value()});
  };
  append(initial, operands, place);
  size_t sumCount = sums.size();
  SmallVector<Value> last =
      block.loopWith(block.constant(begin), block.constant(end), 1, initial, [&](Value step, ValueRange carried) {
        SmallVector<Value> next(carried.take_front(sumCount));
        auto [own, place] = take(carried.drop_front(sumCount));
        Operands ahead = multiplyStage(own, place, next, /*ahead=*/true, [&, place = place] { start(step, place); });
        append(next, ahead, nextPlace(place));
        return next;
      });
  sums.assign(last.begin(), last.begin() + sumCount);
  std::tie(operands, place) = take(ValueRange(last).drop_front(sumCount));
}

SmallVector<Value> TensorTilesBuilder::sum() {
  if (boxes) {
    startFirstBoxes();
  } else {
    planRowCopies();
    for (size_t linear = 0; linear < linears.size(); ++linear)
      planWeightCopies(linear);
    startFirstStages();
  }
  RowFactors factors(block, firstRow, rows);
  bool inRegisters = registersOfProducts() + factors.registers() <= mostRegisters;
  bool areStored = !inRegisters && factors.store();
  SmallVector<Value> sums(linears.size() * warpPanels * tiles * 4, block.number(0));
  Place place{block.constant(0), {}};
  if (boxes) {
    place.parity = arith::ConstantIntOp::create(block.builder, block.loc, 0, 32);
    cuda::waitForBytes(block.builder, block.loc, fullAt(place.stage), place.parity);
    if (areStored)
      block.barrier();
  } else {
    cuda::waitForCopies(block.builder, block.loc, stages - 2);
    block.barrier();
  }
  Operands operands = readOperands(place.stage, 0);
  auto startLater = [&](Value step, Place place) {
    Value later = block.add(step, block.constant(stages - 1));
    boxes ? startBox(later, placeBefore(place)) : startStage(later, placeBefore(place).stage);
  };
  auto startNothing = [&](Value, Place) {
    if (!boxes)
      cuda::commitCopies(block.builder, block.loc); // the groups' numbers go on
  };
  int64_t withCopies = std::max<int64_t>(steps - (stages - 1), 0), others = steps - (takesStream() ? stagesOfStream() : 1);
  sumSteps(0, withCopies, startLater, operands, place, sums);
  sumSteps(withCopies, others, startNothing, operands, place, sums);
  sumSteps(
      std::max(withCopies, others), steps - 1, [&](Value, Place) { startStream(0); }, operands, place, sums);
  multiplyStage(operands, place, sums, /*ahead=*/false, [&] {
    if (takesStream())
      startStream(stagesOfStream() - 1);
  });
  if (inRegisters && factors.store())
    block.barrier();
  return sums;
}

void TensorTilesBuilder::build() {
  int64_t mark = block.sharedMark();
  place();
  SmallVector<Value> sums = sum();
  block.releaseShared(mark);
  block.startLaterKernel(BlockKernel::LaterKernel::AfterSums);
  if (slices > 1)
    return finishParts(sums);
  for (int64_t tile = 0; tile < tiles; ++tile) {
    tileOfStream = tile;
    if (takesStream())
      waitForStream();
    finish(sumsOfTile(sums, tile), block.constant(tile));
    if (takesStream())
      startLaterStream(tile);
  }
}

void sm1::buildTensorTiles(BlockKernel &block) { TensorTilesBuilder(block).build(); }
