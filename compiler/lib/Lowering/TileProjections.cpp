//===- TileProjections.cpp - the sums of projections on a tile of rows and panels --------------------------------===//
//
// Loops over k, in the order that sm1.linear states. Weights of the next panels are prefetched: a core that reads one panel at a
// time leaves a third of the memory bandwidth unused, since the hardware's prefetcher follows each 4 KiB page by itself. Tiles of
// rows share that: if the first fetched all, it would wait for memory, and if each did, the first cache would hold little else.

#include "ProjectionInput.h"
#include "TileEvaluator.h"
#include "WidenedWeights.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

/// Groups of several rows that are multiplied as bytes go panel by panel and two by two. Registers then hold the integers of two
/// groups and what has been scaled, and x can stay in memory, an operand of each product.
static bool isByPanel(const ProductForm &form, const Tile &tile) {
  return form.weights == ProductForm::Weights::Nibbles && form.sumsIntegers() && form.maddLanes != 8 && tile.rows > 1;
}
static constexpr int64_t groupsTogether = 2;

namespace {
/// Where a step is: the block, the step inside it, and what follows from them.
struct Position {
  Value block, k, step, word;
  int64_t valid; ///< k of the block that exist, counted from the step on
};

/// Sums of some projections of one x that walk k together.
class ProjectionSums {
public:
  ProjectionSums(OpBuilder &builder, Location loc, TileEvaluator &at, const KernelBuffers &buffers, const Tile &tile,
                 MutableArrayRef<LinearOp> linears, ProductForm form, int64_t panelsOfGroup)
      : builder(builder), loc(loc), at(at), buffers(buffers), tile(tile), linears(linears), form(form),
        panelsOfGroup(panelsOfGroup), w(builder, loc), x(builder, loc, at, buffers, linears.front().getX(), form) {}

  /// The results, [projection][row][panel].
  SmallVector<Value> run();

private:
  void shareFetches();
  void fetchNext(Value matrix, const Position &position, int64_t n);
  void prefetch(Value matrix, ValueRange place, int32_t hint);
  void fetchGroups(Value first);
  size_t sums() const { return linears.size() * tile.rows * tile.panels; }
  size_t index(size_t l, int64_t m, int64_t n) const { return (l * tile.rows + m) * tile.panels + n; }
  Value add(Value a, Value b) { return at.add(a, b); }
  Value times(Value a, int64_t b) { return builder.createOrFold<arith::MulIOp>(loc, a, at.constant(b)); }
  bool isGrouped() const { return form.weights == ProductForm::Weights::Nibbles; }

  Position positionOf(Value block, Value step, int64_t valid);
  SmallVector<Value> zeros(bool integers);
  SmallVector<Value> beginBlock(Value block);
  /// Adds the products of one step to the block's sums, [sum][chain].
  void step(const Position &position, SmallVectorImpl<Value> &chains);
  /// The vectors of weights of a step, [projection][panel], as they are stored; null for those that lie widened in scratch.
  SmallVector<Value> loadWeights(const Position &position);
  Value factor(const Position &position, size_t l, int64_t n, Value stored, size_t part);
  SmallVector<Value> sumBlock(Value block, int64_t valid);
  void addGroups(Value first, SmallVectorImpl<Value> &totals);
  Value scaleOf(size_t l, int64_t n, Value block);
  void endBlock(Value block, ArrayRef<Value> chains, SmallVectorImpl<Value> &totals);
  Value product(Value x, Value weight, Value sum);

  OpBuilder &builder;
  Location loc;
  TileEvaluator &at;
  const KernelBuffers &buffers;
  Tile tile;
  MutableArrayRef<LinearOp> linears;
  ProductForm form;
  int64_t panelsOfGroup; ///< that all rows of the task pass by before the next
  WordVectors w;
  ProjectionInput x;
  /// Elements of a panel that each step of k prefetches, those before them, and how far ahead the panel is; null: a step prefetches
  /// of the next panels what it reads of these.
  Value fetchWidth, fetchFrom, fetchPanels;
};
} // namespace

