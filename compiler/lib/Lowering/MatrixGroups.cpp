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

/// Groups side by side, each with tile registers for its sums, rows and weights.
static constexpr int64_t pair = 2, groupRows = pair, groupWeights = 2 * pair;
static constexpr int64_t groupWidth = 32, partsOfGroup = groupWidth / 4, groupSteps = 4;
/// Words of the bytes that a group of a panel has when it is unpacked.
static constexpr int64_t unpackedWords = partsOfGroup * panelWidth;
/// Pairs whose integers have room in scratch. The one that is added was stored two turns before, and multiplied three.
static constexpr int64_t slots = 4, turnsToAdd = 3;

bool MatrixTiles::takesGroups(KernelOp kernel) {
  auto linears = kernel.getBlock().getOps<LinearOp>();
  return llvm::any_of(linears, [](LinearOp linear) { return getElementTypeOrSelf(linear.getWeight()).isInteger(4); });
}

int64_t MatrixTiles::wordsOfGroups(KernelOp kernel) {
  int64_t panels = kernel.getScheduleAttr().getMatrixPanels(), unpacked = 0;
  for (auto linear : kernel.getBlock().getOps<LinearOp>())
    if (getElementTypeOrSelf(linear.getWeight()).isInteger(4))
      unpacked += panels * channels(linear.getX().getType()) / groupWidth * unpackedWords;
  return unpacked ? unpacked + slots * pair * tileWords : 0;
}

/// Rows have 32 bytes and weights 8 rows of a group.
void MatrixTiles::shapeOfGroups(uint8_t *config) const {
  for (int64_t number = 0; number < 8; ++number) {
    config[16 + 2 * number] = number >= groupRows && number < groupWeights ? groupWidth : tileRowBytes;
    config[48 + number] = number >= groupWeights ? partsOfGroup : rows;
  }
}

Value MatrixTiles::placeOfUnpacked(Value linear, Value group, int64_t count) {
  Value first = times(linear, count * panels * unpackedWords);
  return add(add(first, times(group, panels * unpackedWords)), constant(groupScratch));
}

/// Where the integers of a pair's group wait.
Value MatrixTiles::placeOfIntegers(Value turn, int64_t number) {
  Value slot = arith::RemUIOp::create(builder, loc, turn, constant(slots));
  int64_t first = groupScratch + wordsOfGroups(kernel) - slots * pair * tileWords;
  return add(times(slot, pair * tileWords), constant(first + number * tileWords));
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

/// The products of one group of a pair, which stay in a tile register.
void MatrixTiles::multiplyGroup(Group &of, const Block &block, Value group, Value unpacked, int64_t number) {
  Rows input = inputOf(of, block.row);
  call("llvm.x86.tilezero", {tile(number)});
  load(groupRows + number, add(input.address, times(group, groupWidth)), input.pitch);
  load(groupWeights + number, addressOf(buffers.scratch, times(unpacked, 4)), tileRowBytes);
  call("llvm.x86.tdpbssd", {tile(number), tile(groupRows + number), tile(groupWeights + number)});
}

void MatrixTiles::storeGroup(Value turn, int64_t number) {
  Value address = toPointer(addressOf(buffers.scratch, times(placeOfIntegers(turn, number), 4)));
  call("llvm.x86.tilestored64", {tile(number), address, stride(tileRowBytes)});
}

/// Scales the integers of a group at `place` and adds them to `totals`, one a row.
void MatrixTiles::addGroup(LinearOp linear, Value panel, Value group, Value integers, MutableArrayRef<Value> totals) {
  Value scales = buffers.inputs.lookup(linear.getScales());
  auto type = cast<MemRefType>(scales.getType());
  auto stored = VectorType::get({panelWidth}, type.getElementType()), floats = VectorType::get({panelWidth}, builder.getF32Type()),
       words = VectorType::get({panelWidth}, builder.getI32Type());
  SmallVector<Value> place =
      type.getRank() == 1 ? SmallVector<Value>{times(panel, panelWidth)} : SmallVector<Value>{panel, group, constant(0)};
  Value scale = vector::LoadOp::create(builder, loc, stored, scales, place);
  if (!type.getElementType().isF32())
    scale = arith::ExtFOp::create(builder, loc, floats, scale);
  for (auto [m, total] : llvm::enumerate(totals)) {
    Value word = add(integers, constant(int64_t(m) * panelWidth));
    Value loaded = vector::LoadOp::create(builder, loc, floats, buffers.scratch, ValueRange{word});
    Value number = arith::SIToFPOp::create(builder, loc, floats, arith::BitcastOp::create(builder, loc, words, loaded));
    total = vector::FMAOp::create(builder, loc, number, scale, total);
  }
}

Value MatrixTiles::totalAt(const Group &of, int64_t linear, int64_t panel, int64_t row) {
  return constant(of.place + (linear * panels + panel) * rowTiles * tileWords + row * panelWidth);
}

/// The first block unpacks weights for all that follow.
void MatrixTiles::sumGroups(Group &of, size_t l, const Block &block) {
  LinearOp linear = of.linears[l];
  int64_t count = channels(linear.getX().getType()) / groupWidth;
  auto unpacked = [&](Value group) { return placeOfUnpacked(constant(int64_t(l)), group, count); };
  Value isFirst = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, block.turn, constant(0));
  auto branch = scf::IfOp::create(builder, loc, isFirst, /*withElseRegion=*/false);
  {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(branch.thenBlock());
    scf::ForOp::create(builder, loc, constant(0), constant(count), constant(1), ValueRange(),
                       [&](OpBuilder &, Location, Value group, ValueRange) {
                         unpackGroup(linear, block, group, unpacked(group));
                         scf::YieldOp::create(builder, loc);
                       });
  }
  for (int64_t n = 0; n < panels; ++n) {
    SmallVector<Value> totals = sumPanel(of, l, block, n);
    for (auto [m, total] : llvm::enumerate(totals))
      vector::StoreOp::create(builder, loc, total, buffers.scratch, ValueRange{totalAt(of, l, n, int64_t(m))});
  }
}

