//===- CountKernel.cpp - counts of a kernel's work, from its body ------------------------------------------------===//
//
// Follows what KernelToCpu makes of a kernel: what is computed on the way into projections runs once for every task that needs it,
// what is the same for every row runs once and counts nothing.

#include "../Lowering/TileEvaluator.h"
#include "../Transforms/BlockForms.h"
#include "../Transforms/KernelMerge.h"
#include "sm1/IR/Sm1NormHalves.h"
#include "sm1c/Cost.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace sm1;
using sm1rt::KernelCost;

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

/// Issue slots that a division or square root of a vector takes from two ports: 16 cycles of AVX-512 on Intel, 10 on Zen 4.
static constexpr double divisionOps = 16;
/// Instructions of exp and log1p where models have them: exp(x) + 1, and log1p of an exp that is at most 1, whose expansions are
/// shorter than that of any argument. tests/unit/CostCountsTest.cpp compares.
static constexpr double expOps = 14, log1pOps = 9;
/// Functions that upstream expands: polynomials of this order.
static constexpr double otherMathOps = 25;
/// Adding the halves of 16 partial sums, a square root and two divisions, one after the other, in latencies of a multiply-add.
static constexpr double normReductionSteps = 18;

/// A GPU's: an instruction for the function, whose unit works beside the others, and one or two around it.
static constexpr double specialFunctionOps = 3;
/// A GPU's norm where bits need not be a CPU's: lanes add up channels of their own, which takes an eighth of a link that goes
/// through shared memory, and exchange their sums.
static constexpr double laneSteps = 1.0 / 16, exchangeSteps = 10;

double sm1::laneOpsOf(Operation *op, Functions functions) {
  if (functions == Functions::Approximate && isa<arith::DivFOp, math::SqrtOp, math::ExpOp, math::Log1pOp>(op))
    return specialFunctionOps;
  return TypeSwitch<Operation *, double>(op)
      .Case<arith::DivFOp, math::SqrtOp, arith::DivSIOp, arith::DivUIOp>([](auto) { return divisionOps; })
      .Case<math::ExpOp>([](auto) { return expOps; })
      .Case<math::Log1pOp>([](auto) { return log1pOps; })
      .Case<math::FmaOp, math::AbsFOp, math::RoundEvenOp, math::FloorOp, math::CeilOp, math::TruncOp, math::CopySignOp>(
          [](auto) { return 1.0; })
      .Case<arith::BitcastOp, arith::ConstantOp>([](auto) { return 0.0; })
      .Case<arith::ExtFOp>([](auto) { return 2.0; })
      .Default([](Operation *other) { return isa<math::MathDialect>(other->getDialect()) ? otherMathOps : 1.0; });
}

/// Operations and chains of one evaluation for a row: the body's, or those of a prologue.
struct Phase {
  double ops = 0, steps = 0;
};

static double stepsOfScan(ScanOp scan) { return scan.getForm() == ScanForm::ClosedForm ? 2 : 1; }

static void countOp(Operation *op, int64_t panelsAtOnce, Functions functions, Phase &phase) {
  if (isa<EmbeddingOp, SplitOp, SelectRowsOp, LinearOp>(op))
    return;
  double stride = strideOf(channels(op->getResult(0).getType()));
  if (isa<RmsNormOp>(op)) {
    // Squares are summed in one chain per lane, then every value is scaled twice.
    phase.ops += 3 * stride;
    double links = stride / panelWidth;
    phase.steps += functions == Functions::Approximate ? links * laneSteps + exchangeSteps : links + normReductionSteps;
  } else if (auto squares = dyn_cast<PanelSquaresOp>(op)) {
    phase.ops += strideOf(channels(squares.getX().getType()));
  } else if (auto conv = dyn_cast<Conv1dOp>(op)) {
    phase.ops += stride * cast<RankedTensorType>(conv.getWeight().getType()).getDimSize(2);
  } else if (auto scan = dyn_cast<ScanOp>(op)) {
    phase.ops += stride * (scan.getForm() == ScanForm::ClosedForm ? 5 + divisionOps : 1);
    phase.steps += stepsOfScan(scan) * stride / panelWidth / panelsAtOnce;
  } else if (auto selective = dyn_cast<SelectiveScanOp>(op)) {
    // Of each state: its exponent and exp, what is written, a multiply-add for h and one for y, loads and a store of what is
    // carried.
    double exponential = functions == Functions::Approximate ? specialFunctionOps : expOps;
    phase.ops += stride * selective.stateSize() * (exponential + 7);
    phase.steps += stride / panelWidth / panelsAtOnce;
  } else {
    phase.ops += stride * laneOpsOf(op, functions);
  }
}

