//===- ScanChunksForm.cpp - a scan over time by many blocks, each with a chunk of it -----------------------------===//
//
// A block takes `row_tile` rows of `panel_split` panels of one segment: all of it at once, eight rows of four channels to a thread.
// Each thread scans its rows from zero, so that every h is product * state + sum with the state before its rows; whatever follows
// h and is linear in it is computed in the same form. A thread a channel then puts the threads' products and sums together, in
// order, takes the state that the block before left, and leaves its own. From there each element needs one multiply-add.
//
// A chunk takes half a microsecond to hand something to the next, through the L2 cache. Where shared memory has room, all inputs of
// a chunk are on their way at once (ChunkStage.h), and that is longer than memory takes. There the chain of states goes to every
// second chunk: a chunk leaves its product and sum for the next, as soon as it has them, and the state behind it for the one after
// that, which puts both together. The states are those of one chain, bit by bit. Words have 64 bits, one a channel from each chunk
// to the next:
//
//   from chunk c to c + 1          f32 sum, and the inverted bits of the product; of the first two chunks f32 state, and a tag
//   in its place, c + 1 to c + 3   f32 state, and a tag; zero in the end, so words are zero between launches
//
// Else few rows are on their way to registers, and every chunk leaves the next one its state, as the first two do.
//
// A product's inverted bits are never zero or a tag, which would be NaNs that no multiplication makes. Each word has one reader,
// who takes it before something else is written there. Blocks of a grid start in the order of their numbers, with time outermost:
// those waited for have always started. Which operations are done, in which order, depends on where the segment begins and ends
// alone.

#include "ChunkStage.h"
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
  /// Asks for what is the same in all rows before anybody waits for rows: LLVM would load it where it is used first.
  void readParameters();
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
  /// What a word's low half says where it is no product: the state is that before the next chunk, or before the one behind that.
  enum class Tag { AfterNext = 1, Next };
  /// What a chunk gets: the products and sums of the chunk before, and the state before that one, which the third before left. The
  /// first three get their state in `before`.
  struct Words {
    Value before, earlier;
  };
  /// Where the word of the thread's channel lies that the chunk `back` before this one hands to the next.
  Value wordAddress(int64_t back);
  /// The words as they are now, most often there already.
  Words readWords();
  /// Asks for the words until they are there; the state before the chunk.
  Value waitForState(Words words);
  /// The state before the chunk, after what others need is on its way.
  Value exchange(Value product, Value sum, Words words);
  Value chooseWord(Value condition, llvm::function_ref<Value()> yes, llvm::function_ref<Value()> no);
  Value wordOf(Value number, Value low);
  Value numberIn(Value word);
  Value lowHalf(Value word);
  Value inverted(Value bits);
  Value tag(Tag tag);
  Value hasNumber(int64_t least); ///< the chunk, or more
  /// The same where there are two chains of states: where registers take the inputs one is as fast, and needs fewer.
  Value isOfTwoChains(int64_t least);
  void storeLast(Value state);

  BlockKernel &block;
  OpBuilder &builder;
  ScanOp scan;
  int64_t chunkRows, width, groups, threadRows;
  Value segment, chunk, start, end, firstRow, unit, group, column, products, sums, states;
  Value numberInChunk;             ///< of the block, among those of its part of time
  std::optional<ChunkStage> stage; ///< where inputs go through shared memory
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

Value ScanChunksBuilder::wordOf(Value number, Value low) {
  Type i32 = builder.getI32Type(), i64 = builder.getI64Type();
  auto wide = [&](Value half) { return arith::ExtUIOp::create(builder, block.loc, i64, half).getResult(); };
  Value bits = wide(arith::BitcastOp::create(builder, block.loc, i32, number));
  Value high = arith::ShLIOp::create(builder, block.loc, bits, arith::ConstantIntOp::create(builder, block.loc, 32, 64));
  return arith::OrIOp::create(builder, block.loc, high, wide(low));
}

Value ScanChunksBuilder::numberIn(Value word) {
  Value high = arith::ShRUIOp::create(builder, block.loc, word, arith::ConstantIntOp::create(builder, block.loc, 32, 64));
  Value bits = arith::TruncIOp::create(builder, block.loc, builder.getI32Type(), high);
  return arith::BitcastOp::create(builder, block.loc, builder.getF32Type(), bits);
}

Value ScanChunksBuilder::lowHalf(Value word) { return arith::TruncIOp::create(builder, block.loc, builder.getI32Type(), word); }

Value ScanChunksBuilder::inverted(Value bits) {
  return arith::XOrIOp::create(builder, block.loc, bits, arith::ConstantIntOp::create(builder, block.loc, -1, 32));
}

Value ScanChunksBuilder::tag(Tag tag) { return arith::ConstantIntOp::create(builder, block.loc, int64_t(tag), 32); }

