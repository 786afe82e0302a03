// Puts grammar and sampler together in the order that users of SM1 know: penalty, mask, temperature, top-p.
#include "sm1rt/music/Continuation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstddef>

namespace sm1rt {

static Expected<void> checkBars(const ContinuationOptions &options) {
  if (options.bars < 0)
    return Error{fmt::format("bars: {}, must be at least 0", options.bars)};
  if (options.greedy && options.bars > 0)
    return Error{"bars: greedy decoding masks nothing, so it cannot keep to a number of bars; take top-p 0 instead of greedy"};
  if (options.sections.empty())
    return {};
  if (int64_t(options.sections.size()) != options.bars)
    return Error{fmt::format("sections: {} of them for {} bars; every new bar has one", options.sections.size(), options.bars)};
  if (!options.grammar)
    return Error{"sections: without the grammar nobody knows where they stand; leave it on"};
  for (int section : options.sections)
    if (section < 0 || section >= sectionCount)
      return Error{fmt::format("sections: {}, there are 0 to {}", section, sectionCount - 1)};
  return {};
}

static Expected<void> checkOptions(const ContinuationOptions &options) {
  if (options.maxTokens < 1)
    return Error{fmt::format("max tokens: {}, must be at least 1", options.maxTokens)};
  if (options.minTokens < 0 || options.minTokens > options.maxTokens)
    return Error{fmt::format("min tokens: {}, must be from 0 to the maximum, {}", options.minTokens, options.maxTokens)};
  if (Expected<void> bars = checkBars(options); !bars)
    return bars;
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

void Continuation::barOutsideMusic(TokenSet &barred) const {
  barred.add(0, int32_t(vocabulary.conditioningCount()));
  barred.add(vocabulary.token(Field::Pad));
  barred.add(vocabulary.token(Field::Bos));
}

/// BAR and EOS both say that the bar is over. The one that may not come leaves its probability to the other; given to all tokens
/// alike it would fill the bar with notes that the model does not want.
void Continuation::holdToBars(TokenChoice &choice) const {
  choice.dropped = vocabulary.token(Field::Eos);
  choice.kept = vocabulary.token(Field::Bar);
  if (newBars == options.bars)
    std::swap(choice.dropped, choice.kept);
}

void Continuation::holdToSection(TokenSet &barred) const {
  int32_t wanted = vocabulary.token(Field::Section, options.sections[size_t(newBars - 1)]);
  barred.add(vocabulary.begin(Field::Section), wanted);
  barred.add(wanted + 1, vocabulary.end(Field::Section));
}

void Continuation::barEarlyEnd(TokenChoice &choice) const {
  if (newTokens() < options.minTokens)
    choice.barred.add(vocabulary.token(Field::Eos));
}

/// What may not come, in a piece that is not greedy.
void Continuation::barTokens(TokenChoice &choice) const {
  int32_t bar = vocabulary.token(Field::Bar);
  if (!options.grammar && newTokens() == 0 && list.back() == vocabulary.token(Field::Bos)) {
    choice.barred.add(0, bar);
    choice.barred.add(bar + 1, int32_t(vocabulary.size()));
    return;
  }
  if (!options.grammar)
    barOutsideMusic(choice.barred);
  for (int32_t token = 0; options.grammar && token < vocabulary.size(); ++token)
    if (!grammar.allows(token))
      choice.barred.add(token);
  if (options.bars > 0)
    holdToBars(choice);
  else
    barEarlyEnd(choice);
  if (!options.sections.empty() && newBars > 0 && list.back() == bar)
    holdToSection(choice.barred);
}

TokenChoice Continuation::choice() const {
  TokenChoice choice;
  choice.end = vocabulary.token(Field::Eos);
  choice.last = newTokens() + 1 >= options.maxTokens;
  choice.greedy = options.greedy;
  if (options.greedy)
    return choice;
  const SamplingOptions &sampling = options.sampling;
  choice.temperature = sampling.temperature;
  choice.topP = sampling.topP;
  choice.draw = uniformAt(sampling.seed, sequence, list.size());
  choice.penalty = sampling.repetitionPenalty;
  size_t looked = std::min(list.size(), size_t(std::max<int64_t>(sampling.penaltyWindow, 0)));
  for (auto token = list.end() - std::ptrdiff_t(looked); token != list.end(); ++token)
    if (*token >= vocabulary.begin(Field::Pitch) && *token < vocabulary.end(Field::Pitch))
      choice.penalised.add(*token);
  barTokens(choice);
  return choice;
}

Expected<void> Continuation::take(int32_t token) {
  assert(!done());
  if (options.grammar && !options.greedy)
    if (Expected<void> accepted = grammar.accept(token); !accepted)
      return accepted;
  list.push_back(token);
  newBars += token == vocabulary.token(Field::Bar);
  return {};
}

Expected<int32_t> Continuation::append(const float *logits) {
  Expected<int32_t> token = chooseToken(logits, vocabulary.size(), choice());
  if (!token)
    return token.error().in(fmt::format("sequence {}, token {}", sequence, list.size()));
  if (Expected<void> taken = take(*token); !taken)
    return taken.error();
  return token;
}

} // namespace sm1rt
