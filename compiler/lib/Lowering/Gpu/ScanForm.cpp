//===- ScanForm.cpp - a scan over time by a block of threads -----------------------------------------------------===//
//
// A block takes 16 channels of one segment and walks it in tiles of rows. All threads compute decay and input of a tile, each for
// one row and four channels; 16 threads walk the tile's rows, one channel each; all threads compute what follows from h, with
// everything that they had before the walk still in registers. Every h is the same chain of fused multiply-adds as on a CPU and in
// a step, so prefill, step and chunks agree in every bit.
//
// Where bits need not agree, a thread has eight rows of one channel, scans them from zero, and only what it is left with is walked:
// an eighth of the chain. With the state before its rows known, a multiply-add makes each h. Tiles and groups begin where the
// segment does, so the order of operations is the same in every run.

#include "BlockKernel.h"

#include "../../Transforms/KernelMerge.h"
#include "GpuOps.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

namespace {
class ScanBuilder {
public:
  ScanBuilder(BlockKernel &block) : block(block), scan(*block.kernel.getBlock().getOps<ScanOp>().begin()) {}
  void build();

private:
  /// What this thread reads of every stream in the tile of rows from `start` on.
  SmallVector<Value> readStreams(Value start);
  Tile tileAt(Value start);
  /// The state before the first row: h, or the closed form's product and sum behind it.
  SmallVector<Value> initial();
  /// Walks `rows` rows in shared memory, which hold decay and input and get h; what the last row leaves.
  SmallVector<Value> walk(Value rows, ValueRange carried);
  /// One row; h is the first of what it returns.
  SmallVector<Value> advance(Value decay, Value input, ValueRange carried);
  void storeLast(Value h);
  void findSlices();
  void buildByRows();

  /// What a thread's rows make of the state before them: h[m] = products[m] * state + sums[m].
  struct Effects {
    SmallVector<Value> products, sums;
  };
  Effects effectsOf(Value start, ArrayRef<Value> streamValues);
  /// Walks the groups of a tile in shared memory, which hold product and sum and get the state before them; the state behind the
  /// last.
  Value walkGroups(Value state);
  void finishGroup(Value start, ArrayRef<Value> streamValues, const Effects &effects);
  void defineStreams(TileEvaluator &evaluator, ArrayRef<Value> streamValues);
  void buildByGroups();

  BlockKernel &block;
  ScanOp scan;
  Value segment, panel, column, firstRow, end, row, unit, decays, inputs;
  SmallVector<BlockArgument> streams;
  /// Operations that make decay and input; the others.
  SmallVector<Operation *> before, after;
  Value h0; ///< closed form: the state before the segment
  /// Rows and channels of a thread.
  int64_t threadRows = 1, lanes = threadLanes;
};
} // namespace

/// Rows whose operands are read before the chain goes through them, so that the chain waits for arithmetic alone.
static constexpr int64_t walkTogether = 8;

SmallVector<Value> ScanBuilder::initial() {
  Value state = block.number(0);
  if (scan.getInit()) // every thread reads one, so that no branch is needed
    state = block.loadScalar(block.buffers.inputs.lookup(scan.getInit()), {segment, column});
  if (scan.getForm() != ScanForm::ClosedForm)
    return {state};
  h0 = state;
  return {block.number(1), block.number(0)};
}

SmallVector<Value> ScanBuilder::advance(Value decay, Value input, ValueRange carried) {
  OpBuilder &builder = block.builder;
  if (scan.getForm() != ScanForm::ClosedForm)
    return {block.fma(decay, carried[0], input)};
  Value product = arith::MulFOp::create(builder, block.loc, carried[0], decay);
  Value divisor = arith::MaximumFOp::create(builder, block.loc, product, block.number(1e-6f));
  Value quotient = arith::DivFOp::create(builder, block.loc, input, divisor);
  return {product, arith::AddFOp::create(builder, block.loc, carried[1], quotient)};
}

