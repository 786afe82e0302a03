//===- ScanChunksForm.cpp - a scan over time by many blocks, each with a chunk of it -----------------------------===//
//
// A block takes `row_tile` rows of `panel_split` panels of one segment: all of it at once, eight rows of four channels to a thread.
// Each thread scans its rows from zero, so that every h is product * state + sum with the state before its rows; whatever follows
// h and is linear in it is computed in the same form. A thread a channel then puts the threads' products and sums together, in
// order, takes the state that the block before left, and leaves its own. From there each element needs one multiply-add.
//
// A state travels in one word a channel: the number of the chunk that may take it, and the f32 behind it. The chunk that took it
// writes the next over it, the last one zero, so words are zero between launches. Blocks of a grid start in the order of their
// numbers, with time outermost: the one that is waited for has always started. Which operations are done, in which order, depends
// on where the segment begins and ends alone.

#include "ScanSlices.h"

#include "../../Transforms/BlockForms.h"
#include "../../Transforms/KernelMerge.h"
#include "GpuOps.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/MapVector.h"

#include <optional>
#include <vector>

using namespace mlir;
using namespace sm1;

/// Threads' products and sums that are read before the chain goes through them.
static constexpr int64_t walkTogether = 8;
/// Rows whose streams are on their way while one is computed: enough for the memory, and few enough for the registers.
static constexpr int64_t rowsAhead = 2;
/// What an H200's memory moves while a multiprocessor's clock ticks, a little more than it can. Less memory only makes the wait
/// short.
static constexpr int64_t bytesPerClock = 3000;

namespace {
class ScanChunksBuilder {
public:
  ScanChunksBuilder(BlockKernel &block)
      : block(block), builder(block.builder), scan(*block.kernel.getBlock().getOps<ScanOp>().begin()),
        chunkRows(block.schedule.getRowTile()), width(block.schedule.getPanelSplit() * panelWidth),
        groups(block.schedule.getThreads() * threadLanes / width), threadRows(chunkRows / groups) {}
  void build();

private:
  /// slope * state + constant, with the state before the thread's rows.
  struct Linear {
    Value slope, constant;
  };
  /// One row of the thread: what is computed of it, and what of that is linear in h.
  struct Row {
    TileEvaluator evaluator;
    llvm::MapVector<Value, Linear> linear;
  };

  void place();
  /// Lets blocks that start with the kernel begin one after the other, as fast as memory can serve them.
  void beginInTurn();
  /// The chunk, all of whose rows are there, or only those before `end`.
  void buildChunk(Value rowEnd);
  /// h of row `m`, given that of the row before; a row past the end leaves the state as it is.
  Linear scanRow(Row &row, int64_t m, std::optional<Linear> h, Value rowEnd);
  /// Whether nothing that `op` computes is linear in h, so that it has to wait for the state.
  bool isLate(Operation *op) { return llvm::is_contained(late, op); }
  void findLate();
  /// What `op` makes of its operands in the row, where it is linear in h.
  Linear follow(Operation *op, Row &row);
  Value apply(Operation *op, ValueRange operands);
  /// Values of the row with the state known, as far as somebody needs them, and what follows.
  void finishRow(Row &row, Value state);
  /// Groups' products and sums in shared memory become those of all groups before each; those of the chunk. Groups behind
  /// `lastGroup`, if there is one, do not count.
  std::pair<Value, Value> walkGroups(Value lastGroup);
  /// Where the word of the thread's channel lies.
  Value wordAddress();
  /// That word as it is now, most often with the state before the chunk already; of the first chunk a word that has it.
  Value readWord();
  /// The state before the chunk, after the chunk's own is on its way.
  Value exchange(Value product, Value sum, Value word);
  /// Asks for the word until its tag is the number of this chunk; the state behind it.
  Value waitForState(Value word);
  Value wordOf(Value state, Value tag);
  void storeLast(Value state);

  BlockKernel &block;
  OpBuilder &builder;
  ScanOp scan;
  int64_t chunkRows, width, groups, threadRows;
  Value segment, chunk, start, end, firstRow, unit, group, column, products, sums, states;
  Value numberInChunk; ///< of the block, among those of its part of time
  ScanSlices slices;
  SmallVector<Operation *> late; ///< those that follow the state and are neither independent of h nor linear in it
  llvm::DenseSet<Value> linears; ///< what is linear in h
};
} // namespace

//===----------------------------------------------------------------------===//
// Rows of a thread
//===----------------------------------------------------------------------===//