Position ProjectionSums::positionOf(Value block, Value step, int64_t valid) {
  Position position;
  position.block = block;
  position.k = add(times(block, form.blockWidth()), times(step, form.stepWidth()));
  position.step = add(times(block, form.blockSteps()), step);
  position.word = isGrouped() ? add(times(block, 8), step) : position.step;
  position.valid = valid;
  return position;
}

SmallVector<Value> ProjectionSums::zeros(bool integers) {
  Value zero = integers ? w.integer(0) : at.splat(0);
  return SmallVector<Value>(sums(), zero);
}

/// Where the chains of a block begin: at zero, but that int4 in a dot product stands for itself plus 8. Halves of words take that
/// back at the block's end.
SmallVector<Value> ProjectionSums::beginBlock(Value block) {
  if (!form.sumsIntegers())
    return SmallVector<Value>(sums() * form.chains(), at.splat(0));
  SmallVector<Value> begin = zeros(/*integers=*/true);
  if (!isGrouped() || form.sumsHalves())
    return begin;
  for (int64_t m = 0; m < tile.rows; ++m) {
    Value correction = x.groupCorrection(m, block);
    for (size_t l = 0; l < linears.size(); ++l)
      for (int64_t n = 0; n < tile.panels; ++n)
        begin[index(l, m, n)] = correction;
  }
  return begin;
}

Value ProjectionSums::product(Value x, Value weight, Value sum) {
  if (!form.dot)
    return vector::FMAOp::create(builder, loc, x, weight, sum);
  if (form.sumsHalves())
    return w.maddBytes(sum, weight, x, form.maddLanes);
  if (form.multipliesWords())
    return w.maddWords(sum, weight, x, form.maddLanes);
  return form.int8 ? w.dotInt8(sum, weight, x) : w.dotBf16(sum, weight, x);
}

/// The last 16 tiles that a task makes of its rows fetch the next panels together, each as many elements a step as that takes. Rows
/// that pass by later would push them out of the second cache.
void ProjectionSums::shareFetches() {
  if (tile.rows == 1 || !buffers.rowBegin)
    return;
  int64_t steps = cast<MemRefType>(buffers.inputs.lookup(linears.front().getWeight()).getType()).getDimSize(1);
  auto divide = [&](Value a, Value b) -> Value { return arith::DivUIOp::create(builder, loc, a, b); };
  auto subtract = [&](Value a, Value b) -> Value { return arith::SubIOp::create(builder, loc, a, b); };
  Value rows = subtract(buffers.rowEnd, buffers.rowBegin), rowTile = at.constant(tile.rows), zero = at.constant(0);
  Value tiles = divide(rows, rowTile), width = divide(add(tiles, at.constant(panelWidth - 1)), tiles);
  Value later = subtract(subtract(tiles, at.constant(1)), divide(subtract(tile.row, buffers.rowBegin), rowTile));
  Value before = arith::MulIOp::create(builder, loc, later, width);
  auto isBelow = [&](Value a, Value b) -> Value { return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ult, a, b); };
  // A tile that is alone reads on through all panels; of several each reads the group first.
  Value isAlone = isBelow(tiles, at.constant(2));
  fetchPanels = arith::SelectOp::create(builder, loc, isAlone, at.constant(tile.panels), at.constant(panelsOfGroup));
  Value isThere = isBelow(add(tile.panel, fetchPanels), buffers.panelEnd), isLeft = isBelow(before, at.constant(panelWidth));
  Value takesPart = arith::AndIOp::create(builder, loc, isThere, isLeft);
  fetchWidth = arith::SelectOp::create(builder, loc, takesPart, width, zero);
  fetchFrom = arith::SelectOp::create(builder, loc, takesPart, times(before, steps), zero);
}

