// Products of tensor cores with operands in registers: what ceilings.cu and ceilings_fp8.cu share.
#pragma once

constexpr int rowTiles = 4, columnTiles = 4; // of a warp's sums: 64 by 32

/// Random bits where `mask` has ones, and `ones` set: zeros, or the same numbers over and over, would draw less power, and clocks
/// stay higher than with a model's numbers.
static __device__ unsigned randomWord(unsigned seed, unsigned mask, unsigned ones) {
  seed = (seed ^ 61) ^ (seed >> 16);
  seed *= 9;
  seed ^= seed >> 4;
  seed *= 0x27d4eb2d;
  seed ^= seed >> 15;
  return (seed & mask) | ones;
}

/// An instruction of mma.sync: 16 rows and 8 columns, 32 bytes of k.
using Product = void(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2]);

/// rowTiles * columnTiles products in each iteration of each warp; operands are random words.
template <Product multiply> static __device__ void multiplyTiles(int iterations, unsigned mask, unsigned ones, unsigned *out) {
  unsigned a[rowTiles][4], b[columnTiles][2], seed = (blockIdx.x * blockDim.x + threadIdx.x) * 64;
  float sums[rowTiles][columnTiles][4] = {};
#pragma unroll
  for (int i = 0; i < rowTiles * 4; ++i)
    a[i / 4][i % 4] = randomWord(seed + i, mask, ones);
#pragma unroll
  for (int i = 0; i < columnTiles * 2; ++i)
    b[i / 2][i % 2] = randomWord(seed + 32 + i, mask, ones);
  for (int iteration = 0; iteration < iterations; ++iteration) {
#pragma unroll
    for (int column = 0; column < columnTiles; ++column)
#pragma unroll
      for (int row = 0; row < rowTiles; ++row)
        multiply(sums[row][column], a[row], b[column]);
  }
  float total = 0;
#pragma unroll
  for (int i = 0; i < rowTiles * columnTiles * 4; ++i)
    total += sums[i / 4 / columnTiles][i / 4 % columnTiles][i % 4];
  if (total == 12345.678f)
    *out = seed;
}
