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

void sm1::cuda::insertDialect(DialectRegistry &registry) { registry.insert<NVVM::NVVMDialect>(); }

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

void sm1::cuda::barrierOf(OpBuilder &builder, Location loc, Value number, int64_t threads) {
  NVVM::BarrierOp::create(builder, loc, TypeRange(), number, constant(builder, loc, int32_t(threads)), NVVM::BarrierReductionAttr(),
                          Value());
}

void sm1::cuda::warpBarrier(OpBuilder &builder, Location loc) {
  NVVM::SyncWarpOp::create(builder, loc, constant(builder, loc, -1));
}

static LLVM::InlineAsmOp inlineText(OpBuilder &builder, Location loc, TypeRange results, ValueRange operands, StringRef text,
                                    StringRef constraints, bool hasSideEffects = true) {
  return LLVM::InlineAsmOp::create(builder, loc, results, operands, text, constraints, hasSideEffects,
                                   /*is_align_stack=*/false, LLVM::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr());
}

/// Inline, since LLVM's intrinsics let accesses to memory pass. `operands` are i32 ("r"), i64 ("l") or f32 ("f") as `constraints`
/// say.
static void instruction(OpBuilder &builder, Location loc, StringRef text, ValueRange operands = {}, StringRef constraints = "") {
  inlineText(builder, loc, TypeRange(), operands, text, (constraints + (constraints.empty() ? "" : ",") + "~{memory}").str());
}

/// A special register.
static Value readRegister(OpBuilder &builder, Location loc, StringRef name) {
  return inlineText(builder, loc, builder.getI32Type(), {}, ("mov.u32 $0, " + name + ";").str(), "=r").getResult(0);
}

sm1::cuda::PlaceInGrid sm1::cuda::placeInGrid(OpBuilder &builder, Location loc) {
  Value number = toIndex(builder, loc, readRegister(builder, loc, "%ctaid.x"));
  return {number, toIndex(builder, loc, readRegister(builder, loc, "%nctaid.x"))};
}

Value sm1::cuda::clock(OpBuilder &builder, Location loc) { return readRegister(builder, loc, "%clock"); }

Value sm1::cuda::multiprocessors(OpBuilder &builder, Location loc) {
  return toIndex(builder, loc, readRegister(builder, loc, "%nsmid"));
}

sm1::cuda::GridSize sm1::cuda::gridSize(OpBuilder &builder, Location loc) {
  auto read = [&](StringRef name) { return toIndex(builder, loc, readRegister(builder, loc, name)); };
  return {read("%nctaid.x"), read("%nctaid.y"), read("%nctaid.z")};
}

void sm1::cuda::endApart(OpBuilder &builder, Location loc) { instruction(builder, loc, ""); }

void sm1::cuda::computeHere(OpBuilder &builder, Location loc, Value vector) {
  SmallVector<Value> elements;
  std::string constraints;
  for (int64_t i = 0; i < cast<VectorType>(vector.getType()).getNumElements(); ++i) {
    Value number = arith::ConstantIntOp::create(builder, loc, i, 32);
    elements.push_back(LLVM::ExtractElementOp::create(builder, loc, vector, number));
    constraints += i ? ",f" : "f";
  }
  inlineText(builder, loc, TypeRange(), elements, "", constraints);
}

void sm1::cuda::waitForEarlierKernels(OpBuilder &builder, Location loc) { instruction(builder, loc, "griddepcontrol.wait;"); }

void sm1::cuda::startLaterKernel(OpBuilder &builder, Location loc) {
  instruction(builder, loc, "griddepcontrol.launch_dependents;");
}

void sm1::cuda::fetchLine(OpBuilder &builder, Location loc, Value address) {
  instruction(builder, loc, "prefetch.global.L2 [$0];", address, "l");
}

