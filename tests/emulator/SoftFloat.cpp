// Rounding to narrow float formats by integer arithmetic.
#include "SoftFloat.h"

namespace emulator {

static bool roundsUp(Rounding rounding, bool negative, bool odd, uint64_t rest, uint64_t half) {
  switch (rounding) {
  case Rounding::Nearest:
    return rest > half || (rest == half && odd);
  case Rounding::NearestAway:
    return rest >= half;
  case Rounding::Zero:
    return false;
  case Rounding::Down:
    return negative && rest;
  case Rounding::Up:
    return !negative && rest;
  }
  return false;
}

uint64_t roundTo(double value, unsigned exponentBits, unsigned mantissaBits, Rounding rounding) {
  uint64_t bits = bitCast<uint64_t>(value);
  bool negative = bits >> 63;
  uint64_t sign = uint64_t(negative) << (exponentBits + mantissaBits);
  uint64_t infinity = ((1ull << exponentBits) - 1) << mantissaBits;
  if (value != value)
    return (1ull << (exponentBits + mantissaBits)) - 1;
  if (std::isinf(value))
    return sign | infinity;
  if (value == 0)
    return sign;
  // |value| is significand * 2^(exponent - 53), with 53 bits of significand.
  int exponent = static_cast<int>(bits >> 52 & 2047) - 1022;
  uint64_t significand = (bits & ((1ull << 52) - 1)) | 1ull << 52;
  if (exponent == -1022) // subnormal
    significand = static_cast<uint64_t>(std::ldexp(std::frexp(std::fabs(value), &exponent), 53));
  int bias = (1 << (exponentBits - 1)) - 1, biased = exponent - 1 + bias;
  // How many of the 53 bits go: more for subnormal results.
  int drop = 52 - static_cast<int>(mantissaBits) + (biased < 1 ? 1 - biased : 0);
  uint64_t kept, rest, half;
  if (drop > 54) {
    kept = 0, rest = 1, half = 2;
  } else {
    kept = drop > 53 ? 0 : significand >> drop;
    rest = significand & ((1ull << drop) - 1);
    half = drop ? 1ull << (drop - 1) : 1;
  }
  kept += roundsUp(rounding, negative, kept & 1, rest, half);
  // A carry out of the mantissa moves into the exponent by itself.
  uint64_t result = biased < 1 ? kept : kept + (uint64_t(biased - 1) << mantissaBits);
  if (result >= infinity) {
    bool toInfinity = rounding == Rounding::Nearest || rounding == Rounding::NearestAway ||
                      (rounding == Rounding::Up && !negative) || (rounding == Rounding::Down && negative);
    result = toInfinity ? infinity : infinity - 1;
  }
  return sign | result;
}

} // namespace emulator
