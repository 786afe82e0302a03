//===- RowBandsForm.cpp - rows with a norm, several neighbours to a block ----------------------------------------===//
//
// A thread has four channels of row_split neighbouring rows. What belongs to channels, six numbers for each where there is a
// convolution and a norm, is read once for all of them and not again for each row, and a convolution finds the rows that it looks
// back on in registers. Sums of squares cross lanes by exchange and warps through shared memory; their order is not that of a CPU.

#include "BlockKernel.h"

#include "../../Transforms/BlockForms.h"
#include "../../Transforms/KernelMerge.h"
#include "GpuOps.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

namespace {
class RowBandsBuilder {
public:
  explicit RowBandsBuilder(BlockKernel &block)
      : block(block), builder(block.builder), loc(block.loc), rows(block.schedule.getRowSplit()),
        warps(block.schedule.getThreads() / lanesOfWarp) {}
  void build();

private:
  /// How a band lies in its segment: all of it with the rows that a convolution looks back on, or at the segment's beginning.
  struct Place {
    Value isInside, isAtStart;
  };
  Place placeOf(Value first);
  /// `begin`: where given, rows before it are another block's, and not stored.
  void buildBand(Value first, int64_t count, bool oneSegment, bool beginsSegment = false, Value begin = {});
  void storeFrom(Value begin, Value first, TileEvaluator &evaluator);
  /// 1 / sqrt(mean of squares + eps) of each row, whose threads have `x`.
  SmallVector<Value> inverseRms(RmsNormOp norm, ArrayRef<Value> x);
  Value both(Value a, Value b) { return arith::AndIOp::create(builder, loc, a, b); }

  BlockKernel &block;
  OpBuilder &builder;
  Location loc;
  int64_t rows, warps;
  Value sums, inverses; ///< in shared memory: [warp][row], [row]
};
} // namespace

RowBandsBuilder::Place RowBandsBuilder::placeOf(Value first) {
  Value behind = block.add(first, block.constant(rows));
  auto convs = block.kernel.getBlock().getOps<Conv1dOp>();
  if (convs.empty())
    return {block.less(behind, block.add(block.count, block.constant(1))), Value()};
  int64_t taken = cast<RankedTensorType>((*convs.begin()).getWeight().getType()).getDimSize(2);
  auto indexAt = [&](Value table, Value at) -> Value {
    return arith::IndexCastOp::create(builder, loc, builder.getIndexType(), block.loadScalar(table, at));
  };
  Value segment = indexAt(block.buffers.rowSegment, first);
  Value start = indexAt(block.buffers.segmentStart, segment);
  Value end = indexAt(block.buffers.segmentStart, block.add(segment, block.constant(1)));
  Value hasAll = block.less(behind, block.add(end, block.constant(1)));
  Value begins = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, start, first);
  return {both(block.less(block.add(start, block.constant(taken - 2)), first), hasAll), both(begins, hasAll)};
}

SmallVector<Value> RowBandsBuilder::inverseRms(RmsNormOp norm, ArrayRef<Value> x) {
  int64_t count = int64_t(x.size());
  Value warp = block.div(block.thread, lanesOfWarp), lane = block.rem(block.thread, lanesOfWarp);
  SmallVector<Value> squares;
  for (Value row : x)
    squares.push_back(block.sumOfLanes(block.fma(row, row, block.zeros(threadLanes))));
  Value sumOfRow = block.sumsOfWarp(squares, lane);
  int64_t lanesOfRow = lanesOfWarp / count;
  block.when(block.less(block.rem(lane, lanesOfRow), block.constant(1)), [&] {
    block.storeScalar(sumOfRow, sums, {warp, block.div(lane, lanesOfRow)});
  });
  block.barrier();
  block.when(block.less(block.thread, block.constant(count)), [&] {
    Value sum = block.number(0);
    for (int64_t other = 0; other < warps; ++other)
      sum = arith::AddFOp::create(builder, loc, sum, block.loadScalar(sums, {block.constant(other), block.thread}));
    block.storeScalar(block.inverseRms(sum, channels(norm.getType()), norm.getEpsAttr()), inverses, block.thread);
  });
  block.barrier();
  SmallVector<Value> result;
  for (int64_t row = 0; row < count; ++row)
    result.push_back(block.loadScalar(inverses, block.constant(row)));
  return result;
}

