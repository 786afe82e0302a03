// Counts of kernels against numbers worked out by hand, and the tiles that follow from facts about cores.
#include "sm1c/Cost.h"

#include "sm1c/Lowering/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/InitAllDialects.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace sm1;
using sm1rt::coreOf;
using sm1rt::KernelCost;

namespace {

class CostCountsTest : public testing::Test {
protected:
  CostCountsTest() {
    DialectRegistry registry;
    registerAllDialects(registry);
    registry.insert<Sm1Dialect>();
    context.appendDialectRegistry(registry);
  }

  OwningOpRef<ModuleOp> parse(const std::string &text) {
    auto module = parseSourceString<ModuleOp>(text, &context);
    EXPECT_TRUE(module);
    return module;
  }
  /// Counts of the only kernel of a model with the input x, 40 channels in three panels, and the state s.
  KernelCost count(const std::string &params, const std::string &kernel) {
    auto module = parse("sm1.model @m(%x: tensor<?x?x40xf32> {sm1.name = \"x\"}, %s: tensor<?x40xf32> {sm1.state = \"s\"}) -> "
                        "(tensor<?x?x40xf32> {sm1.name = \"y\"}, tensor<?x40xf32> {sm1.state = \"s\"}) {" +
                        params + kernel + "}");
    KernelCost cost;
    module->walk([&](KernelOp op) { cost = costOf(op); });
    return cost;
  }

  MLIRContext context;
};

// y = x W^T with W [40, 40] in bf16, three panels of 16 rows: 48 * 40 weights of 2 bytes.
TEST_F(CostCountsTest, Projection) {
  KernelCost cost = count(R"(%w = sm1.param "w" {layout = "panels"} : tensor<40x40xbf16>)", R"(
    %y = sm1.kernel "k" (%a = %x : tensor<?x?x40xf32>, %b = %w : tensor<40x40xbf16>)
        schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 64, panel_split = 4> -> tensor<?x?x40xf32> {
      %0 = sm1.linear %a, %b : tensor<?x?x40xf32>, tensor<40x40xbf16>
      sm1.yield %0 : tensor<?x?x40xf32>
    }
    sm1.return %y, %s : tensor<?x?x40xf32>, tensor<?x40xf32>)");
  EXPECT_EQ(cost.f32Products, 40 * 40);
  EXPECT_EQ(cost.bf16Products, 0);
  EXPECT_EQ(cost.weightBytes, 48 * 40 * 2);
  EXPECT_EQ(cost.readBytes, 48 * 4);
  EXPECT_EQ(cost.writeBytes, 48 * 4);
  EXPECT_EQ(cost.unpackOps, 1);
  EXPECT_EQ(cost.vectorOps + cost.prologueOps + cost.chainSteps + cost.stateBytes, 0);
  EXPECT_EQ(cost.projections, 1);
  EXPECT_EQ(cost.rowTile, 8);
  EXPECT_EQ(cost.panelTile, 2);
  EXPECT_EQ(cost.singleRowPanels, 4);
}

// Integers have a count of their own, and those in groups another.
TEST_F(CostCountsTest, IntegersInGroups) {
  KernelCost cost =
      count(R"(%w = sm1.param "w" quantised <bits = 4, group = 32, columns = 40> {layout = "nibbles"} : tensor<40x40xi4>
                             %f = sm1.param "w" quantised <bits = 4, group = 32, columns = 40> {layout = "scales"} : tensor<40x2xf16>)",
            R"(
    %y = sm1.kernel "k" (%a = %x : tensor<?x?x40xf32>, %b = %w : tensor<40x40xi4>, %c = %f : tensor<40x2xf16>) -> tensor<?x?x40xf32> {
      %0 = sm1.linear %a, %b scales %c int8 : tensor<?x?x40xf32>, tensor<40x40xi4>, tensor<40x2xf16>
      sm1.yield %0 : tensor<?x?x40xf32>
    }
    sm1.return %y, %s : tensor<?x?x40xf32>, tensor<?x40xf32>)");
  EXPECT_EQ(cost.int8Products, 40 * 40);
  EXPECT_EQ(cost.groupProducts, 40 * 40);
  EXPECT_EQ(cost.f32Products + cost.unpackOps, 0);
}

