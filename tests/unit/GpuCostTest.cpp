// The cost model of GPUs against what an H200 took, and what must hold on every card.
#include "sm1rt/packing/GpuCost.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string_view>

using namespace sm1rt;

namespace {

/// Counts of a package's launch, in the order of KernelCost; what is not listed does not count on a GPU.
struct Counts {
  double weightBytes, readBytes, writeBytes, stateBytes, f32Products, bf16Products, vectorOps, chainSteps, prologueOps,
      prologueSteps, projections, rowTile, stages, depthSplit, registers, wgmma = 0;
};

struct Cuts {
  int64_t rowSplit, panels, panelSplit, threads, shared;
  bool overSegments;
};

/// A kernel of `sm1-bench kernels` on an H200, an event behind each launch.
struct Measured {
  const char *name;
  Counts counts;
  Cuts cuts;
  GpuLaunchSize size;
  double microseconds;
};

KernelCost costOf(const Counts &counts) {
  KernelCost cost;
  cost.weightBytes = counts.weightBytes, cost.readBytes = counts.readBytes, cost.writeBytes = counts.writeBytes;
  cost.stateBytes = counts.stateBytes, cost.f32Products = counts.f32Products, cost.bf16Products = counts.bf16Products;
  cost.vectorOps = counts.vectorOps, cost.chainSteps = counts.chainSteps;
  cost.prologueOps = counts.prologueOps, cost.prologueSteps = counts.prologueSteps;
  cost.projections = counts.projections, cost.rowTile = counts.rowTile;
  cost.stages = counts.stages, cost.depthSplit = counts.depthSplit, cost.registers = counts.registers;
  cost.wgmma = counts.wgmma;
  return cost;
}

BlockCuts cutsOf(const Cuts &cuts) {
  BlockCuts made;
  made.rowSplit = cuts.rowSplit, made.panels = cuts.panels, made.panelSplit = cuts.panelSplit;
  made.threads = cuts.threads, made.shared = cuts.shared, made.overSegments = cuts.overSegments;
  return made;
}

const std::vector<Measured> &measured() {
  static const std::vector<Measured> rows = {
      {"chorales, 8 sequences: scan_step",
       {1579008, 5120, 1024, 4096, 0, 786432, 23040, 32, 0, 0, 3, 8, 1, 1, 148},
       {32, 32, 1, 128, 14464, false},
       {8, 8, 8, 1, 20e6},
       5.3},
      {"chorales, 1 x 4096: ssm_x_proj",
       {1572864, 1024, 6144, 0, 0, 786432, 0, 0, 0, 0, 3, 48, 4, 1, 254},
       {192, 32, 4, 256, 98304, false},
       {4096, 1, 4096, 4096, 20e6},
       31.2},
      {"130M bf16, 1 sequence: extf_step",
       {0, 1412, 2816, 0, 0, 0, 1408, 0, 0, 0, 0, 1, 1, 1, 18},
       {1, 44, 44, 192, 0, false},
       {1, 1, 1, 1, 260e6},
       4.4},
      {"130M bf16, 1 sequence: ssm_in_proj_step",
       {3967744, 2816, 11264, 0, 0, 1982464, 0, 0, 2816, 62, 2, 8, 1, 1, 80},
       {32, 88, 1, 352, 45216, false},
       {1, 1, 1, 1, 260e6},
       6.9},
      {"130M bf16, 1 sequence: conv1d_step",
       {33792, 5632, 8448, 33792, 0, 0, 28160, 106, 0, 0, 0, 1, 1, 1, 36},
       {1, 88, 88, 352, 5636, false},
       {1, 1, 1, 1, 260e6},
       6.0},
      {"130M bf16, 1 sequence: scan_step",
       {11911680, 14080, 2816, 11264, 0, 5947392, 63360, 88, 0, 0, 3, 8, 1, 1, 162},
       {32, 88, 1, 352, 39552, false},
       {1, 1, 1, 1, 260e6},
       8.9},
      {"130M bf16, 16 sequences: mlp_w2_step",
       {2703360, 6656, 2816, 0, 0, 1351680, 704, 0, 0, 0, 1, 8, 1, 1, 64},
       {32, 44, 1, 480, 38528, false},
       {16, 16, 16, 1, 260e6},
       8.7},
      {"130M bf16, 64 sequences: scan_step_many",
       {11911680, 14080, 2816, 11264, 0, 5947392, 63360, 88, 0, 0, 3, 64, 4, 4, 228},
       {64, 88, 1, 128, 114688, false},
       {64, 64, 64, 1, 260e6},
       14.4},
      {"130M f32, 4 sequences: mlp_w1_step",
       {10816256, 2816, 7680, 0, 2703360, 0, 63360, 0, 2112, 62, 2, 4, 1, 1, 191},
       {16, 120, 1, 192, 28288, false},
       {4, 4, 4, 1, 521e6},
       11.9},
      {"130M f32, 1 x 4096: ssm_x_proj",
       {23789568, 5632, 16896, 0, 5947392, 0, 0, 0, 0, 0, 3, 4, 1, 1, 157},
       {64, 88, 4, 256, 66560, false},
       {4096, 1, 4096, 4096, 521e6},
       1893.3},
      {"130M f32, 1 x 4096: scan",
       {16896, 28160, 5632, 11264, 0, 0, 121088, 88, 0, 0, 0, 64, 1, 1, 64},
       {1, 88, 1, 256, 8192, true},
       {1, 1, 4096, 4096, 521e6},
       120.5},
      {"130M f32, 1 x 4096: embed",
       {1261568, 2816, 1792, 0, 311168, 0, 0, 0, 0, 0, 1, 4, 1, 1, 89},
       {64, 28, 4, 256, 33792, false},
       {1, 1, 4096, 4096, 521e6},
       45.6},
      {"130M bf16, 1 x 128: mlp_w1_few",
       {5406720, 1408, 3840, 0, 0, 2703360, 26880, 0, 0, 0, 2, 64, 4, 4, 188},
       {64, 120, 1, 128, 98304, false},
       {128, 1, 128, 128, 260e6},
       11.2},
      {"130M bf16, 1 x 512: ssm_x_proj_some",
       {11894784, 2816, 16896, 0, 0, 5947392, 0, 0, 0, 0, 3, 48, 4, 2, 254},
       {96, 88, 4, 256, 147456, false},
       {512, 1, 512, 512, 260e6},
       23.8},
      {"130M bf16, 1 x 4096: norm1",
       {2816, 2816, 1408, 0, 0, 0, 2816, 62, 0, 0, 0, 1, 1, 1, 26},
       {1, 44, 44, 192, 2820, false},
       {4096, 1, 4096, 4096, 260e6},
       8.6},
      {"130M bf16, 1 x 4096: ssm_in_proj",
       {3964928, 1408, 11264, 0, 0, 1982464, 0, 0, 0, 0, 2, 64, 4, 1, 242},
       {128, 88, 4, 128, 65536, false},
       {4096, 1, 4096, 4096, 260e6},
       49.4},
      {"130M bf16, 1 x 4096: ssm_x_proj",
       {11894784, 2816, 16896, 0, 0, 5947392, 0, 0, 0, 0, 3, 48, 4, 1, 254},
       {192, 88, 4, 256, 98304, false},
       {4096, 1, 4096, 4096, 260e6},
       125.0},
      {"130M bf16, 1 x 4096: scan",
       {16896, 28160, 2816, 11264, 0, 0, 63360, 88, 0, 0, 0, 256, 1, 1, 128},
       {1, 88, 1, 512, 4096, true},
       {1, 1, 4096, 4096, 260e6},
       55.0},
      {"130M bf16, 1 x 4096: ssm_out_proj",
       {1982464, 5632, 2816, 0, 0, 991232, 704, 0, 0, 0, 1, 32, 4, 1, 160},
       {64, 44, 8, 128, 49152, false},
       {4096, 1, 4096, 4096, 260e6},
       33.3},
      {"130M bf16, 1 x 32768: mlp_w2",
       {2703360, 6656, 2816, 0, 0, 1351680, 704, 0, 0, 0, 1, 32, 4, 1, 160},
       {64, 44, 8, 128, 49152, false},
       {8192, 1, 8192, 8192, 260e6},
       78.7},
      {"130M bf16, sm_90a, 1 x 512: ssm_x_proj_some",
       {11894784, 2816, 8448, 0, 0, 5947392, 4224, 0, 0, 0, 3, 64, 7, 1, 122, 1},
       {64, 88, 4, 128, 229432, false},
       {512, 1, 512, 512, 260e6},
       22.0},
      {"130M bf16, sm_90a, 1 x 512: mlp_w2_some",
       {2703360, 6656, 2816, 0, 0, 1351680, 704, 0, 0, 0, 1, 64, 8, 1, 58, 1},
       {64, 44, 4, 128, 131136, false},
       {512, 1, 512, 512, 260e6},
       10.7},
      {"130M bf16, sm_90a, 1 x 4096: ssm_in_proj",
       {3964928, 1408, 5632, 0, 0, 1982464, 2816, 0, 0, 0, 2, 128, 7, 1, 154, 1},
       {128, 88, 4, 128, 114744, false},
       {4096, 1, 4096, 4096, 260e6},
       36.8},
      {"130M bf16, sm_90a, 1 x 4096: ssm_x_proj",
       {11894784, 2816, 8448, 0, 0, 5947392, 4224, 0, 0, 0, 3, 128, 5, 1, 218, 1},
       {128, 88, 4, 128, 102440, false},
       {4096, 1, 4096, 4096, 260e6},
       80.6},
      {"130M bf16, sm_90a, 1 x 8192: ssm_x_proj",
       {11894784, 2816, 8448, 0, 0, 5947392, 4224, 0, 0, 0, 3, 128, 5, 1, 218, 1},
       {128, 88, 4, 128, 102440, false},
       {8192, 1, 8192, 8192, 260e6},
       157.4},
      {"130M bf16, sm_90a, 1 x 8192: mlp_w1",
       {5406720, 1408, 3840, 0, 0, 2703360, 26880, 0, 0, 0, 2, 128, 5, 1, 234, 1},
       {128, 120, 6, 128, 102440, false},
       {8192, 1, 8192, 8192, 260e6},
       69.9},
      {"130M bf16, 8 x 4096: scan",
       {16896, 28160, 2816, 11264, 0, 0, 63360, 88, 0, 0, 0, 256, 1, 1, 128},
       {1, 88, 1, 512, 4096, true},
       {2, 2, 8192, 4096, 260e6},
       109.7},
      {"Mamba-1 of 130M, 16 states, bf16, 1 x 4096: selective_scan",
       {110592, 12416, 3072, 196608, 0, 0, 350208, 96, 0, 0, 0, 32, 2, 1, 92},
       {1, 96, 1, 256, 43008, true},
       {1, 1, 4096, 4096, 258e6},
       140.7},
  };
  return rows;
}

/// Between two events an empty kernel takes 3.5 us there.
GpuRates betweenEvents() {
  GpuRates rates = findGpuCard("h200")->rates;
  rates.launchSeconds = 3.46e-6;
  return rates;
}

GpuPrediction predicted(const Measured &kernel, const GpuRates &rates) {
  return predict(costOf(kernel.counts), cutsOf(kernel.cuts), rates, kernel.size);
}

} // namespace

