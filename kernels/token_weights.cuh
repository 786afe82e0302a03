// Weights of the kernel for whole tokens: how 16, 8 or 4 bits each lie in the stream, and how they become what mma.sync multiplies.
//
// Eight weights of a row belong to a lane: columns 8 quarter on of a unit, in the order of multiplyRows, 0 1, 4 5, 2 3, 6 7. Where
// rows lie two by two (token.h) these are 16 bytes of both rows' first four columns, and 16 of the others behind those of all pairs
// of the tile: whatever mma.sync takes is one load, in its order.
// Nothing is converted, for instructions are few. Integers of 8 bits are a sign and the mantissa of a bf16 number whose exponent is
// zero: so many times 2^-133, which mma.sync multiplies exactly (scaleOfSums). Those of 4 bits are stored plus 8: written into the
// mantissa of 128.0 they are bf16 numbers.
#pragma once

#include "token_sizes.cuh"

namespace sm1token {

/// Both halves, bf16: a + b, exact for small integers.
__device__ inline unsigned addPairs(unsigned a, unsigned b) {
  unsigned sum;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(sum) : "r"(a), "r"(0x3f803f80u), "r"(b));
  return sum;
}

/// Four integers of 8 bits in a word: two as bf16 with their signs, and two with both bytes of each in turn where the first two
/// have no bits.
constexpr unsigned tinyBits = 0x807f807f;
__device__ inline unsigned swappedBytes(unsigned v) { return __byte_perm(v, 0, 0x2301); }
/// An integer times 2^-133, the smallest bf16.
__device__ inline unsigned tinyOf(int integer) { return integer < 0 ? 0x8000u | unsigned(-integer) : unsigned(integer); }
/// Bits 0 to 3 and 16 to 19, each an integer plus 8, times the scale.
__device__ inline unsigned weightsOfNibbles(unsigned nibbles, float scale) {
  const unsigned integers = addPairs((nibbles & 0x000f000fu) | 0x43004300u, 0xc308c308u);
  return pack(lowOf(integers) * scale, highOf(integers) * scale);
}
__device__ inline float widenHalf(unsigned bits) {
  float value;
  asm("{\n.reg .b16 half, rest;\nmov.b32 {half, rest}, %1;\ncvt.f32.f16 %0, half;\n}" : "=f"(value) : "r"(bits));
  return value;
}

/// Where a block's weights lie in shared memory; what goes past the end of the ring is at its beginning.
template <class M> struct Ring {
  unsigned begin;

  __device__ unsigned place(unsigned at) const {
    return begin + min(at, at - unsigned(Sizes<M>::ringBytes)); // less than 0 is large
  }

  /// Of two rows.
  __device__ uint4 pair(unsigned at) const { return loadShared4(place(at)); }
  /// Weights of a row of the unit at `base`, as bf16; 8 bits without their scale.
  __device__ uint4 weights(unsigned base, int rows, int row, int quarter) const {
    if constexpr (M::bits == 16) {
      return loadShared4(place(base + row * 64 + quarter * 16));
    } else if constexpr (M::bits == 8) {
      const uint2 bytes = loadShared2(place(base + row * 32 + quarter * 8));
      return make_uint4(bytes.x & tinyBits, swappedBytes(bytes.x) & tinyBits, bytes.y & tinyBits, swappedBytes(bytes.y) & tinyBits);
    } else {
      const unsigned nibbles = loadShared(place(base + row * 16 + quarter * 4));
      const float scale = widenHalf(loadShared(place(base + rows * 16 + row / 2 * 4)) >> row % 2 * 16);
      return make_uint4(weightsOfNibbles(nibbles, scale), weightsOfNibbles(nibbles >> 4, scale),
                        weightsOfNibbles(nibbles >> 8, scale), weightsOfNibbles(nibbles >> 12, scale));
    }
  }
};

//===-- Arranging -----------------------------------------------------------------------------------------------------------===//

/// A matrix on the device, its scales if it is read as integers, and the weights of the norm before it, if there is one.
struct Source {
  const unsigned char *matrix, *scales;
  const float *norm;
  int width, units; ///< columns; of 32 columns
};

/// A lane's weights, as bf16, from the layout "fragments".
__device__ inline uint4 weightsOf(const Source &source, int row, int unit, int quarter) {
  const int tile = (row / 16 * source.units + unit) * 2 + quarter / 2, corner = row % 16 / 8 + quarter % 2 * 2;
  const unsigned *from = reinterpret_cast<const unsigned *>(source.matrix) + (size_t(tile) * 32 + row % 8 * 4) * 4 + corner;
  return make_uint4(from[0], from[8], from[4], from[12]);
}

/// The f16 scale of a row's unit.
__device__ inline unsigned scaleOfUnit(const Source &source, int row, int unit) {
  return reinterpret_cast<const unsigned short *>(source.scales)[row * upTo(source.units, 16) + unit];
}

/// The integers that two weights were made of: they lie within a third of one of them.
__device__ inline int2 integersOf(unsigned pair, float scale) {
  const float inverse = scale == 0 ? 0 : 1 / scale;
  return make_int2(__float2int_rn(lowOf(pair) * inverse), __float2int_rn(highOf(pair) * inverse));
}
__device__ inline unsigned tinyPairOf(unsigned pair, float scale) {
  const int2 integers = integersOf(pair, scale);
  return tinyOf(integers.x) | tinyOf(integers.y) << 16;
}
__device__ inline unsigned nibblesOf(unsigned pair, float scale) {
  const int2 integers = integersOf(pair, scale);
  return unsigned(integers.x + 8) | unsigned(integers.y + 8) << 16;
}

