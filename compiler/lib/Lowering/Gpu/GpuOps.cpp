//===- GpuOps.cpp - the NVVM operations behind GpuOps.h ----------------------------------------------------------===//

#include "GpuOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

static Value toIndex(OpBuilder &builder, Location loc, Value number) {
  return arith::IndexCastUIOp::create(builder, loc, builder.getIndexType(), number);
}

static Value constant(OpBuilder &builder, Location loc, int32_t value) {
  return arith::ConstantIntOp::create(builder, loc, value, 32);
}

Value sm1::cuda::threadId(OpBuilder &builder, Location loc) {
  return toIndex(builder, loc, NVVM::ThreadIdXOp::create(builder, loc, builder.getI32Type()));
}

Value sm1::cuda::blockId(OpBuilder &builder, Location loc, Axis axis) {
  Type i32 = builder.getI32Type();
  Value number = axis == Axis::X   ? NVVM::BlockIdXOp::create(builder, loc, i32).getResult()
                 : axis == Axis::Y ? NVVM::BlockIdYOp::create(builder, loc, i32).getResult()
                                   : NVVM::BlockIdZOp::create(builder, loc, i32).getResult();
  return toIndex(builder, loc, number);
}

void sm1::cuda::barrier(OpBuilder &builder, Location loc) { NVVM::BarrierOp::create(builder, loc); }

void sm1::cuda::warpBarrier(OpBuilder &builder, Location loc) {
  NVVM::SyncWarpOp::create(builder, loc, constant(builder, loc, -1));
}

/// Inline, since LLVM's intrinsic lets accesses to memory pass.
static void instruction(OpBuilder &builder, Location loc, StringRef text) {
  LLVM::InlineAsmOp::create(builder, loc, TypeRange(), ValueRange(), text, "~{memory}", /*has_side_effects=*/true,
                            /*is_align_stack=*/false, LLVM::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr());
}

void sm1::cuda::waitForEarlierKernels(OpBuilder &builder, Location loc) { instruction(builder, loc, "griddepcontrol.wait;"); }

void sm1::cuda::startLaterKernel(OpBuilder &builder, Location loc) {
  instruction(builder, loc, "griddepcontrol.launch_dependents;");
}

static constexpr llvm::StringLiteral wholeDevice = "device";

Value sm1::cuda::loadSharedWord(OpBuilder &builder, Location loc, Value address) {
  return LLVM::LoadOp::create(builder, loc, builder.getI64Type(), address, /*alignment=*/8, /*isVolatile=*/false,
                              /*isNonTemporal=*/false, /*isInvariant=*/false, /*isInvariantGroup=*/false,
                              LLVM::AtomicOrdering::monotonic, wholeDevice);
}

void sm1::cuda::storeSharedWord(OpBuilder &builder, Location loc, Value word, Value address) {
  LLVM::StoreOp::create(builder, loc, word, address, /*alignment=*/8, /*isVolatile=*/false, /*isNonTemporal=*/false,
                        /*isInvariantGroup=*/false, LLVM::AtomicOrdering::monotonic, wholeDevice);
}

Value sm1::cuda::shuffleXor(OpBuilder &builder, Location loc, Value value, int32_t mask) {
  return NVVM::ShflOp::create(builder, loc, value.getType(), constant(builder, loc, -1), value, constant(builder, loc, mask),
                              constant(builder, loc, 31), NVVM::ShflKind::bfly, UnitAttr());
}

Value sm1::cuda::addressOf(OpBuilder &builder, Location loc, Value memref, Value offset, unsigned addressSpace) {
  Value base = memref::ExtractAlignedPointerAsIndexOp::create(builder, loc, memref);
  Value place = arith::AddIOp::create(builder, loc, base, offset);
  Value number = arith::IndexCastOp::create(builder, loc, builder.getI64Type(), place);
  return LLVM::IntToPtrOp::create(builder, loc, LLVM::LLVMPointerType::get(builder.getContext(), addressSpace), number);
}

void sm1::cuda::copyAsync(OpBuilder &builder, Location loc, Value to, Value from, Value bytes) {
  NVVM::CpAsyncOp::create(builder, loc, to, from, 16, NVVM::LoadCacheModifierKind::CG, bytes);
}

void sm1::cuda::commitCopies(OpBuilder &builder, Location loc) { NVVM::CpAsyncCommitGroupOp::create(builder, loc); }

void sm1::cuda::waitForCopies(OpBuilder &builder, Location loc, uint32_t groups) {
  NVVM::CpAsyncWaitGroupOp::create(builder, loc, groups);
}

/// The members of a struct of four.
static std::array<Value, 4> unpack(OpBuilder &builder, Location loc, Value four) {
  std::array<Value, 4> members;
  for (int64_t i = 0; i < 4; ++i)
    members[i] = LLVM::ExtractValueOp::create(builder, loc, four, i);
  return members;
}

static Type fourOf(Type type) { return LLVM::LLVMStructType::getLiteral(type.getContext(), SmallVector<Type>(4, type)); }

std::array<Value, 4> sm1::cuda::loadMatrices(OpBuilder &builder, Location loc, Value address) {
  auto shape = NVVM::LdStMatrixShapeAttr::get(builder.getContext(), 8, 8);
  Value four = NVVM::LdMatrixOp::create(builder, loc, fourOf(builder.getI32Type()), address, 4, NVVM::MMALayout::row, shape,
                                        NVVM::LdStMatrixEltType::B16);
  return unpack(builder, loc, four);
}

std::array<Value, 4> sm1::cuda::loadWords(OpBuilder &builder, Location loc, Value address) {
  Value words = LLVM::LoadOp::create(builder, loc, VectorType::get({4}, builder.getI32Type()), address, /*alignment=*/16);
  std::array<Value, 4> members;
  for (int64_t i = 0; i < 4; ++i)
    members[i] = LLVM::ExtractElementOp::create(builder, loc, words, constant(builder, loc, int32_t(i)));
  return members;
}

std::array<Value, 4> sm1::cuda::multiplyAdd(OpBuilder &builder, Location loc, std::array<Value, 4> a, std::array<Value, 2> b,
                                            std::array<Value, 4> c) {
  Value four = NVVM::MmaOp::create(builder, loc, fourOf(builder.getF32Type()), a, b, c, {16, 8, 16}, std::nullopt, std::nullopt,
                                   std::array<NVVM::MMATypes, 2>{NVVM::MMATypes::bf16, NVVM::MMATypes::bf16},
                                   std::array<NVVM::MMALayout, 2>{NVVM::MMALayout::row, NVVM::MMALayout::col});
  return unpack(builder, loc, four);
}
