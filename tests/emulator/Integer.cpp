// Integer arithmetic: add to mad, div, min, max, carries, packed 16-bit forms.
#include "Lanes.h"

#include <limits>

namespace emulator {

namespace {

template <class T>
using Wide = std::conditional_t<sizeof(T) == 2, std::conditional_t<std::is_signed_v<T>, int32_t, uint32_t>,
                                std::conditional_t<sizeof(T) == 4, std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>,
                                                   std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>>>;
template <class T> using Bits = std::make_unsigned_t<T>;

// Wrapping arithmetic: done on unsigned numbers at least as wide as int.
template <class T> T wrapAdd(T a, T b) { return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b)); }
template <class T> T wrapSub(T a, T b) { return static_cast<T>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b)); }
template <class T> T wrapMul(T a, T b) { return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b)); }
template <class T> T high(T a, T b) { return static_cast<T>((Wide<T>(a) * Wide<T>(b)) >> (8 * sizeof(T))); }

template <class T> T saturate(int64_t value) {
  return static_cast<T>(value > std::numeric_limits<T>::max()   ? std::numeric_limits<T>::max()
                        : value < std::numeric_limits<T>::min() ? std::numeric_limits<T>::min()
                                                                : value);
}

struct Add {
  template <class T> static T apply(T a, T b) { return wrapAdd(a, b); }
};
struct Sub {
  template <class T> static T apply(T a, T b) { return wrapSub(a, b); }
};
struct MulLow {
  template <class T> static T apply(T a, T b) { return wrapMul(a, b); }
};
struct MulHigh {
  template <class T> static T apply(T a, T b) { return high(a, b); }
};
struct MulWide {
  template <class T> static Wide<T> apply(T a, T b) { return static_cast<Wide<T>>(Wide<T>(a) * Wide<T>(b)); }
};
struct MadLow {
  template <class T> static T apply(T a, T b, T c) { return wrapAdd(wrapMul(a, b), c); }
};
struct MadHigh {
  template <class T> static T apply(T a, T b, T c) { return wrapAdd(high(a, b), c); }
};
struct MadWide {
  template <class T, class W> static W apply(T a, T b, W c) { return wrapAdd<W>(static_cast<W>(W(a) * W(b)), c); }
};
// Division by zero gives all ones on a device, for the rest too; the most negative number by -1 wraps.
struct Div {
  template <class T> static T apply(T a, T b) {
    if (b == 0)
      return static_cast<T>(-1);
    if constexpr (std::is_signed_v<T>)
      if (b == T(-1))
        return wrapSub(T(0), a);
    return static_cast<T>(a / b);
  }
};
struct Rem {
  template <class T> static T apply(T a, T b) {
    if (b == 0)
      return static_cast<T>(-1);
    if constexpr (std::is_signed_v<T>)
      if (b == T(-1))
        return 0;
    return static_cast<T>(a % b);
  }
};
struct Min {
  template <class T> static T apply(T a, T b) { return a < b ? a : b; }
};
struct Max {
  template <class T> static T apply(T a, T b) { return a > b ? a : b; }
};
struct Neg {
  template <class T> static T apply(T a) { return wrapSub(T(0), a); }
};
struct Abs {
  template <class T> static T apply(T a) { return a < T(0) ? wrapSub(T(0), a) : a; }
};
struct AddSat {
  static int32_t apply(int32_t a, int32_t b) { return saturate<int32_t>(int64_t(a) + b); }
};
struct SubSat {
  static int32_t apply(int32_t a, int32_t b) { return saturate<int32_t>(int64_t(a) - b); }
};
struct Sad {
  template <class T> static T apply(T a, T b, T c) { return wrapAdd(c, a < b ? wrapSub(b, a) : wrapSub(a, b)); }
};
struct Mul24 {
  template <class T> static T clip(T a) { return static_cast<T>(static_cast<T>(uint32_t(a) << 8) >> 8); }
  template <class T> static T apply(T a, T b) { return wrapMul(clip(a), clip(b)); }
};
struct Mad24 {
  template <class T> static T apply(T a, T b, T c) { return wrapAdd(Mul24::apply(a, b), c); }
};
template <class Op> struct Packed { // two 16-bit numbers in a word
  template <class T> static uint32_t apply2(uint32_t a, uint32_t b) {
    auto low = static_cast<uint16_t>(Op::apply(static_cast<T>(a), static_cast<T>(b)));
    auto upper = static_cast<uint16_t>(Op::apply(static_cast<T>(a >> 16), static_cast<T>(b >> 16)));
    return low | uint32_t(upper) << 16;
  }
};

