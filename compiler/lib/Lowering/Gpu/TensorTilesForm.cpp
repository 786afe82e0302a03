//===- TensorTilesForm.cpp - projections of many rows on tensor cores --------------------------------------------===//
//
// Weights are the 16-row operand of mma.m16n8k16, or of m16n8k32 where they are e4m3, packed as its fragments; rows are the
// 8-column one. To copies and to ldmatrix both are the same: a register has 4 bytes of k, two numbers or four. A warp takes
// row_tile rows by some panels of every projection, and keeps its sums and two sets of operands in registers: while one set is
// multiplied, the next is on its way from shared memory, where asynchronous copies bring it from memory `stages` steps of k ahead.
// A step is 64 bytes of k, or 64 for each of `depth_split` groups of warps. A sum is one chain over k for each of these groups,
// added in order: the same for every shape of tile.
//
// A lane of the instruction has channels 8 apart. It reads the fragments of other lanes instead, so that what it holds in its
// registers are neighbouring channels (`group` of them) of a row: what follows the sums is computed on them where they are. Where
// results have 16 bits, lanes exchange halves of panels before, so that neighbours fill whole sectors of memory at once.

#include "TensorTiles.h"

#include "../../Transforms/BlockForms.h"
#include "../../Transforms/KernelMerge.h"
#include "GpuOps.h"
#include "NormHalves.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

/// What a warp multiplies in a step is a slice: 64 bytes of k, of one row four chunks of 16 bytes, of one panel two tiles of 32
/// bytes with a chunk for each lane.
static constexpr int64_t chunkBytes = 16, chunksPerRow = 4, sliceBytes = chunksPerRow * chunkBytes, sliceTiles = 2;
/// Blocks of so many rows are for runs that may not fill one. They copy nothing for a row that is not there; larger ones copy the
/// last row again, which takes no register.
static constexpr int64_t mostRowsOfFew = 64;
/// Sums, two sets of operands and squares of rows that a thread has room for beside addresses.
static constexpr int64_t mostRegisters = 184;
static constexpr int64_t rowsOfTile = 8, tileBytes = lanesOfWarp * chunkBytes;

namespace {
class TensorTilesBuilder {
public:
  TensorTilesBuilder(BlockKernel &block)
      : block(block), linears(block.projections().front()), threads(block.schedule.getThreads()),
        warpRows(block.schedule.getRowTile()), rows(block.schedule.getRowSplit()), panels(block.schedule.getPanelSplit()),
        stages(block.schedule.getStages()), slices(block.schedule.getDepthSplit()),
        warpPanels(panels * rows / warpRows / (threads / lanesOfWarp / slices)), group(warpPanels % 4 == 0   ? 4
                                                                                       : warpPanels % 2 == 0 ? 2
                                                                                                             : 1),
        tiles(warpRows / rowsOfTile), depth(channels(linears.front().getX().getType())),
        fp8(isFp8(linears.front().getX().getType())), numberBytes(fp8 ? 1 : 2), sliceDepth(sliceBytes / numberBytes),
        steps(llvm::divideCeil(depth, slices * sliceDepth)), rowSliceBytes(rows * sliceBytes),
        weightSliceBytes(int64_t(linears.size()) * panels * sliceTiles * tileBytes) {}
  void build();

private:
  using Fragment = std::array<Value, 4>;
  /// What a warp multiplies in one tile of k: the panels of all projections, pairs of tiles of rows.
  struct Operands {
    SmallVector<Fragment> weights, rows;
  };

