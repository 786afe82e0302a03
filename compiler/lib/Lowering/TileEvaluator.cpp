//===- TileEvaluator.cpp - the operations of a kernel on a tile of rows and panels -------------------------------===//

#include "TileEvaluator.h"

#include "../Transforms/KernelMerge.h"
#include "StoredValue.h"
#include "sm1/IR/Sm1NormHalves.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace sm1;

SmallVector<Operation *> sm1::sliceOf(KernelOp kernel, Value value) {
  llvm::SmallPtrSet<Operation *, 16> needed;
  SmallVector<Value> pending{value};
  while (!pending.empty()) {
    Operation *op = pending.pop_back_val().getDefiningOp();
    if (op && !isRowInvariant(op) && needed.insert(op).second)
      llvm::append_range(pending, op->getOperands());
  }
  SmallVector<Operation *> slice;
  for (Operation &op : kernel.getBlock())
    if (needed.contains(&op))
      slice.push_back(&op);
  return slice;
}

RmsNormOp sm1::normIn(ArrayRef<Operation *> ops) {
  for (Operation *op : ops)
    if (auto norm = dyn_cast<RmsNormOp>(op))
      return norm;
  return {};
}

/// The operands of `op` that are read from memory by index, not as a tile.
static SmallVector<Value> indexedOperands(Operation *op) {
  if (auto linear = dyn_cast<LinearOp>(op))
    return linear.getScales() ? SmallVector<Value>{linear.getWeight(), linear.getScales()} : SmallVector<Value>{linear.getWeight()};
  if (auto conv = dyn_cast<Conv1dOp>(op)) {
    // A step of one row looks back on taps alone; the forms of GPUs that have it among projections see to that.
    bool isComputed = !isa<BlockArgument>(storedValue(conv.getX())) && op->getParentOfType<KernelOp>().getBlocks();
    return isComputed ? SmallVector<Value>{conv.getWeight(), conv.getTaps()}
                      : SmallVector<Value>{storedValue(conv.getX()), conv.getWeight(), conv.getTaps()};
  }
  if (auto scale = dyn_cast<RmsScaleOp>(op))
    return {scale.getSquares()};
  if (auto scan = dyn_cast<ScanOp>(op))
    return scan.getInit() ? SmallVector<Value>{scan.getInit()} : SmallVector<Value>{};
  if (auto scan = dyn_cast<SelectiveScanOp>(op)) {
    SmallVector<Value> indexed{scan.getB(), scan.getC()};
    if (scan.getInit())
      indexed.push_back(scan.getInit());
    return indexed;
  }
  if (isa<EmbeddingOp, SplitOp, SelectRowsOp>(op))
    return llvm::to_vector(op->getOperands());
  return {};
}

std::string sm1::whyNotBody(KernelOp kernel) {
  for (Operation &op : kernel.getBlock()) {
    for (Value operand : indexedOperands(&op))
      if (!isa<BlockArgument>(operand))
        return (op.getName().getStringRef() +
                " reads from memory what the kernel computes itself; make it a parameter or a kernel of its own")
            .str();
    auto constant = dyn_cast<arith::ConstantOp>(op);
    auto dense = constant ? dyn_cast<DenseElementsAttr>(constant.getValue()) : DenseElementsAttr();
    if (dense && !dense.isSplat())
      return "holds a constant of different values; make it a parameter";
  }
  for (auto [type, yielded] : llvm::zip(kernel.getResultTypes(), kernel.yielded()))
    if (channels(type) != widthOf(kernel) && !yielded.getDefiningOp<PanelSquaresOp>())
      return llvm::formatv("has results of {0} and {1} channels; a kernel has one width", widthOf(kernel), channels(type)).str();
  return "";
}

TileEvaluator::TileEvaluator(OpBuilder &builder, KernelOp kernel, const KernelBuffers &buffers, Tile tile)
    : builder(builder), loc(kernel.getLoc()), kernel(kernel), buffers(buffers), tile(tile) {}

void TileEvaluator::evaluate(ArrayRef<Operation *> ops) {
  for (Operation *op : ops) {
    loc = op->getLoc();
    if (auto linear = dyn_cast<LinearOp>(op)) {
      if (!isDefined(linear.getResult()))
        evaluateLinears(linear, ops);
    } else
      evaluateOne(op);
  }
}