template <class Op> struct Two {
  template <class T> struct Make {
    static Handler handler() { return binary<T, T, T, Op>; }
  };
};
template <class Op> struct Three {
  template <class T> struct Make {
    static Handler handler() { return ternary<T, T, T, T, Op>; }
  };
};
template <class Op> struct One {
  template <class T> struct Make {
    static Handler handler() { return unary<T, T, Op>; }
  };
};

Type wider(Type type) {
  switch (type) {
  case Type::U16:
    return Type::U32;
  case Type::S16:
    return Type::S32;
  case Type::U32:
    return Type::U64;
  case Type::S32:
    return Type::S64;
  default:
    return Type::None;
  }
}

// ---- carries: one bit per lane, as long as add.cc ... addc chains need it ----

template <class T, bool subtract> void carrying(Warp &warp, const Instruction &self, uint32_t mask) {
  auto *d = warp.slot<T>(self.d);
  const auto *a = warp.slot<T>(self.a);
  const auto *b = warp.slot<T>(self.b);
  uint32_t &carry = warp.predicate(self.c);
  bool takes = self.variant & 1, sets = self.variant & 2;
  for (; mask; mask &= mask - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(mask));
    unsigned in = takes ? carry >> lane & 1 : 0;
    unsigned __int128 wide = subtract ? (unsigned __int128)(a[lane]) - b[lane] - in : (unsigned __int128)(a[lane]) + b[lane] + in;
    d[lane] = static_cast<T>(wide);
    bool out = wide >> (8 * sizeof(T)) & 1;
    if (sets)
      carry = (carry & ~(1u << lane)) | uint32_t(out) << lane;
  }
}

/// d = x + or - the last operand, with carries; x is the second operand, or the product of two (mad.cc, madc).
void emitCarrying(Builder &builder, const Statement &statement, bool subtract, bool takes) {
  bool multiplies = statement.name == "mad" || statement.name == "madc";
  builder.allow(statement, multiplies ? "cc lo hi" : "cc");
  Type type = builder.type(statement);
  bool wide = bytesOf(type) == 8;
  if (bytesOf(type) < 4 || isFloat(type))
    builder.fail("carries are known for 32 and 64 bits");
  builder.expectOperands(statement, multiplies ? 4 : 3, multiplies ? 4 : 3);
  Instruction instruction;
  instruction.run = wide       ? (subtract ? carrying<uint64_t, true> : carrying<uint64_t, false>)
                    : subtract ? carrying<uint32_t, true>
                               : carrying<uint32_t, false>;
  instruction.a = builder.read(statement.operands[1], type);
  if (multiplies) {
    Instruction product;
    product.run = statement.has("hi") ? forInteger<Two<MulHigh>::Make>(type) : forInteger<Two<MulLow>::Make>(type);
    product.a = instruction.a;
    product.b = builder.read(statement.operands[2], type);
    product.d = instruction.a = builder.temporary(wide);
    builder.emit(product);
  }
  instruction.b = builder.read(statement.operands.back(), type);
  instruction.c = builder.carrySlot();
  instruction.variant = static_cast<uint8_t>(takes | statement.has("cc") * 2);
  instruction.d = builder.write(statement.operands[0], type);
  builder.emit(instruction);
}

template <class Op> struct Pair16 {
  struct S {
    static uint32_t apply(uint32_t a, uint32_t b) { return Packed<Op>::template apply2<int16_t>(a, b); }
  };
  struct U {
    static uint32_t apply(uint32_t a, uint32_t b) { return Packed<Op>::template apply2<uint16_t>(a, b); }
  };
};