void ProjectionSums::fetchNext(Value matrix, const Position &position, int64_t n) {
  Value ahead = at.constant(tile.panels), step = position.step, element = at.constant(0);
  if (fetchWidth) {
    ahead = fetchPanels;
    element = add(fetchFrom, arith::MulIOp::create(builder, loc, step, fetchWidth));
    step = at.constant(0);
  }
  prefetch(matrix, ValueRange{add(add(tile.panel, ahead), at.constant(n)), step, element}, /*hint=*/3);
}

void ProjectionSums::prefetch(Value matrix, ValueRange place, int32_t hint) {
  memref::PrefetchOp::create(builder, loc, matrix, place, /*isWrite=*/false, hint, /*isDataCache=*/true);
}

/// As many lines as two groups read, into the second cache: the first one holds rows, weights and little else.
void ProjectionSums::fetchGroups(Value first) {
  constexpr int32_t secondCache = 2;
  Value matrix = buffers.inputs.lookup(linears.front().getWeight()), scales = buffers.inputs.lookup(linears.front().getScales());
  Value steps = arith::MulIOp::create(builder, loc, times(first, form.blockSteps()), fetchWidth);
  Value panel = add(tile.panel, fetchPanels), element = add(fetchFrom, steps);
  for (int64_t line = 0; line < groupsTogether * form.blockSteps(); ++line)
    prefetch(matrix, ValueRange{panel, at.constant(0), add(element, at.constant(line * panelWidth))}, secondCache);
  if (cast<MemRefType>(scales.getType()).getRank() != 1)
    prefetch(scales, ValueRange{add(tile.panel, at.constant(1)), first, at.constant(0)}, secondCache);
}

SmallVector<Value> ProjectionSums::loadWeights(const Position &position) {
  SmallVector<Value> stored;
  for (LinearOp linear : linears)
    for (int64_t n = 0; n < tile.panels; ++n) {
      if (buffers.isWidened(linear.getWeight())) {
        stored.push_back({});
        continue;
      }
      Value matrix = buffers.inputs.lookup(linear.getWeight());
      Value panel = add(tile.panel, at.constant(n)), zero = at.constant(0);
      fetchNext(matrix, position, n);
      stored.push_back(at.loadVector(matrix, {panel, position.step, zero}));
    }
  return stored;
}

Value ProjectionSums::factor(const Position &position, size_t l, int64_t n, Value stored, size_t part) {
  if (stored)
    return w.weightPart(stored, form, part);
  Value number = builder.createOrFold<arith::SubIOp>(loc, add(tile.panel, at.constant(n)), buffers.widenedPanel);
  return widenedPart(builder, loc, form, buffers.scratch, buffers.widened.lookup(linears[l].getWeight()), number, position.step,
                     part);
}

/// Parts that share a word of x at a time, row by row, so that besides sums only their weights are in registers.
void ProjectionSums::step(const Position &position, SmallVectorImpl<Value> &chains) {
  SmallVector<Value> stored = loadWeights(position);
  int64_t together = form.partsOfWord();
  for (int64_t first = 0; first < int64_t(form.parts().size()) && form.parts()[first] < position.valid; first += together) {
    ArrayRef<int64_t> firsts = form.parts().slice(first, together);
    SmallVector<Value> weights; // [projection][panel][part]
    for (size_t i = 0; i < stored.size(); ++i)
      for (int64_t part = first; part < first + together; ++part)
        weights.push_back(factor(position, i / tile.panels, int64_t(i) % tile.panels, stored[i], size_t(part)));
    for (int64_t m = 0; m < tile.rows; ++m)
      for (auto [part, factorOfX] : llvm::enumerate(x.parts(m, position.k, position.word, firsts, position.valid)))
        for (size_t i = 0; i < stored.size() && factorOfX; ++i) {
          size_t chain = (first + part) % form.chains();
          Value &sum = chains[index(i / tile.panels, m, int64_t(i) % tile.panels) * form.chains() + chain];
          sum = product(factorOfX, weights[i * together + part], sum);
        }
  }
}