/// For each row and panel of the tile a number: what it has of their squares.
static SmallVector<Value> squaresOf(TileEvaluator &at, OpBuilder &builder, PanelSquaresOp op, const Tile &tile) {
  Location loc = op.getLoc();
  int64_t width = channels(op.getX().getType());
  SmallVector<Value> sums;
  for (int64_t m = 0; m < tile.rows; ++m)
    for (int64_t n = 0; n < tile.panels; ++n) {
      Value x = at.at(op.getX(), m, n), sum = arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(0));
      if (width % panelWidth) { // what lies in a row's padding must not count
        Value left = arith::SubIOp::create(builder, loc, at.constant(width), at.column(n));
        Value mask = vector::CreateMaskOp::create(builder, loc, at.vectorOf(builder.getI1Type()), left);
        x = arith::SelectOp::create(builder, loc, mask, x, at.splat(0));
      }
      for (int64_t i = 0; i < tile.lanes; ++i) {
        Value one = vector::ExtractOp::create(builder, loc, x, ArrayRef<int64_t>{i});
        sum = math::FmaOp::create(builder, loc, one, one, sum);
      }
      sums.push_back(sum);
    }
  return sums;
}

/// The factors, one for each row of the block, are found by the operation's result.
static SmallVector<Value> scaled(TileEvaluator &at, OpBuilder &builder, RmsScaleOp op, const Tile &tile,
                                 const KernelBuffers &buffers) {
  Location loc = op.getLoc();
  Value factors = buffers.inputs.lookup(op.getResult());
  SmallVector<Value> vectors;
  for (int64_t m = 0; m < tile.rows; ++m) {
    Value own = arith::SubIOp::create(builder, loc, at.row(m), buffers.rowBegin);
    Value factor = vector::BroadcastOp::create(builder, loc, at.vectorOf(builder.getF32Type()),
                                               memref::LoadOp::create(builder, loc, factors, own));
    for (int64_t n = 0; n < tile.panels; ++n)
      vectors.push_back(arith::MulFOp::create(builder, loc, at.at(op.getX(), m, n), factor));
  }
  return vectors;
}

void TileEvaluator::evaluateOne(Operation *op) {
  if (auto broadcast = dyn_cast<BroadcastOp>(op))
    evaluateBroadcast(broadcast);
  else if (auto conv = dyn_cast<Conv1dOp>(op))
    evaluateConv(conv);
  else if (auto scan = dyn_cast<ScanOp>(op))
    evaluateScan(scan);
  else if (auto selective = dyn_cast<SelectiveScanOp>(op))
    evaluateSelectiveScan(selective);
  else if (auto squares = dyn_cast<PanelSquaresOp>(op))
    define(squares.getResult(), squaresOf(*this, builder, squares, tile));
  else if (auto scale = dyn_cast<RmsScaleOp>(op))
    define(scale.getResult(), scaled(*this, builder, scale, tile, buffers));
  else if (auto split = dyn_cast<SplitOp>(op))
    evaluateSplit(split);
  else if (auto embedding = dyn_cast<EmbeddingOp>(op))
    evaluateGather(op, embedding.getTable(), buffers.inputs.lookup(embedding.getTokens()));
  else if (auto select = dyn_cast<SelectRowsOp>(op))
    evaluateGather(op, select.getX(), buffers.selected);
  else
    evaluateElementwise(op);
}

Value TileEvaluator::at(Value value, int64_t m, int64_t n) {
  if (!isDefined(value)) {
    if (isa<BlockArgument>(value))
      loadArgument(value);
    else
      evaluateOne(value.getDefiningOp());
  }
  ArrayRef<Value> vectors = values.find(value)->second;
  if (vectors.size() == 1)
    return vectors[0];
  return int64_t(vectors.size()) == tile.panels ? vectors[n] : vectors[m * tile.panels + n];
}

//===----------------------------------------------------------------------===//
// Small things
//===----------------------------------------------------------------------===//

