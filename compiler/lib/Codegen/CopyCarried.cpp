//===- CopyCarried.cpp - copy values that sm1.layers carries where they cannot be written in place ---------------===//

#include "../Lowering/Gpu/GpuOps.h"
#include "sm1/IR/Sm1.h"
#include "sm1c/Codegen/Passes.h"
#include "sm1c/Package.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace sm1 {
#define GEN_PASS_DEF_COPYCARRIED
#include "sm1c/Codegen/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

/// Rows of one copying task: enough to be worth a task, few enough to share among cores.
static constexpr int64_t copyRows = 32;
/// Threads of a GPU's block that copies a row.
static constexpr int64_t copyThreads = 128;

/// The op of `block` that `op` is, or lies in.
static Operation *ancestorIn(Block *block, Operation *op) { return block->findAncestorOpInBlock(*op); }

/// Why the value that layer n yields at `index` cannot be written where layer n got its own; nullptr when it can.
static const char *whyNotInPlace(LayersOp layers, unsigned index) {
  Block &body = layers.getBody().front();
  auto yields = body.getTerminator()->getOperands();
  BlockArgument argument = body.getArgument(index);
  Value next = yields[index];
  if (next == argument)
    return nullptr;
  if (isa<BlockArgument>(next))
    return "it is another value of the layer before";
  if (llvm::is_contained(yields.take_front(index), next))
    return "it is carried twice";
  Operation *maker = ancestorIn(&body, next.getDefiningOp());
  for (Operation *user : argument.getUsers())
    if (!ancestorIn(&body, user)->isBeforeInBlock(maker))
      return "the layer's own is still needed when it is made";
  return nullptr;
}

/// True if something but the loop needs the first carried value from there on.
static bool isNeededAfter(LayersOp layers, unsigned index) {
  Value first = layers.getCarried()[index];
  for (OpOperand &use : first.getUses()) {
    Operation *user = ancestorIn(layers->getBlock(), use.getOwner());
    if (user == layers ? use.getOperandNumber() != index : layers->isBeforeInBlock(user))
      return true;
  }
  return false;
}

/// The same for a GPU: a block copies a row.
static func::FuncOp copyFunctionOfBlocks(ModuleOp module, StringRef name, int64_t stride, Type element, bool overlaps) {
  auto builder = OpBuilder::atBlockBegin(module.getBody());
  Location loc = module.getLoc();
  auto buffer = [&](ArrayRef<int64_t> shape, Type type, unsigned space) -> Type {
    return MemRefType::get(shape, type, MemRefLayoutAttrInterface(), builder.getI64IntegerAttr(space));
  };
  Type rows = buffer({ShapedType::kDynamic, stride}, element, cuda::globalMemory), index = builder.getIndexType();
  Type table = buffer({ShapedType::kDynamic}, builder.getI32Type(), cuda::globalMemory);
  Type shared = buffer({ShapedType::kDynamic}, builder.getI8Type(), cuda::sharedMemory);
  auto function = func::FuncOp::create(builder, loc, name,
                                       builder.getFunctionType({rows, rows, table, table, table, shared, index, index}, {}));
  Block *entry = function.addEntryBlock();
  builder.setInsertionPointToStart(entry);
  if (overlaps) {
    cuda::waitForEarlierKernels(builder, loc);
    cuda::startLaterKernel(builder, loc);
  }
  Value row = cuda::blockId(builder, loc, cuda::Axis::X), thread = cuda::threadId(builder, loc);
  Value end = arith::ConstantIndexOp::create(builder, loc, stride),
        step = arith::ConstantIndexOp::create(builder, loc, copyThreads);
  auto overChannels = scf::ForOp::create(builder, loc, thread, end, step);
  func::ReturnOp::create(builder, loc);
  builder.setInsertionPointToStart(overChannels.getBody());
  SmallVector<Value> indices{row, overChannels.getInductionVar()};
  Value value = memref::LoadOp::create(builder, loc, entry->getArgument(0), indices);
  memref::StoreOp::create(builder, loc, value, entry->getArgument(1), indices);
  return function;
}

