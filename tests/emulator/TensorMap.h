// What the emulator writes into a CUtensorMap: two dimensions of numbers of one or two bytes, and how a box of them lies in shared
// memory.
#ifndef EMULATOR_TENSOR_MAP_H
#define EMULATOR_TENSOR_MAP_H

#include <cstdint>

namespace emulator {

struct alignas(64) TensorMap {
  static constexpr uint64_t kMagic = 0x70616d726f736e65; // "ensormap"
  uint64_t magic, address, columns, rows, rowBytes;
  uint32_t boxColumns, boxRows, swizzle; // swizzle: bits of the number of 16 bytes that are turned, 0 to 3
  uint32_t bytes;                        // of a number
  uint8_t unused[128 - 5 * 8 - 4 * 4];
};
static_assert(sizeof(TensorMap) == 128, "the size of the driver's own");

} // namespace emulator

#endif // EMULATOR_TENSOR_MAP_H