/// Products and quotients with what does not depend on h, and sums.
static bool staysLinear(Operation *op, const llvm::DenseSet<Value> &linears) {
  bool first = linears.contains(op->getOperand(0));
  if (isa<arith::NegFOp, arith::AddFOp, arith::SubFOp>(op))
    return true;
  return isa<arith::MulFOp>(op) ? !first || !linears.contains(op->getOperand(1))
                                : isa<arith::DivFOp>(op) && !linears.contains(op->getOperand(1));
}

void ScanChunksBuilder::findLate() {
  linears.insert(scan.getH());
  for (Operation *op : slices.after) {
    auto needs = [&](auto test) { return llvm::any_of(op->getOperands(), test); };
    if (needs([&](Value operand) { return isLate(operand.getDefiningOp()); }))
      late.push_back(op);
    else if (needs([&](Value operand) { return linears.contains(operand); })) {
      if (staysLinear(op, linears))
        linears.insert(op->getResult(0));
      else
        late.push_back(op);
    }
  }
}

ScanChunksBuilder::Linear ScanChunksBuilder::scanRow(Row &row, int64_t m, std::optional<Linear> h, Value rowEnd) {
  Value decay = row.evaluator.at(scan.getDecay(), 0, 0), input = row.evaluator.at(scan.getInput(), 0, 0);
  if (rowEnd) {
    Value isThere = block.less(block.add(firstRow, block.constant(m)), rowEnd);
    Value one = arith::ConstantOp::create(builder, block.loc, DenseElementsAttr::get(cast<VectorType>(decay.getType()), 1.0f));
    decay = arith::SelectOp::create(builder, block.loc, isThere, decay, one);
    input = arith::SelectOp::create(builder, block.loc, isThere, input, block.zeros(threadLanes));
  }
  if (!h)
    return {decay, input};
  return {arith::MulFOp::create(builder, block.loc, h->slope, decay), block.fma(decay, h->constant, input)};
}

Value ScanChunksBuilder::apply(Operation *op, ValueRange operands) {
  OperationState state(block.loc, op->getName());
  state.addOperands(operands);
  state.addTypes(operands.front().getType());
  state.addAttributes(op->getAttrs());
  return builder.create(state)->getResult(0);
}

ScanChunksBuilder::Linear ScanChunksBuilder::follow(Operation *op, Row &row) {
  bool isSum = isa<arith::AddFOp, arith::SubFOp>(op);
  SmallVector<Value> slopes, constants;
  for (Value operand : op->getOperands()) {
    auto known = row.linear.find(operand);
    Value plain = known == row.linear.end() ? row.evaluator.at(operand, 0, 0) : Value();
    slopes.push_back(!plain ? known->second.slope : isSum ? block.zeros(threadLanes) : plain);
    constants.push_back(plain ? plain : known->second.constant);
  }
  // x + 0 and x - 0 are x.
  bool keepsSlope = isSum && !linears.contains(op->getOperand(1));
  return {keepsSlope ? slopes[0] : apply(op, slopes), apply(op, constants)};
}

void ScanChunksBuilder::finishRow(Row &row, Value state) {
  for (auto &[value, parts] : row.linear) {
    auto isNeeded = [&](Operation *user) { return isLate(user) || isa<YieldOp>(user); };
    if (llvm::any_of(value.getUsers(), isNeeded))
      row.evaluator.define(value, {block.fma(parts.slope, state, parts.constant)});
  }
  row.evaluator.evaluate(late);
  block.storeResults(row.evaluator);
}

//===----------------------------------------------------------------------===//
// From group to group, from block to block
//===----------------------------------------------------------------------===//

std::pair<Value, Value> ScanChunksBuilder::walkGroups(Value lastGroup) {
  auto step = [&](Value first, ValueRange carried) {
    SmallVector<Value> ownProducts, ownSums;
    for (int64_t i = 0; i < walkTogether; ++i) {
      Value place = block.add(first, block.constant(i));
      ownProducts.push_back(block.loadScalar(products, {place, block.thread}));
      ownSums.push_back(block.loadScalar(sums, {place, block.thread}));
      if (!lastGroup)
        continue;
      Value isBehind = block.less(lastGroup, place);
      ownProducts[i] = arith::SelectOp::create(builder, block.loc, isBehind, block.number(1), ownProducts[i]);
      ownSums[i] = arith::SelectOp::create(builder, block.loc, isBehind, block.number(0), ownSums[i]);
    }
    Value product = carried[0], sum = carried[1];
    for (int64_t i = 0; i < walkTogether; ++i) {
      Value place = block.add(first, block.constant(i));
      block.storeScalar(product, products, {place, block.thread});
      block.storeScalar(sum, sums, {place, block.thread});
      sum = block.fma(ownProducts[i], sum, ownSums[i]);
      product = arith::MulFOp::create(builder, block.loc, product, ownProducts[i]);
    }
    return SmallVector<Value>{product, sum};
  };
  auto all =
      block.loopWith(block.constant(0), block.constant(groups), walkTogether, ValueRange{block.number(1), block.number(0)}, step);
  return {all[0], all[1]};
}