TEST(GpuCostTest, PredictsWhatAnH200Took) {
  for (const Measured &kernel : measured()) {
    double ratio = 1e6 * predicted(kernel, betweenEvents()).seconds / kernel.microseconds;
    EXPECT_GT(ratio, 1 / 1.5) << kernel.name;
    EXPECT_LT(ratio, 1.5) << kernel.name;
  }
}

// Parts never exceed the whole, and no card beats one that has more of everything but for the clock, which is a tenth slower at
// most.
TEST(GpuCostTest, MoreOfEverythingIsNoSlower) {
  for (const Measured &kernel : measured()) {
    double before = 1;
    for (const char *card : {"rtx-5060-ti", "rtx-5080", "rtx-5090"}) {
      GpuPrediction prediction = predicted(kernel, findGpuCard(card)->rates);
      for (double part : {prediction.memory, prediction.products, prediction.elementwise, prediction.waiting, prediction.launch})
        EXPECT_LE(part, prediction.seconds) << kernel.name << " on " << card;
      EXPECT_LE(prediction.seconds, before * 1.12) << kernel.name << " on " << card;
      before = prediction.seconds;
    }
  }
}

// With steps of 128 bytes of a row, where two blocks share a multiprocessor, reading operands hides behind products.
TEST(GpuCostTest, LongStepsHideWhatIsRead) {
  GpuRates rates = betweenEvents();
  Measured kernel = *std::find_if(measured().begin(), measured().end(), [](const Measured &one) {
    return std::string_view(one.name) == "130M bf16, 1 x 4096: ssm_in_proj";
  });
  GpuPrediction before = predicted(kernel, rates);
  kernel.counts.stages = 3, kernel.cuts.shared = 3 * (128 * 128 + 8 * 2112);
  GpuPrediction after = predicted(kernel, rates);
  EXPECT_EQ(before.blocksPerMultiprocessor, after.blocksPerMultiprocessor);
  EXPECT_LT(after.products, 0.9 * before.products);
  EXPECT_GT(after.products, 0.7 * before.products);
  kernel.cuts.shared = 3 * (128 * 64 + 8 * 1024); // as many steps of 64 bytes
  EXPECT_EQ(predicted(kernel, rates).products, before.products);
}

