// What the memory model lets stores do, under shuffled schedules of cooperative launches: others may see them late and in another
// order than they were made, the elements of a vector one by one. They are all there before the next thing but a store that the
// warp does to memory: a fence, a barrier, a load, an atomic. A store with release semantics is after all before it.
#include "Machine.h"

namespace emulator {

void Warp::storeLate(uint8_t *to, unsigned bytes, uint64_t value) {
  for (const LateStore &earlier : lateStores)
    if (to < earlier.to + earlier.bytes && earlier.to < to + bytes) {
      landStores(); // to one place stores keep their order
      break;
    }
  uint32_t choice = block.draw();
  if (choice & 1)
    lateStores.push_back({to, bytes, value});
  else
    std::memcpy(to, &value, bytes);
  if (choice & 2)
    endTurn(); // gives others a chance to see the one and not the other
}

void Warp::landStores() {
  for (const LateStore &store : lateStores)
    std::memcpy(store.to, &store.value, store.bytes);
  block.changes += !lateStores.empty();
  lateStores.clear();
}

} // namespace emulator
