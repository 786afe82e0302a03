// cvt between integers and floats of every width, with rounding, saturation and the packing forms of 16-bit floats.
#include "Lanes.h"
#include "SoftFloat.h"

#include <cfenv>
#include <limits>

namespace emulator {

namespace {

enum : uint8_t { kSat = 1, kFtz = 2, kRelu = 4, kSatFinite = 8 };

Rounding roundingOf(int64_t imm) { return static_cast<Rounding>(imm); }

template <class T> constexpr bool isReal = std::is_floating_point_v<T> || std::is_same_v<T, Half> || std::is_same_v<T, BFloat>;

template <class T> double toDouble(T value) {
  if constexpr (std::is_same_v<T, double>)
    return value;
  else
    return double(toFloat(value));
}

/// `value` with a fraction taken away as `rounding` says.
double integral(double value, Rounding rounding) {
  switch (rounding) {
  case Rounding::Nearest:
    return std::nearbyint(value);
  case Rounding::Zero:
    return std::trunc(value);
  case Rounding::Down:
    return std::floor(value);
  case Rounding::Up:
    return std::ceil(value);
  case Rounding::NearestAway:
    return std::round(value);
  }
  return value;
}

/// Out of range saturates, NaN is 0, as the device does it.
template <class T> T toInteger(double value, Rounding rounding, bool nanIsZero) {
  if (value != value)
    return nanIsZero ? T(0) : static_cast<T>(1ull << (8 * sizeof(T) - 1));
  value = integral(value, rounding);
  constexpr double limit = std::is_signed_v<T> ? double(1ull << (8 * sizeof(T) - 1)) : 2.0 * double(1ull << (8 * sizeof(T) - 1));
  if (value >= limit)
    return std::numeric_limits<T>::max();
  if (value < (std::is_signed_v<T> ? -limit : 0.0))
    return std::numeric_limits<T>::min();
  return static_cast<T>(value);
}

template <class T> T fromDouble(double value, Rounding rounding) {
  if constexpr (std::is_same_v<T, double>)
    return value;
  else if constexpr (std::is_same_v<T, float>)
    return rounding == Rounding::Nearest && value == value ? static_cast<float>(value)
                                                           : bitCast<float>(static_cast<uint32_t>(roundTo(value, 8, 23, rounding)));
  else if constexpr (std::is_same_v<T, Half>)
    return {static_cast<uint16_t>(roundTo(value, 5, 10, rounding))};
  else
    return {static_cast<uint16_t>(roundTo(value, 8, 7, rounding))};
}

/// 64-bit integers do not fit a double: they are rounded here, to odd, with bits to spare for the second rounding.
template <class I> double wideIntegerToDouble(I value, bool isFinal, Rounding rounding) {
  static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
  if (isFinal) {
    std::fesetround(modes[static_cast<int>(rounding)]);
    volatile I source = value;
    volatile double result = static_cast<double>(source);
    std::fesetround(FE_TONEAREST);
    return result;
  }
  bool negative = std::is_signed_v<I> && value < I(0);
  uint64_t magnitude = negative ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  if (magnitude >> 53)
    magnitude = (magnitude & ~0xfffull) | ((magnitude & 0xfff) != 0) << 12 | (magnitude & 0x1000);
  double result = double(magnitude);
  return negative ? -result : result;
}

template <class D, class A> D convertOne(A a, const Instruction &self) {
  Rounding rounding = roundingOf(self.imm);
  if constexpr (isReal<A>) {
    double value = toDouble(a);
    if (self.variant & kFtz && std::is_same_v<A, float> && std::fabs(value) < 0x1p-126)
      value = std::copysign(0.0, value);
    if constexpr (isReal<D>) {
      bool toIntegral = self.bytes; // .rni and its kin between floats of one type
      if (toIntegral)
        value = integral(value, rounding), rounding = Rounding::Nearest;
      if (self.variant & kSat)
        value = value > 0 ? std::fmin(value, 1.0) : 0.0;
      if (self.variant & kRelu && !(value > 0) && value == value)
        value = 0;
      D result = fromDouble<D>(value, rounding);
      if constexpr (std::is_same_v<D, float>)
        if (self.variant & kFtz && std::fabs(result) < 0x1p-126f)
          result = std::copysign(0.0f, result);
      if (self.variant & kSatFinite && std::isinf(toDouble(result)))
        result = fromDouble<D>(value, Rounding::Zero);
      return result;
    } else
      return toInteger<D>(value, rounding, sizeof(D) < 8 && sizeof(A) < 8);
  } else if constexpr (isReal<D>) {
    double value = sizeof(A) == 8 ? wideIntegerToDouble(a, std::is_same_v<D, double>, rounding) : double(a);
    return fromDouble<D>(self.variant & kSat ? std::fmin(std::fmax(value, 0.0), 1.0) : value, rounding);
  } else {
    if (self.variant & kSat) {
      __int128 value = a;
      if (value > __int128(std::numeric_limits<D>::max()))
        return std::numeric_limits<D>::max();
      if (value < __int128(std::numeric_limits<D>::min()))
        return std::numeric_limits<D>::min();
    }
    return static_cast<D>(a);
  }
}

template <class D, class A> void convert(Warp &warp, const Instruction &self, uint32_t mask) {
  auto *d = warp.slot<D>(self.d);
  const auto *a = warp.slot<A>(self.a);
  forLanes(mask, [&](unsigned lane) { d[lane] = toSlot<D>(convertOne<D, A>(fromSlot<A>(a[lane]), self)); });
}

template <class D> Handler fromType(Type type) {
  switch (type) {
  case Type::U8:
  case Type::B8:
    return convert<D, uint8_t>;
  case Type::S8:
    return convert<D, int8_t>;
  case Type::U16:
  case Type::B16:
    return convert<D, uint16_t>;
  case Type::S16:
    return convert<D, int16_t>;
  case Type::U32:
  case Type::B32:
    return convert<D, uint32_t>;
  case Type::S32:
    return convert<D, int32_t>;
  case Type::U64:
  case Type::B64:
    return convert<D, uint64_t>;
  case Type::S64:
    return convert<D, int64_t>;
  case Type::F16:
    return convert<D, Half>;
  case Type::BF16:
    return convert<D, BFloat>;
  case Type::F32:
    return convert<D, float>;
  case Type::F64:
    return convert<D, double>;
  default:
    return nullptr;
  }
}

Handler conversion(Type to, Type from) {
  switch (to) {
  case Type::U8:
  case Type::B8:
    return fromType<uint8_t>(from);
  case Type::S8:
    return fromType<int8_t>(from);
  case Type::U16:
  case Type::B16:
    return fromType<uint16_t>(from);
  case Type::S16:
    return fromType<int16_t>(from);
  case Type::U32:
  case Type::B32:
    return fromType<uint32_t>(from);
  case Type::S32:
    return fromType<int32_t>(from);
  case Type::U64:
  case Type::B64:
    return fromType<uint64_t>(from);
  case Type::S64:
    return fromType<int64_t>(from);
  case Type::F16:
    return fromType<Half>(from);
  case Type::BF16:
    return fromType<BFloat>(from);
  case Type::F32:
    return fromType<float>(from);
  case Type::F64:
    return fromType<double>(from);
  default:
    return nullptr;
  }
}

/// d = {a, b}, a in the upper half.
template <class H> void packTwo(Warp &warp, const Instruction &self, uint32_t mask) {
  auto *d = warp.slot<uint32_t>(self.d);
  const auto *a = warp.slot<float>(self.a);
  const auto *b = warp.slot<float>(self.b);
  forLanes(mask, [&](unsigned lane) {
    uint32_t upper = convertOne<H, float>(bitCast<float>(a[lane]), self).bits;
    d[lane] = upper << 16 | convertOne<H, float>(bitCast<float>(b[lane]), self).bits;
  });
}

/// The same of two bytes.
void packTwoE4m3(Warp &warp, const Instruction &self, uint32_t mask) {
  auto *d = warp.slot<uint32_t>(self.d);
  const auto *a = warp.slot<float>(self.a);
  const auto *b = warp.slot<float>(self.b);
  forLanes(mask, [&](unsigned lane) {
    uint32_t upper = toE4m3(bitCast<float>(a[lane])).bits;
    d[lane] = upper << 8 | toE4m3(bitCast<float>(b[lane])).bits;
  });
}

void toTf32(Warp &warp, const Instruction &self, uint32_t mask) {
  auto *d = warp.slot<uint32_t>(self.d);
  const auto *a = warp.slot<float>(self.a);
  forLanes(mask, [&](unsigned lane) {
    double value = double(bitCast<float>(a[lane]));
    if (self.variant & kRelu && value < 0)
      value = 0;
    d[lane] = static_cast<uint32_t>(roundTo(value, 8, 10, roundingOf(self.imm)) << 13);
  });
}

int64_t roundingModifier(Builder &builder, const Statement &statement, Type to, Type from) {
  const std::pair<const char *, Rounding> names[] = {
      {"rn", Rounding::Nearest}, {"rni", Rounding::Nearest}, {"rz", Rounding::Zero},
      {"rzi", Rounding::Zero},   {"rm", Rounding::Down},     {"rmi", Rounding::Down},
      {"rp", Rounding::Up},      {"rpi", Rounding::Up},      {"rna", Rounding::NearestAway}};
  for (const auto &name : names)
    if (statement.has(name.first))
      return static_cast<int64_t>(name.second);
  bool inexact = isFloat(to) != isFloat(from) || (isFloat(to) && (bytesOf(to) < bytesOf(from) || (bytesOf(to) == 2 && to != from)));
  if (inexact)
    builder.fail("cvt without a rounding");
  return static_cast<int64_t>(Rounding::Nearest);
}

void decodeCvt(Builder &builder, const Statement &statement) {
  builder.allow(statement, "rn rz rm rp rna rni rzi rmi rpi ftz sat relu satfinite");
  Type to = builder.type(statement), from = builder.type(statement, 1);
  Instruction instruction;
  instruction.variant = static_cast<uint8_t>(statement.has("sat") * kSat | statement.has("ftz") * kFtz |
                                             statement.has("relu") * kRelu | statement.has("satfinite") * kSatFinite);
  instruction.imm = roundingModifier(builder, statement, to, from);
  bool isE4m3 = to == Type::E4M3x2, packs = to == Type::F16x2 || to == Type::BF16x2 || isE4m3;
  if (isE4m3 && (!statement.has("rn") || !statement.has("satfinite") || from != Type::F32))
    builder.fail("of conversions to e4m3x2 only cvt.rn.satfinite.e4m3x2.f32 is known");
  for (const char *name : {"rni", "rzi", "rmi", "rpi"})
    instruction.bytes |= statement.has(name);
  instruction.run = isE4m3                                  ? packTwoE4m3
                    : packs && from == Type::F32            ? (to == Type::F16x2 ? packTwo<Half> : packTwo<BFloat>)
                    : to == Type::TF32 && from == Type::F32 ? toTf32
                                                            : conversion(to, from);
  if (!instruction.run)
    builder.fail("no such conversion");
  builder.expectOperands(statement, packs ? 3 : 2, packs ? 3 : 2);
  instruction.a = builder.read(statement.operands[1], from);
  if (packs)
    instruction.b = builder.read(statement.operands[2], from);
  instruction.d = builder.write(statement.operands[0], to);
  builder.emit(instruction);
}

} // namespace

void addConvertDecoders(Decoders &decoders) { decoders["cvt"] = decodeCvt; }

} // namespace emulator
