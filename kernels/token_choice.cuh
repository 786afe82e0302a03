// The next tokens in the kernel for whole tokens: what the host orders, and the choice.
//
// While a token is computed the host, which knows those before it, writes how the next one is to be chosen. One warp of each
// block follows these orders: block 0 reads them in the host's memory and passes them on in the device's. There are two places,
// taken in turn: the host writes to one again when the reply to the other has come, which took logits of every block, and so every
// block is done with it.
#pragma once

#include "sampling.cuh"
#include "token_sizes.cuh"

namespace sm1token {

//===-- Orders --------------------------------------------------------------------------------------------------------------===//

/// Everybody in a block but the producer, when the next tokens are known.
template <class M> __device__ void meetChosen() { meet<Sizes<M>::workers>(3); }

/// One thread. Waits until `place` has the number; false if it took longer than `patience` nanoseconds.
__device__ inline bool awaitNumber(const unsigned *place, unsigned number, unsigned long long patience) {
  const unsigned long long began = nanoseconds();
  while (loadAcquired(place) != number) {
    if (nanoseconds() - began > patience)
      return false;
    __nanosleep(300); // polling crowds out what others have to say
  }
  return true;
}

/// One warp. Brings the order of a token into shared memory.
template <class M> __device__ void receiveOrder(const Block<M> &block, int token) {
  using S = Sizes<M>;
  const Launch &launch = block.launch;
  const int lane = threadIdx.x % 32, turn = token % 2 * S::orderBytes,
            bytes = int(sizeof(Order)) + launch.sequenceCount * S::choiceBytes;
  const bool passesOn = blockIdx.x == 0;
  const unsigned number = block.epochOf(token, M::layers), to = block.shared + S::ordersAt + turn;
  const unsigned char *from = (passesOn ? launch.orders : launch.relay) + turn;
  unsigned char *relay = launch.relay + turn;
  bool came = true;
  if (lane == 0)
    came = awaitNumber(reinterpret_cast<const unsigned *>(from), number, passesOn ? launch.patience : ~0ull);
  came = __shfl_sync(~0u, came, 0);
  for (int at = int(sizeof(Order)) + lane * 16; came && at < bytes; at += 32 * 16) {
    const uint4 piece = loadOfSystem(from + at);
    storeShared4(to + at, piece);
    if (passesOn)
      storePiece(relay + at, piece);
  }
  __syncwarp();
  if (lane > 0)
    return;
  const unsigned then = came ? loadOfSystem(from).y : unsigned(gaveUp);
  storeShared2(to, number, then);
  if (passesOn) {
    storeWord(reinterpret_cast<unsigned *>(relay) + 1, then);
    storeReleased(reinterpret_cast<unsigned *>(relay), number);
  }
  arrive(block.ordered());
}

/// One warp. The place of an order, and the barrier, are free again when the token before the last one has been chosen.
template <class M> __device__ void hearOrder(const Block<M> &block, int token) {
  if (token > 0)
    waitFor(block.chosen(), (token - 1) & 1);
  receiveOrder(block, token);
  __syncwarp();
}

/// One warp, all orders of the launch.
template <class M> __device__ void followOrders(const Block<M> &block) {
  bool goesOn = true;
#pragma unroll 1
  for (int token = 0; goesOn; ++token) {
    hearOrder(block, token);
    goesOn = block.goesOn(token);
  }
}

//===-- The choice ----------------------------------------------------------------------------------------------------------===//

/// The matrix warps.
template <class M> struct ChoiceGroup {
  static constexpr int size = M::warps * 32;
  __device__ int rank() const { return threadIdx.x; }
  __device__ void meet() const { sm1token::meet<size>(4); }
};

template <class M> __device__ unsigned long long *placeOfLine(const Block<M> &block, int line) {
  return block.launch.keys + line * (lineDistance / 8);
}
template <class M> __device__ unsigned long long *placeOfLogit(const Block<M> &block, int sequence, int token) {
  return placeOfLine(block, sequence * keyLines(M::vocabulary) + token / 16) + token % 16;
}

/// Logits of a sequence, as all blocks have published them. A thread asks for all of its words at once.
template <class M> __device__ void collectLogits(const Block<M> &block, int sequence, unsigned epoch, float *logits) {
  constexpr int size = ChoiceGroup<M>::size, words = ceilDivide(M::vocabulary, size);
  unsigned long long found[words];
  bool there;
  do {
    there = true;
#pragma unroll
    for (int word = 0; word < words; ++word) {
      found[word] = loadKey(placeOfLogit(block, sequence, least(int(threadIdx.x) + word * size, M::vocabulary - 1)));
      there &= unsigned(found[word]) == epoch;
    }
  } while (!there);
#pragma unroll
  for (int word = 0; word < words; ++word)
    if (int place = threadIdx.x + word * size; place < M::vocabulary)
      logits[place] = __uint_as_float(unsigned(found[word] >> 32));
}

/// One thread of a block: what the block has to know, and in block 0 the host.
template <class M>
__device__ void takeChoice(const Block<M> &block, int sequence, const sm1sampling::Choice &choice,
                           const sm1sampling::Chosen &result) {
  block.tokens()[sequence] = result.status == sm1sampling::chosen ? result.token : 0;
  if (sm1sampling::ends(choice, result))
    block.alive()[sequence] = 0;
  if (blockIdx.x == 0)
    reinterpret_cast<sm1sampling::Chosen *>(block.launch.reply + sizeof(Reply))[sequence] = result;
}

/// Two words, each with the number of the order: what a block has chosen for a sequence.
template <class M> __device__ unsigned long long *wordsOfChoice(const Block<M> &block, int sequence) {
  return placeOfLine(block, (sequence + 1) * keyLines(M::vocabulary) - 1);
}
template <class M>
__device__ void tellChoice(const Block<M> &block, int sequence, unsigned epoch, const sm1sampling::Chosen &result) {
  const unsigned words[] = {unsigned(result.token | result.status << 16), __float_as_uint(result.value)};
#pragma unroll
  for (int word = 0; word < 2; ++word)
    storeKey(wordsOfChoice(block, sequence) + word, static_cast<unsigned long long>(words[word]) << 32 | epoch);
}
template <class M> __device__ sm1sampling::Chosen hearChoice(const Block<M> &block, int sequence, unsigned epoch) {
  unsigned long long first, second;
  do {
    first = loadKey(wordsOfChoice(block, sequence));
    second = loadKey(wordsOfChoice(block, sequence) + 1);
  } while (unsigned(first) != epoch || unsigned(second) != epoch);
  const unsigned token = unsigned(first >> 32);
  return {int(token & 0xffff), int(token >> 16), __uint_as_float(unsigned(second >> 32)), 0};
}

template <class M> __device__ const sm1sampling::Choice &choiceOf(const Block<M> &block, int token, int sequence) {
  auto *choices = reinterpret_cast<const unsigned char *>(block.order(token) + 1);
  return *reinterpret_cast<const sm1sampling::Choice *>(choices + sequence * Sizes<M>::choiceBytes);
}

__device__ inline bool isGreedy(const sm1sampling::Choice &choice) {
  return (choice.flags & (sm1sampling::greedy | sm1sampling::skipped)) == sm1sampling::greedy;
}

/// The matrix warps of a block that chooses for the sequence.
template <class M> __device__ void chooseOne(const Block<M> &block, int token, int sequence) {
  using namespace sm1sampling;
  using S = Sizes<M>;
  __shared__ Decision decision;
  Key *keys = block.template at<Key>(0);
  double *sums = reinterpret_cast<double *>(keys + S::keys);
  const SamplingRoom room = {keys, sums, sums + S::keys, &decision, M::vocabulary, S::keys};
  float *logits = reinterpret_cast<float *>(room.others); // needed no more when sums are
  const ChoiceGroup<M> group;
  const unsigned epoch = block.epochOf(token, M::layers);
  const Choice &choice = choiceOf(block, token, sequence);
  if (group.rank() == 0)
    decision.begin(M::vocabulary);
  collectLogits(block, sequence, epoch, logits);
  group.meet();
  if (choice.flags & skipped)
    return;
  const Chosen result = chooseToken(group, choice, logits, room);
  if (group.rank() > 0)
    return;
  if (M::sequences > 1)
    tellChoice(block, sequence, epoch, result);
  else
    takeChoice(block, sequence, choice, result);
}

/// A thread for each sequence.
template <class M> __device__ void hearChoices(const Block<M> &block, int token) {
  if (const int sequence = threadIdx.x; sequence < block.launch.sequenceCount)
    if (const sm1sampling::Choice &choice = choiceOf(block, token, sequence);
        !(choice.flags & (sm1sampling::greedy | sm1sampling::skipped)))
      takeChoice(block, sequence, choice, hearChoice(block, sequence, block.epochOf(token, M::layers)));
  __syncwarp();
}

//===-- The best logit ------------------------------------------------------------------------------------------------------===//

// A greedy choice needs no logits: who has made some says which is best of them, and every block takes the best of those. A word is
// larger where the logit is, then where the token is less: 32 bits of rankKey, 1023 - token, and the last bits of the epoch, which
// come again after four million tokens.

constexpr int epochBits = 22;
constexpr unsigned damagedRank = ~0u; // of what is no logit, which comes before all; 0: none

template <class M> __device__ unsigned long long *placeOfBest(const Block<M> &block, int replica, int sequence, int word) {
  constexpr int lines = bestLines(M::blocks, M::vocabulary, M::sequences);
  return placeOfLine(block, M::sequences * keyLines(M::vocabulary) + (replica * M::sequences + sequence) * lines + word / 16) +
         word % 16;
}
__device__ inline unsigned long long bestWordOf(float logit, int token, unsigned epoch) {
  using namespace sm1sampling;
  const unsigned rank = isDamaged(logit) ? damagedRank : isBarred(logit) ? 0 : unsigned(rankKey(logit, token) >> 32);
  return (static_cast<unsigned long long>(rank) << 10 | unsigned(1023 - token)) << epochBits | (epoch & ((1u << epochBits) - 1));
}

/// An epilogue warp, number `part` of those that have logits. Lanes have logits of sequences in turn, `token` < 0 where there is
/// none.
template <class M> __device__ void publishBest(const Block<M> &block, int part, float logit, int token, unsigned epoch) {
  static_assert(32 % M::sequences == 0 && (!M::chooses || M::vocabulary <= 1024), "what a word has room for");
  constexpr int words = bestWords(M::blocks, M::vocabulary, M::sequences), each = words / M::blocks;
  if (part >= each)
    return;
  unsigned long long best = bestWordOf(token < 0 ? -sm1sampling::bitsAs<float>(0x7f800000u) : logit, most(token, 0), epoch);
#pragma unroll
  for (int distance = M::sequences; distance < least(32, powerOfTwo(Sizes<M>::logitsOfBlock * M::sequences)); distance *= 2) {
    const unsigned long long other = __shfl_xor_sync(~0u, best, distance);
    best = other > best ? other : best;
  }
  if (const int sequence = threadIdx.x % 32; sequence < block.launch.sequenceCount)
#pragma unroll
    for (int replica = 0; replica < M::replicas; ++replica)
      storeKey(placeOfBest(block, replica, sequence, int(blockIdx.x) * each + part), best);
}

/// One warp.
template <class M>
__device__ void takeBest(const Block<M> &block, int sequence, unsigned epoch, const sm1sampling::Choice &choice) {
  constexpr int words = bestWords(M::blocks, M::vocabulary, M::sequences), pieces = ceilDivide(words, 32);
  unsigned long long best;
  bool there;
  do {
    there = true;
    best = 0;
#pragma unroll
    for (int piece = 0; piece < pieces; ++piece) {
      const unsigned long long word =
          loadKey(placeOfBest(block, blockIdx.x % M::replicas, sequence, least(piece * 32 + int(threadIdx.x % 32), words - 1)));
      there &= ((unsigned(word) ^ epoch) & ((1u << epochBits) - 1)) == 0;
      best = word > best ? word : best;
    }
  } while (!there);
  __syncwarp();
  const unsigned rank = __reduce_max_sync(~0u, unsigned(best >> 32)),
                 rest = __reduce_max_sync(~0u, unsigned(best >> 32) == rank ? unsigned(best) : 0);
  if (threadIdx.x % 32 > 0)
    return;
  sm1sampling::Chosen result = {int(1023 - (rest >> epochBits)), sm1sampling::chosen, 0, 0};
  if (rank == 0) {
    result = {0, sm1sampling::nothingLeft, 0, 0};
  } else if (rank == damagedRank) {
    unsigned long long logit;
    do
      logit = loadKey(placeOfLogit(block, sequence, result.token));
    while (unsigned(logit) != epoch);
    result.status = sm1sampling::damaged;
    result.value = __uint_as_float(unsigned(logit >> 32));
  }
  takeChoice(block, sequence, choice, result);
}

/// The first sequence whose token the block, or the `next` one, draws, where sequences are shared out.
template <class M> __device__ int firstDrawn(int next) {
  return M::sequences == 1 ? next : ceilDivide((int(blockIdx.x) + next) * M::sequences, M::blocks);
}

/// Chooses as the token's order says. What is greedy every block chooses, a warp for each sequence. A single sequence's token is
/// drawn by every block from the same logits: that is quicker than to hear of it from another. Of several sequences each has a
/// block that draws and tells the others, all at the same time.
template <class M> __device__ void chooseTokens(const Block<M> &block, int token) {
  waitFor(block.ordered(), token & 1);
  const bool choosing = block.order(token)->then != gaveUp;
#pragma unroll 1
  for (int sequence = threadIdx.x / 32; choosing && sequence < block.launch.sequenceCount; sequence += M::warps)
    if (const sm1sampling::Choice &choice = choiceOf(block, token, sequence); isGreedy(choice))
      takeBest(block, sequence, block.epochOf(token, M::layers), choice);
#pragma unroll 1
  for (int sequence = firstDrawn<M>(0), end = least(firstDrawn<M>(1), block.launch.sequenceCount); choosing && sequence < end;
       ++sequence)
    if (!isGreedy(choiceOf(block, token, sequence)))
      chooseOne(block, token, sequence);
  if (choosing && M::sequences > 1)
    hearChoices(block, token);
  meetChosen<M>();
  if (threadIdx.x == 0) {
    if (choosing && blockIdx.x == 0)
      storeReleasedToSystem(reinterpret_cast<unsigned *>(block.launch.reply), block.epochOf(token, M::layers));
    arrive(block.chosen());
  }
}

} // namespace sm1token
