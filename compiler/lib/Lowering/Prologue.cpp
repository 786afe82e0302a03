//===- Prologue.cpp - rows that a task makes in scratch before it multiplies them --------------------------------===//

#include "Prologue.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace sm1;

PrologueRegion sm1::prologueRegion(Value x, const KernelBuffers &buffers, Products products) {
  PrologueRegion region;
  int64_t width = channels(x.getType());
  bool onlyPairs = true;
  for (Operation *user : x.getUsers())
    if (auto linear = dyn_cast<LinearOp>(user)) {
      onlyPairs &= buffers.layouts.lookup(linear.getWeight()) == "pairs";
      if (linear.getInt8())
        region.words =
            buffers.formOf(linear, products).multipliesWords() ? PrologueRegion::Words::Int16 : PrologueRegion::Words::Int8;
      region.sumsGroups |= buffers.layouts.lookup(linear.getWeight()) == "nibbles";
    }
  if (region.isQuantised()) {
    // Whole rows of tile registers; what is behind the width is zero.
    int64_t integers = llvm::alignTo(width, 64);
    region.tail = integers / (region.words == PrologueRegion::Words::Int8 ? 4 : 2);
    region.stride = region.tail + llvm::alignTo(2 + integers / 32, 16);
  } else if (getElementTypeOrSelf(x).isBF16() && onlyPairs) {
    region.words = PrologueRegion::Words::Bf16;
    region.stride = llvm::alignTo(llvm::divideCeil(width, 2), 16);
  } else {
    region.stride = strideOf(width);
  }
  return region;
}

/// Rows that are not tiled stand one behind the other, of those that are 16.
static std::pair<Value, Value> dealt(OpBuilder &builder, Location loc, Value number) {
  Value count = arith::ConstantIndexOp::create(builder, loc, tiledRows);
  return {arith::DivUIOp::create(builder, loc, number, count), arith::RemUIOp::create(builder, loc, number, count)};
}

static Value placeOf(OpBuilder &builder, Location loc, Value first, int64_t stride, Value second, int64_t secondStride) {
  auto times = [&](Value a, int64_t b) -> Value {
    return arith::MulIOp::create(builder, loc, a, arith::ConstantIndexOp::create(builder, loc, b));
  };
  return arith::AddIOp::create(builder, loc, times(first, stride), times(second, secondStride));
}

Value sm1::startOfRow(OpBuilder &builder, Location loc, const PrologueRegion &region, Value taskRow) {
  Value offset = arith::ConstantIndexOp::create(builder, loc, region.offset);
  if (!region.tiled)
    return placeOf(builder, loc, taskRow, region.stride, offset, 1);
  auto [group, inside] = dealt(builder, loc, taskRow);
  return arith::AddIOp::create(builder, loc, placeOf(builder, loc, group, tiledRows * region.stride, inside, tiledRows), offset);
}

Value sm1::distanceOfWord(OpBuilder &builder, Location loc, const PrologueRegion &region, Value word) {
  if (!region.tiled)
    return word;
  auto [tile, inside] = dealt(builder, loc, word);
  return placeOf(builder, loc, tile, tiledRows * tiledRows, inside, 1);
}

void sm1::storePrologue(OpBuilder &builder, Location loc, Value vector, Value scratch, Value start, Value column,
                        const PrologueRegion &region) {
  PrologueRegion::Words words = region.words;
  Type f32 = builder.getF32Type();
  Value place = column;
  if (words == PrologueRegion::Words::Bf16) {
    vector = vector::BitCastOp::create(builder, loc, VectorType::get({panelWidth / 2}, f32), vector);
    place = arith::ShRUIOp::create(builder, loc, column, arith::ConstantIndexOp::create(builder, loc, 1));
  } else if (!getElementTypeOrSelf(vector).isF32()) {
    vector = arith::ExtFOp::create(builder, loc, VectorType::get({panelWidth}, f32), vector);
  }
  vector::StoreOp::create(builder, loc, vector, scratch,
                          ValueRange{arith::AddIOp::create(builder, loc, start, distanceOfWord(builder, loc, region, place))});
}

