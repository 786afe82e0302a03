//===- KernelToGpu.cpp - kernels to functions over threads, blocks and shared memory -----------------------------===//

#include "../../Transforms/Boxes.h"
#include "../../Transforms/KernelMerge.h"
#include "../../Transforms/Scheduling.h"
#include "BlockChecks.h"
#include "BlockKernel.h"
#include "GpuOps.h"
#include "sm1c/Lowering/Passes.h"
#include "sm1c/Target.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/FormatVariadic.h"

namespace sm1 {
#define GEN_PASS_DEF_KERNELTOGPU
#include "sm1c/Lowering/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

static MemRefType inSpace(MemRefType type, unsigned space) {
  auto attribute = IntegerAttr::get(IntegerType::get(type.getContext(), 64), space);
  return MemRefType::get(type.getShape(), type.getElementType(), MemRefLayoutAttrInterface(), attribute);
}

/// Buffers, tables, shared memory, numbers: what numBlockArguments counts.
static SmallVector<Type> argumentTypes(OpBuilder &builder, KernelOp kernel) {
  SmallVector<Type> types;
  for (auto [argument, input] : llvm::zip(kernel.getBlock().getArguments(), kernel.getInputs())) {
    auto param = input.getDefiningOp<ParamOp>();
    types.push_back(inSpace(bufferType(argument.getType(), param ? param.getLayout().value_or("") : ""), cuda::globalMemory));
  }
  for (Type type : kernel.getResultTypes())
    types.push_back(inSpace(bufferType(type, ""), cuda::globalMemory));
  auto table = inSpace(MemRefType::get({ShapedType::kDynamic}, builder.getI32Type()), cuda::globalMemory);
  auto shared = inSpace(MemRefType::get({ShapedType::kDynamic}, builder.getI8Type()), cuda::sharedMemory);
  types.append({table, table, table, shared, builder.getIndexType(), builder.getIndexType()});
  if (cutsTime(kernel.getBlocksAttr()))
    types.push_back(inSpace(MemRefType::get({ShapedType::kDynamic}, builder.getI64Type()), cuda::globalMemory));
  if (kernel->hasAttr(chunksAttr))
    types.append({table, builder.getIndexType(),
                  inSpace(MemRefType::get({ShapedType::kDynamic}, builder.getI64Type()), cuda::globalMemory)});
  if (takesBoxes(kernel))
    types.push_back(MemRefType::get({tensorMapBytes}, builder.getI8Type()));
  return types;
}

static void buildBody(BlockKernel &block) {
  switch (block.schedule.getForm()) {
  case BlockForm::Rows:
    return hasRowBands(block.schedule)   ? buildRowBands(block)
           : hasWarpRows(block.schedule) ? buildWarpRows(block)
                                         : buildRows(block);
  case BlockForm::Scan:
    return isSelective(block.kernel)  ? buildSelectiveScan(block)
           : cutsTime(block.schedule) ? buildScanChunks(block)
                                      : buildScan(block);
  case BlockForm::Tiles:
    return buildTiles(block);
  case BlockForm::Step:
    return buildStep(block);
  case BlockForm::TensorTiles:
    return buildTensorTiles(block);
  case BlockForm::TensorStep:
    return buildTensorStep(block);
  case BlockForm::WgmmaTiles:
    return buildWgmmaTiles(block);
  }
}

/// The function of one kernel, and bytes of shared memory that a block needs.
static std::pair<func::FuncOp, int64_t> buildFunction(OpBuilder &builder, KernelOp kernel, const GpuFacts &gpu, bool isStep) {
  BlockKernel block(builder, kernel, gpu.overlapsKernels());
  auto function = func::FuncOp::create(builder, kernel.getLoc(), kernel.getKernelName(),
                                       builder.getFunctionType(argumentTypes(builder, kernel), {}));
  OpBuilder::InsertionGuard guard(builder);
  Block *entry = function.addEntryBlock();
  builder.setInsertionPointToStart(entry);
  size_t next = 0;
  for (Value argument : kernel.getBlock().getArguments())
    block.buffers.inputs[argument] = entry->getArgument(next++);
  for (size_t result = 0; result < kernel.getNumResults(); ++result)
    block.buffers.results.push_back(entry->getArgument(next++));
  for (Value *field : {&block.buffers.rowSegment, &block.buffers.segmentStart, &block.buffers.selected, &block.sharedMemory,
                       &block.count, &block.segments})
    *field = entry->getArgument(next++);
  if (cutsTime(kernel.getBlocksAttr()))
    block.words = entry->getArgument(next++);
  if (kernel->hasAttr(chunksAttr))
    for (Value *field : {&block.chunks, &block.chunkCount, &block.words})
      *field = entry->getArgument(next++);
  if (takesBoxes(kernel))
    block.map = entry->getArgument(next++);
  block.buffers.oneRowPerSegment = isStep;
  block.thread = cuda::threadId(builder, kernel.getLoc());
  buildBody(block);
  func::ReturnOp::create(builder, kernel.getLoc());
  return {function, block.sharedBytes()};
}

int64_t sm1::sharedBytesOf(KernelOp kernel, bool isStep, const Target &target) {
  OpBuilder builder(kernel->getParentOfType<ModelOp>());
  auto [function, bytes] = buildFunction(builder, kernel, *target.gpu, isStep);
  function.erase();
  return bytes;
}

static std::string whyNot(KernelOp kernel, bool isStep, const Target &target) {
  if (!kernel.getBlocks() || !kernel->getParentOfType<LaunchOp>())
    return "has no launch and schedule for a GPU; run sm1-schedule-for-gpu first";
  for (Value yielded : kernel.yielded())
    if (isa<BlockArgument>(yielded))
      return "yields what it reads";
  if (std::string why = whyNotBlocks(kernel, isStep, target); !why.empty())
    return why;
  return whyNotBody(kernel);
}

namespace {
struct KernelToGpu : sm1::impl::KernelToGpuBase<KernelToGpu> {
  using KernelToGpuBase::KernelToGpuBase;

