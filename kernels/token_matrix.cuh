// Weights and products of the kernel for whole tokens: the producer, which fills a ring, and the warps that multiply from it.
#pragma once

#include "sm1_math.cuh"
#include "token_choice.cuh"
#include "token_weights.cuh"

namespace sm1token {

//===-- Producer ------------------------------------------------------------------------------------------------------------===//

/// One thread. Slots that a token fills are read again for the next one, as soon as it is known that there is one.
template <class M> __device__ void produce(const Block<M> &block) {
  const Launch &launch = block.launch;
  const unsigned char *weights = launch.stream + launch.shares[blockIdx.x].offset;
  const unsigned bytes = block.bytes, slots = block.slotsOfToken();
  const int window = least(most(launch.window, 1), Sizes<M>::mostAhead);
  unsigned slot = 0, round = 0, waited = 0, waitedRound = 0, issued = 0;
  int ahead = 0; // slots asked for and not waited for
  bool goesOn = true;
#pragma unroll 1
  for (int token = 0; goesOn; ++token) {
#pragma unroll 1
    for (unsigned i = 0; i < slots; ++i) {
      const unsigned uses = block.template at<unsigned short>(Sizes<M>::usesAt)[i];
      if (round > 0)
        waitFor(block.empty(slot), (round - 1) & 1);
      if (ahead == window) {
        waitFor(block.full(waited), waitedRound & 1);
        --ahead;
        if (++waited == Sizes<M>::slots) {
          waited = 0;
          ++waitedRound;
        }
      }
      unsigned at = i * slotBytes;
      fetch(block.shared + Sizes<M>::ringAt + slot * slotBytes, weights + at, bytes - at < slotBytes ? bytes - at : slotBytes,
            block.full(slot));
      arrive(block.empty(slot), slotUses - uses); // for those who do not read from it
      if constexpr (Sizes<M>::mayLap)
        storeIssued(block.shared + Sizes<M>::issuedAt, ++issued);
      ++ahead;
      if (++slot == Sizes<M>::slots) {
        slot = 0;
        ++round;
      }
    }
    if (block.isOrdered())
      waitFor(block.ordered(), token & 1);
    goesOn = block.goesOn(token);
  }
}

//===-- Matrix warps --------------------------------------------------------------------------------------------------------===//

template <class M> class MatrixWarp {
  using S = Sizes<M>;

public:
  __device__ MatrixWarp(const Block<M> &block, int warp)
      : block(block), launch(block.launch), warp(warp), lane(threadIdx.x % 32), group(lane / 4), quarter(lane % 4),
        vector(block.shared + S::vectorsAt + warp * S::vectorBytes), epoch(block.launch.epoch) {}

  __device__ void run() {
    bool goesOn = true;
#pragma unroll 1
    for (int token = 0; goesOn; ++token) {
#pragma unroll 1
      for (int layer = 0; layer < M::layers; ++layer) {
        runPhases<0, M::layerPhases>(layer);
        ++epoch;
        layerStart += phaseStart(M::phaseCount);
      }
      layerStart = tokenStart;
      runPhases<M::layerPhases, M::phaseCount>(M::layers);
      if (block.isOrdered())
        chooseTokens(block, token);
      goesOn = block.goesOn(token);
      ++epoch;
      tokenStart += block.slotsOfToken() * slotPieces;
      layerStart = tokenStart;
    }
  }

private:
  template <int P, int end> __device__ void runPhases(int layer) {
    if constexpr (P < end) {
      runPhase<P>(layer);
      runPhases<P + 1, end>(layer);
    }
  }

  //===-- Weights -----------------------------------------------------------------------------------------------------------===//

  template <int P> __device__ int firstUnit() const {
    constexpr int each = S::units(P) / M::warps, extra = S::units(P) % M::warps;
    return warp * each + (extra ? least(warp, extra) : 0);
  }
  template <int P> __device__ int unitCount() const {
    constexpr int each = S::units(P) / M::warps, extra = S::units(P) % M::warps;
    return extra ? each + (warp < extra) : each;
  }
  template <int P> __device__ int rowCount() const { return M::phase(P).matrices * block.count[M::phase(P).partition]; }
  /// Offset of a phase's weights in those of a token's first layer; that of phaseCount is the length of a layer. In 16 bytes.
  __device__ unsigned phaseStart(int phase) const { return loadShared(block.shared + S::startsAt + phase * 4); }

  /// The slots that a warp's weights lie in, a lane for each. Slots are counted from the start of the launch.
  struct Range {
    unsigned slot, end; ///< this lane's; behind the last
  };
  /// Waits for the weights `pieces` times 16 bytes from `at` on.
  __device__ Range await(unsigned at, unsigned pieces) const {
    const Range range = {at / slotPieces + lane, (at + pieces - 1) / slotPieces + 1};
    if constexpr (S::mayLap)
      while (int(loadIssued(block.shared + S::issuedAt) - range.end) < 0)
        ;
    if (range.slot < range.end)
      waitFor(block.full(range.slot % S::slots), range.slot / S::slots & 1);
    __syncwarp();
    return range;
  }
  __device__ void release(const Range &range) const {
    __syncwarp();
    if (range.slot < range.end)
      arrive(block.empty(range.slot % S::slots));
  }
  static constexpr unsigned slotPieces = slotBytes / 16;

  template <int P> __host__ __device__ static constexpr int halves() {
    // As many eights of rows at a time as 80 registers hold, with their sums if there are many of those.
    return least(ceilDivide(S::rows(P), 8), most(1, 20 / (S::unitsOfWarp(P) + ceilDivide(M::sequences, 2) - 1)));
  }
  template <int P> struct Fragment { uint4 weights[S::unitsOfWarp(P)][halves<P>()]; };

  /// Weights of rows [first, first + 8 halves) of this warp's columns, which begin at `position` of the ring; rows that are not
  /// there repeat the last one.
  template <int P> __device__ void load(Fragment<P> &fragment, unsigned position, int first, int rows, int units) const {
    const Ring<M> ring = {block.shared + S::ringAt};
#pragma unroll
    for (int unit = 0; unit < S::unitsOfWarp(P); ++unit) {
      const unsigned base = position + least(unit, units - 1) * S::unit(rows) * 16;
#pragma unroll
      for (int half = 0; half < halves<P>(); ++half)
        fragment.weights[unit][half] = ring.weights(base, rows, least(first + half * 8 + group, rows - 1), quarter);
    }
  }

  //===-- Vectors -----------------------------------------------------------------------------------------------------------===//

  /// Four neighbouring channels a lane, 128 a piece.
  template <int P> __host__ __device__ static constexpr int pieces() { return ceilDivide(S::unitsOfWarp(P), 4); }
  template <int P> struct Part { float4 values[pieces<P>()]; };

  /// Sequences whose words are asked for at once: their answers take the same time on the way.
  static constexpr int together = least(M::sequences, 4);

  /// Parts of the sequences from `first` on, once all are there; of those that are not in the launch something.
  template <int P> __device__ void poll(Part<P> (&parts)[together], int first, int channel, int channels) const {
    bool there;
    do {
      there = true;
#pragma unroll
      for (int i = 0; i < together; ++i) {
        const unsigned *words =
            block.template words<P>(blockIdx.x % M::replicas, least(first + i, launch.sequenceCount - 1)) + channel;
#pragma unroll
        for (int piece = 0; piece < pieces<P>(); ++piece) {
          uint4 found = make_uint4(0, 0, 0, 0);
          if (piece * 128 + lane * 4 < channels) {
            found = loadWords(words + piece * 128 + lane * 4);
            if constexpr (M::phase(P).width % 4 != 0)
              dropPadding(found, M::phase(P).width - channel - piece * 128 - lane * 4, epoch);
            there &= haveEpoch(found, epoch);
          }
          parts[i].values[piece] = make_float4(valueOf(found.x), valueOf(found.y), valueOf(found.z), valueOf(found.w));
        }
      }
    } while (!there);
  }
  /// Words from the width on, which nobody writes, are zeros that are there.
  static __device__ void dropPadding(uint4 &words, int left, unsigned epoch) {
    words.y = left > 1 ? words.y : epoch & 15u;
    words.z = left > 2 ? words.z : epoch & 15u;
    words.w = left > 3 ? words.w : epoch & 15u;
  }

  /// Of the embedding of the sequence's token.
  template <int P> __device__ Part<P> lookUp(int sequence, int channel, int channels) const {
    auto *row =
        static_cast<const typename M::TableNumber *>(launch.table) + size_t(block.tokens()[sequence]) * M::tableStride + channel;
    Part<P> part;
#pragma unroll
    for (int piece = 0; piece < pieces<P>(); ++piece) {
      part.values[piece] = make_float4(0, 0, 0, 0);
      if (piece * 128 + lane * 4 < channels) {
        sm1::f32x4 four = sm1::widen(sm1::load(row + piece * 128 + lane * 4)); // the padding of rows is zero
        part.values[piece] = make_float4(four.lane[0], four.lane[1], four.lane[2], four.lane[3]);
      }
    }
    return part;
  }

  template <int P> __device__ Part<P> normWeights(int layer, int channel, int channels) const {
    Part<P> part = {};
    if constexpr (M::phase(P).norm >= 0) {
      constexpr int stride = upTo(M::phase(P).width, 16);
      const float *weights = launch.vectors + M::phase(P).norm + (P < M::layerPhases ? layer * stride : 0) + channel;
#pragma unroll
      for (int piece = 0; piece < pieces<P>(); ++piece)
        if (piece * 128 + lane * 4 < channels)
          part.values[piece] = __ldg(reinterpret_cast<const float4 *>(weights + piece * 128 + lane * 4));
    }
    return part;
  }

  /// Leaves the vector as bf16 and remainder where the warp multiplies from; returns this lane's sum of squares.
  template <int P> __device__ float keep(int sequence, const Part<P> &part, const Part<P> &norm) const {
    float squares = 0;
#pragma unroll
    for (int piece = 0; piece < pieces<P>(); ++piece) {
      float4 v = part.values[piece];
      if constexpr (M::phase(P).norm >= 0) {
        squares += (v.x * v.x + v.y * v.y) + (v.z * v.z + v.w * v.w);
        const float4 w = norm.values[piece];
        v = make_float4(v.x * w.x, v.y * w.y, v.z * w.z, v.w * w.w);
      }
      if (piece * 128 + lane * 4 >= S::unitsOfWarp(P) * 32)
        continue;
      unsigned first = pack(v.x, v.y), second = pack(v.z, v.w);
      unsigned to = vector + 2 * sequence * S::halfBytes + (piece * 128 + lane * 4) * 2;
      storeShared2(to, first, second);
      storeShared2(to + S::halfBytes, pack(v.x - lowOf(first), v.y - highOf(first)),
                   pack(v.z - lowOf(second), v.w - highOf(second)));
    }
    return squares;
  }

  //===-- Products ----------------------------------------------------------------------------------------------------------===//

  /// mma.sync multiplies 16 rows with 8 columns, more columns than there are sequences. So it gets 8 rows, twice: as its rows 0 to
  /// 7 with the first half of 32 k, as its rows 8 to 15 with the second, and the vector in columns of its own for each half, once
  /// as bf16 and once as what that lacks. Of the 16 x 8 sums those count where the halves meet: four columns a sequence.
  static constexpr int pairs = ceilDivide(M::sequences, 2); ///< of sequences, eight columns each
  /// Sums of one after the other would wait for each other; many rows give that independence by themselves. The number of sequences
  /// has no part in it: a sequence gets the same bits with any others.
  template <int P> __host__ __device__ static constexpr int chains() { return S::rows(P) <= 24 ? 2 : 1; }
  template <int P> struct Products {
    float sums[halves<P>()][pairs][chains<P>()][4] = {};
  };
  template <int P> __device__ Products<P> multiplyRows(const Fragment<P> &fragment) const {
    Products<P> products;
    const int sequence = M::sequences > 1 ? group / 4 : 0;
    const unsigned column = vector + (2 * sequence + group % 2) * S::halfBytes + quarter * 16 + group / 2 % 2 * 8;
#pragma unroll
    for (int unit = 0; unit < S::unitsOfWarp(P); ++unit)
#pragma unroll
      for (int pair = 0; pair < pairs; ++pair) {
        const uint2 b = loadShared2(column + pair * 4 * S::halfBytes + unit * 64);
#pragma unroll
        for (int half = 0; half < halves<P>(); ++half)
          multiply(products.sums[half][pair][unit % chains<P>()], fragment.weights[unit][half], b);
      }
    return products;
  }
  template <int P> __device__ void storeProducts(const Products<P> &products, int first, int rows) const {
#pragma unroll
    for (int half = 0; half < halves<P>(); ++half)
#pragma unroll
      for (int pair = 0; pair < pairs; ++pair) {
        const float(&sums)[chains<P>()][4] = products.sums[half][pair];
        float sum = quarter % 2 ? sums[0][2] + sums[0][3] : sums[0][0] + sums[0][1];
        if constexpr (chains<P>() > 1)
          sum += quarter % 2 ? sums[1][2] + sums[1][3] : sums[1][0] + sums[1][1];
        sum += __shfl_xor_sync(~0u, sum, 1);
        const int row = first + half * 8 + group, sequence = pair * 2 + quarter / 2;
        if (row < rows && quarter % 2 == 0 && sequence < M::sequences)
          storeShared(sumAddress(row, sequence), sum);
      }
  }
  __device__ unsigned sumAddress(int row, int sequence) const {
    return block.sums(turn) + unsigned((row * M::sequences + sequence) * S::sumStride + warp) * 4;
  }
  template <int P> __device__ void runPhase(int layer) {
    const int rows = rowCount<P>(), units = unitCount<P>(), channel = firstUnit<P>() * 32;
    const int channels = least(units * 32, M::phase(P).width - channel);
    const Part<P> norm = normWeights<P>(layer, channel, channels);
    const unsigned at = layerStart + phaseStart(P) + unsigned(firstUnit<P>() * S::unit(rows));
    const Range range = await(at, unsigned(units * S::unit(rows)));
    const unsigned position = at % (S::ringBytes / 16) * 16;
    constexpr int chunk = 8 * halves<P>();
    Fragment<P> fragment;
    load<P>(fragment, position, 0, rows, units);
    if constexpr (S::rows(P) <= chunk)
      release(range);
    float squares[M::sequences];
    take<P>(layer, channel, channels, norm, squares);
    const Products<P> products = multiplyRows<P>(fragment);
    if constexpr (M::phase(P).norm >= 0) // while the products are under way
      storeSquares(squares);
    storeProducts<P>(products, 0, rows);
    if constexpr (S::rows(P) > chunk) {
#pragma unroll 1
      for (int first = chunk; first < rows; first += chunk) {
        load<P>(fragment, position, first, rows, units);
        storeProducts<P>(multiplyRows<P>(fragment), first, rows);
      }
      release(range);
    }
    __syncwarp();
    pass<S::workers>(1 + turn);
    turn ^= 1;
  }
  /// The vectors of all sequences, left where the warp multiplies from.
  template <int P>
  __device__ void take(int layer, int channel, int channels, const Part<P> &norm, float (&squares)[M::sequences]) const {
    const bool looksUp = P == 0 && layer == 0;
    if (!looksUp)
      for (unsigned begin = clock(); int(clock() - begin) < launch.delay[P];)
        ;
#pragma unroll
    for (int first = 0; first < M::sequences; first += together) {
      Part<P> parts[together];
      if (looksUp)
#pragma unroll
        for (int i = 0; i < together; ++i)
          parts[i] = lookUp<P>(first + i, channel, channels);
      else
        poll<P>(parts, first, channel, channels);
#pragma unroll
      for (int i = 0; i < together; ++i)
        squares[first + i] = keep<P>(first + i, parts[i], norm);
    }
    __syncwarp();
  }
  __device__ void storeSquares(const float (&squares)[M::sequences]) const {
#pragma unroll
    for (int sequence = 0; sequence < M::sequences; ++sequence) {
      const float sum = sumOfWarp(squares[sequence]);
      if (lane == 0)
        storeShared(sumAddress(S::sumRows - 1, sequence), sum);
    }
  }

  const Block<M> &block;
  const Launch &launch;
  const int warp, lane, group, quarter;
  const unsigned vector; ///< this warp's part of the vectors
  int turn = 0;
  unsigned epoch;                          ///< of what the layer reads
  unsigned tokenStart = 0, layerStart = 0; ///< of the weights, in 16 bytes from the start of the launch
};

} // namespace sm1token
