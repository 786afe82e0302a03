// Options, random numbers and the penalty; how a token is chosen is the same for every caller and device (sm1rt/TokenChoice.h).
#include "sm1rt/music/Sampler.h"

#include "sm1rt/TokenChoice.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sm1rt {

Expected<void> checkSamplingOptions(const SamplingOptions &options) {
  if (!(options.temperature > 0) || !std::isfinite(options.temperature))
    return Error{
        fmt::format("temperature: {}, must be above 0; use greedy decoding for the most likely token", options.temperature)};
  if (!(options.topP >= 0 && options.topP <= 1))
    return Error{fmt::format("top-p: {}, must be from 0 to 1", options.topP)};
  if (!(options.repetitionPenalty >= 1) || !std::isfinite(options.repetitionPenalty))
    return Error{fmt::format("repetition penalty: {}, must be at least 1 (1 switches it off)", options.repetitionPenalty)};
  if (options.penaltyWindow < 0)
    return Error{fmt::format("penalty window: {}, must be at least 0 (0 switches the penalty off)", options.penaltyWindow)};
  return {};
}

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  constexpr uint64_t multiplier0 = 0xD2511F53, multiplier1 = 0xCD9E8D57;
  constexpr uint32_t weyl0 = 0x9E3779B9, weyl1 = 0xBB67AE85;
  for (int round = 0; round < 10; ++round) {
    uint64_t product0 = multiplier0 * counter[0], product1 = multiplier1 * counter[2];
    counter = {uint32_t(product1 >> 32) ^ counter[1] ^ key[0], uint32_t(product1), uint32_t(product0 >> 32) ^ counter[3] ^ key[1],
               uint32_t(product0)};
    key = {key[0] + weyl0, key[1] + weyl1};
  }
  return counter;
}

double uniformAt(uint64_t seed, uint64_t sequence, uint64_t position) {
  std::array<uint32_t, 4> counter = {uint32_t(position), uint32_t(position >> 32), uint32_t(sequence), uint32_t(sequence >> 32)};
  std::array<uint32_t, 4> bits = philox4x32(counter, {uint32_t(seed), uint32_t(seed >> 32)});
  uint64_t mantissa = (uint64_t(bits[0]) << 32 | bits[1]) >> 11;
  return double(mantissa) * 0x1p-53;
}

void penaliseRepetition(float *logits, const int32_t *tokens, size_t count, TokenRange range, double penalty) {
  std::vector<bool> seen(size_t(range.end - range.begin), false);
  for (size_t place = 0; place < count; ++place)
    if (tokens[place] >= range.begin && tokens[place] < range.end)
      seen[size_t(tokens[place] - range.begin)] = true;
  for (int32_t token = range.begin; token < range.end; ++token) {
    // Dividing a negative logit would raise it, so a penalty has to push it further down.
    if (seen[size_t(token - range.begin)])
      logits[token] = float(logits[token] > 0 ? logits[token] / penalty : logits[token] * penalty);
  }
}

void penaliseRepetition(float *logits, const std::vector<int32_t> &tokens, const Vocabulary &vocabulary, double penalty,
                        int64_t window) {
  size_t looked = std::min(tokens.size(), size_t(std::max<int64_t>(window, 0)));
  TokenRange pitches{vocabulary.begin(Field::Pitch), vocabulary.end(Field::Pitch)};
  penaliseRepetition(logits, tokens.data() + (tokens.size() - looked), looked, pitches, penalty);
}

Expected<int32_t> argmax(const float *logits, int64_t count) {
  TokenChoice choice;
  choice.greedy = true;
  return chooseToken(logits, count, choice);
}

Expected<int32_t> sampleToken(const float *logits, int64_t count, const SamplingOptions &options, double draw) {
  TokenChoice choice;
  choice.temperature = options.temperature;
  choice.topP = options.topP;
  choice.draw = draw;
  return chooseToken(logits, count, choice);
}

} // namespace sm1rt
