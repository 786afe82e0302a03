// Choosing a token with all threads of a group, from logits that each of them can read. sampling.h says what is computed.
//
// Greedy: the best key of all. Else: keys of candidates sorted, their weights, the prefix sums of these, and two searches.
// A group says who a thread is and lets threads meet; its ranks go through whole warps in order:
//
//   struct Group { int rank() const; static constexpr int size; void meet() const; };
#pragma once

#include "sampling.h"

namespace sm1sampling {

/// The shared variables that threads decide together.
struct Decision {
  Key best;          ///< of a greedy choice
  unsigned bestRank; ///< the first half of the best key, of any other
  int firstDamaged, candidates, kept, place;

  /// One thread, before all meet.
  __device__ void begin(int count) { *this = {0, 0, count, 0, 0x7fffffff, 0x7fffffff}; }
};

/// What a group needs besides the logits: `keys`, `sums` and `others` have `padded` elements each, a power of two and at least
/// count.
struct SamplingRoom {
  Key *keys;
  double *sums, *others;
  Decision *decision;
  int count, padded;
};

//===-- Sorting -------------------------------------------------------------------------------------------------------------===//

/// Up to so many candidates, more than a grammar leaves, threads that need not meet are quicker than more threads that do.
constexpr int fewCandidates = 256;

/// Each key goes where as many are greater, and its weight with it. `parts` threads beside each other count for one key.
template <int parts, class Group>
__device__ inline void sortByCounting(const Group &group, const Choice &choice, const SamplingRoom &room, Key *sorted) {
  const int count = room.decision->candidates, lane = threadIdx.x % 32, part = lane % parts;
  const double best = logitOf(Key(room.decision->bestRank) << 32);
#pragma unroll 1
  for (int first = (group.rank() - lane) / parts; first < count; first += Group::size / parts) {
    const int i = first + lane / parts;
    const Key own = i < count ? room.keys[i] : ~Key(0);
    int greater = count % 2 == 1 && part == 0 && room.keys[count - 1] > own;
#pragma unroll 4
    for (int other = part * 2; other + 1 < count; other += parts * 2) {
      const ulonglong2 pair = *reinterpret_cast<const ulonglong2 *>(room.keys + other);
      greater += (pair.x > own) + (pair.y > own);
    }
#pragma unroll
    for (int distance = 1; distance < parts; distance *= 2)
      greater += __shfl_xor_sync(~0u, greater, distance);
    if (i < count && part == 0) {
      sorted[greater] = own;
      room.sums[greater] = expOfNegative((logitOf(own) - best) / choice.temperature);
    }
  }
}

/// A bitonic sort of a power of two of keys. Pairs that are at most 32 apart lie in 64 keys of one warp, which goes through such
/// rounds by itself.
template <class Group> __device__ inline void sortByRounds(const Group &group, Key *keys, int size) {
#pragma unroll 1
  for (int width = 2; width <= size; width *= 2)
#pragma unroll 1
    for (int distance = width / 2; distance > 0; distance /= 2) {
#pragma unroll 1
      for (int i = group.rank(); i < size / 2; i += Group::size) {
        int low = 2 * i - (i & (distance - 1)), high = low + distance;
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

//===-- Drawing -------------------------------------------------------------------------------------------------------------===//

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

/// The same of few candidates in one warp: value 32 p + lane is part p of a lane. Sums take the place of values.
struct WarpSums {
  static constexpr int parts = fewCandidates / 32;
  double sums[parts];
  double *const all;

  __device__ WarpSums(double *values, int count) : all(values) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int part = 0; part < parts; ++part)
      sums[part] = part * 32 + lane < count ? values[part * 32 + lane] : 0;
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {
      double before = 0;
#pragma unroll
      for (int part = 0; part < parts; ++part) {
        const double turned = __shfl_sync(~0u, sums[part], lane - distance & 31);
        sums[part] += lane >= distance ? turned : before;
        before = turned;
      }
    }
#pragma unroll
    for (int distance = 1; distance < parts; distance *= 2)
#pragma unroll
      for (int part = parts - 1; part >= distance; --part)
        sums[part] += sums[part - distance];
#pragma unroll
    for (int part = 0; part < parts; ++part)
      if (part * 32 + lane < count)
        all[part * 32 + lane] = sums[part];
    __syncwarp();
  }
  /// The first place below `count` whose sum is above `limit`; count if there is none.
  __device__ int firstAbove(double limit, int count) const {
    int found = count;
#pragma unroll
    for (int part = parts - 1; part >= 0; --part) {
      const unsigned above = __ballot_sync(~0u, sums[part] > limit);
      found = above ? part * 32 + __ffs(above) - 1 : found;
    }
    return min(found, count);
  }
  /// The place that is drawn.
  __device__ int draw(const Choice &choice, int count) const {
    const int kept = min(firstAbove(choice.topP * all[count - 1], count) + 1, count);
    return min(firstAbove(choice.draw * all[kept - 1], kept), kept - 1);
  }
};

/// The token drawn from few candidates, for threads of the first warp.
template <class Group> __device__ inline int drawOfFew(const Group &group, const Choice &choice, const SamplingRoom &room) {
  const int count = room.decision->candidates;
  Key *sorted = reinterpret_cast<Key *>(room.others);
  if (count * 4 <= Group::size)
    sortByCounting<4>(group, choice, room, sorted);
  else if (count * 2 <= Group::size)
    sortByCounting<2>(group, choice, room, sorted);
  else
    sortByCounting<1>(group, choice, room, sorted);
  group.meet();
  return group.rank() < 32 ? tokenOf(sorted[WarpSums(room.sums, count).draw(choice, count)]) : 0;
}

/// Likewise from many.
template <class Group> __device__ inline int drawOfMany(const Group &group, const Choice &choice, const SamplingRoom &room) {
  Decision &decision = *room.decision;
  const int count = decision.candidates;
  for (int i = count + group.rank(); i < room.padded; i += Group::size)
    room.keys[i] = 0;
  group.meet();
  sortByRounds(group, room.keys, room.padded);
  const double best = logitOf(room.keys[0]);
#pragma unroll 1
  for (int i = group.rank(); i < count; i += Group::size)
    room.sums[i] = expOfNegative((logitOf(room.keys[i]) - best) / choice.temperature);
  group.meet();
  double *sums = prefixSums(group, room.sums, room.others, count);
  const double most = choice.topP * sums[count - 1];
#pragma unroll 1
  for (int i = group.rank() + 1; i < count; i += Group::size)
    if (sums[i - 1] > most)
      atomicMin(&decision.kept, i);
  group.meet();
  const int kept = min(decision.kept, count);
  const double target = choice.draw * sums[kept - 1];
#pragma unroll 1
  for (int i = group.rank(); i < kept; i += Group::size)
    if (sums[i] > target || i == kept - 1)
      atomicMin(&decision.place, i);
  group.meet();
  return tokenOf(room.keys[decision.place]);
}

//===-- Choosing ------------------------------------------------------------------------------------------------------------===//

/// Keys of the tokens that are not barred, in any order, and what can be said of all of them.
template <class Group>
__device__ inline void makeKeys(const Group &group, const Choice &choice, const float *logits, const SamplingRoom &room) {
  const unsigned *penalisedSet = reinterpret_cast<const unsigned *>(&choice + 1),
                 *barredSet = penalisedSet + (room.count + 31) / 32;
  const int lane = threadIdx.x % 32;
  int firstDamaged = room.count;
  Key best = 0;
#pragma unroll 1
  for (int first = group.rank() - lane; first < room.count; first += Group::size) {
    const int token = first + lane;
    const float logit = token < room.count ? weighed(choice, logits, penalisedSet, barredSet, token) : -bitsAs<float>(0x7f800000u);
    if (isDamaged(logit))
      firstDamaged = min(firstDamaged, token);
    const bool isCandidate = !isBarred(logit);
    const Key key = isCandidate ? rankKey(logit, token) : 0;
    best = max(best, key);
    if (choice.flags & greedy)
      continue;
    const unsigned candidates = __ballot_sync(~0u, isCandidate);
    int place = 0;
    if (lane == 0)
      place = atomicAdd(&room.decision->candidates, __popc(candidates));
    place = __shfl_sync(~0u, place, 0) + __popc(candidates & ((1u << lane) - 1));
    if (isCandidate)
      room.keys[place] = key;
  }
  // Atomics on one word wait for each other, those of 64 bits for long: one of each warp is enough, and half a key where it does.
  const unsigned rank = __reduce_max_sync(~0u, unsigned(best >> 32)),
                 rest = __reduce_max_sync(~0u, unsigned(best >> 32) == rank ? unsigned(best) : 0);
  firstDamaged = __reduce_min_sync(~0u, firstDamaged);
  if (lane == 0) {
    if (firstDamaged < room.count)
      atomicMin(&room.decision->firstDamaged, firstDamaged);
    if (choice.flags & greedy)
      atomicMax(&room.decision->best, Key(rank) << 32 | rest);
    else
      atomicMax(&room.decision->bestRank, rank);
  }
  group.meet();
}

/// What is chosen; threads of the first warp return it. Threads have met since the room was used last, and since the decision was
/// begun.
template <class Group>
__device__ inline Chosen chooseToken(const Group &group, const Choice &choice, const float *logits, const SamplingRoom &room) {
  const Decision &decision = *room.decision;
  makeKeys(group, choice, logits, room);
  Chosen result = {0, chosen, 0, 0};
  if (decision.firstDamaged < room.count) {
    const unsigned *penalisedSet = reinterpret_cast<const unsigned *>(&choice + 1),
                   *barredSet = penalisedSet + (room.count + 31) / 32;
    int token = decision.firstDamaged;
    result = {token, damaged, weighed(choice, logits, penalisedSet, barredSet, token), 0};
  } else if (decision.best == 0 && decision.bestRank == 0) {
    result.status = nothingLeft;
  } else if (choice.flags & greedy) {
    result.token = tokenOf(decision.best);
  } else {
    result.token = decision.candidates <= fewCandidates ? drawOfFew(group, choice, room) : drawOfMany(group, choice, room);
  }
  return result;
}

/// True if the sequence ends with what was chosen.
__device__ inline bool ends(const Choice &choice, const Chosen &result) {
  return (choice.flags & stops) || result.status != chosen || result.token == choice.end;
}

} // namespace sm1sampling
