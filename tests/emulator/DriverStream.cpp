// Driver functions about streams, copies, events and graphs.
//
// Work runs as late as the interface allows: when somebody synchronizes. A host that reads results, or writes over pinned memory,
// before that sees what it would see on a bad day of a real device.
#include "Driver.h"

#include <chrono>
#include <cstdio>
#include <memory>
#include <mutex>

using namespace emulator;

namespace {

int lost(const char *what) {
  std::fprintf(stderr, "sm1 emulator: %s touches device memory that is not allocated when it runs\n", what);
  return CUDA_ERROR_ILLEGAL_ADDRESS;
}

bool isPinned(const Driver &driver, const void *memory, size_t bytes) {
  auto *address = static_cast<uint8_t *>(const_cast<void *>(memory));
  auto next = driver.pinned.upper_bound(address);
  if (next == driver.pinned.begin())
    return false;
  auto &range = *std::prev(next);
  return bytes <= range.second && size_t(address - range.first) <= range.second - bytes;
}

/// One side of a two-dimensional copy.
struct Side {
  bool device = false;
  uint64_t address = 0; // device address, or host pointer
  size_t pitch = 0;
  std::shared_ptr<std::vector<uint8_t>> staged; // pageable host memory, copied when the call was made
};

uint8_t *lineOf(Driver &driver, const Side &side, size_t line, size_t width, bool written) {
  uint64_t address = side.address + line * side.pitch;
  if (side.device)
    return driver.memory->hostForCopy(address, width, written);
  return side.staged ? side.staged->data() + line * width : reinterpret_cast<uint8_t *>(address);
}

int copyLines(const Side &to, const Side &from, size_t width, size_t height) {
  Driver &driver = Driver::get();
  for (size_t line = 0; line < height; ++line) {
    uint8_t *source = lineOf(driver, from, line, width, false), *target = lineOf(driver, to, line, width, true);
    if (!source || !target)
      return lost("a copy");
    std::memmove(target, source, width);
    if (to.device && from.device)
      driver.memory->copyShadow(to.address + line * to.pitch, from.address + line * from.pitch, width);
  }
  return 0;
}

int copy(Driver &driver, Side to, Side from, size_t width, size_t height, CUstream stream) {
  if (!width || !height)
    return CUDA_SUCCESS;
  if (!driver.isStream(stream))
    return CUDA_ERROR_INVALID_HANDLE;
  for (const Side *side : {&to, &from}) {
    if (!side->address || (height > 1 && side->pitch < width))
      return CUDA_ERROR_INVALID_VALUE;
    for (size_t line = 0; side->device && line < height; ++line)
      if (!driver.memory->host(side->address + line * side->pitch, width))
        return CUDA_ERROR_INVALID_VALUE;
  }
  size_t span = (height - 1) * from.pitch + width, targetSpan = (height - 1) * to.pitch + width;
  bool capturing = driver.streamOf(stream)->capture != nullptr;
  if (!capturing && !from.device && !isPinned(driver, reinterpret_cast<void *>(from.address), span)) {
    from.staged = std::make_shared<std::vector<uint8_t>>(width * height);
    for (size_t line = 0; line < height; ++line)
      std::memcpy(from.staged->data() + line * width, reinterpret_cast<uint8_t *>(from.address + line * from.pitch), width);
  }
  bool waits = !capturing && !to.device && !isPinned(driver, reinterpret_cast<void *>(to.address), targetSpan);
  if (int error = driver.submit(stream, [=] { return copyLines(to, from, width, height); }))
    return error;
  return waits ? driver.flush(stream) : CUDA_SUCCESS;
}

Side deviceSide(uint64_t address, size_t pitch = 0) { return {true, address, pitch, nullptr}; }
Side hostSide(const void *memory, size_t pitch = 0) { return {false, reinterpret_cast<uint64_t>(memory), pitch, nullptr}; }

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

} // namespace

EMULATED cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
  ENTER(cuMemcpyHtoDAsync_v2, true);
  return copy(driver, deviceSide(to), hostSide(from), bytes, 1, stream);
}

EMULATED cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
  ENTER(cuMemcpyDtoHAsync_v2, true);
  return copy(driver, hostSide(to), deviceSide(from), bytes, 1, stream);
}

