// What this machine can do at best, measured in this process in turns with the model: moving memory and multiplying.
#ifndef SM1_BENCH_CEILINGS_H
#define SM1_BENCH_CEILINGS_H

#include "Memory.h"
#include "Peaks.h"
#include "Samples.h"

#include <optional>
#include <vector>

/// One figure of the machine with so many threads: bytes a second of a mix of streams, or operations a second of a peak.
struct Ceiling {
  int threads;
  std::optional<StreamMix> mix; ///< of memory
  std::optional<Peak> peak;     ///< of arithmetic
  Samples perSecond;

  std::string name() const { return mix ? (mix->writes ? "read:write " : "") + mix->name() : peakName(*peak); }
};

class Ceilings {
public:
  /// `weightBytes` are those of the model. Memory is measured over as many, or over 512 MB where that is so little that a cache
  /// could hold it; `threads` are the most that will be asked for.
  static sm1rt::Expected<Ceilings> create(double weightBytes, int threads);

  /// Index of a ceiling, which is measured from then on.
  size_t memory(StreamMix mix, int threads);
  size_t arithmetic(Peak peak, int threads);

  /// Measures each once; figures count only when `keep`.
  void measure(bool keep);

  const std::vector<Ceiling> &all() const { return ceilings; }
  uint64_t memoryBytes() const { return memoryCeiling.size(); }
  bool hugePages() const { return memoryCeiling.hugePages(); }

private:
  explicit Ceilings(MemoryCeiling memory) : memoryCeiling(std::move(memory)) {}
  size_t add(Ceiling ceiling);

  MemoryCeiling memoryCeiling;
  std::vector<Ceiling> ceilings;
};

/// Bytes of the largest cache that the system tells of; 0 when it does not.
double lastLevelCacheBytes();

#endif // SM1_BENCH_CEILINGS_H
