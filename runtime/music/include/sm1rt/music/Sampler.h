// From logits to a token: repetition penalty, temperature, top-p, and random numbers that depend on nothing but their place.
#ifndef SM1RT_MUSIC_SAMPLER_H
#define SM1RT_MUSIC_SAMPLER_H

#include "sm1rt/Error.h"
#include "sm1rt/music/Vocabulary.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sm1rt {

struct SamplingOptions {
  double temperature = 0.92;       ///< above 0; logits are divided by it
  double topP = 0.93;              ///< 0 to 1; a token stays while the probability before it, best first, is at most this
  double repetitionPenalty = 1.08; ///< at least 1; 1: none
  int64_t penaltyWindow = 256;     ///< tokens looked back upon
  uint64_t seed = 0;
};

/// Names the option that is out of range.
Expected<void> checkSamplingOptions(const SamplingOptions &options);

/// Philox4x32-10 (Salmon et al., SC 2011): 128 random bits that depend on counter and key only.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// Uniform in [0, 1) with 53 bits; a function of its three arguments, so that a sequence does not depend on its neighbours in a
/// batch.
double uniformAt(uint64_t seed, uint64_t sequence, uint64_t position);

/// Ids begin to end-1.
struct TokenRange {
  int32_t begin, end;
};

/// Makes every id of `range` that occurs among `count` tokens less likely, once: positive logits are divided by `penalty`, negative
/// ones multiplied. `logits` has `range.end` at least.
void penaliseRepetition(float *logits, const int32_t *tokens, size_t count, TokenRange range, double penalty);

/// The same for pitches, among the last `window` of `tokens`. `logits` is [V].
void penaliseRepetition(float *logits, const std::vector<int32_t> &tokens, const Vocabulary &vocabulary, double penalty,
                        int64_t window);

/// The token with the largest of `count` logits, the smallest id among equals. NaN and +infinity are errors, as is nothing to
/// choose from.
Expected<int32_t> argmax(const float *logits, int64_t count);

/// A token drawn after temperature and top-p with the uniform number `draw` in [0, 1). Minus infinity bars a token. Errors as
/// argmax.
Expected<int32_t> sampleToken(const float *logits, int64_t count, const SamplingOptions &options, double draw);

} // namespace sm1rt

#endif // SM1RT_MUSIC_SAMPLER_H
