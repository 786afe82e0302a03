// How the weights of a step are shared out among the blocks of one launch.
#ifndef SM1RT_SRC_TOKENSHARES_H
#define SM1RT_SRC_TOKENSHARES_H

#include "sm1rt/Plan.h"
#include "token.h"

namespace sm1rt {

struct TokenShares {
  std::vector<sm1token::Share> shares; ///< per block
  std::vector<uint16_t> uses;          ///< of all blocks' slots
  uint64_t streamBytes = 0;            ///< of the weights of all blocks, one after the other
};

/// As many blocks as there are multiprocessors, unless a partition has fewer channels: every block owns at least one of each.
/// Shares of a partition differ by one channel; the blocks that have one more are those with the fewest bytes so far.
TokenShares shareTokens(const PlanToken &token, int64_t multiprocessors);

} // namespace sm1rt

#endif // SM1RT_SRC_TOKENSHARES_H
