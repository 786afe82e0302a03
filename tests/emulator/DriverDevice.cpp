// Driver functions about the device, the context, errors and memory.
#include "Driver.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <malloc.h>

using emulator::Chip;
using emulator::Driver;

/// Shadows and registers are megabytes, made for every launch: what one has freed the next shall not get from the system again,
/// page by page.
static void keepMemory() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

EMULATED cuInit(unsigned flags) {
  Driver &driver = Driver::get();
  std::lock_guard<std::recursive_mutex> lock(driver.mutex);
  if (!driver.contextUsers)
    driver.readSettings();
  keepMemory();
  driver.initialized = true;
  if (int error = driver.enter("cuInit", false)) {
    driver.initialized = false;
    return error;
  }
  return flags ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

EMULATED cuDriverGetVersion(int *version) {
  if (!version)
    return CUDA_ERROR_INVALID_VALUE;
  *version = 13000;
  return CUDA_SUCCESS;
}

/// What a driver calls an error, and says of it.
struct ErrorText {
  CUresult error;
  const char *name, *sentence;
};

#define EMULATOR_ROW(symbol, number, sentence) {number, #symbol, sentence},
static constexpr ErrorText errorTexts[] = {EMULATOR_CUDA_ERRORS(EMULATOR_ROW)};
#undef EMULATOR_ROW

static CUresult textOf(CUresult error, const char *ErrorText::*part, const char **text) {
  const ErrorText *found =
      std::find_if(std::begin(errorTexts), std::end(errorTexts), [&](const ErrorText &each) { return each.error == error; });
  *text = found == std::end(errorTexts) ? nullptr : found->*part;
  return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

EMULATED cuGetErrorName(CUresult error, const char **name) { return textOf(error, &ErrorText::name, name); }
EMULATED cuGetErrorString(CUresult error, const char **text) { return textOf(error, &ErrorText::sentence, text); }

EMULATED cuDeviceGetCount(int *count) {
  ENTER(cuDeviceGetCount, false);
  *count = 1;
  return CUDA_SUCCESS;
}

EMULATED cuDeviceGet(CUdevice *device, int ordinal) {
  ENTER(cuDeviceGet, false);
  if (ordinal != 0)
    return CUDA_ERROR_INVALID_DEVICE;
  *device = 0;
  return CUDA_SUCCESS;
}

EMULATED cuDeviceGetName(char *name, int length, CUdevice device) {
  ENTER(cuDeviceGetName, false);
  if (device != 0)
    return CUDA_ERROR_INVALID_DEVICE;
  std::snprintf(name, static_cast<size_t>(length), "sm1 emulator (sm_%u)", driver.settings.capability);
  return CUDA_SUCCESS;
}

EMULATED cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
  ENTER(cuDeviceTotalMem_v2, false);
  if (device != 0)
    return CUDA_ERROR_INVALID_DEVICE;
  *bytes = driver.settings.memory;
  return CUDA_SUCCESS;
}

/// CU_DEVICE_ATTRIBUTE_* by number; -1 for one that is not known.
static int attributeValue(const Chip &chip, int attribute) {
  switch (attribute) {
  case 1:
  case 2:
  case 3:
    return 1024; // threads per block, block x and y
  case 4:
    return 64; // block z
  case 5:
    return 0x7fffffff; // grid x
  case 6:
  case 7:
    return 65535; // grid y and z
  case 8:
    return 48 << 10; // shared memory per block without asking
  case 9:
    return 64 << 10; // constant memory
  case 10:
    return 32; // warp size
  case 11:
    return 0x7fffffff; // pitch
  case 12:
  case 82:
    return 65536; // registers per block and multiprocessor
  case 14:
    return 512; // texture alignment
  case 16:
    return static_cast<int>(chip.multiprocessors);
  case 17:
  case 18:
  case 20:
  case 32:
  case 33:
  case 34:
    return 0; // timeout, integrated, compute mode, ECC, bus, device id
  case 19:
  case 31:
  case 41:
  case 83:
  case 95:
    return 1; // maps host memory, concurrent kernels, unified addresses, managed, cooperative
  case 36:
    return 2600000; // memory kHz
  case 37:
    return 5120; // memory bus bits
  case 38:
    return static_cast<int>(chip.l2Bytes);
  case 39:
    return static_cast<int>(chip.threadsPerMultiprocessor);
  case 40:
    return 2; // copy engines
  case 75:
    return static_cast<int>(chip.capability / 10);
  case 76:
    return static_cast<int>(chip.capability % 10);
  case 81:
    return static_cast<int>(chip.sharedPerMultiprocessor);
  case 97:
    return static_cast<int>(chip.sharedPerBlock); // with asking
  case 106:
    return 32; // blocks per multiprocessor
  case 111:
    return 1024; // shared memory the system keeps per block
  case 115:
    return 0; // memory pools
  default:
    return -1;
  }
}

EMULATED cuDeviceGetAttribute(int *value, int attribute, CUdevice device) {
  ENTER(cuDeviceGetAttribute, false);
  if (device != 0)
    return CUDA_ERROR_INVALID_DEVICE;
  int found = attribute == 13 ? static_cast<int>(driver.settings.clock) : attributeValue(driver.chip(), attribute);
  if (!value || found < 0)
    return CUDA_ERROR_INVALID_VALUE;
  *value = found;
  return CUDA_SUCCESS;
}

EMULATED cuDeviceGetPCIBusId(char *text, int size, CUdevice device) {
  ENTER(cuDeviceGetPCIBusId, false);
  static constexpr char place[] = "0000:00:00.0";
  if (device != 0)
    return CUDA_ERROR_INVALID_DEVICE;
  if (!text || size < int(sizeof(place)))
    return CUDA_ERROR_INVALID_VALUE;
  std::memcpy(text, place, sizeof(place));
  return CUDA_SUCCESS;
}

// ---- context ----

EMULATED cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
  ENTER(cuDevicePrimaryCtxRetain, false);
  if (device != 0)
    return CUDA_ERROR_INVALID_DEVICE;
  if (driver.contextUsers++ == 0)
    driver.makeContext();
  *context = &driver.context;
  return CUDA_SUCCESS;
}

