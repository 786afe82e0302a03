// A whole token in one launch: the part that every model shares. sm1c prints what differs, a struct Model of sizes and a struct
// Pointwise of everything that is computed channel by channel, and includes this (compiler/lib/Cuda/TokenText.cpp).
//
// One block a multiprocessor, all of them resident. A model is a list of phases; a phase multiplies matrices with one vector. The
// rows of its matrices are shared out so that what is combined in one expression, channel c of each, belongs to one block. Blocks
// meet only where a phase needs the whole vector that all of them have made. In a block
//
//   `warps` matrix warps   share the columns of every matrix: each needs its part of the vector only, and waits for nothing else
//   epilogue warps         add the warps' sums, compute what is pointwise, and publish the next vector
//   the producer warp      keeps a ring of weights full, as far ahead as it has room, at a steady pace
//   the order warp         hears from the host how the next token is to be chosen (token_choice.cuh); the producer does that where
//                          there is no room for one more warp
//
// Published words prove themselves: one bit, the tag, changes each time that a word is written (token_instructions.cuh). A reader
// polls until all of its words have the tag it waits for; it has seen the one before, so it cannot take older words for new ones.
// No flags, no fences, no atomics. One buffer a phase is enough: before a block writes a word again it has read words of every
// block that came after the last use of the old one, because every block owns at least one channel of every phase.
#pragma once

#include "token_epilogue.cuh"
#include "token_matrix.cuh"

namespace sm1token {

/// Of state `index` and those behind it, what is nobody's.
template <class M, int index = 0> __device__ void clearSparePlaces(const Block<M> &block) {
  using S = Sizes<M>;
  if constexpr (S::keepsStates && index < M::stateCount) {
    constexpr Rows state = M::state(index);
    constexpr int places = S::placesOfStates(state.partition);
    for (int row = threadIdx.x; row < state.rows; row += S::threads)
      storeShared(block.shared + S::statesAt + (S::statesBefore(index) + (row + 1) * places - 1) * 4, 0.0f);
    clearSparePlaces<M, index + 1>(block);
  }
}
/// Parameters of the block's channels, from number `index` on, come into shared memory.
template <class M, int index = 0> __device__ void keepParameters(const Block<M> &block) {
  using S = Sizes<M>;
  if constexpr (S::keepsParameters && index < M::parameterCount) {
    constexpr Rows parameter = M::parameter(index);
    constexpr int channels = S::channels(parameter.partition), stride = upTo(M::partitionWidth(parameter.partition), 16);
    const float *from = block.launch.vectors + parameter.offset + block.first[parameter.partition];
    for (int i = threadIdx.x; i < parameter.rows * channels; i += S::threads)
      if (i % channels < block.count[parameter.partition])
        copyNumber(block.shared + S::parametersAt + (S::parametersBefore(index) + i) * 4,
                   from + i / channels * stride + i % channels);
    keepParameters<M, index + 1>(block);
  }
}

/// Everything before the first token.
template <class M> __device__ void prepare(const Block<M> &block) {
  using S = Sizes<M>;
  const Launch &launch = block.launch;
  for (int i = threadIdx.x; i < S::sumsBytes / 4; i += S::threads) // sums are read in fours, also where there are fewer warps
    block.template at<unsigned>(0)[i] = 0;
  const unsigned short *uses = launch.uses + launch.shares[blockIdx.x].uses;
  for (unsigned slot = threadIdx.x; slot < block.slotsOfToken(); slot += S::threads)
    block.template at<unsigned short>(S::usesAt)[slot] = uses[slot];
  if (threadIdx.x < S::slots) {
    makeBarrier(block.full(threadIdx.x), 1);
    makeBarrier(block.empty(threadIdx.x), slotUses);
  }
  if (threadIdx.x < M::sequences) {
    const bool there = int(threadIdx.x) < launch.sequenceCount;
    block.tokens()[threadIdx.x] = there ? launch.tokens[threadIdx.x] : 0;
    block.alive()[threadIdx.x] = there;
  }
  if (threadIdx.x == 0) {
    *block.template at<unsigned>(S::issuedAt) = 0;
    makeBarrier(block.ordered(), 1);
    makeBarrier(block.chosen(), 1);
    unsigned *starts = block.template at<unsigned>(S::startsAt), start = 0;
#pragma unroll
    for (int phase = 0; phase < M::phaseCount; ++phase) {
      block.template at<unsigned>(S::rowsAt)[phase] = unsigned(block.rows(M::phase(phase)));
      starts[phase] = start;
      start += unsigned(S::units(phase) * S::unit(phase, block.rows(M::phase(phase))));
      if (phase == M::layerPhases - 1) {
        starts[M::phaseCount] = start; // the length of a layer
        start *= M::layers;
      }
    }
  }
  keepParameters(block);
  clearSparePlaces(block);
  copiesAreThere();
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();
}

/// Every warp of a block with more than eight sequences.
template <class M, class Pointwise> __device__ void runWarpgroups(const Block<M> &block) {
  using S = Sizes<M>;
  const int warp = threadIdx.x / 32;
  if (warp < S::firstEpilogue) {
    takeMoreRegisters<S::matrixRegisters>();
    if (warp < M::warps)
      MatrixWarp<M>(block, warp).run();
    else if (warp == S::producer)
      Producer<M>(block).run();
    else if (S::ordersApart && warp == S::orderer && block.isOrdered())
      followOrders(block);
  } else {
    takeLessRegisters<S::epilogueRegisters>();
    if (warp < S::firstEpilogue + S::epilogueWarps) {
      Epilogue<M> epilogue(block);
#pragma unroll 1
      do
        Pointwise::run(epilogue);
      while (epilogue.next());
    }
  }
}

template <class M, class Pointwise> __device__ void runTokens(const Launch &launch) {
  using S = Sizes<M>;
  extern __shared__ __align__(128) unsigned char memory[];
  const Block<M> block(launch, memory);
  prepare(block);
  const int warp = threadIdx.x / 32;
  if constexpr (S::sharesRegisters)
    runWarpgroups<M, Pointwise>(block);
  else if (warp < M::warps)
    MatrixWarp<M>(block, warp).run();
  else if (threadIdx.x < S::workers) {
    Epilogue<M> epilogue(block);
#pragma unroll 1
    do
      Pointwise::run(epilogue);
    while (epilogue.next());
  } else if (warp == S::workers / 32)
    Producer<M>(block).run();
  else if (block.isOrdered())
    followOrders(block);
}

} // namespace sm1token
