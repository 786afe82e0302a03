// The GPU that runs a model, as a machine to be measured: kernels that only read, copy or multiply, and its L2 cache made cold.
#ifndef SM1_BENCH_GPUMACHINE_H
#define SM1_BENCH_GPUMACHINE_H

#include "cuda/LaunchClock.h"
#include "cuda/Memory.h"
#include "cuda/Module.h"

#include <memory>
#include <string>

enum class GpuRate {
  Read,    ///< bytes a second, from memory
  Copy,    ///< bytes read and written a second
  ReadL2,  ///< bytes a second that stay in the L2 cache
  MmaBf16, ///< operations a second of mma.sync, bf16 with sums in f32; a multiply-add counts as two
  MmaFp8,  ///< the same of e4m3, on chips that have it
  FmaF32,  ///< the same of f32 multiply-adds
  Launch,  ///< launches a second of a kernel that does nothing, one after the other in a stream
};

/// e.g. "mma.sync bf16".
const char *rateName(GpuRate rate);

class GpuMachine {
public:
  /// Device `ordinal`, in the same context as a model's. Memory is measured over four times the L2 cache, 512 MB at least. `toy`:
  /// over a few KB and with a few instructions, for emulators; figures then mean nothing.
  static sm1rt::Expected<std::unique_ptr<GpuMachine>> open(int ordinal, bool toy);

  sm1rt::Expected<double> measure(GpuRate rate);
  /// Reads memory until nothing of a model is left in the L2 cache.
  sm1rt::Expected<void> flushCache();

  double memoryBytes() const { return double(from->bytes); }
  double l2Bytes() const { return double(l2); }
  int multiprocessors() const { return context->multiprocessorCount; }
  int capability() const { return context->capability; }
  const std::string &name() const { return context->deviceName; }
  /// e.g. "0000:1B:00.0".
  const std::string &busId() const { return bus; }

private:
  GpuMachine(std::shared_ptr<sm1rt::cuda::Context> context, bool toy) : context(context), toy(toy), clock(std::move(context)) {}
  sm1rt::Expected<void> prepare();
  sm1rt::Expected<void> findFunctions();
  sm1rt::Expected<void> findFp8();
  sm1rt::Expected<void> launch(sm1rt::cuda::CUfunction function, int64_t blocks, int64_t threads, void **parameters);
  sm1rt::Expected<void> launchRate(GpuRate rate);
  sm1rt::Expected<void> read(int64_t bytes, int passes);

  std::shared_ptr<sm1rt::cuda::Context> context;
  bool toy;
  int l2 = 0;
  std::string bus;
  sm1rt::cuda::LaunchClock clock;
  std::unique_ptr<sm1rt::cuda::Module> module, fp8Module;
  sm1rt::cuda::CUfunction readKernel{}, copyKernel{}, bf16Kernel{}, fp8Kernel{}, f32Kernel{}, nothingKernel{};
  std::unique_ptr<sm1rt::DeviceBuffer> from, to, out;
};

#endif // SM1_BENCH_GPUMACHINE_H
