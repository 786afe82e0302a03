//===- KernelToCpu.cpp - kernels to functions over vectors and loops ---------------------------------------------===//
//
// Three shapes of kernels: whole rows, for those with a norm of their own values; tiles of rows by panels, panels outside, for
// those with projections, and rows outside for all others; and in front of projections, if something is computed on the way into
// them, a pass that fills scratch rows.

#include "../Transforms/KernelMerge.h"
#include "MatrixTiles.h"
#include "Prologue.h"
#include "TileEvaluator.h"
#include "sm1c/Lowering/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/FormatVariadic.h"

namespace sm1 {
#define GEN_PASS_DEF_KERNELTOCPU
#include "sm1c/Lowering/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

namespace {
/// Builds the function of one kernel.
class KernelFunction {
public:
  KernelFunction(OpBuilder &builder, KernelOp kernel) : builder(builder), loc(kernel.getLoc()), kernel(kernel) {}

  func::FuncOp build();
  int64_t scratchBytes() const { return scratchFloats * sizeof(float); }

private:
  using RowBody = llvm::function_ref<void(TileEvaluator &)>;

  void planScratch();
  ScratchRegion reserve(int64_t stride, int64_t count);
  void planPrologue(Value x);
  void buildPrologue(Value x);
  void buildWholeRows();
  /// Rows and panels of the task that are covered in one way.
  struct Part {
    Value rowBegin, rowEnd, panelBegin, panelEnd;
  };
  void buildTiles();
  Part buildMatrixBlocks();
  /// Whole blocks of `rows` rows of `part`; returns the end of the last.
  Value buildMatrixBlocks(const Part &part, int64_t rows);
  void buildMatrixBlock(MatrixTiles &tiles, int64_t rows, Value row, Value panel);
  void buildPart(const Part &part);
  void buildRowsOf(const Part &part, Value panel, int64_t panels);
  void buildStreams();
  void buildInvariants();
  void buildTile(Tile tile);
  /// Evaluates `ops` for all panels of one row, and calls `done` for each group of panels with everything known. A norm among them
  /// takes two walks over the row; `beforeNorm` is called in the first, with what its input needs known.
  void buildRow(ArrayRef<Operation *> ops, Value row, int64_t width, RowBody beforeNorm, RowBody done);
  Value buildSquares(ArrayRef<Operation *> earlier, RmsNormOp norm, Value row, int64_t width, RowBody beforeNorm);
  Value walkRow(int64_t width, Value carried, llvm::function_ref<Value(Value panel, int64_t panels, Value carried)> body);
  Value inverseRms(RmsNormOp norm, Value squares);
  void storeResults(TileEvaluator &evaluator);

  Value constant(int64_t value) { return arith::ConstantIndexOp::create(builder, loc, value); }
  Value indexOf(ScratchRegion region, Value panel, int64_t n);
  void loop(Value begin, Value end, int64_t step, llvm::function_ref<void(Value)> body);

