//===- Machines.cpp - the machines that a report predicts for, and how long a kernel takes at the least ----------===//

#include "Machines.h"

#include <algorithm>
#include <thread>

using namespace sm1;
using sm1rt::KernelCost;
using sm1rt::LaunchSize;

namespace {
struct Card {
  llvm::StringLiteral target, name;
  double gigabytes, f32Teras, bf16Teras;
};
} // namespace

/// As published: memory bandwidth, f32 without tensor cores, bf16 with sums in f32 on them, dense.
static constexpr Card cards[] = {{"sm_120", "RTX 5060 Ti", 448, 23.7, 47.4},
                                 {"sm_120", "RTX 5090", 1792, 104.8, 209.5},
                                 {"sm_90", "H200", 4800, 66.9, 989.5},
                                 {"sm_89", "RTX 4090", 1008, 82.6, 165.2},
                                 {"sm_80", "A100 80GB", 2039, 19.5, 312}};

std::vector<Machine> sm1::machinesFor(const Target &target) {
  std::vector<Machine> machines;
  for (const Card &card : cards)
    if (card.target == target.name)
      machines.push_back(
          {card.name.str(), card.gigabytes * 1e9, card.f32Teras * 1e12, card.bf16Teras * 1e12, card.f32Teras * 1e12});
  if (target.isGpu())
    return machines;
  int threads = std::max(1u, std::thread::hardware_concurrency());
  sm1rt::CpuRates rates = sm1rt::nominalRates({target.name.data(), target.name.size()}, threads);
  double cycles = rates.hertz * threads, f32 = 2 * rates.core.lanes * rates.core.fmaPorts * cycles;
  machines.push_back({"this CPU, " + std::to_string(threads) + " threads", rates.readBandwidth, f32,
                      std::max(f32, 2 * rates.core.bf16PerCycle * cycles), std::max(f32, 2 * rates.core.int8PerCycle * cycles),
                      threads});
  return machines;
}

double sm1::bytesOf(const KernelCost &cost, const LaunchSize &size) {
  return cost.weightBytes + size.rows * (cost.readBytes + cost.writeBytes) + size.segments * cost.stateBytes;
}

double sm1::operationsOf(const KernelCost &cost, const LaunchSize &size) {
  double products = cost.f32Products + cost.bf16Products + cost.int8Products;
  return size.rows * (2 * products + cost.vectorOps + cost.prologueOps);
}

/// The slower of memory and arithmetic at their peaks: nothing is faster, and nothing on a card is as fast.
static Estimate gpuBound(const Machine &machine, const KernelCost &cost, const LaunchSize &size) {
  double memory = bytesOf(cost, size) / machine.bytesPerSecond;
  double products =
      2 * size.rows * (cost.f32Products / machine.f32 + cost.bf16Products / machine.bf16 + cost.int8Products / machine.int8);
  double elementwise = size.rows * (cost.vectorOps + cost.prologueOps) / machine.f32;
  double arithmetic = products + elementwise;
  return {std::max(memory, arithmetic), memory >= arithmetic ? "memory" : products >= elementwise ? "products" : "elementwise"};
}

Estimate sm1::estimate(const Machine &machine, const Target &target, const KernelCost &cost, const sm1rt::LaunchCuts &cuts,
                       const LaunchSize &size) {
  if (target.isGpu())
    return gpuBound(machine, cost, size);
  sm1rt::CpuRates rates = sm1rt::nominalRates({target.name.data(), target.name.size()}, machine.threads);
  sm1rt::Prediction prediction = sm1rt::predict(cost, cuts, rates, size);
  return {prediction.seconds, prediction.bound()};
}
