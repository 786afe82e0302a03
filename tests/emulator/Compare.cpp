// setp, set, selp, slct, testp.
#include "Lanes.h"
#include "SoftFloat.h"

namespace emulator {

namespace {

enum class Relation : uint8_t { Eq, Ne, Lt, Le, Gt, Ge, Equ, Neu, Ltu, Leu, Gtu, Geu, Num, Nan };

const std::pair<const char *, Relation> kRelations[] = {
    {"eq", Relation::Eq},   {"ne", Relation::Ne},   {"lt", Relation::Lt},   {"le", Relation::Le},   {"gt", Relation::Gt},
    {"ge", Relation::Ge},   {"lo", Relation::Lt},   {"ls", Relation::Le},   {"hi", Relation::Gt},   {"hs", Relation::Ge},
    {"equ", Relation::Equ}, {"neu", Relation::Neu}, {"ltu", Relation::Ltu}, {"leu", Relation::Leu}, {"gtu", Relation::Gtu},
    {"geu", Relation::Geu}, {"num", Relation::Num}, {"nan", Relation::Nan}};

template <Relation relation, class T> bool holds(T a, T b) {
  switch (relation) {
  case Relation::Eq:
    return a == b;
  case Relation::Ne:
    return a < b || a > b; // false with a NaN
  case Relation::Lt:
    return a < b;
  case Relation::Le:
    return a <= b;
  case Relation::Gt:
    return a > b;
  case Relation::Ge:
    return a >= b;
  case Relation::Equ:
    return !(a < b || a > b);
  case Relation::Neu:
    return a != b;
  case Relation::Ltu:
    return !(a >= b);
  case Relation::Leu:
    return !(a > b);
  case Relation::Gtu:
    return !(a <= b);
  case Relation::Geu:
    return !(a < b);
  case Relation::Num:
    return a == a && b == b;
  case Relation::Nan:
    return a != a || b != b;
  }
  return false;
}

template <class T> auto comparable(T value) { return value; }
inline float comparable(Half value) { return toFloat(value); }
inline float comparable(BFloat value) { return toFloat(value); }
template <class T> T flushed(T value, bool ftz) {
  if constexpr (std::is_same_v<T, float>)
    return ftz && std::fabs(value) < 0x1p-126f ? 0.0f : value;
  return value;
}

enum : uint8_t { kAnd = 1, kOr = 2, kXor = 3, kCombine = 3, kFtz = 4 };

/// p = (a rel b) op c, and q, whose slot is `list`, = !(a rel b) op c.
template <class T, Relation relation> void compare(Warp &warp, const Instruction &self, uint32_t mask) {
  const auto *a = warp.slot<T>(self.a);
  const auto *b = warp.slot<T>(self.b);
  bool ftz = self.variant & kFtz;
  uint32_t result = 0;
  forLanes(~0u, [&](unsigned lane) {
    result |=
        uint32_t(holds<relation>(flushed(comparable(fromSlot<T>(a[lane])), ftz), flushed(comparable(fromSlot<T>(b[lane])), ftz)))
        << lane;
  });
  uint32_t other = ~result;
  if (uint8_t combine = self.variant & kCombine) {
    uint32_t c = warp.predicate(self.c);
    result = combine == kAnd ? result & c : combine == kOr ? result | c : result ^ c;
    other = combine == kAnd ? other & c : combine == kOr ? other | c : other ^ c;
  }
  uint32_t &p = warp.predicate(self.d);
  p = (p & ~mask) | (result & mask);
  if (self.list != kNoSlot) {
    uint32_t &q = warp.predicate(self.list);
    q = (q & ~mask) | (other & mask);
  }
}

template <class T> Handler integerComparison(Relation relation) {
  switch (relation) {
  case Relation::Eq:
    return compare<T, Relation::Eq>;
  case Relation::Ne:
    return compare<T, Relation::Ne>;
  case Relation::Lt:
    return compare<T, Relation::Lt>;
  case Relation::Le:
    return compare<T, Relation::Le>;
  case Relation::Gt:
    return compare<T, Relation::Gt>;
  case Relation::Ge:
    return compare<T, Relation::Ge>;
  default:
    return nullptr;
  }
}
template <class T> Handler floatComparison(Relation relation) {
  switch (relation) {
  case Relation::Equ:
    return compare<T, Relation::Equ>;
  case Relation::Neu:
    return compare<T, Relation::Neu>;
  case Relation::Ltu:
    return compare<T, Relation::Ltu>;
  case Relation::Leu:
    return compare<T, Relation::Leu>;
  case Relation::Gtu:
    return compare<T, Relation::Gtu>;
  case Relation::Geu:
    return compare<T, Relation::Geu>;
  case Relation::Num:
    return compare<T, Relation::Num>;
  case Relation::Nan:
    return compare<T, Relation::Nan>;
  default:
    return integerComparison<T>(relation);
  }
}

Handler comparison(Type type, Relation relation) {
  switch (type) {
  case Type::B16:
  case Type::U16:
    return integerComparison<uint16_t>(relation);
  case Type::S16:
    return integerComparison<int16_t>(relation);
  case Type::B32:
  case Type::U32:
    return integerComparison<uint32_t>(relation);
  case Type::S32:
    return integerComparison<int32_t>(relation);
  case Type::B64:
  case Type::U64:
    return integerComparison<uint64_t>(relation);
  case Type::S64:
    return integerComparison<int64_t>(relation);
  case Type::F16:
    return floatComparison<Half>(relation);
  case Type::BF16:
    return floatComparison<BFloat>(relation);
  case Type::F32:
    return floatComparison<float>(relation);
  case Type::F64:
    return floatComparison<double>(relation);
  default:
    return nullptr;
  }
}

Instruction comparisonInstruction(Builder &builder, const Statement &statement, Type type, size_t firstSource) {
  Instruction instruction;
  for (const auto &entry : kRelations)
    if (statement.has(entry.first))
      instruction.run = comparison(type, entry.second);
  if (!instruction.run)
    builder.fail("no such comparison");
  instruction.a = builder.read(statement.operands[firstSource], type);
  instruction.b = builder.read(statement.operands[firstSource + 1], type);
  instruction.list = kNoSlot;
  if (statement.has("ftz"))
    instruction.variant |= kFtz;
  uint8_t combine = statement.has("and") ? kAnd : statement.has("or") ? kOr : statement.has("xor") ? kXor : 0;
  if (combine) {
    builder.expectOperands(statement, firstSource + 3, firstSource + 3);
    instruction.c = builder.readPredicate(statement.operands[firstSource + 2]);
    instruction.variant |= combine;
  } else
    builder.expectOperands(statement, firstSource + 2, firstSource + 2);
  return instruction;
}

constexpr const char *kKnown = "eq ne lt le gt ge lo ls hi hs equ neu ltu leu gtu geu num nan and or xor ftz";

void decodeSetp(Builder &builder, const Statement &statement) {
  builder.allow(statement, kKnown);
  if (statement.operands.size() < 3)
    builder.fail("too few operands");
  Instruction instruction = comparisonInstruction(builder, statement, builder.type(statement), 1);
  const Operand &to = statement.operands[0];
  instruction.d = builder.writePredicate(to.kind == Operand::Pair ? to.parts[0] : to);
  if (to.kind == Operand::Pair)
    instruction.list = builder.writePredicate(to.parts[1]);
  builder.emit(instruction);
}

/// d = p ? all ones (or 1.0) : 0, per lane; the values are imm and 0.
void spread(Warp &warp, const Instruction &self, uint32_t mask) {
  auto *d = warp.slot<uint32_t>(self.d);
  uint32_t p = warp.predicate(self.a), one = static_cast<uint32_t>(self.imm);
  forLanes(mask, [&](unsigned lane) { d[lane] = p >> lane & 1 ? one : 0; });
}

void decodeSet(Builder &builder, const Statement &statement) {
  builder.allow(statement, kKnown);
  Type to = builder.type(statement), from = builder.type(statement, 1);
  if ((bytesOf(to) != 4 && to != Type::F16 && to != Type::BF16) || to == Type::F16x2 || to == Type::BF16x2)
    builder.fail("set is known for 32-bit results and single 16-bit floats");
  Instruction instruction = comparisonInstruction(builder, statement, from, 1);
  instruction.d = builder.temporaryPredicate();
  builder.emit(instruction);
  Instruction result;
  result.run = spread;
  result.a = instruction.d;
  result.imm = to == Type::F32 ? 0x3f800000 : to == Type::F16 ? 0x3c00 : to == Type::BF16 ? 0x3f80 : 0xffffffff;
  result.d = builder.write(statement.operands[0], to);
  builder.emit(result);
}

template <class T> void select(Warp &warp, const Instruction &self, uint32_t mask) {
  auto *d = warp.slot<T>(self.d);
  const auto *a = warp.slot<T>(self.a);
  const auto *b = warp.slot<T>(self.b);
  uint32_t p = warp.predicate(self.c);
  forLanes(mask, [&](unsigned lane) { d[lane] = p >> lane & 1 ? a[lane] : b[lane]; });
}

void decodeSelp(Builder &builder, const Statement &statement) {
  builder.allow(statement, "");
  builder.expectOperands(statement, 4, 4);
  Type type = builder.type(statement);
  Instruction instruction;
  instruction.run = bytesOf(type) == 8 ? select<uint64_t> : select<uint32_t>;
  instruction.a = builder.read(statement.operands[1], type);
  instruction.b = builder.read(statement.operands[2], type);
  instruction.c = builder.readPredicate(statement.operands[3]);
  instruction.d = builder.write(statement.operands[0], type);
  builder.emit(instruction);
}

template <class T, class C> struct Slct {
  static T apply(T a, T b, C c) { return c >= C(0) ? a : b; }
};

void decodeSlct(Builder &builder, const Statement &statement) {
  builder.allow(statement, "ftz");
  Type type = builder.type(statement), by = builder.type(statement, 1);
  bool wide = bytesOf(type) == 8, real = by == Type::F32;
  using U = uint32_t;
  using W = uint64_t;
  Handler run = wide   ? (real ? ternary<W, W, W, float, Slct<W, float>> : ternary<W, W, W, int32_t, Slct<W, int32_t>>)
                : real ? ternary<U, U, U, float, Slct<U, float>>
                       : ternary<U, U, U, int32_t, Slct<U, int32_t>>;
  emitOperation(builder, statement, run, type, {type, type, by});
}

enum class Test : uint8_t { Finite, Infinite, Number, NotANumber, Normal, Subnormal };

template <class F> void testp(Warp &warp, const Instruction &self, uint32_t mask) {
  const auto *a = warp.slot<F>(self.a);
  uint32_t &p = warp.predicate(self.d);
  for (; mask; mask &= mask - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(mask));
    F value = fromSlot<F>(a[lane]);
    int kind = std::fpclassify(value);
    bool holds = false;
    switch (static_cast<Test>(self.variant)) {
    case Test::Finite:
      holds = std::isfinite(value);
      break;
    case Test::Infinite:
      holds = kind == FP_INFINITE;
      break;
    case Test::Number:
      holds = kind != FP_NAN;
      break;
    case Test::NotANumber:
      holds = kind == FP_NAN;
      break;
    case Test::Normal:
      holds = kind == FP_NORMAL;
      break;
    case Test::Subnormal:
      holds = kind == FP_SUBNORMAL;
      break;
    }
    p = (p & ~(1u << lane)) | uint32_t(holds) << lane;
  }
}

void decodeTestp(Builder &builder, const Statement &statement) {
  builder.allow(statement, "finite infinite number notanumber normal subnormal");
  builder.expectOperands(statement, 2, 2);
  const char *names[] = {"finite", "infinite", "number", "notanumber", "normal", "subnormal"};
  Instruction instruction;
  for (uint8_t i = 0; i < 6; ++i)
    if (statement.has(names[i]))
      instruction.variant = i;
  Type type = builder.type(statement);
  instruction.run = type == Type::F64 ? testp<double> : testp<float>;
  instruction.a = builder.read(statement.operands[1], type);
  instruction.d = builder.writePredicate(statement.operands[0]);
  builder.emit(instruction);
}

} // namespace

void addCompareDecoders(Decoders &decoders) {
  decoders["setp"] = decodeSetp;
  decoders["set"] = decodeSet;
  decoders["selp"] = decodeSelp;
  decoders["slct"] = decodeSlct;
  decoders["testp"] = decodeTestp;
}

} // namespace emulator
