// Who stored what last in global memory, so that two threads that leave different numbers at one place are found, whichever comes
// last.
//
// Equal numbers are nobody's bug: kernels store a row twice rather than ask whose it is. Strong stores (volatile, relaxed or more)
// and atomics are not judged, nor single bytes, nor stores that land late.
#ifndef EMULATOR_GLOBAL_STORES_H
#define EMULATOR_GLOBAL_STORES_H

#include "SharedMemory.h"

#include <array>
#include <memory>
#include <unordered_map>

namespace emulator {

class Warp;

class GlobalStores {
public:
  /// The blocks that run from now on run at the same time; those before them in this launch ran in an order that means nothing.
  void start() { ++run; }
  /// A lane is about to store `bytes` bytes at the device address; `old` are there now. False after a finding.
  bool note(Warp &warp, unsigned lane, uint64_t address, unsigned bytes, const uint8_t *old, const uint8_t *value);
  /// What is stored there now may differ from what anybody stores later.
  void forget(uint64_t address, unsigned bytes);

private:
  struct Entry { // of two bytes
    Touch touch;
    uint32_t agent = 0, run = 0; // 0: nobody
  };
  using Page = std::array<Entry, 2048>;
  Page &pageOf(uint64_t address);
  bool ordered(const Entry &earlier, const Warp &warp, unsigned lane) const;

  uint32_t run = 0;
  std::unordered_map<uint64_t, std::unique_ptr<Page>> pages; // by address / 4096
  uint64_t lastNumber = ~0ull;
  Page *last = nullptr;
};

} // namespace emulator

#endif // EMULATOR_GLOBAL_STORES_H
