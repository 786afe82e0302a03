// Allocation and copies. Contiguous copies go out as one dimension, the others as two.
#include "Memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace sm1rt::cuda {

static CUdeviceptr deviceAddress(const uint8_t *address) { return reinterpret_cast<CUdeviceptr>(address); }

//===-- Allocation ----------------------------------------------------------------------------------------------------------===//

namespace {
class CudaBuffer : public DeviceBuffer {
public:
  CudaBuffer(std::shared_ptr<Context> context, CUdeviceptr memory, uint64_t size) : context(std::move(context)) {
    address = reinterpret_cast<uint8_t *>(memory);
    bytes = size;
  }
  ~CudaBuffer() override {
    // On a lost device there is nothing left to free, and nobody to tell.
    if (address && context->enter())
      context->driver.cuMemFree_v2(deviceAddress(address));
  }

private:
  std::shared_ptr<Context> context;
};
} // namespace

static Error memoryError(Context &context, CUresult result, uint64_t bytes) {
  size_t free = 0, total = 0;
  if (result != outOfMemory || context.driver.cuMemGetInfo_v2(&free, &total) != success)
    return context.error(result, fmt::format("allocating {} bytes", bytes));
  return {fmt::format("{} ({}): out of memory, {} bytes are needed, {} of {} are free; close what else uses the device, take fewer "
                      "sequences or rows per pass, or pass --device=cpu",
                      context.name(), context.deviceName, bytes, free, total)};
}

Expected<std::unique_ptr<DeviceBuffer>> allocate(const std::shared_ptr<Context> &context, uint64_t bytes) {
  if (auto ready = context->enter(); !ready)
    return ready.error();
  CUdeviceptr memory = 0;
  if (bytes > 0)
    if (CUresult result = context->driver.cuMemAlloc_v2(&memory, bytes); result != success)
      return memoryError(*context, result, bytes);
  auto buffer = std::make_unique<CudaBuffer>(context, memory, bytes);
  if (bytes > 0) {
    context->busy = true;
    if (auto cleared = context->check(context->driver.cuMemsetD8Async(memory, 0, bytes, context->stream), "clearing new memory");
        !cleared)
      return cleared.error();
  }
  return std::unique_ptr<DeviceBuffer>(std::move(buffer));
}

//===-- Copies --------------------------------------------------------------------------------------------------------------===//

/// The same copy with as few rows as can be.
static StridedCopy flattened(const StridedCopy &copy) {
  if (copy.toPitch != copy.width || copy.fromPitch != copy.width)
    return copy;
  uint64_t bytes = copy.width * copy.height;
  return {copy.to, bytes, copy.from, bytes, bytes, 1};
}

/// Cuts a copy into parts of at most `limit` bytes: whole rows, or pieces of one row.
template <typename Part> static Expected<void> inParts(const StridedCopy &whole, uint64_t limit, Part part) {
  StridedCopy copy = flattened(whole);
  if (copy.width == 0)
    return {};
  uint64_t rows = std::max<uint64_t>(limit / copy.width, 1), columns = std::min(copy.width, limit);
  for (uint64_t row = 0; row < copy.height; row += rows)
    for (uint64_t column = 0; column < copy.width; column += columns) {
      StridedCopy next = copy;
      next.to += row * copy.toPitch + column;
      next.from += row * copy.fromPitch + column;
      next.width = std::min(columns, copy.width - column);
      next.height = std::min(rows, copy.height - row);
      if (auto done = part(next); !done)
        return done;
    }
  return {};
}

static void copyRows(uint8_t *to, uint64_t toPitch, const uint8_t *from, uint64_t fromPitch, const StridedCopy &shape) {
  for (uint64_t row = 0; row < shape.height; ++row)
    std::memcpy(to + row * toPitch, from + row * fromPitch, shape.width);
}

static CUDA_MEMCPY2D rectangle(const StridedCopy &copy, MemoryType from, MemoryType to) {
  CUDA_MEMCPY2D result = {};
  result.srcMemoryType = from;
  result.dstMemoryType = to;
  if (from == hostMemory)
    result.srcHost = copy.from;
  else
    result.srcDevice = deviceAddress(copy.from);
  if (to == hostMemory)
    result.dstHost = copy.to;
  else
    result.dstDevice = deviceAddress(copy.to);
  result.srcPitch = copy.fromPitch;
  result.dstPitch = copy.toPitch;
  result.WidthInBytes = copy.width;
  result.Height = copy.height;
  return result;
}