EMULATED cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  ENTER(cuDevicePrimaryCtxRelease_v2, false);
  if (device != 0)
    return CUDA_ERROR_INVALID_DEVICE;
  if (!driver.contextUsers)
    return CUDA_ERROR_INVALID_CONTEXT;
  if (--driver.contextUsers == 0) {
    driver.flushAll();
    driver.dropContext();
  }
  return CUDA_SUCCESS;
}

EMULATED cuCtxSetCurrent(CUcontext context) {
  ENTER(cuCtxSetCurrent, false);
  return !context || (context == &driver.context && driver.contextUsers) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

EMULATED cuCtxSynchronize() {
  ENTER(cuCtxSynchronize, true);
  if (int error = driver.refuseWhileCapturing())
    return error;
  return driver.flushAll();
}

// ---- memory ----

EMULATED cuMemGetInfo_v2(size_t *freeBytes, size_t *total) {
  ENTER(cuMemGetInfo_v2, true);
  *freeBytes = driver.memory->freeBytes();
  *total = driver.memory->capacity;
  return CUDA_SUCCESS;
}

EMULATED cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) {
  ENTER(cuMemAlloc_v2, true);
  if (int error = driver.refuseWhileCapturing())
    return error;
  if (!address || !bytes)
    return CUDA_ERROR_INVALID_VALUE;
  *address = driver.memory->allocate(bytes);
  return *address ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

EMULATED cuMemFree_v2(CUdeviceptr address) {
  ENTER(cuMemFree_v2, true);
  if (int error = driver.refuseWhileCapturing())
    return error;
  if (!address)
    return CUDA_SUCCESS;
  if (int error = driver.flushAll())
    return error;
  return driver.memory->release(address) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

EMULATED cuMemAllocHost_v2(void **memory, size_t bytes) {
  ENTER(cuMemAllocHost_v2, true);
  if (int error = driver.refuseWhileCapturing())
    return error;
  if (!memory || !bytes)
    return CUDA_ERROR_INVALID_VALUE;
  auto *host = static_cast<uint8_t *>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096));
  if (!host)
    return CUDA_ERROR_OUT_OF_MEMORY;
  std::memset(host, 0xCD, bytes);
  driver.pinned[host] = bytes;
  *memory = host;
  return CUDA_SUCCESS;
}

EMULATED cuMemFreeHost(void *memory) {
  ENTER(cuMemFreeHost, true);
  auto found = driver.pinned.find(static_cast<uint8_t *>(memory));
  if (found == driver.pinned.end())
    return CUDA_ERROR_INVALID_VALUE;
  if (int error = driver.flushAll())
    return error;
  driver.memory->forgetPinned(found->first);
  driver.pinned.erase(found);
  std::free(memory);
  return CUDA_SUCCESS;
}

EMULATED cuMemHostGetDevicePointer_v2(CUdeviceptr *address, void *memory, unsigned flags) {
  ENTER(cuMemHostGetDevicePointer_v2, true);
  auto found = driver.pinned.find(static_cast<uint8_t *>(memory));
  if (!address || flags || found == driver.pinned.end())
    return CUDA_ERROR_INVALID_VALUE;
  *address = driver.memory->mapPinned(found->first, found->second);
  return CUDA_SUCCESS;
}