/// Rows and states start on 64 bytes, so a thread's part of them lies on a multiple of its size; LLVM for GPUs has to be told.
llvm::MaybeAlign TileEvaluator::alignmentOf(Type element) {
  if (tile.lanes == panelWidth)
    return {};
  return llvm::Align(tile.lanes * element.getIntOrFloatBitWidth() / 8);
}

Value TileEvaluator::constant(int64_t value) { return arith::ConstantIndexOp::create(builder, loc, value); }

Value TileEvaluator::splat(float value, Type element) {
  if (!element)
    element = builder.getF32Type();
  return arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(vectorOf(element), builder.getFloatAttr(element, value)));
}

Value TileEvaluator::add(Value a, Value b) { return builder.createOrFold<arith::AddIOp>(loc, a, b); }

Value TileEvaluator::row(int64_t m) {
  Value row = add(tile.row, constant(m));
  if (!tile.rowEnd)
    return row;
  Value last = arith::SubIOp::create(builder, loc, tile.rowEnd, constant(1));
  return arith::MinSIOp::create(builder, loc, row, last);
}

Value TileEvaluator::columnOf(Value panel, int64_t n) {
  return builder.createOrFold<arith::MulIOp>(loc, add(panel, constant(n * tile.panelStep)), constant(tile.lanes));
}

Value TileEvaluator::column(int64_t n) { return columnOf(tile.panel, n); }

Value TileEvaluator::loadVector(Value buffer, ValueRange indices) {
  Type element = cast<MemRefType>(buffer.getType()).getElementType();
  return vector::LoadOp::create(builder, loc, vectorOf(element), buffer, indices, /*nontemporal=*/false, alignmentOf(element));
}

Value TileEvaluator::loadOfRow(Value buffer, int64_t m, int64_t n) {
  fetchAhead(buffer, m, n, /*isWrite=*/false);
  return loadVector(buffer, {row(m), column(n)});
}

void TileEvaluator::fetchAhead(Value buffer, int64_t m, int64_t n, bool isWrite) {
  if (!tile.fetchedRow)
    return;
  Value row = add(tile.fetchedRow, constant(m)), column = columnOf(tile.fetchedPanel, n);
  memref::PrefetchOp::create(builder, loc, buffer, ValueRange{row, column}, isWrite, /*localityHint=*/2, /*isDataCache=*/true);
}

Value TileEvaluator::loadIndex(Value buffer, Value position) {
  Value loaded = memref::LoadOp::create(builder, loc, buffer, position);
  return arith::IndexCastOp::create(builder, loc, builder.getIndexType(), loaded);
}

Value TileEvaluator::widen(Value value) {
  if (getElementTypeOrSelf(value).isF32())
    return value;
  Type f32 = builder.getF32Type();
  return arith::ExtFOp::create(builder, loc, isa<VectorType>(value.getType()) ? Type(vectorOf(f32)) : f32, value);
}

SmallVector<Value> TileEvaluator::resultBuffers(Value value) {
  SmallVector<Value> found;
  for (auto [index, yielded] : llvm::enumerate(kernel.yielded()))
    if (yielded == value)
      found.push_back(buffers.results[index]);
  return found;
}

void TileEvaluator::when(Value condition, llvm::function_ref<void()> body) {
  auto branch = scf::IfOp::create(builder, loc, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(branch.thenBlock());
  body();
}

TileEvaluator::RowPosition TileEvaluator::positionOf(int64_t m) {
  RowPosition position;
  position.row = row(m);
  if (buffers.oneRowPerSegment) {
    position.segment = position.start = position.row;
    position.isStart = position.isLast = arith::ConstantIntOp::create(builder, loc, 1, 1);
    return position;
  }
  position.segment = loadIndex(buffers.rowSegment, tile.oneSegment ? row(0) : position.row);
  position.start = loadIndex(buffers.segmentStart, position.segment);
  Value end = loadIndex(buffers.segmentStart, add(position.segment, constant(1)));
  position.isStart = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, position.row, position.start);
  position.isLast = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, add(position.row, constant(1)), end);
  return position;
}

//===----------------------------------------------------------------------===//
// Loads, elementwise, broadcast, split, gathers
//===----------------------------------------------------------------------===//