// A norm on the way into two projections is a prologue; their gate is the body's. What is the same for every row is free.
TEST_F(CostCountsTest, PrologueAndBody) {
  KernelCost cost = count(R"(%w = sm1.param "w" : tensor<40x40xf32>
                             %v = sm1.param "v" : tensor<40x40xf32>
                             %n = sm1.param "n" {layout = "channels"} : tensor<40xf32>)",
                          R"(
    %y = sm1.kernel "k" (%a = %x : tensor<?x?x40xf32>, %b = %w : tensor<40x40xf32>, %c = %v : tensor<40x40xf32>, %d = %n : tensor<40xf32>)
        -> tensor<?x?x40xf32> {
      %0 = sm1.rms_norm %a, %d eps 1.0e-6 : tensor<?x?x40xf32>
      %1 = sm1.linear %0, %b : tensor<?x?x40xf32>, tensor<40x40xf32>
      %2 = sm1.linear %0, %c : tensor<?x?x40xf32>, tensor<40x40xf32>
      %3 = math.exp %d : tensor<40xf32>
      %4 = sm1.broadcast %3 : tensor<40xf32> to tensor<?x?x40xf32>
      %5 = arith.mulf %1, %4 : tensor<?x?x40xf32>
      %6 = arith.mulf %5, %2 : tensor<?x?x40xf32>
      sm1.yield %6 : tensor<?x?x40xf32>
    }
    sm1.return %y, %s : tensor<?x?x40xf32>, tensor<?x40xf32>)");
  EXPECT_EQ(cost.f32Products, 2 * 40 * 40);
  EXPECT_EQ(cost.projections, 2);
  EXPECT_EQ(cost.weightBytes, 2 * 48 * 40 * 4 + 48 * 4);
  EXPECT_EQ(cost.vectorOps, 2 * 48);
  EXPECT_EQ(cost.prologueOps, 3 * 48);
  EXPECT_GT(cost.prologueSteps, 3);
  EXPECT_EQ(cost.chainSteps, 0);
  EXPECT_EQ(cost.readBytes, 48 * 4);
}

// A state is read and written once for each segment.
TEST_F(CostCountsTest, ScanAndStates) {
  KernelCost cost = count("", R"(
    %y, %l = sm1.kernel "k" (%a = %x : tensor<?x?x40xf32>, %b = %s : tensor<?x40xf32>) -> (tensor<?x?x40xf32>, tensor<?x40xf32>) {
      %h, %last = sm1.scan %a, %a init %b : tensor<?x?x40xf32>
      %e = math.exp %h : tensor<?x?x40xf32>
      sm1.yield %e, %last : tensor<?x?x40xf32>, tensor<?x40xf32>
    }
    sm1.return %y, %l : tensor<?x?x40xf32>, tensor<?x40xf32>)");
  EXPECT_EQ(cost.stateBytes, 2 * 48 * 4);
  EXPECT_EQ(cost.weightBytes, 0);
  EXPECT_EQ(cost.chainSteps, 3);
  math::ExpOp exp;
  OpBuilder builder(&context);
  context.loadDialect<math::MathDialect, arith::ArithDialect>();
  auto one = arith::ConstantOp::create(builder, builder.getUnknownLoc(), builder.getF32FloatAttr(1));
  exp = math::ExpOp::create(builder, builder.getUnknownLoc(), one);
  EXPECT_EQ(cost.vectorOps, 48 * (1 + laneOpsOf(exp)));
  exp.erase();
  one.erase();
}

// Every state of a channel has an exp of its own; the chains over time go on side by side.
TEST_F(CostCountsTest, SelectiveScan) {
  auto countStates = [&](const char *states) {
    std::string text = R"(sm1.model @m(%x: tensor<?x?x40xf32> {sm1.name = "x"}, %b: tensor<?x?xNxf32> {sm1.name = "b"})
        -> (tensor<?x?x40xf32> {sm1.name = "y"}) {
      %w = sm1.param "A" {layout = "channels"} : tensor<40xNxf32>
      %y = sm1.kernel "k" (%d = %x : tensor<?x?x40xf32>, %e = %b : tensor<?x?xNxf32>, %a = %w : tensor<40xNxf32>) -> tensor<?x?x40xf32> {
        %h, %last = sm1.selective_scan %d, %d, %a, %e, %e : tensor<?x?x40xf32>, tensor<?x?xNxf32>
        sm1.yield %h : tensor<?x?x40xf32>
      }
      sm1.return %y : tensor<?x?x40xf32>
    })";
    for (size_t place = text.find('N'); place != std::string::npos; place = text.find('N'))
      text.replace(place, 1, states);
    auto module = parse(text);
    return costsOf(*module).lookup("k");
  };
  KernelCost one = countStates("1"), sixteen = countStates("16");
  EXPECT_EQ(sixteen.vectorOps, 16 * one.vectorOps);
  EXPECT_EQ(sixteen.chainSteps, one.chainSteps);
  EXPECT_EQ(sixteen.weightBytes, 16 * one.weightBytes);
  EXPECT_EQ(sixteen.writeBytes, one.writeBytes);
}

