// Conversions between element types, round to nearest even, and the search for NaN and infinity. Plain integer arithmetic, so that
// every machine gives the same bits.
#include "sm1rt/Packing.h"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace sm1rt {

namespace {

// Tensors in foreign files may lie at odd addresses.
template <typename T> T load(const void *from, uint64_t index) {
  T value;
  std::memcpy(&value, static_cast<const uint8_t *>(from) + index * sizeof(T), sizeof(T));
  return value;
}

template <typename T> void store(void *to, uint64_t index, T value) {
  std::memcpy(static_cast<uint8_t *>(to) + index * sizeof(T), &value, sizeof(T));
}

uint32_t bitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

float floatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

float fromBf16(uint16_t value) { return floatOf(uint32_t(value) << 16); }

uint16_t toBf16(float value) {
  uint32_t bits = bitsOf(value);
  uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  bool isNan = (bits & 0x7fffffff) > 0x7f800000;
  return uint16_t(isNan ? bits >> 16 | 0x40 : rounded);
}

float fromF16(uint16_t value) {
  uint32_t sign = uint32_t(value & 0x8000) << 16;
  uint32_t magnitude = value & 0x7fff;
  if (magnitude >= 0x7c00) // infinity, NaN
    return floatOf(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
  if (magnitude >= 0x400)
    return floatOf(sign | ((magnitude << 13) + ((127 - 15) << 23)));
  // Subnormal: magnitude * 2^-24, exact in f32.
  return floatOf(sign | bitsOf(float(magnitude) * 0x1p-24f));
}

uint16_t toF16(float value) {
  uint32_t bits = bitsOf(value);
  uint32_t sign = bits >> 16 & 0x8000;
  uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000)
    return uint16_t(sign | 0x7e00);
  if (magnitude >= 0x47800000) // 65536 and more; 65520 to 65536 round up to infinity below
    return uint16_t(sign | 0x7c00);
  if (magnitude < 0x38800000) // below 2^-14: adding 0.5 makes the f32 adder round at 2^-24
    return uint16_t(sign | (bitsOf(floatOf(magnitude) + 0.5f) - 0x3f000000));
  uint32_t rounded = magnitude - ((127 - 15) << 23) + 0xfff + (magnitude >> 13 & 1);
  return uint16_t(sign | rounded >> 13);
}

/// One of sign, four of exponent, three of fraction; no infinity, all ones is NaN.
float fromE4m3(uint8_t value) {
  uint32_t sign = uint32_t(value & 0x80) << 24, magnitude = value & 0x7f;
  if (magnitude == 0x7f)
    return floatOf(sign | 0x7fc00000);
  if (magnitude >= 8)
    return floatOf(sign | ((magnitude << 20) + ((127 - 7) << 23)));
  return floatOf(sign | bitsOf(float(magnitude) * 0x1p-9f));
}

/// What is greater than 448, the greatest, becomes that.
uint8_t toE4m3(float value) {
  uint32_t bits = bitsOf(value), sign = bits >> 24 & 0x80, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000)
    return uint8_t(sign | 0x7f);
  if (magnitude >= bitsOf(448.0f))
    return uint8_t(sign | 0x7e);
  if (magnitude < bitsOf(0x1p-6f)) // the f32 adder rounds at 2^-9
    return uint8_t(sign | (bitsOf(floatOf(magnitude) + 0x1p14f) - bitsOf(0x1p14f)));
  return uint8_t(sign | (magnitude - ((127 - 7) << 23) + 0x7ffff + (magnitude >> 20 & 1)) >> 20);
}

float fromF64(double value) { return float(value); }

/// Elements in blocks that stay in the first-level cache.
constexpr uint64_t blockElements = 1024;