void TileEvaluator::loadArgument(Value argument) {
  Value buffer = buffers.inputs.lookup(argument);
  SmallVector<Value> vectors;
  if (classify(argument.getType()) == TensorClass::Param)
    for (int64_t n = 0; n < tile.panels; ++n)
      vectors.push_back(loadVector(buffer, column(n)));
  else
    for (int64_t m = 0; m < tile.rows; ++m)
      for (int64_t n = 0; n < tile.panels; ++n)
        vectors.push_back(loadOfRow(buffer, m, n));
  define(argument, std::move(vectors));
}

void TileEvaluator::evaluateBroadcast(BroadcastOp op) {
  if (isa<RankedTensorType>(op.getValue().getType())) {
    at(op.getValue(), 0, 0);
    return define(op.getResult(), values.find(op.getValue())->second);
  }
  Value vector = vector::BroadcastOp::create(builder, loc, vectorOf(builder.getF32Type()), at(op.getValue(), 0, 0));
  define(op.getResult(), {vector});
}

/// Whether one instruction rounds the result of `op` from f32 to bf16: who has tile registers has it. As they do, it takes
/// denormals as zero.
static bool roundsAtOnce(Operation *op, KernelOp kernel) {
  return isa<arith::TruncFOp>(op) && getElementTypeOrSelf(op->getResult(0)).isBF16() &&
         getElementTypeOrSelf(op->getOperand(0)).isF32() && kernel.getSchedule() && kernel.getScheduleAttr().getMatrixRows();
}

/// An empty piece of assembly hides that these are bf16, whose stores LLVM's code generation would not take around the caches.
static Value roundAtOnce(OpBuilder &builder, Location loc, Value x) {
  Type halves = VectorType::get({panelWidth}, builder.getI16Type()), rounded = VectorType::get({panelWidth}, builder.getBF16Type());
  StringAttr name = builder.getStringAttr("llvm.x86.avx512bf16.cvtneps2bf16.512");
  Value result = LLVM::CallIntrinsicOp::create(builder, loc, rounded, name, x).getResults();
  Value bits = vector::BitCastOp::create(builder, loc, halves, result);
  bits = LLVM::InlineAsmOp::create(builder, loc, halves, bits, "", "=v,0", /*has_side_effects=*/false, /*is_align_stack=*/false,
                                   LLVM::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr())
             .getResult(0);
  return vector::BitCastOp::create(builder, loc, rounded, bits);
}

Operation *TileEvaluator::copyOnVectors(Operation *op, ValueRange operands) {
  auto vectorType = [&](Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    return tensor ? Type(vectorOf(tensor.getElementType())) : type;
  };
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
    TypedAttr value =
        dense ? TypedAttr(dense.resizeSplat(cast<ShapedType>(vectorType(op->getResult(0).getType())))) : constant.getValue();
    return arith::ConstantOp::create(builder, loc, value);
  }
  OperationState state(loc, op->getName());
  state.addOperands(operands);
  state.addTypes(llvm::map_to_vector(op->getResultTypes(), vectorType));
  state.addAttributes(op->getAttrs());
  return builder.create(state);
}

void TileEvaluator::evaluateElementwise(Operation *op) {
  size_t count = 1;
  for (Value operand : op->getOperands()) {
    at(operand, 0, 0);
    count = std::max(count, values.find(operand)->second.size());
  }
  SmallVector<SmallVector<Value>> results(op->getNumResults());
  for (size_t i = 0; i < count; ++i) {
    auto operands =
        llvm::map_to_vector(op->getOperands(), [&](Value operand) { return at(operand, i / tile.panels, i % tile.panels); });
    if (roundsAtOnce(op, kernel))
      results[0].push_back(roundAtOnce(builder, loc, operands[0]));
    else
      for (auto [index, result] : llvm::enumerate(copyOnVectors(op, operands)->getResults()))
        results[index].push_back(result);
  }
  for (auto [result, vectors] : llvm::zip(op->getResults(), results))
    define(result, std::move(vectors));
}

