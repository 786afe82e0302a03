// The CUDA driver, loaded at run time. Its types and numbers are declared here as its ABI has them, so that building needs no
// toolkit.
#ifndef SM1RT_SRC_CUDA_DRIVER_H
#define SM1RT_SRC_CUDA_DRIVER_H

#include "sm1rt/Error.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sm1rt::cuda {

// Names of the driver's own header, where they are part of its interface.
using CUresult = int;
using CUdevice = int;
using CUdeviceptr = uint64_t;
using CUcontext = struct CUctx_st *;
using CUstream = struct CUstream_st *;
using CUmodule = struct CUmod_st *;
using CUfunction = struct CUfunc_st *;
using CUevent = struct CUevent_st *;
using CUgraph = struct CUgraph_st *;
using CUgraphExec = struct CUgraphExec_st *;

enum Result : CUresult {
  success = 0,
  outOfMemory = 2,
  noDevice = 100,
  invalidImage = 200,
  noBinaryForGpu = 209,
  invalidPtx = 218,
  unsupportedPtxVersion = 222,
  notFound = 500,
  notReady = 600,
};
enum MemoryType : unsigned { hostMemory = 1, deviceMemory = 2 };
enum DeviceAttribute {
  clockRate = 13, // kHz
  multiprocessors = 16,
  l2CacheBytes = 38,
  capabilityMajor = 75,
  capabilityMinor = 76,
  cooperativeLaunch = 95,
  sharedMemoryOptIn = 97
};
enum FunctionAttribute { maxThreadsPerBlock = 0, staticShared = 1, maxDynamicShared = 8 };
enum JitOption { jitInfoLog = 3, jitInfoLogBytes = 4, jitErrorLog = 5, jitErrorLogBytes = 6 };
enum StreamFlag : unsigned { nonBlocking = 1 };
enum EventFlag : unsigned { disableTiming = 2 };
enum CaptureMode { captureThreadLocal = 1 };

/// CUDA_MEMCPY2D_v2 of the driver's header.
struct CUDA_MEMCPY2D {
  size_t srcXInBytes, srcY;
  unsigned srcMemoryType;
  const void *srcHost;
  CUdeviceptr srcDevice;
  void *srcArray;
  size_t srcPitch;
  size_t dstXInBytes, dstY;
  unsigned dstMemoryType;
  void *dstHost;
  CUdeviceptr dstDevice;
  void *dstArray;
  size_t dstPitch;
  size_t WidthInBytes, Height;
};
static_assert(sizeof(void *) != 8 || sizeof(CUDA_MEMCPY2D) == 128, "the layout of the driver's header");

/// How cp.async.bulk.tensor reads an array; only the driver knows what is in it.
struct alignas(64) CUtensorMap {
  uint64_t opaque[16];
};
enum TensorMapOption {
  mapOfBytes = 0,
  mapOfBf16 = 9,
  notInterleaved = 0,
  swizzleOf64Bytes = 2,
  swizzleOf128Bytes = 3,
  fetchLinesOf128Bytes = 2,
  zerosOutside = 0
};

/// CUlaunchAttribute and CUlaunchConfig of the driver's header.
struct CUlaunchAttribute {
  int id;
  alignas(8) union {
    int allowed;
    unsigned char room[64];
  } value;
};
struct CUlaunchConfig {
  unsigned gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
  CUstream hStream;
  CUlaunchAttribute *attrs;
  unsigned numAttrs;
};
static_assert(sizeof(void *) != 8 || (sizeof(CUlaunchAttribute) == 72 && sizeof(CUlaunchConfig) == 56),
              "the layout of the driver's header");
/// The value is an int: whether the launch may begin before the one in front of it has ended.
enum LaunchAttribute { programmaticSerialization = 6 };

/// The driver's functions. The library stays loaded until the process ends: drivers do not survive being unloaded.
struct Driver {
#define F(name, parameters) CUresult(*name) parameters = nullptr;
#include "Functions.def"
#undef F
  std::string library; ///< the name it was loaded by
  int version = 0;     ///< of CUDA: 1000 * major + 10 * minor

  /// Loads the library that SM1_CUDA_DRIVER names, or the system's, and initialises it.
  static Expected<Driver> load();

  /// "CUDA_ERROR_INVALID_VALUE (invalid argument)".
  std::string describe(CUresult result) const;
};

/// "12.8" for 12080.
std::string cudaVersion(int version);

/// The oldest CUDA version whose driver reads this PTX, from its .version line; 0 where there is none.
int cudaVersionOfPtx(std::string_view ptx);

} // namespace sm1rt::cuda

#endif // SM1RT_SRC_CUDA_DRIVER_H
