// Where a sequence's states lie in device memory.
#ifndef SM1RT_SRC_STATELAYOUT_H
#define SM1RT_SRC_STATELAYOUT_H

#include "sm1rt/Plan.h"

#include <cstdint>
#include <vector>

namespace sm1rt {

/// One state: [layers][extra][stride] F32, channels contiguous; stride is the channel count rounded up to 16.
struct StatePlace {
  int64_t layers, channels, extra, stride;
  uint64_t offset; ///< bytes from the start of a sequence's memory

  uint64_t layerBytes() const { return uint64_t(extra * stride) * 4; }
  uint64_t bytes() const { return layerBytes() * uint64_t(layers); }
  uint64_t denseElements() const { return uint64_t(layers * channels * extra); }
};

struct StateLayout {
  std::vector<StatePlace> places; ///< one per state of the plan
  uint64_t bytes = 0;             ///< of one sequence

  explicit StateLayout(const Plan &plan);
};

/// Dense [layers, channel, extra...] from device layout and back; padding channels become zero.
void toDense(const StatePlace &place, const float *device, float *dense);
void fromDense(const StatePlace &place, const float *dense, float *device);

} // namespace sm1rt

#endif // SM1RT_SRC_STATELAYOUT_H