Expected<void> copyOnDevice(Context &context, const StridedCopy &whole) {
  if (auto ready = context.enter(); !ready)
    return ready;
  StridedCopy copy = flattened(whole);
  if (copy.width == 0 || copy.height == 0)
    return {};
  context.busy = true;
  const Driver &driver = context.driver;
  CUDA_MEMCPY2D rows = rectangle(copy, deviceMemory, deviceMemory);
  CUresult result = copy.height == 1
                        ? driver.cuMemcpyDtoDAsync_v2(deviceAddress(copy.to), deviceAddress(copy.from), copy.width, context.stream)
                        : driver.cuMemcpy2DAsync_v2(&rows, context.stream);
  return context.check(result, "copying on the device");
}

//===-- Staging -------------------------------------------------------------------------------------------------------------===//

Staging::~Staging() {
  if (!context->enter())
    return;
  for (Half &half : halves) {
    if (half.free)
      context->driver.cuEventDestroy_v2(half.free);
    if (half.memory)
      context->driver.cuMemFreeHost(half.memory);
  }
}

Expected<void> Staging::create(Half &half) {
  void *memory = nullptr;
  if (!half.free)
    if (auto done = context->check(context->driver.cuEventCreate(&half.free, disableTiming), "creating an event"); !done)
      return done;
  if (auto done = context->check(context->driver.cuMemAllocHost_v2(&memory, halfBytes), "allocating pinned memory"); !done)
    return done;
  half.memory = static_cast<uint8_t *>(memory);
  return {};
}

Expected<uint8_t *> Staging::reserve(uint64_t bytes) {
  const Driver &driver = context->driver;
  if (used + bytes > halfBytes) {
    if (auto done = context->check(driver.cuEventRecord(halves[current].free, context->stream), "recording an event"); !done)
      return done.error();
    halves[current].inUse = true;
    current = 1 - current;
    used = 0;
    if (halves[current].inUse)
      if (auto done = context->check(driver.cuEventSynchronize(halves[current].free), "waiting for an upload"); !done)
        return done.error();
    halves[current].inUse = false;
  }
  if (!halves[current].memory)
    if (auto created = create(halves[current]); !created)
      return created.error();
  uint8_t *room = halves[current].memory + used;
  used += (bytes + 63) / 64 * 64;
  return room;
}

Expected<void> Staging::upload(const StridedCopy &copy) {
  if (auto ready = context->enter(); !ready)
    return ready;
  return inParts(copy, halfBytes, [&](const StridedCopy &part) -> Expected<void> {
    auto room = reserve(part.width * part.height);
    if (!room)
      return room.error();
    copyRows(*room, part.width, part.from, part.fromPitch, part);
    context->busy = true;
    CUDA_MEMCPY2D rows = rectangle({part.to, part.toPitch, *room, part.width, part.width, part.height}, hostMemory, deviceMemory);
    CUresult result = part.height == 1
                          ? context->driver.cuMemcpyHtoDAsync_v2(deviceAddress(part.to), *room, part.width, context->stream)
                          : context->driver.cuMemcpy2DAsync_v2(&rows, context->stream);
    return context->check(result, "copying to the device");
  });
}

Expected<void> Staging::download(const StridedCopy &copy) {
  if (auto ready = context->enter(); !ready)
    return ready;
  return inParts(copy, halfBytes, [&](const StridedCopy &part) -> Expected<void> {
    auto room = reserve(part.width * part.height);
    if (!room)
      return room.error();
    context->busy = true;
    CUDA_MEMCPY2D rows =
        rectangle({*room, part.width, part.from, part.fromPitch, part.width, part.height}, deviceMemory, hostMemory);
    CUresult result = part.height == 1
                          ? context->driver.cuMemcpyDtoHAsync_v2(*room, deviceAddress(part.from), part.width, context->stream)
                          : context->driver.cuMemcpy2DAsync_v2(&rows, context->stream);
    if (result != success)
      return context->error(result, "copying from the device");
    if (auto done = context->wait("waiting for results"); !done)
      return done;
    copyRows(part.to, part.toPitch, *room, part.width, part);
    return {};
  });
}

} // namespace sm1rt::cuda
