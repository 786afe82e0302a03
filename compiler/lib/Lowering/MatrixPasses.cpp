//===- MatrixPasses.cpp - sums in tile registers of one projection and part of k after another -------------------===//
//
// A pass multiplies one part of k of one projection, whose weights then stay in the first cache, with all rows of a band, which
// pass by from the second. Two halves of scratch hold the sums: of the passes under way, and of those before, which the rest of the
// kernel reads.

#include "MatrixTiles.h"

#include "ProjectionInput.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace sm1;

/// Rows between regions of scratch that are read together, so that they do not fall on the same lines of the first cache.
static constexpr int64_t paddingRows = 4;

int64_t MatrixTiles::bandRowsOf(KernelOp kernel) {
  ScheduleAttr schedule = kernel.getScheduleAttr();
  return std::max(schedule.getRowSplit(), schedule.getRowBand());
}

int64_t MatrixTiles::passesOf(KernelOp kernel) {
  ScheduleAttr schedule = kernel.getScheduleAttr();
  int64_t rowTiles = schedule.getMatrixRows() / tileRows, panels = schedule.getMatrixPanels(), sums = rowTiles * panels;
  auto linears = llvm::to_vector(kernel.getBlock().getOps<LinearOp>());
  bool sameX = llvm::all_of(linears, [&](LinearOp linear) { return linear.getX() == linears.front().getX(); });
  bool holdsOperands = !takesGroups(kernel) && rowTiles >= 2 && sums + rowTiles + panels <= allTiles;
  if (linears.empty() || !sameX || !holdsOperands || bandRowsOf(kernel) % (rowTiles * tileRows))
    return 0;
  int64_t count = int64_t(linears.size()),
          rowBytes = channels(linears.front().getX().getType()) * (linears.front().getInt8() ? 1 : 2);
  int64_t parts = llvm::divideCeil(panels * tileRows * rowBytes, mostWeightBytes);
  return parts > 1 || count * sums > sumTiles ? parts * count : 0;
}

int64_t MatrixTiles::wordsOfPasses(KernelOp kernel) {
  if (!passesOf(kernel))
    return 0;
  auto linears = llvm::to_vector(kernel.getBlock().getOps<LinearOp>());
  int64_t columns = int64_t(linears.size()) * kernel.getScheduleAttr().getMatrixPanels(), rows = bandRowsOf(kernel);
  int64_t rowBytes = channels(linears.front().getX().getType()) * (linears.front().getInt8() ? 1 : 2);
  return 2 * columns * (rows + paddingRows) * panelWidth + rows * rowBytes / 4;
}

Value MatrixTiles::placeOfSums(Value half, Value column, Value row) {
  int64_t stride = (bandRowsOf(kernel) + paddingRows) * panelWidth, columns = columnsOf(groups.front());
  Value place = add(times(half, columns * stride), times(column, stride));
  return add(add(place, times(row, panelWidth)), constant(passSums));
}

Value MatrixTiles::placeOfPacked(Value turn, Value step, int64_t rowTile) {
  const Group &group = groups.front();
  Value tiles = times(add(times(turn, stepsOf(group)), step), rowTiles);
  int64_t first = passSums + 2 * columnsOf(group) * (bandRowsOf(kernel) + paddingRows) * panelWidth;
  return add(times(add(tiles, constant(rowTile)), tileWords), constant(first));
}

/// A register at a time: the copy is a load and a store.
void MatrixTiles::packBand(Value row, Value turns) {
  Group &group = groups.front();
  auto loop = [&](Value count, llvm::function_ref<void(Value)> body) {
    scf::ForOp::create(builder, loc, constant(0), count, constant(1), ValueRange(),
                       [&](OpBuilder &, Location, Value i, ValueRange) {
                         body(i);
                         scf::YieldOp::create(builder, loc);
                       });
  };
  loop(turns, [&](Value turn) {
    Rows input = inputOf(group, add(row, times(turn, rows)));
    loop(constant(stepsOf(group)), [&](Value step) {
      for (int64_t r = 0; r < rowTiles; ++r) {
        load(rowTile, addressIn(input, r, step), input.pitch);
        Value place = addressOf(buffers.scratch, times(placeOfPacked(turn, step, r), 4));
        call("llvm.x86.tilestored64", {tile(rowTile), toPointer(place), stride(tileRowBytes)});
      }
    });
  });
}

/// Steps are dealt out to the parts of k evenly.
MatrixTiles::Pass MatrixTiles::passOf(Value number) {
  Group &group = groups.front();
  int64_t parts = passesOf(kernel) / int64_t(group.linears.size()), steps = stepsOf(group);
  Value linear = arith::DivUIOp::create(builder, loc, number, constant(parts));
  Value part = arith::RemUIOp::create(builder, loc, number, constant(parts));
  Pass pass;
  for (auto [l, op] : llvm::enumerate(group.linears)) {
    Value address = addressOf(buffers.inputs.lookup(op.getWeight()), constant(0));
    Value isIt = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, linear, constant(int64_t(l)));
    pass.matrix = pass.matrix ? arith::SelectOp::create(builder, loc, isIt, address, pass.matrix).getResult() : address;
  }
  pass.first = arith::DivUIOp::create(builder, loc, times(part, steps), constant(parts));
  pass.end = arith::DivUIOp::create(builder, loc, times(add(part, constant(1)), steps), constant(parts));
  return pass;
}

