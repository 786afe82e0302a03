// Shares of channels, and the ring slots that their weights fill.
#include "TokenShares.h"

#include <algorithm>
#include <numeric>

namespace sm1rt {

using sm1token::Share;

static int64_t unitsOf(const PlanToken::Phase &phase) { return (phase.width + 31) / 32; }

/// 32 columns of all of a block's rows.
static int64_t unitBytes(const PlanToken &token, const PlanToken::Phase &phase, int64_t channels, int64_t blocks) {
  const int64_t matrices = int64_t(phase.matrices.size()), most = (token.partitions[phase.partition] + blocks - 1) / blocks;
  return 16 * sm1token::unitPieces(int(token.bits), int(matrices * channels), int(matrices * most));
}

/// Bytes of weights that a channel of the partition takes in one token, nearly: without what fills up scales.
static int64_t channelBytes(const PlanToken &token, size_t partition) {
  int64_t bytes = 0;
  for (size_t i = 0; i < token.phases.size(); ++i)
    if (token.phases[i].partition == partition)
      bytes += unitsOf(token.phases[i]) * (token.bits == 4 ? 18 : 4 * token.bits) * int64_t(token.phases[i].matrices.size()) *
               (i + 1 < token.phases.size() ? token.layers : 1);
  return bytes;
}

static void sharePartition(int64_t width, int64_t bytes, size_t partition, std::vector<Share> &shares,
                           std::vector<int64_t> &loads) {
  int64_t blocks = int64_t(shares.size());
  std::vector<size_t> order(shares.size());
  std::iota(order.begin(), order.end(), size_t(0));
  for (size_t block : order) {
    shares[block].count[partition] = unsigned(width / blocks);
    loads[block] += bytes * (width / blocks);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return loads[a] < loads[b]; });
  for (int64_t more = 0; more < width % blocks; ++more) {
    ++shares[order[size_t(more)]].count[partition];
    loads[order[size_t(more)]] += bytes;
  }
  unsigned first = 0;
  for (Share &share : shares) {
    share.first[partition] = first;
    first += share.count[partition];
  }
}

/// Calls `visit(first byte, end)` for what each warp reads in each phase, in the order of the stream; returns the stream's bytes.
template <typename Visit> static uint64_t forEachRange(const PlanToken &token, size_t blocks, const Share &share, Visit visit) {
  uint64_t at = 0;
  for (int64_t layer = 0; layer <= token.layers; ++layer)
    for (size_t i = layer < token.layers ? 0 : token.phases.size() - 1; i + (layer < token.layers) < token.phases.size(); ++i) {
      const PlanToken::Phase &phase = token.phases[i];
      uint64_t bytesOfUnit = uint64_t(unitBytes(token, phase, int64_t(share.count[phase.partition]), int64_t(blocks)));
      int64_t units = unitsOf(phase);
      for (int64_t warp = 0; warp < token.warps; ++warp) { // the first ones have one more where it does not divide
        uint64_t bytes = bytesOfUnit * uint64_t(units / token.warps + (warp < units % token.warps));
        visit(at, at + bytes);
        at += bytes;
      }
    }
  return at;
}

TokenShares shareTokens(const PlanToken &token, int64_t multiprocessors) {
  TokenShares result;
  int64_t blocks = std::min(multiprocessors, *std::min_element(token.partitions.begin(), token.partitions.end()));
  result.shares.resize(size_t(blocks));
  std::vector<size_t> order(token.partitions.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return channelBytes(token, a) > channelBytes(token, b); });
  std::vector<int64_t> loads(result.shares.size());
  for (size_t partition : order)
    sharePartition(token.partitions[partition], channelBytes(token, partition), partition, result.shares, loads);
  for (Share &share : result.shares) {
    share.offset = result.streamBytes;
    share.uses = unsigned(result.uses.size());
    uint64_t bytes = forEachRange(token, result.shares.size(), share, [](uint64_t, uint64_t) {});
    share.bytes = unsigned(bytes);
    result.streamBytes += (bytes + 127) / 128 * 128;
    result.uses.resize(result.uses.size() + (bytes + sm1token::slotBytes - 1) / sm1token::slotBytes);
    forEachRange(token, result.shares.size(), share, [&](uint64_t begin, uint64_t end) {
      for (uint64_t slot = begin / sm1token::slotBytes; slot <= (end - 1) / sm1token::slotBytes; ++slot)
        ++result.uses[share.uses + slot];
    });
  }
  return result;
}

} // namespace sm1rt
