//===- ProjectionInput.cpp - what a projection multiplies, row by row, and vectors of packed words ---------------===//

#include "ProjectionInput.h"

#include "Prologue.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

//===----------------------------------------------------------------------===//
// Words
//===----------------------------------------------------------------------===//

Type WordVectors::words() { return VectorType::get({panelWidth}, builder.getI32Type()); }
Type WordVectors::floats() { return VectorType::get({panelWidth}, builder.getF32Type()); }

Value WordVectors::integer(int32_t value) {
  return arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(cast<ShapedType>(words()), value));
}
Value WordVectors::times(Value value, int32_t factor) { return arith::MulIOp::create(builder, loc, value, integer(factor)); }
Value WordVectors::toFloat(Value value) { return arith::SIToFPOp::create(builder, loc, floats(), value); }
Value WordVectors::toInteger(Value value) { return arith::FPToSIOp::create(builder, loc, words(), value); }
Value WordVectors::bitsOf(Value value) { return arith::BitcastOp::create(builder, loc, words(), value); }
Value WordVectors::broadcast(Value scalar) {
  return vector::BroadcastOp::create(builder, loc, VectorType::get({panelWidth}, scalar.getType()), scalar);
}
Value WordVectors::shiftLeft(Value value, int32_t by) {
  return by ? arith::ShLIOp::create(builder, loc, value, integer(by)).getResult() : value;
}
Value WordVectors::as(Value value, int64_t lanes, Type element) {
  return vector::BitCastOp::create(builder, loc, VectorType::get({lanes}, element), value);
}

Value WordVectors::lowBf16(Value value) { return arith::BitcastOp::create(builder, loc, floats(), shiftLeft(value, 16)); }
Value WordVectors::highBf16(Value value) {
  return arith::BitcastOp::create(builder, loc, floats(), arith::AndIOp::create(builder, loc, value, integer(int32_t(0xffff0000))));
}

Value WordVectors::signedPart(Value value, int32_t from, int32_t bits) {
  Value top = shiftLeft(value, 32 - bits - from);
  return toFloat(arith::ShRSIOp::create(builder, loc, top, integer(32 - bits)));
}

/// The instruction takes no notice of what stands above the lowest four bits of a lane's index.
Value WordVectors::int4Of(Value stored, int32_t from) {
  SmallVector<float> numbers;
  for (int number = -8; number < 8; ++number)
    numbers.push_back(float(number));
  Value table = arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(cast<ShapedType>(floats()), ArrayRef(numbers)));
  Value index = from ? arith::ShRUIOp::create(builder, loc, stored, integer(from)).getResult() : stored;
  return LLVM::CallIntrinsicOp::create(builder, loc, floats(), builder.getStringAttr("llvm.x86.avx512.permvar.sf.512"),
                                       ValueRange{table, index})
      .getResults();
}

Value WordVectors::weightPart(Value stored, const ProductForm &form, size_t part) {
  using Weights = ProductForm::Weights;
  switch (form.weights) {
  case Weights::Panels:
    return getElementTypeOrSelf(stored).isF32() ? stored : arith::ExtFOp::create(builder, loc, floats(), stored).getResult();
  case Weights::Pairs:
    return form.dot ? stored : part == 0 ? lowBf16(stored) : highBf16(stored);
  case Weights::Quads: // from offset binary to two's complement, all four at once
    if (form.multipliesWords())
      return part == 0 ? arith::AndIOp::create(builder, loc, stored, integer(0x00ff00ff)).getResult() : highBytes(stored);
    return form.dot ? stored
                    : signedPart(arith::XOrIOp::create(builder, loc, stored, integer(int32_t(0x80808080))), int32_t(8 * part), 8);
  case Weights::Nibbles:
    break;
  }
  if (form.dot) {
    if (part == 0)
      return arith::AndIOp::create(builder, loc, stored, integer(0x0f0f0f0f));
    // Of bytes: one instruction where there is GFNI.
    Value bytes = as(stored, 64, builder.getI8Type());
    Value four = arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(cast<ShapedType>(bytes.getType()), int8_t(4)));
    return as(arith::ShRUIOp::create(builder, loc, bytes, four), panelWidth, builder.getI32Type());
  }
  int32_t from = int32_t(part % 4 * 8 + part / 4 * 4);
  if (form.table)
    return int4Of(stored, from);
  Value both = arith::XOrIOp::create(builder, loc, stored, integer(int32_t(0x88888888)));
  return signedPart(both, from, 4);
}

Value WordVectors::highBytes(Value stored) {
  Value halves = as(stored, 2 * panelWidth, builder.getI16Type());
  Value eight = arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(cast<ShapedType>(halves.getType()), int16_t(8)));
  return as(arith::ShRUIOp::create(builder, loc, halves, eight), panelWidth, builder.getI32Type());
}

