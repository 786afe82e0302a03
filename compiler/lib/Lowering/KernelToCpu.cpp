//===- KernelToCpu.cpp - kernels to functions over vectors and loops ---------------------------------------------===//
//
// Three shapes of kernels: whole rows, for those with a norm of their own values; tiles of rows by panels, for all others; and in
// front of projections, if something is computed on the way into them, a pass that fills scratch rows.

#include "../Transforms/KernelMerge.h"
#include "TileEvaluator.h"
#include "sm1c/Lowering/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
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
  void buildPrologue(Value x, ScratchRegion region);
  void buildWholeRows();
  void buildTiles();
  void buildRowsOf(Value panel, int64_t panels);
  void buildTile(Tile tile);
  /// Evaluates `ops` for all panels of one row, and calls `done` for each panel with everything known. A norm among them takes two walks
  /// over the row; `beforeNorm` is called in the first, with what its input needs known.
  void buildRow(ArrayRef<Operation *> ops, Value row, int64_t width, RowBody beforeNorm, RowBody done);
  Value inverseRms(RmsNormOp norm, Value squares);
  void storeResults(TileEvaluator &evaluator);

  Value constant(int64_t value) { return arith::ConstantIndexOp::create(builder, loc, value); }
  void loop(Value begin, Value end, int64_t step, llvm::function_ref<void(Value)> body);

  OpBuilder &builder;
  Location loc;
  KernelOp kernel;
  KernelBuffers buffers;
  SmallVector<Operation *> mainOps;
  SmallVector<std::pair<Value, ScratchRegion>> prologues;
  ScratchRegion normRow;
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
  for (Value argument : kernel.getBlock().getArguments())
    buffers.inputs[argument] = entry->getArgument(next++);
  for (size_t result = 0; result < kernel.getNumResults(); ++result)
    buffers.results.push_back(entry->getArgument(next++));
  for (Value *field : {&buffers.rowSegment, &buffers.segmentStart, &buffers.selected, &buffers.scratch, &buffers.rowBegin, &buffers.rowEnd,
                       &buffers.panelBegin, &buffers.panelEnd})
    *field = entry->getArgument(next++);

  planScratch();
  for (auto [x, region] : prologues)
    buildPrologue(x, region);
  if (contentsOf(kernel).hasRowNorm)
    buildWholeRows();
  else
    buildTiles();
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
    if (auto linear = dyn_cast<LinearOp>(op); linear && linear.getX().getDefiningOp() && !buffers.prologues.contains(linear.getX())) {
      auto region = reserve(strideOf(channels(linear.getX().getType())), kernel.getScheduleAttr().getRowSplit());
      buffers.prologues[linear.getX()] = region;
      prologues.push_back({linear.getX(), region});
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

void KernelFunction::buildRow(ArrayRef<Operation *> ops, Value row, int64_t width, RowBody beforeNorm, RowBody done) {
  RmsNormOp norm = normIn(ops);
  Value end = constant(strideOf(width) / panelWidth);
  SmallVector<Operation *> later(ops);
  Value inverse;
  if (norm) {
    SmallVector<Operation *> earlier = sliceOf(kernel, norm.getX());
    llvm::erase_if(later, [&](Operation *op) { return op == norm || llvm::is_contained(earlier, op); });
    auto zero = DenseElementsAttr::get(VectorType::get({panelWidth}, builder.getF32Type()), 0.0f);
    auto squares = scf::ForOp::create(
        builder, loc, constant(0), end, constant(1), ValueRange{arith::ConstantOp::create(builder, loc, zero)},
        [&](OpBuilder &, Location, Value panel, ValueRange carried) {
          TileEvaluator evaluator(builder, kernel, buffers, {row, panel});
          evaluator.evaluate(earlier);
          beforeNorm(evaluator);
          Value x = evaluator.at(norm.getX(), 0, 0), column = arith::MulIOp::create(builder, loc, panel, constant(panelWidth));
          Value place = arith::AddIOp::create(builder, loc, column, constant(normRow.offset));
          vector::StoreOp::create(builder, loc, x, buffers.scratch, place);
          if (width % panelWidth) { // what lies in a row's padding must not count
            Value left = arith::SubIOp::create(builder, loc, constant(width), column);
            Value mask = vector::CreateMaskOp::create(builder, loc, VectorType::get({panelWidth}, builder.getI1Type()), left);
            x = arith::SelectOp::create(builder, loc, mask, x, arith::ConstantOp::create(builder, loc, zero));
          }
          Value sum = vector::FMAOp::create(builder, loc, x, x, carried[0]);
          scf::YieldOp::create(builder, loc, sum);
        });
    Value scale = inverseRms(norm, squares.getResult(0));
    inverse = vector::BroadcastOp::create(builder, loc, cast<VectorType>(zero.getType()), scale);
  }
  loop(constant(0), end, 1, [&](Value panel) {
    TileEvaluator evaluator(builder, kernel, buffers, {row, panel});
    if (norm) {
      Value column = arith::MulIOp::create(builder, loc, panel, constant(panelWidth));
      Value place = arith::AddIOp::create(builder, loc, column, constant(normRow.offset));
      Value x = vector::LoadOp::create(builder, loc, cast<VectorType>(inverse.getType()), buffers.scratch, place);
      Value scaled = arith::MulFOp::create(builder, loc, x, inverse);
      evaluator.define(norm, {arith::MulFOp::create(builder, loc, scaled, evaluator.at(norm.getWeight(), 0, 0))});
    }
    evaluator.evaluate(later);
    done(evaluator);
  });
}

void KernelFunction::buildPrologue(Value x, ScratchRegion region) {
  loop(buffers.rowBegin, buffers.rowEnd, 1, [&](Value row) {
    Value taskRow = arith::SubIOp::create(builder, loc, row, buffers.rowBegin);
    Value start = arith::AddIOp::create(builder, loc, arith::MulIOp::create(builder, loc, taskRow, constant(region.stride)),
                                        constant(region.offset));
    buildRow(sliceOf(kernel, x), row, channels(x.getType()), [](TileEvaluator &) {}, [&](TileEvaluator &evaluator) {
      Value value = evaluator.at(x, 0, 0);
      auto vectorType = VectorType::get({panelWidth}, builder.getF32Type());
      if (value.getType() != vectorType)
        value = arith::ExtFOp::create(builder, loc, vectorType, value);
      Value place = arith::AddIOp::create(builder, loc, start, evaluator.firstColumn());
      vector::StoreOp::create(builder, loc, value, buffers.scratch, place);
    });
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

/// Groups of panels outside, so that a group of weights is read from memory once for all rows of the task.
void KernelFunction::buildTiles() {
  int64_t group = kernel.getScheduleAttr().getSingleRowPanels();
  Value panels = arith::SubIOp::create(builder, loc, buffers.panelEnd, buffers.panelBegin);
  Value rest = arith::RemUIOp::create(builder, loc, panels, constant(group));
  Value whole = arith::SubIOp::create(builder, loc, buffers.panelEnd, rest);
  loop(buffers.panelBegin, whole, group, [&](Value panel) { buildRowsOf(panel, group); });
  if (group > 1)
    loop(whole, buffers.panelEnd, 1, [&](Value panel) { buildRowsOf(panel, 1); });
}

void KernelFunction::buildRowsOf(Value panel, int64_t panels) {
  ScheduleAttr schedule = kernel.getScheduleAttr();
  int64_t rowTile = schedule.getRowTile(), panelTile = std::min(panels, schedule.getPanelTile());
  Value rows = arith::SubIOp::create(builder, loc, buffers.rowEnd, buffers.rowBegin);
  Value rest = arith::RemUIOp::create(builder, loc, rows, constant(rowTile));
  Value whole = arith::SubIOp::create(builder, loc, buffers.rowEnd, rest);
  if (rowTile > 1)
    loop(buffers.rowBegin, whole, rowTile, [&](Value row) {
      Value end = arith::AddIOp::create(builder, loc, panel, constant(panels));
      loop(panel, end, panelTile, [&](Value first) { buildTile({row, first, rowTile, panelTile}); });
    });
  loop(rowTile > 1 ? whole : buffers.rowBegin, buffers.rowEnd, 1, [&](Value row) { buildTile({row, panel, 1, panels}); });
}

void KernelFunction::buildTile(Tile tile) {
  TileEvaluator evaluator(builder, kernel, buffers, tile);
  evaluator.evaluate(mainOps);
  storeResults(evaluator);
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
    auto dispatch = DispatchOp::create(builder, kernel.getLoc(), kernel.getResultTypes(), kernel.getKernelName(), kernel.getInputs(),
                                       kernel.getScheduleAttr(), BlockScheduleAttr(), kernel.getSelected(), panels, scratchBytes);
    kernel.replaceAllUsesWith(dispatch.getResults());
    kernel.erase();
  }
};
} // namespace
