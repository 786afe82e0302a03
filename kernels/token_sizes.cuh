// Sizes of the kernel for whole tokens: what follows from a model, and a block's share of it.
#pragma once

#include "token.h"
#include "token_instructions.cuh"

namespace sm1token {

/// The matrices that read one vector.
struct Phase {
  int width;     ///< of the vector, columns of the matrices
  int matrices;  ///< as many rows each as their partition is wide
  int partition; ///< of the rows
  int norm;      ///< offset of the norm's weight in the vectors; -1: the vector is taken as it is
  int words;     ///< offset of the vector in the exchange, for one sequence and replica
};

/// Numbers of channels: a parameter, or a state.
struct Rows {
  int offset; ///< of a parameter in the vectors
  int rows;   ///< of all layers
  int partition;
};

__host__ __device__ constexpr int most(int a, int b) { return a > b ? a : b; }
__host__ __device__ constexpr int least(int a, int b) { return a < b ? a : b; }
__host__ __device__ constexpr int ceilDivide(int a, int b) { return (a + b - 1) / b; }
__host__ __device__ constexpr int upTo(int a, int b) { return ceilDivide(a, b) * b; }

__host__ __device__ constexpr int powerOfTwo(int least) {
  int power = 1;
  while (power < least)
    power *= 2;
  return power;
}

/// Sizes that follow from a Model.
template <class M> struct Sizes {
  /// Channels of a partition that one block has at most.
  __host__ __device__ static constexpr int channels(int partition) { return ceilDivide(M::partitionWidth(partition), M::blocks); }
  __host__ __device__ static constexpr int rows(int phase) {
    return M::phase(phase).matrices * channels(M::phase(phase).partition);
  }
  __host__ __device__ static constexpr int matrices(int phase) { return M::phase(phase).matrices; }
  /// With those that a lane multiplies though they are not there.
  __host__ __device__ static constexpr int paddedRows(int phase) {
    return most(upTo(rows(phase), 8), pairedRows(M::bits, rows(phase)));
  }
  __host__ __device__ static constexpr int units(int phase) { return ceilDivide(M::phase(phase).width, 32); }
  /// 16 bytes that one of a phase's units takes where it has `count` rows; all of its units at most.
  __host__ __device__ static constexpr int unit(int phase, int count) { return unitPieces(M::bits, count, rows(phase)); }
  __host__ __device__ static constexpr int pieces(int phase) { return units(phase) * unit(phase, rows(phase)); }
  __host__ __device__ static constexpr int unitsOfWarp(int phase) { return ceilDivide(units(phase), M::warps); }
  __host__ __device__ static constexpr int largest(int (*of)(int), int count) {
    int found = 0;
    for (int i = 0; i < count; ++i)
      found = most(found, of(i));
    return found;
  }

  static constexpr int epilogueWarps = ceilDivide(largest(channels, M::partitionCount) * M::sequences, 32);
  // The producer, and who follows orders: another warp, unless that is the 17th, which takes a quarter of everybody's registers.
  static constexpr int workers = (M::warps + epilogueWarps) * 32;
  // More than eight sequences have many epilogue warps, which need few registers: matrix warps and the producer get the others',
  // for which both are whole warpgroups.
  static constexpr bool sharesRegisters = M::sequences > 8;
  static constexpr int producer = sharesRegisters ? M::warps : workers / 32;
  static constexpr int firstEpilogue = sharesRegisters ? upTo(M::warps + 1, 4) : M::warps;
  static constexpr int orderer = producer + 1;
  static constexpr bool ordersApart = sharesRegisters ? orderer < firstEpilogue : workers != 15 * 32;
  static constexpr int threads =
      sharesRegisters ? (firstEpilogue + upTo(epilogueWarps, 4)) * 32 : workers + (ordersApart ? 64 : 32);
  static constexpr int epilogueRegisters = 64;
  static constexpr int matrixRegisters = least(
      240, (65536 / threads / 8 * 8 * threads - (threads - firstEpilogue * 32) * epilogueRegisters) / firstEpilogue / 256 * 8);

  // Sums of warps, rows and one for squares. Those of a single sequence are [rows][warps], with a stride of 4
  // modulo 8 that keeps readers off each other's banks; of several [warps][rows][sequences], as lanes have them, writers and
  // readers alike.
  static constexpr bool sumsOfWarpsMeet = M::sequences == 1;
  static constexpr int sumRows = largest(paddedRows, M::phaseCount) + 1; // lanes also store rows that are not there
  static constexpr int sumStride = upTo(M::warps, 4) % 8 == 0 ? upTo(M::warps, 4) + 4 : upTo(M::warps, 4);
  // Of more than eight those of the first eight, then those of the others, in other banks.
  static constexpr int sumsOfEight = upTo(M::warps * sumRows * 8, 32) + 16;
  __host__ __device__ static constexpr unsigned sumAt(int row, int sequence, int warp) {
    if constexpr (M::sequences > 8)
      return 4 * unsigned(sequence / 8 * sumsOfEight + (warp * sumRows + row) * 8 + sequence % 8);
    return 4 * unsigned(sumsOfWarpsMeet ? row * sumStride + warp : (warp * sumRows + row) * M::sequences + sequence);
  }
  static constexpr int sumsBytes = M::sequences > 8 ? 2 * sumsOfEight * 4 : upTo(sumRows *M::sequences *sumStride * 4, 16);
  // When a token is chosen, its keys take their place.
  static constexpr int logitsOfBlock = ceilDivide(M::vocabulary, M::blocks);
  static constexpr int keys = M::chooses ? powerOfTwo(M::vocabulary) : 0;

  static constexpr int startsAt = upTo(most(sumsBytes, keys * 24), 16);
  static constexpr int rowsAt = startsAt + (M::phaseCount + 1) * 4; // of each phase, that the block has
  static constexpr int tokensAt = startsAt + upTo((2 * M::phaseCount + 1) * 4, 8);
  static constexpr int usesAt = tokensAt + M::sequences * 8;
  /// Slots that a block's weights of one token fill at most.
  __host__ __device__ static constexpr int slotsOfToken() {
    int bytes = 0;
    for (int phase = 0; phase < M::phaseCount; ++phase)
      bytes += pieces(phase) * 16 * (phase < M::layerPhases ? M::layers : 1);
    return ceilDivide(bytes, slotBytes);
  }
  // How the next token of each sequence is chosen: sm1sampling::Choice and two sets of tokens, as choiceRowBytes has them.
  static constexpr int choiceBytes = M::chooses ? upTo(48 + 2 * 4 * ceilDivide(M::vocabulary, 32), 16) : 0;
  static constexpr int orderBytes = int(sizeof(Order)) + M::sequences * choiceBytes;
  static constexpr int ordersAt = upTo(usesAt + slotsOfToken() * 2, 16);
  static constexpr int issuedAt = ordersAt + (M::chooses ? 2 * orderBytes : 0);
  static constexpr int orderedAt = issuedAt + 8, chosenAt = orderedAt + 8; // mbarriers
  // With eight sequences a lane has no registers for the inverses of a norm: each warp keeps its own here.
  __host__ __device__ static constexpr int normedUnits(int phase) {
    return M::phase(phase).norm >= 0 ? upTo(unitsOfWarp(phase), 4) : 0;
  }
  static constexpr int inversesBytes = M::sequences > 4 ? largest(normedUnits, M::phaseCount) * 128 : 0;
  static constexpr int inversesAt = upTo(chosenAt + 8, 16);
  // Parameters of a block's channels stay here for the whole launch, and a single sequence's states: from memory they would come
  // late where weights rush in. Where they are many there is no room; two sequences and integers of 4 bits are quicker without.
  __host__ __device__ static constexpr int parametersBefore(int index) {
    int count = 0;
    for (int i = 0; i < index; ++i)
      count += M::parameter(i).rows * channels(M::parameter(i).partition);
    return count;
  }
  /// Number of the parameter at `offset` of the vectors.
  __host__ __device__ static constexpr int parameterAt(int offset) {
    int index = 0;
    while (M::parameter(index).offset != offset)
      ++index;
    return index;
  }
  /// A row of states has a place more, a zero, which threads without a channel read, for a load that asks whose it is takes longer.
  __host__ __device__ static constexpr int placesOfStates(int partition) { return channels(partition) + 1; }
  __host__ __device__ static constexpr int statesBefore(int index) {
    int count = 0;
    for (int i = 0; i < index; ++i)
      count += M::state(i).rows * placesOfStates(M::state(i).partition);
    return count;
  }
  static constexpr int parametersAt = inversesAt + inversesBytes * M::warps;
  static constexpr bool keepsParameters =
      M::bits != 4 && M::sequences != 2 && parametersBefore(M::parameterCount) * 4 <= M::sharedBytes / 16;
  static constexpr int statesAt = parametersAt + (keepsParameters ? parametersBefore(M::parameterCount) * 4 : 0);
  static constexpr bool keepsStates =
      keepsParameters && M::sequences == 1 && statesBefore(M::stateCount) * 4 <= M::sharedBytes / 32;
  static constexpr int barriersAt = upTo(statesAt + (keepsStates ? statesBefore(M::stateCount) * 4 : 0), 16);
  static constexpr int slots = (M::sharedBytes - barriersAt - 128) / (slotBytes + 16);
  static constexpr int ringAt = upTo(barriersAt + slots * 16, 128);
  static constexpr int ringBytes = slots * slotBytes;
  __host__ __device__ static constexpr int bytesOfWarp(int phase) { return unitsOfWarp(phase) * unit(phase, rows(phase)) * 16; }
  __host__ __device__ static constexpr int bytesOfTwo(int phase) {
    const int next = (phase + 1) % M::phaseCount;
    return (pieces(phase) + pieces(next)) * 16;
  }
  static constexpr int wordLines = sm1token::wordLines(M::exchangeWords, M::phaseCount, M::sequences);
  /// Of a phase's vector, in each copy of the words.
  template <int P> __host__ __device__ static constexpr int firstLine() {
    int vector = 0; // two phases may read the same one
    while (M::phase(vector).words != M::phase(P).words)
      ++vector;
    return M::phase(P).words / lineChannels(M::sequences) + vector;
  }
  /// Slots on their way at most; with few slots fewer, so that nobody laps.
  static constexpr int mostAhead = most(slots / (sharesRegisters ? 5 : 4), 1);
  /// A warp that waits for its weights of the next phase knows only that those of this one are there. Where there are more weights
  /// between than the ring holds, it has to know that the slot is not still being filled for the round before.
  static constexpr bool mayLap = largest(bytesOfTwo, M::phaseCount) > (slots - mostAhead - 2) * slotBytes;
  static_assert(ringBytes >= largest(bytesOfWarp, M::phaseCount) + 2 * slotBytes,
                "the ring must hold what a warp reads in a phase: fewer sequences, or more shared memory");
};

/// Where the weights of a phase's norm lie in the vectors: those of a layer, or those behind the layers.
template <class M> __host__ __device__ constexpr int normOf(int phase, int layer) {
  return M::phase(phase).norm + (phase < M::layerPhases ? layer * upTo(M::phase(phase).width, 16) : 0);
}

/// What every warp knows of its block.
template <class M> struct Block {
  using S = Sizes<M>;
  const Launch &launch;
  unsigned char *const memory; ///< the block's shared memory
  const unsigned shared;       ///< its address there
  const unsigned bytes;        ///< of weights for one token
  int first[M::partitionCount], count[M::partitionCount];

  __device__ Block(const Launch &launch, unsigned char *memory)
      : launch(launch), memory(memory), shared(sharedAddress(memory)), bytes(launch.shares[blockIdx.x].bytes) {
#pragma unroll
    for (int partition = 0; partition < M::partitionCount; ++partition) {
      first[partition] = int(launch.shares[blockIdx.x].first[partition]);
      count[partition] = int(launch.shares[blockIdx.x].count[partition]);
    }
  }

  __device__ unsigned full(unsigned slot) const { return shared + S::barriersAt + slot * 16; }
  __device__ unsigned empty(unsigned slot) const { return full(slot) + 8; }
  template <class T> __device__ T *at(int offset) const { return reinterpret_cast<T *>(memory + offset); }
  /// Whether the host orders tokens.
  __device__ bool isOrdered() const { return M::chooses && launch.orders; }
  /// Completes a phase for every order that has come.
  __device__ unsigned ordered() const { return shared + S::orderedAt; }
  /// Likewise for every token that has been chosen.
  __device__ unsigned chosen() const { return shared + S::chosenAt; }
  /// The order of a token, once it has come; its choices follow.
  __device__ const Order *order(int token) const { return at<const Order>(S::ordersAt + token % 2 * S::orderBytes); }
  /// Whether another token follows. Needs the order, if there is one.
  __device__ bool goesOn(int token) const { return isOrdered() ? order(token)->then == goOn : token + 1 < launch.repeats; }
  /// [sequences] the token that each is at, and whether its states are to be changed.
  __device__ int *tokens() const { return at<int>(S::tokensAt); }
  __device__ int *alive() const { return at<int>(S::tokensAt) + M::sequences; }
  /// Of the vectors that a layer of a token makes; what follows the layers is layer M::layers.
  __device__ unsigned epochOf(int token, int layer) const { return launch.epoch + unsigned(token * (M::layers + 1) + layer); }
  __device__ unsigned slotsOfToken() const { return (bytes + slotBytes - 1) / slotBytes; }
  /// Rows of a phase's matrices that are this block's.
  __device__ int rows(const Phase &phase) const { return phase.matrices * count[phase.partition]; }
  /// The tag of what phase P reads in a layer. A token has as many of each phase as it has layers, the last vector that phase 0
  /// would read being that of the logits.
  template <int P> __device__ unsigned tagOf(int token, int layer, int sequence) const {
    constexpr bool isCarried = P == 0 || P >= M::layerPhases;
    return (launch.tags >> sequence) + unsigned(token * M::layers + layer - isCarried);
  }
  /// Words of a phase's input: of eight channels those of all sequences, then the next eight; line by line.
  template <int P> __device__ unsigned short *words(int replica, int sequence) const {
    return launch.exchange + offsetOfWords<P>(replica) + sequence * 8;
  }
  template <int P> __device__ static constexpr int offsetOfWords(int replica) {
    return (replica * S::wordLines + S::template firstLine<P>()) * (wordDistance(M::sequences) / 2);
  }
  /// Offset of a channel's word from that of channel 0. Those of multiples of 32 channels can be added to others.
  __host__ __device__ static constexpr int wordAt(unsigned channel) {
    constexpr unsigned channels = lineChannels(M::sequences);
    return int(channel / channels * (wordDistance(M::sequences) / 2) + channel % channels / 8 * (8 * M::sequences) + channel % 8);
  }
};

} // namespace sm1token
