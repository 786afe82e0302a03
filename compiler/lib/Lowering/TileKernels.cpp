//===- TileKernels.cpp - kernels with projections: tiles of rows by panels, panels outside -----------------------===//

#include "KernelFunction.h"
#include "WidenedWeights.h"
#include "sm1rt/packing/Cost.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;
using Predicate = arith::CmpIPredicate;

/// Rows of what follows sums in passes: with a few steps it then fits what a core looks ahead.
static constexpr int64_t rowsOfPassPiece = 1;

void KernelFunction::buildTiles() {
  if (!apartSums.empty())
    buildInvariants(); // a tile evaluates the rest of the kernel several times
  Part all{buffers.rowBegin, buffers.rowEnd, buffers.panelBegin, buffers.panelEnd};
  if (kernel.getScheduleAttr().getMatrixRows() && MatrixTiles::passesOf(kernel))
    all.rowBegin = buildMatrixPasses(all);
  int64_t band = kernel.getScheduleAttr().getRowBand();
  if (!band)
    return buildBand(all);
  loop(all.rowBegin, all.rowEnd, band, [&](Value row) {
    Value end = add(row, constant(band));
    buildBand({row, arith::MinUIOp::create(builder, loc, end, all.rowEnd), all.panelBegin, all.panelEnd});
  });
}

/// What fills blocks of tile registers first, then the rest: the remaining panels of those rows, and the remaining rows.
void KernelFunction::buildBand(const Part &all) {
  if (!kernel.getScheduleAttr().getMatrixRows())
    return buildPart(all);
  Part done = buildMatrixBlocks(all);
  loop(constant(0), constant(2), 1, [&](Value second) {
    Value isFirst = compare(Predicate::eq, second, constant(0));
    auto choose = [&](Value first, Value other) { return select(isFirst, first, other); };
    buildPart(
        {choose(all.rowBegin, done.rowEnd), choose(done.rowEnd, all.rowEnd), choose(done.panelEnd, all.panelBegin), all.panelEnd});
  });
}

Value sm1::wholeEnd(OpBuilder &builder, Location loc, Value begin, Value end, Value step) {
  Value count = arith::SubIOp::create(builder, loc, end, begin);
  Value rest = arith::RemUIOp::create(builder, loc, count, step);
  return arith::SubIOp::create(builder, loc, end, rest);
}

/// Blocks as large as the schedule says, then of 16 rows and of 8, which a batch of 8 fills.
KernelFunction::Part KernelFunction::buildMatrixBlocks(const Part &all) {
  ScheduleAttr schedule = kernel.getScheduleAttr();
  Part part = all;
  part.panelEnd = wholeEnd(builder, loc, all.panelBegin, all.panelEnd, constant(schedule.getMatrixPanels()));
  part.rowBegin = buildMatrixBlocks(part, schedule.getMatrixRows());
  // Few rows of int4 take longer by tile registers than by dot products.
  for (int64_t rows : {tileRows, tileRows / 2})
    if (schedule.getMatrixRows() > rows && !MatrixTiles::takesGroups(kernel))
      part.rowBegin = buildMatrixBlocks(part, rows);
  return {all.rowBegin, part.rowBegin, all.panelBegin, part.panelEnd};
}

Value KernelFunction::buildMatrixBlocks(const Part &part, int64_t rows) {
  Value end = wholeEnd(builder, loc, part.rowBegin, part.rowEnd, constant(rows));
  if (MatrixTiles::takesGroups(kernel)) {
    Value least = add(part.rowBegin, constant(sm1rt::leastGroupRows));
    end = select(compare(Predicate::uge, end, least), end, part.rowBegin);
  }
  when(compare(Predicate::ugt, end, part.rowBegin), [&] {
    MatrixTiles tiles(builder, kernel, buffers, rows, matrixSums.offset);
    tiles.configure();
    Part whole = part;
    whole.rowEnd = end;
    buildMatrixPipeline(tiles, whole, rows);
    tiles.release();
  });
  return end;
}

