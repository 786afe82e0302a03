// How fast memory is read, and read and written, in the way that suits this machine best.
#ifndef SM1_BENCH_MEMORY_H
#define SM1_BENCH_MEMORY_H

#include "sm1rt/Error.h"

#include "Platform.h"

#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>

/// Streams that are read and streams that are written side by side, `reads` bytes for `writes` bytes.
struct StreamMix {
  int reads, writes;

  bool operator<(const StreamMix &other) const { return std::pair(reads, writes) < std::pair(other.reads, other.writes); }
  bool operator==(const StreamMix &other) const { return reads == other.reads && writes == other.writes; }
  /// "read", or in lowest terms "5:1".
  std::string name() const;
};

/// The mix that can be measured and comes nearest to so many bytes.
StreamMix nearestMix(double readBytes, double writtenBytes);

/// A stretch of memory and passes over it.
class MemoryCeiling {
public:
  /// `bytes` of memory, on huge pages or on ordinary ones, whichever `threads` threads read faster.
  static sm1rt::Expected<MemoryCeiling> create(uint64_t bytes, int threads);

  /// Bytes a second, read and written together, of one pass. Streams are 44 KB apart, eight or more a thread: one alone loses a
  /// third of what a core can read. Writes go through the caches or around them, as was faster in the first pass.
  double bandwidth(StreamMix mix, int threads);

  uint64_t size() const { return bytes; }
  bool hugePages() const { return huge.size() > 0; }

private:
  struct Free {
    void operator()(uint8_t *memory) const { std::free(memory); }
  };
  MemoryCeiling(uint64_t bytes, bool wide) : bytes(bytes), wide(wide) {}
  uint8_t *data() const { return huge.size() > 0 ? huge.data() : ordinary.get(); }
  double timePass(StreamMix mix, bool around, int threads) const;

  uint64_t bytes;
  bool wide; // AVX-512
  sm1rt::PageMemory huge;
  std::unique_ptr<uint8_t, Free> ordinary; // one of the two is empty
  std::map<StreamMix, bool> goesAround;
};

#endif // SM1_BENCH_MEMORY_H
