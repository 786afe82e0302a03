// What this machine can do at best, measured in this process: reading memory and multiplying.
#ifndef SM1_BENCH_CEILINGS_H
#define SM1_BENCH_CEILINGS_H

#include "sm1rt/Error.h"

#include "Platform.h"

#include <functional>
#include <vector>

/// Measures with as many threads as the model uses. Reading goes over memory that is larger than the caches, in eight streams a
/// thread, because one stream alone loses a third. Multiplying is fused multiply-adds on registers, on 16 lanes where the CPU has
/// AVX-512 and `wide` is set, else 8.
class Ceilings {
public:
  static sm1rt::Expected<Ceilings> create(int threads, bool wide);

  /// Bytes a second of one pass over the memory.
  double readBandwidth();
  /// Floating-point operations a second; a multiply-add counts as two.
  double multiplyPeak() const;

private:
  Ceilings(int threads, bool wide, sm1rt::PageMemory memory) : threads(threads), wide(wide), memory(std::move(memory)) {}

  int threads;
  bool wide;
  sm1rt::PageMemory memory;
};

#endif // SM1_BENCH_CEILINGS_H