// Tensor cores multiply e4m3 twice as fast, of half the bytes: its products take half the time, and nothing else changes. An H200's
// do so by wgmma alone.
TEST(GpuCostTest, E4m3TakesHalfTheTime) {
  GpuRates rates = findGpuCard("rtx-5090")->rates;
  for (const Measured &kernel : measured()) {
    GpuPrediction wide = predicted(kernel, rates);
    KernelCost cost = costOf(kernel.counts);
    std::swap(cost.bf16Products, cost.fp8Products);
    GpuPrediction halved = predict(cost, cutsOf(kernel.cuts), rates, kernel.size);
    EXPECT_DOUBLE_EQ(halved.products, (kernel.counts.bf16Products > 0 ? 0.5 : 1) * wide.products) << kernel.name;
    EXPECT_DOUBLE_EQ(halved.memory + halved.waiting + halved.elementwise, wide.memory + wide.waiting + wide.elementwise)
        << kernel.name;
    if (std::string_view(kernel.name) != "130M bf16, 1 x 4096: ssm_x_proj")
      continue;
    GpuPrediction asHalves = predict(cost, cutsOf(kernel.cuts), betweenEvents(), kernel.size);
    EXPECT_NEAR(asHalves.products / predicted(kernel, betweenEvents()).products, 1.3, 0.1); // 166 us and 128
  }
}

