//===- CpuEntries.cpp - give every kernel function the entry that the runtime calls ------------------------------===//
//
// The function keeps its body: each buffer argument becomes a pointer, and a memref descriptor is built from the pointer and the
// static strides at its top. Sizes of dynamic dimensions are not known here and not needed: kernels get their ranges from the task.

#include "sm1c/Codegen/Passes.h"

#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace sm1 {
#define GEN_PASS_DEF_CPUENTRIES
#include "sm1c/Codegen/Passes.h.inc"
} // namespace sm1

using namespace mlir;
using namespace sm1;

/// Stands for the unknown number of rows of a buffer: more than any, and far from overflowing a product with a stride.
static constexpr int64_t manyRows = int64_t(1) << 31;

/// Position of `scratch` among the arguments of a task.
static constexpr unsigned scratchArgument = 3;

/// A buffer whose place of an element follows from its type and a pointer alone.
static bool isDenseBuffer(Type type) {
  auto buffer = dyn_cast<MemRefType>(type);
  return buffer && buffer.getLayout().isIdentity() && buffer.getRank() > 0 &&
         llvm::none_of(buffer.getShape().drop_front(), ShapedType::isDynamic);
}

static LogicalResult checkSignature(func::FuncOp function) {
  if (function.getNumResults() != 0)
    return function.emitError("kernel function must return nothing");
  if (function.getNumArguments() < numTaskArguments)
    return function.emitError("kernel function must end with the ")
           << numTaskArguments << " arguments of a task, got " << function.getNumArguments();
  unsigned firstIndex = function.getNumArguments() - 4;
  for (auto [index, type] : llvm::enumerate(function.getArgumentTypes()))
    if (index < firstIndex ? !isDenseBuffer(type) : !type.isIndex())
      return function.emitError("argument ") << index << " of a kernel function must be "
                                             << (index < firstIndex ? "a dense buffer with at most its first size dynamic"
                                                                    : "an index")
                                             << ", got " << type;
  return success();
}

/// The memref of type `type` at `pointer`.
static Value buildBuffer(OpBuilder &builder, Location loc, const LLVMTypeConverter &converter, MemRefType type, Value pointer) {
  auto descriptor = MemRefDescriptor::poison(builder, loc, converter.convertType(type));
  descriptor.setAllocatedPtr(builder, loc, pointer);
  descriptor.setAlignedPtr(builder, loc, pointer);
  descriptor.setConstantOffset(builder, loc, 0);
  auto strides = type.getStridesAndOffset().first;
  for (unsigned dim = 0; dim < type.getRank(); ++dim) {
    descriptor.setConstantSize(builder, loc, dim, type.isDynamicDim(dim) ? manyRows : type.getDimSize(dim));
    descriptor.setConstantStride(builder, loc, dim, strides[dim]);
  }
  return UnrealizedConversionCastOp::create(builder, loc, Type(type), Value(descriptor)).getResult(0);
}

namespace {
/// Rewrites one function; holds what its steps share.
class EntryBuilder {
public:
  EntryBuilder(func::FuncOp function)
      : function(function), builder(function), loc(function.getLoc()), converter(function.getContext()),
        pointer(LLVM::LLVMPointerType::get(function.getContext())) {}

  void run() {
    LLVM::LLVMFuncOp body = moveBody();
    buildEntry(body);
    function.erase();
  }

private:
  LLVM::LLVMFuncOp moveBody();
  void buildEntry(LLVM::LLVMFuncOp body);
  Value loadAt(Value base, int64_t byte, Type type) {
    Value address = LLVM::GEPOp::create(builder, loc, pointer, builder.getI8Type(), base, ArrayRef<LLVM::GEPArg>{int32_t(byte)});
    return LLVM::LoadOp::create(builder, loc, type, address);
  }

  func::FuncOp function;
  OpBuilder builder;
  Location loc;
  LLVMTypeConverter converter;
  Type pointer;
};
} // namespace

/// The function's body in an llvm.func of pointers and integers.
LLVM::LLVMFuncOp EntryBuilder::moveBody() {
  SmallVector<Type> types;
  for (Type type : function.getArgumentTypes())
    types.push_back(type.isIndex() ? builder.getI64Type() : pointer);
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(builder.getContext()), types);
  auto body = LLVM::LLVMFuncOp::create(builder, loc, function.getName(), type, LLVM::Linkage::Internal);
  body.setAlwaysInline(true);
  for (unsigned index = 0; index < types.size(); ++index)
    if (function.getArgAttr(index, "llvm.noalias"))
      body.setArgAttr(index, "llvm.noalias", builder.getUnitAttr());
  // A task's scratch is its own.
  body.setArgAttr(types.size() - numTaskArguments + scratchArgument, "llvm.noalias", builder.getUnitAttr());

  body.getBody().takeBody(function.getBody());
  Block &block = body.getBody().front();
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(&block);
  for (auto [index, type] : llvm::enumerate(types)) {
    BlockArgument old = block.getArgument(index);
    BlockArgument argument = block.insertArgument(index, type, old.getLoc());
    old = block.getArgument(index + 1);
    Value value = old.getType().isIndex()
                      ? UnrealizedConversionCastOp::create(builder, loc, old.getType(), Value(argument)).getResult(0)
                      : buildBuffer(builder, loc, converter, cast<MemRefType>(old.getType()), argument);
    old.replaceAllUsesWith(value);
    block.eraseArgument(index + 1);
  }
  body.walk([](func::ReturnOp op) {
    OpBuilder at(op);
    LLVM::ReturnOp::create(at, op.getLoc(), ValueRange());
    op.erase();
  });
  return body;
}

/// Loads the task and calls `body`.
void EntryBuilder::buildEntry(LLVM::LLVMFuncOp body) {
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(builder.getContext()), {pointer});
  auto entry = LLVM::LLVMFuncOp::create(builder, loc, (function.getName() + entrySuffix).str(), type, LLVM::Linkage::External,
                                        /*dsoLocal=*/true, LLVM::CConv::Win64);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(entry.addEntryBlock(builder));
  Value task = entry.getArgument(0), buffers = loadAt(task, 0, pointer);
  unsigned numBuffers = body.getNumArguments() - numTaskArguments;
  SmallVector<Value> values;
  for (auto [index, type] : llvm::enumerate(body.getArgumentTypes()))
    values.push_back(index < numBuffers ? loadAt(buffers, 8 * index, type) : loadAt(task, 8 * (index - numBuffers + 1), type));
  LLVM::CallOp::create(builder, loc, body, values);
  LLVM::ReturnOp::create(builder, loc, ValueRange());
}

namespace {
struct CpuEntries : sm1::impl::CpuEntriesBase<CpuEntries> {
  void runOnOperation() override {
    for (auto function : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>())) {
      if (function.isExternal() || function.isPrivate())
        continue;
      if (failed(checkSignature(function)))
        return signalPassFailure();
      EntryBuilder(function).run();
    }
  }
};
} // namespace