Value ScanChunksBuilder::hasNumber(int64_t least) { return block.less(block.constant(least - 1), chunk); }

Value ScanChunksBuilder::isOfTwoChains(int64_t least) {
  return stage ? hasNumber(least) : arith::ConstantIntOp::create(builder, block.loc, 0, 1).getResult();
}

Value ScanChunksBuilder::wordAddress(int64_t back) {
  int64_t stride = strideOf(widthOf(block.kernel));
  // Segments of more than one chunk begin in different ones of those that all rows have together, and have one less than chunks.
  Value row = block.add(block.div(start, chunkRows), chunk), place = block.add(block.mul(row, stride), column);
  Value bytes = block.sub(block.mul(place, 8), block.constant(back * stride * 8));
  return cuda::addressOf(builder, block.loc, block.words, bytes, cuda::globalMemory);
}

Value ScanChunksBuilder::chooseWord(Value condition, llvm::function_ref<Value()> yes, llvm::function_ref<Value()> no) {
  auto give = [&](llvm::function_ref<Value()> word) {
    return [&, word](OpBuilder &, Location) { scf::YieldOp::create(builder, block.loc, word()); };
  };
  return scf::IfOp::create(builder, block.loc, condition, give(yes), give(no)).getResult(0);
}

ScanChunksBuilder::Words ScanChunksBuilder::readWords() {
  auto load = [&](int64_t back) { return cuda::loadSharedWord(builder, block.loc, wordAddress(back)); };
  auto initial = [&] {
    Value init =
        scan.getInit() ? block.loadScalar(block.buffers.inputs.lookup(scan.getInit()), {segment, column}) : block.number(0);
    return wordOf(init, tag(Tag::Next));
  };
  return {chooseWord(
              hasNumber(1), [&] { return load(1); }, initial),
          chooseWord(
              isOfTwoChains(3), [&] { return load(3); }, [&] { return wordOf(block.number(0), tag(Tag::AfterNext)); })};
}

Value ScanChunksBuilder::waitForState(Words words) {
  Type i64 = builder.getI64Type();
  auto loop = scf::WhileOp::create(builder, block.loc, TypeRange{i64, i64}, ValueRange{words.before, words.earlier});
  OpBuilder::InsertionGuard guard(builder);
  auto isMissing = [&](ValueRange both) {
    Value zero = arith::ConstantIntOp::create(builder, block.loc, 0, 64);
    return std::pair<Value, Value>(
        arith::CmpIOp::create(builder, block.loc, arith::CmpIPredicate::eq, both[0], zero),
        arith::CmpIOp::create(builder, block.loc, arith::CmpIPredicate::ne, lowHalf(both[1]), tag(Tag::AfterNext)));
  };
  Block *test = builder.createBlock(&loop.getBefore(), {}, TypeRange{i64, i64}, {block.loc, block.loc});
  auto [noBefore, noEarlier] = isMissing(test->getArguments());
  Value any = arith::OrIOp::create(builder, block.loc, noBefore, noEarlier);
  scf::ConditionOp::create(builder, block.loc, any, test->getArguments());
  Block *again = builder.createBlock(&loop.getAfter(), {}, TypeRange{i64, i64}, {block.loc, block.loc});
  auto [needsBefore, needsEarlier] = isMissing(again->getArguments());
  auto ask = [&](Value needed, int64_t back, Value known) {
    return chooseWord(
        needed, [&] { return cuda::loadSharedWord(builder, block.loc, wordAddress(back)); }, [&] { return known; });
  };
  Value before = ask(needsBefore, 1, again->getArgument(0)), earlier = ask(needsEarlier, 3, again->getArgument(1));
  scf::YieldOp::create(builder, block.loc, ValueRange{before, earlier});
  builder.setInsertionPointAfter(loop);
  Value sum = numberIn(loop.getResult(0));
  Value product = arith::BitcastOp::create(builder, block.loc, builder.getF32Type(), inverted(lowHalf(loop.getResult(0))));
  Value state = block.fma(product, numberIn(loop.getResult(1)), sum);
  return arith::SelectOp::create(builder, block.loc, isOfTwoChains(3), state, sum);
}

void ScanChunksBuilder::storeLast(Value state) {
  for (auto [index, yielded] : llvm::enumerate(block.kernel.yielded()))
    if (yielded == scan.getLast())
      block.storeScalar(state, block.buffers.results[index], {segment, column});
}