template <class Op> bool packed16(Builder &builder, const Statement &statement) {
  bool isSigned = statement.has("s16x2"), isUnsigned = statement.has("u16x2");
  if (!isSigned && !isUnsigned)
    return false;
  builder.allow(statement, "s16x2 u16x2");
  Handler run = isSigned ? binary<uint32_t, uint32_t, uint32_t, typename Pair16<Op>::S>
                         : binary<uint32_t, uint32_t, uint32_t, typename Pair16<Op>::U>;
  emitOperation(builder, statement, run, Type::B32, {Type::B32, Type::B32});
  return true;
}

template <class Op, class Saturating> void addOrSub(Builder &builder, const Statement &statement, bool subtract) {
  if (packed16<Op>(builder, statement))
    return;
  Type type = builder.type(statement);
  if (statement.has("cc"))
    return emitCarrying(builder, statement, subtract, false);
  builder.allow(statement, "sat");
  if (statement.has("sat") && type != Type::S32)
    builder.fail(".sat is known for s32");
  Handler run = statement.has("sat") ? binary<int32_t, int32_t, int32_t, Saturating> : forInteger<Two<Op>::template Make>(type);
  emitOperation(builder, statement, run, type, {type, type});
}

template <class T> struct WideMake {
  static Handler handler() { return nullptr; }
};
template <> struct WideMake<uint16_t> {
  static Handler handler() { return binary<uint32_t, uint16_t, uint16_t, MulWide>; }
};
template <> struct WideMake<int16_t> {
  static Handler handler() { return binary<int32_t, int16_t, int16_t, MulWide>; }
};
template <> struct WideMake<uint32_t> {
  static Handler handler() { return binary<uint64_t, uint32_t, uint32_t, MulWide>; }
};
template <> struct WideMake<int32_t> {
  static Handler handler() { return binary<int64_t, int32_t, int32_t, MulWide>; }
};
template <class T> struct WideMadMake {
  static Handler handler() { return nullptr; }
};
template <> struct WideMadMake<uint16_t> {
  static Handler handler() { return ternary<uint32_t, uint16_t, uint16_t, uint32_t, MadWide>; }
};
template <> struct WideMadMake<int16_t> {
  static Handler handler() { return ternary<int32_t, int16_t, int16_t, int32_t, MadWide>; }
};
template <> struct WideMadMake<uint32_t> {
  static Handler handler() { return ternary<uint64_t, uint32_t, uint32_t, uint64_t, MadWide>; }
};
template <> struct WideMadMake<int32_t> {
  static Handler handler() { return ternary<int64_t, int32_t, int32_t, int64_t, MadWide>; }
};

template <class Op> void decodeTwo(Builder &builder, const Statement &statement) {
  if (packed16<Op>(builder, statement))
    return;
  builder.allow(statement, "");
  Type type = builder.type(statement);
  emitOperation(builder, statement, forInteger<Two<Op>::template Make>(type), type, {type, type});
}

template <class Op> void decodeOne(Builder &builder, const Statement &statement) {
  builder.allow(statement, "");
  Type type = builder.type(statement);
  emitOperation(builder, statement, forInteger<One<Op>::template Make>(type), type, {type});
}

void decodeMul(Builder &builder, const Statement &statement) {
  builder.allow(statement, "lo hi wide");
  Type type = builder.type(statement);
  if (statement.has("wide"))
    return emitOperation(builder, statement, forInteger<WideMake>(type), wider(type), {type, type});
  Handler run = statement.has("hi") ? forInteger<Two<MulHigh>::Make>(type) : forInteger<Two<MulLow>::Make>(type);
  emitOperation(builder, statement, run, type, {type, type});
}

