//===- WgmmaTilesForm.cpp - projections of many rows on the tensor cores of a warpgroup (sm_90a) -----------------===//
//
// wgmma reads both operands from shared memory: rows are the 64-row one, of which a warpgroup takes row_tile / 64, the channels of
// all projections are columns. A step is 64 bytes of each row, 32 k of bf16 or 64 of e4m3, or twice as much where one block has a
// multiprocessor for itself, in one of `stages` stages.
// Weights lie packed as the image of a stage ("images") and come in one bulk copy for each projection, rows in one copy of a box of
// their tensor map, which swizzles them. Products of a step are under way while the next one's operands are waited for, and what
// was multiplied before is written over. While a block waits or finishes, another one on the multiprocessor multiplies.
//
// Images have the channels of a panel in such an order that a thread's sums are four neighbouring channels of each panel: what
// follows the sums is computed on them where they are. A sum is one chain over k, the same for every shape of tile.

#include "WgmmaTiles.h"

#include "GpuOps.h"
#include "NormHalves.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

/// Of an instruction; a product takes so many bytes of a slice's row.
static constexpr int64_t warpsOfGroup = 4, productsOfSlice = 2, productBytes = 32;
/// Registers of a thread that are neither sums nor what follows them.
static constexpr int64_t otherRegisters = 43, otherOfWalk = 58;

Value WgmmaTilesBuilder::ofBlock(LinearOp linear, llvm::function_ref<Value(LinearOp)> of) {
  Value value = of(linear);
  for (size_t number = 1; isPart() && number < all.size(); ++number)
    value = arith::SelectOp::create(builder, loc, isEqual(own, int64_t(number)), of(all[number]), value);
  return value;
}

//===----------------------------------------------------------------------===//
// Copies
//===----------------------------------------------------------------------===//

void WgmmaTilesBuilder::takeTile(TilePlace tile) {
  firstRow = tile.firstRow, firstPanel = tile.firstPanel;
  if (isPart()) {
    int64_t panelsOfOne = panelsOfBlocks(block.kernel) / int64_t(all.size());
    own = block.div(tile.firstPanel, panelsOfOne), firstPanel = block.rem(tile.firstPanel, panelsOfOne);
  }
}

/// Rows of every tile but the last one, which may have fewer; where they are not shared, all of the run.
Value WgmmaTilesBuilder::shareOfTile() {
  if (!sharesRows(block.kernel))
    return block.count;
  Value tiles = block.div(block.add(block.count, block.constant(rows - 1)), rows);
  Value below = block.add(block.count, block.sub(tiles, block.constant(1)));
  auto narrow = [&](Value value) { // a division of 32 bits is no call
    return arith::IndexCastOp::create(builder, loc, builder.getI32Type(), value).getResult();
  };
  Value share = arith::DivUIOp::create(builder, loc, narrow(below), narrow(tiles));
  return arith::IndexCastOp::create(builder, loc, builder.getIndexType(), share);
}

/// Where tiles share the rows of a run, those behind a tile's share are another's.
TilePlace WgmmaTilesBuilder::placeOfShare(TilePlace tile) {
  if (!boxRows || !sharesRows(block.kernel))
    return tile;
  tile.firstRow = builder.createOrFold<arith::MulIOp>(loc, block.div(tile.firstRow, rows), boxRows);
  block.count = block.least(block.count, block.add(tile.firstRow, boxRows));
  return tile;
}

