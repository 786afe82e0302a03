//===- NormHalves.cpp - halves of norms in tiles on tensor cores -------------------------------------------------===//
//
// Who makes a row stores the sums of squares of its panels, a number for each 16 channels, whatever its tiles are. Who multiplies
// the row asks for them when its first copies are on their way, adds them up when it has multiplied, and scales its sums. Where
// there are many rows a number is that of a tile, and a lane asks for those of a row of its warp before the tile's last products.

#include "NormHalves.h"

#include "../../Transforms/KernelMerge.h"
#include "GpuOps.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

RowFactors::RowFactors(BlockKernel &block, Value firstRow, int64_t rows) : block(block), firstRow(firstRow), rows(rows) {
  constexpr int64_t mostLanes = 4; // fewer than four vectors of a thread are not worth another exchange
  lanes = std::clamp<int64_t>(int64_t(llvm::bit_floor(uint64_t(std::max<int64_t>(block.schedule.getThreads() / rows, 1)))), 1,
                              mostLanes);
  block.buffers.rowBegin = firstRow;
  llvm::SmallDenseSet<Value> known; // by squares
  for (auto scale : block.kernel.getBlock().getOps<RmsScaleOp>())
    if (known.insert(scale.getSquares()).second) {
      auto &rounds = loaded.emplace_back(scale, SmallVector<Squares>()).second;
      for (int64_t round = 0; round < int64_t(llvm::divideCeil(rows * lanes, block.schedule.getThreads())); ++round)
        rounds.push_back(load(scale, round));
    }
}

/// Neighbouring threads have a row's vectors in turn. Rows that are not there are read as the last one, so that loads need no
/// branch.
RowFactors::Squares RowFactors::load(RmsScaleOp scale, int64_t round) {
  OpBuilder &builder = block.builder;
  Value array = block.buffers.inputs.lookup(scale.getSquares()), lane = block.rem(block.thread, lanes);
  auto ofTiles = scale->getAttrOfType<IntegerAttr>(tileSquaresAttr);
  int64_t panels = ofTiles ? ofTiles.getInt() : channels(scale.getSquares().getType()), whole = panels / threadLanes;
  Squares squares;
  squares.row = block.add(block.div(block.thread, lanes), block.constant(round * block.schedule.getThreads() / lanes));
  Value row = block.least(block.add(firstRow, squares.row), block.sub(block.count, block.constant(1)));
  for (int64_t first = 0; first < whole; first += lanes) {
    Value number = block.add(lane, block.constant(first)), inside = block.least(number, block.constant(whole - 1));
    Value vector = block.load(array, {row, block.mul(inside, threadLanes)}, threadLanes);
    if (first + lanes > whole)
      vector =
          arith::SelectOp::create(builder, block.loc, block.less(number, block.constant(whole)), vector, block.zeros(threadLanes));
    squares.vectors.push_back(vector);
  }
  for (int64_t panel = whole * threadLanes; panel < panels; ++panel)
    squares.others.push_back(block.loadScalar(array, {row, block.constant(panel)}));
  return squares;
}

/// 1 / sqrt(mean of squares + eps): four chains over a thread's vectors, then all threads of the row, then what is left one by one.
Value RowFactors::inverseRms(RmsScaleOp scale, const Squares &squares) {
  OpBuilder &builder = block.builder;
  Location loc = block.loc;
  Value sum;
  auto add = [&](Value value) { sum = sum ? arith::AddFOp::create(builder, loc, sum, value).getResult() : value; };
  for (Value vector : squares.vectors)
    add(vector);
  if (Value chains = std::exchange(sum, Value()))
    for (int64_t i = 0; i < threadLanes; ++i)
      add(vector::ExtractOp::create(builder, loc, chains, ArrayRef<int64_t>{i}));
  for (int32_t distance = 1; sum && distance < lanes; distance *= 2)
    add(cuda::shuffleXor(builder, loc, sum, distance));
  for (Value other : squares.others)
    add(other);
  return block.inverseRms(sum, scale.getWidth(), scale.getEpsAttr());
}

bool RowFactors::store() {
  llvm::SmallDenseMap<Value, Value> factors; // by squares
  for (auto &[scale, rounds] : loaded) {
    Value array = factors[scale.getSquares()] = block.shared({rows}, block.builder.getF32Type());
    for (const Squares &squares : rounds) {
      Value inverse = inverseRms(scale, squares), isFirst = block.less(block.rem(block.thread, lanes), block.constant(1));
      Value isThere = arith::AndIOp::create(block.builder, block.loc, isFirst, block.less(squares.row, block.constant(rows)));
      block.when(isThere, [&] { block.storeScalar(inverse, array, squares.row); });
    }
  }
  for (auto scale : block.kernel.getBlock().getOps<RmsScaleOp>())
    block.buffers.inputs[scale.getResult()] = factors.lookup(scale.getSquares());
  return !loaded.empty();
}

