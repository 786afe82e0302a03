//===- ScanChunksForm.cpp - a scan over time by many blocks, each with a chunk of it -----------------------------===//
//
// A block takes `row_tile` rows of `panel_split` panels of one segment: all of it at once, eight rows of four channels to a thread.
// Each thread scans its rows from zero (LinearScan.h). A thread a channel then puts the threads' products and sums together, in
// order, takes the state before the chunk, and leaves what other chunks wait for (StateChain.h). From there each element needs one
// multiply-add. Which operations are done, in which order, depends on where the segment begins and ends alone.
//
// Where shared memory has room, all inputs of a chunk are on their way at once (ChunkInputs.h), and one chain of states would take
// longer than memory does: there are two. Else few rows are on their way to registers, and one chain is faster.

#include "ChunkInputs.h"
#include "LinearScan.h"
#include "StateChain.h"

#include "../../Transforms/BlockForms.h"
#include "../../Transforms/KernelMerge.h"
#include "GpuOps.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

#include <optional>
#include <vector>

using namespace mlir;
using namespace sm1;

/// What an H200's memory moves while a multiprocessor's clock ticks, a little more than it can. Less memory only makes the wait
/// short.
static constexpr int64_t bytesPerClock = 3000;

namespace {
class ScanChunksBuilder {
public:
  ScanChunksBuilder(BlockKernel &block)
      : block(block), builder(block.builder), scan(*block.kernel.getBlock().getOps<ScanOp>().begin()), linear(block, scan),
        chunkRows(block.schedule.getRowTile()), width(block.schedule.getPanelSplit() * panelWidth),
        groups(block.schedule.getThreads() * threadLanes / width), threadRows(chunkRows / groups) {}
  void build();

private:
  /// Rows of a thread, one of the groups of a chunk.
  struct ThreadRows {
    Value group, first;
    Value end, lastGroup; ///< where the segment ends in the chunk: behind which row, in which group
  };

  void place();
  /// Lets blocks that start with the kernel begin one after the other, as fast as memory can serve them.
  void beginInTurn();
  /// The thread's rows, as far as the segment has them.
  ThreadRows rowsBefore(Value end);
  void buildChunk(ThreadRows own);
  /// Scans the thread's rows from zero; h of the last.
  LinearInState scanFromZero(ThreadRows own, std::vector<LinearScan::Row> &rows);
  /// The state before the thread's rows, given h of their last: the threads meet, those of a channel walk, and all meet again.
  Value exchange(ThreadRows own, LinearInState h);

  BlockKernel &block;
  OpBuilder &builder;
  ScanOp scan;
  LinearScan linear;
  int64_t chunkRows, width, groups, threadRows;
  ChunkOfChannel chunk; ///< with the channel of a thread that walks
  Value numberInChunk;  ///< of the block, among those of its part of time
  Value unit;           ///< the four channels of the thread
  ThreadRows allRows;
  Value products, sums, states; ///< [group][channel], [channel]
  std::unique_ptr<ChunkInputs> inputs;
  std::unique_ptr<StateChain> chain;
};
} // namespace

//===----------------------------------------------------------------------===//
// The block's place and turn
//===----------------------------------------------------------------------===//

