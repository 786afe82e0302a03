//===- ScanForm.cpp - a scan over time by a block of threads -----------------------------------------------------===//
//
// A block takes 16 channels of one segment and walks it in tiles of rows. All threads compute decay and input of a tile, each for
// one row and four channels; 16 threads walk the tile's rows, one channel each; all threads compute what follows from h, with
// everything that they had before the walk still in registers. Every h is the same chain of fused multiply-adds as on a CPU and in
// a step, so prefill, step and chunks agree in every bit.

#include "ScanSlices.h"

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
  void defineStreams(TileEvaluator &evaluator, ArrayRef<Value> streamValues);
  void walkTiles();

  BlockKernel &block;
  ScanOp scan;
  Value segment, panel, column, firstRow, end, row, unit, decays, inputs;
  ScanSlices slices;
  Value h0; ///< closed form: the state before the segment
};
} // namespace

/// Rows whose operands are read before the chain goes through them, so that the chain waits for arithmetic alone.
static constexpr int64_t walkTogether = 8;

SmallVector<Value> ScanBuilder::initial() {
  Value state = initialState(block, scan, segment, column); // every thread's, so that no branch is needed
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

Tile ScanBuilder::tileAt(Value start) {
  return {block.add(start, row), block.add(block.mul(panel, panelWidth / threadLanes), unit), 1, 1, threadLanes, end};
}

SmallVector<Value> ScanBuilder::readStreams(Value start) {
  TileEvaluator evaluator(block.builder, block.kernel, block.buffers, tileAt(start));
  SmallVector<Value> values;
  for (BlockArgument stream : slices.streams)
    values.push_back(evaluator.at(stream, 0, 0));
  return values;
}

void ScanBuilder::defineStreams(TileEvaluator &evaluator, ArrayRef<Value> streamValues) {
  for (auto [stream, value] : llvm::zip(slices.streams, streamValues))
    evaluator.define(stream, {value});
}

void ScanBuilder::walkTiles() {
  int64_t tileRows = block.schedule.getRowTile();
  Location loc = block.loc;
  Value isWalker = block.less(block.thread, block.constant(panelWidth)), lanes = block.mul(unit, threadLanes);
  SmallVector<Value> carriedIn = initial();
  size_t stateSize = carriedIn.size();
  Value begin = firstRow;
  llvm::append_range(carriedIn, readStreams(begin));
  SmallVector<Value> last = block.loopWith(begin, end, tileRows, carriedIn, [&](Value start, ValueRange carried) {
    SmallVector<Value> ahead = readStreams(block.add(start, block.constant(tileRows)));
    TileEvaluator evaluator(block.builder, block.kernel, block.buffers, tileAt(start));
    defineStreams(evaluator, llvm::to_vector(carried.drop_front(stateSize)));
    evaluator.evaluate(slices.before);
    block.store(evaluator.at(scan.getDecay(), 0, 0), decays, {row, lanes});
    block.store(evaluator.at(scan.getInput(), 0, 0), inputs, {row, lanes});
    block.barrier();
    Value rows = block.least(block.sub(end, start), block.constant(tileRows));
    // The other threads walk no rows.
    Value walked = arith::SelectOp::create(block.builder, loc, isWalker, rows, block.constant(0));
    SmallVector<Value> next = walk(walked, carried.take_front(stateSize));
    block.barrier();
    evaluator.define(scan.getH(), {block.load(inputs, {row, lanes}, threadLanes)});
    evaluator.evaluate(slices.after);
    block.storeResults(evaluator);
    // A thread reads h where it writes the next tile's input, so no barrier is needed in between.
    llvm::append_range(next, ahead);
    return next;
  });
  block.when(isWalker, [&] {
    Value h = last[0];
    if (scan.getForm() == ScanForm::ClosedForm)
      h = arith::MulFOp::create(block.builder, loc, last[0], arith::AddFOp::create(block.builder, loc, h0, last[1]));
    storeLastState(block, scan, h, segment, column);
  });
}

void ScanBuilder::build() {
  constexpr int64_t units = panelWidth / threadLanes;
  int64_t tileRows = block.schedule.getRowTile();
  segment = cuda::blockId(block.builder, block.loc, cuda::Axis::X);
  panel = cuda::blockId(block.builder, block.loc, cuda::Axis::Y);
  column = block.add(block.mul(panel, panelWidth), block.rem(block.thread, panelWidth));
  Type f32 = block.builder.getF32Type();
  decays = block.shared({tileRows, panelWidth}, f32);
  inputs = block.shared({tileRows, panelWidth}, f32);
  std::tie(firstRow, end) = rowsOfSegment(block, segment);
  row = block.div(block.thread, units);
  unit = block.rem(block.thread, units);
  slices = slicesAround(block, scan, scan.getDecay(), scan.getInput());
  block.waitForInputs();
  walkTiles();
}

void sm1::buildScan(BlockKernel &block) { ScanBuilder(block).build(); }