/// All blocks of `part`, panels outside. While tile registers sum one block, vectors run the rest of the kernel on the sums of the
/// block before, a few rows after each piece of a sum: one instruction stream keeps both busy.
void KernelFunction::buildMatrixPipeline(MatrixTiles &tiles, const Part &part, int64_t rows) {
  int64_t panels = kernel.getScheduleAttr().getMatrixPanels();
  Value turns = divide(subtract(part.rowEnd, part.rowBegin), constant(rows));
  Value blocks = multiply(turns, divide(subtract(part.panelEnd, part.panelBegin), constant(panels)));
  auto blockOf = [&](Value number) {
    Value turn = remainder(number, turns);
    return MatrixTiles::Block{add(part.rowBegin, multiply(turn, constant(rows))),
                              add(part.panelBegin, multiply(divide(number, turns), constant(panels))), turn};
  };
  loop(constant(0), add(blocks, constant(1)), 1, [&](Value number) {
    Value before = subtract(arith::MaxUIOp::create(builder, loc, number, constant(1)), constant(1));
    MatrixTiles::Block current = blockOf(number), last = blockOf(before);
    auto multiplies = [&] { return compare(Predicate::ult, number, blocks); };
    auto finishes = [&] { return compare(Predicate::ugt, number, constant(0)); };
    when(multiplies(), [&] { tiles.begin(current); });
    loop(constant(0), constant(tiles.pieces()), 1, [&](Value piece) {
      auto finish = [&] { buildMatrixRest(tiles, last, current, multiply(piece, constant(tiles.rowsOfPiece())), rows > tileRows); };
      auto apart = [&] {
        when(multiplies(), [&] { tiles.addPiece(current, piece); });
        when(finishes(), finish);
      };
      if (!tiles.marksSteps())
        return apart();
      Value isInside = both(multiplies(), finishes());
      auto branch = scf::IfOp::create(builder, loc, isInside, /*withElseRegion=*/true);
      OpBuilder::InsertionGuard guard(builder);
      builder.setInsertionPointToStart(branch.thenBlock());
      tiles.addPiece(current, piece);
      finish();
      builder.setInsertionPointToStart(branch.elseBlock());
      apart();
    });
    when(multiplies(), [&] { tiles.end(current); });
  });
}

void KernelFunction::buildMatrixRest(MatrixTiles &tiles, const MatrixTiles::Block &block, const MatrixTiles::Block &next,
                                     Value inside, bool around) {
  Tile tile{
      add(block.row, inside), block.panel,           tiles.rowsOfPiece(), kernel.getScheduleAttr().getMatrixPanels(), panelWidth,
      /*rowEnd=*/{},          add(next.row, inside), next.panel};
  tile.around = around;
  if (around && heldHalves.stride)
    tile.held = heldHalvesOf(block, inside);
  TileEvaluator evaluator(builder, kernel, buffers, tile);
  tiles.define(evaluator, tile, inside);
  evaluator.evaluate(mainOps);
  storeResults(evaluator);
}

/// Tasks begin at panels with even numbers, and blocks at multiples of their rows from the first of the task or band.
std::optional<HeldHalves> KernelFunction::heldHalvesOf(const MatrixTiles::Block &block, Value inside) {
  int64_t rows = kernel.getScheduleAttr().getMatrixRows();
  Value inBand = add(multiply(block.turn, constant(rows)), inside);
  Value place = add(multiply(inBand, constant(halfLineWords)), constant(heldHalves.offset));
  Value isOdd = compare(Predicate::eq, remainder(block.panel, constant(2)), constant(1));
  return HeldHalves{place, /*completes=*/isOdd, heldHalves.stride};
}

/// Whole blocks of the schedule's rows, whose rest follows a band and a group of panels later. It goes row by row, for which what
/// is the same in all is computed once.
Value KernelFunction::buildMatrixPasses(const Part &all) {
  ScheduleAttr schedule = kernel.getScheduleAttr();
  Part part = all;
  part.rowEnd = wholeEnd(builder, loc, all.rowBegin, all.rowEnd, constant(schedule.getMatrixRows()));
  part.panelEnd = wholeEnd(builder, loc, all.panelBegin, all.panelEnd, constant(schedule.getMatrixPanels()));
  when(both(compare(Predicate::ugt, part.rowEnd, part.rowBegin), compare(Predicate::ugt, part.panelEnd, part.panelBegin)), [&] {
    MatrixTiles tiles(builder, kernel, buffers, schedule.getMatrixRows(), matrixSums.offset);
    bool isKnown = !invariants.empty();
    if (!isKnown)
      buildInvariants();
    tiles.configure();
    buildMatrixBands(tiles, part);
    tiles.release();
    if (!isKnown)
      invariants.clear(); // few rows do not come by here
  });
  Part left = part;
  left.panelBegin = part.panelEnd, left.panelEnd = all.panelEnd;
  buildPart(left);
  return part.rowEnd;
}

