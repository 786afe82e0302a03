// Arithmetic that gives the bits of generated kernels, for CUDA C++ that `sm1c --emit=cuda` prints and for kernels of your own.
//
// Every operation rounds once, to nearest even, and none is contracted, whatever the compiler's options: operators of f32x4 are
// made of intrinsics. exp and log1p are the compiler's polynomials (sm1-expand-math), term by term. The runtime has this text
// inside, so that
// `#include "sm1_math.cuh"` works wherever a kernel is compiled by NVRTC; nvcc finds it in kernels/.
#pragma once

#if defined(__CUDACC_RTC__)
using uint16_t = unsigned short;
using int32_t = int;
using int64_t = long long;
#else
#include <cstdint>
#endif

namespace sm1 {

//===-- One number ----------------------------------------------------------------------------------------------------------===//

/// Storage types; arithmetic is in f32.
struct bf16 {
  uint16_t bits;
};
struct f16 {
  uint16_t bits;
};

__device__ inline float widen(float x) { return x; }
__device__ inline float widen(bf16 x) { return __uint_as_float(unsigned(x.bits) << 16); }
__device__ inline float widen(f16 x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}
__device__ inline bf16 toBf16(float x) {
  bf16 y;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}
__device__ inline f16 toF16(float x) {
  f16 y;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}

/// NaN where one of the two is; -0 is less than +0.
__device__ inline float maximum(float a, float b) {
  float y;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
  return y;
}
__device__ inline float minimum(float a, float b) {
  float y;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
  return y;
}
__device__ inline float fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
__device__ inline float abs(float x) { return fabsf(x); }
__device__ inline float sqrt(float x) { return __fsqrt_rn(x); }

/// At most 1 ulp off; overflows to infinity, underflows over the denormals to 0, keeps NaN.
__device__ inline float exp(float x) {
  x = x > 89.0f ? 89.0f : x;
  x = x < -104.0f ? -104.0f : x;
  const float large = 12583038.0f; // so large a number has no fraction: its last bits are the integer n + 126
  const float shifted = fma(x, 1.44269504f, large), n = __fsub_rn(shifted, large);
  float r = fma(n, -0.693147182f, x);
  r = fma(n, 1.90465421e-9f, r);
  float y = 2 * 1.3840398751e-3f; // twice exp(r), because 2^128 is no number but 2^127 is
  y = fma(y, r, 2 * 8.3693489432e-3f);
  y = fma(y, r, 2 * 4.1668083519e-2f);
  y = fma(y, r, 2 * 1.6666515172e-1f);
  y = fma(y, r, 2 * 4.9999994040e-1f);
  y = fma(y, r, 2.0f);
  y = fma(y, r, 2.0f);
  const int whole = __float_as_int(shifted) << 23, half = (__float_as_int(shifted) >> 1) << 23;
  y = __fmul_rn(y, __int_as_float(half + (64 << 23))); // 2^(n - 1) itself may leave the range of normal numbers
  return __fmul_rn(y, __int_as_float(whole - half + (63 << 23)));
}

/// At most 1.5 ulp off; -inf at -1, NaN below, inf at inf.
__device__ inline float log1p(float x) {
  if (x >= 0.0f && x <= 1.0f) {
    float p = 5.3654224612e-3f;
    p = fma(p, x, -3.0068300664e-2f);
    p = fma(p, x, 7.9208828509e-2f);
    p = fma(p, x, -1.3754187524e-1f);
    p = fma(p, x, 1.9153848290e-1f);
    p = fma(p, x, -2.4857217073e-1f);
    p = fma(p, x, 3.3321329951e-1f);
    p = fma(p, x, -4.9999648333e-1f);
    return fma(__fmul_rn(x, x), p, x);
  }
  const float u = __fadd_rn(1.0f, x), lost = __fsub_rn(x, __fsub_rn(u, 1.0f));
  // In units of the exponent, so that the mantissa is in [sqrt(1/2), sqrt(2)).
  const int k = ((__float_as_int(u) + (0x3f800000 - 0x3f3504f3)) >> 23) - 127;
  const float m = __int_as_float(__float_as_int(u) - (k << 23)), kf = __int2float_rn(k);
  const float part = fma(lost, __int_as_float(0x3f800000 - (k << 23)), __fsub_rn(m, 1.0f));
  const float s = __fdiv_rn(part, __fadd_rn(2.0f, part)), z = __fmul_rn(s, s);
  float p = 0.24279078841f;
  p = fma(p, z, 0.28498786688f);
  p = fma(p, z, 0.40000972152f);
  p = fma(p, z, 0.66666662693f);
  const float halfSquare = __fmul_rn(__fmul_rn(0.5f, part), part);
  const float correction = fma(s, __fadd_rn(halfSquare, __fmul_rn(z, p)), __fmul_rn(kf, 9.0580006145e-6f));
  float y = fma(kf, 6.9313812256e-1f, __fsub_rn(part, __fsub_rn(halfSquare, correction)));
  y = x >= __int_as_float(0x7f800000) ? x : y;
  y = x < -1.0f ? __int_as_float(0x7fc00000) : y;
  return x == -1.0f ? __int_as_float(0xff800000) : y;
}

//===-- Four neighbouring channels ------------------------------------------------------------------------------------------===//

/// What a thread has of a row: 16 bytes, which are read and written at once.
struct alignas(16) f32x4 {
  float lane[4];
  f32x4() = default;
  __device__ f32x4(float all) : lane{all, all, all, all} {}
};
struct alignas(8) bf16x4 {
  bf16 lane[4];
};
struct alignas(8) f16x4 {
  f16 lane[4];
};

template <typename Vector, typename Function> __device__ inline Vector each(Function function) {
  Vector y;
#pragma unroll
  for (int i = 0; i < 4; ++i)
    y.lane[i] = function(i);
  return y;
}

__device__ inline f32x4 operator+(f32x4 a, f32x4 b) {
  return each<f32x4>([&](int i) { return __fadd_rn(a.lane[i], b.lane[i]); });
}
__device__ inline f32x4 operator-(f32x4 a, f32x4 b) {
  return each<f32x4>([&](int i) { return __fsub_rn(a.lane[i], b.lane[i]); });
}
__device__ inline f32x4 operator*(f32x4 a, f32x4 b) {
  return each<f32x4>([&](int i) { return __fmul_rn(a.lane[i], b.lane[i]); });
}
__device__ inline f32x4 operator/(f32x4 a, f32x4 b) {
  return each<f32x4>([&](int i) { return __fdiv_rn(a.lane[i], b.lane[i]); });
}
__device__ inline f32x4 operator-(f32x4 a) {
  return each<f32x4>([&](int i) { return -a.lane[i]; });
}
__device__ inline f32x4 fma(f32x4 a, f32x4 b, f32x4 c) {
  return each<f32x4>([&](int i) { return fma(a.lane[i], b.lane[i], c.lane[i]); });
}
__device__ inline f32x4 maximum(f32x4 a, f32x4 b) {
  return each<f32x4>([&](int i) { return maximum(a.lane[i], b.lane[i]); });
}
__device__ inline f32x4 minimum(f32x4 a, f32x4 b) {
  return each<f32x4>([&](int i) { return minimum(a.lane[i], b.lane[i]); });
}
__device__ inline f32x4 abs(f32x4 x) {
  return each<f32x4>([&](int i) { return abs(x.lane[i]); });
}
__device__ inline f32x4 sqrt(f32x4 x) {
  return each<f32x4>([&](int i) { return sqrt(x.lane[i]); });
}
__device__ inline f32x4 exp(f32x4 x) {
  return each<f32x4>([&](int i) { return exp(x.lane[i]); });
}
__device__ inline f32x4 log1p(f32x4 x) {
  return each<f32x4>([&](int i) { return log1p(x.lane[i]); });
}
__device__ inline f32x4 widen(f32x4 x) { return x; }
__device__ inline f32x4 widen(bf16x4 x) {
  return each<f32x4>([&](int i) { return widen(x.lane[i]); });
}
__device__ inline f32x4 widen(f16x4 x) {
  return each<f32x4>([&](int i) { return widen(x.lane[i]); });
}
__device__ inline bf16x4 toBf16(f32x4 x) {
  return each<bf16x4>([&](int i) { return toBf16(x.lane[i]); });
}
__device__ inline f16x4 toF16(f32x4 x) {
  return each<f16x4>([&](int i) { return toF16(x.lane[i]); });
}

/// Channels from `count` on become 0.
__device__ inline f32x4 firstOf(f32x4 x, int count) {
  return each<f32x4>([&](int i) { return i < count ? x.lane[i] : 0.0f; });
}

//===-- Memory --------------------------------------------------------------------------------------------------------------===//

template <typename Number> struct Four;
template <> struct Four<float> { using type = f32x4; };
template <> struct Four<bf16> { using type = bf16x4; };
template <> struct Four<f16> { using type = f16x4; };

/// Four channels from a multiple of four on.
template <typename Number> __device__ inline typename Four<Number>::type load(const Number *from) {
  return *reinterpret_cast<const typename Four<Number>::type *>(from);
}
/// The same from any channel on, and of `count` channels only; the others are 0.
template <typename Number> __device__ inline typename Four<Number>::type loadFirst(const Number *from, int count) {
  return each<typename Four<Number>::type>([&](int i) { return i < count ? from[i] : Number{}; });
}
template <typename Number> __device__ inline void store(Number *to, typename Four<Number>::type x) {
  *reinterpret_cast<typename Four<Number>::type *>(to) = x;
}

//===-- A row ---------------------------------------------------------------------------------------------------------------===//

/// 1 / sqrt(mean of squares + eps) of a row of `width` channels in shared memory, zeros from there to `stride`, a multiple of 16.
/// All threads of the block call it; they meet before and after. Sums are those of every device: 16 chains, added pairwise in
/// halves.
__device__ inline float inverseRms(const float *row, int width, int stride, float eps) {
  __shared__ float inverse;
  __syncthreads();
  if (threadIdx.x < 32) {
    float sum = 0.0f;
    for (int channel = threadIdx.x % 16; channel < stride; channel += 16)
      sum = fma(row[channel], row[channel], sum);
    for (int half = 8; half >= 1; half /= 2)
      sum = __fadd_rn(sum, __shfl_xor_sync(0xffffffffu, sum, half));
    if (threadIdx.x == 0)
      inverse = __fdiv_rn(1.0f, sqrt(__fadd_rn(__fdiv_rn(sum, float(width)), eps)));
  }
  __syncthreads();
  return inverse;
}

} // namespace sm1