  OpBuilder &builder;
  Location loc;
  KernelOp kernel;
  KernelBuffers buffers;
  SmallVector<Operation *> mainOps;
  SmallVector<Value> prologues;
  /// What is computed from parameters alone, by panel of the task; loops over rows read it.
  SmallVector<std::pair<Value, ScratchRegion>> invariants;
  ScratchRegion normRow, quantisedRow, matrixSums;
  int64_t scratchFloats = 0;
};
} // namespace

func::FuncOp KernelFunction::build() {
  SmallVector<Type> types;
  for (auto [argument, input] : llvm::zip(kernel.getBlock().getArguments(), kernel.getInputs())) {
    auto param = input.getDefiningOp<ParamOp>();
    types.push_back(bufferType(argument.getType(), param ? param.getLayout().value_or("") : ""));
  }
  for (Type type : kernel.getResultTypes())
    types.push_back(bufferType(type, ""));
  auto indices = MemRefType::get({ShapedType::kDynamic}, builder.getI32Type());
  auto floats = MemRefType::get({ShapedType::kDynamic}, builder.getF32Type());
  types.append({indices, indices, indices, floats});
  types.append(4, builder.getIndexType());

  auto function = func::FuncOp::create(builder, loc, kernel.getKernelName(), builder.getFunctionType(types, {}));
  OpBuilder::InsertionGuard guard(builder);
  Block *entry = function.addEntryBlock();
  builder.setInsertionPointToStart(entry);
  size_t next = 0;
  for (auto [argument, input] : llvm::zip(kernel.getBlock().getArguments(), kernel.getInputs())) {
    buffers.inputs[argument] = entry->getArgument(next++);
    if (auto param = input.getDefiningOp<ParamOp>())
      buffers.layouts[argument] = param.getLayout().value_or("");
  }
  for (size_t result = 0; result < kernel.getNumResults(); ++result)
    buffers.results.push_back(entry->getArgument(next++));
  for (Value *field : {&buffers.rowSegment, &buffers.segmentStart, &buffers.selected, &buffers.scratch, &buffers.rowBegin,
                       &buffers.rowEnd, &buffers.panelBegin, &buffers.panelEnd})
    *field = entry->getArgument(next++);

  planScratch();
  for (Value x : prologues)
    buildPrologue(x);
  if (contentsOf(kernel).hasRowNorm)
    buildWholeRows();
  else if (contentsOf(kernel).linears)
    buildTiles();
  else
    buildStreams();
  func::ReturnOp::create(builder, loc);
  return function;
}

ScratchRegion KernelFunction::reserve(int64_t stride, int64_t count) {
  ScratchRegion region{scratchFloats, stride};
  scratchFloats += stride * count;
  return region;
}

/// Splits the body into what runs on the way into projections and the rest, and gives every part its scratch.
void KernelFunction::planScratch() {
  llvm::SmallPtrSet<Operation *, 16> early;
  int64_t panels = strideOf(widthOf(kernel)) / panelWidth;
  for (Operation &op : kernel.getBlock().without_terminator()) {
    if (auto linear = dyn_cast<LinearOp>(op); linear && hasPrologue(linear) && !buffers.prologues.contains(linear.getX())) {
      planPrologue(linear.getX());
      early.insert_range(sliceOf(kernel, linear.getX()));
    }
    if (auto scan = dyn_cast<ScanOp>(op))
      buffers.carries[&op] = reserve(panelWidth * (scan.getForm() == ScanForm::ClosedForm ? 2 : 1), panels);
  }
  for (Operation &op : kernel.getBlock().without_terminator())
    if (!isRowInvariant(&op) && !early.contains(&op))
      mainOps.push_back(&op);
  int64_t widestNorm = 0;
  for (auto norm : kernel.getBlock().getOps<RmsNormOp>())
    widestNorm = std::max(widestNorm, channels(norm.getType()));
  normRow = reserve(strideOf(widestNorm), 1);
  if (kernel.getScheduleAttr().getMatrixRows())
    matrixSums = reserve(MatrixTiles::wordsOf(kernel), 1);
}

void KernelFunction::planPrologue(Value x) {
  PrologueRegion region = prologueRegion(x, buffers);
  static_cast<ScratchRegion &>(region) = reserve(region.stride, kernel.getScheduleAttr().getRowSplit());
  if (region.words == PrologueRegion::Words::Int8 && quantisedRow.stride < region.tail * 4)
    quantisedRow = reserve(region.tail * 4, 1);
  buffers.prologues[x] = region;
  prologues.push_back(x);
}

/// Where panel `panel` + n of the kernel is in a region with 16 floats a panel.
Value KernelFunction::indexOf(ScratchRegion region, Value panel, int64_t n) {
  Value start = arith::MulIOp::create(builder, loc, panel, constant(panelWidth));
  return arith::AddIOp::create(builder, loc, start, constant(region.offset + n * panelWidth));
}

void KernelFunction::loop(Value begin, Value end, int64_t step, llvm::function_ref<void(Value)> body) {
  scf::ForOp::create(builder, loc, begin, end, constant(step), ValueRange(), [&](OpBuilder &, Location, Value index, ValueRange) {
    body(index);
    scf::YieldOp::create(builder, loc);
  });
}

void KernelFunction::storeResults(TileEvaluator &evaluator) {
  for (auto [yielded, buffer] : llvm::zip(kernel.yielded(), buffers.results))
    if (classify(yielded.getType()) == TensorClass::Stream)
      evaluator.store(yielded, buffer);
}

//===----------------------------------------------------------------------===//
// Whole rows
//===----------------------------------------------------------------------===//

/// 1 / sqrt(mean of squares + eps); the 16 partial sums are added pairwise in halves.
Value KernelFunction::inverseRms(RmsNormOp norm, Value squares) {
  for (int64_t half = panelWidth / 2; half >= 1; half /= 2) {
    auto slice = [&](int64_t offset) -> Value {
      return vector::ExtractStridedSliceOp::create(builder, loc, squares, ArrayRef<int64_t>{offset}, ArrayRef<int64_t>{half},
                                                   ArrayRef<int64_t>{1});
    };
    squares = arith::AddFOp::create(builder, loc, slice(0), slice(half));
  }
  Type f32 = builder.getF32Type();
  auto number = [&](double value) -> Value { return arith::ConstantOp::create(builder, loc, builder.getFloatAttr(f32, value)); };
  Value sum = vector::ExtractOp::create(builder, loc, squares, ArrayRef<int64_t>{0});
  Value mean = arith::DivFOp::create(builder, loc, sum, number(channels(norm.getType())));
  Value eps = arith::ConstantOp::create(builder, loc, norm.getEpsAttr());
  Value root = math::SqrtOp::create(builder, loc, arith::AddFOp::create(builder, loc, mean, eps));
  return arith::DivFOp::create(builder, loc, number(1), root);
}

/// Panels of a row that are evaluated at once: independent operations hide the latency of exp and division.
static constexpr int64_t rowPanels = 4;

/// Calls `body` for all panels of a row in order, whole groups first; gives and returns what is carried, which may be nothing.
Value KernelFunction::walkRow(int64_t width, Value carried, llvm::function_ref<Value(Value, int64_t, Value)> body) {
  auto walk = [&](int64_t begin, int64_t end, int64_t step) {
    auto loop =
        scf::ForOp::create(builder, loc, constant(begin), constant(end), constant(step),
                           carried ? ValueRange(carried) : ValueRange(), [&](OpBuilder &, Location, Value panel, ValueRange sum) {
                             Value next = body(panel, step, carried ? sum[0] : Value());
                             scf::YieldOp::create(builder, loc, next ? ValueRange(next) : ValueRange());
                           });
    carried = carried ? loop.getResult(0) : Value();
  };
  int64_t panels = strideOf(width) / panelWidth, grouped = width / panelWidth / rowPanels * rowPanels;
  if (grouped)
    walk(0, grouped, rowPanels);
  if (grouped < panels)
    walk(grouped, panels, 1);
  return carried;
}

/// Puts what `norm` is taken of into scratch; returns the sums of squares of channels j, j + 16, ... for each j, in order.
Value KernelFunction::buildSquares(ArrayRef<Operation *> earlier, RmsNormOp norm, Value row, int64_t width, RowBody beforeNorm) {
  auto vectorType = VectorType::get({panelWidth}, builder.getF32Type());
  Value zero = arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(vectorType, 0.0f));
  return walkRow(width, zero, [&](Value panel, int64_t panels, Value sum) {
    TileEvaluator evaluator(builder, kernel, buffers, {row, panel, 1, panels});
    evaluator.evaluate(earlier);
    beforeNorm(evaluator);
    for (int64_t n = 0; n < panels; ++n) {
      Value x = evaluator.at(norm.getX(), 0, n);
      vector::StoreOp::create(builder, loc, x, buffers.scratch, indexOf(normRow, panel, n));
      if (width % panelWidth && panels == 1) { // what lies in a row's padding must not count
        Value left = arith::SubIOp::create(builder, loc, constant(width), evaluator.firstColumn());
        Value mask = vector::CreateMaskOp::create(builder, loc, VectorType::get({panelWidth}, builder.getI1Type()), left);
        x = arith::SelectOp::create(builder, loc, mask, x, zero);
      }
      sum = vector::FMAOp::create(builder, loc, x, x, sum);
    }
    return sum;
  });
}