EMULATED cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  ENTER(cuMemcpyDtoDAsync_v2, true);
  return copy(driver, deviceSide(to), deviceSide(from), bytes, 1, stream);
}

EMULATED cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *what, CUstream stream) {
  ENTER(cuMemcpy2DAsync_v2, true);
  auto side = [](int type, const void *host, CUdeviceptr device, size_t pitch, size_t x, size_t y) {
    Side result = type == CU_MEMORYTYPE_DEVICE ? deviceSide(device, pitch) : hostSide(host, pitch);
    if (result.address)
      result.address += y * pitch + x;
    return result;
  };
  for (int type : {what->srcMemoryType, what->dstMemoryType})
    if (type != CU_MEMORYTYPE_HOST && type != CU_MEMORYTYPE_DEVICE)
      return CUDA_ERROR_INVALID_VALUE;
  return copy(driver, side(what->dstMemoryType, what->dstHost, what->dstDevice, what->dstPitch, what->dstXInBytes, what->dstY),
              side(what->srcMemoryType, what->srcHost, what->srcDevice, what->srcPitch, what->srcXInBytes, what->srcY),
              what->WidthInBytes, what->Height, stream);
}

EMULATED cuMemsetD8Async(CUdeviceptr address, unsigned char value, size_t bytes, CUstream stream) {
  ENTER(cuMemsetD8Async, true);
  if (!bytes)
    return CUDA_SUCCESS;
  if (!driver.memory->host(address, bytes))
    return CUDA_ERROR_INVALID_VALUE;
  return driver.submit(stream, [=] {
    uint8_t *memory = Driver::get().memory->hostForCopy(address, bytes, true);
    if (!memory)
      return lost("a memset");
    std::memset(memory, value, bytes);
    return 0;
  });
}

// ---- streams ----

EMULATED cuStreamCreate(CUstream *stream, unsigned) {
  ENTER(cuStreamCreate, true);
  *stream = new EmulatedStream;
  driver.streams.insert(*stream);
  return CUDA_SUCCESS;
}

EMULATED cuStreamDestroy_v2(CUstream stream) {
  ENTER(cuStreamDestroy_v2, true);
  if (!stream || !driver.streams.count(stream))
    return CUDA_ERROR_INVALID_HANDLE;
  int error = driver.flush(stream);
  driver.captures -= stream->capture != nullptr;
  driver.streams.erase(stream);
  for (EmulatedEvent *event : driver.events)
    if (event->stream == stream)
      event->stream = nullptr;
  delete stream;
  return error;
}

EMULATED cuStreamSynchronize(CUstream stream) {
  ENTER(cuStreamSynchronize, true);
  if (!driver.isStream(stream))
    return CUDA_ERROR_INVALID_HANDLE;
  if (driver.streamOf(stream)->capture) {
    driver.streamOf(stream)->captureInvalid = true;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  return stream ? driver.flush(stream) : driver.flushAll();
}

/// Work that the host looks after goes on beside it, in a thread of its own: a kernel may wait for what the host writes to pinned
/// memory.
EMULATED cuStreamQuery(CUstream stream) {
  Driver &driver = Driver::get();
  std::unique_lock<std::recursive_mutex> lock(driver.mutex, std::try_to_lock);
  if (!lock)
    return CUDA_ERROR_NOT_READY;
  if (int error = driver.enter("cuStreamQuery", true))
    return error;
  if (!driver.isStream(stream))
    return CUDA_ERROR_INVALID_HANDLE;
  if (driver.streamOf(stream)->queue.empty())
    return CUDA_SUCCESS;
  driver.flushBeside(stream);
  return CUDA_ERROR_NOT_READY;
}

EMULATED cuLaunchHostFunc(CUstream stream, void (*function)(void *), void *data) {
  ENTER(cuLaunchHostFunc, true);
  if (!driver.isStream(stream) || !function)
    return CUDA_ERROR_INVALID_VALUE;
  return driver.submit(stream, [=] {
    function(data);
    return 0;
  });
}

// ---- events ----

EMULATED cuEventCreate(CUevent *event, unsigned) {
  ENTER(cuEventCreate, true);
  *event = new EmulatedEvent;
  driver.events.insert(*event);
  return CUDA_SUCCESS;
}

EMULATED cuEventRecord(CUevent event, CUstream stream) {
  ENTER(cuEventRecord, true);
  if (!driver.events.count(event))
    return CUDA_ERROR_INVALID_HANDLE;
  if (!driver.isStream(stream))
    return CUDA_ERROR_INVALID_HANDLE;
  event->recorded = true;
  event->stream = driver.streamOf(stream);
  return driver.submit(stream, [event] {
    if (Driver::get().events.count(event))
      event->time = now();
    return 0;
  });
}

EMULATED cuEventSynchronize(CUevent event) {
  ENTER(cuEventSynchronize, true);
  if (!driver.events.count(event))
    return CUDA_ERROR_INVALID_HANDLE;
  if (!event->recorded || !event->stream)
    return CUDA_SUCCESS;
  return driver.flush(event->stream == &driver.legacy ? nullptr : event->stream);
}

EMULATED cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end) {
  ENTER(cuEventElapsedTime, true);
  if (!driver.events.count(start) || !driver.events.count(end) || !start->recorded || !end->recorded)
    return CUDA_ERROR_INVALID_HANDLE;
  if (start->time == 0 || end->time == 0)
    return CUDA_ERROR_NOT_READY;
  *milliseconds = static_cast<float>((end->time - start->time) * 1e3);
  return CUDA_SUCCESS;
}