/// `sum` plus what `intrinsic` makes of `a` and `b`, part by part as its vectors of `lanes` words take them. Of neighbouring
/// elements of `bits` bits it makes one of twice as many. Nothing is known of what an empty piece of assembly gives, so that sums
/// stay one chain: LLVM would add up products first, for which there are no registers.
Value WordVectors::addProducts(StringRef intrinsic, Value sum, Value a, Value b, int64_t bits, int64_t lanes) {
  Type element = builder.getIntegerType(bits), wide = builder.getIntegerType(2 * bits);
  auto partOf = [&](Value value, Type type, int64_t from) -> Value {
    int64_t perWord = 32 / type.getIntOrFloatBitWidth();
    Value all = as(value, panelWidth * perWord, type);
    return lanes == panelWidth ? all
                               : vector::ExtractStridedSliceOp::create(builder, loc, all, ArrayRef<int64_t>{from * perWord},
                                                                       ArrayRef<int64_t>{lanes * perWord}, ArrayRef<int64_t>{1});
  };
  SmallVector<Value> parts;
  for (int64_t from = 0; from < panelWidth; from += lanes) {
    Value before = partOf(sum, wide, from);
    Value products = LLVM::CallIntrinsicOp::create(builder, loc, before.getType(), builder.getStringAttr(intrinsic),
                                                   ValueRange{partOf(a, element, from), partOf(b, element, from)})
                         .getResults();
    Value next = arith::AddIOp::create(builder, loc, before, products);
    parts.push_back(LLVM::InlineAsmOp::create(builder, loc, next.getType(), next, "", "=v,0", /*has_side_effects=*/false,
                                              /*is_align_stack=*/false, LLVM::TailCallKind::None, LLVM::AsmDialectAttr(),
                                              ArrayAttr())
                        .getResult(0));
  }
  if (parts.size() == 1)
    return as(parts[0], panelWidth, builder.getI32Type());
  Value whole = vector::ShuffleOp::create(builder, loc, parts[0], parts[1],
                                          llvm::to_vector(llvm::seq<int64_t>(panelWidth * 32 / wide.getIntOrFloatBitWidth())));
  return as(whole, panelWidth, builder.getI32Type());
}

Value WordVectors::maddWords(Value sum, Value weights, Value x, int64_t lanes) {
  StringRef intrinsic = lanes == panelWidth ? "llvm.x86.avx512.pmaddw.d.512" : "llvm.x86.avx2.pmadd.wd";
  return addProducts(intrinsic, sum, weights, x, 16, lanes);
}

Value WordVectors::maddBytes(Value sum, Value weights, Value x, int64_t lanes) {
  StringRef intrinsic = lanes == panelWidth ? "llvm.x86.avx512.pmaddubs.w.512" : "llvm.x86.avx2.pmadd.ub.sw";
  return addProducts(intrinsic, sum, weights, x, 8, lanes);
}

Value WordVectors::addHalves(Value sum, Value halves, int64_t lanes) { return maddWords(sum, halves, integer(0x00010001), lanes); }

Value WordVectors::dotInt8(Value sum, Value weights, Value x) {
  Type byte = builder.getI8Type();
  return LLVM::CallIntrinsicOp::create(builder, loc, words(), builder.getStringAttr("llvm.x86.avx512.vpdpbusd.512"),
                                       ValueRange{sum, as(weights, 64, byte), as(x, 64, byte)})
      .getResults();
}