void ScanChunksBuilder::place() {
  // The grid counts segments first. Its blocks count panels first: those that run at the same time have whole rows then.
  Type i32 = builder.getI32Type(), f32 = builder.getF32Type();
  auto index = [&](Value number) {
    return arith::IndexCastUIOp::create(builder, block.loc, builder.getIndexType(), number).getResult();
  };
  cuda::PlaceInGrid grid = cuda::placeInGrid(builder, block.loc);
  Value row = arith::MulIOp::create(builder, block.loc, cuda::blockId(builder, block.loc, cuda::Axis::Y), grid.blocks);
  numberInChunk = block.add(row, grid.number);
  Value number = arith::IndexCastUIOp::create(builder, block.loc, i32, numberInChunk);
  Value blocksOfRow = arith::ConstantIntOp::create(builder, block.loc, strideOf(widthOf(block.kernel)) / width, 32);
  Value segment = index(arith::DivUIOp::create(builder, block.loc, number, blocksOfRow));
  Value first = block.mul(index(arith::RemUIOp::create(builder, block.loc, number, blocksOfRow)), width);
  Value numberOfChunk = cuda::blockId(builder, block.loc, cuda::Axis::Z);
  auto [start, end] = rowsOfSegment(block, segment);
  chunk = {scan, segment, start, end, chunkRows, numberOfChunk, /*channel=*/block.add(first, block.thread)};
  int64_t units = width / threadLanes;
  unit = block.add(block.div(first, threadLanes), block.rem(block.thread, units));
  allRows.group = block.div(block.thread, units);
  allRows.first = block.add(block.add(start, block.mul(numberOfChunk, chunkRows)), block.mul(allRows.group, threadRows));
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
  for (BlockArgument stream : linear.streams())
    bytes += bytesOf(stream.getType());
  for (Type result : block.kernel.getResultTypes())
    bytes += bytesOf(result);
  auto times = [&](Value a, Value b) { return builder.createOrFold<arith::MulIOp>(block.loc, a, b); };
  cuda::GridSize grid = cuda::gridSize(builder, block.loc);
  Value ofChunk = times(grid.x, grid.y), all = times(ofChunk, grid.z),
        before = block.add(times(chunk.number, ofChunk), numberInChunk);
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

//===----------------------------------------------------------------------===//
// A chunk
//===----------------------------------------------------------------------===//

ScanChunksBuilder::ThreadRows ScanChunksBuilder::rowsBefore(Value end) {
  // A group behind the last one does what that does, so that it stores the same bits; the chain leaves it out.
  Value chunkStart = block.sub(allRows.first, block.mul(allRows.group, threadRows));
  Value lastGroup = block.div(block.sub(block.sub(end, block.constant(1)), chunkStart), threadRows);
  Value group = block.least(allRows.group, lastGroup);
  return {group, block.add(chunkStart, block.mul(group, threadRows)), end, lastGroup};
}

LinearInState ScanChunksBuilder::scanFromZero(ThreadRows own, std::vector<LinearScan::Row> &rows) {
  auto rowAt = [&](int64_t number) { return block.add(own.first, block.constant(number)); };
  auto readRow = [&] {
    auto number = int64_t(rows.size());
    Value at = rowAt(number);
    // A row past the end is the last one again, with the state that it left: it stores what is there.
    if (own.end)
      at = block.least(at, block.sub(own.end, block.constant(1)));
    rows.push_back({TileEvaluator(builder, block.kernel, block.buffers, {at, unit, 1, 1, threadLanes, {}}), {}});
    inputs->give(rows.back().evaluator, number);
  };
  rows.reserve(threadRows);
  int64_t ahead = std::min(inputs->rowsAhead(), threadRows);
  while (int64_t(rows.size()) < ahead)
    readRow();
  std::optional<LinearInState> h;
  for (int64_t number = 0; number < threadRows; ++number) {
    if (number + ahead < threadRows)
      readRow();
    LinearInState step = linear.step(rows[number]);
    if (own.end)
      step = stepWhere(block, block.less(rowAt(number), own.end), step);
    h = h ? compose(block, *h, step) : step;
    linear.follow(rows[number], *h);
  }
  return *h;
}

Value ScanChunksBuilder::exchange(ThreadRows own, LinearInState h) {
  Value lane = block.mul(block.rem(block.thread, width / threadLanes), threadLanes);
  // A group behind the last one has a place, too, where nobody looks.
  block.store(h.slope, products, {allRows.group, lane});
  block.store(h.constant, sums, {allRows.group, lane});
  Value walks = block.less(block.thread, block.constant(width));
  chain->ask(walks);
  block.barrier();
  block.when(walks, [&] {
    LinearInState all = walkGroups(block, products, sums, block.thread, own.lastGroup);
    block.storeScalar(chain->exchange(all.slope, all.constant), states, {block.thread});
  });
  block.barrier();
  return block.fma(block.load(products, {own.group, lane}, threadLanes), block.load(states, {lane}, threadLanes),
                   block.load(sums, {own.group, lane}, threadLanes));
}

void ScanChunksBuilder::buildChunk(ThreadRows own) {
  inputs->begin(own.first, unit, own.end);
  std::vector<LinearScan::Row> rows;
  LinearInState h = scanFromZero(own, rows);
  Value state = exchange(own, h);
  for (LinearScan::Row &row : rows)
    linear.finish(row, state);
}

void ScanChunksBuilder::build() {
  place();
  bool stays = staysInShared(block.schedule);
  inputs = stays ? makeSharedInputs(block, linear.streams(), width) : makeRegisterInputs(linear.streams());
  chain = stays ? makeTwoChains(block, chunk) : makeOneChain(block, chunk);
  block.waitForInputs();
  beginInTurn();
  Value first = block.add(chunk.start, block.mul(chunk.number, chunkRows)), behind = block.add(first, block.constant(chunkRows));
  // Code of its own for chunks without an end: no row asks whether it is there, and addresses differ by constants.
  Value isWhole = block.less(behind, block.add(chunk.end, block.constant(1)));
  block.choose(
      isWhole, [&] { buildChunk(allRows); },
      [&] { block.when(block.less(first, chunk.end), [&] { buildChunk(rowsBefore(chunk.end)); }); });
}

void sm1::buildScanChunks(BlockKernel &block) { ScanChunksBuilder(block).build(); }
