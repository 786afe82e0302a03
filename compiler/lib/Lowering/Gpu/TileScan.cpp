//===- TileScan.cpp - a warpgroup that scans what others have summed, a tile at a time ------------------------------===//
//
// Threads walk their rows twice: from zero, for the group's product and sum, and with the state before the group. How much stays of
// it they keep in registers, what comes in where two of the sums lay that it was made of. Between the walks a thread a channel puts
// the groups in order and takes and leaves the state (StateChain.h). A segment that ends within the tile is walked by the same code:
// other code would have to come from memory first, at the end, when nothing hides it. What is behind the end is nobody's.
//
// Sums lie as bf16 in rows of all channels of the tile. Panels are exchanged by the row's number, so that neither the four rows of
// half a warp that multiplies nor the row of half a warp that scans ask a bank twice.

#include "TileScan.h"

#include "../../Transforms/BlockForms.h"
#include "../../Transforms/KernelMerge.h"
#include "GpuOps.h"
#include "LinearScan.h"
#include "NormHalves.h"
#include "StateChain.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <optional>

using namespace mlir;
using namespace sm1;

static constexpr int64_t unitsOfPanel = panelWidth / threadLanes;

TileScan::TileScan(BlockKernel &block, int64_t rows, int64_t panels)
    : block(block), builder(block.builder), loc(block.loc), scanOp(*block.kernel.getBlock().getOps<ScanOp>().begin()),
      linears(block.projections().front()), slices(slicesAround(block, scanOp, scanOp.getDecay(), scanOp.getInput())), rows(rows),
      panels(panels), width(panels * panelWidth), groups(groupsOfScan(panels)), threadRows(rows / groups) {
  for (auto *ops : {&slices.before, &slices.after}) // others compute these
    llvm::erase_if(*ops, [](Operation *op) { return isa<LinearOp, RmsScaleOp>(op); });
  for (BlockArgument stream : block.kernel.getBlock().getArguments()) {
    auto reads = [&](Operation *user) { return llvm::is_contained(slices.before, user); };
    auto readsLater = [&](Operation *user) { return reads(user) || llvm::is_contained(slices.after, user); };
    if (!isStream(stream.getType()) || !llvm::any_of(stream.getUsers(), readsLater))
      continue;
    streams.push_back(stream);
    if (llvm::any_of(stream.getUsers(), reads))
      early.push_back(stream);
  }
  for (Operation *op : llvm::reverse(slices.before))
    if (llvm::any_of(op->getUsers(),
                     [&](Operation *user) { return llvm::is_contained(slices.after, user) || llvm::is_contained(again, user); }))
      again.insert(again.begin(), op);
  for (auto [index, linear] : llvm::enumerate(linears))
    if (goesIntoScanAlone(linear.getResult()))
      passing.push_back(index);
  memory = block.shared({int64_t(linears.size()) * rows, width}, builder.getBF16Type());
  Type f32 = builder.getF32Type();
  products = block.shared({groups, width}, f32);
  sums = block.shared({groups, width}, f32);
  states = block.shared({width}, f32);
}

Value TileScan::handed(LinearOp linear) {
  for (Operation *user : linear->getUsers())
    if (isa<RmsScaleOp>(user))
      return user->getResult(0);
  return linear.getResult();
}

/// Row `row` of what `linear` has.
static Value rowOf(BlockKernel &block, size_t linear, int64_t rows, Value row) {
  return block.add(row, block.constant(int64_t(linear) * rows));
}

void TileScan::leave(Value vector, size_t linear, Value row, int64_t panel, Value lane) {
  Value place = arith::XOrIOp::create(builder, loc, block.rem(row, panels), block.constant(panel));
  Value column = block.add(block.mul(place, panelWidth), block.mul(block.rem(lane, unitsOfPanel), threadLanes));
  Value rounded = arith::TruncFOp::create(builder, loc, VectorType::get({threadLanes}, builder.getBF16Type()), vector);
  block.store(rounded, memory, {rowOf(block, linear, rows, row), column});
}

//===----------------------------------------------------------------------===//
// Rows of a thread
//===----------------------------------------------------------------------===//

/// Read here: LLVM would do it where they are used first, in each of the walks.
void TileScan::takeParameters() {
  TileEvaluator evaluator(builder, block.kernel, block.buffers, {firstRow, unit, 1, 1, threadLanes, {}});
  parameters.clear();
  auto isParameter = [](Value value) {
    Operation *op = value.getDefiningOp();
    return op ? isRowInvariant(op) : isParam(value.getType(), 1);
  };
  for (auto *ops : {&slices.before, &slices.after})
    for (Operation *op : *ops)
      for (Value operand : op->getOperands())
        if (isParameter(operand))
          parameters.push_back({operand, evaluator.at(operand, 0, 0)});
}

Value TileScan::hasRow(int64_t number) {
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, word(number), rowsLeft);
}

Value TileScan::word(int64_t value) { return arith::ConstantIntOp::create(builder, loc, value, 32); }