/// The function that copies rows of `width` elements, made when it is not there yet.
static func::FuncOp copyFunction(ModuleOp module, int64_t stride, Type element, bool forGpu, bool overlaps) {
  std::string name;
  llvm::raw_string_ostream(name) << "copy_" << stride << "_" << element;
  if (auto known = module.lookupSymbol<func::FuncOp>(name))
    return known;
  if (forGpu)
    return copyFunctionOfBlocks(module, name, stride, element, overlaps);
  auto builder = OpBuilder::atBlockBegin(module.getBody());
  Location loc = module.getLoc();
  Type rows = MemRefType::get({ShapedType::kDynamic, stride}, element),
       table = MemRefType::get({ShapedType::kDynamic}, builder.getI32Type());
  Type scratch = MemRefType::get({ShapedType::kDynamic}, builder.getF32Type()), index = builder.getIndexType();
  auto type = builder.getFunctionType({rows, rows, table, table, table, scratch, index, index, index, index}, {});
  auto function = func::FuncOp::create(builder, loc, name, type);
  Block *entry = function.addEntryBlock();
  builder.setInsertionPointToStart(entry);
  Value one = arith::ConstantIndexOp::create(builder, loc, 1), panel = arith::ConstantIndexOp::create(builder, loc, 16);
  Value begin = arith::MulIOp::create(builder, loc, entry->getArgument(8), panel);
  Value end = arith::MulIOp::create(builder, loc, entry->getArgument(9), panel);
  auto overRows = scf::ForOp::create(builder, loc, entry->getArgument(6), entry->getArgument(7), one);
  func::ReturnOp::create(builder, loc);
  builder.setInsertionPointToStart(overRows.getBody());
  auto overChannels = scf::ForOp::create(builder, loc, begin, end, panel);
  builder.setInsertionPointToStart(overChannels.getBody());
  SmallVector<Value> indices{overRows.getInductionVar(), overChannels.getInductionVar()};
  Value values = vector::LoadOp::create(builder, loc, VectorType::get({16}, element), entry->getArgument(0), indices);
  vector::StoreOp::create(builder, loc, values, entry->getArgument(1), indices);
  return function;
}

/// A launch at `builder`'s place that copies `value`.
static Value createCopy(OpBuilder &builder, ModuleOp module, Value value, bool overlaps) {
  auto type = cast<RankedTensorType>(value.getType());
  int64_t stride = rowStride(type);
  bool forGpu =
      module.walk([](DispatchOp dispatch) { return dispatch.getBlocks() ? WalkResult::interrupt() : WalkResult::advance(); })
          .wasInterrupted();
  func::FuncOp function = copyFunction(module, stride, type.getElementType(), forGpu, overlaps);
  Location loc = value.getLoc();
  auto launch = LaunchOp::create(builder, loc, TypeRange(type), Sync::None);
  OpBuilder::InsertionGuard guard(builder);
  builder.createBlock(&launch.getBody());
  auto schedule = forGpu ? ScheduleAttr() : ScheduleAttr::get(builder.getContext(), 1, 1, 1, copyRows, 0);
  auto blocks =
      forGpu ? BlockScheduleAttr::get(builder.getContext(), BlockForm::Rows, copyThreads, 1, 1, 0, 1, 1) : BlockScheduleAttr();
  auto dispatch = DispatchOp::create(builder, loc, TypeRange(type), function.getName(), value, schedule, blocks, /*selected=*/false,
                                     /*panels=*/stride / 16, /*scratchBytes=*/0, /*mapped=*/IntegerAttr());
  YieldOp::create(builder, loc, dispatch.getResults());
  return launch.getResult(0);
}

namespace {
struct CopyCarried : sm1::impl::CopyCarriedBase<CopyCarried> {
  using CopyCarriedBase::CopyCarriedBase;

  void runOnOperation() override {
    getOperation().walk([&](LayersOp layers) {
      for (unsigned index = 0; index < layers.getCarried().size(); ++index) {
        if (isNeededAfter(layers, index)) {
          OpBuilder builder(layers);
          layers->setOperand(index, createCopy(builder, getOperation(), layers.getCarried()[index], overlaps));
        }
        if (whyNotInPlace(layers, index)) {
          Operation *yield = layers.getBody().front().getTerminator();
          OpBuilder builder(yield);
          yield->setOperand(index, createCopy(builder, getOperation(), yield->getOperand(index), overlaps));
        }
      }
    });
  }
};
} // namespace