void TileEvaluator::evaluateSplit(SplitOp op) {
  Value x = buffers.inputs.lookup(op.getX());
  int64_t offset = 0;
  for (Value part : op.getParts()) {
    int64_t width = channels(part.getType());
    SmallVector<Value> vectors;
    for (int64_t m = 0; m < tile.rows; ++m)
      for (int64_t n = 0; n < tile.panels; ++n) {
        // A part may start in the middle of a panel, and its last panel may reach past the row: only its own channels are read.
        Value left = arith::SubIOp::create(builder, loc, constant(width), column(n));
        Value mask = vector::CreateMaskOp::create(builder, loc, vectorOf(builder.getI1Type()), left);
        Type element = cast<MemRefType>(x.getType()).getElementType();
        vectors.push_back(vector::MaskedLoadOp::create(
            builder, loc, vectorOf(element), x, ValueRange{row(m), add(column(n), constant(offset))}, mask, splat(0, element)));
      }
    define(part, std::move(vectors));
    offset += width;
  }
}

void TileEvaluator::evaluateGather(Operation *op, Value source, Value indices) {
  Value buffer = buffers.inputs.lookup(source);
  SmallVector<Value> vectors;
  for (int64_t m = 0; m < tile.rows; ++m) {
    Value index = loadIndex(indices, row(m));
    for (int64_t n = 0; n < tile.panels; ++n)
      vectors.push_back(loadVector(buffer, {index, column(n)}));
  }
  define(op->getResult(0), std::move(vectors));
}

//===----------------------------------------------------------------------===//
// Recurrences
//===----------------------------------------------------------------------===//

void TileEvaluator::evaluateConv(Conv1dOp op) {
  Value stored = storedValue(op.getX()), taps = buffers.inputs.lookup(op.getTaps());
  Value x = isa<BlockArgument>(stored) ? buffers.inputs.lookup(stored) : Value(); // null: computed here
  SmallVector<Value> lasts = resultBuffers(op.getLast());
  int64_t taken = cast<RankedTensorType>(op.getWeight().getType()).getDimSize(2);
  auto weightAt = [&, weight = buffers.inputs.lookup(op.getWeight())](int64_t j, int64_t n) {
    return isDefined(op.getWeight()) ? at(op.getWeight(), j, n) : loadVector(weight, {constant(j), column(n)});
  };
  SmallVector<Value> vectors;
  for (int64_t m = 0; m < tile.rows; ++m) {
    RowPosition position = positionOf(m);
    SmallVector<Value> window; // what has been loaded ahead, if so
    for (int64_t i = 0; isDefined(op.getTaps()) && i < (taken - 1) * tile.panels; ++i)
      window.push_back(at(op.getTaps(), i / tile.panels, i % tile.panels));
    if (window.empty())
      window = rowsBefore(m, position, x, taps, taken);
    for (int64_t n = 0; n < tile.panels; ++n)
      window.push_back(x ? widen(loadVector(x, {position.row, column(n)})) : at(op.getX(), m, n));
    for (int64_t n = 0; n < tile.panels; ++n) {
      Value sum = at(op.getBias(), m, n);
      for (int64_t j = 0; j < taken; ++j) {
        Value tap = widen(weightAt(j, n));
        sum = vector::FMAOp::create(builder, loc, tap, window[j * tile.panels + n], sum);
      }
      vectors.push_back(sum);
    }
    if (!lasts.empty() && (!tile.oneSegment || m + 1 == tile.rows))
      when(position.isLast, [&] {
        for (Value last : lasts)
          for (int64_t j = 0; j + 1 < taken; ++j)
            for (int64_t n = 0; n < tile.panels; ++n)
              vector::StoreOp::create(builder, loc, window[(j + 1) * tile.panels + n], last,
                                      ValueRange{position.segment, constant(j), column(n)}, /*nontemporal=*/false,
                                      alignmentOf(builder.getF32Type()));
      });
  }
  define(op.getResult(), std::move(vectors));
}

