//===- KernelToCpu.cpp - kernels to functions over vectors and loops ---------------------------------------------===//
//
// What all kernels have, those without projections, and the pass.

#include "../Transforms/Scheduling.h"
#include "KernelFunction.h"
#include "Prologue.h"
#include "WidenedWeights.h"
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
  buildRates();
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
    if (auto scan = dyn_cast<SelectiveScanOp>(op))
      planSelectiveScan(scan);
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
  if (MatrixTiles::holdsHalves(kernel))
    heldHalves = reserve(MatrixTiles::bandRowsOf(kernel) * halfLineWords, int64_t(kernel.getNumResults()));
  planProjections();
}

void KernelFunction::planProjections() {
  ScheduleAttr schedule = kernel.getScheduleAttr();
  for (auto linear : kernel.getBlock().getOps<LinearOp>()) {
    if (schedule.getApart())
      apartSums[linear.getResult()] = reserve(schedule.getPanelTile() * panelWidth, schedule.getRowTile());
    ProductForm form = buffers.formOf(linear, schedule.getProducts());
    if (!schedule.getWidenRows() || !unpacksWeights(linear, form) || buffers.widened.contains(linear.getWeight()))
      continue;
    int64_t stride = widenedStride(buffers.inputs.lookup(linear.getWeight()), form);
    buffers.widened[linear.getWeight()] = reserve(stride, schedule.getPanelTile());
  }
}

void KernelFunction::planPrologue(Value x) {
  PrologueRegion region = prologueRegion(x, buffers, kernel.getScheduleAttr().getProducts());
  region.tiled = region.words == PrologueRegion::Words::Bf16 && kernel.getScheduleAttr().getMatrixRows();
  static_cast<ScratchRegion &>(region) =
      reserve(region.stride, llvm::alignTo(kernel.getScheduleAttr().getRowSplit(), region.tiled ? tiledRows : 1));
  if (region.isQuantised() && quantisedRow.stride < region.integers())
    quantisedRow = reserve(region.integers(), 1);
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

void KernelFunction::when(Value condition, llvm::function_ref<void()> body) {
  auto branch = scf::IfOp::create(builder, loc, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(branch.thenBlock());
  body();
}

void KernelFunction::storeResults(TileEvaluator &evaluator) {
  for (auto [yielded, buffer] : llvm::zip(kernel.yielded(), buffers.results))
    if (classify(yielded.getType()) == TensorClass::Stream)
      evaluator.store(yielded, buffer);
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
      if (source && isRowInvariant(source) && !source->hasTrait<OpTrait::ConstantLike>() && isParam(operand.getType(), 1) &&
          !llvm::is_contained(llvm::make_first_range(invariants), operand))
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
      Value later = arith::AddIOp::create(builder, loc, row, constant(rows));
      buildTile({row, panel, rows, panels, panelWidth, /*rowEnd=*/{}, /*fetchedRow=*/later, /*fetchedPanel=*/panel});
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

std::string sm1::whyNotTiles(KernelOp kernel) {
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
  return "";
}

/// Rows are made of 16 bits for int8 and of bytes for int4.
static bool multipliesTwoWidths(KernelOp kernel) {
  llvm::SmallDenseMap<Value, Type> widths;
  for (auto linear : kernel.getBlock().getOps<LinearOp>()) {
    Type weight = getElementTypeOrSelf(linear.getWeight());
    if (linear.getInt8() && widths.try_emplace(linear.getX(), weight).first->second != weight)
      return true;
  }
  return false;
}

/// Why no function can be built for `kernel`; empty if one can.
static std::string whyNot(KernelOp kernel, int64_t maddLanes) {
  if (!kernel.getSchedule())
    return "has no schedule; run sm1-schedule-for-cpu first";
  if (!kernel->getParentOfType<LaunchOp>())
    return "stands outside sm1.launch; run sm1-schedule-for-cpu first";
  if (std::string why = whyNotTiles(kernel); !why.empty())
    return why;
  if (maddLanes && kernel.getScheduleAttr().getProducts() == Products::Dot && multipliesTwoWidths(kernel))
    return "multiplies the same rows with int8 and int4, for which dot products without VNNI want different rows; use products = "
           "fma";
  for (Value yielded : kernel.yielded())
    if (isa<BlockArgument>(yielded))
      return "yields what it reads";
  return whyNotBody(kernel);
}

namespace {
struct KernelToCpu : sm1::impl::KernelToCpuBase<KernelToCpu> {
  using KernelToCpuBase::KernelToCpuBase;

  void runOnOperation() override {
    SmallVector<KernelOp> kernels;
    getOperation()->walk([&](KernelOp kernel) { kernels.push_back(kernel); });
    OpBuilder builder(&getContext());
    for (KernelOp kernel : kernels) {
      if (std::string why = whyNot(kernel, maddLanes); !why.empty()) {
        kernel.emitOpError() << why;
        return signalPassFailure();
      }
      builder.setInsertionPoint(kernel->getParentOfType<ModelOp>());
      KernelFunction function(builder, kernel, maddLanes);
      function.build();
      dispatch(builder, kernel, function.scratchBytes());
    }
  }

  void dispatch(OpBuilder &builder, KernelOp kernel, int64_t scratchBytes) {
    builder.setInsertionPoint(kernel);
    int64_t panels = strideOf(widthOf(kernel)) / panelWidth;
    auto dispatch =
        DispatchOp::create(builder, kernel.getLoc(), kernel.getResultTypes(), kernel.getKernelName(), kernel.getInputs(),
                           kernel.getScheduleAttr(), BlockScheduleAttr(), kernel.getSelected(), panels, scratchBytes,
                           /*mapped=*/IntegerAttr());
    if (Attribute alone = kernel->getAttr(aloneAttr))
      dispatch->setAttr(aloneAttr, alone);
    kernel.replaceAllUsesWith(dispatch.getResults());
    kernel.erase();
  }
};
} // namespace
