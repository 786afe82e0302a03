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

/// Logits of a sequence, as all blocks have published them. A thread asks for all of its words at once.
template <class M> __device__ void collectLogits(const Block<M> &block, int sequence, unsigned epoch, float *logits) {
  constexpr int size = ChoiceGroup<M>::size, words = ceilDivide(M::vocabulary, size);
  unsigned long long found[words];
  bool there;
  do {
    there = true;
#pragma unroll
    for (int word = 0; word < words; ++word) {
      found[word] = loadKey(block.launch.keys + sequence * M::vocabulary + least(threadIdx.x + word * size, M::vocabulary - 1));
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

/// Two words behind the logits, each with the number of the order: what a block has chosen for a sequence.
template <class M> __device__ unsigned long long *wordsOfChoice(const Block<M> &block, int sequence) {
  return block.launch.keys + M::sequences * M::vocabulary + sequence * 2;
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
  group.meet();
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
    if (const sm1sampling::Choice &choice = choiceOf(block, token, sequence); !(choice.flags & sm1sampling::skipped))
      takeChoice(block, sequence, choice, hearChoice(block, sequence, block.epochOf(token, M::layers)));
  __syncwarp();
}

/// Chooses as the token's order says. A single sequence's token is drawn by every block from the same logits: that is quicker than
/// to hear of it from another. Of several sequences each has a block that draws and tells the others, all at the same time.
template <class M> __device__ void chooseTokens(const Block<M> &block, int token) {
  waitFor(block.ordered(), token & 1);
  if (M::sequences > 1)
    meet<Sizes<M>::workers>(5);
  const bool choosing = block.order(token)->then != gaveUp;
  for (int sequence = 0; choosing && sequence < block.launch.sequenceCount; ++sequence)
    if (M::sequences == 1 || sequence * M::blocks / M::sequences == int(blockIdx.x))
      chooseOne(block, token, sequence);
  if (choosing && M::sequences > 1)
    hearChoices(block, token);
  if (choosing && blockIdx.x == 0 && threadIdx.x == 0)
    storeReleasedToSystem(reinterpret_cast<unsigned *>(block.launch.reply), block.epochOf(token, M::layers));
  meetChosen<M>();
  if (threadIdx.x == 0)
    arrive(block.chosen());
}

} // namespace sm1token