void KernelFunction::buildRow(ArrayRef<Operation *> ops, Value row, int64_t width, RowBody beforeNorm, RowBody done) {
  RmsNormOp norm = normIn(ops);
  SmallVector<Operation *> later(ops);
  auto vectorType = VectorType::get({panelWidth}, builder.getF32Type());
  Value inverse;
  if (norm) {
    SmallVector<Operation *> earlier = sliceOf(kernel, norm.getX());
    llvm::erase_if(later, [&](Operation *op) { return op == norm || llvm::is_contained(earlier, op); });
    Value squares = buildSquares(earlier, norm, row, width, beforeNorm);
    inverse = vector::BroadcastOp::create(builder, loc, vectorType, inverseRms(norm, squares));
  }
  walkRow(width, Value(), [&](Value panel, int64_t panels, Value) {
    TileEvaluator evaluator(builder, kernel, buffers, {row, panel, 1, panels});
    if (norm) {
      SmallVector<Value> normed;
      for (int64_t n = 0; n < panels; ++n) {
        Value x = vector::LoadOp::create(builder, loc, vectorType, buffers.scratch, indexOf(normRow, panel, n));
        Value scaled = arith::MulFOp::create(builder, loc, x, inverse);
        normed.push_back(arith::MulFOp::create(builder, loc, scaled, evaluator.at(norm.getWeight(), 0, n)));
      }
      evaluator.define(norm, std::move(normed));
    }
    evaluator.evaluate(later);
    done(evaluator);
    return Value();
  });
}