/// The `taken` - 1 rows of the sequence before row `m`, which is at `position`, oldest first, all panels of each: from this run, or
/// the taps that it came with.
SmallVector<Value> TileEvaluator::rowsBefore(int64_t m, const RowPosition &position, Value x, Value taps, int64_t taken) {
  auto collect = [&](llvm::function_ref<Value(int64_t, int64_t)> load) {
    SmallVector<Value> rows;
    for (int64_t j = 0; j + 1 < taken; ++j)
      for (int64_t n = 0; n < tile.panels; ++n)
        rows.push_back(load(j, n));
    return rows;
  };
  auto fromTaps = [&](Value index, int64_t n) { return loadVector(taps, {position.segment, index, column(n)}); };
  if (buffers.oneRowPerSegment || taken == 1)
    return collect([&](int64_t j, int64_t n) { return fromTaps(constant(j), n); });
  auto rowBefore = [&](int64_t j) -> Value { return arith::SubIOp::create(builder, loc, position.row, constant(taken - 1 - j)); };
  auto fromRun = [&](Value row, int64_t n) { return widen(loadVector(x, {row, column(n)})); };
  if (tile.oneSegment)
    return collect([&](int64_t j, int64_t n) {
      bool isTap = tile.beginsSegment && m + j < taken - 1;
      return isTap ? fromTaps(constant(m + j), n) : fromRun(rowBefore(j), n);
    });
  auto isInside = [&](Value row) -> Value {
    return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::sge, row, position.start);
  };
  auto choose = [&](Value condition, llvm::function_ref<SmallVector<Value>()> yes, llvm::function_ref<SmallVector<Value>()> no) {
    auto choice = scf::IfOp::create(
        builder, loc, condition, [&](OpBuilder &b, Location l) { scf::YieldOp::create(b, l, yes()); },
        [&](OpBuilder &b, Location l) { scf::YieldOp::create(b, l, no()); });
    return SmallVector<Value>(choice.getResults());
  };
  // Nearly all rows have all of them in this run: one branch that a processor foresees.
  return choose(
      isInside(rowBefore(0)), [&] { return collect([&](int64_t j, int64_t n) { return fromRun(rowBefore(j), n); }); },
      [&] {
        return collect([&](int64_t j, int64_t n) {
          Value wanted = rowBefore(j);
          return choose(
              isInside(wanted), [&] { return SmallVector<Value>{fromRun(wanted, n)}; },
              [&] {
                Value age = arith::SubIOp::create(builder, loc, wanted, position.start);
                return SmallVector<Value>{fromTaps(add(age, constant(taken - 1)), n)};
              })[0];
        });
      });
}

/// One step of every row's own segment, from its state to its next; both forms agree on it but for the closed form's quotient.
void TileEvaluator::evaluateScanStep(ScanOp op) {
  SmallVector<Value> vectors;
  for (int64_t m = 0; m < tile.rows; ++m)
    for (int64_t n = 0; n < tile.panels; ++n) {
      Value h0 = op.getInit() ? at(op.getInit(), m, n) : splat(0);
      Value decay = at(op.getDecay(), m, n), input = at(op.getInput(), m, n), h;
      if (op.getForm() == ScanForm::ClosedForm) {
        Value quotient = arith::DivFOp::create(builder, loc, input, arith::MaximumFOp::create(builder, loc, decay, splat(1e-6f)));
        h = arith::MulFOp::create(builder, loc, decay, arith::AddFOp::create(builder, loc, h0, quotient));
      } else {
        h = vector::FMAOp::create(builder, loc, decay, h0, input);
      }
      vectors.push_back(h);
    }
  define(op.getH(), std::move(vectors));
  for (Value last : resultBuffers(op.getLast()))
    store(op.getH(), last);
}

/// Vectors that a scan carries from row to row: h, or the closed form's running product and running sum.
static int64_t carriedParts(ScanOp op) { return op.getForm() == ScanForm::ClosedForm ? 2 : 1; }

Value TileEvaluator::placeOfCarry(ScanOp op, int64_t n, int64_t part) {
  ScratchRegion carry = buffers.carries.lookup(op);
  Value panel = arith::SubIOp::create(builder, loc, add(tile.panel, constant(n)), buffers.panelBegin);
  Value start = arith::MulIOp::create(builder, loc, panel, constant(carry.stride));
  return add(start, constant(carry.offset + part * panelWidth));
}