EMULATED cuEventDestroy_v2(CUevent event) {
  ENTER(cuEventDestroy_v2, true);
  if (!driver.events.erase(event))
    return CUDA_ERROR_INVALID_HANDLE;
  delete event;
  return CUDA_SUCCESS;
}

// ---- graphs ----

EMULATED cuStreamBeginCapture_v2(CUstream stream, int) {
  ENTER(cuStreamBeginCapture_v2, true);
  if (!stream || !driver.streams.count(stream))
    return stream ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  if (stream->capture)
    return CUDA_ERROR_INVALID_VALUE;
  stream->capture = new EmulatedGraph;
  stream->captureInvalid = false;
  ++driver.captures;
  return CUDA_SUCCESS;
}

EMULATED cuStreamEndCapture(CUstream stream, CUgraph *graph) {
  ENTER(cuStreamEndCapture, true);
  if (!stream || !driver.streams.count(stream))
    return CUDA_ERROR_INVALID_HANDLE;
  if (!stream->capture)
    return CUDA_ERROR_INVALID_VALUE;
  std::unique_ptr<EmulatedGraph> captured(stream->capture);
  bool invalid = stream->captureInvalid;
  stream->capture = nullptr;
  stream->captureInvalid = false;
  --driver.captures;
  *graph = nullptr;
  if (invalid)
    return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  *graph = captured.release();
  driver.graphs.insert(*graph);
  return CUDA_SUCCESS;
}

EMULATED cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long) {
  ENTER(cuGraphInstantiateWithFlags, true);
  if (!driver.graphs.count(graph))
    return CUDA_ERROR_INVALID_VALUE;
  *exec = new EmulatedGraphExec{graph->work};
  driver.graphExecs.insert(*exec);
  return CUDA_SUCCESS;
}

EMULATED cuGraphLaunch(CUgraphExec exec, CUstream stream) {
  ENTER(cuGraphLaunch, true);
  if (!driver.graphExecs.count(exec))
    return CUDA_ERROR_INVALID_VALUE;
  for (const Work &work : exec->work)
    if (int error = driver.submit(stream, work))
      return error;
  return CUDA_SUCCESS;
}

EMULATED cuGraphExecDestroy(CUgraphExec exec) {
  ENTER(cuGraphExecDestroy, true);
  if (!driver.graphExecs.erase(exec))
    return CUDA_ERROR_INVALID_VALUE;
  delete exec;
  return CUDA_SUCCESS;
}

EMULATED cuGraphDestroy(CUgraph graph) {
  ENTER(cuGraphDestroy, true);
  if (!driver.graphs.erase(graph))
    return CUDA_ERROR_INVALID_VALUE;
  delete graph;
  return CUDA_SUCCESS;
}