  void place();
  /// A copy of 16 bytes by each of `threads` threads: what is the same for every step. `from` and `to` are in bytes, `column` is
  /// the first k; where `isThere` is given and false, zeros are copied.
  struct Copy {
    Value array, from, to, column;
    int64_t threads;
    Value isThere = {};
  };
  Value weightSlot(Value panel, Value lane);
  void planRowCopies();
  void planWeightCopies(size_t linear);
  /// `copy` in step `step`; what it copies past the end becomes zero.
  void startCopy(const Copy &copy, Value step, Value stage);
  /// Starts the copies of step `step` of k into stage `stage`, and makes them one group.
  void startStage(Value step, Value stage);
  /// Starts those of the first steps: of all weights, which wait for no kernel, then a group for each step.
  void startFirstStages();
  Operands readOperands(Value stage, int64_t k);
  void multiply(const Operands &operands, SmallVector<Value> &sums);
  /// One step of k. Its first operands are there; `ahead` says that there is a next step, whose first are read and returned.
  Operands multiplyStage(Operands operands, Value stage, SmallVector<Value> &sums, bool ahead,
                         llvm::function_ref<void()> startCopies);
  SmallVector<Value> sum();
  /// Adds the parts of the groups of warps that share k, through shared memory, and finishes.
  void finishParts(ArrayRef<Value> sums);
  /// Steps `begin` to `end`, before the last; `copies` says that they start the copies of later ones.
  void sumSteps(int64_t begin, int64_t end, bool copies, Operands &operands, Value &stage, SmallVector<Value> &sums);
  /// What follows, for the warp's tile of rows number `tile`, whose sums are [projection][panel][4].
  void finish(ArrayRef<Value> sums, Value tile);
  /// Of rows `first` to `first` + `count` of the two that a thread has. What it has of the squares that are stored: [group][row].
  SmallVector<Value> finishRows(ArrayRef<Value> sums, int64_t first, int64_t count, Value row, Value rowEnd);
  /// Whether a lane finishes 2 `group` neighbouring channels of a panel, and not twice `group`: of 16 bits the latter are half of
  /// what memory is written by.
  bool storesWide() const;
  /// Makes of halves of a panel's channels, in lanes half a warp apart, neighbouring ones. Whole warps have to come here.
  void exchangeHalves(SmallVector<Value> &sums, int64_t firstOfGroup, int64_t first, int64_t count);
  void storeSquares(ArrayRef<Value> squares, int64_t count, Value row);
  /// The panel of the thread among those of a group.
  Value panelOfGroup(int64_t firstOfGroup) {
    return block.add(block.add(firstPanel, warpPanel),
                     block.add(block.constant(firstOfGroup), block.rem(block.div(lane, 4), group)));
  }
  SmallVector<Value> sumsOfTile(ArrayRef<Value> sums, int64_t tile) const;
  Value nextStage(Value stage);
  /// Numbers of a thread while it multiplies: sums, and operands of this step and the next.
  int64_t registersOfProducts() const {
    int64_t weights = int64_t(linears.size()) * warpPanels;
    return weights * tiles * 4 + 2 * 4 * (weights + tiles / 2);
  }
  /// Sums of a thread: [projection][panel of the warp][tile of rows][channel + 8 i, row + j].
  int64_t sumIndex(size_t linear, int64_t panel, int64_t tile) const { return ((linear * warpPanels + panel) * tiles + tile) * 4; }

  BlockKernel &block;
  SmallVector<LinearOp> linears;
  int64_t threads, warpRows, rows, panels, stages, slices, warpPanels, group, tiles, depth;
  bool fp8;
  int64_t numberBytes, sliceDepth, steps, rowSliceBytes, weightSliceBytes;
  SmallVector<Copy> copies;
  Value x, firstRow, firstPanel, warpRow, warpPanel, warp, slice, lane;
  Value rowStages, weightStages; ///< in bytes
  /// Where this lane reads in a stage: fragments with an even and an odd number in their group, chunks of each tile of k.
  std::array<Value, 2> weightLane;
  std::array<Value, sliceTiles> rowLane;
};
} // namespace

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

/// Chunk c of row r lies at c ^ (r/2 % 4), so that eight rows of a column of chunks are in eight different groups of banks.
static Value swizzled(BlockKernel &block, Value row, Value chunk) {
  Value turn = block.rem(block.div(row, 2), chunksPerRow);
  return arith::XOrIOp::create(block.builder, block.loc, chunk, turn);
}