Value TileEvaluator::initialState(ScanOp op, Value segment, int64_t n) {
  return op.getInit() ? loadVector(buffers.inputs.lookup(op.getInit()), {segment, column(n)}) : splat(0);
}

Value TileEvaluator::carryAtStart(ScanOp op, int64_t part, Value h0) {
  return op.getForm() == ScanForm::ClosedForm ? splat(part == 0 ? 1 : 0) : h0;
}

SmallVector<Value> TileEvaluator::carriedInto(ScanOp op, const RowPosition &position) {
  auto collect = [&](llvm::function_ref<Value(int64_t, int64_t)> vector) {
    SmallVector<Value> vectors;
    for (int64_t n = 0; n < tile.panels; ++n)
      for (int64_t part = 0; part < carriedParts(op); ++part)
        vectors.push_back(vector(n, part));
    return vectors;
  };
  auto atStart = [&](int64_t n, int64_t part) {
    bool readsState = op.getForm() != ScanForm::ClosedForm;
    return carryAtStart(op, part, readsState ? initialState(op, position.segment, n) : Value());
  };
  auto fromScratch = [&](int64_t n, int64_t part) { return loadVector(buffers.scratch, placeOfCarry(op, n, part)); };
  // A branch that a processor foresees, so that no row but a first one reads the state that its sequence came with.
  auto branch = scf::IfOp::create(
      builder, loc, position.isStart, [&](OpBuilder &b, Location l) { scf::YieldOp::create(b, l, collect(atStart)); },
      [&](OpBuilder &b, Location l) { scf::YieldOp::create(b, l, collect(fromScratch)); });
  return SmallVector<Value>(branch.getResults());
}

void TileEvaluator::evaluateScan(ScanOp op) {
  if (buffers.oneRowPerSegment)
    return evaluateScanStep(op);
  bool closedForm = op.getForm() == ScanForm::ClosedForm;
  int64_t parts = carriedParts(op);
  SmallVector<Value> lasts = resultBuffers(op.getLast());
  SmallVector<RowPosition> positions;
  for (int64_t m = 0; m < tile.rows; ++m)
    positions.push_back(positionOf(m));
  SmallVector<Value> carried = carriedInto(op, positions[0]), vectors;
  for (int64_t m = 0; m < tile.rows; ++m)
    for (int64_t n = 0; n < tile.panels; ++n) {
      Value h0 = closedForm || m > 0 ? initialState(op, positions[m].segment, n) : Value();
      auto before = [&](int64_t part) -> Value {
        Value later = carried[n * parts + part];
        return m > 0 ? arith::SelectOp::create(builder, loc, positions[m].isStart, carryAtStart(op, part, h0), later) : later;
      };
      Value decay = at(op.getDecay(), m, n), input = at(op.getInput(), m, n), h;
      if (closedForm) {
        Value product = arith::MulFOp::create(builder, loc, before(0), decay);
        Value divisor = arith::MaximumFOp::create(builder, loc, product, splat(1e-6f));
        Value quotient = arith::DivFOp::create(builder, loc, input, divisor);
        Value sum = arith::AddFOp::create(builder, loc, before(1), quotient);
        h = arith::MulFOp::create(builder, loc, product, arith::AddFOp::create(builder, loc, h0, sum));
        carried[n * parts] = product;
        carried[n * parts + 1] = sum;
      } else {
        h = vector::FMAOp::create(builder, loc, decay, before(0), input);
        carried[n] = h;
      }
      vectors.push_back(h);
    }
  if (!lasts.empty())
    for (int64_t m = 0; m < tile.rows; ++m)
      when(positions[m].isLast, [&] {
        for (Value last : lasts)
          for (int64_t n = 0; n < tile.panels; ++n)
            vector::StoreOp::create(builder, loc, vectors[m * tile.panels + n], last, ValueRange{positions[m].segment, column(n)});
      });
  for (int64_t n = 0; n < tile.panels; ++n)
    for (int64_t part = 0; part < parts; ++part)
      vector::StoreOp::create(builder, loc, carried[n * parts + part], buffers.scratch, placeOfCarry(op, n, part));
  define(op.getH(), std::move(vectors));
}
