// Times that the kernel for whole tokens keeps, so that weights and words get past each other: found by trying, once for each
// device.
#ifndef SM1RT_SRC_CUDA_TOKENDELAYS_H
#define SM1RT_SRC_CUDA_TOKENDELAYS_H

#include "Context.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace sm1rt::cuda {

/// In clocks: Launch::pace, then Launch::delay of each phase.
using TokenClocks = std::vector<uint16_t>;

struct TokenDelays {
  TokenClocks clocks;
  const char *origin = ""; ///< "fixed", "given", "measured", "kept" from an earlier measurement

  std::string text() const; ///< "pace 500, delays 400 1000 1000, fixed"
};

/// What SM1_TOKEN_DELAYS says: "fixed" takes what suits an H200, numbers with commas between are taken as they are, the last one
/// for all further phases. Nothing else is understood: an error.
struct DelaySetting {
  bool measures = true;
  TokenClocks given;

  static Expected<DelaySetting> ofEnvironment();
};

/// Seconds that a token takes with such clocks.
using TimeOfClocks = std::function<Expected<double>(const TokenClocks &)>;

/// The best clocks near `start`, one after the other. Ends after a second or so, whatever it has found; what it returns has been
/// quicker than `start` in turns with it, or is `start`.
Expected<TokenClocks> searchClocks(const TokenClocks &start, const TimeOfClocks &timeOf);

/// What an earlier search for the same device and code has left at `path`; empty where there is nothing, or something damaged.
TokenClocks readClocks(const std::string &path, const Context &context, size_t phases);
/// Leaves them there. That a cache cannot be written is no error: they are searched for again.
void keepClocks(const std::string &path, const Context &context, const TokenClocks &clocks);

} // namespace sm1rt::cuda

#endif // SM1RT_SRC_CUDA_TOKENDELAYS_H