/// The chains of a block of which `valid` k exist. Steps are unrolled to some 32 products a round, which hides the loop.
SmallVector<Value> ProjectionSums::sumBlock(Value block, int64_t valid) {
  int64_t perStep = int64_t(sums() * form.parts().size()), unrolled = 1;
  int64_t steps = std::min(form.blockSteps(), int64_t(llvm::divideCeil(valid, form.stepWidth())));
  int64_t whole = valid < form.blockWidth() ? (isGrouped() ? 0 : valid / form.stepWidth()) : steps;
  while (whole % (2 * unrolled) == 0 && 2 * unrolled * perStep <= 32)
    unrolled *= 2;
  SmallVector<Value> chains = beginBlock(block);
  if (whole > 0) {
    auto loop = scf::ForOp::create(builder, loc, at.constant(0), at.constant(whole), at.constant(unrolled), chains,
                                   [&](OpBuilder &, Location, Value first, ValueRange carried) {
                                     SmallVector<Value> next(carried);
                                     for (int64_t i = 0; i < unrolled; ++i)
                                       step(positionOf(block, add(first, at.constant(i)), INT64_MAX), next);
                                     scf::YieldOp::create(builder, loc, next);
                                   });
    chains.assign(loop.getResults().begin(), loop.getResults().end());
  }
  for (int64_t i = whole; i < steps; ++i)
    step(positionOf(block, at.constant(i), valid - i * form.stepWidth()), chains);
  return chains;
}

/// Two groups side by side, whose 16 sums do not wait for each other.
void ProjectionSums::addGroups(Value first, SmallVectorImpl<Value> &totals) {
  if (fetchWidth)
    fetchGroups(first);
  Value matrix = buffers.inputs.lookup(linears.front().getWeight()), anchor = x.anchor(times(first, 8));
  SmallVector<Value> groups;
  SmallVector<SmallVector<Value>> sums;
  for (int64_t i = 0; i < groupsTogether; ++i) {
    groups.push_back(add(first, at.constant(i)));
    sums.push_back(beginBlock(groups[i]));
  }
  for (int64_t step = 0; step < form.blockSteps(); ++step)
    for (int64_t i = 0; i < groupsTogether; ++i) {
      Position position = positionOf(groups[i], at.constant(step), INT64_MAX);
      Value stored = at.loadVector(matrix, {tile.panel, position.step, at.constant(0)});
      for (int64_t half = 0; half < 2; ++half) {
        Value weights = factor(position, 0, 0, stored, size_t(half));
        for (int64_t m = 0; m < tile.rows; ++m)
          sums[i][m] = product(x.wordFrom(anchor, m, 8 * i + 4 * half + step), weights, sums[i][m]);
      }
    }
  for (int64_t i = 0; i < groupsTogether; ++i)
    endBlock(groups[i], sums[i], totals);
}

/// The scales of a group for panel n; those of a matrix with one group are a vector.
Value ProjectionSums::scaleOf(size_t l, int64_t n, Value block) {
  Value scales = buffers.inputs.lookup(linears[l].getScales());
  if (cast<MemRefType>(scales.getType()).getRank() == 1)
    return at.widen(at.loadVector(scales, at.column(n)));
  return at.widen(at.loadVector(scales, {add(tile.panel, at.constant(n)), block, at.constant(0)}));
}

void ProjectionSums::endBlock(Value block, ArrayRef<Value> chains, SmallVectorImpl<Value> &totals) {
  for (size_t l = 0; l < linears.size(); ++l)
    for (int64_t n = 0; n < tile.panels; ++n) {
      Value scale;
      if (isGrouped())
        scale = scaleOf(l, n, block);
      for (int64_t m = 0; m < tile.rows; ++m) {
        size_t i = index(l, m, n);
        Value sum = chains[i * form.chains()];
        if (form.sumsHalves())
          sum = w.addHalves(x.groupCorrection(m, block), sum, form.maddLanes);
        if (form.chains() == 2)
          sum = arith::AddFOp::create(builder, loc, sum, chains[i * 2 + 1]);
        if (scale)
          totals[i] = vector::FMAOp::create(builder, loc, form.sumsIntegers() ? w.toFloat(sum) : sum, scale, totals[i]);
        else if (form.int8)
          totals[i] = arith::AddIOp::create(builder, loc, totals[i], form.dot ? sum : w.toInteger(sum));
        else
          totals[i] = arith::AddFOp::create(builder, loc, totals[i], sum);
      }
    }
}