void MatrixTiles::moveSums(const Unit &unit, bool isStore) {
  const Group &group = groups.front();
  int64_t parts = passesOf(kernel) / int64_t(group.linears.size());
  Value linear = arith::DivUIOp::create(builder, loc, unit.pass, constant(parts));
  for (int64_t column = 0; column < panels; ++column)
    for (int64_t r = 0; r < rowTiles; ++r) {
      Value row = add(times(unit.turn, rows), constant(r * tileRows));
      Value place = placeOfSums(unit.half, add(times(linear, panels), constant(column)), row);
      Value address = toPointer(addressOf(buffers.scratch, times(place, 4)));
      call(isStore ? "llvm.x86.tilestored64" : "llvm.x86.tileloadd64",
           {tile(column * rowTiles + r), address, stride(tileRowBytes)});
    }
}

/// The first part of k begins at zero. Operands of the first step are loaded.
void MatrixTiles::beginUnit(const Unit &unit, const PassPlace &place) {
  for (int64_t r = 0; r < rowTiles; ++r)
    loadRows(unit, place.first, r);
  for (int64_t column = 0; column < panels; ++column)
    loadWeights(place, place.first, column);
  int64_t parts = passesOf(kernel) / int64_t(groups.front().linears.size());
  Value part = arith::RemUIOp::create(builder, loc, unit.pass, constant(parts));
  Value isFirst = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, part, constant(0));
  auto branch = scf::IfOp::create(builder, loc, isFirst, /*withElseRegion=*/parts > 1);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(branch.thenBlock());
  for (int64_t number = 0; number < panels * rowTiles; ++number)
    call("llvm.x86.tilezero", {tile(number)});
  if (parts > 1) {
    builder.setInsertionPointToStart(branch.elseBlock());
    moveSums(unit, /*isStore=*/false);
  }
}

void MatrixTiles::endUnit(const Unit &unit) { moveSums(unit, /*isStore=*/true); }

int64_t MatrixTiles::stepsOfPass(KernelOp kernel) {
  auto linears = llvm::to_vector(kernel.getBlock().getOps<LinearOp>());
  int64_t parts = passesOf(kernel) / int64_t(linears.size());
  return channels(linears.front().getX().getType()) / stepWidth(formOf(linears.front(), kernel)) / parts;
}

MatrixTiles::PassPlace MatrixTiles::placeOf(const Unit &unit) {
  int64_t count = passesOf(kernel), stepBytes = tileRows * tileRowBytes, panelBytes = stepBytes * stepsOf(groups.front());
  Pass pass = passOf(unit.pass);
  Value later = add(unit.pass, constant(1));
  Value isLast = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, later, constant(count));
  Pass next = passOf(arith::SelectOp::create(builder, loc, isLast, constant(0), later));
  Value nextPanel = arith::SelectOp::create(builder, loc, isLast, unit.nextPanel, unit.panel);
  Value skipped = arith::SubIOp::create(builder, loc, next.first, pass.first);
  Value fetched = add(add(next.matrix, times(nextPanel, panelBytes)),
                      add(times(skipped, stepBytes), times(unit.turn, fetchedLines * tileRowBytes)));
  return {add(pass.matrix, times(unit.panel, panelBytes)), fetched, pass.first, pass.end};
}

void MatrixTiles::addSteps(const Unit &unit, const PassPlace &place, Value first, Value end) {
  scf::ForOp::create(builder, loc, first, end, constant(1), ValueRange(), [&](OpBuilder &, Location, Value step, ValueRange) {
    for (int64_t part = 0; part < panels * rowTiles; ++part)
      addPassPart(unit, place, step, part);
    scf::YieldOp::create(builder, loc);
  });
}

void MatrixTiles::addMarkedSteps(const Unit &unit, const PassPlace &place, Value first, int64_t count) {
  int64_t parts = panels * rowTiles;
  for (int64_t number = 0; number < count * parts; ++number)
    mark(number, [&] { addPassPart(unit, place, add(first, constant(number / parts)), number % parts); });
}

void MatrixTiles::loadRows(const Unit &unit, Value step, int64_t r) {
  Value address = addressOf(buffers.scratch, times(placeOfPacked(unit.turn, step, r), 4));
  load(weightTile - panels - r, address, tileRowBytes, /*passes=*/true);
}

void MatrixTiles::loadWeights(const PassPlace &place, Value step, int64_t column) {
  Value distance = add(constant(column * panelBytesOf(groups.front())), times(step, tileRows * tileRowBytes));
  load(weightTile - column, add(place.weights, distance), tileRowBytes);
}

/// A register for each operand: four loads for four products, of the next step as in MatrixTiles::multiplyHeld.
void MatrixTiles::addPassPart(const Unit &unit, const PassPlace &place, Value step, int64_t part) {
  Group &group = groups.front();
  int64_t column = part / rowTiles, r = part % rowTiles;
  addProduct(group, column, r, weightTile - panels - r, weightTile - column);
  Value last = arith::SubIOp::create(builder, loc, place.end, constant(1));
  Value next = arith::MinUIOp::create(builder, loc, add(step, constant(1)), last);
  if (column + 1 == panels)
    loadRows(unit, next, r);
  if (r + 1 < rowTiles)
    return;
  loadWeights(place, next, column);
  fetchLines(add(place.fetched, add(constant(column * panelBytesOf(group)), times(step, tileRows * tileRowBytes))));
}

void MatrixTiles::defineOfBand(TileEvaluator &evaluator, const Tile &tile, Value inside, Value half) {
  Group &group = groups.front();
  for (auto [l, linear] : llvm::enumerate(group.linears)) {
    ProjectionScaling scaling(builder, loc, evaluator, buffers, linear, group.form);
    SmallVector<Value> results;
    for (int64_t m = 0; m < tile.rows; ++m)
      for (int64_t n = 0; n < tile.panels; ++n) {
        Value place = placeOfSums(half, constant(int64_t(l) * panels + n), add(inside, constant(m)));
        results.push_back(scaling.finish(evaluator.loadVector(buffers.scratch, place), m, n));
      }
    evaluator.define(linear.getResult(), std::move(results));
  }
}
