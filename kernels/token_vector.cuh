// The vector that a warp multiplies: words from other blocks, a lane's columns of mma.sync, and sums of what lanes have.
#pragma once

#include "sm1_math.cuh"
#include "token_sizes.cuh"

namespace sm1token {

/// mma.sync multiplies 16 rows with 8 columns. It gets 8 rows, twice: as its rows 0 to 7 with the first half of 32 k, as its rows 8
/// to 15 with the second, and each half of the vector is a column of its own. So there is room for four vectors: of so many
/// sequences, or units of one, which a lane then has in one load. Of the sums of a unit those of other units' columns mean nothing.
///
/// Eight sequences take all columns, so then it gets 16 rows, and the halves of k one after the other: they are the sets of what a
/// lane has, eight channels of a sequence, which are one load. Of 16 sequences the second group of eight has sets of its own.
///
/// A sum has the same bits however many sequences there are: with T(i) of units i, i + 4, i + 8 and so on, it is
/// (T(0) + T(2)) + (T(1) + T(3)), some of them parts of one lane, some neighbouring lanes'.
template <class M, int P> struct Columns {
  static constexpr int all = 4, unitsOfWarp = Sizes<M>::unitsOfWarp(P);
  static constexpr bool isWide = M::sequences > all;                                                     ///< eight sequences or 16
  static constexpr int sequences = least(M::sequences, all), sets = ceilDivide(M::sequences, sequences); ///< at once; times
  static constexpr int spread = all / sequences; ///< columns of a sequence, the same ones again where there are fewer units
  static constexpr int units = least(spread, powerOfTwo(unitsOfWarp)), pieces = ceilDivide(unitsOfWarp, units);
  static constexpr int parts = least(all / units, pieces);

  static constexpr int groups = isWide ? ceilDivide(M::sequences, 8) : 1; ///< of eight sequences, two sets each

  int lane;

  /// Of a column of the vector.
  __device__ int sequence(int set) const { return isWide ? set / 2 * 8 + lane / 4 : set * sequences + lane / 8 / spread; }
  /// The first of four channels that a lane has, counted from the warp's first.
  __device__ int channel(int set, int piece) const {
    return isWide ? piece * 32 + lane % 4 * 8 + set % 2 * 4
                  : (piece * units + lane / 8 % units) * 32 + lane % 4 * 8 + lane / 4 % 2 * 4;
  }
  /// Of a column of sums.
  __device__ int sumSequence(int set) const { return set * sequences + lane % 4 / spread; }
  __device__ bool hasUnit(int unit) const { return lane % units == unit % units; }

  /// Adds a number of a unit that the lane has to its parts.
  static __device__ void add(float (&of)[parts], int unit, bool has, float value) {
    float &part = of[unit % all / units];
    part = has ? (unit < all ? value : part + value) : part;
  }
  static __device__ float sumOfParts(const float (&of)[parts]) {
    float sum = parts > 2 ? of[0] + of[2 % parts] : of[0];
    if constexpr (parts > 1)
      sum += parts > 3 ? of[1] + of[3 % parts] : of[1];
    return sum;
  }
};

/// Sums of numbers that two lanes have, `distance` apart: every other one of them ends in the one, those between in the other.
template <int count> __device__ void addPairs(float *numbers, int distance) {
  const bool isSecond = threadIdx.x & distance;
#pragma unroll
  for (int i = 0; i < count; i += 2) {
    const float other = numbers[i + 1 < count ? i + 1 : i];
    const float sent = isSecond ? numbers[i] : other, kept = isSecond ? other : numbers[i];
    numbers[i / 2] = kept + __shfl_xor_sync(~0u, sent, distance);
  }
}

/// Four numbers of a vector, times 2^64, that a lane has of each set and piece; zeros where there are none.
template <class M, int P> struct Vector { uint2 numbers[Columns<M, P>::sets][Columns<M, P>::pieces]; };

/// Squares before a norm are numbers times numbers times these (Launch::inverses): for each piece of a lane, or, with eight
/// sequences, for four of every 128 channels of the warp.
template <class M, int P> struct Norm {
  static constexpr int count = Columns<M, P>::isWide ? ceilDivide(Sizes<M>::unitsOfWarp(P), 4) : Columns<M, P>::pieces;
  uint4 inverses[count];
};

__device__ inline uint2 timesInverses(uint2 numbers, uint4 inverse) {
  constexpr unsigned none = 0x80008000; // -0
  return make_uint2(multiplyPairs(numbers.x, inverse.x, multiplyPairs(numbers.x, inverse.z, none)),
                    multiplyPairs(numbers.y, inverse.y, multiplyPairs(numbers.y, inverse.w, none)));
}
/// The sums of squares of columns, 16 numbers each: the diagonal of what columns give with each other, which are lanes 9 i for
/// column 2 i, and 9 i + 4 for column 2 i + 1; elsewhere it means nothing.
__device__ inline float squaresOf(uint2 numbers, uint4 inverses) {
  const uint2 rows = timesInverses(numbers, inverses);
  float sums[4] = {};
  multiply(sums, make_uint4(rows.x, rows.x, rows.y, rows.y), numbers);
  return threadIdx.x & 4 ? sums[1] : sums[0];
}

/// Reads the vector of phase P: words of the `channels` channels from `first` on.
template <class M, int P> class VectorReader {
  using C = Columns<M, P>;

public:
  __device__ VectorReader(const Block<M> &block, const C &columns, int first, int channels)
      : block(block), columns(columns), first(first), channels(channels) {}

  /// Waits until all are there. Sequences that are not in the launch have something.
  __device__ Vector<M, P> poll(int token, int layer) const {
    const unsigned short *from[C::sets];
    unsigned tags[C::sets];
#pragma unroll
    for (int set = 0; set < C::sets; ++set) {
      const int sequence = there(columns.sequence(set));
      from[set] = block.template words<P>(blockIdx.x % M::replicas, sequence) + block.wordAt(first + columns.channel(set, 0));
      tags[set] = tagsOf(block.template tagOf<P>(token, layer, sequence));
    }
    Vector<M, P> vector;
    if constexpr (C::isWide)
      vector = pollEights(from, tags);
    else
      vector = pollFours(from, tags);
    return vector;
  }

  /// The words of a lane with more than eight sequences, as they come.
  struct Words {
    uint4 found[C::groups][C::pieces];
    const unsigned short *from[C::groups];
    unsigned tags[C::groups];
  };
  /// Asks for all of them.
  __device__ void ask(Words &words, int token, int layer) const {
#pragma unroll
    for (int group = 0; group < C::groups; ++group) {
      const int sequence = there(columns.sequence(group * 2));
      words.from[group] = block.template words<P>(blockIdx.x % M::replicas, sequence) + block.wordAt(first + columns.channel(0, 0));
      words.tags[group] = tagsOf(block.template tagOf<P>(token, layer, sequence));
    }
#pragma unroll
    for (int group = 0; group < C::groups; ++group)
      ask(words.found[group], words.from[group], words.tags[group]);
  }
  /// Waits until those of eight sequences are there.
  __device__ void await(Words &words, Vector<M, P> &vector, int group) const {
    await(words.found[group], words.from[group], words.tags[group], vector, group);
  }

  /// The embedding of each sequence's token.
  __device__ Vector<M, P> lookUp() const {
    Vector<M, P> vector = {};
#pragma unroll
    for (int set = 0; set < C::sets; ++set) {
      auto *row = static_cast<const typename M::TableNumber *>(block.launch.table) +
                  size_t(block.tokens()[there(columns.sequence(set))]) * M::tableStride + first;
#pragma unroll
      for (int piece = 0; piece < C::pieces; ++piece)
        if (const int channel = columns.channel(set, piece); channel < channels) {
          const sm1::f32x4 four = sm1::widen(sm1::load(row + channel)); // the padding of rows is zero
          const float4 w = weightsOf(channel);
          vector.numbers[set][piece] =
              make_uint2(pack(four.lane[0] * factorOfNorm(w.x) * wordScale, four.lane[1] * factorOfNorm(w.y) * wordScale),
                         pack(four.lane[2] * factorOfNorm(w.z) * wordScale, four.lane[3] * factorOfNorm(w.w) * wordScale));
        }
    }
    return vector;
  }

  /// Known before the words are asked for; not before `rows`, which are no fewer than zero: the compiler would ask for them while
  /// the phase in front has its words.
  __device__ Norm<M, P> norm(int layer, int rows) const {
    Norm<M, P> norm = {};
#pragma unroll
    for (int i = 0; i < Norm<M, P>::count; ++i)
      if (const int channel = C::isWide ? (i * 32 + columns.lane) * 4 : columns.channel(0, i);
          M::phase(P).norm >= 0 && channel < channels)
        norm.inverses[i] =
            __ldg(reinterpret_cast<const uint4 *>(block.launch.inverses + normOf<M>(P, layer) + first + channel + (rows >> 31)));
    return norm;
  }

private:
  /// From the words of a piece to those of the next one.
  static constexpr int wordsOfPiece = Block<M>::wordAt(C::isWide ? 32 : C::units * 32);
  /// Whether there are any; known beforehand where all warps have as many.
  __device__ bool hasPiece(int set, int piece) const {
    constexpr bool all = M::phase(P).width % 32 == 0 && Sizes<M>::units(P) % M::warps == 0 && C::unitsOfWarp % C::units == 0;
    return all || columns.channel(set, piece) < channels;
  }

  /// All words again until those of all lanes are there.
  __device__ Vector<M, P> pollFours(const unsigned short *const (&from)[C::sets], const unsigned (&tags)[C::sets]) const {
    Vector<M, P> vector = {};
    unsigned wrong;
    do {
      wrong = 0;
#pragma unroll
      for (int piece = 0; piece < C::pieces; ++piece)
#pragma unroll
        for (int set = 0; set < C::sets; ++set)
          if (const int channel = columns.channel(set, piece); hasPiece(set, piece)) {
            const uint2 found =
                withPadding(loadWords(from[set] + piece * wordsOfPiece), M::phase(P).width - first - channel, tags[set]);
            wrong |= (found.x ^ tags[set]) | (found.y ^ tags[set]);
            vector.numbers[set][piece] = make_uint2(numbersOf(found.x), numbersOf(found.y));
          }
    } while (__any_sync(~0u, wrong & tagBits));
    return vector;
  }
  /// Words of eight sequences and more are many: only those that were not there are asked for again. Mostly there are none.
  __device__ Vector<M, P> pollEights(const unsigned short *const (&from)[C::sets], const unsigned (&tags)[C::sets]) const {
    uint4 found[C::pieces];
    ask(found, from[0], tags[0]);
    Vector<M, P> vector = {};
    await(found, from[0], tags[0], vector, 0);
    return vector;
  }
  __device__ void ask(uint4 (&found)[C::pieces], const unsigned short *from, unsigned tags) const {
#pragma unroll
    for (int piece = 0; piece < C::pieces; ++piece)
      found[piece] = hasPiece(0, piece) ? eight(from, piece, tags) : make_uint4(tags, tags, tags, tags);
  }
  __device__ void await(uint4 (&found)[C::pieces], const unsigned short *from, unsigned tags, Vector<M, P> &vector,
                        int group) const {
    for (;;) {
      unsigned wrong = 0;
#pragma unroll
      for (int piece = 0; piece < C::pieces; ++piece)
        wrong |= differences(found[piece], tags);
      if (!(wrong & tagBits))
        break;
#pragma unroll
      for (int piece = 0; piece < C::pieces; ++piece)
        if (differences(found[piece], tags) & tagBits)
          found[piece] = eight(from, piece, tags);
    }
#pragma unroll
    for (int piece = 0; piece < C::pieces; ++piece)
      if (hasPiece(0, piece)) {
        vector.numbers[group * 2][piece] = make_uint2(numbersOf(found[piece].x), numbersOf(found[piece].y));
        if (M::phase(P).width % 8 == 0 || leftOf(piece) > 4)
          vector.numbers[group * 2 + 1][piece] = make_uint2(numbersOf(found[piece].z), numbersOf(found[piece].w));
      }
    __syncwarp();
  }
  /// Channels up to the width, from a lane's first one of the piece on.
  __device__ int leftOf(int piece) const { return M::phase(P).width - first - columns.channel(0, piece); }
  /// A lane's words of a piece; what nobody writes is there.
  __device__ uint4 eight(const unsigned short *from, int piece, unsigned tags) const {
    const uint4 found = loadEight(from + piece * wordsOfPiece);
    const uint2 low = withPadding(make_uint2(found.x, found.y), leftOf(piece), tags),
                high = withPadding(make_uint2(found.z, found.w), leftOf(piece) - 4, tags);
    return make_uint4(low.x, low.y, high.x, high.y);
  }
  static __device__ unsigned differences(uint4 words, unsigned tags) {
    return (words.x ^ tags) | (words.y ^ tags) | (words.z ^ tags) | (words.w ^ tags);
  }
  /// The weights of four channels, if they count.
  __device__ float4 weightsOf(int channel) const {
    if (M::phase(P).norm < 0)
      return make_float4(1, 1, 1, 1);
    return __ldg(reinterpret_cast<const float4 *>(block.launch.vectors + normOf<M>(P, 0) + first + channel));
  }
  __device__ int there(int sequence) const { return least(sequence, block.launch.sequenceCount - 1); }
  /// Words from the width on, which nobody writes, are there.
  static __device__ uint2 withPadding(uint2 words, int left, unsigned tags) {
    if constexpr (M::phase(P).width % 4 == 0)
      return words;
    words.x = left > 1 ? words.x : (words.x & 0xffffu) | (tags & 0xffff0000u);
    words.y = left > 3 ? words.y : left > 2 ? (words.y & 0xffffu) | (tags & 0xffff0000u) : tags;
    return words;
  }

  const Block<M> &block;
  const C &columns;
  const int first, channels;
};

} // namespace sm1token
