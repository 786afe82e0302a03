// What a GPU can do at best: kernels that do nothing but read, copy, or multiply. sm1-bench launches them beside a model's own, and
// embeds ceilings.ptx, which `tests/structure/ptx.py --write` makes of this file.
//
// Every kernel takes any grid. Results go to `out` under a condition that never holds, so that no compiler drops the work.
#include "ceilings.cuh"

struct Vector {
  unsigned x, y, z, w;
};

constexpr int unrolled = 8; // vectors of a thread on their way at once

static __device__ Vector folded(Vector a, Vector b) { return {a.x ^ b.x, a.y ^ b.y, a.z ^ b.z, a.w ^ b.w}; }

static __device__ Vector load(const uint4 *from) {
  uint4 value = *from;
  return {value.x, value.y, value.z, value.w};
}

/// Reads `count` vectors of 16 bytes, `passes` times over; the memory holds no vector whose words are all ~0.
extern "C" __global__ void __launch_bounds__(512) sm1_read(const uint4 *from, long long count, int passes, unsigned *out) {
  long long threads = (long long)gridDim.x * blockDim.x, first = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  Vector sum = {0, 0, 0, 0};
  for (int pass = 0; pass < passes; ++pass) {
    long long index = first;
    for (; index + (unrolled - 1) * threads < count; index += unrolled * threads) {
      Vector values[unrolled];
#pragma unroll
      for (int i = 0; i < unrolled; ++i)
        values[i] = load(from + index + i * threads);
#pragma unroll
      for (int i = 0; i < unrolled; ++i)
        sum = folded(sum, values[i]);
    }
    for (; index < count; index += threads)
      sum = folded(sum, load(from + index));
  }
  if ((sum.x & sum.y & sum.z & sum.w) == ~0u)
    *out = sum.x;
}

/// Copies `count` vectors of 16 bytes.
extern "C" __global__ void __launch_bounds__(512) sm1_copy(const uint4 *from, uint4 *to, long long count) {
  long long threads = (long long)gridDim.x * blockDim.x, index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  for (; index + (unrolled - 1) * threads < count; index += unrolled * threads) {
    uint4 values[unrolled];
#pragma unroll
    for (int i = 0; i < unrolled; ++i)
      values[i] = from[index + i * threads];
#pragma unroll
    for (int i = 0; i < unrolled; ++i)
      to[index + i * threads] = values[i];
  }
  for (; index < count; index += threads)
    to[index] = from[index];
}

/// Of two bf16, or an f32, between 2^-15 and 2: what of a word is random, and what is set.
constexpr unsigned randomBits = 0x87ff87ffu, exponent = 0x38003800u;

static __device__ void multiply(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
               "{%0, %1, %2, %3};"
               : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Products of 16 x 16 by 16 x 8 bf16 with magnitudes from 2^-15 to below 2.
extern "C" __global__ void __launch_bounds__(256) sm1_multiply_bf16(int iterations, unsigned *out) {
  multiplyTiles<multiply>(iterations, randomBits, exponent, out);
}

constexpr int chains = 16;

/// `chains` multiply-adds of f32 in each iteration of each thread.
extern "C" __global__ void __launch_bounds__(256) sm1_multiply_f32(int iterations, unsigned *out) {
  unsigned seed = blockIdx.x * blockDim.x + threadIdx.x;
  float factor = 0.5f + 0.25f * __uint_as_float(randomWord(seed, randomBits, exponent)), sums[chains];
#pragma unroll
  for (int i = 0; i < chains; ++i)
    sums[i] = __uint_as_float(randomWord(seed + i, randomBits, exponent));
  for (int iteration = 0; iteration < iterations; ++iteration) {
#pragma unroll
    for (int i = 0; i < chains; ++i)
      sums[i] = __fmaf_rn(sums[i], factor, 1.0f);
  }
  float total = 0;
#pragma unroll
  for (int i = 0; i < chains; ++i)
    total += sums[i];
  if (total == 12345.678f)
    *out = seed;
}

/// Nothing: what a launch takes by itself.
extern "C" __global__ void sm1_nothing() {}
