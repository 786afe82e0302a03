// The part of the CUDA driver's binary interface that the emulator offers: types, codes and numbers as the driver's own headers fix
// them.
#ifndef EMULATOR_CUDA_H
#define EMULATOR_CUDA_H

#include <cstddef>
#include <cstdint>

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = unsigned long long;
using CUcontext = struct EmulatedContext *;
using CUmodule = struct EmulatedModule *;
using CUfunction = struct EmulatedFunction *;
using CUstream = struct EmulatedStream *;
using CUevent = struct EmulatedEvent *;
using CUgraph = struct EmulatedGraph *;
using CUgraphExec = struct EmulatedGraphExec *;

// name, number, sentence
#define EMULATOR_CUDA_ERRORS(X)                                                                                                    \
  X(CUDA_SUCCESS, 0, "no error")                                                                                                   \
  X(CUDA_ERROR_INVALID_VALUE, 1, "invalid argument")                                                                               \
  X(CUDA_ERROR_OUT_OF_MEMORY, 2, "out of memory")                                                                                  \
  X(CUDA_ERROR_NOT_INITIALIZED, 3, "initialization error")                                                                         \
  X(CUDA_ERROR_DEINITIALIZED, 4, "driver shutting down")                                                                           \
  X(CUDA_ERROR_NO_DEVICE, 100, "no CUDA-capable device is detected")                                                               \
  X(CUDA_ERROR_INVALID_DEVICE, 101, "invalid device ordinal")                                                                      \
  X(CUDA_ERROR_INVALID_IMAGE, 200, "device kernel image is invalid")                                                               \
  X(CUDA_ERROR_INVALID_CONTEXT, 201, "invalid device context")                                                                     \
  X(CUDA_ERROR_NO_BINARY_FOR_GPU, 209, "no kernel image is available for execution on the device")                                 \
  X(CUDA_ERROR_INVALID_PTX, 218, "a PTX JIT compilation failed")                                                                   \
  X(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, 222, "the provided PTX was compiled with an unsupported toolchain.")                       \
  X(CUDA_ERROR_INVALID_HANDLE, 400, "invalid resource handle")                                                                     \
  X(CUDA_ERROR_NOT_FOUND, 500, "named symbol not found")                                                                           \
  X(CUDA_ERROR_NOT_READY, 600, "device not ready")                                                                                 \
  X(CUDA_ERROR_ILLEGAL_ADDRESS, 700, "an illegal memory access was encountered")                                                   \
  X(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, 701, "too many resources requested for launch")                                            \
  X(CUDA_ERROR_LAUNCH_TIMEOUT, 702, "the launch timed out and was terminated")                                                     \
  X(CUDA_ERROR_ASSERT, 710, "device-side assert triggered")                                                                        \
  X(CUDA_ERROR_ILLEGAL_INSTRUCTION, 715, "an illegal instruction was encountered")                                                 \
  X(CUDA_ERROR_MISALIGNED_ADDRESS, 716, "misaligned address")                                                                      \
  X(CUDA_ERROR_LAUNCH_FAILED, 719, "unspecified launch failure")                                                                   \
  X(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, 720, "too many blocks in cooperative launch")                                         \
  X(CUDA_ERROR_NOT_SUPPORTED, 801, "operation not supported")                                                                      \
  X(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, 900, "operation not permitted when stream is capturing")                                \
  X(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, 901, "operation failed due to a previous error during capture")                         \
  X(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, 906, "operation would make the legacy stream depend on a capturing blocking stream")       \
  X(CUDA_ERROR_UNKNOWN, 999, "unknown error")

enum {
#define EMULATOR_ENUMERATOR(name, number, sentence) name = number,
  EMULATOR_CUDA_ERRORS(EMULATOR_ENUMERATOR)
#undef EMULATOR_ENUMERATOR
};

enum {
  CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 0,
  CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES = 1,
  CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES = 2,
  CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES = 3,
  CU_FUNC_ATTRIBUTE_NUM_REGS = 4,
  CU_FUNC_ATTRIBUTE_PTX_VERSION = 5,
  CU_FUNC_ATTRIBUTE_BINARY_VERSION = 6,
  CU_FUNC_ATTRIBUTE_CACHE_MODE_CA = 7,
  CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8,
  CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT = 9
};
enum {
  CU_JIT_INFO_LOG_BUFFER = 3,
  CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES = 4,
  CU_JIT_ERROR_LOG_BUFFER = 5,
  CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6
};
enum { CU_MEMORYTYPE_HOST = 1, CU_MEMORYTYPE_DEVICE = 2, CU_MEMORYTYPE_UNIFIED = 4 };

enum { CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION = 6 };
struct CUlaunchAttribute {
  int id;
  alignas(8) unsigned char value[64];
};
struct CUlaunchConfig {
  unsigned gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
  CUstream hStream;
  CUlaunchAttribute *attrs;
  unsigned numAttrs;
};

struct CUDA_MEMCPY2D {
  size_t srcXInBytes, srcY;
  int srcMemoryType;
  const void *srcHost;
  CUdeviceptr srcDevice;
  void *srcArray;
  size_t srcPitch;
  size_t dstXInBytes, dstY;
  int dstMemoryType;
  void *dstHost;
  CUdeviceptr dstDevice;
  void *dstArray;
  size_t dstPitch;
  size_t WidthInBytes, Height;
};

#endif // EMULATOR_CUDA_H