void KernelFunction::buildPrologue(Value x) {
  const PrologueRegion &region = buffers.prologues[x];
  bool quantises = region.words == PrologueRegion::Words::Int8;
  int64_t width = channels(x.getType());
  loop(buffers.rowBegin, buffers.rowEnd, 1, [&](Value row) {
    Value taskRow = arith::SubIOp::create(builder, loc, row, buffers.rowBegin);
    Value start = arith::AddIOp::create(builder, loc, arith::MulIOp::create(builder, loc, taskRow, constant(region.stride)),
                                        constant(region.offset));
    Value floats = quantises ? constant(quantisedRow.offset) : start;
    buildRow(
        sliceOf(kernel, x), row, width, [](TileEvaluator &) {},
        [&](TileEvaluator &evaluator) {
          for (int64_t n = 0; n < evaluator.panels(); ++n) {
            Value column = arith::AddIOp::create(builder, loc, evaluator.firstColumn(), constant(n * panelWidth));
            storePrologue(builder, loc, evaluator.at(x, 0, n), buffers.scratch, floats, column, region.words);
          }
        });
    if (quantises)
      quantiseRow(builder, loc, buffers.scratch, floats, start, width, region);
  });
}

void KernelFunction::buildWholeRows() {
  // A result that the norm's input needs is stored in the first walk, the others in the second.
  auto storeDefined = [&](TileEvaluator &evaluator) {
    for (auto [yielded, buffer] : llvm::zip(kernel.yielded(), buffers.results))
      if (classify(yielded.getType()) == TensorClass::Stream && evaluator.isDefined(yielded))
        evaluator.store(yielded, buffer);
  };
  loop(buffers.rowBegin, buffers.rowEnd, 1,
       [&](Value row) { buildRow(mainOps, row, widthOf(kernel), storeDefined, storeDefined); });
}

