// Puts grammar and sampler together in the order that users of SM1 know: penalty, mask, temperature, top-p.
#include "sm1rt/music/Continuation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <limits>

namespace sm1rt {

static Expected<void> checkOptions(const ContinuationOptions &options) {
  if (options.maxTokens < 1)
    return Error{fmt::format("max tokens: {}, must be at least 1", options.maxTokens)};
  if (options.minTokens < 0 || options.minTokens > options.maxTokens)
    return Error{fmt::format("min tokens: {}, must be from 0 to the maximum, {}", options.minTokens, options.maxTokens)};
  return checkSamplingOptions(options.sampling);
}

Expected<Continuation> Continuation::start(const Vocabulary &vocabulary, const ContinuationOptions &options,
                                           std::vector<int32_t> prompt, uint64_t sequence) {
  if (Expected<void> checked = checkOptions(options); !checked)
    return checked.error();
  if (prompt.empty())
    return Error{"prompt: empty; it needs at least one token, usually BOS"};
  Continuation continuation(vocabulary, options, std::move(prompt), sequence);
  if (Expected<void> read = continuation.readPrompt(); !read)
    return read.error().in("prompt");
  return continuation;
}

Expected<void> Continuation::readPrompt() {
  for (int32_t token : list)
    if (token < 0 || token >= vocabulary.size())
      return Error{fmt::format("id {}, the vocabulary has 0 to {}", token, vocabulary.size() - 1)};
  if (endedByItself())
    return Error{"it ends with EOS, nothing can follow; take the EOS away"};
  if (options.greedy || !options.grammar)
    return {};
  for (int32_t token : list)
    if (Expected<void> accepted = grammar.accept(token); !accepted)
      return Error{accepted.error().message + "; mend the prompt, or switch the grammar off (--no-grammar)"};
  if (!grammar.started())
    return Error{"it has no BOS; put BOS after the conditioning ids, or switch the grammar off (--no-grammar)"};
  return {};
}

void Continuation::maskOutsideMusic(float *logits) const {
  constexpr float never = -std::numeric_limits<float>::infinity();
  std::fill_n(logits, vocabulary.conditioningCount(), never);
  logits[vocabulary.token(Field::Pad)] = never;
  logits[vocabulary.token(Field::Bos)] = never;
  if (newTokens() < options.minTokens)
    logits[vocabulary.token(Field::Eos)] = never;
}

Expected<int32_t> Continuation::choose(const float *logits) const {
  if (options.greedy)
    return argmax(logits, vocabulary.size());
  std::vector<float> weighed(logits, logits + vocabulary.size());
  penaliseRepetition(weighed.data(), list, vocabulary, options.sampling.repetitionPenalty, options.sampling.penaltyWindow);
  if (options.grammar)
    grammar.mask(weighed.data(), newTokens() >= options.minTokens);
  else if (newTokens() == 0 && list.back() == vocabulary.token(Field::Bos))
    return vocabulary.token(Field::Bar);
  else
    maskOutsideMusic(weighed.data());
  double draw = uniformAt(options.sampling.seed, sequence, list.size());
  return sampleToken(weighed.data(), vocabulary.size(), options.sampling, draw);
}

Expected<int32_t> Continuation::append(const float *logits) {
  assert(!done());
  Expected<int32_t> token = choose(logits);
  if (!token)
    return token.error().in(fmt::format("sequence {}, token {}", sequence, list.size()));
  if (options.grammar && !options.greedy)
    if (Expected<void> accepted = grammar.accept(*token); !accepted)
      return accepted.error();
  list.push_back(*token);
  return token;
}

} // namespace sm1rt
