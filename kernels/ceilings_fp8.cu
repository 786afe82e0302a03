// The same as ceilings.cu for e4m3, which chips from sm_89 on multiply: apart, since older ones take no module with it.
// `tests/structure/ptx.py --write` makes ceilings_fp8.ptx of it.
#include "ceilings.cuh"

static __device__ void multiply(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
               "{%0, %1, %2, %3};"
               : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Products of 16 x 32 by 32 x 8 e4m3 with magnitudes below 2.
extern "C" __global__ void __launch_bounds__(256) sm1_multiply_e4m3(int iterations, unsigned *out) {
  multiplyTiles<multiply>(iterations, 0xbfbfbfbfu, 0, out);
}
