// Chains of one instruction on registers, as many as latency times issue rate asks for. Each starts with another value: equal ones
// would be computed once.
#include "Peaks.h"

#include "Amx.h"
#include "Platform.h"
#include "Team.h"

#include <array>
#include <chrono>
#include <cpuid.h>
#include <immintrin.h>
#include <numeric>
#include <vector>

using namespace sm1rt;

/// Latency times issue rate of a multiply-add is 8 to 10; more chains than that keep both units busy.
constexpr int chains = 12;
/// Some 20 ms: clocks and neighbours change within milliseconds, and kernels are timed over many of them. 2 ms met a core at its
/// best.
constexpr int64_t chainRounds = 1 << 23;
/// Of a slice, which stands beside one launch: some 0.3 ms.
constexpr int64_t chainSlice = chainRounds / 64, amxSlice = amxRounds / 16;
/// What threads of a pool go on spinning for after a launch, and some more: they would take half of a core from a slice.
constexpr auto spinTime = std::chrono::microseconds(200);

//===-- Loops ---------------------------------------------------------------------------------------------------------------===//

__attribute__((target("avx2,fma"))) static void fma256(int64_t rounds) {
  __m256 sums[chains], factor = _mm256_set1_ps(0.999f), summand = _mm256_set1_ps(0.001f);
  for (int chain = 0; chain < chains; ++chain)
    sums[chain] = _mm256_set1_ps(float(chain));
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int chain = 0; chain < chains; ++chain)
      sums[chain] = _mm256_fmadd_ps(sums[chain], factor, summand);
  }
  for (int chain = 1; chain < chains; ++chain)
    sums[0] = _mm256_add_ps(sums[0], sums[chain]);
  keepResult(uint64_t(_mm256_cvtss_f32(sums[0])));
}

__attribute__((target("avx512f"))) static void fma512(int64_t rounds) {
  __m512 sums[chains], factor = _mm512_set1_ps(0.999f), summand = _mm512_set1_ps(0.001f);
  for (int chain = 0; chain < chains; ++chain)
    sums[chain] = _mm512_set1_ps(float(chain));
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int chain = 0; chain < chains; ++chain)
      sums[chain] = _mm512_fmadd_ps(sums[chain], factor, summand);
  }
  for (int chain = 1; chain < chains; ++chain)
    sums[0] = _mm512_add_ps(sums[0], sums[chain]);
  keepResult(uint64_t(_mm512_cvtss_f32(sums[0])));
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"))) static void bf16Dot512(int64_t rounds) {
  __m512 sums[chains];
  for (int chain = 0; chain < chains; ++chain)
    sums[chain] = _mm512_set1_ps(float(chain));
  __m512bh ones = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1), _mm512_set1_ps(1));
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int chain = 0; chain < chains; ++chain)
      sums[chain] = _mm512_dpbf16_ps(sums[chain], ones, ones);
  }
  for (int chain = 1; chain < chains; ++chain)
    sums[0] = _mm512_add_ps(sums[0], sums[chain]);
  keepResult(uint64_t(_mm512_cvtss_f32(sums[0])));
}

/// Products that do not depend on the sums would be computed once: the empty asm says that their operand may have changed.
__attribute__((target("avx2"))) static void madd256(int64_t rounds) {
  __m256i sums[chains] = {}, bytes = _mm256_set1_epi8(3), ones = _mm256_set1_epi16(1);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int chain = 0; chain < chains; ++chain) {
      asm volatile("" : "+x"(bytes));
      sums[chain] = _mm256_add_epi32(sums[chain], _mm256_madd_epi16(_mm256_maddubs_epi16(bytes, bytes), ones));
    }
  }
  for (int chain = 1; chain < chains; ++chain)
    sums[0] = _mm256_add_epi32(sums[0], sums[chain]);
  keepResult(uint64_t(_mm256_extract_epi64(sums[0], 0)));
}

__attribute__((target("avx512f,avx512bw"))) static void madd512(int64_t rounds) {
  __m512i sums[chains] = {}, bytes = _mm512_set1_epi8(3), ones = _mm512_set1_epi16(1);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int chain = 0; chain < chains; ++chain) {
      asm volatile("" : "+v"(bytes));
      sums[chain] = _mm512_add_epi32(sums[chain], _mm512_madd_epi16(_mm512_maddubs_epi16(bytes, bytes), ones));
    }
  }
  for (int chain = 1; chain < chains; ++chain)
    sums[0] = _mm512_add_epi32(sums[0], sums[chain]);
  alignas(64) uint64_t words[8];
  _mm512_store_si512(words, sums[0]);
  keepResult(words[0]);
}

__attribute__((target("avx512f,avx512bw,avx512vnni"))) static void vnni512(int64_t rounds) {
  __m512i sums[chains], bytes = _mm512_set1_epi8(3);
  for (int chain = 0; chain < chains; ++chain)
    sums[chain] = _mm512_set1_epi32(chain);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int chain = 0; chain < chains; ++chain)
      sums[chain] = _mm512_dpbusd_epi32(sums[chain], bytes, bytes);
  }
  for (int chain = 1; chain < chains; ++chain)
    sums[0] = _mm512_add_epi32(sums[0], sums[chain]);
  alignas(64) uint64_t words[8];
  _mm512_store_si512(words, sums[0]);
  keepResult(words[0]);
}