namespace {
/// Quantises one row.
class RowQuantiser {
public:
  RowQuantiser(OpBuilder &builder, Location loc, Value scratch, RowLoader floats, Value start, int64_t width,
               const PrologueRegion &region)
      : builder(builder), loc(loc), scratch(scratch), floats(floats), start(start), width(width), region(region) {}
  void run();

private:
  Value constant(int64_t value) { return arith::ConstantIndexOp::create(builder, loc, value); }
  Value number(float value) { return arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(value)); }
  Value add(Value a, Value b) { return arith::AddIOp::create(builder, loc, a, b); }
  VectorType vectorOf(Type element) { return VectorType::get({panelWidth}, element); }
  /// 16 values of the row; zero behind its end.
  Value load(Value column);
  Value largest();
  /// Stores the integers of the panel at `column`, and gives them as words that are larger by `shifted`.
  Value quantise(Value column, Value factor);
  /// The same as 16 bits, in the order that PrologueRegion states.
  Value alternateHalves(Value integers);
  Value sumOf(Value integers) { return vector::ReductionOp::create(builder, loc, vector::CombiningKind::ADD, integers); }
  /// The sums of two vectors, in lanes 0 and 8.
  Value sumsOf(Value first, Value second);
  Value lane(Value words, int64_t number) { return vector::ExtractOp::create(builder, loc, words, ArrayRef<int64_t>{number}); }
  Value word(uint32_t value) { return arith::ConstantIntOp::create(builder, loc, int32_t(value), 32); }
  Value times(Value a, Value b) { return arith::MulIOp::create(builder, loc, a, b); }
  void storeTail(Value offset, Value word) {
    memref::StoreOp::create(builder, loc, word, scratch, ValueRange{add(add(start, constant(region.tail)), offset)});
  }
  Value asFloat(Value word) { return arith::BitcastOp::create(builder, loc, builder.getF32Type(), word); }

  OpBuilder &builder;
  Location loc;
  Value scratch;
  RowLoader floats;
  Value start;
  int64_t width;
  const PrologueRegion &region;
};
} // namespace

Value RowQuantiser::load(Value column) {
  auto type = vectorOf(builder.getF32Type());
  Value loaded = floats(column);
  if (width == region.integers())
    return loaded;
  Value left = arith::SubIOp::create(builder, loc, constant(width), column);
  Value mask = vector::CreateMaskOp::create(builder, loc, vectorOf(builder.getI1Type()), left);
  Value zero = arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(type, 0.0f));
  return arith::SelectOp::create(builder, loc, mask, loaded, zero);
}

/// max |x|; at least 1e-30, so that what it divides stays finite. Four panels at once, since a row's panels wait for each other.
/// Without their sign floats are ordered as their bits are, NaN behind all numbers; a maximum of floats that keeps NaN takes six
/// instructions, and a row's end forty.
Value RowQuantiser::largest() {
  constexpr int64_t panels = 4;
  auto words = vectorOf(builder.getI32Type());
  auto bits = [&](uint32_t value) {
    return arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(words, int32_t(value)));
  };
  Value least = bits(llvm::bit_cast<uint32_t>(1e-30f)), magnitude = bits(0x7fffffff);
  auto loop = scf::ForOp::create(builder, loc, constant(0), constant(region.integers()), constant(panels * panelWidth),
                                 SmallVector<Value>(panels, least), [&](OpBuilder &, Location, Value column, ValueRange carried) {
                                   SmallVector<Value> next;
                                   for (int64_t n = 0; n < panels; ++n) {
                                     Value loaded = load(add(column, constant(n * panelWidth)));
                                     Value word = arith::BitcastOp::create(builder, loc, words, loaded);
                                     word = arith::AndIOp::create(builder, loc, word, magnitude);
                                     next.push_back(arith::MaxSIOp::create(builder, loc, carried[n], word));
                                   }
                                   scf::YieldOp::create(builder, loc, next);
                                 });
  Value most = loop.getResult(0);
  for (Value other : loop.getResults().drop_front())
    most = arith::MaxSIOp::create(builder, loc, most, other);
  return asFloat(vector::ReductionOp::create(builder, loc, vector::CombiningKind::MAXSI, most));
}

/// A float with so much added is rounded to even, and has the integer in its lowest bits: one instruction for three.
static constexpr float shift = 0x1.8p23f;
static constexpr uint32_t shifted = 0x4b400000;

