// The C API: from logits to a token, by the sampler that generation uses.
#include "CApi.h"

#include "sm1rt/music/Sampler.h"

#include <algorithm>

using namespace sm1rt::capi;

static sm1rt::SamplingOptions optionsOf(const sm1rt_sampling &sampling) {
  return {sampling.temperature, sampling.top_p, sampling.repetition_penalty, sampling.penalty_window, sampling.seed};
}

static sm1rt::Expected<int32_t> sample(const float *logits, int64_t count, const sm1rt_sampling &sampling, const int32_t *tokens,
                                       size_t tokenCount) {
  if (sampling.size != sizeof(sm1rt_sampling))
    return sm1rt::Error{"sampling: size is " + std::to_string(sampling.size) + ", this release has " +
                        std::to_string(sizeof(sm1rt_sampling)) + "; start with sm1rt_sampling_init"};
  if (count < 1)
    return sm1rt::Error{"logits: " + std::to_string(count) + " given, at least 1 is needed"};
  if (!tokens && tokenCount > 0)
    return sm1rt::Error{"tokens: null, " + std::to_string(tokenCount) + " were promised"};
  if (sampling.greedy)
    return sm1rt::argmax(logits, count);
  sm1rt::SamplingOptions options = optionsOf(sampling);
  if (auto checked = checkSamplingOptions(options); !checked)
    return checked.error();
  sm1rt::TokenRange range{sampling.penalty_begin, sampling.penalty_end};
  if (range.begin < 0 || range.end < range.begin || range.end > count)
    return sm1rt::Error{"penalty: ids " + std::to_string(range.begin) + " to " + std::to_string(range.end) + " are outside 0 to " +
                        std::to_string(count)};
  std::vector<float> weighed(logits, logits + count);
  size_t looked = std::min(tokenCount, size_t(std::max<int64_t>(sampling.penalty_window, 0)));
  penaliseRepetition(weighed.data(), tokens + (tokenCount - looked), looked, range, options.repetitionPenalty);
  return sampleToken(weighed.data(), count, options, sm1rt::uniformAt(sampling.seed, sampling.sequence, tokenCount));
}

extern "C" {

void sm1rt_sampling_init(sm1rt_sampling *sampling, int64_t vocabulary) {
  guardedCall(-1, {{sampling, "sampling"}}, [&] {
    const sm1rt::SamplingOptions defaults;
    *sampling = {};
    sampling->size = sizeof(sm1rt_sampling);
    sampling->temperature = defaults.temperature;
    sampling->top_p = defaults.topP;
    sampling->repetition_penalty = defaults.repetitionPenalty;
    sampling->penalty_window = defaults.penaltyWindow;
    sampling->seed = defaults.seed;
    if (auto music = sm1rt::Vocabulary::ofSize(vocabulary)) {
      sampling->penalty_begin = music->begin(sm1rt::Field::Pitch);
      sampling->penalty_end = music->end(sm1rt::Field::Pitch);
    }
    return 0;
  });
}

int sm1rt_sample(const float *logits, int64_t count, const sm1rt_sampling *sampling, const int32_t *tokens, size_t token_count,
                 int32_t *token) {
  return guardedCall(-1, {{logits, "logits"}, {sampling, "sampling"}, {token, "token"}}, [&] {
    auto chosen = sample(logits, count, *sampling, tokens, token_count);
    if (chosen)
      *token = *chosen;
    return report(chosen);
  });
}

} // extern "C"