/// Where the chunk of lane `lane` of a panel's fragment lies: lanes that read at the same time read two neighbouring panels, which
/// lie in different banks. Where they read one it may be odd as well as even.
Value TensorTilesBuilder::weightSlot(Value panel, Value lane) {
  return group == 1 ? lane : arith::XOrIOp::create(block.builder, block.loc, lane, block.mul(block.rem(panel, 2), 4)).getResult();
}

void TensorTilesBuilder::place() {
  x = block.buffers.inputs.lookup(linears.front().getX());
  TilePlace tile = placeTile(block, rows, panels);
  firstRow = tile.firstRow, firstPanel = tile.firstPanel;
  int64_t sliceWarps = threads / lanesOfWarp / slices, warpColumns = panels / warpPanels;
  Value number = block.div(block.thread, lanesOfWarp);
  lane = block.rem(block.thread, lanesOfWarp);
  slice = block.div(number, sliceWarps);
  warp = block.rem(number, sliceWarps);
  warpPanel = block.mul(block.rem(warp, warpColumns), warpPanels);
  warpRow = block.mul(block.div(warp, warpColumns), warpRows);
  Type byte = block.builder.getI8Type();
  rowStages = block.shared({stages * slices * rowSliceBytes}, byte);
  weightStages = block.shared({stages * slices * weightSliceBytes}, byte);

  // The instruction's lane has channels lane/4 and that plus 8. This one reads those of `group` such lanes of one panel; where they
  // are two and halves are exchanged, the lane half a warp away has the neighbouring two.
  Value owner = block.div(lane, 4), panel = block.add(warpPanel, block.rem(owner, group)), first = block.div(owner, group);
  if (group == 2 && storesWide())
    first = block.add(block.mul(block.rem(first, 2), 2), block.div(first, 2));
  Value slot = block.add(block.mul(first, 4 * group), block.rem(lane, 4));
  for (int64_t odd = 0; odd < 2; ++odd)
    weightLane[odd] = block.add(block.add(block.mul(slice, weightSliceBytes), block.mul(panel, sliceTiles * tileBytes)),
                                block.mul(weightSlot(panel, block.add(slot, block.constant(4 * odd))), chunkBytes));
  // Lanes 0-7 and 8-15 name the rows of a tile for the halves of a tile of k, the others those of the next tile.
  Value matrix = block.div(lane, rowsOfTile);
  Value row = block.add(warpRow, block.add(block.mul(block.div(matrix, 2), rowsOfTile), block.rem(lane, rowsOfTile)));
  for (int64_t k = 0; k < sliceTiles; ++k)
    rowLane[k] = block.add(block.add(block.mul(slice, rowSliceBytes), block.mul(row, chunksPerRow * chunkBytes)),
                           block.mul(swizzled(block, row, block.add(block.constant(2 * k), block.rem(matrix, 2))), chunkBytes));
}

Value TensorTilesBuilder::nextStage(Value stage) {
  Value next = block.add(stage, block.constant(1));
  Value isLast = arith::CmpIOp::create(block.builder, block.loc, arith::CmpIPredicate::eq, next, block.constant(stages));
  return arith::SelectOp::create(block.builder, block.loc, isLast, block.constant(0), next);
}

//===----------------------------------------------------------------------===//
// Copies
//===----------------------------------------------------------------------===//

/// Neighbouring threads copy the chunks of a row, then the next row.
void TensorTilesBuilder::planRowCopies() {
  int64_t stride = cast<MemRefType>(x.getType()).getDimSize(1), stepChunks = slices * chunksPerRow;
  Value last = block.sub(block.count, block.constant(1));
  Value row = block.div(block.thread, stepChunks), inRow = block.rem(block.thread, stepChunks),
        column = block.mul(inRow, chunkBytes / numberBytes);
  Value line = block.add(block.mul(block.div(inRow, chunksPerRow), rows), row),
        chunk = swizzled(block, row, block.rem(inRow, chunksPerRow));
  Value to = block.mul(block.add(block.mul(line, chunksPerRow), chunk), chunkBytes);
  for (int64_t first = 0; first < rows * stepChunks; first += threads) { // whole turns of the swizzle further on
    int64_t later = first / stepChunks;
    Value place = block.add(block.add(firstRow, row), block.constant(later)), own = block.least(place, last);
    copies.push_back({x, block.mul(block.add(block.mul(own, stride), column), numberBytes),
                      block.add(to, block.constant(later * chunksPerRow * chunkBytes)), column,
                      std::min(threads, rows * stepChunks - first),
                      rows <= mostRowsOfFew ? block.less(place, block.count) : Value()});
  }
}

