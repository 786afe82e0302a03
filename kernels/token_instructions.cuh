// PTX that the kernel for whole tokens needs: shared memory by address, mbarriers and bulk copies, named barriers, mma.sync; and
// the words that blocks exchange.
#pragma once

namespace sm1token {

/// Kept in a register: what is cheap to make the compiler would make again, and later, where others wait. For whole warps.
__device__ inline unsigned kept(unsigned v) { return __shfl_sync(~0u, v, threadIdx.x % 32); }
template <class T> __device__ inline T *kept(T *pointer) {
  const unsigned long long v = reinterpret_cast<unsigned long long>(pointer);
  return reinterpret_cast<T *>(static_cast<unsigned long long>(kept(unsigned(v >> 32))) << 32 | kept(unsigned(v)));
}
__device__ inline unsigned sharedAddress(const void *pointer) {
  return __shfl_sync(~0u, unsigned(__cvta_generic_to_shared(pointer)), 0);
}
__device__ inline uint4 loadShared4(unsigned address) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(address) : "memory");
  return v;
}
__device__ inline uint2 loadShared2(unsigned address) {
  uint2 v;
  asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "r"(address) : "memory");
  return v;
}
__device__ inline unsigned loadShared(unsigned address) {
  unsigned v;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(address) : "memory");
  return v;
}
__device__ inline void storeShared(unsigned address, float v) {
  asm volatile("st.shared.f32 [%0], %1;" ::"r"(address), "f"(v) : "memory");
}
__device__ inline void storeShared2(unsigned address, unsigned v, unsigned w) {
  asm volatile("st.shared.v2.u32 [%0], {%1, %2};" ::"r"(address), "r"(v), "r"(w) : "memory");
}
__device__ inline void storeShared4(unsigned address, uint4 v) {
  asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}
/// Parameters of channels. They are asked for where this stands: of __ldg, and of ld.global.nc in its place, the compiler makes a
/// load where the number is used, behind the sums that all others wait for. No load of memory that may change moves over a barrier.
__device__ inline float loadHere(const float *from) {
  float v;
  asm volatile("ld.global.f32 %0, [%1];" : "=f"(v) : "l"(from) : "memory");
  return v;
}
/// Likewise what the thread itself writes. 0 unless `isThere`.
__device__ inline float loadHereIf(const float *from, bool isThere) {
  float v = 0;
  asm volatile("{\n.reg .pred p;\nsetp.ne.u32 p, %2, 0;\n@p ld.global.f32 %0, [%1];\n}"
               : "+f"(v)
               : "l"(from), "r"(unsigned(isThere))
               : "memory");
  return v;
}
/// A number to memory and to shared memory, without a branch.
__device__ inline void storeBothIf(float *to, unsigned shared, float v, bool isOwn) {
  asm volatile("{\n.reg .pred p;\nsetp.ne.u32 p, %3, 0;\n@p st.global.f32 [%0], %2;\n@p st.shared.f32 [%1], %2;\n}" ::"l"(to),
               "r"(shared), "f"(v), "r"(unsigned(isOwn))
               : "memory");
}
/// A number on its way to shared memory, until copiesAreThere.
__device__ inline void copyNumber(unsigned to, const float *from) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(from) : "memory");
}
__device__ inline void copiesAreThere() { asm volatile("cp.async.wait_all;" ::: "memory"); }
/// Four words of a vector; each is read by itself, as it was written.
__device__ inline uint2 loadWords(const unsigned short *from) {
  uint2 v;
  asm volatile(
      "{\n.reg .b16 a, b, c, d;\nld.relaxed.gpu.global.v4.u16 {a, b, c, d}, [%2];\nmov.b32 %0, {a, b};\nmov.b32 %1, {c, d};\n}"
      : "=r"(v.x), "=r"(v.y)
      : "l"(from)
      : "memory");
  return v;
}
/// Eight words, which others write one by one: what is read of each is old or new.
__device__ inline uint4 loadEight(const unsigned short *from) {
  uint4 v;
  asm volatile("ld.relaxed.gpu.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from)
               : "memory");
  return v;
}
__device__ inline void putWord(unsigned short *to, unsigned v) {
  asm volatile("st.relaxed.gpu.global.u16 [%0], %1;" ::"l"(to), "h"(static_cast<unsigned short>(v)) : "memory");
}
__device__ inline void putWordIf(unsigned short *to, unsigned v, bool isOwn) {
  asm volatile("{\n.reg .pred p;\nsetp.ne.u32 p, %2, 0;\n@p st.relaxed.gpu.global.u16 [%0], %1;\n}" ::"l"(to),
               "h"(static_cast<unsigned short>(v)), "r"(unsigned(isOwn))
               : "memory");
}
__device__ inline void storeWord(unsigned *to, unsigned v) {
  asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(to), "r"(v) : "memory");
}
__device__ inline unsigned long long loadKey(const unsigned long long *from) {
  unsigned long long v;
  asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];" : "=l"(v) : "l"(from) : "memory");
  return v;
}
__device__ inline void storeKey(unsigned long long *to, unsigned long long v) {
  asm volatile("st.relaxed.gpu.global.u64 [%0], %1;" ::"l"(to), "l"(v) : "memory");
}