void toFloats(DType type, const void *from, uint64_t offset, float *to, uint64_t count) {
  switch (type) {
  case DType::F32:
    std::memcpy(to, static_cast<const uint8_t *>(from) + offset * 4, count * 4);
    break;
  case DType::F16:
    for (uint64_t i = 0; i < count; ++i)
      to[i] = fromF16(load<uint16_t>(from, offset + i));
    break;
  case DType::BF16:
    for (uint64_t i = 0; i < count; ++i)
      to[i] = fromBf16(load<uint16_t>(from, offset + i));
    break;
  case DType::F8E4M3:
    for (uint64_t i = 0; i < count; ++i)
      to[i] = fromE4m3(load<uint8_t>(from, offset + i));
    break;
  default:
    for (uint64_t i = 0; i < count; ++i)
      to[i] = fromF64(load<double>(from, offset + i));
  }
}

void fromFloats(DType type, const float *from, void *to, uint64_t offset, uint64_t count) {
  switch (type) {
  case DType::F32:
    std::memcpy(static_cast<uint8_t *>(to) + offset * 4, from, count * 4);
    break;
  case DType::F16:
    for (uint64_t i = 0; i < count; ++i)
      store<uint16_t>(to, offset + i, toF16(from[i]));
    break;
  case DType::BF16:
    for (uint64_t i = 0; i < count; ++i)
      store<uint16_t>(to, offset + i, toBf16(from[i]));
    break;
  case DType::F8E4M3:
    for (uint64_t i = 0; i < count; ++i)
      store<uint8_t>(to, offset + i, toE4m3(from[i]));
    break;
  default:
    for (uint64_t i = 0; i < count; ++i)
      store<double>(to, offset + i, double(from[i]));
  }
}

/// First element of [begin, end) whose exponent bits are all set; -1 when there is none.
template <typename Word> int64_t scanExponents(const void *data, Word exponent, int64_t begin, int64_t end) {
  for (int64_t block = begin; block < end; block += 4096) {
    int64_t blockEnd = std::min<int64_t>(block + 4096, end);
    unsigned bad = 0; // no early exit inside a block: this loop is to become vector code
    for (int64_t i = block; i < blockEnd; ++i)
      bad |= (load<Word>(data, uint64_t(i)) & exponent) == exponent;
    for (int64_t i = block; bad && i < blockEnd; ++i)
      if ((load<Word>(data, uint64_t(i)) & exponent) == exponent)
        return i;
  }
  return -1;
}

int64_t scanNonFinite(DType dtype, const void *data, int64_t begin, int64_t end) {
  switch (dtype) {
  case DType::F32:
    return scanExponents<uint32_t>(data, 0x7f800000u, begin, end);
  case DType::F16:
    return scanExponents<uint16_t>(data, 0x7c00, begin, end);
  case DType::BF16:
    return scanExponents<uint16_t>(data, 0x7f80, begin, end);
  case DType::F64:
    return scanExponents<uint64_t>(data, 0x7ff0000000000000ull, begin, end);
  default:
    return -1;
  }
}

} // namespace

void convertElements(DType fromType, const void *from, DType toType, void *to, uint64_t count) {
  if (fromType == toType) {
    std::memcpy(to, from, count * dtypeBytes(toType));
    return;
  }
  float block[blockElements];
  for (uint64_t offset = 0; offset < count; offset += blockElements) {
    uint64_t part = std::min(blockElements, count - offset);
    toFloats(fromType, from, offset, block, part);
    fromFloats(toType, block, to, offset, part);
  }
}

int64_t firstNonFinite(DType dtype, const void *data, uint64_t elements, const ParallelFor &parallel) {
  std::atomic<int64_t> first{INT64_MAX};
  parallel(int64_t(elements), [&](int64_t begin, int64_t end) {
    int64_t found = scanNonFinite(dtype, data, begin, end);
    int64_t known = first.load();
    while (found >= 0 && found < known && !first.compare_exchange_weak(known, found))
      ;
  });
  return first.load() == INT64_MAX ? -1 : first.load();
}

} // namespace sm1rt
