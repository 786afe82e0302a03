// Conversions between float formats, exact and in every rounding that PTX asks for.
#ifndef EMULATOR_SOFT_FLOAT_H
#define EMULATOR_SOFT_FLOAT_H

#include "Types.h"

#include <algorithm>
#include <cmath>
#ifdef __F16C__
#include <immintrin.h>
#endif

namespace emulator {

enum class Rounding : uint8_t { Nearest, Zero, Down, Up, NearestAway };

/// The bits of `value` rounded to a format with `mantissaBits` and `exponentBits`; overflow as the rounding says. NaN: all ones
/// below the sign.
uint64_t roundTo(double value, unsigned exponentBits, unsigned mantissaBits, Rounding rounding);

inline float toFloat(BFloat value) { return bitCast<float>(uint32_t(value.bits) << 16); }
inline float toFloat(float value) { return value; }
inline float toFloat(Half value) {
#ifdef __F16C__
  return _cvtsh_ss(value.bits);
#else
  uint32_t sign = uint32_t(value.bits & 0x8000) << 16, exponent = value.bits >> 10 & 31, mantissa = value.bits & 1023;
  if (exponent == 31)
    return bitCast<float>(sign | 0x7f800000 | mantissa << 13);
  float magnitude = exponent ? bitCast<float>((exponent + 112) << 23 | mantissa << 13) : float(mantissa) * 0x1p-24f;
  return bitCast<float>(bitCast<uint32_t>(magnitude) | sign);
#endif
}

/// Four bits of exponent, three of mantissa, no infinity: all ones is NaN.
struct E4m3 {
  uint8_t bits;
};
inline float toFloat(E4m3 value) {
  int exponent = value.bits >> 3 & 15, mantissa = value.bits & 7;
  float magnitude = (value.bits & 0x7f) == 0x7f ? NAN
                    : exponent                  ? std::ldexp(float(8 + mantissa), exponent - 10)
                                                : std::ldexp(float(mantissa), -9);
  return std::copysign(magnitude, value.bits & 0x80 ? -1.0f : 1.0f);
}
/// To nearest even, and no further than 448.
inline E4m3 toE4m3(float value) {
  if (value != value)
    return {0x7f};
  float magnitude = std::min(std::fabs(value), 448.0f);
  int exponent = magnitude < 0x1p-6f ? -6 : std::ilogb(magnitude);
  auto eighths = static_cast<int>(std::nearbyint(std::ldexp(magnitude, 3 - exponent))); // 8 to 16, below 8 where subnormal
  int bits = (exponent + 6) * 8 + eighths;                                              // 16 carries into the exponent
  return {static_cast<uint8_t>(bits | (std::signbit(value) ? 0x80 : 0))};
}

inline BFloat toBFloat(float value) {
  uint32_t bits = bitCast<uint32_t>(value);
  if (value != value)
    return {0x7fff};
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
inline Half toHalf(float value) { return {static_cast<uint16_t>(roundTo(double(value), 5, 10, Rounding::Nearest))}; }

template <class T> T fromFloat(float value);
template <> inline float fromFloat<float>(float value) { return value; }
template <> inline BFloat fromFloat<BFloat>(float value) { return toBFloat(value); }
template <> inline Half fromFloat<Half>(float value) { return toHalf(value); }

} // namespace emulator

#endif // EMULATOR_SOFT_FLOAT_H
