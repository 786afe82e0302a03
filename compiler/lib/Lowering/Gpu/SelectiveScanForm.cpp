//===- SelectiveScanForm.cpp - a scan of several states per channel by a block of threads ------------------------===//
//
// A block takes 16 channels of one segment and walks it in tiles of rows. All threads compute dt and input of a tile, each for one
// row and a few channels; then each has one state of one channel, decays it and writes to it row by row; then all threads read the
// tile's states out, each for its row and channels again, and compute what follows. The states of a tile are in shared memory and
// nowhere else. Every h is the chain of a step, so prefill, step and chunks agree in every bit.
//
// Where there are fewer states than would give every thread one, as with one state, the others decay for those who walk:
// exponentials do not wait for each other, only the chain does.

#include "ScanSlices.h"

#include "../../Transforms/KernelMerge.h"
#include "GpuOps.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace sm1;

namespace {
class SelectiveScanBuilder {
public:
  SelectiveScanBuilder(BlockKernel &block)
      : block(block), scan(*block.kernel.getBlock().getOps<SelectiveScanOp>().begin()), states(scan.stateSize()) {}
  void build();

private:
  /// One of the states that a thread walks; threads have several where there are more than threads / 16.
  struct Walk {
    Value isMine, state, rate;
  };

  void place();
  void takeShared();
  Walk walkOf(int64_t number);
  Tile tileAt(Value start);
  /// What this thread reads in the tile of rows from `start` on: its part of every stream, then its share of B and C.
  SmallVector<Value> readTile(Value start);
  /// Puts dt, input, B and C of a tile where all threads find them.
  void shareTile(TileEvaluator &evaluator, ArrayRef<Value> weights);
  /// Puts the decays of a tile's rows where the states will be, each thread those of its state in every helpers-th row.
  void shareDecays(Value rows);
  /// Walks `rows` rows from `state` on; the state behind them.
  Value walk(const Walk &walk, Value rows, Value state);
  /// y of this thread's row and channels.
  Value readOut();
  SmallVector<Value> buildTile(Value start, ValueRange carried);

  BlockKernel &block;
  SelectiveScanOp scan;
  int64_t states, lanes = 1, tileRows = 1;
  /// Threads to a state of a channel; 1 also where they do not come out even.
  int64_t helpers = 1;
  SmallVector<Walk> walks;
  ScanSlices slices;
  Value segment, panel, firstRow, end, row, unit, channel;
  /// In shared memory: [row, channel], [row, channel], [row, state], [row, state], [row, state, channel].
  Value steps, inputs, writes, reads, tileStates;
};
} // namespace

/// Rows whose operands are read, and whose exponentials are computed, before the chain goes through them.
static constexpr int64_t walkTogether = 8;

void SelectiveScanBuilder::place() {
  OpBuilder &builder = block.builder;
  tileRows = block.schedule.getRowTile();
  lanes = tileRows * panelWidth / block.schedule.getThreads();
  segment = cuda::blockId(builder, block.loc, cuda::Axis::X);
  panel = cuda::blockId(builder, block.loc, cuda::Axis::Y);
  std::tie(firstRow, end) = rowsOfSegment(block, segment);
  row = block.div(block.thread, panelWidth / lanes);
  unit = block.rem(block.thread, panelWidth / lanes);
  channel = block.rem(block.thread, panelWidth);
  int64_t groups = block.schedule.getThreads() / panelWidth;
  if (groups > states && groups % states == 0)
    helpers = groups / states;
}

void SelectiveScanBuilder::takeShared() {
  Type f32 = block.builder.getF32Type();
  steps = block.shared({tileRows, panelWidth}, f32);
  inputs = block.shared({tileRows, panelWidth}, f32);
  writes = block.shared({tileRows, states}, f32);
  reads = block.shared({tileRows, states}, f32);
  // Half a bank's width more to a row, so that threads of neighbouring rows do not wait for each other.
  tileStates = block.shared({tileRows, states + 1, panelWidth}, f32);
}