void WgmmaTilesBuilder::place() {
  lane = block.rem(block.thread, lanesOfWarp);
  warp = block.rem(block.div(block.thread, lanesOfWarp), warpsOfGroup);
  warpgroup = block.div(block.thread, threadsOfWarpgroup);
  Type byte = builder.getI8Type();
  rowStages = block.shared({stages * stageRowBytes}, byte); // whole turns of the swizzle
  weightStages = block.shared({stages * stageWeightBytes}, byte);
  barriers = block.shared({barrierBytes * (walks ? 2 * stages + turns() + (hasScan() ? 2 : 0) : stages)}, byte);
  cluster.place();
  if (block.buffers.oneRowPerSegment && fitsBoxes(block.schedule)) { // prompts of few rows gain nothing by it
    Value eights = block.div(block.add(shareOfTile(), block.constant(rowsOfFit - 1)), rowsOfFit);
    boxRows = block.least(block.mul(eights, rowsOfFit), block.constant(rows));
  }
  slicesOfStream.place();
  if (hasScan())
    scan.emplace(block, rows, panels);
}

Value WgmmaTilesBuilder::sharedAt(Value stages, Value stage, int64_t stageBytes, int64_t offset) {
  return cuda::addressOf(builder, loc, stages, block.add(block.mul(stage, stageBytes), block.constant(offset)), cuda::sharedMemory);
}

void WgmmaTilesBuilder::makeBarriers(Value isAlone) {
  int64_t warps = groupsOfTile() * warpsOfGroup;
  whenFirst([&] {
    for (int64_t stage = 0; stage < stages; ++stage)
      cuda::initBulkBarrier(builder, loc, barrierAt(block.constant(stage)), 1);
    for (int64_t stage = 0; walks && stage < stages; ++stage)
      if (mayShareTile())
        cuda::initBulkBarrier(builder, loc, freeAt(block.constant(stage)),
                              arith::SelectOp::create(builder, loc, isAlone, number32(atOnce * warps), number32(warps)));
      else
        cuda::initBulkBarrier(builder, loc, freeAt(block.constant(stage)), warps);
    for (int64_t turn = 0; turn < turns(); ++turn)
      cuda::initBulkBarrier(builder, loc, turnAt(block.constant(turn)), warps);
    cluster.makeBarrier();
    slicesOfStream.makeBarriers();
    if (hasScan()) {
      cuda::initBulkBarrier(builder, loc, leftAt(), groupsOfTile() * threadsOfWarpgroup); // of all lanes, whose own writes they are
      cuda::initBulkBarrier(builder, loc, takenAt(), threadsOfWarpgroup);
    }
    cuda::fenceBulkBarriers(builder, loc);
  });
}

void WgmmaTilesBuilder::copyWeights(Value step, Value stage, int64_t there) {
  step = cluster.stepOf(step);
  Value bytes = number32(stageRowBytes + there * sliceWeightBytes);
  if (boxRows)
    bytes = arith::IndexCastOp::create(builder, loc, builder.getI32Type(),
                                       block.add(block.mul(boxRows, rowBytes), block.constant(there * sliceWeightBytes)));
  cuda::expectBytes(builder, loc, barrierAt(stage), bytes);
  for (int64_t slice = 0; slice < there; ++slice)
    for (auto [index, linear] : llvm::enumerate(linears)) {
      Value weight = ofBlock(linear, [&](LinearOp one) { return block.buffers.inputs.lookup(one.getWeight()); });
      int64_t matrixBytes = cast<MemRefType>(weight.getType()).getDimSize(1) * panelWidth * lineBytes; // of a slice
      Value from = block.add(block.add(block.mul(step, slices * matrixBytes), block.constant(slice * matrixBytes)),
                             block.mul(firstPanel, panelWidth * lineBytes));
      for (int64_t group = 0; group < sharers; ++group) {
        Value to = sharedAt(weightStages, stage, stageWeightBytes,
                            slice * sliceWeightBytes + group * groupBytes + int64_t(index) * projectionBytes);
        Value own = block.add(from, block.constant(group * projectionBytes));
        cuda::copyBulk(builder, loc, to, cuda::addressOf(builder, loc, weight, own, cuda::globalMemory), number32(projectionBytes),
                       barrierAt(stage), block.kernel->hasAttr(fewRowsAttr));
      }
    }
}

