// The next token of every sequence of a batch, chosen where its logits lie: only the token goes back to the host.
//
// A block of 512 threads takes one sequence. Greedy: the best key of all. Else: keys sorted (bitonic), weights of the sorted
// candidates, their prefix sums, and two searches; sampling.h says what exactly. Vocabularies up to 1,024 fit in shared memory,
// larger ones sort in `room`. The chosen token goes to the model's input for the next step, too, and a sequence that stops is taken
// out of the table of states, so that the step that may be on its way already leaves its state alone.
//
// The runtime embeds sample.ptx, which `tests/structure/ptx.py --write` makes of this file.
#include "sampling.h"

using namespace sm1sampling;

constexpr int blockThreads = 512;

/// The shared variables that threads decide together.
struct Decision {
  Key best;
  int firstDamaged, candidates, kept, place;
};

/// Keys in descending order; `size` is a power of two.
static __device__ void sortKeys(Key *keys, int size) {
  for (int width = 2; width <= size; width *= 2)
    for (int distance = width / 2; distance > 0; distance /= 2) {
      for (int i = threadIdx.x; i < size / 2; i += blockThreads) {
        int low = i / distance * distance * 2 + i % distance, high = low + distance;
        bool descending = (low & width) == 0;
        Key first = keys[low], second = keys[high];
        if ((first < second) == descending) {
          keys[low] = second;
          keys[high] = first;
        }
      }
      __syncthreads();
    }
}

/// Prefix sums of `count` values in the order that sampling.h states; the array that holds them is returned.
static __device__ double *prefixSums(double *values, double *others, int count) {
  for (int distance = 1; distance < count; distance *= 2) {
    for (int i = threadIdx.x; i < count; i += blockThreads)
      others[i] = i >= distance ? values[i] + values[i - distance] : values[i];
    __syncthreads();
    double *swap = values;
    values = others;
    others = swap;
  }
  return values;
}

/// The drawn token from sorted keys; every thread returns it.
static __device__ int draw(const Choice &choice, const Key *keys, double *sums, double *others, Decision &decision) {
  int count = decision.candidates;
  double best = logitOf(keys[0]);
  for (int i = threadIdx.x; i < count; i += blockThreads)
    sums[i] = expOfNegative((logitOf(keys[i]) - best) / choice.temperature);
  __syncthreads();
  sums = prefixSums(sums, others, count);
  double most = choice.topP * sums[count - 1];
  for (int i = threadIdx.x + 1; i < count; i += blockThreads)
    if (sums[i - 1] > most)
      atomicMin(&decision.kept, i);
  __syncthreads();
  int kept = decision.kept;
  double target = choice.draw * sums[kept - 1];
  for (int i = threadIdx.x; i < kept; i += blockThreads)
    if (sums[i] > target)
      atomicMin(&decision.place, i);
  __syncthreads();
  return tokenOf(keys[min(decision.place, kept - 1)]);
}

/// Keys of all tokens, 0 for those that are barred and in the padding.
static __device__ void makeKeys(const Choice &choice, const float *logits, int count, int padded, Key *keys, Decision &decision) {
  const unsigned *penalisedSet = reinterpret_cast<const unsigned *>(&choice + 1), *barredSet = penalisedSet + (count + 31) / 32;
  int candidates = 0, firstDamaged = count;
  Key best = 0;
  for (int token = threadIdx.x; token < padded; token += blockThreads) {
    float logit = token < count ? weighed(choice, logits, penalisedSet, barredSet, token) : -bitsAs<float>(0x7f800000u);
    if (isDamaged(logit))
      firstDamaged = min(firstDamaged, token);
    Key key = isBarred(logit) ? 0 : rankKey(logit, token);
    candidates += key != 0;
    best = max(best, key);
    if (!(choice.flags & greedy))
      keys[token] = key;
  }
  atomicAdd(&decision.candidates, candidates);
  if (firstDamaged < count)
    atomicMin(&decision.firstDamaged, firstDamaged);
  atomicMax(&decision.best, best);
  __syncthreads();
}

/// logits [rows][stride]; choices a row every `choiceBytes`; tokens, room may be null; room has 24 * padded bytes a row.
extern "C" __global__ void __launch_bounds__(blockThreads)
    sm1_sample(const float *logits, long long stride, long long count64, const unsigned char *choices, long long choiceBytes,
               int *tokens, Chosen *results, unsigned long long *sequences, unsigned char *room, long long padded64) {
  extern __shared__ Key sharedRoom[];
  __shared__ Decision decision;
  long long row = blockIdx.x;
  int count = int(count64), padded = int(padded64);
  const Choice &choice = *reinterpret_cast<const Choice *>(choices + row * choiceBytes);
  if (choice.flags & skipped)
    return;
  Key *keys = room ? reinterpret_cast<Key *>(room + row * padded64 * 24) : sharedRoom;
  double *sums = reinterpret_cast<double *>(keys + padded), *others = sums + padded;
  if (threadIdx.x == 0)
    decision = {0, count, 0, 0x7fffffff, 0x7fffffff};
  __syncthreads();
  makeKeys(choice, logits + row * stride, count, padded, keys, decision);
  Chosen result = {0, chosen, 0, 0};
  if (decision.firstDamaged < count) {
    const unsigned *penalisedSet = reinterpret_cast<const unsigned *>(&choice + 1), *barredSet = penalisedSet + (count + 31) / 32;
    int token = decision.firstDamaged;
    result = {token, damaged, weighed(choice, logits + row * stride, penalisedSet, barredSet, token), 0};
  } else if (decision.candidates == 0) {
    result.status = nothingLeft;
  } else if (choice.flags & greedy) {
    result.token = tokenOf(decision.best);
  } else {
    if (threadIdx.x == 0)
      decision.kept = decision.candidates;
    sortKeys(keys, padded);
    result.token = draw(choice, keys, sums, others, decision);
  }
  if (threadIdx.x > 0)
    return;
  results[row] = result;
  if (tokens)
    tokens[row] = result.status == chosen ? result.token : 0;
  if ((choice.flags & stops) || result.status != chosen || result.token == choice.end)
    sequences[row] = 0;
}
