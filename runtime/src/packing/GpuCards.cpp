// Facts of cards. Multiprocessors, boost clocks, L2 caches, bandwidths and power of the RTX 5090 and 5080: NVIDIA RTX Blackwell GPU
// Architecture, appendices A and B; of the RTX 5060 Ti: NVIDIA's page of the GeForce RTX 5060 family (36 multiprocessors, 2.57 GHz,
// 448 GB/s, 180 W), its L2 cache from the chip's description. Tensor cores of GeForce cards start 256 multiply-adds of bf16 with
// sums in f32 in a cycle of each multiprocessor (209.5 TFLOP/s of the RTX 5090 in the same document). The H200 is measured.
#include "sm1rt/packing/GpuCost.h"

namespace sm1rt {

/// What kernels that do nothing else reach of data sheets: on an H200 4,403 of 4,800 GB/s and 3,874 with as many writes, 63.6
/// of 66.9 TFLOP/s of f32. That other cards are alike is an assumption.
static constexpr double readPart = 0.92, copyPart = 0.81, arithmeticPart = 0.95;
/// Bytes of the L2 cache in a cycle of each multiprocessor: an assumption for GeForce cards, of which no data sheet speaks. An H200
/// has 57.
static constexpr double l2BytesPerCycle = 16;

static GpuRates fromDataSheet(double multiprocessors, double gigahertz, double gigabytes, double l2Megabytes) {
  GpuRates rates;
  double cycles = multiprocessors * gigahertz * 1e9;
  rates.facts = gpuFactsOf(120);
  rates.multiprocessors = multiprocessors;
  rates.readBandwidth = readPart * gigabytes * 1e9;
  rates.copyBandwidth = copyPart * gigabytes * 1e9;
  rates.l2Bandwidth = l2BytesPerCycle * cycles;
  rates.l2Bytes = l2Megabytes * 1048576;
  rates.bf16Operations = arithmeticPart * 2 * 256 * cycles;
  rates.f32Operations = arithmeticPart * 2 * 128 * cycles;
  return rates;
}

/// By sm1-bench, one machine.
static GpuRates measuredH200() {
  GpuRates rates;
  rates.facts = gpuFactsOf(90);
  rates.multiprocessors = 132;
  rates.readBandwidth = 4403e9;
  rates.copyBandwidth = 3874e9;
  rates.l2Bandwidth = 14069e9;
  rates.l2Bytes = 50.0 * 1048576;
  rates.bf16Operations = 645e12;
  rates.f32Operations = 63.6e12;
  return rates;
}

const std::vector<GpuCard> &gpuCards() {
  static const std::vector<GpuCard> cards = {{"h200", "sm_90", measuredH200(), 700},
                                             {"rtx-5060-ti", "sm_120", fromDataSheet(36, 2.57, 448, 32), 180},
                                             {"rtx-5080", "sm_120", fromDataSheet(84, 2.62, 960, 64), 360},
                                             {"rtx-5090", "sm_120", fromDataSheet(170, 2.41, 1792, 96), 575}};
  return cards;
}

const GpuCard *findGpuCard(std::string_view name) {
  for (const GpuCard &card : gpuCards())
    if (name == card.name)
      return &card;
  return nullptr;
}

} // namespace sm1rt
