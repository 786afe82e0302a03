// PTX that the kernel for whole tokens needs: shared memory by address, mbarriers and bulk copies, named barriers, mma.sync; and
// the words that blocks exchange.
#pragma once

namespace sm1token {

__device__ inline unsigned sharedAddress(const void *pointer) { return unsigned(__cvta_generic_to_shared(pointer)); }
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
__device__ inline uint4 loadWords(const unsigned *from) {
  uint4 v;
  asm volatile("ld.relaxed.gpu.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from)
               : "memory");
  return v;
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
/// Brings `bytes` into shared memory; `barrier` counts them.
__device__ inline void fetch(unsigned to, const void *from, unsigned bytes, unsigned barrier) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(to), "l"(from),
               "r"(bytes), "r"(barrier)
               : "memory");
}
template <int threads> __device__ inline void meet(int barrier) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "n"(threads) : "memory");
}
template <int threads> __device__ inline void pass(int barrier) {
  asm volatile("bar.arrive %0, %1;" ::"r"(barrier), "n"(threads) : "memory");
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
__device__ inline float lowOf(unsigned v) { return __uint_as_float(v << 16); }
__device__ inline float highOf(unsigned v) { return __uint_as_float(v & 0xffff0000u); }
__device__ inline float sumOfWarp(float v) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2)
    v += __shfl_xor_sync(~0u, v, distance);
  return v;
}

//===-- Words ---------------------------------------------------------------------------------------------------------------===//

/// Rounds to 20 bits of mantissa. Whatever is no finite number becomes NaN, which no epoch turns into another number.
__device__ inline unsigned wordOf(float v, unsigned epoch) {
  unsigned bits = __float_as_uint(v), rounded = (bits + 8u) & ~15u;
  return ((bits & 0x7fffffffu) < 0x7f7ffff8u ? rounded : 0x7fc00000u) | (epoch & 15u);
}
__device__ inline float valueOf(unsigned word) { return __uint_as_float(word & ~15u); }
__device__ inline bool haveEpoch(uint4 words, unsigned epoch) {
  return !(((words.x ^ epoch) | (words.y ^ epoch) | (words.z ^ epoch) | (words.w ^ epoch)) & 15u);
}

} // namespace sm1token
