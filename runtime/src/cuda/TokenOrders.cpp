// The host's side of kernels/token_choice.cuh. Numbers are written after, and read before, what they stand for.
#include "TokenOrders.h"

#include "sampling.h"

#include <cstring>
#include <new>
#include <thread>

namespace sm1rt::cuda {

using namespace sm1token;

/// A host that is stopped (a debugger, a callback that waits for the user) must not hold the GPU: where it also draws the screen,
/// systems take it away after two seconds.
static constexpr unsigned long long patience = 500000000; // ns

static_assert(sizeof(std::atomic<uint32_t>) == 4 && std::atomic<uint32_t>::is_always_lock_free, "a word that the device reads");

Expected<std::unique_ptr<TokenOrders>> TokenOrders::make(const std::shared_ptr<Context> &context, int64_t sequences,
                                                         uint64_t choiceBytes) {
  std::unique_ptr<TokenOrders> orders(new TokenOrders(context));
  orders->choiceBytes = size_t(choiceBytes);
  orders->orderBytes = sizeof(Order) + size_t(sequences) * orders->choiceBytes;
  size_t bytes = orders->replyAt() + sizeof(Reply) + size_t(sequences) * sizeof(sm1sampling::Chosen);
  void *pinned = nullptr;
  if (auto ready = context->enter(); !ready)
    return ready.error();
  if (auto done = context->check(context->driver.cuMemAllocHost_v2(&pinned, bytes), "allocating pinned memory"); !done)
    return done.error();
  orders->memory = static_cast<uint8_t *>(pinned);
  std::memset(pinned, 0, bytes);
  for (size_t place : {size_t(0), orders->orderBytes, orders->replyAt()})
    new (orders->memory + place) std::atomic<uint32_t>(0);
  if (auto done = context->check(context->driver.cuMemHostGetDevicePointer_v2(&orders->address, pinned, 0),
                                 "asking for the device's address of pinned memory");
      !done)
    return done.error();
  auto relay = allocate(context, 2 * orders->orderBytes);
  if (!relay)
    return relay.error();
  orders->relay = std::move(*relay);
  return orders;
}

TokenOrders::~TokenOrders() {
  if (memory && context->enter())
    context->driver.cuMemFreeHost(memory);
}

void TokenOrders::begin(Launch &launch, int64_t sequences, unsigned firstNumber, unsigned step) {
  launch.orders = reinterpret_cast<const unsigned char *>(address);
  launch.reply = reinterpret_cast<unsigned char *>(address + replyAt());
  launch.relay = relay->address;
  launch.patience = patience;
  sequenceCount = size_t(sequences);
  nextNumber = firstNumber;
  numberStep = step;
  turn = 0;
}

void TokenOrders::order(const uint8_t *choices, bool goesOn) {
  size_t place = size_t(turn) * orderBytes;
  std::memcpy(memory + place + sizeof(Order), choices, sequenceCount * choiceBytes);
  const uint32_t then = goesOn ? goOn : lastToken;
  std::memcpy(memory + place + offsetof(Order, then), &then, sizeof(then));
  numberOf(place).store(nextNumber, std::memory_order_release);
  lastNumber = nextNumber;
  nextNumber += numberStep;
  lastGoesOn = goesOn;
  turn ^= 1;
}

Expected<const uint8_t *> TokenOrders::await() {
  static constexpr unsigned looksPerQuery = 64; // asking the driver takes longer than a look
  const uint8_t *results = memory + replyAt() + sizeof(Reply);
  auto replied = [&] { return numberOf(replyAt()).load(std::memory_order_acquire) == lastNumber; };
  for (unsigned look = 0; !replied(); ++look) {
    std::this_thread::yield();
    if (look % looksPerQuery > 0)
      continue;
    CUresult state = context->driver.cuStreamQuery(context->stream);
    if (state == notReady)
      continue;
    if (state != success)
      return context->error(state, "computing tokens");
    if (!replied())
      return nullptr;
  }
  return results;
}

} // namespace sm1rt::cuda