void RowBandsBuilder::storeFrom(Value begin, Value first, TileEvaluator &evaluator) {
  for (auto [yielded, buffer] : llvm::zip(block.kernel.yielded(), block.buffers.results)) {
    if (!isStream(yielded.getType()) || !evaluator.isDefined(yielded))
      continue;
    auto type = cast<MemRefType>(buffer.getType());
    int64_t bytes = type.getElementTypeBitWidth() / 8, rowBytes = type.getDimSize(1) * bytes;
    Value offset = block.add(block.mul(first, rowBytes), block.mul(block.thread, threadLanes * bytes));
    Value address = cuda::addressOf(builder, loc, buffer, offset, cuda::globalMemory);
    for (int64_t row = 0; row < rows; ++row) {
      Value isOwn = block.less(begin, block.add(first, block.constant(row + 1)));
      cuda::storeWhere(builder, loc, isOwn, evaluator.at(yielded, row, 0), address, row * rowBytes);
    }
  }
}

void RowBandsBuilder::buildBand(Value first, int64_t count, bool oneSegment, bool beginsSegment, Value begin) {
  Tile tile{first, block.thread, count, 1, threadLanes};
  tile.oneSegment = oneSegment;
  tile.beginsSegment = beginsSegment;
  TileEvaluator evaluator(builder, block.kernel, block.buffers, tile);
  auto [norm, before, after] = block.aroundNorm();
  evaluator.evaluate(before);
  SmallVector<Value> x, normed;
  for (int64_t row = 0; row < count; ++row)
    x.push_back(evaluator.at(norm.getX(), row, 0));
  for (auto [row, inverse] : llvm::enumerate(inverseRms(norm, x))) {
    Value scale = vector::BroadcastOp::create(builder, loc, x[row].getType(), inverse);
    Value scaled = arith::MulFOp::create(builder, loc, x[row], scale);
    normed.push_back(arith::MulFOp::create(builder, loc, scaled, evaluator.at(norm.getWeight(), 0, 0)));
  }
  evaluator.define(norm, normed);
  evaluator.evaluate(after);
  if (begin)
    storeFrom(begin, first, evaluator);
  else
    block.storeResults(evaluator);
}

void RowBandsBuilder::build() {
  // Those of a row do not lie together: LLVM would read three as four, the last of which nobody has written.
  sums = block.shared({warps, rows}, builder.getF32Type());
  inverses = block.shared({rows}, builder.getF32Type());
  Value begin = block.mul(cuda::blockId(builder, loc, cuda::Axis::X), rows);
  // The last rows of a run, if they are fewer, come with some of the block before: one after the other they would take longer.
  Value lastWhole = block.sub(block.count, block.constant(rows));
  Value first = block.least(begin, arith::MaxSIOp::create(builder, loc, lastWhole, block.constant(0)));
  block.waitForInputs();
  Place place = placeOf(first);
  auto rowByRow = [&] { // where a segment begins or ends in the middle
    Value behind = block.least(block.add(begin, block.constant(rows)), block.count);
    block.loop(begin, behind, 1, [&](Value row) { buildBand(row, 1, /*oneSegment=*/false); });
  };
  block.choose(
      place.isInside, [&] { buildBand(first, rows, /*oneSegment=*/true, /*beginsSegment=*/false, begin); },
      [&] {
        if (!place.isAtStart)
          return rowByRow();
        // The first rows of a prompt, one after the other, would take longer than all the others together.
        auto firstRows = [&] {
          buildBand(first, rows, /*oneSegment=*/true, /*beginsSegment=*/true);
          cuda::endApart(builder, loc);
        };
        block.choose(place.isAtStart, firstRows, rowByRow);
      });
}

void sm1::buildRowBands(BlockKernel &block) { RowBandsBuilder(block).build(); }
