// Pinned memory and a stream for choices and results.
#include "ChoiceCopies.h"

#include <cstring>
#include <new>
#include <thread>

namespace sm1rt::cuda {

using namespace sm1sampling;

static constexpr size_t wordsOfRow = sizeof(Told) / sizeof(uint64_t);

ChoiceCopies::~ChoiceCopies() {
  if (!context->enter())
    return;
  if (stream)
    context->driver.cuStreamDestroy_v2(stream);
  for (Pinned *pinned : {&choices, &results})
    if (pinned->memory)
      context->driver.cuMemFreeHost(pinned->memory);
}

Expected<void> ChoiceCopies::grow(Pinned &pinned, uint64_t bytes) {
  if (pinned.memory)
    context->driver.cuMemFreeHost(pinned.memory);
  pinned = {};
  void *memory = nullptr;
  if (auto allocated = context->check(context->driver.cuMemAllocHost_v2(&memory, bytes), "allocating pinned memory"); !allocated)
    return allocated;
  pinned = {static_cast<uint8_t *>(memory), bytes};
  return {};
}

Expected<void> ChoiceCopies::makeRoom(uint64_t rows, uint64_t rowBytes, const std::function<void()> &moved) {
  const Driver &driver = context->driver;
  if (!stream)
    if (auto created = context->check(driver.cuStreamCreate(&stream, nonBlocking), "creating a stream"); !created)
      return created;
  if (rows * rowBytes > choices.capacity)
    if (auto grown = grow(choices, rows * rowBytes); !grown)
      return grown;
  if (rows * sizeof(Told) > results.capacity) {
    moved();
    if (auto grown = grow(results, rows * sizeof(Told)); !grown)
      return grown;
    for (uint64_t word = 0; word < rows * wordsOfRow; ++word)
      new (results.memory + word * sizeof(Word)) Word(0);
    CUdeviceptr address = 0;
    if (auto asked = context->check(driver.cuMemHostGetDevicePointer_v2(&address, results.memory, 0),
                                    "asking for the device's address of pinned memory");
        !asked)
      return asked;
    resultsAddress = reinterpret_cast<uint8_t *>(address);
  }
  if (there && there->bytes >= rows * rowBytes)
    return {};
  moved();
  auto allocated = allocate(context, rows * rowBytes);
  if (!allocated)
    return allocated.error();
  there = std::move(*allocated);
  return context->wait("clearing memory"); // by the stream of kernels
}

Expected<void> ChoiceCopies::send(const uint8_t *from, uint64_t rows, uint64_t rowBytes, const std::function<void()> &moved) {
  const Driver &driver = context->driver;
  if (auto ready = context->enter(); !ready)
    return ready;
  if (isAwaited) // after an error
    if (auto waited = context->wait("choosing tokens"); !waited)
      return waited;
  if (auto made = makeRoom(rows, rowBytes, moved); !made)
    return made;
  number = number % mostNumber + 1;
  isAwaited = true;
  chosen.assign(rows, {});
  std::memcpy(choices.memory, from, rows * rowBytes);
  for (uint64_t row = 0; row < rows; ++row) {
    uint8_t *flags = choices.memory + row * rowBytes + offsetof(Choice, flags);
    unsigned own;
    std::memcpy(&own, flags, sizeof(own));
    own |= number << numberShift;
    std::memcpy(flags, &own, sizeof(own));
  }
  CUresult result =
      driver.cuMemcpyHtoDAsync_v2(reinterpret_cast<CUdeviceptr>(there->address), choices.memory, rows * rowBytes, stream);
  if (result == success)
    result = driver.cuStreamSynchronize(stream);
  return context->check(result, "copying choices to the device");
}

bool ChoiceCopies::areThere() const {
  auto *words = std::launder(reinterpret_cast<const Word *>(results.memory));
  for (size_t word = chosen.size() * wordsOfRow; word-- > 0;)
    if (sm1sampling::numberOf(words[word].load(std::memory_order_acquire)) != number)
      return false;
  return true;
}

Expected<const uint8_t *> ChoiceCopies::await() {
  static constexpr unsigned looksPerQuery = 64; // asking the driver takes longer than a look
  if (auto ready = context->enter(); !ready)
    return ready.error();
  for (unsigned look = 0; !areThere(); ++look) {
    std::this_thread::yield();
    if (look % looksPerQuery > 0)
      continue;
    CUresult state = context->driver.cuStreamQuery(context->stream);
    if (state != notReady && state != success)
      return context->error(state, "waiting for tokens");
    if (state == success && !areThere())
      return Error{context->name() + ": a choice of tokens has ended without any"};
  }
  isAwaited = false;
  for (size_t row = 0; row < chosen.size(); ++row) {
    Told told;
    std::memcpy(&told, results.memory + row * sizeof(told), sizeof(told));
    chosen[row] = heard(told);
  }
  return reinterpret_cast<const uint8_t *>(chosen.data());
}

} // namespace sm1rt::cuda