//===----------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------===//

/// What fills blocks of tile registers first, then the rest: the remaining panels of those rows, and the remaining rows.
void KernelFunction::buildTiles() {
  Part all{buffers.rowBegin, buffers.rowEnd, buffers.panelBegin, buffers.panelEnd};
  if (!kernel.getScheduleAttr().getMatrixRows())
    return buildPart(all);
  Part done = buildMatrixBlocks();
  loop(constant(0), constant(2), 1, [&](Value second) {
    Value isFirst = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, second, constant(0));
    auto choose = [&](Value first, Value other) -> Value { return arith::SelectOp::create(builder, loc, isFirst, first, other); };
    buildPart(
        {choose(all.rowBegin, done.rowEnd), choose(done.rowEnd, all.rowEnd), choose(done.panelEnd, all.panelBegin), all.panelEnd});
  });
}

/// The end of the last whole step of `step` between begin and end.
static Value wholeEnd(OpBuilder &builder, Location loc, Value begin, Value end, Value step) {
  Value count = arith::SubIOp::create(builder, loc, end, begin);
  Value rest = arith::RemUIOp::create(builder, loc, count, step);
  return arith::SubIOp::create(builder, loc, end, rest);
}

/// Blocks as large as the schedule says, then of 16 rows and of 8, which a batch of 8 fills.
KernelFunction::Part KernelFunction::buildMatrixBlocks() {
  ScheduleAttr schedule = kernel.getScheduleAttr();
  Value panelEnd = wholeEnd(builder, loc, buffers.panelBegin, buffers.panelEnd, constant(schedule.getMatrixPanels()));
  Part part{buffers.rowBegin, buffers.rowEnd, buffers.panelBegin, panelEnd};
  part.rowBegin = buildMatrixBlocks(part, schedule.getMatrixRows());
  for (int64_t rows : {tileRows, tileRows / 2})
    if (schedule.getMatrixRows() > rows)
      part.rowBegin = buildMatrixBlocks(part, rows);
  return {buffers.rowBegin, part.rowBegin, buffers.panelBegin, panelEnd};
}

Value KernelFunction::buildMatrixBlocks(const Part &part, int64_t rows) {
  int64_t panels = kernel.getScheduleAttr().getMatrixPanels();
  Value end = wholeEnd(builder, loc, part.rowBegin, part.rowEnd, constant(rows));
  Value some = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ugt, end, part.rowBegin);
  auto branch = scf::IfOp::create(builder, loc, some, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(branch.thenBlock());
  MatrixTiles tiles(builder, kernel, buffers, rows, matrixSums.offset);
  tiles.configure();
  loop(part.panelBegin, part.panelEnd, panels,
       [&](Value panel) { loop(part.rowBegin, end, rows, [&](Value row) { buildMatrixBlock(tiles, rows, row, panel); }); });
  tiles.release();
  return end;
}

/// Four rows at a time hide the latency of what follows the sums.
void KernelFunction::buildMatrixBlock(MatrixTiles &tiles, int64_t rows, Value row, Value panel) {
  constexpr int64_t rowsTogether = 4;
  tiles.sum(row, panel);
  loop(constant(0), constant(rows), rowsTogether, [&](Value inside) {
    Value first = arith::AddIOp::create(builder, loc, row, inside);
    Tile tile{first, panel, rowsTogether, kernel.getScheduleAttr().getMatrixPanels()};
    TileEvaluator evaluator(builder, kernel, buffers, tile);
    tiles.define(evaluator, tile, inside);
    evaluator.evaluate(mainOps);
    storeResults(evaluator);
  });
}

