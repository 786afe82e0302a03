//===- MatrixGroups.cpp - sums of int4 in groups of 32, in tile registers ------------------------------------------===//
//
// Each group has a scale of its own, so that its integers leave the tile register for scratch, from where vectors scale and add
// them: as many bytes as a product of full registers takes cycles, and still fewer instructions than products of four bytes a lane.
// A load gets what a register has stored only when that is in the first cache, so the integers of a group are added a group or more
// later.

#include "MatrixTiles.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

/// Tile registers: sums of two panels, rows, weights of two panels.
static constexpr int64_t groupRows = 2, groupWeights = 3;
static constexpr int64_t groupWidth = 32, partsOfGroup = groupWidth / 4, groupSteps = 4;
/// Words of the bytes that a group of a panel has when it is unpacked.
static constexpr int64_t unpackedWords = partsOfGroup * panelWidth;
/// Groups that are multiplied before the first of them is added. 3 are as good, 1 and 2 are 1.1 times slower, and so are 8 and
/// more.
static constexpr int64_t chunk = 4;

bool MatrixTiles::takesGroups(KernelOp kernel) {
  auto linears = kernel.getBlock().getOps<LinearOp>();
  return llvm::any_of(linears, [](LinearOp linear) { return getElementTypeOrSelf(linear.getWeight()).isInteger(4); });
}

int64_t MatrixTiles::wordsOfGroups(KernelOp kernel) {
  int64_t panels = kernel.getScheduleAttr().getMatrixPanels(), unpacked = 0;
  for (auto linear : kernel.getBlock().getOps<LinearOp>())
    if (getElementTypeOrSelf(linear.getWeight()).isInteger(4))
      unpacked += panels * channels(linear.getX().getType()) / groupWidth * unpackedWords;
  return unpacked ? unpacked + chunk * panels * tileWords : 0;
}

/// Rows have 32 bytes and weights 8 rows of a group.
void MatrixTiles::shapeOfGroups(uint8_t *config) const {
  for (int64_t number = 0; number < 8; ++number) {
    config[16 + 2 * number] = number == groupRows ? groupWidth : tileRowBytes;
    config[48 + number] = number >= groupWeights ? partsOfGroup : rows;
  }
}

Value MatrixTiles::placeOfUnpacked(Value linear, Value group, int64_t count) {
  Value first = times(linear, count * panels * unpackedWords);
  return add(add(first, times(group, panels * unpackedWords)), constant(groupScratch));
}

/// Where the integers of a group wait, of as many groups as `slot` counts.
Value MatrixTiles::placeOfIntegers(Value slot, int64_t panel) {
  return add(times(slot, panels * tileWords),
             constant(groupScratch + wordsOfGroups(kernel) - chunk * panels * tileWords + panel * tileWords));
}

/// Half a byte less 8, as a byte: bits 0 to 2 stay, all above are the inverse of bit 3. One instruction, where shifting, cutting
/// out and subtracting take three.
static Value signedNibbles(OpBuilder &builder, Location loc, Value bytes, bool high) {
  auto words = VectorType::get({8}, builder.getI64Type());
  int64_t matrix = high ? 0x1020408080808080 : 0x0102040808080808;
  Value rows = arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(words, matrix));
  rows = vector::BitCastOp::create(builder, loc, cast<VectorType>(bytes.getType()), rows);
  Value inverted = arith::ConstantIntOp::create(builder, loc, int8_t(0xf8), 8);
  return LLVM::CallIntrinsicOp::create(builder, loc, bytes.getType(), builder.getStringAttr("llvm.x86.vgf2p8affineqb.512"),
                                       ValueRange{bytes, rows, inverted})
      .getResults();
}

/// A group of all panels, to `place`; the same of the next panels is asked for.
void MatrixTiles::unpackGroup(LinearOp linear, const Block &block, Value group, Value place) {
  Value matrix = buffers.inputs.lookup(linear.getWeight());
  auto stored = VectorType::get({panelWidth}, builder.getI32Type()), bytes = VectorType::get({4 * panelWidth}, builder.getI8Type());
  auto floats = VectorType::get({panelWidth}, builder.getF32Type());
  for (int64_t n = 0; n < panels; ++n)
    for (int64_t step = 0; step < groupSteps; ++step) {
      Value position = add(times(group, groupSteps), constant(step)), panel = add(block.panel, constant(n));
      Value loaded = vector::LoadOp::create(builder, loc, stored, matrix, ValueRange{panel, position, constant(0)});
      memref::PrefetchOp::create(builder, loc, matrix, ValueRange{add(panel, constant(panels)), position, constant(0)},
                                 /*isWrite=*/false, /*localityHint=*/2, /*isDataCache=*/true);
      Value both = vector::BitCastOp::create(builder, loc, bytes, loaded);
      for (int64_t high = 0; high < 2; ++high) {
        Value part = vector::BitCastOp::create(builder, loc, floats, signedNibbles(builder, loc, both, high));
        Value word = add(place, constant(n * unpackedWords + (high * groupSteps + step) * panelWidth));
        vector::StoreOp::create(builder, loc, part, buffers.scratch, ValueRange{word});
      }
    }
}

