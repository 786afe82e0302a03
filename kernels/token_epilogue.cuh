// What is computed channel by channel in the kernel for whole tokens: the means that a struct Pointwise has.
#pragma once

#include "sm1_math.cuh"
#include "token_choice.cuh"

namespace sm1token {

//===-- Special functions ---------------------------------------------------------------------------------------------------===//

// As in kernels that multiply bf16, which lose nothing by it: few instructions, while other warps make the next phase's weights
// ready.

/// 2 ulp, and as much again for each power of two in v.
__device__ inline float exp(float v) {
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(v * 1.44269504f));
  return power;
}
/// Where 1 + v would swallow v, two terms of the series.
__device__ inline float log1p(float v) {
  float logarithm;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(logarithm) : "f"(1.0f + v));
  return sm1::abs(v) < 9.765625e-4f ? sm1::fma(v * -0.5f, v, v) : logarithm * 0.693147182f;
}
/// 2 ulp.
__device__ inline float quotient(float a, float b) {
  float q;
  asm("div.full.ftz.f32 %0, %1, %2;" : "=f"(q) : "f"(a), "f"(b));
  return q;
}
/// By 1 + exp(x), as gates have it: zero where that is more than 2^126.
__device__ inline float gateQuotient(float a, float b) {
  float q;
  asm("div.approx.ftz.f32 %0, %1, %2;" : "=f"(q) : "f"(a), "f"(b));
  return q;
}
/// Of what is no less than a norm's epsilon, 2 ulp.
__device__ inline float inverseRoot(float v) {
  float root;
  asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(root) : "f"(v));
  return root;
}

//===-- Channels ------------------------------------------------------------------------------------------------------------===//