void decodeMad(Builder &builder, const Statement &statement) {
  if (statement.has("cc"))
    return emitCarrying(builder, statement, false, false);
  builder.allow(statement, "lo hi wide");
  Type type = builder.type(statement);
  if (statement.has("wide"))
    return emitOperation(builder, statement, forInteger<WideMadMake>(type), wider(type), {type, type, wider(type)});
  Handler run = statement.has("hi") ? forInteger<Three<MadHigh>::Make>(type) : forInteger<Three<MadLow>::Make>(type);
  emitOperation(builder, statement, run, type, {type, type, type});
}

template <class Op> void decode24(Builder &builder, const Statement &statement, unsigned sources) {
  builder.allow(statement, "lo");
  Type type = builder.type(statement);
  bool sign = type == Type::S32;
  if (sources == 2)
    return emitOperation(builder, statement,
                         sign ? binary<int32_t, int32_t, int32_t, Mul24> : binary<uint32_t, uint32_t, uint32_t, Mul24>, type,
                         {type, type});
  emitOperation(builder, statement,
                sign ? ternary<int32_t, int32_t, int32_t, int32_t, Mad24> : ternary<uint32_t, uint32_t, uint32_t, uint32_t, Mad24>,
                type, {type, type, type});
}

template <class A, class B> struct Dot4 {
  static uint32_t apply(uint32_t a, uint32_t b, uint32_t c) {
    for (int i = 0; i < 32; i += 8)
      c += static_cast<uint32_t>(int32_t(static_cast<A>(a >> i)) * int32_t(static_cast<B>(b >> i)));
    return c;
  }
};

void decodeDot4(Builder &builder, const Statement &statement) {
  builder.allow(statement, "");
  bool a = builder.type(statement) == Type::S32, b = builder.type(statement, 1) == Type::S32;
  using U = uint8_t;
  using S = int8_t;
  using W = uint32_t;
  Handler run = a   ? (b ? ternary<W, W, W, W, Dot4<S, S>> : ternary<W, W, W, W, Dot4<S, U>>)
                : b ? ternary<W, W, W, W, Dot4<U, S>>
                    : ternary<W, W, W, W, Dot4<U, U>>;
  emitOperation(builder, statement, run, Type::B32, {Type::B32, Type::B32, Type::B32});
}

} // namespace

void decodeIntegerAdd(Builder &builder, const Statement &statement) { addOrSub<Add, AddSat>(builder, statement, false); }
void decodeIntegerSub(Builder &builder, const Statement &statement) { addOrSub<Sub, SubSat>(builder, statement, true); }
void decodeIntegerMul(Builder &builder, const Statement &statement) { decodeMul(builder, statement); }
void decodeIntegerDiv(Builder &builder, const Statement &statement) { decodeTwo<Div>(builder, statement); }
void decodeIntegerMin(Builder &builder, const Statement &statement) { decodeTwo<Min>(builder, statement); }
void decodeIntegerMax(Builder &builder, const Statement &statement) { decodeTwo<Max>(builder, statement); }
void decodeIntegerNeg(Builder &builder, const Statement &statement) { decodeOne<Neg>(builder, statement); }
void decodeIntegerAbs(Builder &builder, const Statement &statement) { decodeOne<Abs>(builder, statement); }

void addIntegerDecoders(Decoders &decoders) {
  decoders["rem"] = decodeTwo<Rem>;
  decoders["mad"] = decodeMad;
  decoders["addc"] = [](Builder &builder, const Statement &statement) { emitCarrying(builder, statement, false, true); };
  decoders["madc"] = decoders["addc"];
  decoders["subc"] = [](Builder &builder, const Statement &statement) { emitCarrying(builder, statement, true, true); };
  decoders["mul24"] = [](Builder &builder, const Statement &statement) { decode24<Mul24>(builder, statement, 2); };
  decoders["mad24"] = [](Builder &builder, const Statement &statement) { decode24<Mad24>(builder, statement, 3); };
  decoders["dp4a"] = decodeDot4;
  decoders["sad"] = [](Builder &builder, const Statement &statement) {
    builder.allow(statement, "");
    Type type = builder.type(statement);
    emitOperation(builder, statement, forInteger<Three<Sad>::Make>(type), type, {type, type, type});
  };
}

} // namespace emulator