SmallVector<Value> ScanBuilder::walk(Value rows, ValueRange carried) {
  auto visible = [&](ValueRange state) -> Value {
    if (scan.getForm() != ScanForm::ClosedForm)
      return state[0];
    Value sum = arith::AddFOp::create(block.builder, block.loc, h0, state[1]);
    return arith::MulFOp::create(block.builder, block.loc, state[0], sum);
  };
  auto step = [&](int64_t together) {
    return [&, together](Value row, ValueRange state) {
      SmallVector<Value> decay, input, h, next(state);
      for (int64_t i = 0; i < together; ++i) {
        Value place = block.add(row, block.constant(i));
        decay.push_back(block.loadScalar(decays, {place, block.thread}));
        input.push_back(block.loadScalar(inputs, {place, block.thread}));
      }
      for (int64_t i = 0; i < together; ++i) {
        next = advance(decay[i], input[i], next);
        h.push_back(visible(next));
      }
      for (int64_t i = 0; i < together; ++i)
        block.storeScalar(h[i], inputs, {block.add(row, block.constant(i)), block.thread});
      return next;
    };
  };
  Value whole = block.sub(rows, block.rem(rows, walkTogether));
  SmallVector<Value> state = block.loopWith(block.constant(0), whole, walkTogether, carried, step(walkTogether));
  return block.loopWith(whole, rows, 1, state, step(1));
}

void ScanBuilder::storeLast(Value h) {
  for (auto [index, yielded] : llvm::enumerate(block.kernel.yielded()))
    if (yielded == scan.getLast())
      block.storeScalar(h, block.buffers.results[index], {segment, column});
}

Tile ScanBuilder::tileAt(Value start) {
  return {block.add(start, row), block.add(block.mul(panel, panelWidth / lanes), unit), threadRows, 1, lanes, end};
}

SmallVector<Value> ScanBuilder::readStreams(Value start) {
  TileEvaluator evaluator(block.builder, block.kernel, block.buffers, tileAt(start));
  SmallVector<Value> values;
  for (BlockArgument stream : streams)
    for (int64_t m = 0; m < threadRows; ++m)
      values.push_back(evaluator.at(stream, m, 0));
  return values;
}

void ScanBuilder::defineStreams(TileEvaluator &evaluator, ArrayRef<Value> streamValues) {
  for (BlockArgument stream : streams) {
    evaluator.define(stream, llvm::to_vector(streamValues.take_front(threadRows)));
    streamValues = streamValues.drop_front(threadRows);
  }
}

/// Lookups and splits read by index; everything else is read a tile ahead, so that memory works while the tile before is walked.
void ScanBuilder::findSlices() {
  for (BlockArgument argument : block.kernel.getBlock().getArguments())
    if (isStream(argument.getType()) &&
        llvm::none_of(argument.getUsers(), [](Operation *user) { return isa<SplitOp, SelectRowsOp>(user); }))
      streams.push_back(argument);
  before = sliceOf(block.kernel, scan.getDecay());
  for (Operation *op : sliceOf(block.kernel, scan.getInput()))
    if (!llvm::is_contained(before, op))
      before.push_back(op);
  after = block.mainOps();
  llvm::erase_if(after, [&](Operation *op) { return op == scan || llvm::is_contained(before, op); });
}

//===----------------------------------------------------------------------===//
// A row to a thread
//===----------------------------------------------------------------------===//

