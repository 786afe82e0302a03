// Numbers that stand in registers for sums that products under way will have, until somebody waits for them (Wgmma.cpp). Other
// registers must not hold such numbers by chance, halves of addresses least of all: device memory lies where none does.
#ifndef EMULATOR_MARKS_H
#define EMULATOR_MARKS_H

#include <cstdint>

namespace emulator {

/// NaNs that no arithmetic makes: from kMark on, as many as kMarkMask leaves open.
constexpr uint32_t kMark = 0x7fe00000, kMarkMask = 0xffe00000, kMarks = ~kMarkMask + 1;

} // namespace emulator

#endif // EMULATOR_MARKS_H
