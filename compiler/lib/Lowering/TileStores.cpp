//===- TileStores.cpp - how a tile's results get to memory -------------------------------------------------------===//
//
// Lines that are written whole need not be read before: they go around the caches. Half lines, of tiles of one panel, wait in
// scratch for those of the next.

#include "TileEvaluator.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <numeric>

using namespace mlir;
using namespace sm1;

static Value castTo(OpBuilder &builder, Location loc, Value vector, int64_t lanes, Type element) {
  return vector::BitCastOp::create(builder, loc, VectorType::get({lanes}, element), vector);
}

/// Stores a line around the caches: of f32 `first`, of bf16 both. LLVM's code generation forgets that of vectors of bf16, and
/// whatever has been cast from such is one for it.
static void storeLine(OpBuilder &builder, Location loc, Value first, Value second, Value buffer, Value row, Value column) {
  constexpr int64_t line = 64;
  if (!second) {
    vector::StoreOp::create(builder, loc, first, buffer, ValueRange{row, column}, /*nontemporal=*/true, llvm::Align(line));
    return;
  }
  SmallVector<int64_t> lanes(2 * panelWidth);
  std::iota(lanes.begin(), lanes.end(), 0);
  auto halves = [&](Value vector) { return castTo(builder, loc, vector, panelWidth, builder.getI16Type()); };
  Value both = vector::ShuffleOp::create(builder, loc, halves(first), halves(second), lanes);
  auto index = [&](int64_t value) -> Value { return arith::ConstantIndexOp::create(builder, loc, value); };
  int64_t stride = cast<MemRefType>(buffer.getType()).getDimSize(1);
  Value element = arith::AddIOp::create(builder, loc, arith::MulIOp::create(builder, loc, row, index(stride)), column);
  Value base = memref::ExtractAlignedPointerAsIndexOp::create(builder, loc, buffer);
  Value address = arith::AddIOp::create(builder, loc, base, arith::MulIOp::create(builder, loc, element, index(2)));
  Value integer = arith::IndexCastOp::create(builder, loc, builder.getI64Type(), address);
  Value pointer = LLVM::IntToPtrOp::create(builder, loc, LLVM::LLVMPointerType::get(builder.getContext()), integer);
  LLVM::StoreOp::create(builder, loc, both, pointer, line, /*isVolatile=*/false, /*isNonTemporal=*/true);
}

void TileEvaluator::storeHalves(Value value, Value buffer) {
  SmallVector<Value> vectors;
  for (int64_t m = 0; m < tile.rows; ++m)
    vectors.push_back(at(value, m, 0));
  int64_t result = llvm::find(buffers.results, buffer) - buffers.results.begin();
  Value first = add(tile.held->place, constant(result * tile.held->stride));
  Type element = getElementTypeOrSelf(vectors[0]), word = builder.getF32Type();
  auto placeOf = [&](size_t m) { return add(first, constant(int64_t(m) * halfLineWords)); };
  scf::IfOp::create(
      builder, loc, tile.held->completes,
      [&](OpBuilder &, Location) {
        Value before = arith::SubIOp::create(builder, loc, column(0), constant(panelWidth));
        auto words = VectorType::get({halfLineWords}, word);
        for (auto [m, vector] : llvm::enumerate(vectors)) {
          Value held = vector::LoadOp::create(builder, loc, words, buffers.scratch, ValueRange{placeOf(m)});
          storeLine(builder, loc, castTo(builder, loc, held, panelWidth, element), vector, buffer, row(int64_t(m)), before);
        }
        scf::YieldOp::create(builder, loc);
      },
      [&](OpBuilder &, Location) {
        for (auto [m, vector] : llvm::enumerate(vectors))
          vector::StoreOp::create(builder, loc, castTo(builder, loc, vector, halfLineWords, word), buffers.scratch,
                                  ValueRange{placeOf(m)});
        scf::YieldOp::create(builder, loc);
      });
}

/// False: the tile's results do not fill lines.
bool TileEvaluator::storeAround(Value value, Value buffer) {
  Type element = getElementTypeOrSelf(at(value, 0, 0));
  auto type = cast<MemRefType>(buffer.getType());
  int64_t bytes = element.getIntOrFloatBitWidth() / 8, line = 64, together = line / (bytes * panelWidth);
  if (!tile.around || tile.rowEnd || type.getDimSize(1) * bytes % line)
    return false;
  if (tile.held && together == 2) {
    storeHalves(value, buffer);
    return true;
  }
  if (tile.panels % together)
    return false;
  for (int64_t m = 0; m < tile.rows; ++m)
    for (int64_t n = 0; n < tile.panels; n += together)
      storeLine(builder, loc, at(value, m, n), together == 2 ? at(value, m, n + 1) : Value(), buffer, row(m), column(n));
  return true;
}

void TileEvaluator::store(Value value, Value buffer) {
  if (storeAround(value, buffer))
    return;
  for (int64_t m = 0; m < tile.rows; ++m)
    for (int64_t n = 0; n < tile.panels; ++n) {
      Value vector = at(value, m, n);
      fetchAhead(buffer, m, n, /*isWrite=*/true);
      auto storeOne = [&] {
        vector::StoreOp::create(builder, loc, vector, buffer, ValueRange{row(m), column(n)}, /*nontemporal=*/false,
                                alignmentOf(getElementTypeOrSelf(vector)));
      };
      if (!tile.rowEnd) {
        storeOne();
        continue;
      }
      Value place = add(tile.row, constant(m));
      when(arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, place, tile.rowEnd), storeOne);
    }
}