Value RowQuantiser::quantise(Value column, Value factor) {
  Value scaled = arith::MulFOp::create(builder, loc, load(column), factor);
  Value shifts = arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(vectorOf(builder.getF32Type()), shift));
  Value rounded = arith::AddFOp::create(builder, loc, scaled, shifts);
  Value integers = arith::BitcastOp::create(builder, loc, vectorOf(builder.getI32Type()), rounded);
  bool asBytes = region.words == PrologueRegion::Words::Int8;
  Value narrow = asBytes ? arith::TruncIOp::create(builder, loc, vectorOf(builder.getI8Type()), integers).getResult()
                         : alternateHalves(integers);
  Value words =
      vector::BitCastOp::create(builder, loc, VectorType::get({panelWidth / (asBytes ? 4 : 2)}, builder.getF32Type()), narrow);
  Value place = arith::ShRUIOp::create(builder, loc, column, constant(asBytes ? 2 : 1));
  vector::StoreOp::create(builder, loc, words, scratch, ValueRange{add(start, place)});
  return integers;
}

/// As bytes of weights become 16 bits: those of even k in one word, those of odd k in the next.
Value RowQuantiser::alternateHalves(Value integers) {
  Value halves = vector::BitCastOp::create(builder, loc, VectorType::get({2 * panelWidth}, builder.getI16Type()), integers);
  SmallVector<int64_t> order;
  for (int64_t first = 0; first < 2 * panelWidth; first += 8)
    for (int64_t number : {0, 4, 2, 6})
      order.push_back(first + number);
  return vector::ShuffleOp::create(builder, loc, halves, halves, order);
}

Value RowQuantiser::sumsOf(Value first, Value second) {
  SmallVector<int64_t> low, high;
  for (int64_t i = 0; i < panelWidth; ++i) {
    low.push_back(i < 8 ? i : i + 8);
    high.push_back(low.back() + 8);
  }
  Value sums = add(vector::ShuffleOp::create(builder, loc, first, second, low),
                   vector::ShuffleOp::create(builder, loc, first, second, high));
  for (int64_t distance : {4, 2, 1}) {
    SmallVector<int64_t> others;
    for (int64_t i = 0; i < panelWidth; ++i)
      others.push_back(i ^ distance);
    sums = add(sums, vector::ShuffleOp::create(builder, loc, sums, sums, others));
  }
  return sums;
}

void RowQuantiser::run() {
  Value most = largest();
  Value factor = vector::BroadcastOp::create(builder, loc, vectorOf(builder.getF32Type()),
                                             arith::DivFOp::create(builder, loc, number(127), most));
  storeTail(constant(0), arith::DivFOp::create(builder, loc, most, number(127)));
  Value zeros = arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(vectorOf(builder.getI32Type()), int32_t(0)));
  // Groups of 32 are two panels, and a row has an even number of them. int4 stand for themselves plus 8, which tiles take back by
  // one load.
  constexpr int64_t groupWidth = 2 * panelWidth;
  auto loop = scf::ForOp::create(
      builder, loc, constant(0), constant(region.integers()), constant(2 * groupWidth), ValueRange{zeros},
      [&](OpBuilder &, Location, Value column, ValueRange carried) {
        auto group = [&](int64_t first) -> Value {
          return add(quantise(add(column, constant(first)), factor), quantise(add(column, constant(first + panelWidth)), factor));
        };
        Value first = group(0), second = group(groupWidth);
        if (region.sumsGroups) {
          Value sums = sumsOf(first, second), place = arith::DivUIOp::create(builder, loc, column, constant(groupWidth));
          for (int64_t i = 0; i < 2; ++i) {
            Value sum = add(lane(sums, 8 * i), word(-shifted * uint32_t(groupWidth)));
            storeTail(add(place, constant(2 + i)), asFloat(times(sum, word(-8))));
          }
        }
        scf::YieldOp::create(builder, loc, ValueRange{add(carried[0], add(first, second))});
      });
  storeTail(constant(1), asFloat(add(sumOf(loop.getResult(0)), word(-shifted * uint32_t(region.integers())))));
}

void sm1::quantiseRow(OpBuilder &builder, Location loc, Value scratch, RowLoader floats, Value start, int64_t width,
                      const PrologueRegion &region) {
  RowQuantiser(builder, loc, scratch, floats, start, width, region).run();
}