Value ScanChunksBuilder::wordOf(Value state, Value tag) {
  Type i32 = builder.getI32Type(), i64 = builder.getI64Type();
  Value bits = arith::ExtUIOp::create(builder, block.loc, i64, arith::BitcastOp::create(builder, block.loc, i32, state));
  Value high = arith::ShLIOp::create(builder, block.loc, bits, arith::ConstantIntOp::create(builder, block.loc, 32, 64));
  return arith::OrIOp::create(builder, block.loc, high, tag);
}

Value ScanChunksBuilder::wordAddress() {
  Value stride = block.constant(strideOf(widthOf(block.kernel)));
  // Segments of more than one chunk begin in different ones of those that all rows have together.
  Value place = block.add(builder.createOrFold<arith::MulIOp>(block.loc, block.div(start, chunkRows), stride), column);
  return cuda::addressOf(builder, block.loc, block.words, block.mul(place, 8), cuda::globalMemory);
}

Value ScanChunksBuilder::readWord() {
  Value isFirst = arith::CmpIOp::create(builder, block.loc, arith::CmpIPredicate::eq, chunk, block.constant(0));
  auto initial = [&](OpBuilder &, Location) {
    Value init =
        scan.getInit() ? block.loadScalar(block.buffers.inputs.lookup(scan.getInit()), {segment, column}) : block.number(0);
    scf::YieldOp::create(builder, block.loc, wordOf(init, arith::ConstantIntOp::create(builder, block.loc, 0, 64)));
  };
  auto current = [&](OpBuilder &, Location) {
    scf::YieldOp::create(builder, block.loc, cuda::loadSharedWord(builder, block.loc, wordAddress()));
  };
  return scf::IfOp::create(builder, block.loc, isFirst, initial, current).getResult(0);
}

Value ScanChunksBuilder::waitForState(Value word) {
  Type i64 = builder.getI64Type();
  Value wanted = arith::IndexCastUIOp::create(builder, block.loc, builder.getI32Type(), chunk);
  auto loop = scf::WhileOp::create(builder, block.loc, TypeRange(i64), ValueRange(word));
  OpBuilder::InsertionGuard guard(builder);
  Block *before = builder.createBlock(&loop.getBefore(), {}, TypeRange(i64), {block.loc});
  Value tag = arith::TruncIOp::create(builder, block.loc, builder.getI32Type(), before->getArgument(0));
  Value isOther = arith::CmpIOp::create(builder, block.loc, arith::CmpIPredicate::ne, tag, wanted);
  scf::ConditionOp::create(builder, block.loc, isOther, before->getArguments());
  builder.createBlock(&loop.getAfter(), {}, TypeRange(i64), {block.loc});
  scf::YieldOp::create(builder, block.loc, cuda::loadSharedWord(builder, block.loc, wordAddress()));
  builder.setInsertionPointAfter(loop);
  Value high =
      arith::ShRUIOp::create(builder, block.loc, loop.getResult(0), arith::ConstantIntOp::create(builder, block.loc, 32, 64));
  Value bits = arith::TruncIOp::create(builder, block.loc, builder.getI32Type(), high);
  return arith::BitcastOp::create(builder, block.loc, builder.getF32Type(), bits);
}

void ScanChunksBuilder::storeLast(Value state) {
  for (auto [index, yielded] : llvm::enumerate(block.kernel.yielded()))
    if (yielded == scan.getLast())
      block.storeScalar(state, block.buffers.results[index], {segment, column});
}