Value WordVectors::dotBf16(Value sum, Value weights, Value x) {
  Type bf16 = builder.getBF16Type();
  return LLVM::CallIntrinsicOp::create(builder, loc, floats(), builder.getStringAttr("llvm.x86.avx512bf16.dpbf16ps.512"),
                                       ValueRange{sum, as(x, 32, bf16), as(weights, 32, bf16)})
      .getResults();
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

ProjectionInput::ProjectionInput(OpBuilder &builder, Location loc, TileEvaluator &at, const KernelBuffers &buffers, Value x,
                                 ProductForm form)
    : builder(builder), loc(loc), at(at), buffers(buffers), x(x), form(form), w(builder, loc) {
  if (auto found = buffers.prologues.find(x); found != buffers.prologues.end())
    region = &found->second;
}

Value ProjectionInput::place(int64_t m, Value word) {
  Value taskRow = arith::SubIOp::create(builder, loc, at.row(m), buffers.rowBegin);
  return at.add(startOfRow(builder, loc, *region, taskRow), distanceOfWord(builder, loc, *region, word));
}

Value ProjectionInput::floatAt(int64_t m, Value k) {
  if (region)
    return memref::LoadOp::create(builder, loc, buffers.scratch, place(m, k));
  return at.widen(memref::LoadOp::create(builder, loc, buffers.inputs.lookup(x), ValueRange{at.row(m), k}));
}

Value ProjectionInput::wordAt(int64_t m, Value k, Value word) {
  Type i32 = builder.getI32Type();
  if (region) {
    Value loaded = memref::LoadOp::create(builder, loc, buffers.scratch, place(m, word));
    return w.broadcast(arith::BitcastOp::create(builder, loc, i32, loaded));
  }
  auto pair = VectorType::get({2}, builder.getBF16Type());
  Value loaded = vector::LoadOp::create(builder, loc, pair, buffers.inputs.lookup(x), ValueRange{at.row(m), k});
  Value bits = vector::BitCastOp::create(builder, loc, VectorType::get({1}, i32), loaded);
  return w.broadcast(vector::ExtractOp::create(builder, loc, bits, ArrayRef<int64_t>{0}));
}

/// Nothing is known of what an empty piece of assembly gives, so that no index is split off it again.
Value ProjectionInput::anchor(Value word) {
  Value bytes = arith::MulIOp::create(builder, loc, place(0, word), at.constant(4));
  Value address = at.add(memref::ExtractAlignedPointerAsIndexOp::create(builder, loc, buffers.scratch), bytes);
  Value integer = arith::IndexCastOp::create(builder, loc, builder.getI64Type(), address);
  Value opaque = LLVM::InlineAsmOp::create(builder, loc, builder.getI64Type(), integer, "", "=r,0", /*has_side_effects=*/false,
                                           /*is_align_stack=*/false, LLVM::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr())
                     .getResult(0);
  return LLVM::IntToPtrOp::create(builder, loc, LLVM::LLVMPointerType::get(builder.getContext()), opaque);
}

Value ProjectionInput::wordFrom(Value anchor, int64_t m, int64_t word) {
  Type i32 = builder.getI32Type();
  Value place =
      LLVM::GEPOp::create(builder, loc, anchor.getType(), i32, anchor, ArrayRef<LLVM::GEPArg>{int32_t(m * region->stride + word)});
  return w.broadcast(LLVM::LoadOp::create(builder, loc, i32, place, /*alignment=*/4));
}

Value ProjectionInput::wordOfPart(Value word, int64_t first) {
  if (!form.multipliesWords())
    return first < 16 ? word : at.add(word, at.constant(4));
  return at.add(builder.createOrFold<arith::MulIOp>(loc, word, at.constant(2)), at.constant(first));
}

SmallVector<Value> ProjectionInput::parts(int64_t m, Value k, Value word, ArrayRef<int64_t> firsts, int64_t valid) {
  SmallVector<Value> result;
  Value known;
  auto wordOf = [&](int64_t first) {
    if (!known)
      known = wordAt(m, k, wordOfPart(word, first));
    return known;
  };
  for (int64_t first : firsts) {
    if (first >= valid)
      result.push_back({});
    else if (form.dot && form.rounded && valid == 1) // what follows the last k may be anything
      result.push_back(arith::AndIOp::create(builder, loc, wordOf(first), w.integer(0xffff)));
    else if (form.dot)
      result.push_back(wordOf(first));
    else if (form.rounded)
      result.push_back(first == 0 ? w.lowBf16(wordOf(0)) : w.highBf16(wordOf(0)));
    else if (form.int8)
      result.push_back(w.signedPart(wordOf(first), int32_t(8 * (first % 4)), 8));
    else
      result.push_back(w.broadcast(floatAt(m, at.add(k, at.constant(first)))));
  }
  return result;
}

Value ProjectionInput::tail(int64_t m, Value offset) {
  return memref::LoadOp::create(builder, loc, buffers.scratch, place(m, at.add(at.constant(region->tail), offset)));
}

Value ProjectionInput::scale(int64_t m) { return w.broadcast(tail(m, at.constant(0))); }

Value ProjectionInput::sum(int64_t m) {
  return w.broadcast(arith::BitcastOp::create(builder, loc, builder.getI32Type(), tail(m, at.constant(1))));
}

Value ProjectionInput::groupCorrection(int64_t m, Value group) {
  return w.broadcast(arith::BitcastOp::create(builder, loc, builder.getI32Type(), tail(m, at.add(group, at.constant(2)))));
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

Value ProjectionScaling::finish(Value total, int64_t m, int64_t n) {
  if (!linear.getScales())
    return total;
  if (form.weights == ProductForm::Weights::Nibbles) // each group has been scaled
    return form.int8 ? arith::MulFOp::create(builder, loc, total, x.scale(m)).getResult() : total;
  Value scale = at.loadVector(buffers.inputs.lookup(linear.getScales()), at.column(n));
  if (!form.int8)
    return arith::MulFOp::create(builder, loc, total, scale);
  if (!getElementTypeOrSelf(total).isInteger())
    total = w.bitsOf(total);
  // In instructions that take bytes, int8 weights stand for themselves plus 128.
  if (form.dot)
    total = arith::AddIOp::create(builder, loc, total, w.times(x.sum(m), -128));
  return arith::MulFOp::create(builder, loc, w.toFloat(total), arith::MulFOp::create(builder, loc, x.scale(m), scale));
}