/// Operations that differ from row to row and that `roots` need; projections are taken as given, what they multiply is not
/// followed.
static llvm::SetVector<Operation *> reachedFrom(ValueRange roots) {
  llvm::SetVector<Operation *> reached;
  SmallVector<Value> pending(roots.begin(), roots.end());
  while (!pending.empty()) {
    Operation *op = pending.pop_back_val().getDefiningOp();
    if (op && !isRowInvariant(op) && reached.insert(op) && !isa<LinearOp>(op))
      llvm::append_range(pending, op->getOperands());
  }
  return reached;
}

static void countElementwise(KernelOp kernel, int64_t panelsAtOnce, Functions functions, KernelCost &cost) {
  Phase body, prologue;
  for (Operation *op : reachedFrom(kernel.yielded()))
    countOp(op, panelsAtOnce, functions, body);
  llvm::SetVector<Value> multiplied;
  for (auto linear : kernel.getBlock().getOps<LinearOp>())
    multiplied.insert(linear.getX());
  for (Value x : multiplied)
    for (Operation *op : reachedFrom(x))
      countOp(op, panelsAtOnce, functions, prologue);
  cost.vectorOps = body.ops, cost.chainSteps = body.steps;
  cost.prologueOps = prologue.ops, cost.prologueSteps = prologue.steps;
}

//===----------------------------------------------------------------------===//
// Projections
//===----------------------------------------------------------------------===//

/// Instructions between weights in memory and a vector of f32 operands: a pair of bf16 takes a shift and a mask, an f16 a
/// conversion; an integer is cut out of its word with two shifts and converted, or an int4 looked up.
static double unpackOpsOf(Type weight, KernelOp kernel) {
  if (weight.isBF16() || weight.isF16())
    return 1;
  bool looksUp = kernel.getSchedule() && kernel.getScheduleAttr().getProducts() == Products::Table;
  return !weight.isInteger() ? 0 : looksUp ? sm1rt::tableOps : 3;
}

/// What `linear` multiplies, and how its operands come to it.
static void countProducts(LinearOp linear, KernelCost &cost) {
  auto weight = cast<RankedTensorType>(linear.getWeight().getType());
  Type element = weight.getElementType();
  double products = double(weight.getDimSize(0)) * double(weight.getDimSize(1));
  if (linear.getInt8()) {
    cost.int8Products += products;
    cost.groupProducts += element.isInteger(4) ? products : 0;
  }
  else if (isa<Float8E4M3FNType>(element))
    cost.fp8Products += products;
  else if (element.isBF16() && getElementTypeOrSelf(linear.getX().getType()).isBF16())
    cost.bf16Products += products;
  else
    cost.f32Products += products;
  cost.unpackOps = std::max(cost.unpackOps, linear.getInt8() ? 0 : unpackOpsOf(element, linear->getParentOfType<KernelOp>()));
}

