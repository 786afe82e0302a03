// Loops that do nothing but load and store, written with intrinsics, so that no compiler makes them slower than the machine.
#include "Memory.h"

#include "Samples.h"
#include "Team.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#if defined(__x86_64__)
#include <immintrin.h>
#else
#error "sm1-bench measures ceilings on x86-64 only"
#endif

using namespace sm1rt;

/// Distances of 64 KB make streams compete for the same cache sets; 44 KB was best where it was measured.
constexpr size_t streamBytes = 44 << 10;
constexpr int readStreams = 8;
/// Writes below this part of all bytes leave a kernel with the read ceiling.
constexpr double littleWritten = 0.04;

//===-- Loops ---------------------------------------------------------------------------------------------------------------===//

__attribute__((target("avx512f"))) static void read512(const uint8_t *data, size_t blocks) {
  __m512i folded[readStreams] = {};
  for (size_t block = 0; block < blocks; ++block, data += readStreams * streamBytes)
    for (size_t offset = 0; offset < streamBytes; offset += 64) {
#pragma GCC unroll 8
      for (size_t stream = 0; stream < readStreams; ++stream)
        folded[stream] = _mm512_xor_si512(folded[stream], _mm512_load_si512(data + stream * streamBytes + offset));
    }
  for (size_t stream = 1; stream < readStreams; ++stream)
    folded[0] = _mm512_xor_si512(folded[0], folded[stream]);
  alignas(64) uint64_t words[8];
  _mm512_store_si512(words, folded[0]);
  keepResult(words[0]);
}

__attribute__((target("avx2"))) static void read256(const uint8_t *data, size_t blocks) {
  __m256i folded[readStreams] = {};
  for (size_t block = 0; block < blocks; ++block, data += readStreams * streamBytes)
    for (size_t offset = 0; offset < streamBytes; offset += 32) {
#pragma GCC unroll 8
      for (size_t stream = 0; stream < readStreams; ++stream)
        folded[stream] =
            _mm256_xor_si256(folded[stream], _mm256_load_si256((const __m256i *)(data + stream * streamBytes + offset)));
    }
  for (size_t stream = 1; stream < readStreams; ++stream)
    folded[0] = _mm256_xor_si256(folded[0], folded[stream]);
  keepResult(uint64_t(_mm256_extract_epi64(folded[0], 0)));
}

/// A line at a time from each of `reads` streams, folded into one that goes to each of `writes` streams behind them.
template <int reads, int writes, bool around> __attribute__((target("avx2"))) static void mix256(uint8_t *data, size_t blocks) {
  for (size_t block = 0; block < blocks; ++block, data += (reads + writes) * streamBytes)
    for (size_t offset = 0; offset < streamBytes; offset += 64)
      for (size_t half = offset; half < offset + 64; half += 32) {
        __m256i folded = _mm256_set1_epi8(1);
#pragma GCC unroll 16
        for (size_t stream = 0; stream < reads; ++stream)
          folded = _mm256_xor_si256(folded, _mm256_load_si256((const __m256i *)(data + stream * streamBytes + half)));
#pragma GCC unroll 16
        for (size_t stream = reads; stream < reads + writes; ++stream) {
          auto *to = (__m256i *)(data + stream * streamBytes + half);
          around ? _mm256_stream_si256(to, folded) : _mm256_store_si256(to, folded);
        }
      }
}

//===-- Mixes ---------------------------------------------------------------------------------------------------------------===//

namespace {
/// A mix that there is a loop for.
struct MixLoop {
  StreamMix mix;
  void (*through)(uint8_t *, size_t);
  void (*around)(uint8_t *, size_t);
};
} // namespace

template <int reads, int writes> static constexpr MixLoop mixLoop() {
  return {{reads, writes}, mix256<reads, writes, false>, mix256<reads, writes, true>};
}

static constexpr StreamMix readOnly = {readStreams, 0};
static constexpr std::array<MixLoop, 8> mixLoops = {mixLoop<12, 1>(), mixLoop<8, 1>(), mixLoop<10, 2>(), mixLoop<8, 2>(),
                                                    mixLoop<6, 2>(),  mixLoop<6, 3>(), mixLoop<4, 4>(),  mixLoop<3, 6>()};

std::string StreamMix::name() const {
  if (writes == 0)
    return "read";
  int common = std::gcd(reads, writes);
  return fmt::format("{}:{}", reads / common, writes / common);
}

StreamMix nearestMix(double readBytes, double writtenBytes) {
  if (writtenBytes <= littleWritten * (readBytes + writtenBytes))
    return readOnly;
  StreamMix nearest = readOnly;
  double least = std::numeric_limits<double>::infinity();
  for (const MixLoop &loop : mixLoops) {
    // Something read, so that the logarithm of a kernel that only writes exists.
    double distance = std::fabs(std::log((readBytes + 1) / writtenBytes * loop.mix.writes / loop.mix.reads));
    if (distance < least) {
      least = distance;
      nearest = loop.mix;
    }
  }
  return nearest;
}

//===-- Passes --------------------------------------------------------------------------------------------------------------===//

double MemoryCeiling::timePass(StreamMix mix, bool around, int threads) const {
  size_t blockBytes = size_t(mix.reads + mix.writes) * streamBytes;
  size_t blocks = std::max<size_t>(bytes / blockBytes / size_t(threads), 1);
  double seconds = timeTogether(threads, [&](int thread) {
    // More threads than blocks: some share one.
    size_t first = std::min(size_t(thread) * blocks, bytes / blockBytes - blocks);
    uint8_t *part = data() + first * blockBytes;
    if (mix == readOnly)
      return wide ? read512(part, blocks) : read256(part, blocks);
    for (const MixLoop &loop : mixLoops)
      if (loop.mix == mix)
        (around ? loop.around : loop.through)(part, blocks);
  });
  return double(blocks * blockBytes * size_t(threads)) / seconds;
}

double MemoryCeiling::bandwidth(StreamMix mix, int threads) {
  if (mix.writes > 0 && !goesAround.count(mix)) {
    double through = timePass(mix, false, threads), around = timePass(mix, true, threads);
    goesAround[mix] = around > through;
    return std::max(through, around);
  }
  return timePass(mix, mix.writes > 0 && goesAround[mix], threads);
}

Expected<MemoryCeiling> MemoryCeiling::create(uint64_t bytes, int threads) {
  MemoryCeiling memory(bytes, cpuFeatures().v4);
  auto readMedian = [&] {
    // Pages that were never written are all the same zero page, which stays in the cache.
    std::memset(memory.data(), 1, bytes);
    Samples samples;
    for (int pass = 0; pass < 3; ++pass)
      samples.values.push_back(memory.timePass(readOnly, false, threads));
    return samples.median();
  };
  constexpr uint64_t page = 4096;
  memory.ordinary.reset(static_cast<uint8_t *>(std::aligned_alloc(page, (bytes + page - 1) / page * page)));
  if (!memory.ordinary)
    return Error{fmt::format("{} bytes of memory to measure the read ceiling: there is none left", bytes)};
  double onOrdinary = readMedian();
  Expected<PageMemory> huge = PageMemory::allocate(bytes);
  if (!huge)
    return huge.error().in("memory to measure the read ceiling");
  memory.huge = std::move(*huge);
  if (readMedian() >= onOrdinary)
    memory.ordinary.reset();
  else
    memory.huge = PageMemory();
  return memory;
}