/// True in one lane of a warp that is all there.
__device__ inline bool isElected() {
  unsigned elected;
  asm volatile("{\n.reg .pred p;\nelect.sync _|p, 0xffffffff;\nselp.u32 %0, 1, 0, p;\n}" : "=r"(elected));
  return elected;
}
/// Counts slots whose barriers have begun the round that they are filled in.
__device__ inline void storeIssued(unsigned address, unsigned count) {
  asm volatile("st.release.cta.shared.u32 [%0], %1;" ::"r"(address), "r"(count) : "memory");
}
__device__ inline unsigned loadIssued(unsigned address) {
  unsigned count;
  asm volatile("ld.acquire.cta.shared.u32 %0, [%1];" : "=r"(count) : "r"(address) : "memory");
  return count;
}

/// What the host or another block has written before it released the number that was acquired here.
__device__ inline uint4 loadOfSystem(const unsigned char *from) {
  uint4 v;
  asm volatile("ld.relaxed.sys.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from)
               : "memory");
  return v;
}
__device__ inline void storePiece(unsigned char *to, uint4 v) {
  asm volatile("st.relaxed.gpu.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}
__device__ inline unsigned loadAcquired(const unsigned *from) {
  unsigned v;
  asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(v) : "l"(from) : "memory");
  return v;
}
__device__ inline void storeReleased(unsigned *to, unsigned v) {
  asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(to), "r"(v) : "memory");
}
__device__ inline void storeReleasedToSystem(unsigned *to, unsigned v) {
  asm volatile("st.release.sys.global.u32 [%0], %1;" ::"l"(to), "r"(v) : "memory");
}
__device__ inline unsigned long long nanoseconds() {
  unsigned long long time;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(time));
  return time;
}

__device__ inline void makeBarrier(unsigned barrier, unsigned arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
__device__ inline void arrive(unsigned barrier, unsigned times = 1) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(times) : "memory");
}
__device__ inline void waitFor(unsigned barrier, unsigned parity) {
  unsigned done;
  do {
    asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
                 : "=r"(done)
                 : "r"(barrier), "r"(parity)
                 : "memory");
  } while (!done);
}
/// The barrier's phase ends when so many bytes have come.
__device__ inline void expect(unsigned barrier, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
/// Of what is read once a token: the L2 cache gives it up first, and keeps words, states and parameters.
constexpr unsigned long long readOnce = 0x12f0000000000000; // what createpolicy makes of L2::evict_first

/// Brings `bytes` into shared memory; `barrier` counts them.
__device__ inline void fetch(unsigned to, const void *from, unsigned bytes, unsigned barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;" ::"r"(to),
      "l"(from), "r"(bytes), "r"(barrier), "l"(readOnce)
      : "memory");
}
/// Brings them into the L2 cache, some time.
__device__ inline void fetchToCache(const void *from, unsigned bytes) {
  asm volatile("cp.async.bulk.prefetch.L2.global.L2::cache_hint [%0], %1, %2;" ::"l"(from), "r"(bytes), "l"(readOnce) : "memory");
}
template <int threads> __device__ inline void meet(int barrier) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "n"(threads) : "memory");
}
template <int threads> __device__ inline void pass(int barrier) {
  asm volatile("bar.arrive %0, %1;" ::"r"(barrier), "n"(threads) : "memory");
}