static void countProjections(KernelOp kernel, KernelCost &cost) {
  llvm::MapVector<Value, unsigned> sharing;
  for (auto linear : kernel.getBlock().getOps<LinearOp>()) {
    countProducts(linear, cost);
    cost.projections = std::max<double>(cost.projections, ++sharing[linear.getX()]);
  }
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// Bytes of one row, segment or parameter: all of the buffer but its first dimension where that is dynamic.
static double bytesOf(MemRefType buffer) {
  double elements = 1;
  for (int64_t size : buffer.getShape())
    elements *= ShapedType::isDynamic(size) ? 1 : size;
  return elements * buffer.getElementTypeBitWidth() / 8;
}

double sm1::packedBytes(ParamOp param) { return bytesOf(bufferType(param.getType(), param.getLayout().value_or("panels"))); }

/// Adds what the kernel reads through one of its arguments.
static void countInput(BlockArgument argument, Value operand, KernelCost &cost) {
  auto param = operand.getDefiningOp<ParamOp>();
  double bytes = bytesOf(bufferType(argument.getType(), param ? param.getLayout().value_or("panels") : ""));
  switch (classify(argument.getType())) {
  case TensorClass::State:
    cost.stateBytes += bytes;
    return;
  case TensorClass::Param: {
    auto isLookup = [](Operation *user) { return isa<EmbeddingOp>(user); };
    if (llvm::all_of(argument.getUsers(), isLookup))
      cost.readBytes += bytes / double(cast<RankedTensorType>(argument.getType()).getDimSize(0));
    else
      cost.weightBytes += bytes;
    return;
  }
  default:
    cost.readBytes += bytes;
  }
}

static void countMemory(KernelOp kernel, KernelCost &cost) {
  for (auto [argument, operand] : llvm::zip(kernel.getBlock().getArguments(), kernel.getInputs()))
    countInput(argument, operand, cost);
  for (Type type : kernel.getResultTypes())
    (classify(type) == TensorClass::State ? cost.stateBytes : cost.writeBytes) += bytesOf(bufferType(type, ""));
}

KernelCost sm1::costOf(KernelOp kernel, Functions functions) {
  KernelCost cost;
  if (ScheduleAttr schedule = kernel.getScheduleAttr()) {
    cost.rowTile = schedule.getRowTile();
    cost.panelTile = schedule.getPanelTile();
    cost.singleRowPanels = schedule.getSingleRowPanels();
    cost.apart = schedule.getApart();
    cost.widenRows = double(schedule.getWidenRows());
  }
  if (BlockScheduleAttr blocks = kernel.getBlocksAttr()) {
    cost.rowTile = double(hasRowBands(blocks) ? blocks.getRowSplit() : blocks.getRowTile()); // rows of one turn
    bool readsAhead = !kernel.getBlock().getOps<SelectiveScanOp>().empty();                  // a tile of rows
    cost.stages = readsAhead ? 2 : double(blocks.getStages());
    cost.depthSplit = double(blocks.getDepthSplit());
    cost.wgmma = walksTiles(blocks) ? 2 : blocks.getForm() == BlockForm::WgmmaTiles ? 1 : 0;
  }
  countProjections(kernel, cost);
  if (kernel.getBlocks() && cost.projections > 0)
    cost.projections = double(projectionsOfBlock(kernel));
  countElementwise(kernel, std::max<int64_t>(cost.panelTile, 1), functions, cost);
  countMemory(kernel, cost);
  return cost;
}

sm1rt::BlockCuts sm1::launchCutsOf(KernelOp kernel) {
  sm1rt::BlockCuts cuts;
  cuts.panels = strideOf(widthOf(kernel)) / panelWidth;
  if (ScheduleAttr schedule = kernel.getScheduleAttr()) {
    cuts.rowSplit = schedule.getRowSplit();
    cuts.panelSplit = schedule.getPanelSplit();
  } else if (BlockScheduleAttr blocks = kernel.getBlocksAttr()) {
    cuts.rowSplit = blocks.getRowSplit();
    cuts.panelSplit = blocks.getPanelSplit() ? blocks.getPanelSplit() : cuts.panels;
    if (int64_t linears = contentsOf(kernel).linears)
      cuts.panels *= linears / projectionsOfBlock(kernel);
    cuts.threads = blocks.getThreads();
    cuts.overSegments = blocks.getForm() == BlockForm::Scan;
    cuts.timeSplit = cutsTime(blocks) ? blocks.getRowTile() : 0;
  }
  return cuts;
}

KernelCosts sm1::costsOf(ModuleOp module, Functions functions) {
  KernelCosts costs;
  module.walk([&](KernelOp kernel) { costs[kernel.getKernelName()] = costOf(kernel, functions); });
  return costs;
}