int64_t RowFactors::registers() const {
  int64_t count = 0;
  for (auto &[scale, rounds] : loaded)
    for (const Squares &squares : rounds)
      count += int64_t(squares.vectors.size()) * threadLanes + int64_t(squares.others.size());
  return count;
}

LaneSquares sm1::squaresOfLane(BlockKernel &block, ValueRange rows) {
  LaneSquares all;
  for (auto scale : block.kernel.getBlock().getOps<RmsScaleOp>()) {
    if (llvm::any_of(all, [&](auto &known) { return known.first.getSquares() == scale.getSquares(); }))
      continue;
    Value array = block.buffers.inputs.lookup(scale.getSquares());
    auto ofTiles = scale->getAttrOfType<IntegerAttr>(tileSquaresAttr);
    int64_t numbers = ofTiles ? ofTiles.getInt() : channels(scale.getSquares().getType());
    auto &sums = all.emplace_back(scale, SmallVector<Value>()).second;
    for (Value row : rows) {
      Value inside = block.least(row, block.sub(block.count, block.constant(1))), sum;
      for (int64_t first = 0; first < numbers; first += threadLanes) {
        Value four = block.load(array, {inside, block.constant(first)}, threadLanes);
        sum = sum ? arith::AddFOp::create(block.builder, block.loc, sum, four).getResult() : four;
      }
      sums.push_back(sum);
    }
  }
  return all;
}

SmallVector<Value> sm1::factorsOfLane(BlockKernel &block, RmsScaleOp scale, ValueRange squares) {
  return llvm::map_to_vector(
      squares, [&](Value sum) { return block.inverseRms(block.sumOfLanes(sum), scale.getWidth(), scale.getEpsAttr()); });
}

PanelSquaresOp sm1::storedSquares(KernelOp kernel) {
  auto found = kernel.getBlock().getOps<PanelSquaresOp>();
  return found.empty() ? PanelSquaresOp() : *found.begin();
}

int64_t sm1::partsOfRow(KernelOp kernel) {
  PanelSquaresOp stored = storedSquares(kernel);
  if (auto ofTiles = stored ? stored->getAttrOfType<IntegerAttr>(tileSquaresAttr) : IntegerAttr())
    return ofTiles.getInt();
  return stored ? int64_t(stored.getParts().value_or(0)) : 0;
}

SmallVector<Value> sm1::numbersWhen(BlockKernel &block, Value condition, int64_t count,
                                    llvm::function_ref<SmallVector<Value>()> body) {
  OpBuilder &builder = block.builder;
  Location loc = block.loc;
  if (count == 0)
    return block.when(condition, [&] { body(); }), SmallVector<Value>();
  auto choice = scf::IfOp::create(
      builder, loc, condition, [&](OpBuilder &, Location) { scf::YieldOp::create(builder, loc, body()); },
      [&](OpBuilder &, Location) { scf::YieldOp::create(builder, loc, SmallVector<Value>(count, block.number(0))); });
  return SmallVector<Value>(choice.getResults());
}

static void forEachArrayOfSquares(BlockKernel &block, llvm::function_ref<void(Value)> body) {
  for (auto [yielded, buffer] : llvm::zip(block.kernel.yielded(), block.buffers.results))
    if (yielded.getDefiningOp<PanelSquaresOp>())
      body(buffer);
}

void sm1::storeSquares(BlockKernel &block, Value sum, ArrayRef<int32_t> distances, Value isFirst, Value row, Value panel) {
  OpBuilder &builder = block.builder;
  for (int32_t distance : distances)
    sum = arith::AddFOp::create(builder, block.loc, sum, cuda::shuffleXor(builder, block.loc, sum, distance));
  Value panels = block.constant(strideOf(widthOf(block.kernel)) / panelWidth);
  Value isThere = arith::AndIOp::create(builder, block.loc, block.less(row, block.count), block.less(panel, panels));
  block.when(arith::AndIOp::create(builder, block.loc, isFirst, isThere), [&] {
    forEachArrayOfSquares(block, [&](Value buffer) { block.storeScalar(sum, buffer, {row, panel}); });
  });
}

void sm1::storeZeros(BlockKernel &block, Value condition, Value row, int64_t tiles) {
  block.when(arith::AndIOp::create(block.builder, block.loc, condition, block.less(row, block.count)), [&] {
    forEachArrayOfSquares(block, [&](Value buffer) {
      for (int64_t number = tiles; number < partsOfRow(block.kernel); ++number)
        block.storeScalar(block.number(0), buffer, {row, block.constant(number)});
    });
  });
}