/// Groups of panels outside, so that a group of weights is read from memory once for all rows of the task. What is left of the
/// panels goes in groups of half as many, and so on, down to what divides every task.
void KernelFunction::buildPart(const Part &part) {
  int64_t panels = strideOf(widthOf(kernel)) / panelWidth, split = kernel.getScheduleAttr().getPanelSplit();
  Value begin = part.panelBegin;
  for (int64_t group = kernel.getScheduleAttr().getSingleRowPanels(); group > 0; group /= 2) {
    bool isLast = panels % group == 0 && split % group == 0;
    Value whole = isLast ? part.panelEnd : wholeEnd(builder, loc, begin, part.panelEnd, constant(group));
    loop(begin, whole, group, [&](Value panel) { buildRowsOf(part, panel, group); });
    if (isLast)
      break;
    begin = whole;
  }
}

void KernelFunction::buildRowsOf(const Part &part, Value panel, int64_t panels) {
  ScheduleAttr schedule = kernel.getScheduleAttr();
  int64_t rowTile = schedule.getRowTile(), panelTile = std::min(panels, schedule.getPanelTile());
  while (panels % panelTile)
    --panelTile;
  Value begin = part.rowBegin;
  // Half of a large tile, too: weights would pass by seven times for a batch of 7.
  for (int64_t rows : {rowTile, rowTile >= 6 ? rowTile / 2 : 1}) {
    if (rows == 1)
      continue;
    Value whole = wholeEnd(builder, loc, begin, part.rowEnd, constant(rows));
    loop(begin, whole, rows, [&](Value row) {
      Value end = arith::AddIOp::create(builder, loc, panel, constant(panels));
      loop(panel, end, panelTile, [&](Value first) { buildTile({row, first, rows, panelTile}); });
    });
    begin = whole;
  }
  loop(begin, part.rowEnd, 1, [&](Value row) { buildTile({row, panel, 1, panels}); });
}

void KernelFunction::buildTile(Tile tile) {
  TileEvaluator evaluator(builder, kernel, buffers, tile);
  for (auto [value, region] : invariants) {
    SmallVector<Value> vectors;
    for (int64_t n = 0; n < tile.panels; ++n)
      vectors.push_back(vector::LoadOp::create(builder, loc, VectorType::get({panelWidth}, getElementTypeOrSelf(value)),
                                               buffers.scratch, indexOf(region, tile.panel, n)));
    evaluator.define(value, std::move(vectors));
  }
  evaluator.evaluate(mainOps);
  storeResults(evaluator);
}

//===----------------------------------------------------------------------===//
// Streams
//===----------------------------------------------------------------------===//

/// Computes what is the same for every row but takes arithmetic, such as the exp of a parameter, for all panels of the task.
void KernelFunction::buildInvariants() {
  for (Operation *op : mainOps)
    for (Value operand : op->getOperands()) {
      while (auto broadcast = operand.getDefiningOp<BroadcastOp>())
        operand = broadcast.getValue();
      Operation *source = operand.getDefiningOp();
      if (source && isRowInvariant(source) && !source->hasTrait<OpTrait::ConstantLike>() &&
          isa<RankedTensorType>(operand.getType()) && !llvm::is_contained(llvm::make_first_range(invariants), operand))
        invariants.push_back({operand, reserve(strideOf(widthOf(kernel)), 1)});
    }
  if (!invariants.empty())
    loop(buffers.panelBegin, buffers.panelEnd, 1, [&](Value panel) {
      TileEvaluator evaluator(builder, kernel, buffers, {buffers.rowBegin, panel});
      for (auto [value, region] : invariants)
        vector::StoreOp::create(builder, loc, evaluator.at(value, 0, 0), buffers.scratch, indexOf(region, panel, 0));
    });
}

