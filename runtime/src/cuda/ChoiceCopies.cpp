// Pinned memory, a stream and an event for choices and results.
#include "ChoiceCopies.h"

#include <cstring>

namespace sm1rt::cuda {

ChoiceCopies::~ChoiceCopies() {
  if (!context->enter())
    return;
  if (done)
    context->driver.cuEventDestroy_v2(done);
  if (stream)
    context->driver.cuStreamDestroy_v2(stream);
  for (Pinned *pinned : {&choices, &results})
    if (pinned->memory)
      context->driver.cuMemFreeHost(pinned->memory);
}

Expected<void> ChoiceCopies::grow(Pinned &pinned, uint64_t bytes) {
  if (bytes <= pinned.capacity)
    return {};
  if (pinned.memory)
    context->driver.cuMemFreeHost(pinned.memory);
  pinned = {};
  void *memory = nullptr;
  if (auto allocated = context->check(context->driver.cuMemAllocHost_v2(&memory, bytes), "allocating pinned memory"); !allocated)
    return allocated;
  pinned = {static_cast<uint8_t *>(memory), bytes};
  return {};
}

Expected<const uint8_t *> ChoiceCopies::send(const uint8_t *from, uint64_t bytes) {
  const Driver &driver = context->driver;
  if (auto ready = context->enter(); !ready)
    return ready.error();
  if (!stream)
    if (auto created = context->check(driver.cuStreamCreate(&stream, nonBlocking), "creating a stream"); !created)
      return created.error();
  if (done) // after an error nobody may have waited for the last choice
    if (auto waited = context->check(driver.cuEventSynchronize(done), "waiting for tokens"); !waited)
      return waited.error();
  if (auto grown = grow(choices, bytes); !grown)
    return grown.error();
  if (!there || there->bytes < bytes) {
    auto allocated = allocate(context, bytes);
    if (!allocated)
      return allocated.error();
    there = std::move(*allocated);
    // The stream of kernels zeroes it.
    if (auto zeroed = context->wait("clearing memory"); !zeroed)
      return zeroed.error();
  }
  std::memcpy(choices.memory, from, bytes);
  CUresult result = driver.cuMemcpyHtoDAsync_v2(reinterpret_cast<CUdeviceptr>(there->address), choices.memory, bytes, stream);
  if (result == success)
    result = driver.cuStreamSynchronize(stream);
  if (result != success)
    return context->error(result, "copying choices to the device");
  return static_cast<const uint8_t *>(there->address);
}

Expected<uint8_t *> ChoiceCopies::room(uint64_t bytes) {
  if (auto ready = context->enter(); !ready)
    return ready.error();
  if (auto grown = grow(results, bytes); !grown)
    return grown.error();
  CUdeviceptr address = 0;
  if (auto asked = context->check(context->driver.cuMemHostGetDevicePointer_v2(&address, results.memory, 0),
                                  "asking for the device's address of pinned memory");
      !asked)
    return asked.error();
  return reinterpret_cast<uint8_t *>(address);
}

Expected<void> ChoiceCopies::started() {
  if (!done)
    if (auto created = context->check(context->driver.cuEventCreate(&done, disableTiming), "creating an event"); !created)
      return created;
  return context->check(context->driver.cuEventRecord(done, context->stream), "recording an event");
}

Expected<const uint8_t *> ChoiceCopies::await() {
  if (auto ready = context->enter(); !ready)
    return ready.error();
  if (auto waited = context->check(context->driver.cuEventSynchronize(done), "waiting for tokens"); !waited)
    return waited.error();
  return static_cast<const uint8_t *>(results.memory);
}

} // namespace sm1rt::cuda
