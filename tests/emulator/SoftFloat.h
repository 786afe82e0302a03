// Conversions between float formats, exact and in every rounding that PTX asks for.
#ifndef EMULATOR_SOFT_FLOAT_H
#define EMULATOR_SOFT_FLOAT_H

#include "Types.h"

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