/// Neighbouring threads copy what a step has of one panel, then of the next.
void TensorTilesBuilder::planWeightCopies(size_t linear) {
  constexpr int64_t sliceChunks = sliceTiles * lanesOfWarp;
  int64_t panelChunks = slices * sliceChunks;
  Value weight = block.buffers.inputs.lookup(linears[linear].getWeight());
  auto shape = cast<MemRefType>(weight.getType()).getShape();
  for (int64_t first = 0; first < panels * panelChunks; first += threads) {
    // Threads that stand at the same place of every round have only something constant to add.
    bool wholePanels = threads % panelChunks == 0;
    Value part = block.add(block.thread, block.constant(wholePanels ? 0 : first));
    int64_t later = wholePanels ? first / panelChunks : 0;
    Value panel = block.div(part, panelChunks), inPanel = block.rem(part, panelChunks), inSlice = block.rem(inPanel, sliceChunks);
    Value place = block.add(block.add(firstPanel, panel), block.constant(later));
    if (shape[0] % panels)
      place = block.least(place, block.constant(shape[0] - 1));
    Value from = block.add(block.mul(place, shape[1] * tileBytes), block.mul(inPanel, chunkBytes));
    Value parity = later % 2 ? block.add(panel, block.constant(1)) : panel;
    Value slot =
        block.add(block.mul(block.div(inSlice, lanesOfWarp), lanesOfWarp), weightSlot(parity, block.rem(inSlice, lanesOfWarp)));
    Value to = block.add(block.mul(block.div(inPanel, sliceChunks), weightSliceBytes),
                         block.mul(block.add(block.mul(panel, sliceChunks), slot), chunkBytes));
    int64_t fixed = (int64_t(linear) * panels + later) * sliceChunks * chunkBytes;
    copies.push_back({weight, from, block.add(to, block.constant(fixed)), block.mul(block.div(inPanel, sliceChunks), sliceDepth),
                      std::min(threads, panels * panelChunks - first)});
  }
}

void TensorTilesBuilder::startCopy(const Copy &copy, Value step, Value stage) {
  OpBuilder &builder = block.builder;
  bool ofRows = copy.array == x;
  Value from = block.add(copy.from, block.mul(step, slices * (ofRows ? sliceBytes : sliceTiles * tileBytes)));
  Value bytes = arith::ConstantIntOp::create(builder, block.loc, chunkBytes, 32);
  int64_t there = ofRows ? depth : llvm::alignTo(depth, sliceDepth); // weights have zeros to the end of a slice
  if (there % (slices * sliceDepth)) {
    // Past the last channel lies padding that may hold anything, also no number at all: it must become zero.
    Value column = block.add(copy.column, block.mul(step, slices * sliceDepth));
    Value left = block.mul(block.sub(block.constant(there), column), ofRows ? numberBytes : chunkBytes);
    Value inside = arith::MaxSIOp::create(builder, block.loc, block.least(left, block.constant(chunkBytes)), block.constant(0));
    bytes = arith::IndexCastOp::create(builder, block.loc, builder.getI32Type(), inside);
    // An address in the array all the same.
    Value isInside = arith::CmpIOp::create(builder, block.loc, arith::CmpIPredicate::ne, inside, block.constant(0));
    from = arith::SelectOp::create(builder, block.loc, isInside, from, block.constant(0));
  }
  if (copy.isThere) {
    Value none = arith::ConstantIntOp::create(builder, block.loc, 0, 32);
    bytes = arith::SelectOp::create(builder, block.loc, copy.isThere, bytes, none);
  }
  Value to = block.add(copy.to, block.mul(stage, slices * (ofRows ? rowSliceBytes : weightSliceBytes)));
  auto start = [&] {
    cuda::copyAsync(builder, block.loc,
                    cuda::addressOf(builder, block.loc, ofRows ? rowStages : weightStages, to, cuda::sharedMemory),
                    cuda::addressOf(builder, block.loc, copy.array, from, cuda::globalMemory), bytes);
  };
  if (copy.threads < threads)
    block.when(block.less(block.thread, block.constant(copy.threads)), start);
  else
    start();
}

