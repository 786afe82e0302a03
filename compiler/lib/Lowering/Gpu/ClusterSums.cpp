//===- ClusterSums.cpp - sums whose k is divided among the blocks of a cluster -----------------------------------===//
//
// Of few rows a tile of few columns leaves most of the chip idle and reads all k of its rows by itself. So blocks of a cluster, one
// behind another in the grid's z, take the steps of k in turn, each all of the tile; then every block gets from the others what
// they have of its part of the tile, in its own shared memory, where a barrier counts the bytes. Parts are added in the order of
// the blocks' numbers.

#include "ClusterSums.h"

#include "GpuOps.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

static constexpr int64_t barrierBytes = 8, fourBytes = 16, rowsBetween = 8;

ClusterSums::ClusterSums(BlockKernel &block, int64_t steps, int64_t projections, int64_t panels)
    : block(block), blocks(block.schedule.getDepthSplit()), allSteps(steps), projections(projections), panels(panels) {}

void ClusterSums::place() {
  if (!isThere())
    return;
  number = cuda::blockId(block.builder, block.loc, cuda::Axis::Z);
  firstStep = block.div(block.mul(number, allSteps), blocks);
  endStep = block.div(block.add(block.mul(number, allSteps), block.constant(allSteps)), blocks);
  barrier = cuda::addressOf(block.builder, block.loc, block.shared({barrierBytes}, block.builder.getI8Type()), block.constant(0),
                            cuda::sharedMemory);
}

void ClusterSums::makeBarrier() {
  if (!isThere())
    return;
  int64_t bytes = (blocks - 1) * ownFours() * block.schedule.getThreads() * fourBytes;
  cuda::initBulkBarrier(block.builder, block.loc, barrier, 1);
  cuda::expectBytes(block.builder, block.loc, barrier, arith::ConstantIntOp::create(block.builder, block.loc, bytes, 32));
}

Value ClusterSums::steps() { return isThere() ? block.sub(endStep, firstStep) : block.constant(allSteps); }

Value ClusterSums::stepOf(Value step) { return isThere() ? block.add(firstStep, step) : step; }

void ClusterSums::whenThere(int64_t step, llvm::function_ref<void()> body) {
  if (step < allSteps / blocks)
    return body();
  block.when(block.less(block.constant(step), steps()), body);
}

std::pair<Value, int64_t> ClusterSums::shareOf(Value firstRow, int64_t rows) {
  if (!isThere())
    return {firstRow, rows};
  return {block.add(firstRow, block.mul(number, rows / blocks)), rows / blocks};
}

Value ClusterSums::ownPanel() { return block.mul(block.rem(number, blocks / 2), ownPanels()); }

Value ClusterSums::ownRow() { return block.mul(block.div(number, blocks / 2), rowsBetween); }

void ClusterSums::arrive() { cuda::arriveAtCluster(block.builder, block.loc); }

SmallVector<ClusterSums::Four> ClusterSums::exchange(llvm::function_ref<Four(int64_t, int64_t, int64_t)> sumsOf) {
  OpBuilder &builder = block.builder;
  Location loc = block.loc;
  int64_t threads = block.schedule.getThreads(), own = ownFours();
  Value parts = block.shared({blocks, own, threads, 4}, builder.getF32Type());
  auto four = VectorType::get({4}, builder.getF32Type());
  auto partOf = [&](Value from, int64_t index) {
    return SmallVector<Value>{from, block.constant(index), block.thread, block.constant(0)};
  };
  cuda::waitForCluster(builder, loc);
  for (int64_t owner = 0; owner < blocks; ++owner) {
    auto forEachFour = [&](llvm::function_ref<void(int64_t, Four)> body) {
      for (int64_t projection = 0; projection < projections; ++projection)
        for (int64_t panel = 0; panel < ownPanels(); ++panel)
          body(projection * ownPanels() + panel, sumsOf(projection, panelOf(owner) + panel, halfOf(owner)));
    };
    auto keep = [&](int64_t index, Four sums) {
      block.store(vector::FromElementsOp::create(builder, loc, four, sums), parts, partOf(number, index));
    };
    Value isOwn = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, number, block.constant(owner));
    block.choose(
        isOwn, [&] { forEachFour(keep); },
        [&] {
          Value there = cuda::addressInBlock(builder, loc, barrier, block.constant(owner));
          forEachFour([&](int64_t index, Four sums) {
            Value place = block.add(block.mul(number, own * threads), block.constant(index * threads));
            Value bytes = block.mul(block.add(place, block.thread), fourBytes);
            Value to = cuda::addressOf(builder, loc, parts, bytes, cuda::sharedMemory);
            cuda::storeInBlock(builder, loc, cuda::addressInBlock(builder, loc, to, block.constant(owner)), sums, there);
          });
        });
  }
  cuda::waitForOtherBlocks(builder, loc, barrier);
  SmallVector<Four> totals;
  for (int64_t index = 0; index < own; ++index) {
    Value total;
    for (int64_t from = 0; from < blocks; ++from) {
      Value part = block.load(parts, partOf(block.constant(from), index), 4);
      total = total ? arith::AddFOp::create(builder, loc, total, part).getResult() : part;
    }
    Four &sums = totals.emplace_back();
    for (int64_t i = 0; i < 4; ++i)
      sums[size_t(i)] = vector::ExtractOp::create(builder, loc, total, ArrayRef<int64_t>{i});
  }
  return totals;
}