Value TileScan::addressIn(Value buffer, Value row) {
  auto type = cast<MemRefType>(buffer.getType());
  Value element = block.add(block.mul(row, type.getDimSize(1)), block.mul(unit, threadLanes));
  return cuda::addressOf(builder, loc, buffer, block.mul(element, type.getElementTypeBitWidth() / 8), cuda::globalMemory);
}

static int64_t rowBytes(Value buffer) {
  auto type = cast<MemRefType>(buffer.getType());
  return type.getDimSize(1) * type.getElementTypeBitWidth() / 8;
}

/// The first walk reads the segment's last row in the place of those behind it: loads with a condition would have ptxas put its
/// products one after another.
SmallVector<Value> TileScan::read(ArrayRef<BlockArgument> streams, int64_t first, bool isEarly) {
  SmallVector<Value> vectors;
  for (BlockArgument stream : streams) {
    Value buffer = block.buffers.inputs.lookup(stream), address = addressIn(buffer, firstRow);
    VectorType type = VectorType::get({threadLanes}, cast<MemRefType>(buffer.getType()).getElementType());
    for (int64_t number = first; number < first + rowsTogether; ++number) {
      if (!isEarly) {
        vectors.push_back(cuda::loadWhere(builder, loc, hasRow(number), address, number * rowBytes(buffer), type));
        continue;
      }
      Value last = arith::SubIOp::create(builder, loc, rowsLeft, word(1));
      Value row = arith::MinSIOp::create(builder, loc, word(number), last);
      Value offset = arith::MulIOp::create(builder, loc, row, word(rowBytes(buffer)));
      vectors.push_back(cuda::loadBehind(builder, loc, address, offset, type));
    }
  }
  return vectors;
}

void TileScan::storeRow(Row &row) {
  for (auto [yielded, buffer] : llvm::zip(block.kernel.yielded(), block.buffers.results))
    if (row.evaluator.isDefined(yielded))
      cuda::storeWhere(builder, loc, hasRow(row.number), row.evaluator.at(yielded, 0, 0), addressIn(buffer, firstRow),
                       row.number * rowBytes(buffer));
}

TileScan::Row TileScan::rowAt(int64_t number) {
  Value inThread = block.constant(number), inTile = block.add(block.mul(group, threadRows), inThread);
  Value unitOfTile = block.rem(own, width / threadLanes), panel = block.div(unitOfTile, unitsOfPanel);
  Value place = arith::XOrIOp::create(builder, loc, panel, block.rem(inTile, panels));
  Value inPanel = block.mul(block.rem(unitOfTile, unitsOfPanel), threadLanes);
  Value index = block.add(firstRow, inThread);
  Tile tile{index, unit, 1, 1, threadLanes, {}};
  return {TileEvaluator(builder, block.kernel, block.buffers, tile), number, index, inTile,
          block.add(block.mul(place, panelWidth), inPanel)};
}

void TileScan::eachRow(ArrayRef<BlockArgument> streams, bool isEarly, SmallVector<Value> there,
                       llvm::function_ref<void(Row &)> body) {
  for (int64_t first = 0; first < threadRows; first += rowsTogether) {
    SmallVector<Value> ahead = read(streams, std::min(first + rowsTogether, threadRows - rowsTogether), isEarly);
    for (int64_t m = 0; m < rowsTogether; ++m) {
      Row row = rowAt(first + m);
      for (auto [value, vector] : parameters)
        row.evaluator.define(value, {vector});
      for (auto [index, stream] : llvm::enumerate(streams))
        row.evaluator.define(stream, {there[index * rowsTogether + m]});
      for (auto [index, linear] : llvm::enumerate(linears))
        row.evaluator.define(handed(linear),
                             {block.widen(block.load(memory, {rowOf(block, index, rows, row.inTile), row.column}, threadLanes))});
      body(row);
    }
    there = ahead;
  }
}

SmallVector<Value> TileScan::fromZero(ArrayRef<Value> there) {
  std::optional<LinearInState> h;
  SmallVector<Value> decays;
  eachRow(early, /*isEarly=*/true, SmallVector<Value>(there), [&](Row &row) {
    row.evaluator.evaluate(slices.before);
    LinearInState step = {row.evaluator.at(scanOp.getDecay(), 0, 0), row.evaluator.at(scanOp.getInput(), 0, 0)};
    leaveInput(step.constant, row);
    decays.push_back(step.slope);
    h = h ? compose(block, *h, step) : step;
  });
  SmallVector<Value> all{h->slope, h->constant};
  llvm::append_range(all, decays);
  return all;
}

void TileScan::fromState(Value state, ValueRange decays, ArrayRef<Value> there) {
  eachRow(streams, /*isEarly=*/false, SmallVector<Value>(there), [&](Row &row) {
    row.evaluator.evaluate(again);
    state = block.fma(decays[size_t(row.number)], state, takeInput(row));
    row.evaluator.define(scanOp.getH(), {state});
    row.evaluator.evaluate(slices.after);
    storeRow(row);
  });
}