/// Slots of a pass, into which its steps and pieces of what follows the sums before are dealt out.
static int64_t slotsOfPass(KernelOp kernel) {
  int64_t pieces = kernel.getScheduleAttr().getMatrixRows() / rowsOfPassPiece;
  return std::min<int64_t>(llvm::divideCeil(pieces, MatrixTiles::passesOf(kernel)), MatrixTiles::stepsOfPass(kernel));
}

/// Numbers count the bands, and in each the groups of panels. While tile registers make all sums of one number, vectors run the
/// rest of the kernel on those of the number before.
void KernelFunction::buildMatrixBands(MatrixTiles &tiles, const Part &part) {
  int64_t rows = kernel.getScheduleAttr().getMatrixRows(), panels = kernel.getScheduleAttr().getMatrixPanels();
  int64_t bandRows = MatrixTiles::bandRowsOf(kernel);
  Value groups = divide(subtract(part.panelEnd, part.panelBegin), constant(panels));
  Value rowCount = subtract(part.rowEnd, part.rowBegin);
  Value count = multiply(groups, divide(add(rowCount, constant(bandRows - 1)), constant(bandRows)));
  auto groupOf = [&](Value number) {
    BandGroup group;
    group.row = add(part.rowBegin, multiply(divide(number, groups), constant(bandRows)));
    group.panel = add(part.panelBegin, multiply(remainder(number, groups), constant(panels)));
    Value left = subtract(part.rowEnd, group.row);
    group.turns = divide(arith::MinUIOp::create(builder, loc, left, constant(bandRows)), constant(rows));
    group.half = remainder(number, constant(2));
    return group;
  };
  Value last = subtract(count, constant(1));
  loop(constant(0), add(count, constant(1)), 1, [&](Value number) {
    BandTurn turn;
    turn.multiplies = compare(Predicate::ult, number, count);
    Value finishes = compare(Predicate::ugt, number, constant(0));
    BandGroup current = turn.current = groupOf(arith::MinUIOp::create(builder, loc, number, last));
    turn.before = groupOf(subtract(arith::MaxUIOp::create(builder, loc, number, constant(1)), constant(1)));
    when(both(turn.multiplies, compare(Predicate::eq, current.panel, part.panelBegin)),
         [&] { tiles.packBand(current.row, current.turns); });
    Value next = add(current.panel, constant(panels));
    Value nextPanel = select(compare(Predicate::eq, next, part.panelEnd), part.panelBegin, next);
    Value units = multiply(current.turns, constant(MatrixTiles::passesOf(kernel)));
    turn.slots = multiply(units, constant(slotsOfPass(kernel)));
    turn.pieces = select(finishes, multiply(turn.before.turns, constant(rows / rowsOfPassPiece)), constant(0));
    loop(constant(0), units, 1, [&](Value index) {
      Value pass = divide(index, current.turns), block = remainder(index, current.turns);
      MatrixTiles::Unit unit{current.panel, pass, block, nextPanel, current.half};
      buildMatrixPass(tiles, turn, unit, index);
      when(turn.multiplies, [&] { tiles.endUnit(unit); });
    });
  });
}

void KernelFunction::buildMatrixPass(MatrixTiles &tiles, const BandTurn &turn, const MatrixTiles::Unit &unit, Value index) {
  int64_t slots = slotsOfPass(kernel), steps = MatrixTiles::stepsOfPass(kernel) / slots;
  MatrixTiles::PassPlace operands = tiles.placeOf(unit);
  when(turn.multiplies, [&] { tiles.beginUnit(unit, operands); });
  auto stepAt = [&](Value slot) {
    Value part = multiply(slot, subtract(operands.end, operands.first));
    return add(operands.first, divide(part, constant(slots)));
  };
  auto pieceAt = [&](Value slot) { return divide(multiply(slot, turn.pieces), turn.slots); };
  auto finish = [&](Value piece) { buildMatrixPiece(tiles, turn, piece); };
  loop(constant(0), constant(slots), 1, [&](Value slot) {
    Value first = stepAt(slot), slotOfAll = add(multiply(index, constant(slots)), slot);
    Value piece = pieceAt(slotOfAll), end = pieceAt(add(slotOfAll, constant(1)));
    Value any = compare(Predicate::ult, piece, end);
    Value alternates = both(turn.multiplies, any);
    when(alternates, [&] {
      tiles.addMarkedSteps(unit, operands, first, steps);
      finish(piece);
    });
    auto left = [&](Value from, int64_t done) { return select(alternates, add(from, constant(done)), from); };
    when(turn.multiplies, [&] { tiles.addSteps(unit, operands, left(first, steps), stepAt(add(slot, constant(1)))); });
    loop(left(piece, 1), end, 1, finish);
  });
}

