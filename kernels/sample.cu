// The next token of every sequence of a batch, chosen where its logits lie: only the token goes back to the host.
//
// A block of 512 threads takes one sequence; sampling.cuh says how. Vocabularies up to 1,024 fit in shared memory, larger ones sort
// in `room`. The chosen token goes to the model's input for the next step, too, and a sequence that stops is taken out of the table
// of states, so that the step that may be on its way already leaves its state alone.
//
// Results are for a host that looks for them while later kernels run: sampling.h, Told.
//
// The runtime embeds sample.ptx, which `tests/structure/ptx.py --write` makes of this file.
#include "sampling.cuh"

using namespace sm1sampling;

__device__ static Key bestOfWarp(Key key) {
  const unsigned high = __reduce_max_sync(~0u, unsigned(key >> 32));
  return Key(high) << 32 | __reduce_max_sync(~0u, unsigned(key >> 32) == high ? unsigned(key) : 0);
}

struct WholeBlock {
  static constexpr int size = 512;
  __device__ int rank() const { return threadIdx.x; }
  __device__ void meet() const { __syncthreads(); }
};

/// The best logit, as it is: most choices. A thread asks for its first one before it knows that.
__device__ static Chosen chooseBest(const float *logits, int count, float first) {
  __shared__ Key bests[WholeBlock::size / 32];
  bool someDamaged = false;
  Key best = 0;
  for (int token = threadIdx.x; token < count; token += WholeBlock::size) {
    const float logit = token < WholeBlock::size ? first : logits[token];
    someDamaged |= isDamaged(logit);
    best = max(best, isBarred(logit) ? 0 : rankKey(logit, token));
  }
  best = bestOfWarp(best);
  if (threadIdx.x % 32 == 0)
    bests[threadIdx.x / 32] = best;
  if (__syncthreads_or(someDamaged))
    return {0, damaged, 0, 0};
  best = bestOfWarp(threadIdx.x % 32 < WholeBlock::size / 32 ? bests[threadIdx.x % 32] : 0);
  return best ? Chosen{tokenOf(best), chosen, 0, 0} : Chosen{0, nothingLeft, 0, 0};
}

/// logits [rows][stride]; choices a row every `choiceBytes`; tokens, sequences and room may be null; room has 24 * padded bytes
/// a row.
extern "C" __global__ void __launch_bounds__(WholeBlock::size)
    sm1_sample(const float *logits, long long stride, long long count64, const unsigned char *choices, long long choiceBytes,
               int *tokens, Told *results, unsigned long long *sequences, unsigned char *room, long long padded64) {
  extern __shared__ Key sharedRoom[];
  __shared__ Decision decision;
  long long row = blockIdx.x;
  int count = int(count64), padded = int(padded64);
  const Choice &choice = *reinterpret_cast<const Choice *>(choices + row * choiceBytes);
  logits += row * stride;
  const float first = threadIdx.x < count ? logits[threadIdx.x] : 0;
  const int flags = choice.flags;
  if (flags & skipped) {
    if (threadIdx.x == 0)
      results[row] = told({0, nothingLeft, 0, 0}, flags);
    return;
  }
  Key *keys = room ? reinterpret_cast<Key *>(room + row * padded64 * 24) : sharedRoom;
  double *sums = reinterpret_cast<double *>(keys + padded);
  Chosen result = flags & greedy ? chooseBest(logits, count, first) : Chosen{0, damaged, 0, 0};
  if (result.status == damaged) { // whose it is
    if (threadIdx.x == 0)
      decision.begin(count);
    __syncthreads();
    result = chooseToken(WholeBlock(), choice, logits, SamplingRoom{keys, sums, sums + padded, &decision, count, padded});
  }
  if (threadIdx.x > 0)
    return;
  if (tokens)
    tokens[row] = result.status == chosen ? result.token : 0;
  results[row] = told(result, flags);
  if (sequences && ends(choice, result))
    sequences[row] = 0;
}