/// What groups leave for each other has rows behind the last one in it, which nobody asks for but here.
void TileScan::storeLast(Value state, ValueRange decays) {
  auto last = llvm::find(block.kernel.yielded(), scanOp.getLast());
  if (last == block.kernel.yielded().end())
    return;
  Value isLastGroup = arith::AndIOp::create(builder, loc, hasRow(0), block.less(block.count, behindLast));
  auto hasNoMore = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::sle, rowsLeft, word(threadRows));
  block.when(arith::AndIOp::create(builder, loc, isLastGroup, hasNoMore), [&] {
    for (int64_t number = 0; number < threadRows; ++number) {
      Row row = rowAt(number);
      Value next = block.fma(decays[size_t(number)], state, takeInput(row));
      state = number == 0 ? next : arith::SelectOp::create(builder, loc, hasRow(number), next, state).getResult();
    }
    Value buffer = block.buffers.results[size_t(last - block.kernel.yielded().begin())];
    block.store(state, buffer, {chunk.segment, block.mul(unit, threadLanes)});
  });
}

void TileScan::leaveInput(Value input, const Row &row) {
  VectorType half = VectorType::get({threadLanes}, builder.getBF16Type());
  for (int64_t part = 0; part < 2; ++part) {
    Value two = vector::ExtractStridedSliceOp::create(builder, loc, input, ArrayRef<int64_t>{2 * part}, ArrayRef<int64_t>{2},
                                                      ArrayRef<int64_t>{1});
    block.store(vector::BitCastOp::create(builder, loc, half, two), memory,
                {rowOf(block, passing[part], rows, row.inTile), row.column});
  }
}

Value TileScan::takeInput(const Row &row) {
  VectorType two = VectorType::get({2}, builder.getF32Type());
  SmallVector<Value> numbers;
  for (int64_t part = 0; part < 2; ++part) {
    Value bits = block.load(memory, {rowOf(block, passing[part], rows, row.inTile), row.column}, threadLanes);
    Value floats = vector::BitCastOp::create(builder, loc, two, bits);
    for (int64_t i = 0; i < 2; ++i)
      numbers.push_back(vector::ExtractOp::create(builder, loc, floats, ArrayRef<int64_t>{i}));
  }
  return vector::FromElementsOp::create(builder, loc, VectorType::get({threadLanes}, builder.getF32Type()), numbers);
}

//===----------------------------------------------------------------------===//
// The tile
//===----------------------------------------------------------------------===//

void TileScan::meet() {
  constexpr int64_t barrier = 1;
  cuda::barrierOf(builder, loc, arith::ConstantIntOp::create(builder, loc, barrier, 32), threadsOfWarpgroup);
}

/// Groups' products and sums become those before each, and the state before the chunk is there.
SmallVector<Value> TileScan::exchange() {
  Value walks = block.less(own, block.constant(width)), column = block.add(block.mul(chunk.firstPanel, panelWidth), own);
  Value start = arith::IndexCastUIOp::create(builder, loc, builder.getIndexType(),
                                             block.loadScalar(block.buffers.segmentStart, chunk.segment));
  std::unique_ptr<StateChain> chain =
      makeOneChain(block, {scanOp, chunk.segment, start, block.count, rows, chunk.number, /*channel=*/column,
                           /*isWhole=*/block.less(behindLast, block.add(block.count, block.constant(1)))});
  chain->ask(walks);
  meet();
  SmallVector<Value> next = read(streams, 0, /*isEarly=*/false); // in front of that the first walk would have them in its registers
  block.when(walks, [&] {
    LinearInState all = walkGroups(block, products, sums, own);
    block.storeScalar(chain->exchange(all.slope, all.constant), states, {own});
  });
  meet();
  return next;
}

void TileScan::scan(Chunk tile, llvm::function_ref<void()> waitForSums) {
  chunk = tile;
  int64_t units = width / threadLanes;
  own = block.sub(block.thread, block.constant(3 * threadsOfWarpgroup)), group = block.div(own, units);
  unit = block.add(block.mul(chunk.firstPanel, unitsOfPanel), block.rem(own, units));
  firstRow = block.add(chunk.firstRow, block.mul(group, threadRows));
  takeParameters();
  behindLast = block.add(chunk.firstRow, block.constant(rows));
  rowsLeft = arith::IndexCastOp::create(builder, loc, builder.getI32Type(), block.sub(block.count, firstRow));
  SmallVector<Value> first = read(early, 0, /*isEarly=*/true);
  waitForSums();
  Value lane = block.mul(block.rem(own, units), threadLanes);
  SmallVector<Value> all = fromZero(first);
  block.store(all[0], products, {group, lane});
  block.store(all[1], sums, {group, lane});
  SmallVector<Value> next = exchange();
  Value state = block.fma(block.load(products, {group, lane}, threadLanes), block.load(states, {lane}, threadLanes),
                          block.load(sums, {group, lane}, threadLanes));
  ValueRange decays = ValueRange(all).drop_front(2);
  storeLast(state, decays);
  fromState(state, decays, next);
}