/// The products of a group, from `unpacked`, to the integers of `slot`.
void MatrixTiles::multiplyGroup(Group &of, const Block &block, Value group, Value unpacked, Value slot) {
  Rows input = inputOf(of, block.row);
  load(groupRows, add(input.address, times(group, groupWidth)), input.pitch);
  for (int64_t n = 0; n < panels; ++n) {
    call("llvm.x86.tilezero", {tile(n)});
    load(groupWeights + n, addressOf(buffers.scratch, times(add(unpacked, constant(n * unpackedWords)), 4)), tileRowBytes);
    call("llvm.x86.tdpbssd", {tile(n), tile(groupRows), tile(groupWeights + n)});
    Value address = toPointer(addressOf(buffers.scratch, times(placeOfIntegers(slot, n), 4)));
    call("llvm.x86.tilestored64", {tile(n), address, stride(tileRowBytes)});
  }
}

/// Scales the integers of a group and panel and adds them to `totals`, one a row.
void MatrixTiles::addGroup(LinearOp linear, const Block &block, Value group, int64_t panel, Value slot,
                           MutableArrayRef<Value> totals) {
  Value scales = buffers.inputs.lookup(linear.getScales()), column = add(block.panel, constant(panel));
  auto type = cast<MemRefType>(scales.getType());
  auto stored = VectorType::get({panelWidth}, type.getElementType()), floats = VectorType::get({panelWidth}, builder.getF32Type()),
       words = VectorType::get({panelWidth}, builder.getI32Type());
  SmallVector<Value> place =
      type.getRank() == 1 ? SmallVector<Value>{times(column, panelWidth)} : SmallVector<Value>{column, group, constant(0)};
  Value scale = vector::LoadOp::create(builder, loc, stored, scales, place);
  if (!type.getElementType().isF32())
    scale = arith::ExtFOp::create(builder, loc, floats, scale);
  for (auto [m, total] : llvm::enumerate(totals)) {
    Value word = add(placeOfIntegers(slot, panel), constant(int64_t(m) * panelWidth));
    Value loaded = vector::LoadOp::create(builder, loc, floats, buffers.scratch, ValueRange{word});
    Value number = arith::SIToFPOp::create(builder, loc, floats, arith::BitcastOp::create(builder, loc, words, loaded));
    total = vector::FMAOp::create(builder, loc, number, scale, total);
  }
}

Value MatrixTiles::totalAt(const Group &of, int64_t linear, int64_t panel, int64_t row) {
  return constant(of.place + (linear * panels + panel) * rowTiles * tileWords + row * panelWidth);
}

/// The first block unpacks weights for all that follow. Totals wait in scratch, as registers have room for one panel's.
void MatrixTiles::sumGroups(Group &of, size_t l, const Block &block) {
  LinearOp linear = of.linears[l];
  int64_t count = channels(linear.getX().getType()) / groupWidth;
  auto loop = [&](Value begin, Value end, int64_t step, llvm::function_ref<void(Value)> body) {
    scf::ForOp::create(builder, loc, begin, end, constant(step), ValueRange(), [&](OpBuilder &, Location, Value i, ValueRange) {
      body(i);
      scf::YieldOp::create(builder, loc);
    });
  };
  auto unpacked = [&](Value group) { return placeOfUnpacked(constant(int64_t(l)), group, count); };
  Value isFirst = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, block.turn, constant(0));
  {
    auto branch = scf::IfOp::create(builder, loc, isFirst, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(branch.thenBlock());
    loop(constant(0), constant(count), 1, [&](Value group) { unpackGroup(linear, block, group, unpacked(group)); });
  }
  auto floats = VectorType::get({panelWidth}, builder.getF32Type());
  Value zero = arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(floats, 0.0f));
  for (int64_t n = 0; n < panels; ++n)
    for (int64_t m = 0; m < rows; ++m)
      vector::StoreOp::create(builder, loc, zero, buffers.scratch, ValueRange{totalAt(of, l, n, m)});
  loop(constant(0), constant(count), chunk, [&](Value begin) {
    Value end = arith::MinUIOp::create(builder, loc, add(begin, constant(chunk)), constant(count));
    auto slotOf = [&](Value group) -> Value { return arith::SubIOp::create(builder, loc, group, begin); };
    loop(begin, end, 1, [&](Value group) { multiplyGroup(of, block, group, unpacked(group), slotOf(group)); });
    for (int64_t n = 0; n < panels; ++n) {
      SmallVector<Value> before;
      for (int64_t m = 0; m < rows; ++m)
        before.push_back(vector::LoadOp::create(builder, loc, floats, buffers.scratch, ValueRange{totalAt(of, l, n, m)}));
      auto adds = scf::ForOp::create(builder, loc, begin, end, constant(1), before,
                                     [&](OpBuilder &, Location, Value group, ValueRange carried) {
                                       SmallVector<Value> totals(carried);
                                       addGroup(linear, block, group, n, slotOf(group), totals);
                                       scf::YieldOp::create(builder, loc, totals);
                                     });
      for (int64_t m = 0; m < rows; ++m)
        vector::StoreOp::create(builder, loc, adds.getResult(m), buffers.scratch, ValueRange{totalAt(of, l, n, m)});
    }
  });
}
