// Predictions for GPUs. Constants were fitted to one H200 (docs/Cost.md of the compiler compares); where another chip would differ,
// they are cycles or parts of its own rates.
#include "sm1rt/packing/GpuCost.h"

#include <algorithm>
#include <cmath>

namespace sm1rt {

//===-- Blocks --------------------------------------------------------------------------------------------------------------===//

static constexpr double reservedShared = 1024; // of each block, for the system
static constexpr double mostBlocks = 32;       // of a multiprocessor
/// Registers of a thread where no ptxas has said: of kernels with and without products.
static constexpr double productRegisters = 128, otherRegisters = 40;

namespace {
/// A launch as blocks on multiprocessors.
struct Blocks {
  double count;      ///< all of them
  double resident;   ///< that a multiprocessor holds at once
  double busiest;    ///< that the busiest one gets
  double panels;     ///< blocks side by side over panels
  double rows;       ///< that a block walks through
  double streamRows; ///< of all blocks
  double active;     ///< multiprocessors that have any

  /// How often new blocks take the place of others.
  double rounds() const { return std::max(busiest / resident, 1.0); }
  /// The busiest multiprocessor's part of the work.
  double share() const { return busiest / count; }
};
} // namespace

static double products(const KernelCost &cost) {
  return cost.f32Products + cost.bf16Products + cost.fp8Products + cost.int8Products;
}

/// Blocks that share the k of a tile's sums evenly.
static double blocksOfCluster(const KernelCost &cost) { return cost.wgmma > 0 ? std::max(cost.depthSplit, 1.0) : 1; }

static double residentBlocks(const KernelCost &cost, const BlockCuts &cuts, const GpuFacts &facts) {
  double registers = cost.registers > 0 ? cost.registers : products(cost) > 0 ? productRegisters : otherRegisters;
  double warps = double(cuts.threads) / 32, perWarp = std::ceil(registers * 32 / 256) * 256;
  double fit = std::min({mostBlocks, double(facts.threadsPerMultiprocessor) / double(cuts.threads),
                         double(facts.sharedPerMultiprocessor) / (double(cuts.shared) + reservedShared),
                         double(facts.registersPerMultiprocessor) / (warps * perWarp)});
  return std::max(std::floor(fit), 1.0);
}

static Blocks blocksOf(const KernelCost &cost, const BlockCuts &cuts, const GpuRates &rates, const GpuLaunchSize &size) {
  Blocks blocks;
  double parts = cuts.timeSplit ? std::ceil(size.longest / double(cuts.timeSplit)) : 1;
  blocks.panels = std::ceil(double(cuts.panels) / double(cuts.panelSplit));
  blocks.count = std::ceil(size.rows / double(cuts.rowSplit)) * blocks.panels * parts * blocksOfCluster(cost);
  blocks.streamRows = cuts.overSegments ? size.passRows : size.rows;
  blocks.rows = cuts.overSegments ? size.longest / parts : std::min(size.rows, double(cuts.rowSplit));
  blocks.resident = residentBlocks(cost, cuts, rates.facts);
  // Where each gets many, they end up with the same number.
  double even = blocks.count / rates.multiprocessors;
  blocks.busiest = even > 2 * blocks.resident ? even : std::ceil(even);
  blocks.active = std::min(blocks.count, rates.multiprocessors);
  return blocks;
}

//===-- Memory --------------------------------------------------------------------------------------------------------------===//

/// Bytes that one multiprocessor takes in a cycle: 88 of an H200's 132 read 4 MB as fast as its memory gives them.
static constexpr double loneBytesPerCycle = 24;
/// Streams that a kernel has just written come from the L2 cache: this part of what repeated reads get from it.
static constexpr double streamPart = 0.35;

static double memorySeconds(const KernelCost &cost, const Blocks &blocks, const GpuRates &rates, const GpuLaunchSize &size) {
  double streams = blocks.streamRows * (cost.readBytes + cost.writeBytes) + size.segments * cost.stateBytes;
  bool weightsStay = std::max(size.passBytes, cost.weightBytes) < rates.l2Bytes / 2, streamsStay = streams < rates.l2Bytes / 2;
  double seconds = cost.weightBytes / (weightsStay ? rates.l2Bandwidth : rates.readBandwidth) +
                   streams / (streamsStay ? std::max(streamPart * rates.l2Bandwidth, rates.copyBandwidth) : rates.copyBandwidth);
  double taken = blocks.active * loneBytesPerCycle * rates.hertz();
  return std::max(seconds, (cost.weightBytes + streams) / taken);
}

//===-- Products ------------------------------------------------------------------------------------------------------------===//

static constexpr double sharedBytesPerCycle = 128;
/// Of multiply-adds in f32 from shared memory: tiles reach 0.35 to 0.49 of what there is, for one to three projections, and less
/// where a block has a multiprocessor for itself; single rows, whose sums are added up by many threads, a tenth.
static constexpr double f32Tiles = 0.42, f32LoneTile = 0.28, f32Rows = 0.1;
/// Fewer warps on a multiprocessor hide nothing of their loads behind products; more hide half of the shorter.
static constexpr double hidingWarps = 8;
/// The same where a step has 128 bytes of each row, as those have that the copy engine brings: warps wait half as often, and
/// none of them copies.
static constexpr double longStepWaits = 0.2, bytesOfLongStep = 128;
/// Rows of an instruction of wgmma, and its rate by that of mma.sync: an H200 multiplies at 739 TFLOP/s with it, 644 without, and
/// as long as its power is the limit at 690 and 500. It reads while it multiplies; a part of the shorter of both is left.
static constexpr double wgmmaRows = 64, wgmmaSpeed = 1.3, wgmmaWaits = 0.15;
/// e4m3 by the rate of bf16. Chips between Ada's and the GeForce cards of Blackwell have wgmma and its like for it, and mma.sync in
/// name: two products of f16 and conversions before them, on an H200 166 us of x_proj for 4,096 rows where bf16 takes 128.
static constexpr double fp8Speed = 2, fp8SpeedAsHalves = 0.6;

static double speedOf(const KernelCost &cost, const GpuFacts &facts) {
  bool asHalves = cost.wgmma == 0 && facts.capability >= 90 && facts.capability < 120;
  return cost.fp8Products == 0 ? 1 : asHalves ? fp8SpeedAsHalves : fp8Speed;
}

static double together(double a, double b, double part) { return std::max(a, b) + part * std::min(a, b); }

/// Cycles of the busiest multiprocessor for all its tiles: the multiplications, and reading operands from shared memory, which each
/// warp does for its own part of a tile. Copies into it count, too.
static double tensorCycles(const KernelCost &cost, const BlockCuts &cuts, const Blocks &blocks, const GpuRates &rates) {
  // A step's warps share one tile, each a part of its depth.
  double projections = std::max(cost.projections, 1.0), allWarps = double(cuts.threads) / 32;
  double cluster = blocksOfCluster(cost);
  double groups = cost.stages > 1 ? std::max(cost.depthSplit / cluster, 1.0) : allWarps;
  bool fp8 = cost.fp8Products > 0; // of half the bytes
  double depth = (cost.bf16Products + cost.fp8Products) / (projections * double(cuts.panels) * SM1_PANEL * cluster);
  double columns = double(cuts.panelSplit) * SM1_PANEL * projections, rowTile = std::max(cost.rowTile, 1.0);
  // Rows that are not there are multiplied all the same where they fill a tile.
  double rows = std::ceil(blocks.rows / rowTile) * rowTile;
  double warps = allWarps / groups, rowWarps = std::clamp(double(cuts.rowSplit) / rowTile, 1.0, warps);
  double columnWarps = warps / rowWarps, warpColumns = columns / columnWarps;
  double perCycle = speedOf(cost, rates.facts) * rates.bf16Operations / rates.multiprocessors / rates.hertz();
  double multiply = 2 * rows * columns * depth / perCycle;
  double operands = cost.wgmma > 0 ? double(cuts.rowSplit) / wgmmaRows * (wgmmaRows + columns) : warps * (rowTile + warpColumns);
  double load = (fp8 ? 1 : 2) * (operands + double(cuts.rowSplit) + columns) * depth / sharedBytesPerCycle;
  if (cost.wgmma > 0)
    multiply /= wgmmaSpeed;
  bool alone = std::min(blocks.busiest, blocks.resident) * allWarps < hidingWarps;
  double stepBytes = double(cuts.shared) / (std::max(cost.stages, 1.0) * groups * (double(cuts.rowSplit) + columns));
  bool longSteps = cost.stages > 1 && stepBytes >= bytesOfLongStep;
  return blocks.busiest * together(multiply, load, cost.wgmma > 0 ? wgmmaWaits : alone ? 1.0 : longSteps ? longStepWaits : 0.5);
}

static double productSeconds(const KernelCost &cost, const BlockCuts &cuts, const Blocks &blocks, const GpuRates &rates) {
  double cycles = 0, f32 = cost.f32Products + cost.int8Products;
  if (cost.bf16Products + cost.fp8Products > 0 && rates.bf16Operations > 0)
    cycles += tensorCycles(cost, cuts, blocks, rates);
  else
    f32 += cost.bf16Products + cost.fp8Products;
  // A tile is multiplied whole.
  bool tiles = cuts.panelSplit > 1;
  double fraction = !tiles ? f32Rows : blocks.busiest < 2 ? f32LoneTile : f32Tiles;
  double rows = tiles ? double(cuts.rowSplit) : blocks.rows;
  return (cycles + blocks.busiest * rows * f32 / blocks.panels / (128 * fraction)) / rates.hertz();
}

//===-- The rest ------------------------------------------------------------------------------------------------------------===//

/// Instructions of elementwise code that start in a cycle, as a part of the lanes.
static constexpr double elementwiseFraction = 0.5;
/// Cycles of a link of a chain, the operand's way through shared memory among it.
static constexpr double linkCycles = 30;
/// Cycles of a block without any work: its first operands' way from memory, and its results' way back.
static constexpr double blockStartCycles = 1200;
/// The same of a tile: its pipeline of copies fills, its sums go through the epilogue.
static constexpr double tileStartCycles = 4000;

static double elementwiseSeconds(const KernelCost &cost, const Blocks &blocks, const GpuRates &rates) {
  double ops = (cost.vectorOps + cost.prologueOps * blocks.panels) * blocks.streamRows;
  return blocks.share() * ops / (128 * elementwiseFraction) / rates.hertz();
}

/// Links of a tile of a scan: each thread's own rows, then one for each thread that shares the channel.
static double scanLinks(const KernelCost &cost, const BlockCuts &cuts) {
  double threads = double(cuts.threads) / SM1_PANEL;
  return cost.rowTile / threads + threads;
}

/// Of one block: for its first operands, then for each turn of a tile of rows. A scan that has read its next tile meanwhile does
/// not wait for it.
static double waitingSeconds(const KernelCost &cost, const BlockCuts &cuts, const Blocks &blocks, const GpuRates &rates) {
  double turns = std::ceil(blocks.rows / std::max(cost.rowTile, 1.0));
  double cycles;
  if (cuts.overSegments)
    cycles = (cost.stages > 1 ? 1 : turns) * blockStartCycles + turns * linkCycles * scanLinks(cost, cuts);
  else if (cost.stages > 1)
    cycles = tileStartCycles;
  else
    cycles = blockStartCycles + turns * linkCycles * (cost.chainSteps / blocks.panels + cost.prologueSteps);
  return cycles / rates.hertz();
}

GpuPrediction predict(const KernelCost &cost, const BlockCuts &cuts, const GpuRates &rates, const GpuLaunchSize &size) {
  GpuPrediction prediction;
  if (size.rows < 1)
    return prediction;
  Blocks blocks = blocksOf(cost, cuts, rates, size);
  prediction.blocks = blocks.count;
  prediction.blocksPerMultiprocessor = blocks.resident;
  prediction.rounds = blocks.rounds();
  prediction.launch = rates.launchSeconds;
  prediction.memory = memorySeconds(cost, blocks, rates, size);
  prediction.products = productSeconds(cost, cuts, blocks, rates);
  prediction.elementwise = elementwiseSeconds(cost, blocks, rates);
  prediction.waiting = waitingSeconds(cost, cuts, blocks, rates);
  // The first round waits by itself; what follows hides behind memory, or memory behind it. Blocks that go on from tile to tile
  // wait once.
  double later = cost.wgmma > 1 ? 0 : blocks.rounds() - 1;
  double busy = prediction.products + prediction.elementwise + later * prediction.waiting;
  prediction.seconds = prediction.launch + prediction.waiting + std::hypot(prediction.memory, busy);
  return prediction;
}

const char *GpuPrediction::bound() const {
  return waiting > std::max({memory, products, elementwise, launch}) ? "waiting" : Prediction::bound();
}

//===-- Whole tokens --------------------------------------------------------------------------------------------------------===//

/// From a word that is written to a phase that has read all of them and computed its own, and what each further sequence adds.
static constexpr double phaseSeconds = 1.3e-6, furtherSequence = 0.055;

/// An H200 streams the weights of the 130M configuration in 63 us and exchanges words without any in 72; both together take 86,
/// 108 for eight sequences.
TokenPrediction predictToken(const TokenWork &work, const GpuRates &rates) {
  double exchange = work.phases * phaseSeconds * (1 + furtherSequence * (work.sequences - 1));
  return {work.weightBytes / rates.readBandwidth, exchange};
}

double TokenPrediction::seconds() const { return std::hypot(stream, exchange); }

/// What the whole grows by when the part does.
double TokenPrediction::secondsOf(const TokenPrediction &part) const {
  return (stream * part.stream + exchange * part.exchange) / seconds();
}

} // namespace sm1rt