Value ScanChunksBuilder::exchange(Value product, Value sum, Words words) {
  auto both = [&](Value a, Value b) { return arith::AndIOp::create(builder, block.loc, a, b).getResult(); };
  auto opposite = [&](Value a) {
    return arith::XOrIOp::create(builder, block.loc, a, arith::ConstantIntOp::create(builder, block.loc, 1, 1)).getResult();
  };
  auto leave = [&](Value condition, Value word, int64_t back) {
    block.when(condition, [&] { cuda::storeSharedWord(builder, block.loc, word, wordAddress(back)); });
  };
  auto rowsBehind = [&](int64_t chunks) {
    return block.less(block.add(start, block.mul(block.add(chunk, block.constant(chunks)), chunkRows)), end);
  };
  Value hasNext = rowsBehind(1), zero = arith::ConstantIntOp::create(builder, block.loc, 0, 64);
  Value bits = arith::BitcastOp::create(builder, block.loc, builder.getI32Type(), product);
  leave(both(isOfTwoChains(2), hasNext), wordOf(sum, inverted(bits)), 0);
  Value state = waitForState(words), next = block.fma(product, state, sum);
  Value left = stage ? arith::SelectOp::create(builder, block.loc, rowsBehind(2), wordOf(next, tag(Tag::AfterNext)), zero) : zero;
  leave(hasNumber(1), left, 1);
  leave(both(opposite(isOfTwoChains(2)), hasNext), wordOf(next, tag(Tag::Next)), 0);
  leave(isOfTwoChains(3), zero, 3);
  block.when(opposite(hasNext), [&] { storeLast(next); });
  return state;
}

//===----------------------------------------------------------------------===//
// The block
//===----------------------------------------------------------------------===//

void ScanChunksBuilder::readParameters() {
  TileEvaluator evaluator(builder, block.kernel, block.buffers, {firstRow, unit, 1, 1, threadLanes, {}});
  for (BlockArgument argument : block.kernel.getBlock().getArguments())
    if (isParam(argument.getType(), 1) && getElementTypeOrSelf(argument.getType()).isF32())
      cuda::computeHere(builder, block.loc, evaluator.at(argument, 0, 0));
}

void ScanChunksBuilder::buildChunk(Value rowEnd) {
  // A group behind the last one does what that does, so that it stores the same bits; the chain leaves it out.
  Value place = group, lastGroup;
  if (rowEnd) {
    Value chunkStart = block.sub(firstRow, block.mul(group, threadRows));
    lastGroup = block.div(block.sub(block.sub(rowEnd, block.constant(1)), chunkStart), threadRows);
    group = block.least(group, lastGroup);
    firstRow = block.add(chunkStart, block.mul(group, threadRows));
  }
  if (stage) {
    stage->fill(firstRow, block.sub(unit, block.rem(block.thread, width / threadLanes)), rowEnd);
    readParameters();
  }
  std::vector<Row> rows;
  ChunkStage::Rows staged;
  auto readRow = [&] {
    auto m = int64_t(rows.size());
    Value at = block.add(firstRow, block.constant(m));
    // A row past the end is the last one again, with the state that it left: it stores what is there.
    if (rowEnd)
      at = block.least(at, block.sub(rowEnd, block.constant(1)));
    rows.push_back({TileEvaluator(builder, block.kernel, block.buffers, {at, unit, 1, 1, threadLanes, {}}), {}});
    if (stage && !(m % ChunkStage::rowsTogether))
      staged = stage->take(m / ChunkStage::rowsTogether);
    for (auto [index, stream] : llvm::enumerate(slices.streams))
      if (stage)
        rows.back().evaluator.define(stream, {staged[index][size_t(m % ChunkStage::rowsTogether)]});
      else
        rows.back().evaluator.at(stream, 0, 0);
  };
  rows.reserve(threadRows);
  int64_t ahead = stage ? 0 : std::min(rowsAhead, threadRows);
  while (int64_t(rows.size()) < ahead)
    readRow();
  std::optional<Linear> h;
  for (int64_t m = 0; m < threadRows; ++m) {
    if (m + ahead < threadRows)
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
  // Asked for here, the words are there when the groups have been walked.
  Value walks = block.less(block.thread, block.constant(width));
  auto ask = [&](OpBuilder &, Location) {
    Words words = readWords();
    scf::YieldOp::create(builder, block.loc, ValueRange{words.before, words.earlier});
  };
  auto nothing = [&](OpBuilder &, Location) {
    Value zero = arith::ConstantIntOp::create(builder, block.loc, 0, 64);
    scf::YieldOp::create(builder, block.loc, ValueRange{zero, zero});
  };
  auto early = scf::IfOp::create(builder, block.loc, walks, ask, nothing);
  block.barrier();
  block.when(walks, [&] {
    auto [product, sum] = walkGroups(lastGroup);
    block.storeScalar(exchange(product, sum, {early.getResult(0), early.getResult(1)}), states, {block.thread});
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
  if (staysInShared(block.schedule))
    stage.emplace(block, slices.streams, width);
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