void sm1::cuda::fetchBulk(OpBuilder &builder, Location loc, Value address, Value bytes) {
  Value from = LLVM::PtrToIntOp::create(builder, loc, builder.getI64Type(), address);
  instruction(builder, loc, "cp.async.bulk.prefetch.L2.global [$0], $1;", {from, bytes}, "l,r");
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

Value sm1::cuda::shuffle(OpBuilder &builder, Location loc, Value value, Value lane) {
  Value number = arith::IndexCastOp::create(builder, loc, builder.getI32Type(), lane);
  return NVVM::ShflOp::create(builder, loc, value.getType(), constant(builder, loc, -1), value, number, constant(builder, loc, 31),
                              NVVM::ShflKind::idx, UnitAttr());
}

Value sm1::cuda::addressOf(OpBuilder &builder, Location loc, Value memref, Value offset, unsigned addressSpace) {
  Value base = memref::ExtractAlignedPointerAsIndexOp::create(builder, loc, memref);
  Value place = arith::AddIOp::create(builder, loc, base, offset);
  Value number = arith::IndexCastOp::create(builder, loc, builder.getI64Type(), place);
  return LLVM::IntToPtrOp::create(builder, loc, LLVM::LLVMPointerType::get(builder.getContext(), addressSpace), number);
}

/// `type` with bytes in the place of e4m3, which LLVM does not know.
static VectorType plainOf(VectorType type) {
  bool isByte = type.getElementTypeBitWidth() == 8;
  return isByte ? VectorType::get(type.getShape(), IntegerType::get(type.getContext(), 8)) : type;
}

static Value castTo(OpBuilder &builder, Location loc, VectorType type, Value vector) {
  return vector.getType() == type ? vector : arith::BitcastOp::create(builder, loc, type, vector).getResult();
}

/// A vector as what one instruction moves: a word of 32 or 64 bits, or two of these.
static VectorType wordsOf(VectorType type) {
  int64_t bits = type.getNumElements() * type.getElementTypeBitWidth(), word = std::min<int64_t>(bits, 64);
  return VectorType::get({bits / word}, IntegerType::get(type.getContext(), unsigned(word)));
}

Value sm1::cuda::loadWhere(OpBuilder &builder, Location loc, Value condition, Value address, int64_t offset, VectorType type) {
  VectorType words = wordsOf(type);
  Type word = words.getElementType();
  std::string bits = std::to_string(words.getElementTypeBitWidth()), behind = " + " + std::to_string(offset) + "];";
  std::string result = words.getElementTypeBitWidth() == 32 ? "r" : "l";
  if (words.getNumElements() == 1) {
    auto one = inlineText(builder, loc, word, {address, condition},
                          "mov.b" + bits + " $0, 0;\n\t@$2 ld.global.b" + bits + " $0, [$1" + behind, "=&" + result + ",l,b");
    return castTo(builder, loc, type, LLVM::BitcastOp::create(builder, loc, plainOf(type), one.getResult(0)));
  }
  Type pair = LLVM::LLVMStructType::getLiteral(type.getContext(), {word, word});
  auto both = inlineText(builder, loc, pair, {address, condition},
                         "mov.b64 $0, 0;\n\tmov.b64 $1, 0;\n\t@$3 ld.global.v2.b64 {$0, $1}, [$2" + behind, "=&l,=&l,l,b");
  Value vector = LLVM::PoisonOp::create(builder, loc, words);
  for (int64_t i = 0; i < 2; ++i)
    vector = LLVM::InsertElementOp::create(builder, loc, vector, LLVM::ExtractValueOp::create(builder, loc, both.getResult(0), i),
                                           constant(builder, loc, int32_t(i)));
  return castTo(builder, loc, type, LLVM::BitcastOp::create(builder, loc, plainOf(type), vector));
}

Value sm1::cuda::loadBehind(OpBuilder &builder, Location loc, Value address, Value offset, VectorType type) {
  Value place = LLVM::GEPOp::create(builder, loc, address.getType(), builder.getI8Type(), address, ArrayRef<LLVM::GEPArg>{offset});
  unsigned bytes = unsigned(type.getNumElements() * type.getElementTypeBitWidth() / 8);
  return castTo(builder, loc, type, LLVM::LoadOp::create(builder, loc, plainOf(type), place, bytes));
}

void sm1::cuda::storeWhere(OpBuilder &builder, Location loc, Value condition, Value vector, Value address, int64_t offset) {
  auto type = cast<VectorType>(vector.getType());
  VectorType words = wordsOf(type);
  vector = castTo(builder, loc, plainOf(type), vector);
  std::string bits = std::to_string(words.getElementTypeBitWidth()), at = "[$0 + " + std::to_string(offset) + "], ";
  if (words.getNumElements() == 1) {
    Value word = LLVM::BitcastOp::create(builder, loc, words.getElementType(), vector);
    inlineText(builder, loc, TypeRange(), {address, condition, word}, "@$1 st.global.b" + bits + " " + at + "$2;",
               words.getElementTypeBitWidth() == 32 ? "l,b,r" : "l,b,l");
    return;
  }
  Value both = LLVM::BitcastOp::create(builder, loc, words, vector);
  SmallVector<Value> operands{address, condition};
  for (int64_t i = 0; i < 2; ++i)
    operands.push_back(LLVM::ExtractElementOp::create(builder, loc, both, constant(builder, loc, int32_t(i))));
  inlineText(builder, loc, TypeRange(), operands, "@$1 st.global.v2.b64 " + at + "{$2, $3};", "l,b,l,l");
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

/// As text: the operation knows no e4m3.
static Value multiplyAddFp8(OpBuilder &builder, Location loc, ArrayRef<Value> operands) {
  return inlineText(builder, loc, fourOf(builder.getF32Type()), operands,
                    "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 {$0, $1, $2, $3}, {$4, $5, $6, $7}, {$8, $9}, "
                    "{$10, $11, $12, $13};",
                    "=f,=f,=f,=f,r,r,r,r,r,r,0,1,2,3", /*hasSideEffects=*/false)
      .getResult(0);
}

std::array<Value, 4> sm1::cuda::multiplyAdd(OpBuilder &builder, Location loc, std::array<Value, 4> a, std::array<Value, 2> b,
                                            std::array<Value, 4> c, bool fp8) {
  if (fp8)
    return unpack(builder, loc, multiplyAddFp8(builder, loc, {a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], c[2], c[3]}));
  Value four = NVVM::MmaOp::create(builder, loc, fourOf(builder.getF32Type()), a, b, c, {16, 8, 16}, std::nullopt, std::nullopt,
                                   std::array<NVVM::MMATypes, 2>{NVVM::MMATypes::bf16, NVVM::MMATypes::bf16},
                                   std::array<NVVM::MMALayout, 2>{NVVM::MMALayout::row, NVVM::MMALayout::col});
  return unpack(builder, loc, four);
}

//===----------------------------------------------------------------------===//
// Bulk copies
//===----------------------------------------------------------------------===//

/// The 32 bits of an address in shared memory.
static Value sharedAddress(OpBuilder &builder, Location loc, Value pointer) {
  return LLVM::PtrToIntOp::create(builder, loc, builder.getI32Type(), pointer);
}

void sm1::cuda::initBulkBarrier(OpBuilder &builder, Location loc, Value barrier, int64_t arrivals) {
  instruction(builder, loc, "mbarrier.init.shared.b64 [$0], " + std::to_string(arrivals) + ";",
              sharedAddress(builder, loc, barrier), "r");
}

void sm1::cuda::initBulkBarrier(OpBuilder &builder, Location loc, Value barrier, Value arrivals) {
  instruction(builder, loc, "mbarrier.init.shared.b64 [$0], $1;", {sharedAddress(builder, loc, barrier), arrivals}, "r,r");
}

void sm1::cuda::fenceBulkBarriers(OpBuilder &builder, Location loc) {
  instruction(builder, loc, "fence.mbarrier_init.release.cluster;");
}

void sm1::cuda::fenceSharedForCopies(OpBuilder &builder, Location loc) {
  instruction(builder, loc, "fence.proxy.async.shared::cta;");
}

void sm1::cuda::expectBytes(OpBuilder &builder, Location loc, Value barrier, Value bytes) {
  instruction(builder, loc, "mbarrier.arrive.expect_tx.shared.b64 _, [$0], $1;", {sharedAddress(builder, loc, barrier), bytes},
              "r,r");
}

void sm1::cuda::arrive(OpBuilder &builder, Location loc, Value barrier) {
  instruction(builder, loc, "mbarrier.arrive.shared.b64 _, [$0];", sharedAddress(builder, loc, barrier), "r");
}

void sm1::cuda::copyBulk(OpBuilder &builder, Location loc, Value to, Value from, Value bytes, Value barrier, bool readOnce) {
  constexpr int64_t givenUpFirst = 0x12f0000000000000; // what createpolicy makes of L2::evict_first
  Value source = LLVM::PtrToIntOp::create(builder, loc, builder.getI64Type(), from);
  SmallVector<Value> operands{sharedAddress(builder, loc, to), source, bytes, sharedAddress(builder, loc, barrier)};
  if (!readOnce)
    return instruction(builder, loc, "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [$0], [$1], $2, [$3];",
                       operands, "r,l,r,r");
  operands.push_back(arith::ConstantIntOp::create(builder, loc, givenUpFirst, 64));
  instruction(builder, loc,
              "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [$0], [$1], $2, [$3], $4;",
              operands, "r,l,r,r,l");
}

/// The 64 bits of the generic address of a tensor map.
static Value mapAddress(OpBuilder &builder, Location loc, Value map) {
  Value base = memref::ExtractAlignedPointerAsIndexOp::create(builder, loc, map);
  return arith::IndexCastOp::create(builder, loc, builder.getI64Type(), base);
}

void sm1::cuda::fetchMap(OpBuilder &builder, Location loc, Value map) {
  instruction(builder, loc, "prefetch.tensormap [$0];", mapAddress(builder, loc, map), "l");
}

void sm1::cuda::copyBox(OpBuilder &builder, Location loc, Value to, Value map, Value column, Value row, Value barrier) {
  Value address = mapAddress(builder, loc, map);
  instruction(builder, loc,
              "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [$0], [$1, {$2, $3}], [$4];",
              {sharedAddress(builder, loc, to), address, column, row, sharedAddress(builder, loc, barrier)}, "r,l,r,r,r");
}

/// `waiting`: the instruction's modifiers.
static void waitAt(OpBuilder &builder, Location loc, StringRef waiting, Value barrier, Value parity) {
  instruction(builder, loc,
              ("{\n\t.reg .pred there;\nagain_${:uid}:\n\tmbarrier.try_wait.parity." + waiting +
               ".b64 there, [$0], $1;\n\t@!there bra again_${:uid};\n\t}")
                  .str(),
              {sharedAddress(builder, loc, barrier), parity}, "r,r");
}

void sm1::cuda::waitForBytes(OpBuilder &builder, Location loc, Value barrier, Value parity) {
  waitAt(builder, loc, "shared", barrier, parity);
}

void sm1::cuda::letClocksPass(OpBuilder &builder, Location loc, int64_t clocks) {
  instruction(
      builder, loc,
      ("{\n\t.reg .b32 began, past;\n\t.reg .pred early;\n\tmov.u32 began, %clock;\npacing_${:uid}:\n\tmov.u32 past, %clock;\n\t"
       "sub.u32 past, past, began;\n\tsetp.lt.u32 early, past, " +
       Twine(clocks) + ";\n\t@early bra pacing_${:uid};\n\t}")
          .str());
}

//===----------------------------------------------------------------------===//
// Tensor cores of a warpgroup
//===----------------------------------------------------------------------===//

/// The matrix descriptor of PTX, but for the address: how it is swizzled, and in units of 16 bytes where the next eight rows lie.
static uint64_t operandDescriptor(int64_t lineBytes) {
  uint64_t swizzle = lineBytes == 128 ? 1 : 2;
  return swizzle << 62 | uint64_t(8 * lineBytes / 16) << 32 | uint64_t(1) << 16;
}
static constexpr uint64_t addressMask = (1 << 14) - 1;

Value sm1::cuda::operandAt(OpBuilder &builder, Location loc, Value pointer, int64_t lineBytes) {
  auto number = [&](uint64_t value) { return arith::ConstantIntOp::create(builder, loc, int64_t(value), 64).getResult(); };
  Value address = LLVM::PtrToIntOp::create(builder, loc, builder.getI64Type(), pointer);
  Value units = arith::ShRUIOp::create(builder, loc, address, number(4));
  Value masked = arith::AndIOp::create(builder, loc, units, number(addressMask));
  return arith::OrIOp::create(builder, loc, masked, number(operandDescriptor(lineBytes)));
}

Value sm1::cuda::operandAfter(OpBuilder &builder, Location loc, Value operand, int64_t bytes) {
  Value units = arith::ConstantIntOp::create(builder, loc, bytes / 16, 64);
  return builder.createOrFold<arith::AddIOp>(loc, operand, units);
}

void sm1::cuda::setRegisters(OpBuilder &builder, Location loc, int64_t registers, bool more) {
  instruction(builder, loc,
              (more ? "setmaxnreg.inc.sync.aligned.u32 " : "setmaxnreg.dec.sync.aligned.u32 ") + std::to_string(registers) + ";");
}

void sm1::cuda::fenceWarpgroup(OpBuilder &builder, Location loc) { instruction(builder, loc, "wgmma.fence.sync.aligned;"); }

void sm1::cuda::commitProducts(OpBuilder &builder, Location loc) { instruction(builder, loc, "wgmma.commit_group.sync.aligned;"); }

/// `text` with `sums` as registers $0, $1, ... that it reads and writes, and `others` (i64) behind them.
static SmallVector<Value> withSums(OpBuilder &builder, Location loc, StringRef text, ValueRange sums, ValueRange others) {
  SmallVector<Value> operands(others);
  llvm::append_range(operands, sums);
  std::string constraints;
  for (size_t i = 0; i < sums.size(); ++i)
    constraints += "=f,";
  for (size_t i = 0; i < others.size(); ++i)
    constraints += "l,";
  for (size_t i = 0; i < sums.size(); ++i)
    constraints += std::to_string(i) + ",";
  auto type = LLVM::LLVMStructType::getLiteral(builder.getContext(), SmallVector<Type>(sums.size(), builder.getF32Type()));
  Value all = inlineText(builder, loc, type, operands, text, constraints + "~{memory}").getResult(0);
  SmallVector<Value> results;
  for (size_t i = 0; i < sums.size(); ++i)
    results.push_back(LLVM::ExtractValueOp::create(builder, loc, all, int64_t(i)));
  return results;
}

SmallVector<Value> sm1::cuda::startProducts(OpBuilder &builder, Location loc, bool fp8, Value rows, Value weights,
                                            ValueRange sums) {
  std::string registers, rowsAt = "$" + std::to_string(sums.size()), weightsAt = "$" + std::to_string(sums.size() + 1);
  for (size_t i = 0; i < sums.size(); ++i)
    registers += (i ? ", $" : "$") + std::to_string(i);
  // The last two numbers of bf16 say that no operand is transposed, which bytes cannot be.
  std::string text = "wgmma.mma_async.sync.aligned.m64n" + std::to_string(sums.size() * 2) +
                     (fp8 ? "k32.f32.e4m3.e4m3 {" : "k16.f32.bf16.bf16 {") + registers + "}, " + rowsAt + ", " + weightsAt +
                     (fp8 ? ", 1, 1, 1;" : ", 1, 1, 1, 0, 0;");
  return withSums(builder, loc, text, sums, {rows, weights});
}

SmallVector<Value> sm1::cuda::waitForProducts(OpBuilder &builder, Location loc, uint32_t groups, ValueRange sums) {
  return withSums(builder, loc, "wgmma.wait_group.sync.aligned " + std::to_string(groups) + ";", sums, {});
}

//===----------------------------------------------------------------------===//
// Clusters
//===----------------------------------------------------------------------===//

void sm1::cuda::arriveAtCluster(OpBuilder &builder, Location loc) {
  instruction(builder, loc, "barrier.cluster.arrive.relaxed.aligned;");
}

void sm1::cuda::waitForCluster(OpBuilder &builder, Location loc) {
  instruction(builder, loc, "barrier.cluster.wait.acquire.aligned;");
}

Value sm1::cuda::addressInBlock(OpBuilder &builder, Location loc, Value address, Value rank) {
  Value number = arith::IndexCastOp::create(builder, loc, builder.getI32Type(), rank);
  return inlineText(builder, loc, builder.getI32Type(), {sharedAddress(builder, loc, address), number},
                    "mapa.shared::cluster.u32 $0, $1, $2;", "=r,r,r")
      .getResult(0);
}

void sm1::cuda::waitForOtherBlocks(OpBuilder &builder, Location loc, Value barrier) {
  waitAt(builder, loc, "acquire.cluster.shared", barrier, constant(builder, loc, 0));
}

void sm1::cuda::storeInBlock(OpBuilder &builder, Location loc, Value to, ValueRange four, Value barrier) {
  SmallVector<Value> operands{to};
  llvm::append_range(operands, four);
  operands.push_back(barrier);
  instruction(builder, loc, "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [$0], {$1, $2, $3, $4}, [$5];",
              operands, "r,f,f,f,f,r");
}