/// A thread has one channel of every partition, the same for the whole launch, of one sequence: what is computed in one phase and
/// used in a later one stays in its registers. Threads that are too many compute what the first one does, and write nothing.
template <class M> class Epilogue {
  using S = Sizes<M>;
  /// Up to four sequences let matrix warps load as soon as sums are on their way to registers. With more, whose matrix warps have
  /// much to do then, some of what is computed of sums comes first, in the compiler's order.
  static constexpr bool goesAhead = M::sequences <= 4;
  static constexpr int fours = ceilDivide(M::warps, 4);

public:
  __device__ explicit Epilogue(const Block<M> &block) : block(block), launch(block.launch) {
    const int item = int(threadIdx.x) - S::firstEpilogue * 32;
#pragma unroll
    for (int partition = 0; partition < M::partitionCount; ++partition) {
      const int count = block.count[partition];
      owns[partition] = item < count * M::sequences && item % M::sequences < launch.sequenceCount;
      busy[partition] = item / 32 * 32 < count * M::sequences;
      const int own = owns[partition] ? item : 0;
      sequence[partition] = own % M::sequences;
      place[partition] = own / M::sequences;
      statePlaces[partition] = owns[partition] ? place[partition] : S::channels(partition);
      states[partition] = launch.sequences[sequence[partition]];
      words[partition] = kept(launch.exchange + sequence[partition] * 8 + block.wordAt(block.first[partition] + place[partition]));
    }
    keepStates();
  }

  /// Waits for the products of phase P, the next one, and reads them. Only then do matrix warps load the weights of the phase
  /// behind it: these reads would wait for all that loads from shared memory before them.
  template <int P> __device__ void wait() {
    static_assert(P < M::phaseCount, "a phase");
    const unsigned again = goesAhead ? kept(0u) : 0; // it is not known to be zero
    meet<S::workers>(1);
    do { // once: what follows stays behind a loop, else the compiler would let the others wait for it
      readSums<P>();
      __syncwarp();
      pass<S::workers>(2);
    } while (again);
    addSums<P>();
  }
  /// The product with matrix `matrix` of phase P, without the norm.
  template <int P> __device__ float product(int matrix) const { return sums[matrix] * scaleOfSums(M::bits); }
  /// 1 / rms of the vector that phase P read.
  template <int P> __device__ float inverseRms(float eps) const {
    return inverseRoot(sums[M::phase(P).matrices] * (1.0f / squareScale / M::phase(P).width) + eps);
  }

  /// Row `row` of `rows` of parameter `number`; `layer` 0 where it has no layers.
  template <int partition, int number> __device__ float parameter(int layer, int row = 0, int rows = 1) const {
    if constexpr (S::keepsParameters)
      return __uint_as_float(loadShared(keptParameter<partition, number>(layer * rows + row)));
    constexpr int stride = upTo(M::partitionWidth(partition), 16);
    return loadHere(launch.vectors + M::parameter(number).offset + (layer * rows + row) * stride + channel<partition>());
  }
  template <int partition> __device__ float state(int index, int layer, int row = 0, int rows = 1) const {
    if constexpr (S::keepsStates)
      return __uint_as_float(loadShared(keptState<partition>(index, layer * rows + row)));
    return loadHereIf(statePlace<partition>(index, layer, row, rows), states[partition] != 0);
  }
  template <int partition> __device__ void setState(float value, int index, int layer, int row = 0, int rows = 1) const {
    if constexpr (S::keepsStates) {
      storeBothIf(statePlace<partition>(index, layer, row, rows), keptState<partition>(index, layer * rows + row), value,
                  states[partition] && owns[partition]);
    } else {
      if (!states[partition] || !owns[partition])
        return;
      *statePlace<partition>(index, layer, row, rows) = value;
    }
  }
  /// The channel's number in the embedding of the sequence's token.
  template <int partition> __device__ float embedded() const {
    auto *table = static_cast<const typename M::TableNumber *>(launch.table);
    return sm1::widen(table[size_t(block.tokens()[sequence[partition]]) * M::tableStride + channel<partition>()]);
  }

  /// Asks for what the channel's value has to be multiplied with before phase P, which runs in `layer`, gets it. Where parameters
  /// lie in shared memory all that a word takes is made here, so that nothing of it is behind the sums; from memory it takes its
  /// time.
  template <int P> __device__ void weigh(int layer) {
    if constexpr (S::keepsParameters) {
      tags[P] = kept(wordTag(block.template tagOf<P>(token, layer, sequence[partitionOfVector<P>()])));
      if constexpr (isNormed<P>())
        factors[P] = __uint_as_float(kept(__float_as_uint(keptFactor<P>(layer))));
    } else if constexpr (isNormed<P>()) {
      int at = M::phase(P).norm < 0 ? -1 : normOf<M>(P, layer);
      if (P == 0 && layer == M::layers)
        at = M::phase(M::layerPhases).norm;
      hasWeight[P] = at >= 0;
      const float *from =
          launch.vectors + kept(unsigned(most(at, 0) + channel<partitionOfVector<P>()>())); // behind what was published
      weights[P] = loadHere(from);
    }
  }
  /// Gives the channel's value to phase P, which runs in `layer`.
  template <int P, int partition> __device__ void publish(float value, int layer) {
    static_assert(P < M::layerPhases && partition == partitionOfVector<P>(), "a phase of a layer");
    if constexpr (S::keepsParameters) {
      const unsigned word = wordOf(value * (isNormed<P>() ? factors[P] : wordScale), tags[P]);
#pragma unroll
      for (int replica = 0; replica < M::replicas; ++replica)
        putWordIf(words[partition] + block.template offsetOfWords<P>(replica), word, owns[partition]);
      return;
    }
    value *= isNormed<P>() && hasWeight[P] ? factorOfNorm(weights[P]) * wordScale
                                           : wordScale; // of all lanes: else the weight is loaded here
    if (!owns[partition])
      return;
    const unsigned word = wordOf(value, wordTag(block.template tagOf<P>(token, layer, sequence[partition])));
#pragma unroll
    for (int replica = 0; replica < M::replicas; ++replica)
      putWord(words[partition] + block.template offsetOfWords<P>(replica), word);
  }
  /// The end of a token.
  template <int ownPartition> __device__ void logit(float value) {
    __syncwarp();
    const int of = sequence[ownPartition];
    if (block.isOrdered()) {
      publishBest(block, int(threadIdx.x) / 32 - S::firstEpilogue, value, owns[ownPartition] ? channel<ownPartition>() : -1,
                  block.epochOf(token, M::layers));
      if (owns[ownPartition])
        storeKey(placeOfLogit(block, of, channel<ownPartition>()),
                 static_cast<unsigned long long>(__float_as_uint(value)) << 32 | block.epochOf(token, M::layers));
      meetChosen<M>();
#pragma unroll
      for (int partition = 0; partition < M::partitionCount; ++partition)
        if (!block.alive()[sequence[partition]])
          states[partition] = 0;
    }
    if (owns[ownPartition] && !block.goesOn(token))
      launch.logits[of * launch.logitsStride + channel<ownPartition>()] = value;
  }
  /// Goes to the next token; false if there is none.
  __device__ bool next() { return block.goesOn(token++); }

private:
  template <int P> __host__ __device__ static constexpr bool isNormed() {
    return M::phase(P).norm >= 0 || (P == 0 && M::phase(M::layerPhases).norm >= 0);
  }
  /// Whose channels are those of phase P's vector.
  template <int P> __host__ __device__ static constexpr int partitionOfVector() {
    int partition = 0;
    while (M::partitionWidth(partition) != M::phase(P).width)
      ++partition;
    return partition;
  }

  /// Addresses of a thread's own numbers in shared memory.
  template <int partition, int number> __device__ unsigned keptParameter(int row) const {
    constexpr int before = S::parametersBefore(number);
    return block.shared + S::parametersAt + (before + row * S::channels(partition) + place[partition]) * 4;
  }
  template <int partition> __device__ unsigned keptState(int index, int row) const {
    return block.shared + S::statesAt + (S::statesBefore(index) + row * S::placesOfStates(partition) + statePlaces[partition]) * 4;
  }
  /// What the channel's value is multiplied with for phase P: by the weight of its norm, or of the one behind the layers.
  template <int P> __device__ float keptFactor(int layer) const {
    constexpr int partition = partitionOfVector<P>(), ofLogits = M::phase(M::layerPhases).norm, own = M::phase(P).norm;
    const bool isLast = P == 0 && layer == M::layers;
    if (isLast ? ofLogits < 0 : own < 0)
      return wordScale;
    const unsigned from = isLast ? keptParameter<partition, S::parameterAt(most(ofLogits, 0))>(0)
                                 : keptParameter<partition, S::parameterAt(most(own, 0))>(layer);
    return factorOfNorm(__uint_as_float(loadShared(from))) * wordScale;
  }
  /// Of a sequence that has no states they are zero.
  template <int index = 0> __device__ void keepStates() const {
    if constexpr (S::keepsStates && index < M::stateCount) {
      constexpr int partition = M::state(index).partition;
#pragma unroll 5
      for (int row = 0; row < M::state(index).rows; ++row)
        if (owns[partition])
          storeShared(keptState<partition>(index, row), states[partition] ? *statePlace<partition>(index, 0, row, 1) : 0.0f);
      __syncwarp();
      keepStates<index + 1>();
    }
  }

  template <int partition> __device__ int channel() const { return block.first[partition] + place[partition]; }
  /// What the warps have of each matrix and of squares: all loads, then all additions, unless registers are few.
  template <int P> __device__ void readSums() {
    constexpr int partition = M::phase(P).partition, matrices = M::phase(P).matrices, count = matrices + (M::phase(P).norm >= 0);
    if (S::epilogueWarps > 1 && !busy[partition])
      return;
#pragma unroll
    for (int i = 0; i < count; ++i) {
      const int which = (i + matrices) % count; // squares first: most is computed of them
      const int row = which == matrices ? S::sumRows - 1 : which * block.count[partition] + place[partition];
#pragma unroll
      for (int four = 0; four < fours; ++four)
        parts[which][four] = partsOf(row, sequence[partition], four * 4);
      if constexpr (S::sharesRegisters)
        sums[which] = sumOfParts(parts[which]);
    }
  }
  template <int P> __device__ void addSums() {
    if (S::epilogueWarps > 1 && !busy[M::phase(P).partition])
      return;
#pragma unroll
    for (int i = 0; !S::sharesRegisters && i < M::phase(P).matrices + (M::phase(P).norm >= 0); ++i)
      sums[i] = sumOfParts(parts[i]);
  }
  static __device__ float sumOfParts(const float4 (&of)[fours]) {
    float sum = sumOfFour(of[0], M::warps);
#pragma unroll
    for (int four = 1; four < fours; ++four)
      sum += sumOfFour(of[four], M::warps - four * 4);
    return sum;
  }
  /// Of `count` numbers, if there are no more.
  static __device__ float sumOfFour(float4 v, int count) {
    const float first = count > 1 ? v.x + v.y : v.x;
    return count > 3 ? first + (v.z + v.w) : count > 2 ? first + v.z : first;
  }
  /// What four warps have, zeros of warps that are not there.
  __device__ float4 partsOf(int row, int of, int warp) const {
    float v[4] = {};
    if constexpr (S::sumsOfWarpsMeet) {
      const float4 found = floatsOf(loadShared4(block.shared + S::sumAt(row, of, warp)));
      v[0] = found.x, v[1] = found.y, v[2] = found.z, v[3] = found.w;
    }
#pragma unroll
    for (int i = 0; i < 4; ++i)
      if (warp + i >= M::warps)
        v[i] = 0;
      else if constexpr (!S::sumsOfWarpsMeet)
        v[i] = __uint_as_float(loadShared(block.shared + S::sumAt(row, of, warp + i)));
    return make_float4(v[0], v[1], v[2], v[3]);
  }
  template <int partition> __device__ float *statePlace(int index, int layer, int row, int rows) const {
    constexpr int stride = upTo(M::partitionWidth(partition), 16);
    return reinterpret_cast<float *>(states[partition] + launch.stateOffset[index]) + (layer * rows + row) * stride +
           channel<partition>();
  }

  const Block<M> &block;
  const Launch &launch;
  int place[M::partitionCount], sequence[M::partitionCount];
  int statePlaces[M::partitionCount];                    ///< of its states in shared memory, or the spare one
  unsigned long long states[M::partitionCount];          ///< of the sequence; 0: nowhere
  bool owns[M::partitionCount], busy[M::partitionCount]; ///< by the thread; by one of its warp
  unsigned short *words[M::partitionCount];              ///< of the channel, in the first vector
  float weights[M::layerPhases];                         ///< of the norm behind what is published next
  bool hasWeight[M::layerPhases] = {};
  float factors[M::layerPhases];                                   ///< or what that is multiplied with
  unsigned tags[M::layerPhases];                                   ///< and its tag
  float4 parts[S::largest(S::matrices, M::phaseCount) + 1][fours]; ///< of sums, four warps each
  float sums[S::largest(S::matrices, M::phaseCount) + 1] = {};     ///< of the phase: of each matrix, and of squares
  int token = 0;
};

} // namespace sm1token