  void getDependentDialects(DialectRegistry &registry) const override {
    KernelToGpuBase::getDependentDialects(registry);
    cuda::insertDialect(registry);
  }

  void runOnOperation() override {
    const Target *facts = findTarget(target);
    if (!facts || !facts->isGpu()) {
      getOperation().emitError("no GPU target called '") << target << "'";
      return signalPassFailure();
    }
    SmallVector<KernelOp> kernels;
    getOperation()->walk([&](KernelOp kernel) { kernels.push_back(kernel); });
    OpBuilder builder(&getContext());
    for (KernelOp kernel : kernels) {
      if (std::string why = whyNot(kernel, step, *facts); !why.empty()) {
        kernel.emitOpError() << why;
        return signalPassFailure();
      }
      builder.setInsertionPoint(kernel->getParentOfType<ModelOp>());
      int64_t bytes = buildFunction(builder, kernel, *facts->gpu, step).second;
      if (bytes > facts->gpu->sharedPerBlock) {
        kernel.emitOpError("needs ") << bytes << " bytes of shared memory, a block of " << target << " has "
                                     << facts->gpu->sharedPerBlock << "; a smaller row_tile or fewer stages need less";
        return signalPassFailure();
      }
      dispatch(builder, kernel, bytes, *facts->gpu);
    }
  }

  /// Blocks with tiles of which two fit a multiprocessor would share one while others are idle, were they started before earlier
  /// kernels have ended. Those of clusters have little to multiply, and gain more from having their weights early.
  static bool isBestAlone(KernelOp kernel, int64_t sharedBytes, const GpuFacts &gpu) {
    constexpr int64_t reserved = 1024; // of each block, for the system
    return isTensorTiles(kernel.getBlocksAttr().getForm()) && blocksOfCluster(kernel.getBlocksAttr()) == 1 &&
           2 * (sharedBytes + reserved) <= gpu.sharedPerMultiprocessor;
  }

  void dispatch(OpBuilder &builder, KernelOp kernel, int64_t sharedBytes, const GpuFacts &gpu) {
    builder.setInsertionPoint(kernel);
    int64_t panels = panelsOfBlocks(kernel);
    IntegerAttr mapped;
    if (takesBoxes(kernel)) {
      auto x = cast<BlockArgument>((*kernel.getBlock().getOps<LinearOp>().begin()).getX());
      mapped = builder.getI64IntegerAttr(x.getArgNumber());
    }
    auto dispatch =
        DispatchOp::create(builder, kernel.getLoc(), kernel.getResultTypes(), kernel.getKernelName(), kernel.getInputs(),
                           ScheduleAttr(), kernel.getBlocksAttr(), kernel.getSelected(), panels, sharedBytes, mapped);
    if (isBestAlone(kernel, sharedBytes, gpu))
      dispatch->setAttr(aloneAttr, builder.getUnitAttr());
    if (step && fitsBoxes(kernel.getBlocksAttr()) && sharesRows(kernel))
      dispatch->setAttr(evenAttr, builder.getUnitAttr());
    for (StringRef name : {StringRef(chunksAttr), StringRef(pairsAttr), StringRef(wideStepsAttr)})
      if (Attribute given = kernel->getAttr(name))
        dispatch->setAttr(name, given);
    kernel.replaceAllUsesWith(dispatch.getResults());
    kernel.erase();
  }
};
} // namespace
