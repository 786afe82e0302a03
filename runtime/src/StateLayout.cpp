// Layout of states, and its conversion to what people read and files hold.
#include "StateLayout.h"

#include "sm1rt/PackageFormat.h"

#include <algorithm>

namespace sm1rt {

StateLayout::StateLayout(const Plan &plan) {
  for (const PlanState &state : plan.states) {
    StatePlace place;
    place.layers = state.copies();
    place.channels = state.shape[0];
    place.extra = int64_t(*elementCount({state.shape.begin() + 1, state.shape.end()}));
    place.stride = (place.channels + SM1_PANEL - 1) / SM1_PANEL * SM1_PANEL;
    place.offset = bytes;
    bytes += place.bytes(); // a multiple of 64, as every part of it
    places.push_back(place);
  }
}

void toDense(const StatePlace &place, const float *device, float *dense) {
  for (int64_t layer = 0; layer < place.layers; ++layer)
    for (int64_t channel = 0; channel < place.channels; ++channel)
      for (int64_t extra = 0; extra < place.extra; ++extra)
        *dense++ = device[(layer * place.extra + extra) * place.stride + channel];
}

void fromDense(const StatePlace &place, const float *dense, float *device) {
  std::fill(device, device + place.layers * place.extra * place.stride, 0.0f);
  for (int64_t layer = 0; layer < place.layers; ++layer)
    for (int64_t channel = 0; channel < place.channels; ++channel)
      for (int64_t extra = 0; extra < place.extra; ++extra)
        device[(layer * place.extra + extra) * place.stride + channel] = *dense++;
}

} // namespace sm1rt