// A row of a table is looked up, the rest of it is not read.
TEST_F(CostCountsTest, LookUp) {
  auto module = parse(R"(sm1.model @m(%t: tensor<?x?xi32> {sm1.name = "t"}) -> (tensor<?x?x40xf32> {sm1.name = "y"}) {
    %w = sm1.param "w" {layout = "rows"} : tensor<99x40xf32>
    %y = sm1.kernel "k" (%a = %t : tensor<?x?xi32>, %b = %w : tensor<99x40xf32>) -> tensor<?x?x40xf32> {
      %0 = sm1.embedding %a, %b : tensor<?x?xi32>, tensor<99x40xf32>
      sm1.yield %0 : tensor<?x?x40xf32>
    }
    sm1.return %y : tensor<?x?x40xf32>
  })");
  KernelCost cost = costsOf(*module).lookup("k");
  EXPECT_EQ(cost.weightBytes, 0);
  EXPECT_EQ(cost.readBytes, 4 + 48 * 4);
  EXPECT_EQ(cost.writeBytes, 48 * 4);
}

/// Operations of `text`, the body of a function of %x, after expansion; constants and changes of type left out. A comparison with a
/// choice of one of what it compares is one instruction.
double expandedOps(MLIRContext &context, const std::string &text) {
  auto module = parseSourceString<ModuleOp>(
      "func.func @f(%x: vector<16xf32>) -> vector<16xf32> {\n" + text + "\nreturn %y : vector<16xf32>\n}", &context);
  EXPECT_TRUE(module);
  PassManager passes(&context);
  passes.addPass(createExpandMath());
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  EXPECT_TRUE(succeeded(passes.run(*module)));
  double ops = 0;
  module->walk([&](Operation *op) {
    if (isa<arith::ConstantOp, arith::BitcastOp, func::FuncOp, func::ReturnOp, ModuleOp>(op))
      return;
    ++ops;
    auto select = dyn_cast<arith::SelectOp>(op);
    auto compare = select ? select.getCondition().getDefiningOp<arith::CmpFOp>() : nullptr;
    if (compare && llvm::is_contained(compare->getOperands(), select.getTrueValue()) &&
        llvm::is_contained(compare->getOperands(), select.getFalseValue()))
      --ops;
  });
  return ops;
}

template <typename Op> double countedOps(MLIRContext &context) {
  context.loadDialect<math::MathDialect, arith::ArithDialect>();
  OpBuilder builder(&context);
  auto one = arith::ConstantOp::create(builder, builder.getUnknownLoc(), builder.getF32FloatAttr(1));
  auto two = Op::create(builder, builder.getUnknownLoc(), one);
  double ops = laneOpsOf(two);
  two.erase();
  one.erase();
  return ops;
}

// Whoever changes an expansion changes its weight in CountKernel.cpp with it.
TEST_F(CostCountsTest, WeightsAreThoseOfTheExpansions) {
  double exp = countedOps<math::ExpOp>(context), log1p = countedOps<math::Log1pOp>(context);
  double sigmoid = expandedOps(context, R"(
    %one = arith.constant dense<1.0> : vector<16xf32>
    %e = math.exp %x : vector<16xf32>
    %y = arith.addf %e, %one : vector<16xf32>)");
  EXPECT_NEAR(exp + 1, sigmoid, 0.1 * sigmoid);
  double softplus = expandedOps(context, R"(
    %zero = arith.constant dense<0.0> : vector<16xf32>
    %a = math.absf %x : vector<16xf32>
    %n = arith.negf %a : vector<16xf32>
    %e = math.exp %n : vector<16xf32>
    %l = math.log1p %e : vector<16xf32>
    %p = arith.maximumf %x, %zero : vector<16xf32>
    %s = arith.addf %p, %l : vector<16xf32>
    %least = arith.constant dense<1.0e-4> : vector<16xf32>
    %y = arith.maximumf %s, %least : vector<16xf32>)");
  EXPECT_NEAR(5 + exp + log1p, softplus, 0.1 * softplus);
}

