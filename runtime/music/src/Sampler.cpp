// Sampling in double precision over a sorted candidate list; ties are broken by id, so that equal logits give equal tokens
// everywhere.
#include "sm1rt/music/Sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace sm1rt {
namespace {

struct Candidate {
  int32_t token;
  float logit;
  double probability;
};

/// Tokens that may be drawn, best first. An error when a logit is no number or none is left.
Expected<std::vector<Candidate>> rankCandidates(const float *logits, int64_t count) {
  std::vector<Candidate> ranked;
  for (int64_t token = 0; token < count; ++token) {
    float logit = logits[token];
    if (std::isnan(logit) || logit == std::numeric_limits<float>::infinity())
      return Error{fmt::format("logits: token {} has {}; the model's weights or state are damaged", token, logit)};
    if (std::isfinite(logit))
      ranked.push_back({int32_t(token), logit, 0});
  }
  if (ranked.empty())
    return Error{"logits: no token may come next"};
  std::sort(ranked.begin(), ranked.end(),
            [](const Candidate &a, const Candidate &b) { return a.logit > b.logit || (a.logit == b.logit && a.token < b.token); });
  return ranked;
}

void softmax(std::vector<Candidate> &ranked, double temperature) {
  double best = ranked.front().logit, total = 0;
  for (Candidate &candidate : ranked)
    total += candidate.probability = std::exp((candidate.logit - best) / temperature);
  for (Candidate &candidate : ranked)
    candidate.probability /= total;
}

/// Keeps candidates while the mass before them is at most `topP`; returns the mass kept.
double keepNucleus(std::vector<Candidate> &ranked, double topP) {
  double before = 0;
  size_t kept = 0;
  while (kept < ranked.size() && before <= topP)
    before += ranked[kept++].probability;
  ranked.resize(kept);
  return before;
}

} // namespace

Expected<void> checkSamplingOptions(const SamplingOptions &options) {
  if (!(options.temperature > 0) || !std::isfinite(options.temperature))
    return Error{
        fmt::format("temperature: {}, must be above 0; use greedy decoding for the most likely token", options.temperature)};
  if (!(options.topP >= 0 && options.topP <= 1))
    return Error{fmt::format("top-p: {}, must be from 0 to 1", options.topP)};
  if (!(options.repetitionPenalty >= 1) || !std::isfinite(options.repetitionPenalty))
    return Error{fmt::format("repetition penalty: {}, must be at least 1 (1 switches it off)", options.repetitionPenalty)};
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

void penaliseRepetition(float *logits, const std::vector<int32_t> &tokens, const Vocabulary &vocabulary, double penalty,
                        int64_t window) {
  int32_t firstPitch = vocabulary.begin(Field::Pitch), endPitch = vocabulary.end(Field::Pitch);
  std::vector<bool> seen(size_t(endPitch - firstPitch), false);
  size_t looked = std::min(tokens.size(), size_t(std::max<int64_t>(window, 0)));
  for (auto token = tokens.end() - ptrdiff_t(looked); token != tokens.end(); ++token)
    if (*token >= firstPitch && *token < endPitch)
      seen[size_t(*token - firstPitch)] = true;
  for (int32_t pitch = firstPitch; pitch < endPitch; ++pitch) {
    // Dividing a negative logit would raise it, so a penalty has to push it further down.
    if (seen[size_t(pitch - firstPitch)])
      logits[pitch] = float(logits[pitch] > 0 ? logits[pitch] / penalty : logits[pitch] * penalty);
  }
}

Expected<int32_t> argmax(const float *logits, int64_t count) {
  Expected<std::vector<Candidate>> ranked = rankCandidates(logits, count);
  if (!ranked)
    return ranked.error();
  return ranked->front().token;
}

Expected<int32_t> sampleToken(const float *logits, int64_t count, const SamplingOptions &options, double draw) {
  Expected<std::vector<Candidate>> ranked = rankCandidates(logits, count);
  if (!ranked)
    return ranked.error();
  softmax(*ranked, options.temperature);
  double left = draw * keepNucleus(*ranked, options.topP);
  for (const Candidate &candidate : *ranked) {
    left -= candidate.probability;
    if (left < 0)
      return candidate.token;
  }
  // Rounding may leave a crumb past the last candidate.
  return ranked->back().token;
}

} // namespace sm1rt