void ScanBuilder::buildByRows() {
  int64_t tileRows = block.schedule.getRowTile();
  Location loc = block.loc;
  Value isWalker = block.less(block.thread, block.constant(panelWidth)), column = block.mul(unit, lanes);
  SmallVector<Value> carriedIn = initial();
  size_t stateSize = carriedIn.size();
  Value begin = firstRow;
  llvm::append_range(carriedIn, readStreams(begin));
  SmallVector<Value> last = block.loopWith(begin, end, tileRows, carriedIn, [&](Value start, ValueRange carried) {
    SmallVector<Value> ahead = readStreams(block.add(start, block.constant(tileRows)));
    TileEvaluator evaluator(block.builder, block.kernel, block.buffers, tileAt(start));
    defineStreams(evaluator, llvm::to_vector(carried.drop_front(stateSize)));
    evaluator.evaluate(before);
    block.store(evaluator.at(scan.getDecay(), 0, 0), decays, {row, column});
    block.store(evaluator.at(scan.getInput(), 0, 0), inputs, {row, column});
    block.barrier();
    Value rows = block.least(block.sub(end, start), block.constant(tileRows));
    // The other threads walk no rows.
    Value walked = arith::SelectOp::create(block.builder, loc, isWalker, rows, block.constant(0));
    SmallVector<Value> next = walk(walked, carried.take_front(stateSize));
    block.barrier();
    evaluator.define(scan.getH(), {block.load(inputs, {row, column}, lanes)});
    evaluator.evaluate(after);
    block.storeResults(evaluator);
    // A thread reads h where it writes the next tile's input, so no barrier is needed in between.
    llvm::append_range(next, ahead);
    return next;
  });
  block.when(isWalker, [&] {
    Value h = last[0];
    if (scan.getForm() == ScanForm::ClosedForm)
      h = arith::MulFOp::create(block.builder, loc, last[0], arith::AddFOp::create(block.builder, loc, h0, last[1]));
    storeLast(h);
  });
}

//===----------------------------------------------------------------------===//
// A group of rows to a thread
//===----------------------------------------------------------------------===//

ScanBuilder::Effects ScanBuilder::effectsOf(Value start, ArrayRef<Value> streamValues) {
  OpBuilder &builder = block.builder;
  Value one = block.number(1), zero = block.number(0);
  SmallVector<Value> nothing(threadRows, one);
  nothing.append(threadRows, zero);
  SmallVector<Type> types(nothing.size(), builder.getF32Type());
  Value first = block.add(start, row);
  auto branch = scf::IfOp::create(builder, block.loc, types, block.less(first, end), /*addThenBlock=*/true, /*addElseBlock=*/true);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(builder, block.loc, nothing);
  builder.setInsertionPointToStart(branch.thenBlock());
  TileEvaluator evaluator(builder, block.kernel, block.buffers, tileAt(start));
  defineStreams(evaluator, streamValues);
  evaluator.evaluate(before);
  SmallVector<Value> products, sums;
  for (int64_t m = 0; m < threadRows; ++m) {
    auto element = [&](Value vector) {
      return vector::ExtractOp::create(builder, block.loc, vector, ArrayRef<int64_t>{0}).getResult();
    };
    Value decay = element(evaluator.at(scan.getDecay(), m, 0)), input = element(evaluator.at(scan.getInput(), m, 0));
    // A row past the end leaves the state as it is.
    Value isThere = block.less(block.add(first, block.constant(m)), end);
    decay = arith::SelectOp::create(builder, block.loc, isThere, decay, one);
    input = arith::SelectOp::create(builder, block.loc, isThere, input, zero);
    products.push_back(m ? arith::MulFOp::create(builder, block.loc, products.back(), decay).getResult() : decay);
    sums.push_back(m ? block.fma(decay, sums.back(), input) : input);
  }
  products.append(sums);
  scf::YieldOp::create(builder, block.loc, products);
  SmallVector<Value> results(branch.getResults());
  return {SmallVector<Value>(ArrayRef(results).take_front(threadRows)),
          SmallVector<Value>(ArrayRef(results).drop_front(threadRows))};
}