//===----------------------------------------------------------------------===//
// Choices
//===----------------------------------------------------------------------===//

TileProblem problemOf(int64_t projections, int64_t chains = 1) {
  TileProblem problem;
  problem.projections = projections, problem.chains = chains;
  return problem;
}

TileShape chosen(const char *target, int64_t projections, int64_t chains = 1) {
  return chooseTile(coreOf(target), problemOf(projections, chains));
}

TEST(ChooseTileTest, FirstOfTheCheapest) {
  EXPECT_EQ(pickBest(std::vector<int>{3, -2, 1, 2, -1}, [](int value) { return value * value; }), 1);
}

// Sums fill the registers that operands leave, a batch of 8 is not worse off for one row more of a prompt, and projections share a
// loop unless each of them needs all registers.
TEST(ChooseTileTest, FillsTheRegisters) {
  EXPECT_EQ(chosen("x86-64-v4", 1), (TileShape{8, 2}));
  EXPECT_EQ(chosen("x86-64-v4", 2), (TileShape{8, 1}));
  EXPECT_EQ(chosen("x86-64-v4", 3), (TileShape{8, 1}));
  EXPECT_EQ(chosen("x86-64-v3", 1), (TileShape{6, 1}));
  EXPECT_EQ(chosen("x86-64-v3", 2), (TileShape{6, 1, true}));
  EXPECT_EQ(chosen("x86-64-v3", 3), (TileShape{6, 1, true}));
}

// Two chains a sum: half as many sums.
TEST(ChooseTileTest, ChainsTakeRegisters) {
  for (int64_t projections : {1, 2, 3}) {
    TileShape one = chosen("x86-64-v4", projections), two = chosen("x86-64-v4", projections, 2);
    int64_t together = two.apart ? 1 : projections;
    EXPECT_LE(2 * (two.rows * two.panels * together + std::min(two.rows, two.panels * together)) + 2, 32);
    EXPECT_LT(two.rows * two.panels * together, one.rows * one.panels * (one.apart ? 1 : projections));
  }
}

TEST(ChooseTileTest, CandidatesFit) {
  for (const char *target : {"x86-64-v3", "x86-64-v4"})
    for (int64_t projections : {1, 2, 3, 5}) {
      TileProblem problem = problemOf(projections);
      for (TileShape shape : candidateTiles(coreOf(target), problem)) {
        EXPECT_EQ(chooseSingleRowPanels(coreOf(target), problem) % shape.panels, 0);
        double vectors = double(shape.panels * (shape.apart ? 1 : projections)) * coreOf(target).registersPerPanel();
        EXPECT_LE(double(shape.rows) * vectors + std::min(vectors, double(shape.rows)) + 2, coreOf(target).registers);
      }
      TileShape shape = chooseTile(coreOf(target), problem);
      EXPECT_GE(double(shape.rows * shape.panels * (shape.apart ? 1 : projections)) * coreOf(target).registersPerPanel(), 8)
          << "fewer chains than latency times ports";
    }
}

TEST(ChooseTileTest, SixteenProjectionsFitOnlyApart) {
  EXPECT_EQ(candidateTiles(coreOf("x86-64-v3"), problemOf(16)).front(), (TileShape{1, 1, true}));
  EXPECT_EQ(chosen("x86-64-v3", 16), (TileShape{6, 1, true}));
  sm1rt::CoreFacts tiny;
  tiny.registers = 2;
  EXPECT_EQ(candidateTiles(tiny, problemOf(16)), (std::vector<TileShape>{{1, 1}}));
}

// One stream of weights loses a third of the bandwidth; prefetching the next group doubles the streams.
TEST(ChooseTileTest, EnoughStreams) {
  sm1rt::CoreFacts core = coreOf("x86-64-v4");
  EXPECT_EQ(chooseSingleRowPanels(core, problemOf(1)), 4);
  EXPECT_EQ(chooseSingleRowPanels(core, problemOf(2)), 2);
  EXPECT_EQ(chooseSingleRowPanels(core, problemOf(3)), 2);
  EXPECT_EQ(chooseSingleRowPanels(core, problemOf(4)), 1);
  EXPECT_EQ(chooseSingleRowPanels(core, problemOf(1, 2)), 4) << "chains";
  EXPECT_EQ(chooseSingleRowPanels(coreOf("x86-64-v3"), problemOf(4)), 1);
}

} // namespace
