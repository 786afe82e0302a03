// f32 and f64 arithmetic and the approximate functions. The packed f32x2 forms are two f32.
//
// Compiled with -frounding-math: .rz, .rm and .rp set the rounding mode of the host around the loop.
#include "Lanes.h"

#include <cfenv>
#include <cmath>

namespace emulator {

namespace {

template <class F> F flush(F value) {
  if constexpr (sizeof(F) == 4)
    return std::fabs(value) < 0x1p-126f ? std::copysign(0.0f, value) : value;
  return value;
}
/// Devices know one NaN.
template <class F> F canonical(F value) {
  if constexpr (sizeof(F) == 4)
    return value != value ? bitCast<float>(0x7fffffffu) : value;
  return value;
}

struct Add {
  template <class F> static F apply(F a, F b) { return a + b; }
};
struct Sub {
  template <class F> static F apply(F a, F b) { return a - b; }
};
struct Mul {
  template <class F> static F apply(F a, F b) { return a * b; }
};
struct Div {
  template <class F> static F apply(F a, F b) { return a / b; }
};
struct Fma {
  template <class F> static F apply(F a, F b, F c) { return std::fma(a, b, c); }
};
struct Sqrt {
  template <class F> static F apply(F a) { return std::sqrt(a); }
};
struct Rcp {
  template <class F> static F apply(F a) { return F(1) / a; }
};
struct Rsqrt {
  template <class F> static F apply(F a) { return static_cast<F>(1.0 / std::sqrt(double(a))); }
};
struct Ex2 {
  static float apply(float a) { return std::exp2(a); }
};
struct Lg2 {
  static float apply(float a) { return std::log2(a); }
};
struct Sin {
  static float apply(float a) { return std::sin(a); }
};
struct Cos {
  static float apply(float a) { return std::cos(a); }
};
struct Tanh {
  static float apply(float a) { return std::tanh(a); }
};
// min and max: -0 is below +0; one NaN loses against a number unless .NaN asks for it.
template <class F> F deviceNan() {
  return sizeof(F) == 4 ? static_cast<F>(bitCast<float>(0x7fffffffu)) : static_cast<F>(std::nan(""));
}
template <bool maximum, bool propagate> struct Extreme {
  template <class F> static F apply(F a, F b) {
    if (a != a || b != b)
      return propagate || (a != a && b != b) ? deviceNan<F>() : a != a ? b : a;
    bool firstBelow = a < b || (a == b && std::signbit(a));
    return firstBelow != maximum ? a : b;
  }
};

constexpr int kRoundings[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};

/// d = Op(a, ...), rounded and flushed as the bits of `variant` say: 0-1 rounding, 2 ftz, 3 sat.
template <class F, class Op, unsigned arity, bool plain, unsigned halves = 1>
void arithmetic(Warp &warp, const Instruction &self, uint32_t mask) {
  F *d = reinterpret_cast<F *>(warp.slot<F>(self.d));
  const F *a = reinterpret_cast<const F *>(warp.slot<F>(self.a));
  const F *b = arity > 1 ? reinterpret_cast<const F *>(warp.slot<F>(self.b)) : a;
  const F *c = arity > 2 ? reinterpret_cast<const F *>(warp.slot<F>(self.c)) : a;
  bool ftz = !plain && self.variant & 4, sat = !plain && self.variant & 8;
  int rounding = self.variant & 3;
  if (!plain && rounding)
    std::fesetround(kRoundings[rounding]);
  forLanes(mask, [&](unsigned lane) {
    for (unsigned half = 0; half < halves; ++half) {
      unsigned i = lane * halves + half;
      F x = a[i], y = b[i], z = c[i], result;
      if (!plain && ftz)
        x = flush(x), y = flush(y), z = flush(z);
      if constexpr (arity == 1)
        result = Op::apply(x);
      else if constexpr (arity == 2)
        result = Op::apply(x, y);
      else
        result = Op::apply(x, y, z);
      if (!plain && ftz)
        result = flush(result);
      if (!plain && sat)
        result = result > F(0) ? (result < F(1) ? result : F(1)) : F(0);
      d[i] = canonical(result);
    }
  });
  if (!plain && rounding)
    std::fesetround(FE_TONEAREST);
}

uint8_t variantOf(const Statement &statement) {
  unsigned rounding = statement.has("rz") ? 1 : statement.has("rm") ? 2 : statement.has("rp") ? 3 : 0;
  return static_cast<uint8_t>(rounding | statement.has("ftz") * 4 | statement.has("sat") * 8);
}

template <class Op, unsigned arity> Handler handlerFor(Type type, bool plain) {
  switch (type) {
  case Type::F32:
    return plain ? arithmetic<float, Op, arity, true> : arithmetic<float, Op, arity, false>;
  case Type::F64:
    return plain ? arithmetic<double, Op, arity, true> : arithmetic<double, Op, arity, false>;
  default:
    return nullptr;
  }
}
template <class Op, unsigned arity> Handler packedHandler(bool plain) {
  return plain ? arithmetic<float, Op, arity, true, 2> : arithmetic<float, Op, arity, false, 2>;
}

template <class Op, unsigned arity, bool packs> void decodeFloat(Builder &builder, const Statement &statement) {
  builder.allow(statement, "rn rz rm rp ftz sat approx full NaN");
  Type type = builder.type(statement);
  uint8_t variant = variantOf(statement);
  Handler run = handlerFor<Op, arity>(type, variant == 0);
  if constexpr (packs)
    if (type == Type::F32x2)
      run = packedHandler<Op, arity>(variant == 0);
  if (!run)
    builder.fail("'" + statement.name + "' with these modifiers is not known");
  builder.expectOperands(statement, arity + 1, arity + 1);
  Instruction instruction;
  instruction.run = run;
  instruction.variant = variant;
  instruction.a = builder.read(statement.operands[1], type);
  if (arity > 1)
    instruction.b = builder.read(statement.operands[2], type);
  if (arity > 2)
    instruction.c = builder.read(statement.operands[3], type);
  instruction.d = builder.write(statement.operands[0], type);
  builder.emit(instruction);
}

/// f32 only.
template <class Op> void decodeApprox(Builder &builder, const Statement &statement) {
  if (decodeHalf(builder, statement))
    return;
  builder.allow(statement, "approx ftz");
  if (builder.type(statement) != Type::F32)
    builder.fail("'" + statement.name + "' is known for f32 and 16-bit floats");
  Instruction instruction;
  instruction.run = arithmetic<float, Op, 1, false>;
  instruction.variant = variantOf(statement);
  builder.expectOperands(statement, 2, 2);
  instruction.a = builder.read(statement.operands[1], Type::F32);
  instruction.d = builder.write(statement.operands[0], Type::F32);
  builder.emit(instruction);
}

void decodeMinMax(Builder &builder, const Statement &statement) {
  Type type = builder.type(statement);
  if (type != Type::F32 && type != Type::F64)
    return statement.name == "min" ? decodeIntegerMin(builder, statement) : decodeIntegerMax(builder, statement);
  bool minimum = statement.name == "min", nan = statement.has("NaN");
  if (statement.operands.size() == 4)
    builder.fail("three-operand min and max are not known");
  if (minimum)
    nan ? decodeFloat<Extreme<false, true>, 2, false>(builder, statement)
        : decodeFloat<Extreme<false, false>, 2, false>(builder, statement);
  else
    nan ? decodeFloat<Extreme<true, true>, 2, false>(builder, statement)
        : decodeFloat<Extreme<true, false>, 2, false>(builder, statement);
}

// neg and abs change the sign bit only.
struct NegBits32 {
  static uint32_t apply(uint32_t a) { return a ^ 0x80000000u; }
};
struct AbsBits32 {
  static uint32_t apply(uint32_t a) { return a & 0x7fffffffu; }
};
struct NegBits64 {
  static uint64_t apply(uint64_t a) { return a ^ 1ull << 63; }
};
struct AbsBits64 {
  static uint64_t apply(uint64_t a) { return a & ~(1ull << 63); }
};
struct CopySign32 {
  static uint32_t apply(uint32_t a, uint32_t b) { return (a & 0x80000000u) | (b & 0x7fffffffu); }
};
struct CopySign64 {
  static uint64_t apply(uint64_t a, uint64_t b) { return (a & 1ull << 63) | (b & ~(1ull << 63)); }
};

void decodeSign(Builder &builder, const Statement &statement) {
  Type type = builder.type(statement);
  bool negate = statement.name == "neg";
  if (type != Type::F32 && type != Type::F64)
    return negate ? decodeIntegerNeg(builder, statement) : decodeIntegerAbs(builder, statement);
  builder.allow(statement, "ftz");
  Handler run = type == Type::F64 ? (negate ? unary<uint64_t, uint64_t, NegBits64> : unary<uint64_t, uint64_t, AbsBits64>)
                : negate          ? unary<uint32_t, uint32_t, NegBits32>
                                  : unary<uint32_t, uint32_t, AbsBits32>;
  emitOperation(builder, statement, run, type, {type});
}

bool isFloatOperation(Builder &builder, const Statement &statement) {
  Type type = builder.type(statement);
  return type == Type::F32 || type == Type::F64 || type == Type::F32x2;
}

template <class Op, Decoder integer, bool packs> void decodeTwo(Builder &builder, const Statement &statement) {
  if (decodeHalf(builder, statement))
    return;
  isFloatOperation(builder, statement) ? decodeFloat<Op, 2, packs>(builder, statement) : integer(builder, statement);
}

} // namespace

void addFloatDecoders(Decoders &decoders) {
  decoders["add"] = decodeTwo<Add, decodeIntegerAdd, true>;
  decoders["sub"] = decodeTwo<Sub, decodeIntegerSub, true>;
  decoders["mul"] = decodeTwo<Mul, decodeIntegerMul, true>;
  decoders["div"] = decodeTwo<Div, decodeIntegerDiv, false>;
  decoders["fma"] = [](Builder &builder, const Statement &statement) {
    if (!decodeHalf(builder, statement))
      decodeFloat<Fma, 3, true>(builder, statement);
  };
  decoders["mad"] = [](Builder &builder, const Statement &statement) {
    static const Decoder integer = [] {
      Decoders table;
      addIntegerDecoders(table);
      return table["mad"];
    }();
    isFloatOperation(builder, statement) ? decodeFloat<Fma, 3, false>(builder, statement) : integer(builder, statement);
  };
  decoders["sqrt"] = decodeFloat<Sqrt, 1, false>;
  decoders["rcp"] = decodeFloat<Rcp, 1, false>;
  decoders["rsqrt"] = decodeFloat<Rsqrt, 1, false>;
  decoders["ex2"] = decodeApprox<Ex2>;
  decoders["lg2"] = decodeApprox<Lg2>;
  decoders["sin"] = decodeApprox<Sin>;
  decoders["cos"] = decodeApprox<Cos>;
  decoders["tanh"] = decodeApprox<Tanh>;
  decoders["min"] = decoders["max"] = [](Builder &builder, const Statement &statement) {
    if (!decodeHalf(builder, statement))
      decodeMinMax(builder, statement);
  };
  decoders["neg"] = decoders["abs"] = [](Builder &builder, const Statement &statement) {
    if (!decodeHalf(builder, statement))
      decodeSign(builder, statement);
  };
  decoders["copysign"] = [](Builder &builder, const Statement &statement) {
    Type type = builder.type(statement);
    emitOperation(builder, statement,
                  type == Type::F64 ? binary<uint64_t, uint64_t, uint64_t, CopySign64>
                                    : binary<uint32_t, uint32_t, uint32_t, CopySign32>,
                  type, {type, type});
  };
}

} // namespace emulator
