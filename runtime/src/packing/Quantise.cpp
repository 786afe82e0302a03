// Weights as integers and scales. All steps go through scaleOf, so that integers and scales of one matrix belong together whoever
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

/// The integer of a weight, as f32; some integer where the scale is 0.
inline float rounded(float weight, float scale, Range range) {
  // Adding and taking away 3 * 2^22 leaves a multiple of 1, nearest even: the f32 adder does the rounding.
  constexpr float integers = 12582912;
  return std::min(range.high, std::max(range.low, weight / scale)) + integers - integers;
}

/// Rounds scales to what they are stored as.
void store(float *scales, uint64_t count, DType type) {
  uint32_t bits[16];
  convertElements(DType::F32, scales, type, bits, count);
  convertElements(type, bits, DType::F32, scales, count);
}

/// Of -m/6.5, -m/6.75 ... -m/10.25, with m the weight of greatest magnitude, the scale whose integers are off by the least sum of
/// squares. The sign of m goes to the side that has one integer more.
float searchScale(const float *weights, int64_t count, float extreme, const PackingStep &step) {
  constexpr int tries = 16;
  float scales[tries], errors[tries] = {};
  for (int i = 0; i < tries; ++i)
    scales[i] = -extreme / (6.5f + 0.25f * float(i));
  store(scales, tries, step.to);
  for (int64_t k = 0; k < count; ++k)
    for (int i = 0; i < tries; ++i) {
      float difference = weights[k] - rounded(weights[k], scales[i], rangeOf(step)) * scales[i];
      errors[i] += difference * difference;
    }
  float best = scales[0], least = INFINITY;
  for (int i = 0; i < tries; ++i)
    if (errors[i] < least) { // never where a scale is infinite: its error is NaN
      best = scales[i];
      least = errors[i];
    }
  return best + 0.0f; // which makes 0 of -0
}

/// Scale of `count` weights that share one.
float scaleOf(const float *weights, int64_t count, const PackingStep &step) {
  float extreme = 0;
  for (int64_t k = 0; k < count; ++k)
    extreme = std::fabs(weights[k]) > std::fabs(extreme) ? weights[k] : extreme;
  if (step.bits == 4)
    return searchScale(weights, count, extreme, step);
  float scale = std::fabs(extreme) / rangeOf(step).high;
  store(&scale, 1, step.to);
  return scale;
}

void roundWeights(const float *weights, int64_t count, float scale, const PackingStep &step, uint8_t *out) {
  for (int64_t k = 0; k < count; ++k)
    out[k] = uint8_t(scale == 0 ? 0 : int8_t(rounded(weights[k], scale, rangeOf(step))));
}

/// Rounds to the multiples of the scale that integers reach, and these to bf16.
void coarsenWeights(float *weights, int64_t count, float scale, const PackingStep &step, uint8_t *out) {
  for (int64_t k = 0; k < count; ++k)
    weights[k] = scale == 0 ? 0 : rounded(weights[k], scale, rangeOf(step)) * scale;
  convertElements(DType::F32, weights, DType::BF16, out, uint64_t(count));
}

/// Rounds in place of integers to e4m3, whose steps grow with the number.
void roundToE4m3(float *weights, int64_t count, float scale, uint8_t *out) {
  for (int64_t k = 0; k < count; ++k)
    weights[k] = scale == 0 ? 0 : weights[k] / scale;
  convertElements(DType::F32, weights, DType::F8E4M3, out, uint64_t(count));
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
        float *first = weights.data() + g * group;
        int64_t count = std::min(group, columns - g * group);
        float scale = scales[size_t(g)] = scaleOf(first, count, step);
        if (!std::isfinite(scale))
          finite = false;
        if (step.kind == PackingStep::Kind::Quantise)
          roundWeights(first, count, scale, step, out + row * columns + g * group);
        if (step.kind == PackingStep::Kind::E4m3)
          roundToE4m3(first, count, scale, out + row * columns + g * group);
        if (step.kind == PackingStep::Kind::Coarsen)
          coarsenWeights(first, count, scale, step, out + 2 * (row * columns + g * group));
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
