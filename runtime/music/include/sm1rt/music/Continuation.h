// One piece in the making: a prompt and the tokens chosen after it. Knows nothing of models; it is given logits.
#ifndef SM1RT_MUSIC_CONTINUATION_H
#define SM1RT_MUSIC_CONTINUATION_H

#include "sm1rt/Error.h"
#include "sm1rt/StateFile.h"
#include "sm1rt/TokenChoice.h"
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
  /// New bars, exactly, however the model would have it: where it would end before, the next bar begins; where it would go on
  /// after, the piece ends. 0: as the model likes. Comes before minTokens, not before maxTokens.
  int64_t bars = 0;
  /// SECTION value of each new bar; empty: as the model likes. Needs `bars` and the grammar, which knows where sections stand.
  std::vector<int> sections;
};

/// The tokens of one sequence of a batch. Everything it chooses follows from its options, its index and the logits it is given.
class Continuation {
public:
  /// `sequence` is its index in the batch. Refuses an empty prompt, ids past the vocabulary, a prompt that has ended, bad options,
  /// and, with the grammar on, a prompt that breaks it.
  static Expected<Continuation> start(const Vocabulary &vocabulary, const ContinuationOptions &options, std::vector<int32_t> prompt,
                                      uint64_t sequence);

  /// How the next token is to be chosen, by whoever has the logits [V] that follow the last token. Not after done().
  TokenChoice choice() const;
  /// Appends the token that was chosen so.
  Expected<void> take(int32_t token);
  /// Both at once, from logits on the host.
  Expected<int32_t> append(const float *logits);

  /// Prompt and new tokens.
  const std::vector<int32_t> &tokens() const { return list; }
  int64_t newTokens() const { return int64_t(list.size()) - promptSize; }
  /// What a saved state needs beside the model's memory to go on from here.
  Conversation conversation() const { return {list, options.sampling.seed, sequence}; }
  bool endedByItself() const { return list.back() == vocabulary.token(Field::Eos); }
  bool done() const { return endedByItself() || newTokens() >= options.maxTokens; }

private:
  Continuation(const Vocabulary &vocabulary, const ContinuationOptions &options, std::vector<int32_t> prompt, uint64_t sequence)
      : vocabulary(vocabulary), options(options), grammar(vocabulary), list(std::move(prompt)), promptSize(int64_t(list.size())),
        sequence(sequence) {}

  Expected<void> readPrompt();
  void barEarlyEnd(TokenChoice &choice) const;
  void barTokens(TokenChoice &choice) const;
  void barOutsideMusic(TokenSet &barred) const;
  void holdToBars(TokenChoice &choice) const;
  void holdToSection(TokenSet &barred) const;

  Vocabulary vocabulary;
  ContinuationOptions options;
  Grammar grammar;
  std::vector<int32_t> list;
  int64_t promptSize;
  int64_t newBars = 0;
  uint64_t sequence;
};

} // namespace sm1rt

#endif // SM1RT_MUSIC_CONTINUATION_H
