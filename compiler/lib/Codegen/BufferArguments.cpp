//===- BufferArguments.cpp - memrefs from bare pointers ----------------------------------------------------------===//

#include "BufferArguments.h"

#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"

using namespace mlir;
using namespace sm1;

/// Stands for the unknown number of rows of a buffer: more than any, and far from overflowing a product with a stride.
static constexpr int64_t manyRows = int64_t(1) << 31;

bool sm1::isDenseBuffer(Type type) {
  auto buffer = dyn_cast<MemRefType>(type);
  return buffer && buffer.getLayout().isIdentity() && buffer.getRank() > 0 &&
         llvm::none_of(buffer.getShape().drop_front(), ShapedType::isDynamic);
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

LLVM::LLVMFuncOp sm1::moveBody(OpBuilder &builder, func::FuncOp function, LLVM::Linkage linkage) {
  LLVMTypeConverter converter(function.getContext());
  Location loc = function.getLoc();
  SmallVector<Type> types;
  for (Type type : function.getArgumentTypes()) {
    auto buffer = dyn_cast<MemRefType>(type);
    types.push_back(buffer ? Type(LLVM::LLVMPointerType::get(builder.getContext(), buffer.getMemorySpaceAsInt()))
                           : builder.getI64Type());
  }
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(builder.getContext()), types);
  auto body = LLVM::LLVMFuncOp::create(builder, loc, function.getName(), type, linkage);
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