SelectiveScanBuilder::Walk SelectiveScanBuilder::walkOf(int64_t number) {
  Value index = block.add(block.thread, block.constant(number * block.schedule.getThreads()));
  Value isMine = block.less(index, block.constant(states * panelWidth));
  // The other threads have a state to read or to help with, so that no branch is needed, and walk no rows.
  Value group = block.div(index, panelWidth);
  Value state = helpers > 1 ? block.rem(group, states) : block.least(group, block.constant(states - 1));
  Value column = block.add(block.mul(panel, panelWidth), channel);
  TileEvaluator evaluator(block.builder, block.kernel, block.buffers, {firstRow, column, 1, 1, /*lanes=*/1});
  Value rate = vector::ExtractOp::create(block.builder, block.loc, evaluator.atState(scan.getA(), state, 0), ArrayRef<int64_t>{0});
  return {isMine, state, rate};
}

Tile SelectiveScanBuilder::tileAt(Value start) {
  return {block.add(start, row), block.add(block.mul(panel, panelWidth / lanes), unit), 1, 1, lanes, end};
}

/// The pieces of work of a tile's B, or C, that one thread takes.
static int64_t sharesOf(int64_t tileRows, int64_t states, int64_t threads) { return llvm::divideCeil(tileRows * states, threads); }

SmallVector<Value> SelectiveScanBuilder::readTile(Value start) {
  TileEvaluator evaluator(block.builder, block.kernel, block.buffers, tileAt(start));
  SmallVector<Value> values;
  for (BlockArgument stream : slices.streams)
    values.push_back(evaluator.at(stream, 0, 0));
  Value last = block.sub(end, block.constant(1));
  int64_t threads = block.schedule.getThreads();
  for (int64_t share = 0; share < sharesOf(tileRows, states, threads); ++share) {
    Value index = block.add(block.thread, block.constant(share * threads));
    Value place = block.least(block.add(start, block.div(index, states)), last);
    for (Value weights : {scan.getB(), scan.getC()})
      values.push_back(block.widen(block.loadScalar(block.buffers.inputs.lookup(weights), {place, block.rem(index, states)})));
  }
  return values;
}

void SelectiveScanBuilder::shareTile(TileEvaluator &evaluator, ArrayRef<Value> weights) {
  Value column = block.mul(unit, lanes);
  block.store(evaluator.at(scan.getDt(), 0, 0), steps, {row, column});
  block.store(evaluator.at(scan.getInput(), 0, 0), inputs, {row, column});
  int64_t threads = block.schedule.getThreads(), shares = sharesOf(tileRows, states, threads);
  for (int64_t share = 0; share < shares; ++share) {
    Value index = block.add(block.thread, block.constant(share * threads));
    auto put = [&] {
      SmallVector<Value> place{block.div(index, states), block.rem(index, states)};
      block.storeScalar(weights[2 * share], writes, place);
      block.storeScalar(weights[2 * share + 1], reads, place);
    };
    if (tileRows * states % threads)
      block.when(block.less(index, block.constant(tileRows * states)), put);
    else
      put();
  }
}

void SelectiveScanBuilder::shareDecays(Value rows) {
  Value state = walks.front().state, rate = walks.front().rate;
  block.loop(block.div(block.thread, panelWidth * states), rows, helpers, [&](Value own) {
    Value exponent = arith::MulFOp::create(block.builder, block.loc, block.loadScalar(steps, {own, channel}), rate);
    block.storeScalar(math::ExpOp::create(block.builder, block.loc, exponent), tileStates, {own, state, channel});
  });
}