SmallVector<Value> ProjectionSums::run() {
  int64_t depth = channels(linears.front().getX().getType());
  int64_t blocks = depth / form.blockWidth(), rest = depth % form.blockWidth();
  SmallVector<Value> totals = zeros(form.int8 && !isGrouped());
  shareFetches();
  int64_t together = isByPanel(form, tile) ? groupsTogether : 1, looped = blocks / together * together;
  if (looped > 0) {
    auto loop = scf::ForOp::create(builder, loc, at.constant(0), at.constant(looped), at.constant(together), totals,
                                   [&](OpBuilder &, Location, Value block, ValueRange carried) {
                                     SmallVector<Value> next(carried);
                                     if (together > 1)
                                       addGroups(block, next);
                                     else
                                       endBlock(block, sumBlock(block, form.blockWidth()), next);
                                     scf::YieldOp::create(builder, loc, next);
                                   });
    totals.assign(loop.getResults().begin(), loop.getResults().end());
  }
  for (int64_t block = looped; block < blocks; ++block)
    endBlock(at.constant(block), sumBlock(at.constant(block), form.blockWidth()), totals);
  if (rest > 0) {
    Value block = at.constant(blocks);
    endBlock(block, sumBlock(block, rest), totals);
  }
  for (auto [l, linear] : llvm::enumerate(linears)) {
    ProjectionScaling scaling(builder, loc, at, buffers, linear, form);
    for (int64_t m = 0; m < tile.rows; ++m)
      for (int64_t n = 0; n < tile.panels; ++n)
        totals[index(l, m, n)] = scaling.finish(totals[index(l, m, n)], m, n);
  }
  return totals;
}

/// Projections of one x share a loop over k, so that x is read once and several streams of weights run at the same time.
void TileEvaluator::evaluateLinears(LinearOp first, ArrayRef<Operation *> ops) {
  auto formOf = [&](LinearOp linear) { return buffers.formOf(linear, kernel.getScheduleAttr().getProducts()); };
  ProductForm form = formOf(first);
  int64_t panelsOfGroup = kernel.getScheduleAttr().getSingleRowPanels();
  if (isByPanel(form, tile)) {
    SmallVector<Value> results(tile.rows * tile.panels);
    for (int64_t n = 0; n < tile.panels; ++n) {
      Tile panel = tile;
      panel.panel = add(tile.panel, constant(n)), panel.panels = 1;
      TileEvaluator part(builder, kernel, buffers, panel);
      SmallVector<Value> sums = ProjectionSums(builder, loc, part, buffers, panel, first, form, panelsOfGroup).run();
      for (auto [m, sum] : llvm::enumerate(sums))
        results[int64_t(m) * tile.panels + n] = sum;
    }
    return define(first.getResult(), std::move(results));
  }
  SmallVector<LinearOp> linears;
  for (Operation *op : ops)
    if (auto linear = dyn_cast<LinearOp>(op); linear && linear.getX() == first.getX() && formOf(linear) == form)
      linears.push_back(linear);
  SmallVector<Value> results = ProjectionSums(builder, loc, *this, buffers, tile, linears, form, panelsOfGroup).run();
  int64_t sums = tile.rows * tile.panels;
  for (auto [l, linear] : llvm::enumerate(linears))
    define(linear.getResult(), SmallVector<Value>(ArrayRef(results).slice(l * sums, sums)));
}
