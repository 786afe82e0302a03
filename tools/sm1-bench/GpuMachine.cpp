// Launches the kernels of kernels/ceilings.cu and divides what they do by their time.
#include "GpuMachine.h"

#include "Samples.h"

#include <algorithm>

namespace sm1rt::cuda {
extern const char ceilingsPtx[], ceilingsFp8Ptx[]; // of kernels/, which CMakeLists.txt embeds
}

using namespace sm1rt;
using namespace sm1rt::cuda;

constexpr int64_t copyThreads = 512, multiplyThreads = 256; // of ceilings.cu
constexpr double vectorBytes = 16;
/// Blocks of a multiprocessor: as many as fit at once, so that none waits for another to end.
constexpr int64_t copyBlocks = 4, bf16Blocks = 2, f32Blocks = 8;
/// Operations of one iteration: of a warp, of a thread.
constexpr double bf16Operations = 16 * 2 * 16 * 8 * 16, fp8Operations = 2 * bf16Operations, f32Operations = 16 * 2;
/// Enough for a millisecond.
constexpr int bf16Iterations = 8192, f32Iterations = 8192;
/// A quarter of the cache stays there however it is hashed over its parts; so often it is read.
constexpr int cachePasses = 16;
constexpr int emptyLaunches = 64;

const char *rateName(GpuRate rate) {
  static constexpr const char *names[] = {"read", "copy", "read L2", "mma.sync bf16", "mma.sync e4m3", "FMA f32", "empty launch"};
  return names[int(rate)];
}

//===-- Opening -------------------------------------------------------------------------------------------------------------===//

Expected<std::unique_ptr<GpuMachine>> GpuMachine::open(int ordinal, bool toy) {
  auto driver = Driver::load();
  if (!driver)
    return driver.error();
  auto context = Context::open(*driver, ordinal);
  if (!context)
    return context.error();
  std::unique_ptr<GpuMachine> machine(new GpuMachine(std::move(*context), toy));
  if (auto ready = machine->prepare(); !ready)
    return ready.error();
  return machine;
}

Expected<void> GpuMachine::prepare() {
  auto l2Cache = context->attribute(l2CacheBytes);
  auto busId = context->busId();
  if (!l2Cache || !busId)
    return !l2Cache ? l2Cache.error() : busId.error();
  l2 = *l2Cache;
  bus = *busId;
  if (auto found = findFunctions(); !found)
    return found;
  uint64_t bytes = toy ? 1 << 16 : std::max<uint64_t>(uint64_t(512) << 20, 4 * uint64_t(l2));
  for (auto [buffer, size] : {std::pair(&from, bytes), std::pair(&to, bytes), std::pair(&out, uint64_t(64))}) {
    auto allocated = allocate(context, size);
    if (!allocated)
      return allocated.error().in("memory to measure ceilings");
    *buffer = std::move(*allocated);
  }
  return context->wait("preparing to measure ceilings");
}

Expected<void> GpuMachine::findFunctions() {
  auto loaded = Module::load(context, ceilingsPtx, "the PTX of ceilings");
  if (!loaded)
    return loaded.error();
  module = std::make_unique<Module>(std::move(*loaded));
  for (auto [function, name] :
       {std::pair(&readKernel, "sm1_read"), std::pair(&copyKernel, "sm1_copy"), std::pair(&bf16Kernel, "sm1_multiply_bf16"),
        std::pair(&f32Kernel, "sm1_multiply_f32"), std::pair(&nothingKernel, "sm1_nothing")}) {
    auto found = module->function(name);
    if (!found)
      return found.error();
    *function = *found;
  }
  return {};
}

Expected<void> GpuMachine::findFp8() {
  if (fp8Module)
    return {};
  auto loaded = Module::load(context, ceilingsFp8Ptx, "the PTX of ceilings of e4m3");
  if (!loaded)
    return loaded.error();
  fp8Module = std::make_unique<Module>(std::move(*loaded));
  auto found = fp8Module->function("sm1_multiply_e4m3");
  if (!found)
    return found.error();
  fp8Kernel = *found;
  return {};
}

//===-- Launching -----------------------------------------------------------------------------------------------------------===//

Expected<void> GpuMachine::launch(CUfunction function, int64_t blocks, int64_t threads, void **parameters) {
  if (!toy)
    blocks *= context->multiprocessorCount;
  context->busy = true;
  CUresult result = context->driver.cuLaunchKernel(function, unsigned(blocks), 1, 1, unsigned(threads), 1, 1, 0, context->stream,
                                                   parameters, nullptr);
  return context->check(result, "measuring a ceiling");
}

Expected<void> GpuMachine::read(int64_t bytes, int passes) {
  int64_t count = bytes / int64_t(vectorBytes);
  void *parameters[] = {&from->address, &count, &passes, &out->address};
  return launch(readKernel, copyBlocks, copyThreads, parameters);
}

Expected<void> GpuMachine::launchRate(GpuRate rate) {
  int64_t count = int64_t(from->bytes) / int64_t(vectorBytes);
  int bf16 = toy ? 1 : bf16Iterations, f32 = toy ? 1 : f32Iterations;
  void *copied[] = {&from->address, &to->address, &count}, *products[] = {&bf16, &out->address}, *sums[] = {&f32, &out->address};
  switch (rate) {
  case GpuRate::Read:
    return read(int64_t(from->bytes), 1);
  case GpuRate::ReadL2:
    return read(std::min<int64_t>(l2 / 4, int64_t(from->bytes)), toy ? 1 : cachePasses);
  case GpuRate::Copy:
    return launch(copyKernel, copyBlocks, copyThreads, copied);
  case GpuRate::MmaBf16:
    return launch(bf16Kernel, bf16Blocks, multiplyThreads, products);
  case GpuRate::MmaFp8:
    return launch(fp8Kernel, bf16Blocks, multiplyThreads, products);
  case GpuRate::FmaF32:
    return launch(f32Kernel, f32Blocks, multiplyThreads, sums);
  case GpuRate::Launch:
    return launch(nothingKernel, 1, 32, nullptr);
  }
  return {};
}

Expected<double> GpuMachine::measure(GpuRate rate) {
  int launches = rate == GpuRate::Launch ? emptyLaunches : 2; // the first warms up
  if (auto found = rate == GpuRate::MmaFp8 ? findFp8() : Expected<void>(); !found)
    return found.error();
  if (auto begun = clock.begin(); !begun)
    return begun.error();
  for (int index = 0; index < launches; ++index) {
    auto done = launchRate(rate);
    if (done)
      done = clock.mark();
    if (!done) {
      (void)clock.end();
      return done.error();
    }
  }
  auto seconds = clock.end();
  if (!seconds)
    return seconds.error();
  double one = rate == GpuRate::Launch ? Samples{*seconds}.median() : seconds->back();
  double blocks = toy ? 1 : double(context->multiprocessorCount), bytes = double(from->bytes);
  double products = bf16Blocks * blocks * multiplyThreads / 32 * (toy ? 1 : bf16Iterations);
  double work[] = {bytes,
                   2 * bytes,
                   toy ? std::min(l2 / 4.0, bytes) : cachePasses * std::min(l2 / 4.0, bytes),
                   products * bf16Operations,
                   products * fp8Operations,
                   f32Blocks * blocks * multiplyThreads * (toy ? 1 : f32Iterations) * f32Operations,
                   1};
  return work[int(rate)] / std::max(one, 1e-9);
}

Expected<void> GpuMachine::flushCache() {
  if (auto done = read(int64_t(from->bytes), 1); !done)
    return done;
  return context->wait("emptying the cache");
}