/// All slices in one box: of rows of 128 bytes the copy engine takes as many in a time as of 64.
void WgmmaTilesBuilder::copyRows(Value step, Value stage) {
  auto word = [&](Value index) { return arith::IndexCastOp::create(builder, loc, builder.getI32Type(), index).getResult(); };
  cuda::copyBox(builder, loc, sharedAt(rowStages, stage, stageRowBytes), block.map,
                word(block.mul(cluster.stepOf(step), slices * sliceDepth)), word(firstRow), barrierAt(stage));
}

void WgmmaTilesBuilder::clearOtherRows() {
  constexpr int64_t bytesAtOnce = 16;
  Value zero = arith::ConstantOp::create(builder, loc,
                                         DenseElementsAttr::get(VectorType::get({bytesAtOnce}, builder.getI8Type()), int8_t(0)));
  block.when(block.less(boxRows, block.constant(rows)), [&] {
    Value first = block.add(block.mul(boxRows, rowBytes), block.mul(block.thread, bytesAtOnce));
    block.loop(block.constant(0), block.constant(stages), 1, [&](Value stage) {
      block.loop(first, block.constant(stageRowBytes), block.schedule.getThreads() * bytesAtOnce,
                 [&](Value at) { block.store(zero, rowStages, block.add(block.mul(stage, stageRowBytes), at)); });
    });
    cuda::fenceSharedForCopies(builder, loc);
  });
}

