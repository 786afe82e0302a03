// From work to ceilings.
#include "VariantCeilings.h"

#include "Platform.h"

using namespace sm1rt;

/// A GPU's kernels that write so much of what they move are set against a copy, others against reading.
constexpr double copyWrites = 0.25;

std::optional<size_t> VariantCeilings::memory(double readBytes, double writtenBytes) {
  if (onGpu)
    return ceilings.ofGpu(writtenBytes > copyWrites * (readBytes + writtenBytes) ? GpuRate::Copy : GpuRate::Read);
  return ceilings.memory(nearestMix(readBytes, writtenBytes), facts.threads);
}

std::optional<size_t> VariantCeilings::arithmetic(std::string_view compute) {
  if (onGpu)
    return ceilings.ofGpu(compute == "bf16" || compute == "fp8" ? GpuRate::MmaBf16 : GpuRate::FmaF32);
  std::optional<Peak> peak = peakOf(facts.target, compute);
  if (!peak || !peakAvailable(*peak))
    return std::nullopt;
  return ceilings.arithmetic(*peak, facts.threads);
}

/// What multiplies e4m3 alone is set against that; runs, and Hopper's wgmma, which its mma.sync does not reach, against bf16.
std::optional<size_t> VariantCeilings::products(const Work &work) {
  if (work.flops <= 0)
    return std::nullopt;
  bool fp8 = onGpu && work.fp8Flops == work.flops && !isForOneChip(facts.target);
  return fp8 ? ceilings.ofGpu(GpuRate::MmaFp8) : arithmetic(facts.compute);
}

CeilingsOfRow VariantCeilings::ofRun(const Work &work) {
  bool weights = work.weightBytes > 0;
  return {memory(weights ? work.weightBytes : work.readBytes, weights ? 0 : work.writtenBytes), products(work)};
}

CeilingsOfRow VariantCeilings::ofKernel(const Work &work) {
  return {memory(work.weightBytes + work.readBytes, work.writtenBytes), products(work)};
}

/// Multiplying in f32 also tells how fast everything elementwise can be.
void VariantCeilings::askForRates() {
  read = memory(1, 0);
  f32 = arithmetic("f32");
  if (onGpu) {
    copy = ceilings.ofGpu(GpuRate::Copy);
    cache = ceilings.ofGpu(GpuRate::ReadL2);
    launch = ceilings.ofGpu(GpuRate::Launch);
  }
  if (facts.compute == "bf16" || facts.compute == "fp8")
    bf16 = arithmetic("bf16");
  if (facts.compute == "int8")
    int8 = arithmetic("int8");
}

double VariantCeilings::rate(std::optional<size_t> ceiling) const {
  return ceiling ? ceilings.all()[*ceiling].perSecond.median() : 0;
}

MachineRates VariantCeilings::rates() const {
  MachineRates rates;
  rates.target = facts.target;
  rates.threads = facts.threads;
  rates.bytesPerSecond = rate(read);
  rates.f32PerSecond = rate(f32);
  rates.bf16PerSecond = rate(bf16);
  rates.int8PerSecond = rate(int8);
  rates.cacheBytes = onGpu ? ceilings.gpu()->l2Bytes() : lastLevelCacheBytes();
  rates.passBytes = facts.packedWeightBytes;
  if (onGpu) {
    rates.copyPerSecond = rate(copy);
    rates.cachePerSecond = rate(cache);
    rates.launchesPerSecond = rate(launch);
    rates.multiprocessors = ceilings.gpu()->multiprocessors();
    rates.capability = ceilings.gpu()->capability();
  }
  return rates;
}
