// How one token is chosen from a row of logits: everything but the logits themselves, so that it can be done where they lie.
#ifndef SM1RT_TOKENCHOICE_H
#define SM1RT_TOKENCHOICE_H

#include "sm1rt/Error.h"

#include <cstdint>
#include <vector>

namespace sm1rt {

/// A set of token ids; empty until one is added.
class TokenSet {
public:
  void add(int32_t token);
  void add(int32_t begin, int32_t end);
  bool contains(int32_t token) const;
  /// Bit t % 32 of word t / 32; as many words as the largest id needs.
  const std::vector<uint32_t> &words() const { return bits; }

private:
  std::vector<uint32_t> bits;
};

/// In this order: logits of `penalised` tokens are divided by `penalty` (negative ones multiplied), `barred` ones become minus
/// infinity, `kept` takes over what `dropped` has (log of the sum of both) and `dropped` is barred. Then temperature and top-p;
/// `draw` decides.
struct TokenChoice {
  /// The largest logit, the smallest id among equals; none of the fields below but `end` and `last` counts.
  bool greedy = false;
  double temperature = 1; ///< above 0
  double topP = 1;        ///< 0 to 1; a token stays while the probability before it, best first, is at most this
  double draw = 0;        ///< uniform in [0, 1)
  double penalty = 1;     ///< at least 1
  TokenSet penalised, barred;
  int32_t kept = -1, dropped = -1; ///< -1: none
  int32_t end = -1;                ///< the token after which the sequence does not go on; -1: none
  bool last = false;               ///< it does not go on, whatever is chosen
};

/// The chosen one of `count` tokens. The same on every device for the same logits. Errors: a logit that is NaN or plus infinity;
/// nothing left to choose from.
Expected<int32_t> chooseToken(const float *logits, int64_t count, const TokenChoice &choice);

} // namespace sm1rt

#endif // SM1RT_TOKENCHOICE_H