/// In each turn a pair of groups is multiplied, the pair before it stored, and one before that added, whose integers the first
/// cache has by then. A register holds the total of each row.
SmallVector<Value> MatrixTiles::sumPanel(Group &of, size_t l, const Block &block, int64_t n) {
  LinearOp linear = of.linears[l];
  int64_t count = channels(linear.getX().getType()) / groupWidth, pairs = count / pair;
  Value panel = add(block.panel, constant(n));
  auto unpacked = [&](Value group) {
    return add(placeOfUnpacked(constant(int64_t(l)), group, count), constant(n * unpackedWords));
  };
  auto groupOf = [&](Value turn, int64_t number) { return add(times(turn, pair), constant(number)); };
  auto before = [&](Value turn, int64_t turns) { return builder.createOrFold<arith::SubIOp>(loc, turn, constant(turns)); };
  auto store = [&](Value turn, int64_t number) { storeGroup(turn, number); };
  auto multiply = [&](Value turn, int64_t number) {
    multiplyGroup(of, block, groupOf(turn, number), unpacked(groupOf(turn, number)), number);
  };
  auto addPair = [&](Value turn, MutableArrayRef<Value> totals) {
    for (int64_t number = 0; number < pair; ++number)
      addGroup(linear, panel, groupOf(turn, number), placeOfIntegers(turn, number), totals);
  };
  auto floats = VectorType::get({panelWidth}, builder.getF32Type());
  SmallVector<Value> totals(rows, arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(floats, 0.0f)));
  int64_t begun = std::min(pairs, turnsToAdd);
  for (int64_t turn = 0; turn < begun; ++turn)
    for (int64_t number = 0; number < pair; ++number) {
      if (turn > 0)
        store(constant(turn - 1), number);
      multiply(constant(turn), number);
    }
  if (pairs > begun) {
    auto loop = scf::ForOp::create(builder, loc, constant(begun), constant(pairs), constant(1), totals,
                                   [&](OpBuilder &, Location, Value turn, ValueRange carried) {
                                     SmallVector<Value> next(carried);
                                     for (int64_t number = 0; number < pair; ++number) {
                                       mark(2 * number, [&] { store(before(turn, 1), number); });
                                       mark(2 * number + 1, [&] { multiply(turn, number); });
                                     }
                                     addPair(before(turn, turnsToAdd), next);
                                     scf::YieldOp::create(builder, loc, next);
                                   });
    totals.assign(loop.getResults().begin(), loop.getResults().end());
  }
  for (int64_t number = 0; pairs > 0 && number < pair; ++number)
    store(constant(pairs - 1), number);
  for (int64_t turn = std::max<int64_t>(0, pairs - turnsToAdd); turn < pairs; ++turn)
    addPair(constant(turn), totals);
  if (count % pair) {
    multiply(constant(pairs), 0);
    store(constant(pairs), 0);
    addGroup(linear, panel, groupOf(constant(pairs), 0), placeOfIntegers(constant(pairs), 0), totals);
  }
  return totals;
}