void KernelFunction::buildMatrixPiece(MatrixTiles &tiles, const BandTurn &turn, Value piece) {
  Value inside = multiply(piece, constant(rowsOfPassPiece));
  const BandGroup &before = turn.before, &current = turn.current;
  int64_t panels = kernel.getScheduleAttr().getMatrixPanels();
  Tile tile{add(before.row, inside),  before.panel, rowsOfPassPiece, panels, panelWidth, /*rowEnd=*/{},
            add(current.row, inside), current.panel};
  tile.around = true;
  TileEvaluator evaluator(builder, kernel, buffers, tile);
  defineInvariants(evaluator, tile);
  tiles.defineOfBand(evaluator, tile, inside, before.half);
  evaluator.evaluate(mainOps);
  storeResults(evaluator);
}

/// Many rows: weights are unpacked for all of them. Few: as many panels together as a single row wants to read.
void KernelFunction::buildPart(const Part &part) {
  ScheduleAttr schedule = kernel.getScheduleAttr();
  if (buffers.widened.empty())
    return buildPanels(part, schedule.getSingleRowPanels(), /*widens=*/false);
  Value rows = subtract(part.rowEnd, part.rowBegin);
  Value many = compare(Predicate::sge, rows, constant(schedule.getWidenRows()));
  scf::IfOp::create(
      builder, loc, many,
      [&](OpBuilder &, Location) {
        buildPanels(part, schedule.getPanelTile(), /*widens=*/true);
        scf::YieldOp::create(builder, loc);
      },
      [&](OpBuilder &, Location) {
        buildPanels(part, schedule.getSingleRowPanels(), /*widens=*/false);
        scf::YieldOp::create(builder, loc);
      });
}

/// Groups of panels outside, so that a group of weights is read from memory once for all rows of the task. What is left of the
/// panels goes in groups of half as many, and so on, down to what divides every task.
void KernelFunction::buildPanels(const Part &part, int64_t panelsTogether, bool widens) {
  int64_t panels = strideOf(widthOf(kernel)) / panelWidth, split = kernel.getScheduleAttr().getPanelSplit();
  Value begin = part.panelBegin;
  for (int64_t group = panelsTogether; group > 0; group /= 2) {
    bool isLast = panels % group == 0 && split % group == 0;
    Value whole = isLast ? part.panelEnd : wholeEnd(builder, loc, begin, part.panelEnd, constant(group));
    loop(begin, whole, group, [&](Value panel) {
      if (widens)
        widen(panel, group);
      buildRowsOf(part, panel, group);
      buffers.widenedPanel = {};
    });
    if (isLast)
      break;
    begin = whole;
  }
}

/// Unpacks what is stored narrow for the code that follows.
void KernelFunction::widen(Value panel, int64_t panels) {
  llvm::SmallPtrSet<Value, 4> done;
  for (auto linear : kernel.getBlock().getOps<LinearOp>()) {
    Value weight = linear.getWeight();
    auto region = buffers.widened.find(weight);
    if (region != buffers.widened.end() && done.insert(weight).second)
      widenPanels(builder, loc, buffers.inputs.lookup(weight), buffers.formOf(linear, kernel.getScheduleAttr().getProducts()),
                  buffers.scratch, region->second, panel, panels);
  }
  buffers.widenedPanel = panel;
}

/// Rows of a second, smaller tile: weights would pass by seven times for a batch of 7.
static constexpr int64_t smallTile = sm1rt::smallTileRows;