Value ScanChunksBuilder::exchange(Value product, Value sum, Value word) {
  Value state = waitForState(word), next = block.fma(product, state, sum);
  Value following = block.add(chunk, block.constant(1));
  Value hasMore = block.less(block.add(start, block.mul(following, chunkRows)), end);
  Value zero = arith::ConstantIntOp::create(builder, block.loc, 0, 64);
  Value tag = arith::IndexCastUIOp::create(builder, block.loc, builder.getI64Type(), following);
  Value left = arith::SelectOp::create(builder, block.loc, hasMore, wordOf(next, tag), zero);
  Value isTouched = arith::OrIOp::create(builder, block.loc, hasMore, block.less(block.constant(0), chunk));
  block.when(isTouched, [&] { cuda::storeSharedWord(builder, block.loc, left, wordAddress()); });
  Value isLast = arith::XOrIOp::create(builder, block.loc, hasMore, arith::ConstantIntOp::create(builder, block.loc, 1, 1));
  block.when(isLast, [&] { storeLast(next); });
  return state;
}

//===----------------------------------------------------------------------===//
// The block
//===----------------------------------------------------------------------===//

void ScanChunksBuilder::buildChunk(Value rowEnd) {
  // A group behind the last one does what that does, so that it stores the same bits; the chain leaves it out.
  Value place = group, lastGroup;
  if (rowEnd) {
    Value chunkStart = block.sub(firstRow, block.mul(group, threadRows));
    lastGroup = block.div(block.sub(block.sub(rowEnd, block.constant(1)), chunkStart), threadRows);
    group = block.least(group, lastGroup);
    firstRow = block.add(chunkStart, block.mul(group, threadRows));
  }
  std::vector<Row> rows;
  auto readRow = [&] {
    Value at = block.add(firstRow, block.constant(int64_t(rows.size())));
    // A row past the end is the last one again, with the state that it left: it stores what is there.
    if (rowEnd)
      at = block.least(at, block.sub(rowEnd, block.constant(1)));
    rows.push_back({TileEvaluator(builder, block.kernel, block.buffers, {at, unit, 1, 1, threadLanes, {}}), {}});
    for (BlockArgument stream : slices.streams)
      rows.back().evaluator.at(stream, 0, 0);
  };
  rows.reserve(threadRows);
  while (int64_t(rows.size()) < std::min(rowsAhead, threadRows))
    readRow();
  std::optional<Linear> h;
  for (int64_t m = 0; m < threadRows; ++m) {
    if (m + rowsAhead < threadRows)
      readRow();
    Row &row = rows[m];
    row.evaluator.evaluate(slices.before);
    h = row.linear[scan.getH()] = scanRow(row, m, h, rowEnd);
    for (Operation *op : slices.after)
      if (linears.contains(op->getResult(0)))
        row.linear[op->getResult(0)] = follow(op, row);
      else if (!isLate(op))
        row.evaluator.evaluate(op);
  }
  Value lane = block.mul(block.rem(block.thread, width / threadLanes), threadLanes);
  block.store(h->slope, products, {place, lane});
  block.store(h->constant, sums, {place, lane});
  // Asked for here, the word is there when the groups have been walked.
  Value walks = block.less(block.thread, block.constant(width));
  auto nothing = [&](OpBuilder &, Location) {
    scf::YieldOp::create(builder, block.loc, ValueRange(arith::ConstantIntOp::create(builder, block.loc, 0, 64)));
  };
  auto early = scf::IfOp::create(
      builder, block.loc, walks, [&](OpBuilder &, Location) { scf::YieldOp::create(builder, block.loc, readWord()); }, nothing);
  block.barrier();
  block.when(walks, [&] {
    auto [product, sum] = walkGroups(lastGroup);
    block.storeScalar(exchange(product, sum, early.getResult(0)), states, {block.thread});
  });
  block.barrier();
  Value state = block.fma(block.load(products, {group, lane}, threadLanes), block.load(states, {lane}, threadLanes),
                          block.load(sums, {group, lane}, threadLanes));
  for (Row &row : rows)
    finishRow(row, state);
}