void TensorTilesBuilder::startStage(Value step, Value stage) {
  for (const Copy &copy : copies)
    startCopy(copy, step, stage);
  cuda::commitCopies(block.builder, block.loc);
}

void TensorTilesBuilder::startFirstStages() {
  auto start = [&](int64_t step, bool ofRows) {
    for (const Copy &copy : copies)
      if (step < steps && (copy.array == x) == ofRows)
        startCopy(copy, block.constant(step), block.constant(step));
  };
  for (int64_t step = 0; step + 1 < stages; ++step)
    start(step, /*ofRows=*/false);
  fetchParameters(block, firstPanel, panels);
  fetchStates(block, firstRow, firstPanel, rows, panels);
  block.waitForInputs();
  for (int64_t step = 0; step + 1 < stages; ++step) {
    start(step, /*ofRows=*/true);
    cuda::commitCopies(block.builder, block.loc);
  }
  if (rows > mostRowsOfFew)
    fetchStreamLines(block, {firstRow, firstPanel}, rows, panels);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

TensorTilesBuilder::Operands TensorTilesBuilder::readOperands(Value stage, int64_t k) {
  OpBuilder &builder = block.builder;
  Operands operands;
  Value stageRows = block.add(block.mul(stage, slices * rowSliceBytes), rowLane[k]);
  for (int64_t pair = 0; pair < tiles / 2; ++pair) {
    Value place = block.add(stageRows, block.constant(pair * 2 * rowsOfTile * chunksPerRow * chunkBytes));
    operands.rows.push_back(
        cuda::loadMatrices(builder, block.loc, cuda::addressOf(builder, block.loc, rowStages, place, cuda::sharedMemory)));
  }
  Value stageWeights = block.mul(stage, slices * weightSliceBytes);
  for (size_t l = 0; l < linears.size(); ++l)
    for (int64_t panel = 0; panel < warpPanels; ++panel) {
      int64_t inGroup = panel % group, firstOfGroup = panel - inGroup;
      int64_t fixed = (l * panels + firstOfGroup) * sliceTiles * tileBytes + k * tileBytes + inGroup / 2 * 8 * chunkBytes;
      Value place = block.add(block.add(stageWeights, weightLane[inGroup % 2]), block.constant(fixed));
      operands.weights.push_back(
          cuda::loadWords(builder, block.loc, cuda::addressOf(builder, block.loc, weightStages, place, cuda::sharedMemory)));
    }
  return operands;
}

void TensorTilesBuilder::multiply(const Operands &operands, SmallVector<Value> &sums) {
  for (size_t l = 0; l < linears.size(); ++l)
    for (int64_t panel = 0; panel < warpPanels; ++panel)
      for (int64_t tile = 0; tile < tiles; ++tile) {
        const Fragment &pair = operands.rows[tile / 2];
        int64_t at = sumIndex(l, panel, tile), half = tile % 2 * 2;
        Fragment sum = cuda::multiplyAdd(block.builder, block.loc, operands.weights[l * warpPanels + panel],
                                         {pair[half], pair[half + 1]}, {sums[at], sums[at + 1], sums[at + 2], sums[at + 3]}, fp8);
        llvm::copy(sum, sums.begin() + at);
      }
}

TensorTilesBuilder::Operands TensorTilesBuilder::multiplyStage(Operands operands, Value stage, SmallVector<Value> &sums, bool ahead,
                                                               llvm::function_ref<void()> startCopies) {
  for (int64_t k = 0; k < sliceTiles; ++k) {
    Operands next;
    if (k + 1 < sliceTiles) {
      next = readOperands(stage, k + 1);
    } else if (ahead) {
      // Everybody's copies of the next step are there, and everybody has read what this step needs: its stage can be filled again.
      cuda::waitForCopies(block.builder, block.loc, stages - 2);
      block.barrier();
      next = readOperands(nextStage(stage), 0);
    }
    if (k == 0)
      startCopies();
    multiply(operands, sums);
    operands = std::move(next);
  }
  return operands;
}

void TensorTilesBuilder::sumSteps(int64_t begin, int64_t end, bool copies, Operands &operands, Value &stage,
                                  SmallVector<Value> &sums) {
  if (begin >= end)
    return;
  SmallVector<Value> initial(sums);
  auto append = [](SmallVector<Value> &values, const Operands &operands) {
    for (auto *fragments : {&operands.weights, &operands.rows})
      for (const Fragment &fragment : *fragments)
        llvm::append_range(values, fragment);
  };
  auto take = [&](ValueRange values) {
    Operands taken = operands;
    for (auto *fragments : {&taken.weights, &taken.rows})
      for (Fragment &fragment : *fragments) {
        llvm::copy(values.take_front(4), fragment.begin());
        values = values.drop_front(4);
      }
    return taken;
  };
  append(initial, operands);
  initial.push_back(stage);
  size_t sumCount = sums.size();
  SmallVector<Value> last =
      block.loopWith(block.constant(begin), block.constant(end), 1, initial, [&](Value step, ValueRange carried) {
        SmallVector<Value> next(carried.take_front(sumCount));
        Value stage = carried.back();
        auto startCopies = [&] {
          if (!copies)
            return cuda::commitCopies(block.builder, block.loc); // the groups' numbers go on
          Value isFirst = arith::CmpIOp::create(block.builder, block.loc, arith::CmpIPredicate::eq, stage, block.constant(0));
          Value before = arith::SelectOp::create(block.builder, block.loc, isFirst, block.constant(stages - 1),
                                                 block.sub(stage, block.constant(1)));
          startStage(block.add(step, block.constant(stages - 1)), before);
        };
        Operands ahead = multiplyStage(take(carried.drop_front(sumCount).drop_back()), stage, next, /*ahead=*/true, startCopies);
        append(next, ahead);
        next.push_back(nextStage(stage));
        return next;
      });
  sums.assign(last.begin(), last.begin() + sumCount);
  operands = take(ValueRange(last).drop_front(sumCount).drop_back());
  stage = last.back();
}

SmallVector<Value> TensorTilesBuilder::sum() {
  planRowCopies();
  for (size_t linear = 0; linear < linears.size(); ++linear)
    planWeightCopies(linear);
  startFirstStages();
  RowFactors factors(block, firstRow, rows);
  bool inRegisters = registersOfProducts() + factors.registers() <= mostRegisters;
  if (!inRegisters)
    factors.store();
  SmallVector<Value> sums(linears.size() * warpPanels * tiles * 4, block.number(0));
  Value stage = block.constant(0);
  cuda::waitForCopies(block.builder, block.loc, stages - 2);
  block.barrier();
  Operands operands = readOperands(stage, 0);
  int64_t withCopies = std::max<int64_t>(steps - (stages - 1), 0);
  sumSteps(0, withCopies, /*copies=*/true, operands, stage, sums);
  sumSteps(withCopies, steps - 1, /*copies=*/false, operands, stage, sums);
  multiplyStage(operands, stage, sums, /*ahead=*/false, [] {});
  if (inRegisters && factors.store())
    block.barrier();
  return sums;
}

//===----------------------------------------------------------------------===//
// What follows
//===----------------------------------------------------------------------===//

bool TensorTilesBuilder::storesWide() const {
  auto isOf16Bits = [](Type type) { return isStream(type) && getElementTypeOrSelf(type).getIntOrFloatBitWidth() == 16; };
  return group > 1 && !storedSquares(block.kernel) && llvm::all_of(block.kernel->getResultTypes(), isOf16Bits);
}

void TensorTilesBuilder::exchangeHalves(SmallVector<Value> &sums, int64_t firstOfGroup, int64_t first, int64_t count) {
  constexpr int32_t away = lanesOfWarp / 2; // the lane whose channels stand between this one's halves
  Value isUpper = block.less(block.constant(away - 1), lane);
  auto choose = [&](Value upper, Value lower) {
    return arith::SelectOp::create(block.builder, block.loc, isUpper, upper, lower).getResult();
  };
  for (size_t linear = 0; linear < linears.size(); ++linear)
    for (int64_t i = 0; i < group; ++i)
      for (int64_t j = first; j < first + count; ++j) {
        int64_t at = (int64_t(linear) * warpPanels + firstOfGroup + i) * 4 + j;
        Value &low = sums[at], &high = sums[at + 2];
        Value got = cuda::shuffleXor(block.builder, block.loc, choose(low, high), away);
        low = choose(got, low), high = choose(high, got);
      }
}

SmallVector<Value> TensorTilesBuilder::finishRows(ArrayRef<Value> sums, int64_t first, int64_t count, Value row, Value rowEnd) {
  OpBuilder &builder = block.builder;
  PanelSquaresOp stored = storedSquares(block.kernel);
  SmallVector<Value> squares;
  Value owner = block.div(lane, 4);
  int64_t kernelPanels = strideOf(widthOf(block.kernel)) / panelWidth;
  bool isWide = storesWide();
  int64_t halves = isWide ? 1 : 2, width = isWide ? 2 * group : group;
  auto vectorType = VectorType::get({width}, builder.getF32Type());
  for (int64_t firstOfGroup = 0; firstOfGroup < warpPanels; firstOfGroup += group) {
    Value panel = panelOfGroup(firstOfGroup);
    SmallVector<Value> own(sums);
    if (isWide)
      exchangeHalves(own, firstOfGroup, first, count);
    auto channelsOf = [&](size_t linear, int64_t half, int64_t j) {
      SmallVector<Value> channels;
      for (int64_t part = half; part < half + (isWide ? 2 : 1); ++part)
        for (int64_t i = 0; i < group; ++i)
          channels.push_back(own[(linear * warpPanels + firstOfGroup + i) * 4 + 2 * part + j]);
      return channels;
    };
    auto evaluateHalves = [&] {
      SmallVector<Value> parts;
      for (int64_t half = 0; half < halves; ++half) {
        Value unit =
            block.add(block.add(block.mul(panel, panelWidth / width), block.div(owner, group)), block.constant(half * 8 / width));
        TileEvaluator evaluator(builder, block.kernel, block.buffers, {row, unit, count, 1, width, rowEnd});
        for (auto [l, linear] : llvm::enumerate(linears)) {
          SmallVector<Value> vectors;
          Value scales = linear.getScales()
                             ? evaluator.loadVector(block.buffers.inputs.lookup(linear.getScales()), evaluator.column(0))
                             : Value();
          for (int64_t j = first; j < first + count; ++j) {
            vectors.push_back(vector::FromElementsOp::create(builder, block.loc, vectorType, channelsOf(l, half, j)));
            if (scales)
              vectors.back() = arith::MulFOp::create(builder, block.loc, vectors.back(), scales);
          }
          evaluator.define(linear.getResult(), vectors);
        }
        evaluator.evaluate(block.mainOps());
        block.storeResults(evaluator);
        for (int64_t j = 0; stored && j < count; ++j) {
          Value part = evaluator.at(stored.getResult(), j, 0);
          if (half)
            parts[j] = arith::AddFOp::create(builder, block.loc, parts[j], part);
          else
            parts.push_back(part);
        }
      }
      return parts;
    };
    llvm::append_range(squares, kernelPanels % panels ? numbersWhen(block, block.less(panel, block.constant(kernelPanels)),
                                                                    stored ? count : 0, evaluateHalves)
                                                      : evaluateHalves());
  }
  return squares;
}

/// A lane's neighbours with the same row and panel are those of the other channels.
void TensorTilesBuilder::storeSquares(ArrayRef<Value> squares, int64_t count, Value row) {
  SmallVector<int32_t> distances;
  for (int32_t distance = 4 * group; distance < lanesOfWarp; distance *= 2)
    distances.push_back(distance);
  Value isFirst = block.less(block.div(lane, 4), block.constant(group));
  for (size_t index = 0; index < squares.size(); ++index)
    sm1::storeSquares(block, squares[index], distances, isFirst, block.add(row, block.constant(index % count)),
                      panelOfGroup(index / count * group));
}

void TensorTilesBuilder::finish(ArrayRef<Value> sums, Value tile) {
  Value row = block.add(block.add(firstRow, warpRow), block.add(block.mul(tile, rowsOfTile), block.mul(block.rem(lane, 4), 2)));
  // Rows past the last can be computed as that one, so that loads need no branch, unless a state would be written twice.
  if (llvm::none_of(block.kernel.getBlock(), [](Operation &op) { return isa<ScanOp, SelectiveScanOp, Conv1dOp>(op); }))
    return storeSquares(finishRows(sums, 0, 2, row, block.count), 2, row);
  for (int64_t j = 0; j < 2; ++j) {
    Value own = block.add(row, block.constant(j));
    SmallVector<Value> squares =
        numbersWhen(block, block.less(own, block.count), storedSquares(block.kernel) ? warpPanels / group : 0,
                    [&] { return finishRows(sums, j, 1, own, {}); });
    storeSquares(squares, 1, own);
  }
}

SmallVector<Value> TensorTilesBuilder::sumsOfTile(ArrayRef<Value> sums, int64_t tile) const {
  SmallVector<Value> own;
  for (size_t l = 0; l < linears.size(); ++l)
    for (int64_t panel = 0; panel < warpPanels; ++panel)
      llvm::append_range(own, sums.slice(sumIndex(l, panel, tile), 4));
  return own;
}

void TensorTilesBuilder::finishParts(ArrayRef<Value> sums) {
  int64_t sliceWarps = threads / lanesOfWarp / slices, tileSums = int64_t(linears.size()) * warpPanels * 4;
  // As many tiles at once as there was memory for stages, and at least one for each group of warps.
  int64_t tileMemory = threads * tileSums * 4, together = stages * slices * (rowSliceBytes + weightSliceBytes) / tileMemory;
  together = std::min(std::max(together / slices, int64_t(1)) * slices, tiles);
  Value parts = block.shared({slices, sliceWarps, together, tileSums, lanesOfWarp}, block.builder.getF32Type());
  for (int64_t first = 0; first < tiles; first += together) {
    int64_t count = std::min(together, tiles - first);
    block.barrier(); // what lay there before has been read; no copy is under way any more
    for (int64_t tile = 0; tile < count; ++tile)
      for (auto [index, sum] : llvm::enumerate(sumsOfTile(sums, first + tile)))
        block.storeScalar(sum, parts, {slice, warp, block.constant(tile), block.constant(int64_t(index)), lane});
    block.barrier();
    block.loop(slice, block.constant(count), slices, [&](Value tile) {
      Value number = block.add(tile, block.constant(first));
      Value tileRow = block.add(block.add(firstRow, warpRow), block.mul(number, rowsOfTile));
      block.when(block.less(tileRow, block.count), [&] {
        SmallVector<Value> totals;
        for (int64_t index = 0; index < tileSums; ++index) {
          Value total;
          for (int64_t part = 0; part < slices; ++part) {
            Value one = block.loadScalar(parts, {block.constant(part), warp, tile, block.constant(index), lane});
            total = total ? arith::AddFOp::create(block.builder, block.loc, total, one) : one;
          }
          totals.push_back(total);
        }
        finish(totals, number);
      });
    });
  }
}

void TensorTilesBuilder::build() {
  int64_t mark = block.sharedMark();
  place();
  SmallVector<Value> sums = sum();
  block.releaseShared(mark);
  block.startLaterKernel(BlockKernel::LaterKernel::AfterSums);
  if (slices > 1)
    return finishParts(sums);
  for (int64_t tile = 0; tile < tiles; ++tile)
    finish(sumsOfTile(sums, tile), block.constant(tile));
}

void sm1::buildTensorTiles(BlockKernel &block) { TensorTilesBuilder(block).build(); }