void KernelFunction::buildRowsOf(const Part &part, Value panel, int64_t panels) {
  ScheduleAttr schedule = kernel.getScheduleAttr();
  int64_t rowTile = schedule.getRowTile(), panelTile = std::min(panels, schedule.getPanelTile());
  while (panels % panelTile)
    --panelTile;
  auto walk = [&](Value begin, Value end, int64_t rows) {
    loop(begin, end, rows, [&](Value row) {
      loop(panel, add(panel, constant(panels)), panelTile, [&](Value first) { buildTile({row, first, rows, panelTile}); });
    });
  };
  Value rest = part.rowBegin;
  if (rowTile > 1) {
    Value whole = wholeEnd(builder, loc, part.rowBegin, part.rowEnd, constant(rowTile));
    if (rowTile > smallTile)
      whole = leaveSmallTiles(part, whole, rowTile);
    walk(part.rowBegin, whole, rowTile);
    rest = whole;
  }
  if (rowTile > smallTile) {
    Value whole = wholeEnd(builder, loc, rest, part.rowEnd, constant(smallTile));
    walk(rest, whole, smallTile);
    rest = whole;
  }
  loop(rest, part.rowEnd, 1, [&](Value row) { buildTile({row, panel, 1, panels}); });
}

/// The end of the last whole tile, or of the one before it if small tiles then leave fewer rows alone: 6 and 2 rows are 4 and 4.
Value KernelFunction::leaveSmallTiles(const Part &part, Value whole, int64_t rowTile) {
  if (rowTile % smallTile == 0)
    return whole;
  Value rest = subtract(part.rowEnd, whole);
  Value before = subtract(whole, constant(rowTile));
  auto alone = [&](Value rows) { return remainder(rows, constant(smallTile)); };
  Value more = add(rest, constant(rowTile));
  Value fewer = compare(Predicate::ult, alone(more), alone(rest));
  Value some = compare(Predicate::ugt, whole, part.rowBegin);
  return select(both(fewer, some), before, whole);
}

void KernelFunction::defineInvariants(TileEvaluator &evaluator, Tile tile) {
  for (auto [value, region] : invariants) {
    SmallVector<Value> vectors;
    for (int64_t n = 0; n < tile.panels; ++n)
      vectors.push_back(vector::LoadOp::create(builder, loc, VectorType::get({panelWidth}, getElementTypeOrSelf(value)),
                                               buffers.scratch, indexOf(region, tile.panel, n)));
    evaluator.define(value, std::move(vectors));
  }
}

void KernelFunction::buildTile(Tile tile) {
  if (!apartSums.empty() && tile.rows > 1)
    return buildTileApart(tile);
  TileEvaluator evaluator(builder, kernel, buffers, tile);
  defineInvariants(evaluator, tile);
  evaluator.evaluate(mainOps);
  storeResults(evaluator);
}

/// The sums of one projection after the other, then everything else, for so few rows at a time that registers hold it.
void KernelFunction::buildTileApart(Tile tile) {
  int64_t rowsTogether = tile.rows % 2 ? 1 : 2;
  auto place = [&](Value sum, Value row, int64_t n) -> Value {
    ScratchRegion region = apartSums.lookup(sum);
    return add(multiply(row, constant(region.stride)), constant(region.offset + n * panelWidth));
  };
  auto linears = llvm::to_vector(llvm::make_filter_range(mainOps, [](Operation *op) { return isa<LinearOp>(op); }));
  for (Operation *linear : linears) {
    TileEvaluator evaluator(builder, kernel, buffers, tile);
    evaluator.evaluate(linear);
    for (int64_t m = 0; m < tile.rows; ++m)
      for (int64_t n = 0; n < tile.panels; ++n)
        vector::StoreOp::create(builder, loc, evaluator.at(linear->getResult(0), m, n), buffers.scratch,
                                place(linear->getResult(0), constant(m), n));
  }
  loop(constant(0), constant(tile.rows), rowsTogether, [&](Value inside) {
    Tile part = tile;
    part.row = add(tile.row, inside), part.rows = rowsTogether;
    TileEvaluator evaluator(builder, kernel, buffers, part);
    defineInvariants(evaluator, part);
    for (Operation *linear : linears) {
      SmallVector<Value> sums;
      for (int64_t m = 0; m < rowsTogether; ++m)
        for (int64_t n = 0; n < tile.panels; ++n)
          sums.push_back(evaluator.loadVector(buffers.scratch, place(linear->getResult(0), add(inside, constant(m)), n)));
      evaluator.define(linear->getResult(0), std::move(sums));
    }
    evaluator.evaluate(mainOps);
    storeResults(evaluator);
  });
}
