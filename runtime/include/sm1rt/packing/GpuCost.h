// The cost model of GPUs: how long a launch takes, from the same counts of its work as on a CPU (Cost.h), how it is cut into
// blocks, and facts about a chip. Cards that nobody here has measured are in a table with the source of each figure.
//
// A launch takes as long as it is to start, as one block waits for what it depends on, and as the slower of two things that
// overlap: memory, and the busiest multiprocessor's products, other arithmetic and blocks that follow each other.
#ifndef SM1RT_PACKING_GPUCOST_H
#define SM1RT_PACKING_GPUCOST_H

#include "sm1rt/packing/Cost.h"

#include <string_view>
#include <vector>

namespace sm1rt {

//===-- Chips ---------------------------------------------------------------------------------------------------------------===//

/// What a GPU gives to a block and to a multiprocessor. Every one listed has mma.sync for bf16 and cp.async.
struct GpuFacts {
  int64_t capability;                              ///< 90 for 9.0
  int64_t sharedPerBlock, sharedPerMultiprocessor; ///< bytes
  int64_t threadsPerMultiprocessor, registersPerMultiprocessor;

  /// Whether a kernel can start while earlier ones run, and wait for them by itself.
  bool overlapsKernels() const { return capability >= 90; }
};

/// Newest first. From the table of compute capabilities in NVIDIA's CUDA C++ Programming Guide.
inline constexpr GpuFacts gpuFacts[] = {
    {121, 99 << 10, 100 << 10, 1536, 65536},  {120, 99 << 10, 100 << 10, 1536, 65536}, {103, 227 << 10, 228 << 10, 2048, 65536},
    {100, 227 << 10, 228 << 10, 2048, 65536}, {90, 227 << 10, 228 << 10, 2048, 65536}, {89, 99 << 10, 100 << 10, 1536, 65536},
    {87, 163 << 10, 164 << 10, 1536, 65536},  {86, 99 << 10, 100 << 10, 1536, 65536},  {80, 163 << 10, 164 << 10, 2048, 65536}};

/// Those of a capability; of one that is not listed those of the nearest below it, or of the oldest.
constexpr const GpuFacts &gpuFactsOf(int64_t capability) {
  for (const GpuFacts &facts : gpuFacts)
    if (facts.capability <= capability)
      return facts;
  return gpuFacts[sizeof(gpuFacts) / sizeof(*gpuFacts) - 1];
}

//===-- Machines ------------------------------------------------------------------------------------------------------------===//

/// What a GPU does in a second. Operations count a multiply-add as two.
struct GpuRates {
  GpuFacts facts = gpuFactsOf(90);
  double multiprocessors = 132;
  double readBandwidth = 0, copyBandwidth = 0, l2Bandwidth = 0; ///< bytes; a copy's are read and written
  double l2Bytes = 0;
  double bf16Operations = 0; ///< of mma.sync, sums in f32; 0: not known
  double f32Operations = 0;  ///< of multiply-adds
  double launchSeconds = 0;  ///< of a kernel that does nothing, behind another

  /// Of a multiprocessor, if it starts 128 multiply-adds of f32 in a cycle.
  double hertz() const { return f32Operations / (2 * 128 * multiprocessors); }
};

/// A card that is on sale, by its data sheet.
struct GpuCard {
  const char *name, *target;
  GpuRates rates;
  double powerWatts;
};
const std::vector<GpuCard> &gpuCards();
/// The card of that name; null when there is none.
const GpuCard *findGpuCard(std::string_view name);

/// Between kernels of a CUDA graph, and between launches of a host; on an H200 by what is left of runs when their kernels are taken
/// away.
inline constexpr double graphLaunchSeconds = 0.7e-6, hostLaunchSeconds = 2.1e-6;

//===-- Launches ------------------------------------------------------------------------------------------------------------===//

/// How a launch is cut into blocks; PackageFormat.h has the rules. Splits are at least 1.
struct BlockCuts : LaunchCuts {
  int64_t threads = 128, shared = 0, timeSplit = 0;
  bool overSegments = false;
};

/// How much one launch has to do.
struct GpuLaunchSize {
  double rows = 1; ///< of the launch's row space
  double segments = 1, passRows = 1, longest = 1;
  double passBytes = 0; ///< weights of the whole pass
};

struct GpuPrediction : Prediction {
  double waiting = 0; ///< of blocks for their first operands, for each other and for chains of dependent operations
  double blocks = 0, blocksPerMultiprocessor = 0, rounds = 0;

  /// As of a CPU's, or "waiting".
  const char *bound() const;
};

GpuPrediction predict(const KernelCost &cost, const BlockCuts &cuts, const GpuRates &rates, const GpuLaunchSize &size);

/// A step of `sequences` sequences in one launch.
struct TokenWork {
  double weightBytes = 0; ///< of all phases
  double phases = 0;      ///< of all layers: each waits for the words of the one before it
  double sequences = 1;
};

/// Of one of many tokens of a launch.
struct TokenPrediction {
  double stream = 0, exchange = 0; ///< each as if the other took no time: weights from memory, phases for each other

  double seconds() const;
  /// Of `part`, the same of some phases: parts that make up the whole add up to its seconds.
  double secondsOf(const TokenPrediction &part) const;
};

TokenPrediction predictToken(const TokenWork &work, const GpuRates &rates);

} // namespace sm1rt

#endif // SM1RT_PACKING_GPUCOST_H