// 100 KB of shared memory hold two blocks of 48 KB, 228 KB four.
TEST(GpuCostTest, CountsBlocksThatFit) {
  Measured kernel = measured().front();
  kernel.cuts = {1, 8, 8, 128, 48 << 10, false};
  kernel.counts.registers = 64;
  EXPECT_EQ(predicted(kernel, findGpuCard("rtx-5090")->rates).blocksPerMultiprocessor, 2);
  EXPECT_EQ(predicted(kernel, findGpuCard("h200")->rates).blocksPerMultiprocessor, 4);
  kernel.counts.registers = 255; // 65,536 registers for four warps of 32 x 256
  EXPECT_EQ(predicted(kernel, findGpuCard("h200")->rates).blocksPerMultiprocessor, 2);
  kernel.cuts.shared = 0, kernel.counts.registers = 16;
  EXPECT_EQ(predicted(kernel, findGpuCard("h200")->rates).blocksPerMultiprocessor, 16); // 2,048 threads
  kernel.size.rows = 1000;
  EXPECT_EQ(predicted(kernel, findGpuCard("h200")->rates).blocks, 1000);
}

// The 130M configuration: 51 phases, 261 MB. Measured on H200s: 86, 88, 102 and 108 us for 1, 2, 4 and 8 sequences; 63 us of
// weights alone.
TEST(GpuCostTest, PredictsWholeTokens) {
  const GpuRates &rates = findGpuCard("h200")->rates;
  for (auto [sequences, microseconds] : {std::pair(1.0, 86.0), {2.0, 88.0}, {4.0, 102.0}, {8.0, 108.0}})
    EXPECT_NEAR(1e6 * predictToken({260.7e6, 51, sequences}, rates).seconds() / microseconds, 1, 0.1) << sequences;
  EXPECT_GT(predictToken({260.7e6, 51, 1}, findGpuCard("rtx-5060-ti")->rates).seconds(), 260.7e6 / 448e9);
}

TEST(GpuCostTest, PartsOfATokenAddUp) {
  const GpuRates &rates = findGpuCard("h200")->rates;
  TokenPrediction whole = predictToken({260.7e6, 51, 2}, rates), some = predictToken({90e6, 41, 2}, rates),
                  others = predictToken({170.7e6, 10, 2}, rates);
  EXPECT_NEAR(whole.secondsOf(some) + whole.secondsOf(others), whole.seconds(), 1e-12);
  EXPECT_LT(whole.secondsOf(others), others.seconds()); // each hides some of the other's waiting
}

TEST(GpuCostTest, KnowsCardsAndChips) {
  EXPECT_EQ(findGpuCard("rtx-3090"), nullptr);
  for (const GpuCard &card : gpuCards())
    EXPECT_EQ("sm_" + std::to_string(card.rates.facts.capability), card.target);
  EXPECT_EQ(gpuFactsOf(125).capability, 121);
  EXPECT_EQ(gpuFactsOf(75).capability, 80);
}
