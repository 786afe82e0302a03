//===- Machines.cpp - the machines that a report predicts for, and how long a kernel takes there -----------------===//

#include "Machines.h"

#include <algorithm>
#include <thread>

using namespace sm1;
using sm1rt::KernelCost;

static Machine thisCpu(const Target &target) {
  int threads = std::max(1u, std::thread::hardware_concurrency());
  sm1rt::CpuRates rates = sm1rt::nominalRates({target.name.data(), target.name.size()}, threads);
  double cycles = rates.hertz * threads, f32 = 2 * rates.core.lanes * rates.core.fmaPorts * cycles;
  double bf16 = std::max(f32, 2 * rates.core.bf16PerCycle * cycles), int8 = std::max(f32, 2 * rates.core.int8PerCycle * cycles);
  return {"this CPU, " + std::to_string(threads) + " threads", rates.readBandwidth, f32, bf16, int8, rates};
}

std::vector<Machine> sm1::machinesFor(const Target &target) {
  if (!target.isGpu())
    return {thisCpu(target)};
  std::vector<Machine> machines;
  for (const sm1rt::GpuCard &card : sm1rt::gpuCards())
    if (card.target == target.name)
      machines.push_back({card.name, card.rates.readBandwidth, card.rates.f32Operations, card.rates.bf16Operations,
                          card.rates.f32Operations, card.rates});
  return machines;
}

double sm1::bytesOf(const KernelCost &cost, const LaunchWork &work) {
  return cost.weightBytes + work.rows * (cost.readBytes + cost.writeBytes) + work.segments * cost.stateBytes;
}

double sm1::operationsOf(const KernelCost &cost, const LaunchWork &work) {
  double products = cost.f32Products + cost.bf16Products + cost.fp8Products + cost.int8Products;
  return work.rows * (2 * products + cost.vectorOps + cost.prologueOps);
}

Estimate sm1::estimate(const Machine &machine, const KernelCost &cost, const sm1rt::BlockCuts &cuts, const LaunchWork &work) {
  if (auto *cpu = std::get_if<sm1rt::CpuRates>(&machine.rates)) {
    sm1rt::Prediction prediction = sm1rt::predict(cost, cuts, *cpu, {work.rows, work.segments, work.passBytes});
    return {prediction.seconds, prediction.bound()};
  }
  // Steps are launched by a graph, prompts by the host.
  sm1rt::GpuRates rates = std::get<sm1rt::GpuRates>(machine.rates);
  bool isStep = work.passRows == work.segments;
  rates.launchSeconds = isStep ? sm1rt::graphLaunchSeconds : sm1rt::hostLaunchSeconds;
  double rows = cuts.overSegments ? work.segments : work.rows;
  sm1rt::GpuPrediction prediction =
      sm1rt::predict(cost, cuts, rates, {rows, work.segments, work.passRows, work.passRows / work.segments, work.passBytes});
  return {prediction.seconds, prediction.bound()};
}
