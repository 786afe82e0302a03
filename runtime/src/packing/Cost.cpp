// Predictions from counts. Each rule is followed by what it was fitted to or where the number comes from; compiler/docs/Cost.md has
// the comparison with measurements.
#include "sm1rt/packing/Cost.h"

#include <algorithm>
#include <cmath>

namespace sm1rt {

const std::vector<KernelCostField> &kernelCostFields() {
  static const std::vector<KernelCostField> fields = {{"weight_bytes", &KernelCost::weightBytes, 0},
                                                      {"read_bytes", &KernelCost::readBytes, 0},
                                                      {"write_bytes", &KernelCost::writeBytes, 0},
                                                      {"state_bytes", &KernelCost::stateBytes, 0},
                                                      {"f32_products", &KernelCost::f32Products, 0},
                                                      {"bf16_products", &KernelCost::bf16Products, 0},
                                                      {"int8_products", &KernelCost::int8Products, 0},
                                                      {"unpack_ops", &KernelCost::unpackOps, 0},
                                                      {"vector_ops", &KernelCost::vectorOps, 0},
                                                      {"chain_steps", &KernelCost::chainSteps, 0},
                                                      {"prologue_ops", &KernelCost::prologueOps, 0},
                                                      {"prologue_steps", &KernelCost::prologueSteps, 0},
                                                      {"projections", &KernelCost::projections, 0},
                                                      {"row_tile", &KernelCost::rowTile, 1},
                                                      {"panel_tile", &KernelCost::panelTile, 1},
                                                      {"single_row_panels", &KernelCost::singleRowPanels, 1},
                                                      {"apart", &KernelCost::apart, 0, true},
                                                      {"widen_rows", &KernelCost::widenRows, 0, true},
                                                      {"stages", &KernelCost::stages, 0, true},
                                                      {"depth_split", &KernelCost::depthSplit, 0, true},
                                                      {"wgmma", &KernelCost::wgmma, 0, true},
                                                      {"registers", &KernelCost::registers, 0, true},
                                                      {"group_products", &KernelCost::groupProducts, 0, true},
                                                      {"fp8_products", &KernelCost::fp8Products, 0, true}};
  return fields;
}

/// A launch that the caller runs by itself.
static constexpr double aloneSeconds = 0.5e-6;

//===-- Machines ------------------------------------------------------------------------------------------------------------===//

CoreFacts coreOf(std::string_view target) {
  CoreFacts core;
  if (target.substr(0, 9) == "x86-64-v3") {
    core.lanes = 8, core.registers = 16;
    core.maddPorts = 3; // additions have one more than products; a Zen has four
    core.l2Bytes = 512 << 10;
    core.l2BytesPerCycle = 18; // of a Zen 4, from tiles of 2 to 6 rows; a cycle of 512 bits counts as two of its cycles
  }
  if (target == "x86-64-v4")
    core.maddPorts = 2;
  if (target == "x86-64-v4-amx") // of a Sapphire Rapids, measured
    core.bf16PerCycle = 580, core.int8PerCycle = 1160, core.groupsInTiles = true;
  return core;
}

/// What one core draws from memory by itself, however many more there are: its misses under way are so many lines.
static constexpr double coreBytes = 12e9;
/// The same from caches of other cores, of rows too short for a prefetcher.
static constexpr double otherCoreBytes = 5e9;

CpuRates measuredRates(const CoreFacts &core, int threads, const MeasuredPeaks &peaks) {
  CpuRates rates;
  rates.core = core;
  rates.threads = std::max(threads, 1);
  // As if the core started as many multiply-adds a cycle as its facts say; where it does not, cycles are as much longer.
  rates.hertz = peaks.f32Operations / (2 * core.lanes * core.fmaPorts * rates.threads);
  double cycles = 2 * rates.hertz * rates.threads;
  if (peaks.bf16Operations > 0)
    rates.core.bf16PerCycle = peaks.bf16Operations / cycles;
  if (peaks.int8Operations > 0)
    rates.core.int8PerCycle = peaks.int8Operations / cycles;
  if (peaks.sharedCacheBytes > 0)
    rates.sharedBytes = peaks.sharedCacheBytes;
  rates.readBandwidth = peaks.readBytes;
  rates.coreBandwidth = std::min(peaks.readBytes, std::max(peaks.readBytes / rates.threads, coreBytes));
  rates.sharedBandwidth = std::max(8 * rates.hertz, peaks.readBytes / rates.threads);
  if (rates.threads == 1)
    rates.launchSeconds = aloneSeconds;
  return rates;
}

CpuRates nominalRates(std::string_view target, int threads) {
  CoreFacts core = coreOf(target);
  constexpr double hertz = 2.8e9;
  return measuredRates(core, threads, {std::min(coreBytes * threads, 100e9), 2 * core.lanes * core.fmaPorts * hertz * threads});
}

// Measured with matrices in panels: a Sapphire Rapids gives one stream 0.62 of what it gives eight in a hand-written loop, four
// 0.81, four with the next four prefetched 0.93; a Zen 4 gives four 1.1.
double streamFraction(double streams) { return 1 - 0.2 / std::sqrt(std::max(streams, 1.0)); }

//===-- Tiles ---------------------------------------------------------------------------------------------------------------===//

/// Vectors of weights that one step of k reads.
static double weightVectors(const CoreFacts &core, const TileWork &tile) {
  return tile.panels * (tile.apart ? 1 : tile.projections) * core.registersPerPanel();
}

/// Two instructions of words multiply and add two k, and one unpacks each. Bytes of a group of 32 k: 8 products, 7 additions, 4 to
/// widen, correct, convert and scale; 12 to unpack 4 vectors. A word of a row has two k or four.
void TileWork::takeMadds(bool grouped) {
  maddOps = grouped ? 19.0 / 32 : 1;
  unpackOps = grouped ? 12.0 / 32 : 0.5;
  weightBytes = grouped ? 0.5 : 1;
  rowLoads = grouped ? 0.25 : 0.5;
  rowOps = 0, chains = 1;
}

/// What integers without VNNI want besides: a product until it is added, a mask, and of several rows one more, as loops are built.
/// Of int4 what has been scaled, which AVX-512 has room for, panel by panel (TileProjections.cpp); a row alone hides behind its
/// weights.
static double maddRegisters(const CoreFacts &core, const TileWork &tile) {
  if (tile.maddOps == 0 || tile.rows == 1)
    return tile.maddOps == 0 ? 0 : 1;
  bool spillsTotals = tile.maddOps < 1 && core.registers < 32;
  return 3 + (spillsTotals ? tile.rows * weightVectors(core, tile) : 0);
}

double tileRegisters(const CoreFacts &core, const TileWork &tile) {
  double vectors = weightVectors(core, tile);
  return tile.chains * (tile.rows * vectors + std::min(vectors, tile.rows)) + 2 + maddRegisters(core, tile);
}

/// Two stores and loads of a step's sum, one behind the other.
static constexpr double storeForwardCycles = 10;

double tileCycles(const CoreFacts &core, const TileWork &tile) {
  double vectors = weightVectors(core, tile), products = tile.rows * vectors;
  bool madds = tile.maddOps > 0;
  double instructions = products * (madds ? tile.maddOps : 1) + vectors * tile.unpackOps + tile.rows * tile.rowOps;
  double multiply = instructions / (madds ? std::max(core.maddPorts, 1.0) : core.fmaPorts);
  double load = (tile.rows * tile.rowLoads + vectors * (madds ? tile.weightBytes / 4 : 1)) / core.loadPorts;
  double fill = (vectors * core.lanes * tile.weightBytes + 4 * tile.rows * tile.rowLoads) / core.l2BytesPerCycle;
  double latency = madds ? tile.rowLoads : core.fmaLatency / tile.chains; // of additions, which integers' products do not wait for
  // A sum without a register waits for its own store.
  if (tileRegisters(core, tile) > core.registers)
    latency += storeForwardCycles;
  double slowest = std::max({multiply, load, fill, latency});
  // They overlap, but not perfectly: where two are close they get into each other's way.
  double cycles = slowest + 0.1 * (multiply + load + fill - std::max({multiply, load, fill}));
  return tile.apart ? tile.projections * cycles : cycles;
}

namespace {
/// How many tiles of each size cover some rows; TileKernels.cpp has the same rule.
struct RowCover {
  double whole = 0, small = 0, alone = 0;
};
} // namespace

static RowCover coverRows(double rows, double tileRows) {
  if (tileRows <= 1)
    return {0, 0, rows};
  RowCover cover;
  cover.whole = std::floor(rows / tileRows);
  cover.alone = rows - cover.whole * tileRows;
  if (tileRows <= smallTileRows)
    return cover;
  auto left = [](double rest) { return std::fmod(rest, double(smallTileRows)); };
  if (cover.whole > 0 && left(cover.alone + tileRows) < left(cover.alone))
    --cover.whole, cover.alone += tileRows;
  cover.small = std::floor(cover.alone / smallTileRows);
  cover.alone -= cover.small * smallTileRows;
  return cover;
}

double coverCycles(const CoreFacts &core, const TileWork &tile, double singleRowPanels, double rows, double panels) {
  auto cycles = [&](double tileRows, double tilePanels) {
    TileWork part = tile;
    part.rows = tileRows, part.panels = tilePanels;
    part.apart &= tileRows > 1;
    return tileCycles(core, part);
  };
  RowCover cover = coverRows(rows, tile.rows);
  auto group = [&](double size) {
    double panelTile = std::min(tile.panels, size);
    double tiles = cover.whole * cycles(tile.rows, panelTile) + cover.small * cycles(smallTileRows, panelTile);
    return size / panelTile * tiles + cover.alone * cycles(1, size);
  };
  double groups = std::floor(panels / singleRowPanels), left = panels - groups * singleRowPanels;
  return groups * group(singleRowPanels) + left * group(1);
}

//===-- Predictions ---------------------------------------------------------------------------------------------------------===//

/// The part of a launch that its busiest thread does. Tasks are dealt out evenly, but blocks of panels may differ by one unit.
static double busiestShare(const TaskGrid &grid, int threads) {
  double tasks = double(grid.tasks()), units = double(grid.panelUnits);
  double largestBlock = std::ceil(units / double(grid.panelBlocks)) / units;
  return std::max(std::ceil(tasks / threads) / tasks, largestBlock / double(grid.rowBlocks));
}

namespace {
/// Bytes a second that a launch gets from each place.
struct Bandwidths {
  double memory, shared, own;
};
} // namespace

/// Threads that have nothing to do read nothing: the busiest draws no more than a core can, and a launch of one task is as fast as
/// one core, not as all.
static Bandwidths bandwidthsOf(const CpuRates &rates, double share) {
  return {std::min(rates.readBandwidth, rates.coreBandwidth / share), rates.sharedBandwidth / share,
          rates.core.l2BytesPerCycle * rates.hertz / share};
}

/// A line that is written is read first, wherever it comes from.
static double trafficOf(double read, double written) { return read + 2 * written; }

/// Streams come from where the kernel before left them. Where that is a core's own cache, few rows are mostly in another core's, as
/// every kernel is cut its own way. The busiest thread reads `readPart` of them.
static double streamSeconds(double read, double written, double readPart, const CpuRates &rates, const LaunchSize &size,
                            const Bandwidths &bandwidths) {
  if (read + written <= rates.core.l2Bytes / 2 * rates.threads) {
    double others = size.rows <= fewRows ? readPart * read * (1 - 1.0 / rates.threads) : 0;
    return (read + written) / bandwidths.own + others / otherCoreBytes;
  }
  bool stays = read + written <= rates.sharedBytes / 2;
  return trafficOf(read, written) / (stays ? bandwidths.shared : bandwidths.memory);
}

/// Weights and states come from where the pass before left them, which is memory if the weights of a pass push each other out.
static double memorySeconds(const KernelCost &cost, const CpuRates &rates, const LaunchSize &size, const TaskGrid &grid,
                            double share) {
  Bandwidths bandwidths = bandwidthsOf(rates, share);
  bool stays = std::max(size.passBytes, cost.weightBytes) <= rates.sharedBytes;
  double bandwidth = stays ? bandwidths.shared : bandwidths.memory;
  double streams = cost.singleRowPanels * std::max(cost.projections, 1.0);
  double states = size.segments * trafficOf(cost.stateBytes / 2, cost.stateBytes / 2);
  // A task of a projection reads whole rows, whatever its panels are.
  double readPart = cost.projections > 0 ? std::max(share, 1.0 / double(grid.rowBlocks)) : share;
  return cost.weightBytes / (bandwidth * (stays ? 1 : streamFraction(streams))) + states / bandwidth +
         streamSeconds(size.rows * cost.readBytes, size.rows * cost.writeBytes, readPart, rates, size, bandwidths);
}

/// The part of a matrix unit's peak that kernels reach whose operands come from the core's own cache: 0.45 to 0.55 in the study.
static constexpr double matrixFraction = 0.5;

/// Cycles of `rows` rows by a panel and group of 32 k of int4. In dot products two ports start 8 products and 2 instructions that
/// scale and add for each row, and 8 that unpack and 2 for scales (TileProjections.cpp); a row alone waits for its one sum. Tile
/// registers take what they unpack, store and add from the first cache (MatrixGroups.cpp).
static double groupCycles(const CoreFacts &core, double tileRows, double rows) {
  constexpr double rowOps = 10, groupOps = 10, aloneCycles = 15, unpackCycles = 45, blockCycles = 75;
  double cycles = 0;
  if (core.groupsInTiles && rows >= leastGroupRows) {
    double blocks = std::floor(rows / 16);
    cycles = unpackCycles + blocks * blockCycles;
    rows -= 16 * blocks;
  }
  RowCover cover = coverRows(rows, tileRows);
  auto tile = [&](double size) { return (size * rowOps + groupOps) / core.fmaPorts; };
  return cycles + cover.whole * tile(tileRows) + cover.small * tile(smallTileRows) + cover.alone * aloneCycles;
}

static TileWork tileOf(const KernelCost &cost) {
  TileWork tile;
  tile.rows = cost.rowTile, tile.panels = cost.panelTile, tile.projections = std::max(cost.projections, 1.0);
  tile.apart = cost.apart > 0;
  return tile;
}

/// Cycles of all projections over all rows, as if one thread did them.
static double productCycles(const KernelCost &cost, const LaunchCuts &cuts, const CoreFacts &core, const TaskGrid &grid,
                            double rows) {
  double cycles = 0, f32 = cost.f32Products;
  if (core.bf16PerCycle > 0)
    cycles += rows * cost.bf16Products / (matrixFraction * core.bf16PerCycle);
  else
    f32 += cost.bf16Products;
  bool madds = core.maddPorts > 0 && cost.int8Products > 0;
  if (madds) {
    TileWork tile = tileOf(cost);
    tile.takeMadds(cost.groupProducts > 0);
    double depth = cost.int8Products / (tile.projections * double(cuts.panels) * SM1_PANEL);
    cycles += depth * rows / double(grid.blockRows) *
              coverCycles(core, tile, cost.singleRowPanels, double(grid.blockRows), double(cuts.panels));
  } else if (core.int8PerCycle > 0) {
    constexpr double groupOfPanel = 32 * SM1_PANEL;
    cycles += rows * std::max(cost.int8Products - cost.groupProducts, 0.0) / (matrixFraction * core.int8PerCycle);
    cycles +=
        rows / double(grid.blockRows) * cost.groupProducts / groupOfPanel * groupCycles(core, cost.rowTile, double(grid.blockRows));
  } else {
    f32 += cost.int8Products;
  }
  if (f32 == 0)
    return cycles;
  TileWork tile = tileOf(cost);
  tile.weightBytes = std::min(cost.weightBytes / f32, 4.0);
  tile.unpackOps = cost.unpackOps;
  if (cost.bf16Products > 0)
    tile.chains = 2, tile.rowOps = pairRowOps;
  else if (cost.int8Products > 0 && !madds)
    tile.rowOps = tile.unpackOps = byteOps;
  double depth = f32 / (tile.projections * double(cuts.panels) * SM1_PANEL);
  double blocks = rows / double(grid.blockRows), panels = double(cuts.panels), widening = 0;
  if (cost.widenRows > 0 && double(grid.blockRows) >= cost.widenRows) {
    // Every vector is unpacked and stored once for all rows of the block.
    widening = panels * tile.projections * core.registersPerPanel() * (tile.unpackOps + 1) / core.fmaPorts;
    tile.unpackOps = 0, tile.weightBytes = 4;
  }
  double covered = coverCycles(core, tile, cost.singleRowPanels, double(grid.blockRows), panels);
  return cycles + depth * blocks * (covered + widening);
}

/// Instructions of epilogues and scans that start in a cycle, as a part of the multiply-adds that could: they wait for each other.
static constexpr double elementwiseFraction = 0.75;

/// To make a row's number an integer: 8 rows of 1,408 take 4,750 cycles.
static constexpr double quantiseCycles = 0.42;

static double elementwiseCycles(const KernelCost &cost, const LaunchCuts &cuts, const CoreFacts &core, double rows,
                                double panelBlocks) {
  double depth = cost.int8Products / (std::max(cost.projections, 1.0) * double(cuts.panels) * SM1_PANEL);
  auto phase = [&](double ops, double steps) {
    return std::max(ops / core.lanes / (elementwiseFraction * core.fmaPorts), steps * core.fmaLatency);
  };
  double prologue = phase(cost.prologueOps, cost.prologueSteps) + depth * quantiseCycles * core.registersPerPanel();
  return rows * (phase(cost.vectorOps, cost.chainSteps) + panelBlocks * prologue);
}

Prediction predict(const KernelCost &cost, const LaunchCuts &cuts, const CpuRates &rates, const LaunchSize &size) {
  Prediction prediction;
  if (size.rows < 1)
    return prediction;
  TaskGrid grid = partition(cuts, int64_t(size.rows), rates.threads);
  double share = busiestShare(grid, rates.threads), busiest = share / rates.hertz;
  prediction.launch = grid.tasks() > 1 ? rates.launchSeconds : aloneSeconds;
  prediction.memory = memorySeconds(cost, rates, size, grid, share);
  prediction.products = busiest * productCycles(cost, cuts, rates.core, grid, size.rows);
  prediction.elementwise = busiest * elementwiseCycles(cost, cuts, rates.core, size.rows, double(grid.panelBlocks));
  // The longer hides the shorter, less and less so the nearer they are to each other.
  prediction.seconds = prediction.launch + std::hypot(prediction.memory, prediction.products + prediction.elementwise);
  return prediction;
}

const char *Prediction::bound() const {
  double most = std::max({memory, products, elementwise, launch});
  return most == memory ? "memory" : most == products ? "products" : most == elementwise ? "elementwise" : "launch";
}

} // namespace sm1rt