void ScanChunksBuilder::place() {
  // The grid counts segments first. Its blocks count panels first: those that run at the same time have whole rows then.
  Type i32 = builder.getI32Type(), index = builder.getIndexType();
  cuda::PlaceInGrid grid = cuda::placeInGrid(builder, block.loc);
  Value row = arith::MulIOp::create(builder, block.loc, cuda::blockId(builder, block.loc, cuda::Axis::Y), grid.blocks);
  numberInChunk = block.add(row, grid.number);
  Value number = arith::IndexCastUIOp::create(builder, block.loc, i32, numberInChunk);
  Value blocksOfRow = arith::ConstantIntOp::create(builder, block.loc, strideOf(widthOf(block.kernel)) / width, 32);
  segment =
      arith::IndexCastUIOp::create(builder, block.loc, index, arith::DivUIOp::create(builder, block.loc, number, blocksOfRow));
  Value first = block.mul(
      arith::IndexCastUIOp::create(builder, block.loc, index, arith::RemUIOp::create(builder, block.loc, number, blocksOfRow)),
      width);
  chunk = cuda::blockId(builder, block.loc, cuda::Axis::Z);
  auto table = [&](Value index) {
    Value row = block.loadScalar(block.buffers.segmentStart, index);
    return arith::IndexCastOp::create(builder, block.loc, builder.getIndexType(), row).getResult();
  };
  start = table(segment);
  end = table(block.add(segment, block.constant(1)));
  column = block.add(first, block.thread); // of the threads that walk
  int64_t units = width / threadLanes;
  unit = block.add(block.div(first, threadLanes), block.rem(block.thread, units));
  group = block.div(block.thread, units);
  firstRow = block.add(block.add(start, block.mul(chunk, chunkRows)), block.mul(group, threadRows));
  Type f32 = builder.getF32Type();
  products = block.shared({groups, width}, f32);
  sums = block.shared({groups, width}, f32);
  states = block.shared({width}, f32);
}

/// All at once would read for as long as one of them needs times as many, then all compute, and the chain of states, which begins
/// with the first chunk, would begin that late. Blocks of a second turn come when others end, one by one anyway; where there is no
/// second turn, nothing is gained by order.
void ScanChunksBuilder::beginInTurn() {
  Type i32 = builder.getI32Type();
  auto bytesOf = [](Type type) { return isStream(type) ? getElementTypeOrSelf(type).getIntOrFloatBitWidth() / 8 : 0; };
  int64_t bytes = 0;
  for (BlockArgument stream : slices.streams)
    bytes += bytesOf(stream.getType());
  for (Type result : block.kernel.getResultTypes())
    bytes += bytesOf(result);
  auto times = [&](Value a, Value b) { return builder.createOrFold<arith::MulIOp>(block.loc, a, b); };
  cuda::GridSize grid = cuda::gridSize(builder, block.loc);
  Value ofChunk = times(grid.x, grid.y), all = times(ofChunk, grid.z), before = block.add(times(chunk, ofChunk), numberInChunk);
  Value atOnce = block.mul(cuda::multiprocessors(builder, block.loc), blocksAtOnce(block.schedule));
  Value waits = arith::AndIOp::create(builder, block.loc, block.less(before, atOnce), block.less(atOnce, all));
  block.when(waits, [&] {
    Value begin = cuda::clock(builder, block.loc);
    Value turn =
        arith::IndexCastUIOp::create(builder, block.loc, i32, block.mul(before, chunkRows * width * bytes / bytesPerClock));
    auto loop = scf::WhileOp::create(builder, block.loc, TypeRange(), ValueRange());
    OpBuilder::InsertionGuard guard(builder);
    builder.createBlock(&loop.getBefore());
    Value waited = arith::SubIOp::create(builder, block.loc, cuda::clock(builder, block.loc), begin);
    Value isEarly = arith::CmpIOp::create(builder, block.loc, arith::CmpIPredicate::ult, waited, turn);
    scf::ConditionOp::create(builder, block.loc, isEarly, ValueRange());
    builder.createBlock(&loop.getAfter());
    scf::YieldOp::create(builder, block.loc);
  });
}

void ScanChunksBuilder::build() {
  place();
  slices = slicesAround(block, scan, scan.getDecay(), scan.getInput());
  findLate();
  block.waitForInputs();
  beginInTurn();
  Value chunkStart = block.add(start, block.mul(chunk, chunkRows)), chunkEnd = block.add(chunkStart, block.constant(chunkRows));
  // Code of its own for chunks without an end: no row asks whether it is there, and addresses differ by constants.
  Value isWhole = block.less(chunkEnd, block.add(end, block.constant(1)));
  auto choice = scf::IfOp::create(builder, block.loc, isWhole, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(choice.thenBlock());
  buildChunk({});
  builder.setInsertionPointToStart(choice.elseBlock());
  block.when(block.less(chunkStart, end), [&] { buildChunk(end); });
}

void sm1::buildScanChunks(BlockKernel &block) { ScanChunksBuilder(block).build(); }
