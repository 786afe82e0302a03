// Choosing a token with all threads of a group, from logits that each of them can read. sampling.h says what is computed.
//
// Greedy: the best key of all. Else: keys sorted (bitonic), weights of the sorted candidates, their prefix sums, and two searches.
// A group says who a thread is and lets threads meet; its ranks go through whole warps in order:
//
//   struct Group { int rank() const; static constexpr int size; void meet() const; };
#pragma once

#include "sampling.h"

namespace sm1sampling {

/// The shared variables that threads decide together.
struct Decision {
  Key best;
  int firstDamaged, candidates, kept, place;
};

/// What a group needs besides the logits: `keys`, `sums` and `others` have `padded` elements each, a power of two and at least count.
struct SamplingRoom {
  Key *keys;
  double *sums, *others;
  Decision *decision;
  int count, padded;
};

/// Keys in descending order. Pairs that are at most 32 apart lie in 64 keys of one warp, which goes through such rounds by itself.
template <class Group> __device__ inline void sortKeys(const Group &group, Key *keys, int size) {
#pragma unroll 1
  for (int width = 2; width <= size; width *= 2)
#pragma unroll 1
    for (int distance = width / 2; distance > 0; distance /= 2) {
#pragma unroll 1
      for (int i = group.rank(); i < size / 2; i += Group::size) {
        int low = i / distance * distance * 2 + i % distance, high = low + distance;
        bool descending = (low & width) == 0;
        Key first = keys[low], second = keys[high];
        if ((first < second) == descending) {
          keys[low] = second;
          keys[high] = first;
        }
      }
      int next = distance > 1 ? distance / 2 : width;
      if (distance > 32 || next > 32)
        group.meet();
      else
        __syncwarp();
    }
  group.meet();
}

/// Prefix sums of `count` values in the order that sampling.h states; the array that holds them is returned.
template <class Group> __device__ inline double *prefixSums(const Group &group, double *values, double *others, int count) {
#pragma unroll 1
  for (int distance = 1; distance < count; distance *= 2) {
#pragma unroll 1
    for (int i = group.rank(); i < count; i += Group::size)
      others[i] = i >= distance ? values[i] + values[i - distance] : values[i];
    group.meet();
    double *swap = values;
    values = others;
    others = swap;
  }
  return values;
}

/// The drawn token from sorted keys; every thread returns it.
template <class Group> __device__ inline int draw(const Group &group, const Choice &choice, const SamplingRoom &room) {
  Decision &decision = *room.decision;
  int count = decision.candidates;
  double best = logitOf(room.keys[0]);
#pragma unroll 1
  for (int i = group.rank(); i < count; i += Group::size)
    room.sums[i] = expOfNegative((logitOf(room.keys[i]) - best) / choice.temperature);
  group.meet();
  double *sums = prefixSums(group, room.sums, room.others, count);
  double most = choice.topP * sums[count - 1];
#pragma unroll 1
  for (int i = group.rank() + 1; i < count; i += Group::size)
    if (sums[i - 1] > most)
      atomicMin(&decision.kept, i);
  group.meet();
  int kept = decision.kept;
  double target = choice.draw * sums[kept - 1];
#pragma unroll 1
  for (int i = group.rank(); i < kept; i += Group::size)
    if (sums[i] > target)
      atomicMin(&decision.place, i);
  group.meet();
  return tokenOf(room.keys[decision.place < kept ? decision.place : kept - 1]);
}

/// Keys of all tokens, 0 for those that are barred and in the padding.
template <class Group>
__device__ inline void makeKeys(const Group &group, const Choice &choice, const float *logits, const SamplingRoom &room) {
  const unsigned *penalisedSet = reinterpret_cast<const unsigned *>(&choice + 1), *barredSet = penalisedSet + (room.count + 31) / 32;
  int candidates = 0, firstDamaged = room.count;
  Key best = 0;
#pragma unroll 1
  for (int token = group.rank(); token < room.padded; token += Group::size) {
    float logit = token < room.count ? weighed(choice, logits, penalisedSet, barredSet, token) : -bitsAs<float>(0x7f800000u);
    if (isDamaged(logit))
      firstDamaged = min(firstDamaged, token);
    Key key = isBarred(logit) ? 0 : rankKey(logit, token);
    candidates += key != 0;
    best = max(best, key);
    if (!(choice.flags & greedy))
      room.keys[token] = key;
  }
  atomicAdd(&room.decision->candidates, candidates);
  if (firstDamaged < room.count)
    atomicMin(&room.decision->firstDamaged, firstDamaged);
  atomicMax(&room.decision->best, best);
  group.meet();
}

/// What is chosen; every thread returns it. Threads have met since the room was used last.
template <class Group>
__device__ inline Chosen chooseToken(const Group &group, const Choice &choice, const float *logits, const SamplingRoom &room) {
  Decision &decision = *room.decision;
  if (group.rank() == 0)
    decision = {0, room.count, 0, 0x7fffffff, 0x7fffffff};
  group.meet();
  makeKeys(group, choice, logits, room);
  Chosen result = {0, chosen, 0, 0};
  if (decision.firstDamaged < room.count) {
    const unsigned *penalisedSet = reinterpret_cast<const unsigned *>(&choice + 1), *barredSet = penalisedSet + (room.count + 31) / 32;
    int token = decision.firstDamaged;
    result = {token, damaged, weighed(choice, logits, penalisedSet, barredSet, token), 0};
  } else if (decision.candidates == 0) {
    result.status = nothingLeft;
  } else if (choice.flags & greedy) {
    result.token = tokenOf(decision.best);
  } else {
    if (group.rank() == 0)
      decision.kept = decision.candidates;
    sortKeys(group, room.keys, room.padded);
    result.token = draw(group, choice, room);
  }
  return result;
}

/// True if the sequence ends with what was chosen.
__device__ inline bool ends(const Choice &choice, const Chosen &result) {
  return (choice.flags & stops) || result.status != chosen || result.token == choice.end;
}

} // namespace sm1sampling
