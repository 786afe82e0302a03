// Two loops that do nothing but load, and nothing but multiply. Both are written with intrinsics, so that no compiler makes them
// slower than the machine.
#include "Ceilings.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#else
#error "sm1-bench measures ceilings on x86-64 only"
#endif

using namespace sm1rt;

using Clock = std::chrono::steady_clock;

/// Distances of 64 KB make streams compete for the same cache sets; 44 KB was best where it was measured.
constexpr size_t streams = 8, streamBytes = 44 << 10, blockBytes = streams * streamBytes;
/// Beyond the last-level cache of every machine seen so far.
constexpr size_t readBytes = size_t(512) << 20;
constexpr int64_t multiplyRounds = 1 << 21;
/// Latency times issue rate of a multiply-add is 8 to 10; more chains than that keep both units busy.
constexpr int chains = 12;

/// Where results go so that no work can be left out.
static std::atomic<uint64_t> sink{0};

__attribute__((target("avx512f"))) static void read512(const uint8_t *data, size_t blocks) {
  __m512i folded[streams] = {};
  for (size_t block = 0; block < blocks; ++block, data += blockBytes)
    for (size_t offset = 0; offset < streamBytes; offset += 64) {
#pragma GCC unroll 8
      for (size_t stream = 0; stream < streams; ++stream)
        folded[stream] = _mm512_xor_si512(folded[stream], _mm512_load_si512(data + stream * streamBytes + offset));
    }
  for (size_t stream = 1; stream < streams; ++stream)
    folded[0] = _mm512_xor_si512(folded[0], folded[stream]);
  alignas(64) uint64_t words[8];
  _mm512_store_si512(words, folded[0]);
  sink += words[0];
}

__attribute__((target("avx2"))) static void read256(const uint8_t *data, size_t blocks) {
  __m256i folded[streams] = {};
  for (size_t block = 0; block < blocks; ++block, data += blockBytes)
    for (size_t offset = 0; offset < streamBytes; offset += 32) {
#pragma GCC unroll 8
      for (size_t stream = 0; stream < streams; ++stream)
        folded[stream] =
            _mm256_xor_si256(folded[stream], _mm256_load_si256((const __m256i *)(data + stream * streamBytes + offset)));
    }
  for (size_t stream = 1; stream < streams; ++stream)
    folded[0] = _mm256_xor_si256(folded[0], folded[stream]);
  sink += uint64_t(_mm256_extract_epi64(folded[0], 0));
}

__attribute__((target("avx512f"))) static void multiply512() {
  __m512 sums[chains], factor = _mm512_set1_ps(0.999f), summand = _mm512_set1_ps(0.001f);
  for (int chain = 0; chain < chains; ++chain)
    sums[chain] = _mm512_set1_ps(float(chain));
  for (int64_t round = 0; round < multiplyRounds; ++round) {
#pragma GCC unroll 12
    for (int chain = 0; chain < chains; ++chain)
      sums[chain] = _mm512_fmadd_ps(sums[chain], factor, summand);
  }
  for (int chain = 1; chain < chains; ++chain)
    sums[0] = _mm512_add_ps(sums[0], sums[chain]);
  sink += uint64_t(_mm512_cvtss_f32(sums[0]));
}

__attribute__((target("avx2,fma"))) static void multiply256() {
  __m256 sums[chains], factor = _mm256_set1_ps(0.999f), summand = _mm256_set1_ps(0.001f);
  for (int chain = 0; chain < chains; ++chain)
    sums[chain] = _mm256_set1_ps(float(chain));
  for (int64_t round = 0; round < multiplyRounds; ++round) {
#pragma GCC unroll 12
    for (int chain = 0; chain < chains; ++chain)
      sums[chain] = _mm256_fmadd_ps(sums[chain], factor, summand);
  }
  for (int chain = 1; chain < chains; ++chain)
    sums[0] = _mm256_add_ps(sums[0], sums[chain]);
  sink += uint64_t(_mm256_cvtss_f32(sums[0]));
}

/// Runs body(0) … body(threads - 1) at the same time, each on a core of its own; seconds from the common start to the last end. Thread 0
/// is the caller. Without the pins a young thread can share the caller's core for tens of milliseconds, which halved the ceiling.
static double timeTogether(int threads, const std::function<void(int)> &body) {
  std::atomic<int> ready{0};
  std::atomic<bool> go{false};
  std::vector<std::thread> others;
  for (int thread = 1; thread < threads; ++thread)
    others.emplace_back([&, thread] {
      CorePin pin(thread);
      ++ready;
      while (!go)
        spinPause();
      body(thread);
    });
  CorePin pin(0);
  while (ready != threads - 1)
    spinPause();
  Clock::time_point start = Clock::now();
  go = true;
  body(0);
  for (std::thread &other : others)
    other.join();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Expected<Ceilings> Ceilings::create(int threads, bool wide) {
  CpuFeatures features = cpuFeatures();
  if (!features.v3)
    return Error{fmt::format("{}: has no AVX2, the ceilings cannot be measured", cpuName())};
  Expected<PageMemory> memory = PageMemory::allocate(readBytes);
  if (!memory)
    return memory.error().in("memory to measure the read ceiling");
  // Pages that were never written are all the same zero page, which stays in the cache.
  std::memset(memory->data(), 1, memory->size());
  return Ceilings(threads, wide && features.v4, std::move(*memory));
}

double Ceilings::readBandwidth() {
  size_t blocks = readBytes / blockBytes / size_t(threads);
  double seconds = timeTogether(threads, [&](int thread) {
    const uint8_t *data = memory.data() + size_t(thread) * blocks * blockBytes;
    wide ? read512(data, blocks) : read256(data, blocks);
  });
  return double(blocks * blockBytes * size_t(threads)) / seconds;
}

double Ceilings::multiplyPeak() const {
  double seconds = timeTogether(threads, [&](int) { wide ? multiply512() : multiply256(); });
  int lanes = wide ? 16 : 8;
  return 2.0 * lanes * chains * double(multiplyRounds) * threads / seconds;
}