Value SelectiveScanBuilder::walk(const Walk &walk, Value rows, Value state) {
  OpBuilder &builder = block.builder;
  auto decayOf = [&](Value place) -> Value {
    if (helpers > 1)
      return block.loadScalar(tileStates, {place, walk.state, channel});
    Value exponent = arith::MulFOp::create(builder, block.loc, block.loadScalar(steps, {place, channel}), walk.rate);
    return math::ExpOp::create(builder, block.loc, exponent);
  };
  auto step = [&](int64_t together) {
    return [&, together](Value first, ValueRange carried) {
      SmallVector<Value> decays, written, h{carried[0]};
      for (int64_t i = 0; i < together; ++i) {
        Value place = block.add(first, block.constant(i));
        decays.push_back(decayOf(place));
        written.push_back(arith::MulFOp::create(builder, block.loc, block.loadScalar(inputs, {place, channel}),
                                                block.loadScalar(writes, {place, walk.state})));
      }
      for (int64_t i = 0; i < together; ++i)
        h.push_back(block.fma(decays[i], h.back(), written[i]));
      for (int64_t i = 0; i < together; ++i)
        block.storeScalar(h[i + 1], tileStates, {block.add(first, block.constant(i)), walk.state, channel});
      return SmallVector<Value>{h.back()};
    };
  };
  Value walked = arith::SelectOp::create(builder, block.loc, walk.isMine, rows, block.constant(0));
  Value whole = block.sub(walked, block.rem(walked, walkTogether));
  Value left = block.loopWith(block.constant(0), whole, walkTogether, state, step(walkTogether))[0];
  return block.loopWith(whole, walked, 1, left, step(1))[0];
}

Value SelectiveScanBuilder::readOut() {
  OpBuilder &builder = block.builder;
  Value column = block.mul(unit, lanes);
  auto addState = [&](Value state, ValueRange sum) {
    Value h = block.load(tileStates, {row, state, column}, lanes);
    Value weight = vector::BroadcastOp::create(builder, block.loc, h.getType(), block.loadScalar(reads, {row, state}));
    return SmallVector<Value>{block.fma(weight, h, sum[0])};
  };
  return block.loopWith(block.constant(0), block.constant(states), 1, block.zeros(lanes), addState)[0];
}

/// Carries a state for each walk and what the next tile reads.
SmallVector<Value> SelectiveScanBuilder::buildTile(Value start, ValueRange carried) {
  SmallVector<Value> ahead = readTile(block.add(start, block.constant(tileRows))), own(carried.drop_front(walks.size()));
  TileEvaluator evaluator(block.builder, block.kernel, block.buffers, tileAt(start));
  for (auto [stream, value] : llvm::zip(slices.streams, own))
    evaluator.define(stream, {value});
  evaluator.evaluate(slices.before);
  shareTile(evaluator, ArrayRef(own).drop_front(slices.streams.size()));
  block.barrier();
  Value rows = block.least(block.sub(end, start), block.constant(tileRows));
  if (helpers > 1) {
    shareDecays(rows);
    block.barrier();
  }
  SmallVector<Value> next;
  for (auto [one, state] : llvm::zip(walks, carried))
    next.push_back(walk(one, rows, state));
  block.barrier();
  evaluator.define(scan.getY(), {readOut()});
  evaluator.evaluate(slices.after);
  block.storeResults(evaluator);
  block.barrier(); // C of this tile has been read
  llvm::append_range(next, ahead);
  return next;
}

void SelectiveScanBuilder::build() {
  place();
  slices = slicesAround(block, scan, scan.getDt(), scan.getInput(), {scan.getB(), scan.getC()});
  takeShared();
  block.waitForInputs();
  Value column = block.add(block.mul(panel, panelWidth), channel);
  SmallVector<Value> carried;
  for (int64_t number = 0; number * block.schedule.getThreads() < states * panelWidth; ++number) {
    walks.push_back(walkOf(number));
    carried.push_back(scan.getInit()
                          ? block.loadScalar(block.buffers.inputs.lookup(scan.getInit()), {segment, walks.back().state, column})
                          : block.number(0));
  }
  llvm::append_range(carried, readTile(firstRow));
  SmallVector<Value> last =
      block.loopWith(firstRow, end, tileRows, carried, [&](Value start, ValueRange now) { return buildTile(start, now); });
  for (auto [index, yielded] : llvm::enumerate(block.kernel.yielded()))
    if (yielded == scan.getLast())
      for (auto [one, state] : llvm::zip(walks, last))
        block.when(one.isMine, [&, index = index, &one = one, &state = state] {
          block.storeScalar(state, block.buffers.results[index], {segment, one.state, column});
        });
}

void sm1::buildSelectiveScan(BlockKernel &block) { SelectiveScanBuilder(block).build(); }