/// Rows outside, so that memory is read in the order it has; what a scan carries waits in scratch, which the first cache holds.
void KernelFunction::buildStreams() {
  buildInvariants();
  int64_t rowTile = kernel.getScheduleAttr().getRowTile(), panelTile = kernel.getScheduleAttr().getPanelTile();
  Value wholePanels = wholeEnd(builder, loc, buffers.panelBegin, buffers.panelEnd, constant(panelTile));
  auto walk = [&](Value begin, Value end, int64_t rows) {
    // A task may have a part of each row only, and what it reads next then is in other pages: the hardware does not foresee it.
    auto tile = [&](Value row, Value panel, int64_t panels) {
      buildTile({row, panel, rows, panels, panelWidth, /*rowEnd=*/{}, /*fetchedAhead=*/rows});
    };
    loop(begin, end, rows, [&](Value row) {
      loop(buffers.panelBegin, wholePanels, panelTile, [&](Value panel) { tile(row, panel, panelTile); });
      if (panelTile > 1)
        loop(wholePanels, buffers.panelEnd, 1, [&](Value panel) { tile(row, panel, 1); });
    });
  };
  Value wholeRows = wholeEnd(builder, loc, buffers.rowBegin, buffers.rowEnd, constant(rowTile));
  walk(buffers.rowBegin, wholeRows, rowTile);
  if (rowTile > 1)
    walk(wholeRows, buffers.rowEnd, 1);
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

/// Why no function can be built for `kernel`; empty if one can.
static std::string whyNot(KernelOp kernel) {
  if (!kernel.getSchedule())
    return "has no schedule; run sm1-schedule-for-cpu first";
  if (!kernel->getParentOfType<LaunchOp>())
    return "stands outside sm1.launch; run sm1-schedule-for-cpu first";
  KernelContents contents = contentsOf(kernel);
  if (contents.hasRowNorm && (contents.linears || contents.scans || kernel.getScheduleAttr().getPanelSplit()))
    return "has a norm of its own values, which needs whole rows: no projection, no scan, panel_split = 0";
  if (contents.scans && kernel.getScheduleAttr().getRowSplit())
    return "has a scan, which walks all rows: row_split must be 0";
  if (contents.hasPrologue && !kernel.getScheduleAttr().getRowSplit())
    return "computes what its projections multiply, for which row_split must bound the scratch";
  if (kernel.getScheduleAttr().getMatrixRows())
    if (const char *why = whyNotMatrixTiles(kernel))
      return std::string("cannot take matrix_rows: ") + why;
  for (Value yielded : kernel.yielded())
    if (isa<BlockArgument>(yielded))
      return "yields what it reads";
  return whyNotBody(kernel);
}

namespace {
struct KernelToCpu : sm1::impl::KernelToCpuBase<KernelToCpu> {
  void runOnOperation() override {
    SmallVector<KernelOp> kernels;
    getOperation()->walk([&](KernelOp kernel) { kernels.push_back(kernel); });
    OpBuilder builder(&getContext());
    for (KernelOp kernel : kernels) {
      if (std::string why = whyNot(kernel); !why.empty()) {
        kernel.emitOpError() << why;
        return signalPassFailure();
      }
      builder.setInsertionPoint(kernel->getParentOfType<ModelOp>());
      KernelFunction function(builder, kernel);
      function.build();
      dispatch(builder, kernel, function.scratchBytes());
    }
  }

  void dispatch(OpBuilder &builder, KernelOp kernel, int64_t scratchBytes) {
    builder.setInsertionPoint(kernel);
    int64_t panels = strideOf(widthOf(kernel)) / panelWidth;
    auto dispatch =
        DispatchOp::create(builder, kernel.getLoc(), kernel.getResultTypes(), kernel.getKernelName(), kernel.getInputs(),
                           kernel.getScheduleAttr(), BlockScheduleAttr(), kernel.getSelected(), panels, scratchBytes);
    kernel.replaceAllUsesWith(dispatch.getResults());
    kernel.erase();
  }
};
} // namespace