/// For whole warpgroups: how many registers a thread has.
template <int count> __device__ inline void takeMoreRegisters() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(count));
}
template <int count> __device__ inline void takeLessRegisters() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(count));
}

/// c += a * b for 16 rows, 16 k and 8 columns.
__device__ inline void multiply(float (&c)[4], uint4 a, uint2 b) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b.x), "r"(b.y));
}
/// Two f32 as bf16, `low` in the lower half.
__device__ inline unsigned pack(float low, float high) {
  unsigned v;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(v) : "f"(high), "f"(low));
  return v;
}
/// Both halves, bf16: a * b + c.
__device__ inline unsigned multiplyPairs(unsigned a, unsigned b, unsigned c) {
  unsigned sum;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(sum) : "r"(a), "r"(b), "r"(c));
  return sum;
}
__device__ inline float lowOf(unsigned v) { return __uint_as_float(v << 16); }
__device__ inline float highOf(unsigned v) { return __uint_as_float(v & 0xffff0000u); }
__device__ inline float4 floatsOf(uint4 v) {
  return make_float4(__uint_as_float(v.x), __uint_as_float(v.y), __uint_as_float(v.z), __uint_as_float(v.w));
}
/// Computed where it stands, not where it is used.
__device__ inline float reciprocalOf(float v) {
  float reciprocal;
  asm volatile("rcp.approx.ftz.f32 %0, %1;" : "=f"(reciprocal) : "f"(v));
  return reciprocal;
}

//===-- Words ---------------------------------------------------------------------------------------------------------------===//

// A word is a number times 2^64 as bf16. Of numbers from 2 up the first bit of the exponent says nothing, so it is the tag: 0 and 1
// in turn, each time that the word is written. Whatever is less than 2^-63 becomes 2^-63, of either sign; from 2^64 on it is
// infinity.

constexpr float wordScale = 18446744073709551616.0f; ///< 2^64
constexpr float squareScale = 4294967296.0f; ///< 2^32: of squares before a norm, so that whatever makes them are normal numbers
constexpr unsigned tagBits = 0x40004000u;    ///< of two words

/// What a sum of words times weights is multiplied with: integers of 8 bits are multiplied as that many times 2^-133.
__host__ __device__ constexpr float scaleOfSums(int bits) { return bits == 8 ? 590295810358705651712.0f : 1 / wordScale; } // 2^69

/// What two words have there whose tag is the lowest bit of `tag`.
__device__ inline unsigned tagsOf(unsigned tag) { return tag & 1u ? tagBits : 0u; }
/// Of one word.
__device__ inline unsigned wordTag(unsigned tag) { return tagsOf(tag) & 0x4000u; }
/// Of a number times 2^64, with its wordTag. The sign joins the tag while the number is rounded.
__device__ inline unsigned wordOf(float scaled, unsigned tag) {
  float large; // a NaN stays one
  asm("{\n.reg .f32 a;\nabs.f32 a, %1;\nmax.NaN.f32 %0, a, 0f40000000;\n}" : "=f"(large) : "f"(scaled));
  unsigned word;
  asm("{\n.reg .b32 sign;\nshr.u32 sign, %1, 16;\nlop3.b32 sign, sign, 0x8000, %2, 0xea;\nlop3.b32 %0, %3, 0x3fff, sign, 0xea;\n}"
      : "=r"(word)
      : "r"(__float_as_uint(scaled)), "r"(tag), "r"(pack(large, 0.0f)));
  return word;
}
/// A number of a vector that a norm multiplies is written times the norm's weight, unless that is as good as none: then its square
/// counts, and nothing else.
__device__ inline bool isNoWeight(float w) { return fabsf(w) < 1e-9f; }
__device__ inline float factorOfNorm(float w) { return isNoWeight(w) ? 1.0f : w; }
/// Two numbers times 2^64.
__device__ inline unsigned numbersOf(unsigned words) { return words | tagBits; }

} // namespace sm1token
