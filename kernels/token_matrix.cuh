// Weights and products of the kernel for whole tokens: the producer, which fills a ring, and the warps that multiply from it.
#pragma once

#include "token_choice.cuh"
#include "token_vector.cuh"
#include "token_weights.cuh"

namespace sm1token {

//===-- Producer ------------------------------------------------------------------------------------------------------------===//

/// Waits until `clocks` are over since the last time.
__device__ inline void keepPace(unsigned &last, unsigned clocks) {
  while (unsigned(clock()) - last < clocks)
    ;
  last = unsigned(clock());
}

/// One warp. Slots that a token fills are read again for the next one, as soon as it is known that there is one. They are asked
/// for at a steady pace: a burst of them is in the way of words. What the ring has no room for yet comes into the L2 cache
/// meanwhile. When all of a token's are on their way the warp hears how the next token is to be chosen.
template <class M> class Producer {
  using S = Sizes<M>;

public:
  __device__ explicit Producer(const Block<M> &block)
      : block(block), weights(block.launch.stream + block.launch.shares[blockIdx.x].offset), bytes(block.bytes),
        toCache(least(lookahead * slotBytes, int((bytes - 1) / slotBytes * slotBytes))) {}

  __device__ void run() {
    bool goesOn = true;
#pragma unroll 1
    for (int token = 0; goesOn; ++token) {
      if (isElected()) // what copies in bulk is quicker where the compiler knows of a single thread
        fill();
      __syncwarp();
      if (block.isOrdered()) {
        if constexpr (S::ordersApart)
          waitFor(block.ordered(), token & 1);
        else
          hearOrder(block, token);
      }
      goesOn = block.goesOn(token);
    }
  }

private:
  __device__ void fill() {
    const Launch &launch = block.launch;
#pragma unroll 1
    for (unsigned at = 0, i = 0; at < bytes; at += slotBytes, ++i) {
      const unsigned uses = block.template at<unsigned short>(S::usesAt)[i], full = block.full(slot);
      if (round > 0)
        waitFor(block.empty(slot), (round - 1) & 1);
      if (ahead == S::mostAhead) {
        waitFor(block.full(waited), waitedRound & 1);
        --ahead;
        if (++waited == S::slots) {
          waited = 0;
          ++waitedRound;
        }
      }
      if (round > 0) // at first everybody waits for weights
        keepPace(last, launch.pace);
      const unsigned size = min(bytes - at, unsigned(slotBytes));
      expect(full, size);
      fetch(block.shared + S::ringAt + slot * slotBytes, weights + at, size, full);
      arrive(block.empty(slot), slotUses - uses); // for those who do not read from it
      fetchToCache(weights + toCache, min(bytes - toCache, unsigned(slotBytes)));
      toCache = toCache + slotBytes < bytes ? toCache + slotBytes : 0;
      if constexpr (S::mayLap)
        storeIssued(block.shared + S::issuedAt, ++issued);
      ++ahead;
      if (++slot == S::slots) {
        slot = 0;
        ++round;
      }
    }
  }

  const Block<M> &block;
  const unsigned char *const weights;
  const unsigned bytes;
  unsigned toCache; ///< offset of the weights
  unsigned slot = 0, round = 0, waited = 0, waitedRound = 0, issued = 0, last = 0;
  int ahead = 0; ///< slots asked for and not waited for
};

//===-- Matrix warps --------------------------------------------------------------------------------------------------------===//

template <class M> class MatrixWarp {
  using S = Sizes<M>;

public:
  __device__ MatrixWarp(const Block<M> &block, int warp)
      : block(block), launch(block.launch), warp(warp), lane(threadIdx.x % 32), group(lane / 4), quarter(lane % 4) {}

  __device__ void run() {
    bool goesOn = true;
#pragma unroll 1
    for (; goesOn; ++token) {
#pragma unroll 1
      for (int layer = 0; layer < M::layers; ++layer) {
        runPhases<0, M::layerPhases>(layer);
        layerStart += phaseStart(M::phaseCount);
      }
      layerStart = tokenStart;
      runPhases<M::layerPhases, M::phaseCount>(M::layers);
      if (block.isOrdered())
        chooseTokens(block, token);
      goesOn = block.goesOn(token);
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
  /// Read anew in each phase: what the compiler makes of it, it cannot make while the phase in front has its words.
  template <int P> __device__ int rowCount() const { return int(loadShared(block.shared + S::rowsAt + P * 4)); }
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
    // As many eights of rows at a time as 80 registers hold, 48 where there are more than 16 warps; a norm takes some for itself.
    constexpr int pieces = S::threads > 512 ? 12 : 20, taken = ceilDivide(M::sequences, 2) - 1;
    constexpr int all = S::paddedRows(P) / 8, some = Columns<M, P>::isWide
                                                         ? most(2, (S::threads > 512 ? 8 : 16) / S::unitsOfWarp(P))
                                                         : most(hasPairs<P>() ? 2 : 1, pieces / (S::unitsOfWarp(P) + taken));
    return all <= some ? all : hasPairs<P>() ? some / 2 * 2 : some;
  }
  /// Whether rows lie two by two: any; those of the 16 that `row` is of.
  template <int P> __host__ __device__ static constexpr bool hasPairs() { return pairedRows(M::bits, S::rows(P)) > 0; }
  template <int P> __host__ __device__ static constexpr bool isPaired(int row) {
    return S::rows(P) > 64 ? hasPairs<P>() : row / 16 * 16 < pairedRows(M::bits, S::rows(P));
  }
  /// How far loops over rows are unrolled: where they are, it is known which rows are paired, and which are the last ones.
  template <int P> __host__ __device__ static constexpr int unrolling() { return S::rows(P) > 64 ? 1 : 8; }
  template <int P> __host__ __device__ static constexpr int chunk() { return 8 * halves<P>(); }
  template <int P> struct Fragment { uint4 weights[S::unitsOfWarp(P)][halves<P>()]; };

  /// Whether there are rows at all in the eight from `row` on, as far as that is known where loops are unrolled.
  template <int P> __host__ __device__ static constexpr bool hasRows(int row) {
    return unrolling<P>() == 1 || !(Columns<M, P>::isWide || hasPairs<P>()) || row < S::paddedRows(P);
  }

  /// Weights of rows [first, first + 8 halves) of this warp's columns, which begin at `position` of the ring; rows that are not
  /// there repeat the last one.
  template <int P> __device__ void load(Fragment<P> &fragment, unsigned position, int first, int rows, int units) const {
    const Ring<M> ring = {block.shared + S::ringAt};
#pragma unroll
    for (int unit = 0; unit < S::unitsOfWarp(P); ++unit) {
      const unsigned base = position + least(unit, units - 1) * S::unit(P, rows) * 16;
#pragma unroll
      for (int half = 0; half < halves<P>(); ++half)
        if (!hasRows<P>(first + half * 8)) {
          fragment.weights[unit][half] = {};
        } else if (isPaired<P>(first + half * 8)) {
          const int tile = least(first + half / 2 * 16, (rows - 1) / 16 * 16), pairs = pairsOf(rows, tile);
          fragment.weights[unit][half] =
              ring.pair(base + tile * 64 + (half % 2 * pairs + least(group, pairs - 1)) * 64 + quarter * 16);
        } else {
          fragment.weights[unit][half] = ring.weights(base, rows, least(first + half * 8 + group, rows - 1), quarter);
        }
    }
  }

  /// Integers become bf16 here; the compiler has it when words have come, which up to four sequences like better.
  template <int P> __device__ static void keepWeights(Fragment<P> &fragment) {
    if constexpr (M::bits < 16)
#pragma unroll
      for (int unit = 0; unit < S::unitsOfWarp(P); ++unit)
#pragma unroll
        for (uint4 &weights : fragment.weights[unit])
          asm volatile("" : "+r"(weights.x), "+r"(weights.y), "+r"(weights.z), "+r"(weights.w));
  }

  //===-- Products ----------------------------------------------------------------------------------------------------------===//

  /// The vector, once it is there: a token's first one, which waits for nobody, was looked up before.
  template <int P> __device__ void take(Vector<M, P> &vector, const VectorReader<M, P> &reader, int layer) const {
    if (P == 0 && layer == 0)
      return;
    for (unsigned begin = clock(); int(clock() - begin) < launch.delay[P];)
      ;
    vector = reader.poll(token, layer);
  }

  /// Of eights of rows, times sets: numbers of a lane that are still to be added to those of its neighbours.
  template <int P> __host__ __device__ static constexpr int productCount() { return halves<P>() * Columns<M, P>::sets; }
  template <int P> struct Products { float sums[productCount<P>()]; };
  template <int P>
  __device__ Products<P> multiplyRows(const Fragment<P> &fragment, const Vector<M, P> &vector, const Columns<M, P> &columns,
                                      int first) const {
    using C = Columns<M, P>;
    Products<P> products;
#pragma unroll
    for (int half = 0; half < halves<P>(); ++half)
#pragma unroll
      for (int set = 0; set < C::sets; ++set) {
        float *sums = products.sums + half * C::sets + set;
        if (!hasRows<P>(first + half * 8))
          sums[0] = 0;
        else if (!isPaired<P>(first + half * 8))
          sums[0] = productOfEight<P>(fragment, half, vector, set, columns);
        else if (half % 2 == 0)
          productsOfPairs<P>(fragment, half, vector, set, columns, sums[0],
                             products.sums[least(half + 1, halves<P>() - 1) * C::sets + set]);
      }
    return products;
  }
  /// Eight rows, twice: see Columns.
  template <int P>
  __device__ float productOfEight(const Fragment<P> &fragment, int half, const Vector<M, P> &vector, int set,
                                  const Columns<M, P> &columns) const {
    using C = Columns<M, P>;
    float parts[C::parts] = {};
#pragma unroll
    for (int unit = 0; unit < S::unitsOfWarp(P); ++unit) {
      float sums[4] = {};
      multiply(sums, fragment.weights[unit][half], vector.numbers[set][unit / C::units]);
      C::add(parts, unit, columns.hasUnit(unit), sums[0] + sums[3]);
    }
    return C::sumOfParts(parts);
  }
  /// 16 rows with either half of k. Of each half's columns there are sums of all rows, half of which mean something.
  template <int P>
  __device__ void productsOfPairs(const Fragment<P> &fragment, int half, const Vector<M, P> &vector, int set,
                                  const Columns<M, P> &columns, float &even, float &odd) const {
    using C = Columns<M, P>;
    float parts[2][C::parts] = {};
#pragma unroll
    for (int unit = 0; unit < S::unitsOfWarp(P); ++unit) {
      float first[4] = {}, second[4] = {};
      multiply(first, fragment.weights[unit][half], vector.numbers[set][unit / C::units]);
      multiply(second, fragment.weights[unit][least(half + 1, halves<P>() - 1)], vector.numbers[set][unit / C::units]);
      C::add(parts[0], unit, columns.hasUnit(unit), first[0] + second[1]);
      C::add(parts[1], unit, columns.hasUnit(unit), first[2] + second[3]);
    }
    even = C::sumOfParts(parts[0]);
    odd = C::sumOfParts(parts[1]);
  }
  /// Lanes share the products that they add.
  template <int P> __device__ void storeProducts(Products<P> &products, const Columns<M, P> &columns, int first, int rows) const {
    using C = Columns<M, P>;
    int own = 0;
    if constexpr (C::units == 4) {
      addPairs<productCount<P>()>(products.sums, 2);
      addPairs<ceilDivide(productCount<P>(), 2)>(products.sums, 1);
      own = lane % 2 * 2 + lane / 2 % 2;
    } else if constexpr (C::units == 2) {
      addPairs<productCount<P>()>(products.sums, 1);
      own = lane % 2;
    }
#pragma unroll
    for (int i = 0; i < ceilDivide(productCount<P>(), C::units); ++i) {
      const int product = i * C::units + own, row = rowOf<P>(first, product / C::sets);
      if (product < productCount<P>() && row < rows && lane % C::spread < C::units)
        storeShared(sumAddress(row, columns.sumSequence(product % C::sets)), products.sums[i]);
    }
  }
  /// Of a lane's sums of the eight of rows `half`.
  template <int P> __device__ int rowOf(int first, int half) const {
    return isPaired<P>(first + half * 8) ? first + half / 2 * 16 + group * 2 + half % 2 : first + half * 8 + group;
  }
  __device__ unsigned sumAddress(int row, int sequence) const { return block.shared + S::sumAt(row, sequence, warp); }
  template <int P> __device__ void runPhase(int layer) {
    const int rows = rowCount<P>(), units = unitCount<P>(), channel = firstUnit<P>() * 32;
    const Columns<M, P> columns = columnsOf<P>();
    const VectorReader<M, P> reader(block, columns, channel, least(units * 32, M::phase(P).width - channel));
    Vector<M, P> vector = {};
    if (P == 0 && layer == 0)
      vector = reader.lookUp(); // it takes its time, as do weights
    const Norm<M, P> norm = M::phase(P).norm >= 0 ? reader.norm(layer, rows) : Norm<M, P>();
    const unsigned at = layerStart + phaseStart(P) + unsigned(firstUnit<P>() * S::unit(P, rows));
    const Range range = await(at, unsigned(units * S::unit(P, rows)));
    const unsigned position = at % (S::ringBytes / 16) * 16;
    Fragment<P> fragment;
    load<P>(fragment, position, 0, rows, units);
    if constexpr (S::rows(P) <= chunk<P>())
      release(range);
    if constexpr (Columns<M, P>::isWide)
      multiplyWide<P>(fragment, vector, reader, norm, layer, position, rows, units);
    else
      multiplyNarrow<P>(fragment, vector, reader, norm, layer, position, rows, units);
    if constexpr (S::rows(P) > chunk<P>())
      release(range);
    __syncwarp();
    pass<S::workers>(1);
    meet<S::workers>(2); // sums have been read
  }

  //===-- Up to four sequences ----------------------------------------------------------------------------------------------===//

  template <int P>
  __device__ void multiplyNarrow(Fragment<P> &fragment, Vector<M, P> &vector, const VectorReader<M, P> &reader,
                                 const Norm<M, P> &norm, int layer, unsigned position, int rows, int units) const {
    constexpr bool isNormed = M::phase(P).norm >= 0;
    const Columns<M, P> columns = columnsOf<P>();
    take<P>(vector, reader, layer);
    Products<P> products = multiplyRows<P>(fragment, vector, columns, 0);
    if constexpr (isNormed)
      storeSquares<P>(vector, norm);
    storeProducts<P>(products, columns, 0, rows);
#pragma unroll(hasPairs <P>() ? unrolling <P>() : 1)
    for (int first = chunk<P>(); first < S::rows(P); first += chunk<P>()) {
      load<P>(fragment, position, first, rows, units);
      products = multiplyRows<P>(fragment, vector, columns, first);
      storeProducts<P>(products, columns, first, rows);
    }
  }
  /// The sum of squares of each sequence.
  template <int P> __device__ void storeSquares(const Vector<M, P> &vector, const Norm<M, P> &norm) const {
    using C = Columns<M, P>;
    float sums[C::sets];
#pragma unroll
    for (int set = 0; set < C::sets; ++set) {
      float parts[C::parts] = {};
#pragma unroll
      for (int piece = 0; piece < C::pieces; ++piece)
        C::add(parts, piece * C::units, true, squaresOf(vector.numbers[set][piece], norm.inverses[piece]));
      float &sum = sums[set] = C::sumOfParts(parts);
#pragma unroll
      for (int distance = C::units / 2; distance > 0; distance /= 2) // of other units
        sum += __shfl_sync(~0u, sum, (lane / 8 ^ distance) * 9 + lane % 8 / 4 * 4);
      sum += __shfl_xor_sync(~0u, sum, 4);
    }
#pragma unroll
    for (int set = 0; set < C::sets; ++set)
      if (lane == lane / 8 * 9 && lane / 8 % C::spread == 0)
        storeShared(sumAddress(S::sumRows - 1, columnsOf<P>().sequence(set)), sums[set]);
  }

  //===-- Eight sequences or 16 ---------------------------------------------------------------------------------------------===//

  template <int P>
  __device__ void multiplyWide(Fragment<P> &fragment, Vector<M, P> &vector, const VectorReader<M, P> &reader,
                               const Norm<M, P> &norm, int layer, unsigned position, int rows, int units) const {
    constexpr bool isNormed = M::phase(P).norm >= 0;
    constexpr int groups = Columns<M, P>::groups;
    const unsigned inverses = block.shared + S::inversesAt + warp * S::inversesBytes;
    if constexpr (isNormed)
      keepInverses<P>(norm, inverses);
    const TilePlaces places = {kept(sumAddress(group * 2, quarter * 2)), kept(sumAddress(group, quarter * 2))};
    keepWeights<P>(fragment);
    typename VectorReader<M, P>::Words words;
    const bool isPolled = P > 0 || layer > 0;
    if constexpr (groups == 1) {
      take<P>(vector, reader, layer);
    } else if (isPolled) { // eight sequences are multiplied while words of the others are on their way
      for (unsigned begin = clock(); int(clock() - begin) < launch.delay[P];)
        ;
      reader.ask(words, token, layer);
    }
#pragma unroll(unrolling <P>())
    for (int first = 0; first < S::rows(P); first += chunk<P>()) {
#pragma unroll
      for (int set = 0; set < groups; ++set) {
        if (groups > 1 && first == 0 && isPolled)
          reader.await(words, vector, set);
#pragma unroll
        for (int half = 0; half < halves<P>(); half += 2)
          if (first + half * 8 < S::rows(P))
            multiplyTile<P>(fragment, vector, half, first, places, set);
      }
      if (first + chunk<P>() < S::rows(P))
        load<P>(fragment, position, first + chunk<P>(), rows, units);
      if (first == 0 && isNormed)
        storeSquaresOfHalves<P>(vector, inverses);
    }
  }
  /// Where a lane's sums go: of the first rows, where rows lie two by two and where they do not.
  struct TilePlaces {
    unsigned paired, single;
    /// Of the tile's eight of rows `half`, 0 or 1; `row` is the tile's first one.
    __device__ unsigned of(bool isPaired, int row, int half) const {
      return isPaired ? paired + S::sumAt(row + half, 0, 0) : single + S::sumAt(row + half * 8, 0, 0);
    }
  };
  /// For the whole warp.
  template <int P> __device__ void keepInverses(const Norm<M, P> &norm, unsigned to) const {
#pragma unroll
    for (int i = 0; i < Norm<M, P>::count; ++i)
      storeShared4(to + (i * 32 + lane) * 16, norm.inverses[i]);
    __syncwarp();
  }
  /// 16 rows, or 8, from the eight of rows `half` on, times eight sequences, number `set` of them. A lane has sums of two sequences
  /// in two rows; those behind the last row are nobody's.
  template <int P>
  __device__ void multiplyTile(const Fragment<P> &fragment, const Vector<M, P> &vector, int half, int first,
                               const TilePlaces &places, int set) const {
    using C = Columns<M, P>;
    const int other = least(half + 1, halves<P>() - 1);
    const bool isSingle =
        unrolling<P>() > 1 && first + half * 8 + 8 >= S::rows(P); // rows 0 to 7 of the first product, 8 to 15 of the second
    float parts[4][C::parts] = {};
#pragma unroll
    for (int unit = 0; unit < S::unitsOfWarp(P); ++unit) {
      uint4 low = fragment.weights[unit][half], high = fragment.weights[unit][other];
      if (isSingle) {
        high = low;
      } else if (!isPaired<P>(first + half * 8)) {
        const uint4 row = low;
        low = make_uint4(row.x, high.x, row.z, high.z);
        high = make_uint4(row.y, high.y, row.w, high.w);
      }
      float sums[2][4] = {};
      multiply(sums[0], low, vector.numbers[set * 2][unit]);
      multiply(sums[1], high, vector.numbers[set * 2 + 1][unit]);
#pragma unroll
      for (int i = 0; i < (isSingle ? 2 : 4); ++i)
        C::add(parts[i], unit, true, sums[0][i] + sums[1][isSingle ? i + 2 : i]);
    }
#pragma unroll
    for (int i = 0; i < least(2, halves<P>() - half); ++i)
      if (first + (half + i) * 8 < S::paddedRows(P))
        storeShared2(places.of(isPaired<P>(first + half * 8), first + half * 8, i) + S::sumAt(0, set * 8, 0),
                     __float_as_uint(C::sumOfParts(parts[i * 2])), __float_as_uint(C::sumOfParts(parts[i * 2 + 1])));
  }
  /// Both halves of 16 channels at once; each has its own on the diagonal of a product.
  template <int P> __device__ void storeSquaresOfHalves(const Vector<M, P> &vector, unsigned inverses) const {
    using C = Columns<M, P>;
#pragma unroll
    for (int set = 0; set < C::groups; ++set) {
      const auto &low = vector.numbers[set * 2], &high = vector.numbers[set * 2 + 1];
      float parts[2][C::parts] = {};
#pragma unroll
      for (int piece = 0; piece < C::pieces; ++piece) {
        const unsigned from = inverses + columnsOf<P>().channel(0, piece) * 4;
        const uint2 first = timesInverses(low[piece], loadShared4(from)),
                    second = timesInverses(high[piece], loadShared4(from + 16));
        const uint4 both = make_uint4(first.x, second.x, first.y, second.y);
        float sums[2][4] = {};
        multiply(sums[0], both, low[piece]);
        multiply(sums[1], both, high[piece]);
        C::add(parts[0], piece, true, group % 2 ? sums[0][1] : sums[0][0]);
        C::add(parts[1], piece, true, group % 2 ? sums[1][3] : sums[1][2]);
      }
      if (quarter == group / 2)
        storeShared(sumAddress(S::sumRows - 1, set * 8 + group), C::sumOfParts(parts[0]) + C::sumOfParts(parts[1]));
    }
  }

  /// Two sequences, and more than eight, have no registers to keep what is known of lanes from phase to phase.
  template <int P> __device__ Columns<M, P> columnsOf() const {
    int own = lane;
    if constexpr (M::sequences == 2 || M::sequences > 8)
      asm volatile("mov.u32 %0, %%laneid;" : "=r"(own));
    return {own};
  }

  const Block<M> &block;
  const Launch &launch;
  const int warp, lane, group, quarter;
  int token = 0;
  unsigned tokenStart = 0, layerStart = 0; ///< of the weights, in 16 bytes from the start of the launch
};

} // namespace sm1token