//===-- Table ---------------------------------------------------------------------------------------------------------------===//

namespace {
struct PeakRow {
  Peak peak;
  const char *name;
  void (*run)(int64_t rounds);
  double operations; ///< of one round on one thread
  int64_t rounds, sliceRounds;
};
/// Which instructions do the projections of a target in an arithmetic.
struct TargetPeak {
  std::string_view target, compute;
  Peak peak;
};
} // namespace

/// A loop of chains whose instruction multiplies and adds `lanes` times.
static constexpr PeakRow chained(Peak peak, const char *name, void (*run)(int64_t), int lanes) {
  return {peak, name, run, 2.0 * lanes * chains, chainRounds, chainSlice};
}

static const std::array<PeakRow, 8> peakRows = {{
    chained(Peak::Fma256, "FMA 256", fma256, 8),
    chained(Peak::Fma512, "FMA 512", fma512, 16),
    chained(Peak::Bf16Dot512, "bf16 dot 512", bf16Dot512, 32),
    chained(Peak::Madd256, "int8 madd 256", madd256, 32),
    chained(Peak::Madd512, "int8 madd 512", madd512, 64),
    chained(Peak::Vnni512, "VNNI 512", vnni512, 64),
    {Peak::AmxBf16, "AMX bf16", amxBf16, amxBf16Operations, amxRounds, amxSlice},
    {Peak::AmxInt8, "AMX int8", amxInt8, amxInt8Operations, amxRounds, amxSlice},
}};

/// bf16 arithmetic without bf16 instructions is made of f32 multiply-adds.
static constexpr std::array<TargetPeak, 15> targetPeaks = {{
    {"x86-64-v3", "f32", Peak::Fma256},
    {"x86-64-v3", "bf16", Peak::Fma256},
    {"x86-64-v3", "int8", Peak::Madd256},
    {"x86-64-v4", "f32", Peak::Fma512},
    {"x86-64-v4", "bf16", Peak::Fma512},
    {"x86-64-v4", "int8", Peak::Madd512},
    {"x86-64-v4-vnni", "f32", Peak::Fma512},
    {"x86-64-v4-vnni", "bf16", Peak::Fma512},
    {"x86-64-v4-vnni", "int8", Peak::Vnni512},
    {"x86-64-v4-bf16", "f32", Peak::Fma512},
    {"x86-64-v4-bf16", "bf16", Peak::Bf16Dot512},
    {"x86-64-v4-bf16", "int8", Peak::Vnni512},
    {"x86-64-v4-amx", "f32", Peak::Fma512},
    {"x86-64-v4-amx", "bf16", Peak::AmxBf16},
    {"x86-64-v4-amx", "int8", Peak::AmxInt8},
}};

std::optional<Peak> peakOf(std::string_view target, std::string_view compute) {
  for (const TargetPeak &row : targetPeaks)
    if (row.target == target && row.compute == compute)
      return row.peak;
  return std::nullopt;
}

static const PeakRow &rowOf(Peak peak) { return peakRows[size_t(peak)]; }

const char *peakName(Peak peak) { return rowOf(peak).name; }

bool peakAvailable(Peak peak) {
  CpuFeatures features = cpuFeatures();
  unsigned a = 0, b = 0, c = 0, d = 0;
  auto leaf7 = [&](unsigned sub) { return __get_cpuid_count(7, sub, &a, &b, &c, &d) != 0; };
  switch (peak) {
  case Peak::Fma256:
  case Peak::Madd256:
    return features.v3;
  case Peak::Fma512:
  case Peak::Madd512:
    return features.v4;
  case Peak::Vnni512:
    return features.v4 && leaf7(0) && (c >> 11 & 1);
  case Peak::Bf16Dot512:
    return features.v4 && leaf7(1) && (a >> 5 & 1);
  case Peak::AmxBf16:
  case Peak::AmxInt8:
    return amxAvailable();
  }
  return false;
}

double measurePeak(Peak peak, int threads) {
  const PeakRow &row = rowOf(peak);
  double operations = row.operations * double(row.rounds) * threads;
  return operations / timeTogether(threads, [&](int) { row.run(row.rounds); });
}

double measurePeakSlice(Peak peak, int threads) {
  using Clock = std::chrono::steady_clock;
  const PeakRow &row = rowOf(peak);
  for (Clock::time_point until = Clock::now() + spinTime; Clock::now() < until;)
    spinPause();
  std::vector<double> perSecond(size_t(threads), 0.0);
  timeTogether(threads, [&](int thread) {
    Clock::time_point start = Clock::now();
    row.run(row.sliceRounds);
    double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    perSecond[size_t(thread)] = row.operations * double(row.sliceRounds) / seconds;
  });
  return std::accumulate(perSecond.begin(), perSecond.end(), 0.0);
}
