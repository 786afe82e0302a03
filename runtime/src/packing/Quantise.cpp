// Weights as integers and scales. Both steps go through scaleOf, so that integers and scales of one matrix belong together whoever
// packs them and when. f32 arithmetic of single operations: every machine gives the same bits, and so does numpy.
#include "Parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

namespace sm1rt {

namespace {

/// The least and the greatest integer.
struct Range {
  float low, high;
};

Range rangeOf(const PackingStep &step) { return step.bits == 8 ? Range{-127, 127} : Range{-8, 7}; }

/// `scale` as it is stored.
float stored(float scale, DType type) {
  uint32_t bits;
  convertElements(DType::F32, &scale, type, &bits, 1);
  convertElements(type, &bits, DType::F32, &scale, 1);
  return scale;
}

/// Scale of `count` weights that share one.
float scaleOf(const float *weights, int64_t count, const PackingStep &step) {
  float largest = 0;
  for (int64_t k = 0; k < count; ++k)
    largest = std::max(largest, std::fabs(weights[k]));
  return stored(largest / rangeOf(step).high, step.to);
}

void roundWeights(const float *weights, int64_t count, float scale, Range range, int8_t *out) {
  // Adding and taking away 3 * 2^22 leaves a multiple of 1, nearest even: the f32 adder does the rounding.
  constexpr float integers = 12582912;
  for (int64_t k = 0; k < count; ++k) {
    float ratio = std::min(range.high, std::max(range.low, weights[k] / scale));
    out[k] = int8_t(ratio + integers - integers);
  }
}

} // namespace

Expected<void> quantise(const TensorType &from, const uint8_t *data, const PackingStep &step, uint8_t *out,
                        const ParallelFor &parallel) {
  int64_t rows = from.shape[0], columns = from.shape[1];
  int64_t group = step.group ? std::min(step.group, columns) : columns, groups = (columns - 1) / group + 1;
  uint64_t rowBytes = uint64_t(columns) * dtypeBytes(from.dtype);
  std::atomic<bool> finite{true};
  parallel(rows, [&](int64_t begin, int64_t end) {
    std::vector<float> weights(size_t(columns), 0.0f), scales(size_t(groups), 0.0f);
    for (int64_t row = begin; row < end; ++row) {
      convertElements(from.dtype, data + uint64_t(row) * rowBytes, DType::F32, weights.data(), uint64_t(columns));
      for (int64_t g = 0; g < groups; ++g) {
        const float *first = weights.data() + g * group;
        int64_t count = std::min(group, columns - g * group);
        float scale = scales[size_t(g)] = scaleOf(first, count, step);
        if (!std::isfinite(scale))
          finite = false;
        auto *integers = reinterpret_cast<int8_t *>(out) + row * columns + g * group;
        if (step.kind == PackingStep::Kind::Quantise && scale == 0)
          std::fill(integers, integers + count, int8_t(0));
        else if (step.kind == PackingStep::Kind::Quantise)
          roundWeights(first, count, scale, rangeOf(step), integers);
      }
      if (step.kind == PackingStep::Kind::Scales)
        convertElements(DType::F32, scales.data(), step.to, out + uint64_t(row * groups) * dtypeBytes(step.to), uint64_t(groups));
    }
  });
  if (finite)
    return {};
  return Error{
      fmt::format("the scale of its largest weight is not finite as {}; store weights as f32 or bf16", dtypeName(step.to))};
}

} // namespace sm1rt
