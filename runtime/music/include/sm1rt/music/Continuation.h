// One piece in the making: a prompt and the tokens chosen after it. Knows nothing of models; it is given logits.
#ifndef SM1RT_MUSIC_CONTINUATION_H
#define SM1RT_MUSIC_CONTINUATION_H

#include "sm1rt/Error.h"
#include "sm1rt/music/Grammar.h"
#include "sm1rt/music/Sampler.h"

#include <cstdint>
#include <vector>

namespace sm1rt {

struct ContinuationOptions {
  SamplingOptions sampling;
  /// The most likely token, always: no grammar, no penalty, no minimum, nothing masked.
  bool greedy = false;
  /// Only tokens that the grammar allows; the prompt must follow it too. Off: only PAD, BOS and conditioning ids are barred, and a
  /// piece that has only its BOS goes on with BAR.
  bool grammar = true;
  /// New tokens before which EOS may not come.
  int64_t minTokens = 0;
  /// New tokens after which the piece is cut.
  int64_t maxTokens = 2048;
};

/// The tokens of one sequence of a batch. Everything it chooses follows from its options, its index and the logits it is given.
class Continuation {
public:
  /// `sequence` is its index in the batch. Refuses an empty prompt, ids past the vocabulary, a prompt that has ended, bad options,
  /// and, with the grammar on, a prompt that breaks it.
  static Expected<Continuation> start(const Vocabulary &vocabulary, const ContinuationOptions &options, std::vector<int32_t> prompt,
                                      uint64_t sequence);

  /// Chooses the next token from logits [V] that follow the last token, and appends it. Not after done().
  Expected<int32_t> append(const float *logits);

  /// Prompt and new tokens.
  const std::vector<int32_t> &tokens() const { return list; }
  int64_t newTokens() const { return int64_t(list.size()) - promptSize; }
  bool endedByItself() const { return list.back() == vocabulary.token(Field::Eos); }
  bool done() const { return endedByItself() || newTokens() >= options.maxTokens; }

private:
  Continuation(const Vocabulary &vocabulary, const ContinuationOptions &options, std::vector<int32_t> prompt, uint64_t sequence)
      : vocabulary(vocabulary), options(options), grammar(vocabulary), list(std::move(prompt)), promptSize(int64_t(list.size())),
        sequence(sequence) {}

  Expected<void> readPrompt();
  void maskOutsideMusic(float *logits) const;
  Expected<int32_t> choose(const float *logits) const;

  Vocabulary vocabulary;
  ContinuationOptions options;
  Grammar grammar;
  std::vector<int32_t> list;
  int64_t promptSize;
  uint64_t sequence;
};

} // namespace sm1rt

#endif // SM1RT_MUSIC_CONTINUATION_H