/// Weights wait for no kernel, rows for the one that makes them.
void WgmmaTilesBuilder::startFirstStages() {
  int64_t ahead = firstSteps();
  auto start = [&](void (WgmmaTilesBuilder::*copy)(Value, Value), IntegerAttr pace = {}) {
    for (int64_t step = 0; step < ahead; ++step) {
      if (pace && step > 0)
        cuda::letClocksPass(builder, loc, pace.getInt());
      cluster.whenThere(step, [&] { (this->*copy)(block.constant(step), block.constant(step)); });
    }
  };
  whenFirst([&] {
    start(&WgmmaTilesBuilder::copyWeights, block.kernel->getAttrOfType<IntegerAttr>(paceAttr));
    cuda::fetchMap(builder, loc, block.map);
  });
  if (takesInputsEarly()) {
    loadInputs(&EarlyInputs::loadBeforeWait);
  } else {
    fetchParameters(block, firstPanel, panelsOfBlock());
    auto [ownRow, ownRows] = cluster.shareOf(firstRow, rows);
    fetchStates(block, ownRow, firstPanel, ownRows, panelsOfBlock());
  }
  block.waitForInputs();
  whenFirst([&] { start(&WgmmaTilesBuilder::copyRows); });
  if (takesInputsEarly())
    loadInputs(&EarlyInputs::load);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

void WgmmaTilesBuilder::multiplyStage(Value stage, SmallVector<Value> &sums, int64_t there) {
  Value place = block.mul(stage, stageRowBytes), weightPlace = block.mul(stage, stageWeightBytes);
  if (sharers > 1)
    weightPlace = block.add(weightPlace, block.mul(warpgroup, groupBytes));
  else
    place = block.add(place, block.mul(warpgroup, warpgroupRows * rowBytes));
  Value rowsOperand = cuda::operandAt(builder, loc, cuda::addressOf(builder, loc, rowStages, place, cuda::sharedMemory), rowBytes);
  Value weightsOperand =
      cuda::operandAt(builder, loc, cuda::addressOf(builder, loc, weightStages, weightPlace, cuda::sharedMemory), lineBytes);
  cuda::fenceWarpgroup(builder, loc);
  for (int64_t k = 0; k < there * productsOfSlice; ++k)
    for (int64_t part = 0; part < parts(); ++part)
      for (int64_t product = 0; product < productsAcross(); ++product) {
        int64_t slice = k / productsOfSlice, inSlice = k % productsOfSlice * productBytes;
        int64_t at = (part * productsAcross() + product) * sumsOfProduct();
        Value rows = cuda::operandAfter(builder, loc, rowsOperand, part * rowsOfProduct * rowBytes + k * productBytes);
        Value weights = cuda::operandAfter(builder, loc, weightsOperand,
                                           slice * sliceWeightBytes + product * 2 * sumsOfProduct() * lineBytes + inSlice);
        llvm::copy(cuda::startProducts(builder, loc, isFp8(x), rows, weights, ArrayRef(sums).slice(at, sumsOfProduct())),
                   sums.begin() + at);
      }
  cuda::commitProducts(builder, loc);
}

void WgmmaTilesBuilder::sumSteps(int64_t begin, Value end, bool copies, SmallVector<Value> &carried) {
  carried = block.loopWith(block.constant(begin), end, 1, carried, [&](Value step, ValueRange before) {
    SmallVector<Value> sums(before.drop_back(2));
    Value stage = before.drop_back().back(), parity = before.back();
    cuda::waitForBytes(builder, loc, barrierAt(stage), parity);
    if (copies) { // nobody reads the stage any more that will be written
      sums = cuda::waitForProducts(builder, loc, stepsInUse - 1, sums);
      block.barrier();
    }
    multiplyStage(stage, sums, slices);
    if (copies) {
      Value later = block.add(step, block.constant(stages - stepsInUse)), shifted = block.add(stage, block.constant(stages));
      Value free = block.rem(block.sub(shifted, block.constant(stepsInUse)), stages);
      whenFirst([&] {
        copyWeights(later, free);
        copyRows(later, free);
      });
    }
    goOn(stage, parity, sums);
    return sums;
  });
}

void WgmmaTilesBuilder::goOn(Value stage, Value parity, SmallVector<Value> &carried) {
  Value isLast = isEqual(stage, stages - 1);
  carried.push_back(arith::SelectOp::create(builder, loc, isLast, block.constant(0), block.add(stage, block.constant(1))));
  Value turned = arith::XOrIOp::create(builder, loc, parity, number32(1));
  carried.push_back(arith::SelectOp::create(builder, loc, isLast, turned, parity));
}

SmallVector<Value> WgmmaTilesBuilder::sum() {
  takeTile(placeOfShare(placeTile(block, rows, panelsOfBlock())));
  if (boxRows)
    clearOtherRows(); // here, so that nobody jumps over its code behind the wait for earlier kernels
  makeBarriers();
  startFirstStages();
  RowFactors factors(block, firstRow, rows);
  block.barrier(); // before anybody asks the barriers
  SmallVector<Value> carried(parts() * columns() / 2, block.number(0));
  carried.append({block.constant(0), number32(0)});
  int64_t withCopies = steps - firstSteps();
  if (withCopies)
    sumSteps(0, block.constant(withCopies), /*copies=*/true, carried);
  sumSteps(withCopies, cluster.steps(), /*copies=*/false, carried);
  carried.resize(carried.size() - 2);
  if (cluster.isThere()) { // where stages are written again the last one may be any of them
    carried = cuda::waitForProducts(builder, loc, stages < steps ? 0 : 1, carried);
    cluster.arrive();
  }
  if (factors.store())
    block.barrier();
  firstPanel = panelOfGroup();
  return cuda::waitForProducts(builder, loc, 0, carried);
}

SmallVector<Value> WgmmaTilesBuilder::exchange(ArrayRef<Value> sums) {
  auto placesFrom = [](int64_t at) { return std::array<int64_t, 4>{at, at + 1, at + group, at + group + 1}; };
  auto fours = cluster.exchange([&](int64_t linear, int64_t panel, int64_t half) {
    ClusterSums::Four four;
    for (auto [sum, at] : llvm::zip_equal(four, placesFrom(sumIndex(0, size_t(linear)) + panel * 2 * group + 2 * half)))
      sum = sums[size_t(at)];
    return four;
  });
  firstPanel = block.add(firstPanel, cluster.ownPanel()), panels = cluster.ownPanels();
  SmallVector<Value> own(linears.size() * panels * 2 * group);
  for (auto [index, four] : llvm::enumerate(fours))
    for (auto [sum, at] : llvm::zip_equal(four, placesFrom(int64_t(index) * 2 * group)))
      own[size_t(at)] = sum;
  return own;
}

//===----------------------------------------------------------------------===//
// What follows
//===----------------------------------------------------------------------===//

Tile WgmmaTilesBuilder::tileOf(Value row, Value first, int64_t count) {
  Tile tile{row, block.add(block.mul(first, panelWidth / group), block.rem(lane, 4)), 1, count, group};
  tile.panelStep = panelWidth / group;
  return tile;
}

/// Two products of 8 columns, of which the thread has two each.
Value WgmmaTilesBuilder::sumsOf(ArrayRef<Value> sums, size_t linear, int64_t part, int64_t half, int64_t panel) {
  int64_t at = sumIndex(part, linear) + panel * 2 * group + 2 * half;
  SmallVector<Value> channels{sums[at], sums[at + 1], sums[at + group], sums[at + group + 1]};
  return vector::FromElementsOp::create(builder, loc, VectorType::get({group}, builder.getF32Type()), channels);
}

/// Panels `first` to `first + count` of one of the two rows, `half`, that a thread has of 64.
SmallVector<Value> WgmmaTilesBuilder::finishPanels(ArrayRef<Value> sums, int64_t part, int64_t half, int64_t first, int64_t count,
                                                   Value row) {
  Tile tile = tileOf(row, block.add(firstPanel, block.constant(first)), count);
  TileEvaluator evaluator(builder, block.kernel, block.buffers, tile);
  if (!early.empty())
    early.give(evaluator, size_t(part * halves() + half));
  if (takesSlices())
    slicesOfStream.give(evaluator, first, count);
  for (auto [index, linear] : llvm::enumerate(linears)) {
    SmallVector<Value> vectors;
    for (int64_t panel = first; panel < first + count; ++panel) {
      vectors.push_back(sumsOf(sums, index, part, half, panel));
      if (linear.getScales()) {
        Value array = ofBlock(linear, [&](LinearOp one) { return block.buffers.inputs.lookup(one.getScales()); });
        Value scales = evaluator.loadVector(array, evaluator.column(panel - first));
        vectors.back() = arith::MulFOp::create(builder, loc, vectors.back(), scales);
      }
    }
    evaluator.define(linear.getResult(), vectors);
  }
  SmallVector<Operation *> ops = block.mainOps();
  if (walks)
    scale(evaluator, size_t(part * halves() + half), count, ops);
  if (isPart()) {
    storeSums(evaluator);
    return {};
  }
  evaluator.evaluate(ops);
  block.storeResults(evaluator);
  SmallVector<Value> squares;
  if (PanelSquaresOp stored = storedSquares(block.kernel))
    for (int64_t panel = 0; panel < count; ++panel)
      squares.push_back(evaluator.at(stored.getResult(), 0, panel));
  return squares;
}

/// A lane has row `lane` of the 32 of two parts.
void WgmmaTilesBuilder::askForSquares() {
  constexpr int64_t rowsOfWarp = rowsOfProduct / warpsOfGroup;
  SmallVector<Value> rows;
  for (int64_t part = 0; part < parts(); part += 2) {
    Value inTile = block.add(block.mul(warpgroup, warpgroupRows), block.mul(warp, rowsOfWarp));
    Value inPart = block.add(block.mul(block.div(lane, rowsOfWarp), rowsOfProduct), block.rem(lane, rowsOfWarp));
    rows.push_back(block.add(block.add(firstRow, inTile), block.add(inPart, block.constant(part * rowsOfProduct))));
  }
  laneSquares = squaresOfLane(block, rows);
}

void WgmmaTilesBuilder::takeFactors() {
  factors.clear();
  for (auto &[scale, sums] : laneSquares) {
    SmallVector<Value> ofLane = factorsOfLane(block, scale, sums);
    for (int64_t part = 0; part < parts(); ++part)
      for (int64_t half = 0; half < halves(); ++half) {
        Value from = block.add(block.div(lane, 4), block.constant(part % 2 * rowsOfProduct / warpsOfGroup + half * 8));
        factors[scale.getSquares()].push_back(cuda::shuffle(builder, loc, ofLane[size_t(part / 2)], from));
      }
  }
}

/// Of blocks that walk: computes sm1.rms_scale, whose factors a thread has in registers, and takes it from `ops`.
void WgmmaTilesBuilder::scale(TileEvaluator &evaluator, size_t number, int64_t count, SmallVector<Operation *> &ops) {
  for (Operation *op : ops)
    if (auto scale = dyn_cast<RmsScaleOp>(op); scale && (!isPart() || evaluator.isDefined(scale.getX()))) {
      Value factor = vector::BroadcastOp::create(builder, loc, VectorType::get({group}, builder.getF32Type()),
                                                 factors.lookup(scale.getSquares())[number]);
      SmallVector<Value> vectors;
      for (int64_t panel = 0; panel < count; ++panel)
        vectors.push_back(arith::MulFOp::create(builder, loc, evaluator.at(scale.getX(), 0, panel), factor));
      evaluator.define(scale.getResult(), vectors);
    }
  llvm::erase_if(ops, [](Operation *op) { return isa<RmsScaleOp>(op); });
}

/// Projections that go apart are stored alike (storesSums), each to its own array.
void WgmmaTilesBuilder::storeSums(TileEvaluator &evaluator) {
  auto yielded = block.kernel.yielded();
  auto resultOf = [&](LinearOp linear) {
    return llvm::find_if(yielded, [&](Value value) { return projectionBehind(value) == linear; }).getIndex();
  };
  Value stored = yielded[resultOf(linears.front())], scaled = stored;
  auto rounding = stored.getDefiningOp<arith::TruncFOp>();
  if (rounding)
    scaled = rounding.getIn();
  if (auto scale = scaled.getDefiningOp<RmsScaleOp>(); scale && !walks) // else its factors are in registers
    evaluator.evaluate({scale});
  if (rounding)
    evaluator.evaluate({rounding});
  evaluator.store(stored, ofBlock(linears.front(), [&](LinearOp one) { return block.buffers.results[resultOf(one)]; }));
}

int64_t WgmmaTilesBuilder::numbersOfRow(int64_t panels) const {
  return !storedSquares(block.kernel) ? 0 : partsOfRow(block.kernel) ? 1 : panels;
}

/// Four lanes have a row's channels of a panel.
void WgmmaTilesBuilder::storeSquares(ArrayRef<Value> squares, Value row) {
  Value isFirst = isEqual(block.rem(lane, 4), 0);
  if (int64_t parts = squares.empty() ? 0 : partsOfRow(block.kernel)) {
    Value tile = block.div(firstPanel, panels);
    sm1::storeSquares(block, squares.front(), {1, 2}, isFirst, row, tile);
    if (int64_t tiles = panelsOfBlocks(block.kernel) / panels; tiles < parts)
      storeZeros(block, arith::AndIOp::create(builder, loc, isFirst, isEqual(tile, 0)), row, tiles);
    return;
  }
  for (auto [panel, sum] : llvm::enumerate(squares))
    sm1::storeSquares(block, sum, {1, 2}, isFirst, row, block.add(firstPanel, block.constant(panel)));
}

Value WgmmaTilesBuilder::rowOf(int64_t part, int64_t half) {
  Value row = block.add(firstRow, block.add(block.mul(warp, rowsOfProduct / warpsOfGroup), block.div(lane, 4)));
  if (sharers == 1)
    row = block.add(row, block.mul(warpgroup, warpgroupRows));
  if (cluster.isThere())
    row = block.add(row, cluster.ownRow());
  return block.add(row, block.constant(part * rowsOfProduct + half * 8));
}

bool WgmmaTilesBuilder::takesInputsEarly() const {
  constexpr int64_t registersOfFactors = 24; // that are not there yet
  int64_t own = cluster.isThere() ? cluster.ownPanels() : panels;
  int64_t numbers = isPart() ? 0 : early.registers(parts() * halves(), own, group);
  return numbers > 0 && parts() * columns() / 2 + numbers <= registers() - otherRegisters - registersOfFactors;
}

bool WgmmaTilesBuilder::takesRowsEarly() const {
  int64_t numbers = early.registersOfRows(parts() * halves(), panels, group);
  return walks && !turns() && !hasScan() && !isPart() && numbers > 0 &&
         parts() * columns() / 2 + numbers <= registers() - otherRegisters;
}

void WgmmaTilesBuilder::loadInputs(void (EarlyInputs::*load)(size_t, Tile)) {
  int64_t own = cluster.isThere() ? cluster.ownPanels() : panels;
  Value first = cluster.isThere() ? block.add(firstPanel, cluster.ownPanel()) : panelOfGroup();
  for (int64_t part = 0; part < parts(); ++part)
    for (int64_t half = 0; half < halves(); ++half)
      (early.*load)(size_t(part * halves() + half), tileOf(rowOf(part, half), first, own));
}

/// The thread's row of `half` of a part, panels `first` to `end`; what it has of the squares that are stored. `left`: sums that are
/// in registers.
SmallVector<Value> WgmmaTilesBuilder::finishRow(ArrayRef<Value> sums, int64_t part, int64_t half, int64_t first, int64_t end,
                                                Value row, SmallVector<Value> all, int64_t &left) {
  constexpr int64_t mostOfSlice = 2;
  // What is read for several panels is on its way together, as far as registers go: the more, the fewer sums are left.
  int64_t registersOfSums = registers() - (walks ? otherOfWalk : otherRegisters), sumsOfPanel = group * int64_t(linears.size());
  for (int64_t together; first < end; first += together) {
    together = early.empty() ? std::clamp<int64_t>((registersOfSums - left) / sumsOfPanel, 1, end - first) : end - first;
    if (takesSlices()) // which are near
      together = std::min<int64_t>(together, mostOfSlice);
    for (Value number : finishPanels(sums, part, half, first, together, row))
      if (all.empty() || !partsOfRow(block.kernel))
        all.push_back(number);
      else // of the tile
        all.back() = arith::AddFOp::create(builder, loc, all.back(), number);
    left -= together * sumsOfPanel;
  }
  return all;
}

void WgmmaTilesBuilder::finish(ArrayRef<Value> sums) {
  int64_t left = int64_t(sums.size()), rowsOfThread = parts() * halves();
  for (int64_t number = 0; number < rowsOfThread; ++number) {
    int64_t part = number / halves(), half = number % halves();
    Value row = rowOf(part, half);
    SmallVector<Value> squares;
    auto finishSome = [&](int64_t first, int64_t end) {
      squares = numbersWhen(block, block.less(row, block.count), numbersOfRow(end),
                            [&] { return finishRow(sums, part, half, first, end, row, squares, left); });
    };
    if (takesSlices())
      slicesOfStream.read(turn, number, /*isLast=*/number == rowsOfThread - 1, finishSome);
    else
      finishSome(0, panels);
    storeSquares(squares, row);
  }
}

void WgmmaTilesBuilder::build() {
  int64_t mark = block.sharedMark();
  place();
  if (walks)
    return walk();
  SmallVector<Value> sums = sum();
  block.startLaterKernel(BlockKernel::LaterKernel::AfterSums);
  if (!cluster.isThere())
    return finish(sums);
  block.releaseShared(mark);
  finish(exchange(sums));
}

void sm1::buildWgmmaTiles(BlockKernel &block) { WgmmaTilesBuilder(block).build(); }