/// A pair of weights, zero where the norm of its column has none: what is published of such a channel is there for its square
/// alone.
__device__ inline unsigned ofColumns(unsigned pair, const Source &source, int column) {
  if (!source.norm)
    return pair;
  const bool hasFirst = column < source.width && !isNoWeight(source.norm[column]),
             hasSecond = column + 1 < source.width && !isNoWeight(source.norm[column + 1]);
  return (hasFirst ? pair & 0xffffu : 0) | (hasSecond ? pair & 0xffff0000u : 0);
}

/// Pairs of rows in the tile of 16 rows that begins at `tile`.
__device__ inline int pairsOf(int rows, int tile) { return least(8, (rows - tile + 1) / 2); }

/// Writes a lane's share of a row whose other one is its neighbour to the unit at `to`.
__device__ inline void putPaired(unsigned char *to, int rows, int row, int quarter, uint4 weights) {
  const int tile = row / 16 * 16;
  unsigned *first = reinterpret_cast<unsigned *>(to + tile * 64 + row % 16 / 2 * 64 + quarter * 16) + row % 2;
  unsigned *second = first + pairsOf(rows, tile) * 16;
  first[0] = weights.x, first[2] = weights.z;
  second[0] = weights.y, second[2] = weights.w;
}

/// Writes a lane's share of a row to the unit at `to`, and one lane of four the scale.
template <int bits>
__device__ void putWeights(unsigned char *to, const Source &source, int rows, int mostRows, int row, int channel, int unit,
                           int quarter) {
  uint4 pairs = weightsOf(source, channel, unit, quarter);
  const int column = unit * 32 + quarter * 8;
  pairs = make_uint4(ofColumns(pairs.x, source, column), ofColumns(pairs.y, source, column + 4),
                     ofColumns(pairs.z, source, column + 2), ofColumns(pairs.w, source, column + 6));
  if constexpr (bits == 16) {
    if (row < pairedRows(bits, mostRows))
      putPaired(to, rows, row, quarter, pairs);
    else
      *reinterpret_cast<uint4 *>(to + row * 64 + quarter * 16) = pairs;
  } else if constexpr (bits == 8) {
    const float scale = reinterpret_cast<const float *>(source.scales)[channel];
    *reinterpret_cast<uint2 *>(to + row * 32 + quarter * 8) =
        make_uint2(tinyPairOf(pairs.x, scale) | swappedBytes(tinyPairOf(pairs.y, scale)),
                   tinyPairOf(pairs.z, scale) | swappedBytes(tinyPairOf(pairs.w, scale)));
  } else {
    const unsigned stored = scaleOfUnit(source, channel, unit);
    const float scale = widenHalf(stored);
    *reinterpret_cast<unsigned *>(to + row * 16 + quarter * 4) = nibblesOf(pairs.x, scale) | nibblesOf(pairs.y, scale) << 4 |
                                                                 nibblesOf(pairs.z, scale) << 8 | nibblesOf(pairs.w, scale) << 12;
    if (quarter == 0)
      *reinterpret_cast<unsigned short *>(to + rows * 16 + row * 2) = static_cast<unsigned short>(stored);
  }
}

/// Of four channels what words are multiplied with to become, times words, squares: in two parts, bf16.
__device__ inline uint4 inversesOf(const float *weights) {
  float inverses[4], rest[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float inverse = reciprocalOf(factorOfNorm(weights[i]));
    inverses[i] = inverse * inverse * (squareScale / wordScale / wordScale);
    rest[i] = inverses[i] - lowOf(pack(inverses[i], 0.0f));
  }
  return make_uint4(pack(inverses[0], inverses[1]), pack(inverses[2], inverses[3]), pack(rest[0], rest[1]), pack(rest[2], rest[3]));
}

/// Writes the weights of block blockIdx.x of the other kernel in the order of their use: phase by phase, unit by unit.
template <class M> __device__ void arrange(const Arrangement &arrangement) {
  const Share &share = arrangement.shares[blockIdx.x];
  unsigned char *to = arrangement.stream + share.offset;
  const int thread = (blockIdx.x * gridDim.y + blockIdx.y) * blockDim.x + threadIdx.x;
  for (int i = thread; i < arrangement.vectorCount / 4; i += gridDim.x * gridDim.y * blockDim.x)
    reinterpret_cast<uint4 *>(arrangement.inverses)[i] = inversesOf(arrangement.vectors + i * 4);
  int matrix = 0;
#pragma unroll 1
  for (int layer = 0; layer <= M::layers; ++layer)
#pragma unroll 1
    for (int phase = layer < M::layers ? 0 : M::layerPhases; phase < (layer < M::layers ? M::layerPhases : M::phaseCount);
         ++phase) {
      const Phase shape = M::phase(phase);
      const int units = ceilDivide(shape.width, 32), count = int(share.count[shape.partition]), rows = shape.matrices * count;
      const int unitBytes = Sizes<M>::unit(phase, rows) * 16;
      for (int i = blockIdx.y * blockDim.x + threadIdx.x; i < units * rows * 4; i += gridDim.y * blockDim.x) {
        const int row = i / 4 % rows, unit = i / 4 / rows, number = matrix + row / count;
        const Source source = {reinterpret_cast<const unsigned char *>(arrangement.matrices[number]),
                               M::bits < 16 ? reinterpret_cast<const unsigned char *>(arrangement.scales[number]) : nullptr,
                               shape.norm < 0 ? nullptr : arrangement.vectors + normOf<M>(phase, layer), shape.width, units};
        putWeights<M::bits>(to + unit * unitBytes, source, rows, Sizes<M>::rows(phase), row,
                            int(share.first[shape.partition]) + row % count, unit, i % 4);
      }
      to += units * unitBytes;
      matrix += shape.matrices;
    }
}

} // namespace sm1token