Value ScanBuilder::walkGroups(Value state) {
  int64_t groups = block.schedule.getRowTile() / threadRows;
  auto step = [&](Value group, ValueRange carried) {
    SmallVector<Value> products, sums, states{carried[0]};
    for (int64_t i = 0; i < walkTogether; ++i) {
      Value place = block.add(group, block.constant(i));
      products.push_back(block.loadScalar(decays, {place, block.thread}));
      sums.push_back(block.loadScalar(inputs, {place, block.thread}));
    }
    for (int64_t i = 0; i < walkTogether; ++i)
      states.push_back(block.fma(products[i], states[i], sums[i]));
    for (int64_t i = 0; i < walkTogether; ++i)
      block.storeScalar(states[i], decays, {block.add(group, block.constant(i)), block.thread});
    return SmallVector<Value>{states.back()};
  };
  Value isWalker = block.less(block.thread, block.constant(panelWidth));
  Value walked = arith::SelectOp::create(block.builder, block.loc, isWalker, block.constant(groups), block.constant(0));
  return block.loopWith(block.constant(0), walked, walkTogether, state, step)[0];
}

void ScanBuilder::finishGroup(Value start, ArrayRef<Value> streamValues, const Effects &effects) {
  OpBuilder &builder = block.builder;
  block.when(block.less(block.add(start, row), end), [&] {
    Value state = block.loadScalar(decays, {block.div(row, threadRows), unit});
    SmallVector<Value> h;
    for (int64_t m = 0; m < threadRows; ++m)
      h.push_back(vector::BroadcastOp::create(builder, block.loc, VectorType::get({1}, builder.getF32Type()),
                                              block.fma(effects.products[m], state, effects.sums[m])));
    TileEvaluator evaluator(builder, block.kernel, block.buffers, tileAt(start));
    defineStreams(evaluator, streamValues);
    evaluator.define(scan.getH(), h);
    evaluator.evaluate(after);
    block.storeResults(evaluator);
  });
}

void ScanBuilder::buildByGroups() {
  int64_t tileRows = block.schedule.getRowTile();
  SmallVector<Value> carriedIn = initial();
  llvm::append_range(carriedIn, readStreams(firstRow));
  SmallVector<Value> last = block.loopWith(firstRow, end, tileRows, carriedIn, [&](Value start, ValueRange carried) {
    SmallVector<Value> ahead = readStreams(block.add(start, block.constant(tileRows))), own(carried.drop_front(1));
    Effects effects = effectsOf(start, own);
    Value group = block.div(row, threadRows);
    block.storeScalar(effects.products.back(), decays, {group, unit});
    block.storeScalar(effects.sums.back(), inputs, {group, unit});
    block.barrier();
    SmallVector<Value> next{walkGroups(carried[0])};
    block.barrier();
    // A thread reads the state where it writes the next tile's product, so no barrier is needed in between.
    finishGroup(start, own, effects);
    llvm::append_range(next, ahead);
    return next;
  });
  block.when(block.less(block.thread, block.constant(panelWidth)), [&] { storeLast(last[0]); });
}

void ScanBuilder::build() {
  int64_t tileRows = block.schedule.getRowTile(), threads = block.schedule.getThreads();
  bool byRows = threads == tileRows * panelWidth / threadLanes;
  threadRows = byRows ? 1 : tileRows * panelWidth / threads;
  lanes = byRows ? threadLanes : 1;
  int64_t units = panelWidth / lanes;
  segment = cuda::blockId(block.builder, block.loc, cuda::Axis::X);
  panel = cuda::blockId(block.builder, block.loc, cuda::Axis::Y);
  column = block.add(block.mul(panel, panelWidth), block.rem(block.thread, panelWidth));
  Type f32 = block.builder.getF32Type();
  decays = block.shared({tileRows / threadRows, panelWidth}, f32);
  inputs = block.shared({tileRows / threadRows, panelWidth}, f32);
  auto table = [&](Value index) {
    Value row = block.loadScalar(block.buffers.segmentStart, index);
    return arith::IndexCastOp::create(block.builder, block.loc, block.builder.getIndexType(), row).getResult();
  };
  firstRow = table(segment);
  end = table(block.add(segment, block.constant(1)));
  row = block.mul(block.div(block.thread, units), threadRows);
  unit = block.rem(block.thread, units);
  findSlices();
  byRows ? buildByRows() : buildByGroups();
}

void sm1::buildScan(BlockKernel &block) { ScanBuilder(block).build(); }
