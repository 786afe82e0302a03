// What a persistent kernel is made of, small: x becomes W[l] x for one layer after another, in one launch of four blocks. A
// producer warp brings the weights through a ring of three slots, four warps multiply a quarter of the columns each, one adds up
// and publishes: every word of x carries the number of its layer. Loops stay loops: all of the PTX runs.
constexpr int kSize = 64, kBlocks = 4, kRows = kSize / kBlocks, kMatrixWarps = 4, kColumns = kSize / kMatrixWarps;
constexpr int kChunkRows = 8, kChunks = kRows / kChunkRows, kSlots = 3, kSlotBytes = kChunkRows * kSize * 4;
constexpr int kAtBarrier = (kMatrixWarps + 1) * 32;

struct __align__(128) Shared {
  unsigned slots[kSlots][kChunkRows][kSize];
  unsigned partial[2][kRows][kMatrixWarps];
  unsigned x[kMatrixWarps][kColumns];
  unsigned long long full[kSlots], empty[kSlots];
};

__device__ unsigned sharedAddress(const void *pointer) { return static_cast<unsigned>(__cvta_generic_to_shared(pointer)); }
__device__ void wait(const unsigned long long *barrier, unsigned parity) {
  unsigned over;
  do
    asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, "
                 "[%1], %2; selp.u32 %0, 1, 0, p; }"
                 : "=r"(over)
                 : "r"(sharedAddress(barrier)), "r"(parity)
                 : "memory");
  while (!over);
}
/// A word and its tag in 64 bits, which are read and written at once.
__device__ unsigned poll(const unsigned long long *word, unsigned tag) {
  unsigned long long v;
  do
    asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];" : "=l"(v) : "l"(word) : "memory");
  while (static_cast<unsigned>(v >> 32) != tag);
  return static_cast<unsigned>(v);
}
__device__ void publish(unsigned long long *word, unsigned value, unsigned tag) {
  asm volatile("st.relaxed.gpu.global.u64 [%0], %1;" ::"l"(word), "l"(static_cast<unsigned long long>(tag) << 32 | value)
               : "memory");
}

/// The place in the ring: slot, and parity of the phase in which it is filled.
struct Place {
  unsigned slot = 0, parity = 0;
  __device__ void next() {
    if (++slot == kSlots)
      slot = 0, parity ^= 1;
  }
};

__device__ void produce(Shared &shared, const unsigned *weights, int layers) {
  Place place;
#pragma unroll 1
  for (int i = 0; i < layers * kChunks; ++i, place.next()) {
    wait(&shared.empty[place.slot], place.parity ^ 1);
    unsigned full = sharedAddress(&shared.full[place.slot]);
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(full), "r"(kSlotBytes) : "memory");
    size_t row = size_t(i / kChunks) * kSize + blockIdx.x * kRows + i % kChunks * kChunkRows;
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1], %2, [%3];" ::"r"(sharedAddress(shared.slots[place.slot])),
                 "l"(weights + row * kSize), "r"(kSlotBytes), "r"(full)
                 : "memory");
  }
}

__device__ void multiply(Shared &shared, const unsigned long long *words, int layers, unsigned base) {
  unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  Place place;
#pragma unroll 1
  for (int l = 0; l < layers; ++l) {
    unsigned *x = shared.x[warp];
    if (lane < kColumns)
      x[lane] = poll(words + (l & 1) * kSize + warp * kColumns + lane, base + l);
    __syncwarp();
#pragma unroll 1
    for (int chunk = 0; chunk < kChunks; ++chunk, place.next()) {
      wait(&shared.full[place.slot], place.parity);
      const unsigned *row = shared.slots[place.slot][lane / 4] + warp * kColumns;
      unsigned sum = 0;
      for (int i = 0; i < 4; ++i)
        sum += row[lane % 4 * 4 + i] * x[lane % 4 * 4 + i];
      __syncwarp();
      if (lane == 0)
        asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(sharedAddress(&shared.empty[place.slot])) : "memory");
      sum += __shfl_xor_sync(~0u, sum, 1);
      sum += __shfl_xor_sync(~0u, sum, 2);
      if (lane % 4 == 0)
        shared.partial[l & 1][chunk * kChunkRows + lane / 4][warp] = sum;
    }
    asm volatile("bar.arrive %0, %1;" ::"r"(1 + (l & 1)), "n"(kAtBarrier) : "memory");
  }
}

__device__ void addUp(Shared &shared, unsigned long long *words, unsigned *out, int layers, unsigned base) {
  unsigned lane = threadIdx.x % 32, row = blockIdx.x * kRows + lane;
#pragma unroll 1
  for (int l = 0; l < layers; ++l) {
    asm volatile("bar.sync %0, %1;" ::"r"(1 + (l & 1)), "n"(kAtBarrier) : "memory");
    if (lane < kRows) {
      const unsigned *partial = shared.partial[l & 1][lane];
      unsigned sum = partial[0] + partial[1] + partial[2] + partial[3];
      publish(words + (l + 1 & 1) * kSize + row, sum, base + l + 1);
      if (l == layers - 1)
        out[row] = sum;
    }
  }
}

extern "C" __global__ void __launch_bounds__((kMatrixWarps + 2) * 32, 1)
    ring(const unsigned *weights, unsigned long long *words, unsigned *out, int layers, unsigned base) {
  extern __shared__ unsigned char memory[];
  Shared &shared = *reinterpret_cast<Shared *>(memory);
  if (threadIdx.x < kSlots) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(sharedAddress(&shared.full[threadIdx.x])) : "memory");
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(sharedAddress(&shared.empty[threadIdx.x])), "r"(kMatrixWarps)
                 : "memory");
  }
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  __syncthreads();
  unsigned warp = threadIdx.x / 32;
  if (warp < kMatrixWarps)
    multiply(shared, words, layers, base);
  else if (warp == kMatrixWarps)
    addUp(shared, words, out, layers, base);
  else if (threadIdx.x % 32 == 0)
    produce(shared, weights, layers);
}
