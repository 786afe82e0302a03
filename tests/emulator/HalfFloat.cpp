// Arithmetic of f16 and bf16, alone and in pairs. Sums and products are exact enough in float to be rounded once; fma goes through
// a double that was rounded to odd.
#include "Lanes.h"
#include "SoftFloat.h"

namespace emulator {

namespace {

enum : uint8_t { kFtz = 1, kSat = 2, kRelu = 4, kNan = 8 };

/// a * b + c such that a second rounding to 16 bits is that of the exact value.
double fmaToOdd(double a, double b, double c) {
  double product = a * b, sum = product + c;
  double back = sum - product, error = (product - (sum - back)) + (c - back);
  if (error == 0 || !std::isfinite(sum))
    return sum;
  uint64_t bits = bitCast<uint64_t>(sum);
  if (!(bits & 1)) // the neighbour on the side of the error is odd
    bits += (error > 0) == (sum > 0) ? 1 : -1;
  return bitCast<double>(bits);
}

template <class H> H rounded(double value) {
  bool half = std::is_same_v<H, Half>;
  return {static_cast<uint16_t>(roundTo(value, half ? 5 : 8, half ? 10 : 7, Rounding::Nearest))};
}

double extreme(double a, double b, bool maximum, bool propagate) {
  if (a != a || b != b)
    return propagate || (a != a && b != b) ? std::nan("") : a != a ? b : a;
  bool firstBelow = a < b || (a == b && std::signbit(a));
  return firstBelow != maximum ? a : b;
}

struct Add {
  static double apply(double a, double b, double, bool) { return a + b; }
};
struct Sub {
  static double apply(double a, double b, double, bool) { return a - b; }
};
struct Mul {
  static double apply(double a, double b, double, bool) { return a * b; }
};
struct Fma {
  static double apply(double a, double b, double c, bool) { return fmaToOdd(a, b, c); }
};
struct Min {
  static double apply(double a, double b, double, bool nan) { return extreme(a, b, false, nan); }
};
struct Max {
  static double apply(double a, double b, double, bool nan) { return extreme(a, b, true, nan); }
};
struct Neg {
  static double apply(double a, double, double, bool) { return -a; }
};
struct Abs {
  static double apply(double a, double, double, bool) { return std::fabs(a); }
};
struct Ex2 {
  static double apply(double a, double, double, bool) { return std::exp2(a); }
};
struct Tanh {
  static double apply(double a, double, double, bool) { return std::tanh(a); }
};

template <class H, class Op> uint16_t one(uint32_t a, uint32_t b, uint32_t c, uint8_t variant) {
  auto value = [&](uint32_t bits) {
    double number = double(toFloat(H{static_cast<uint16_t>(bits)}));
    return variant & kFtz && std::fabs(number) < (std::is_same_v<H, Half> ? 0x1p-14 : 0x1p-126) ? std::copysign(0.0, number)
                                                                                                : number;
  };
  double result = Op::apply(value(a), value(b), value(c), variant & kNan);
  if (variant & kSat)
    result = result > 0 ? std::fmin(result, 1.0) : 0.0;
  if (variant & kRelu && result < 0)
    result = 0;
  return rounded<H>(result).bits;
}

template <class H, class Op, bool pair> void arithmetic(Warp &warp, const Instruction &self, uint32_t mask) {
  auto *d = warp.slot<uint32_t>(self.d);
  const auto *a = warp.slot<uint32_t>(self.a), *b = warp.slot<uint32_t>(self.b), *c = warp.slot<uint32_t>(self.c);
  forLanes(mask, [&](unsigned lane) {
    uint32_t result = one<H, Op>(a[lane], b[lane], c[lane], self.variant);
    if (pair)
      result |= uint32_t(one<H, Op>(a[lane] >> 16, b[lane] >> 16, c[lane] >> 16, self.variant)) << 16;
    d[lane] = result;
  });
}

template <class Op> Handler handlerFor(Type type) {
  switch (type) {
  case Type::F16:
    return arithmetic<Half, Op, false>;
  case Type::F16x2:
    return arithmetic<Half, Op, true>;
  case Type::BF16:
    return arithmetic<BFloat, Op, false>;
  default:
    return arithmetic<BFloat, Op, true>;
  }
}

const std::unordered_map<std::string, std::pair<Handler (*)(Type), unsigned>> &operations() {
  static const std::unordered_map<std::string, std::pair<Handler (*)(Type), unsigned>> table = {
      {"add", {handlerFor<Add>, 2}}, {"sub", {handlerFor<Sub>, 2}},  {"mul", {handlerFor<Mul>, 2}}, {"fma", {handlerFor<Fma>, 3}},
      {"min", {handlerFor<Min>, 2}}, {"max", {handlerFor<Max>, 2}},  {"neg", {handlerFor<Neg>, 1}}, {"abs", {handlerFor<Abs>, 1}},
      {"ex2", {handlerFor<Ex2>, 1}}, {"tanh", {handlerFor<Tanh>, 1}}};
  return table;
}

} // namespace

/// False if the statement is not about 16-bit floats.
bool decodeHalf(Builder &builder, const Statement &statement) {
  Type type = builder.type(statement);
  if (type != Type::F16 && type != Type::F16x2 && type != Type::BF16 && type != Type::BF16x2)
    return false;
  builder.allow(statement, "rn ftz sat relu NaN approx");
  auto found = operations().find(statement.name);
  if (found == operations().end())
    builder.fail("'" + statement.name + "' is not known for 16-bit floats");
  unsigned arity = found->second.second;
  builder.expectOperands(statement, arity + 1, arity + 1);
  Instruction instruction;
  instruction.run = found->second.first(type);
  instruction.variant = static_cast<uint8_t>(statement.has("ftz") * kFtz | statement.has("sat") * kSat |
                                             statement.has("relu") * kRelu | statement.has("NaN") * kNan);
  instruction.a = instruction.b = instruction.c = builder.read(statement.operands[1], type);
  if (arity > 1)
    instruction.b = builder.read(statement.operands[2], type);
  if (arity > 2)
    instruction.c = builder.read(statement.operands[3], type);
  instruction.d = builder.write(statement.operands[0], type);
  builder.emit(instruction);
  return true;
}

void addHalfDecoders(Decoders &) {} // reached through the opcodes of Float.cpp

} // namespace emulator
