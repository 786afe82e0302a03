// Predictions against arithmetic done by hand, and the ways in which a prediction must follow its counts.
#include "sm1rt/packing/Cost.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace sm1rt;

namespace {

/// One thread of 1 GHz, so that microseconds are thousands of cycles; 10 GB/s from memory.
CpuRates slowMachine() {
  CpuRates rates;
  rates.core = coreOf("x86-64-v4");
  rates.hertz = 1e9;
  rates.readBandwidth = 10e9;
  rates.coreBandwidth = 10e9;
  rates.sharedBandwidth = 8e9;
  rates.sharedBytes = 32 << 20;
  rates.launchSeconds = 0;
  return rates;
}

/// A projection of 64 panels by 1024 k in f32: 4 MiB.
KernelCost projection() {
  KernelCost cost;
  cost.weightBytes = 4 << 20;
  cost.f32Products = 1 << 20;
  cost.readBytes = cost.writeBytes = 4096;
  cost.projections = 1;
  cost.rowTile = 8, cost.panelTile = 2, cost.singleRowPanels = 4;
  return cost;
}

constexpr LaunchCuts cuts{128, 64, 4};
constexpr double manyWeights = 1e9, noWeights = 0;

TEST(CostTest, OneRowIsAsFastAsMemory) {
  Prediction one = predict(projection(), cuts, slowMachine(), {1, 1, manyWeights});
  double weights = (4 << 20) / (10e9 * streamFraction(4));
  EXPECT_NEAR(one.memory, weights, 0.01 * weights);
  EXPECT_GT(one.seconds, one.memory) << "arithmetic is not hidden completely";
  EXPECT_LT(one.seconds, 1.2 * one.memory);
  EXPECT_STREQ(one.bound(), "memory");
}

TEST(CostTest, WeightsThatStayInTheCacheComeFromThere) {
  Prediction one = predict(projection(), cuts, slowMachine(), {1, 1, noWeights});
  EXPECT_NEAR(one.memory, (4 << 20) / 8e9, 0.01 * one.memory);
}

// 256 rows in tiles of 8 x 2: 16 multiply-adds on two ports take 8 cycles, with what loads add.
TEST(CostTest, ManyRowsAreAsFastAsTheCore) {
  KernelCost cost = projection();
  Prediction many = predict(cost, cuts, slowMachine(), {256, 1, manyWeights});
  double least = 256.0 * (1 << 20) / 32 * 1e-9;
  EXPECT_GT(many.products, least);
  EXPECT_LT(many.products, 1.2 * least);
  EXPECT_STREQ(many.bound(), "products");
  // Rows by themselves have four chains, of which each waits four cycles.
  cost.rowTile = 1;
  EXPECT_GT(predict(cost, cuts, slowMachine(), {256, 1, manyWeights}).products, 1.9 * least);
}

TEST(CostTest, ThreadsShareWhatCanBeCut) {
  CpuRates rates = slowMachine();
  Prediction one = predict(projection(), cuts, rates, {256, 1, manyWeights});
  rates.threads = 2;
  Prediction two = predict(projection(), cuts, rates, {256, 1, manyWeights});
  EXPECT_NEAR(two.products, one.products / 2, 0.01 * one.products);
  // Eleven blocks of panels keep at most eleven threads busy.
  rates.threads = 16;
  LaunchCuts few{0, 44, 4};
  Prediction sixteen = predict(projection(), few, rates, {256, 1, manyWeights});
  rates.threads = 11;
  EXPECT_EQ(sixteen.products, predict(projection(), few, rates, {256, 1, manyWeights}).products);
  // A kernel of whole rows with one row is one task.
  KernelCost norm;
  norm.vectorOps = 4096;
  EXPECT_EQ(predict(norm, {8, 64, 0}, rates, {1, 1, 0}).elementwise,
            predict(norm, {8, 64, 0}, slowMachine(), {1, 1, 0}).elementwise);
}

// A kernel that cannot be cut reads through one core, whatever memory could give to all of them.
TEST(CostTest, OneTaskReadsAsFastAsOneCore) {
  CpuRates rates = slowMachine();
  rates.threads = 4;
  rates.readBandwidth = 40e9;
  KernelCost conv;
  conv.weightBytes = 1 << 20;
  LaunchCuts whole{8, 64, 0}, split{16, 64, 4};
  double one = (1 << 20) / (10e9 * streamFraction(1));
  EXPECT_NEAR(predict(conv, whole, rates, {1, 1, manyWeights}).memory, one, 1e-3 * one);
  EXPECT_NEAR(predict(conv, split, rates, {1, 1, manyWeights}).memory, one / 4, 1e-3 * one);
  // Two cores that saturate memory get no more than there is.
  rates.readBandwidth = 20e9;
  EXPECT_NEAR(predict(conv, split, rates, {1, 1, manyWeights}).memory, one / 2, 1e-3 * one);
}

// Lines are read before they are written: into the shared cache, into memory, and of states.
TEST(CostTest, WritingCostsTwice) {
  CpuRates rates = slowMachine();
  LaunchCuts split{16, 64, 4};
  KernelCost read, written, state;
  read.readBytes = written.writeBytes = 4096;
  for (double rows : {1024.0, 65536.0}) { // 4 MiB, in the shared cache; 256 MiB, in memory
    double reading = predict(read, split, rates, {rows, 1, manyWeights}).memory;
    EXPECT_NEAR(predict(written, split, rates, {rows, 1, manyWeights}).memory, 2 * reading, 0.01 * reading);
  }
  state.stateBytes = 2e6;
  EXPECT_NEAR(predict(state, split, rates, {1, 1, manyWeights}).memory, 3e6 / 10e9, 1e-6);
}

TEST(CostTest, ChainsWaitAndProloguesAreRepeated) {
  KernelCost norm;
  norm.vectorOps = 1600, norm.chainSteps = 100; // 50 cycles of instructions, 400 of waiting
  LaunchCuts whole{8, 64, 0};
  EXPECT_NEAR(predict(norm, whole, slowMachine(), {1, 1, 0}).elementwise, 400e-9, 1e-9);
  KernelCost early;
  early.prologueSteps = 100;
  CpuRates rates = slowMachine();
  rates.threads = 2;
  // Two blocks of panels for two threads: both compute it. Of 64 rows there are eight blocks, four for each thread.
  EXPECT_NEAR(predict(early, cuts, rates, {1, 1, 0}).elementwise, 400e-9, 1e-9);
  EXPECT_NEAR(predict(early, cuts, rates, {64, 1, 0}).elementwise, 4 * 64 * 400e-9, 1e-6);
}

TEST(CostTest, NarrowProductsHaveTheirOwnRate) {
  KernelCost cost = projection();
  std::swap(cost.f32Products, cost.bf16Products);
  CpuRates rates = slowMachine();
  double asF32 = predict(cost, cuts, rates, {256, 1, noWeights}).products;
  EXPECT_GT(asF32, predict(projection(), cuts, rates, {256, 1, noWeights}).products) << "x has to be cut out of words";
  rates.core.bf16PerCycle = 512;
  EXPECT_NEAR(predict(cost, cuts, rates, {256, 1, noWeights}).products, 256.0 * (1 << 20) / 256 * 1e-9, 1e-9);
}

// 64 panels by 32 groups of 32 k. Of eight rows two ports start 90 instructions a panel and group; a row alone takes 15 cycles.
// Tile registers take 75 for 16 rows, and 45 to unpack, from 48 rows on.
TEST(CostTest, GroupsOfInt4AreCountedByInstructions) {
  KernelCost cost = projection();
  cost.f32Products = 0, cost.int8Products = cost.groupProducts = 1 << 20, cost.rowTile = 8;
  CpuRates rates = slowMachine();
  rates.core = coreOf("x86-64-v4-amx");
  auto cycles = [&](double rows) { return predict(cost, cuts, rates, {rows, 1, noWeights}).products * rates.hertz / (64 * 32); };
  EXPECT_NEAR(cycles(8), 45, 1e-6);
  EXPECT_NEAR(cycles(2), 2 * 15, 1e-6);
  EXPECT_NEAR(cycles(64), 45 + 4 * 75, 1e-6);
}

// Without VNNI two instructions multiply and add two k of int8, on three ports with AVX2; int4 has 19 for 32 k, and 12 that unpack
// them.
TEST(CostTest, IntegersWithoutVnniAreCountedByInstructions) {
  CoreFacts core = coreOf("x86-64-v3");
  TileWork words, bytes;
  words.rows = 4, bytes.rows = 2;
  words.takeMadds(/*grouped=*/false), bytes.takeMadds(/*grouped=*/true);
  EXPECT_GE(tileCycles(core, words), (4 * 2 + 2 * 0.5) / 3);
  EXPECT_LT(tileCycles(core, words), 1.1 * (4 * 2 + 2 * 0.5) / 3);
  EXPECT_GE(tileCycles(core, bytes), (2 * 2 * 19 + 2 * 12) / 32.0 / 3);
  EXPECT_LT(tileCycles(core, bytes), 1.1 * (2 * 2 * 19 + 2 * 12) / 32.0 / 3);
  // What has been scaled stands beside the integers of a group, and what AVX2 has no register for is spilled.
  EXPECT_LE(tileRegisters(core, words), core.registers);
  EXPECT_LE(tileRegisters(core, bytes), core.registers);
  words.rows = 5, bytes.rows = 3;
  EXPECT_GT(tileRegisters(core, words), core.registers);
  EXPECT_GT(tileRegisters(core, bytes), core.registers);
  KernelCost cost = projection();
  std::swap(cost.f32Products, cost.int8Products), cost.rowTile = 4, cost.panelTile = 1;
  CpuRates rates = slowMachine();
  rates.core = core;
  double least = 256.0 * (1 << 20) / 8 / 3 * 1e-9;
  EXPECT_NEAR(predict(cost, cuts, rates, {256, 1, noWeights}).products, 1.2 * least, 0.1 * least);
}

// Few rows have been made by other threads, and every task of a projection reads all of them.
TEST(CostTest, FewRowsComeFromOtherCores) {
  KernelCost cost;
  cost.readBytes = 1000, cost.projections = 1;
  CpuRates rates = slowMachine();
  double own = 8e3 / (rates.core.l2BytesPerCycle * rates.hertz);
  EXPECT_NEAR(predict(cost, cuts, rates, {8, 1, noWeights}).memory, own, 1e-12);
  rates.threads = 2;
  EXPECT_NEAR(predict(cost, cuts, rates, {8, 1, noWeights}).memory, own / 2 + 4e3 / 5e9, 1e-12);
  cost.projections = 0; // a thread has half of the rows
  EXPECT_NEAR(predict(cost, cuts, rates, {8, 1, noWeights}).memory, own / 2 + 2e3 / 5e9, 1e-12);
}

// Three projections: two rows by one panel of each, for which registers suffice, or six rows of one after the other.
TEST(CostTest, ApartIsForFewRegisters) {
  CpuRates rates = slowMachine();
  rates.core = coreOf("x86-64-v3");
  KernelCost cost = projection();
  cost.projections = 3, cost.rowTile = 2, cost.panelTile = 1, cost.singleRowPanels = 2;
  double least = 256.0 * (1 << 20) / 16 * 1e-9;
  EXPECT_GT(predict(cost, cuts, rates, {256, 1, noWeights}).products, 1.5 * least);
  cost.rowTile = 6, cost.apart = 1;
  EXPECT_LT(predict(cost, cuts, rates, {256, 1, noWeights}).products, 1.25 * least);
}

TEST(CostTest, ManyRowsUnpackOnce) {
  KernelCost cost = projection();
  cost.unpackOps = 3;
  double everyTile = predict(cost, cuts, slowMachine(), {128, 1, noWeights}).products;
  double fewRows = predict(cost, cuts, slowMachine(), {8, 1, noWeights}).products;
  cost.widenRows = 24;
  EXPECT_LT(predict(cost, cuts, slowMachine(), {128, 1, noWeights}).products, 0.9 * everyTile);
  EXPECT_EQ(predict(cost, cuts, slowMachine(), {8, 1, noWeights}).products, fewRows);
}

// A batch of 8 in tiles of 6 is 4 and 4.
TEST(CostTest, SmallTilesCoverTheRest) {
  CoreFacts core = coreOf("x86-64-v3");
  TileWork six, four;
  six.rows = 6, four.rows = 4;
  EXPECT_EQ(coverCycles(core, six, 4, 8, 4), coverCycles(core, four, 4, 8, 4));
  EXPECT_EQ(coverCycles(core, six, 4, 6, 4), 4 * tileCycles(core, six));
}

// More work of any kind never takes less time.
TEST(CostTest, NoCountMakesALaunchFaster) {
  for (const KernelCostField &field : kernelCostFields()) {
    if (field.least > 0 || field.count == &KernelCost::projections)
      continue; // says how, not how much
    for (double rows : {1.0, 7.0, 256.0}) {
      KernelCost cost = projection();
      double before = predict(cost, cuts, slowMachine(), {rows, rows, manyWeights}).seconds;
      cost.*field.count = 2 * cost.*field.count + 1e6;
      EXPECT_GE(predict(cost, cuts, slowMachine(), {rows, rows, manyWeights}).seconds, before) << field.key << ", rows " << rows;
    }
  }
}

// A plan comes from a file: whatever its counts are, a prediction is a number.
TEST(CostTest, ExtremesStayFinite) {
  for (double count : {0.0, 1.0, kernelCostLimit})
    for (double rows : {0.0, 1.0, 1e12}) {
      KernelCost cost;
      for (const KernelCostField &field : kernelCostFields())
        cost.*field.count = std::max(count, field.least);
      double seconds = predict(cost, {0, 1, 0}, slowMachine(), {rows, rows, count}).seconds;
      EXPECT_TRUE(std::isfinite(seconds) && seconds >= 0) << count << ", rows " << rows;
    }
}

TEST(CostTest, MeasuredRatesGiveBackWhatWasMeasured) {
  CpuRates rates = measuredRates(coreOf("x86-64-v3"), 2, {20e9, 150e9, 600e9});
  EXPECT_EQ(rates.readBandwidth, 20e9);
  EXPECT_EQ(rates.coreBandwidth, 12e9);
  EXPECT_EQ(measuredRates(coreOf("x86-64-v3"), 2, {30e9, 150e9}).coreBandwidth, 15e9);
  EXPECT_EQ(measuredRates(coreOf("x86-64-v3"), 1, {20e9, 150e9}).coreBandwidth, 20e9);
  EXPECT_DOUBLE_EQ(2 * rates.core.lanes * rates.core.fmaPorts * rates.hertz * rates.threads, 150e9);
  EXPECT_DOUBLE_EQ(2 * rates.core.bf16PerCycle * rates.hertz * rates.threads, 600e9);
  EXPECT_EQ(rates.core.int8PerCycle, 0);
  EXPECT_EQ(coreOf("x86-64-v3").lanes, 8);
  EXPECT_EQ(coreOf("x86-64-v4-amx").lanes, 16);
}

} // namespace
