// Generic addresses: shared, local and parameter memory are windows far from every device address.
#ifndef EMULATOR_WINDOWS_H
#define EMULATOR_WINDOWS_H

#include "Program.h"

namespace emulator {

constexpr unsigned kWindowShift = 56;

inline uint64_t windowOf(Space space) {
  switch (space) {
  case Space::Shared:
    return 1ull << kWindowShift;
  case Space::Local:
    return 2ull << kWindowShift;
  case Space::Param:
    return 3ull << kWindowShift;
  default:
    return 0;
  }
}

/// The space a generic address lies in; `offset` becomes the address within that space.
inline Space spaceOf(uint64_t address, uint64_t &offset) {
  // A negative index from the start of a window stays in it: half a window belongs to each side.
  uint64_t window = (address + (1ull << (kWindowShift - 1))) >> kWindowShift;
  if (window < 1 || window > 3) {
    offset = address;
    return Space::Global;
  }
  offset = address - (window << kWindowShift);
  return window == 1 ? Space::Shared : window == 2 ? Space::Local : Space::Param;
}

} // namespace emulator

#endif // EMULATOR_WINDOWS_H
