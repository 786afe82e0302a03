// Predictions from counts. Each rule is followed by what it was fitted to or where the number comes from; compiler/docs/Cost.md has
// the comparison with measurements.
#include "sm1rt/packing/Cost.h"

#include <algorithm>
#include <cmath>

namespace sm1rt {

const std::vector<KernelCostField> &kernelCostFields() {
  static const std::vector<KernelCostField> fields = {
      {"weight_bytes", &KernelCost::weightBytes, 0},   {"read_bytes", &KernelCost::readBytes, 0},
      {"write_bytes", &KernelCost::writeBytes, 0},     {"state_bytes", &KernelCost::stateBytes, 0},
      {"f32_products", &KernelCost::f32Products, 0},   {"bf16_products", &KernelCost::bf16Products, 0},
      {"int8_products", &KernelCost::int8Products, 0}, {"unpack_ops", &KernelCost::unpackOps, 0},
      {"vector_ops", &KernelCost::vectorOps, 0},       {"chain_steps", &KernelCost::chainSteps, 0},
      {"prologue_ops", &KernelCost::prologueOps, 0},   {"prologue_steps", &KernelCost::prologueSteps, 0},
      {"projections", &KernelCost::projections, 0},    {"row_tile", &KernelCost::rowTile, 1},
      {"panel_tile", &KernelCost::panelTile, 1},       {"single_row_panels", &KernelCost::singleRowPanels, 1}};
  return fields;
}

//===-- Machines ------------------------------------------------------------------------------------------------------------===//

CoreFacts coreOf(std::string_view target) {
  CoreFacts core;
  if (target.substr(0, 9) == "x86-64-v3") {
    core.lanes = 8, core.registers = 16;
    core.l2Bytes = 512 << 10;
  }
  if (target == "x86-64-v4-amx") // of a Sapphire Rapids, measured
    core.bf16PerCycle = 580, core.int8PerCycle = 1160;
  return core;
}

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
  rates.writeBandwidth = 0.5 * peaks.readBytes; // a line is read before it is written
  rates.sharedBandwidth = 8 * rates.hertz;
  if (rates.threads == 1)
    rates.launchSeconds = 0;
  return rates;
}

CpuRates nominalRates(std::string_view target, int threads) {
  CoreFacts core = coreOf(target);
  constexpr double hertz = 2.8e9;
  return measuredRates(core, threads, {std::min(12e9 * threads, 100e9), 2 * core.lanes * core.fmaPorts * hertz * threads});
}

double streamFraction(double streams) { return std::min(1.0, 1 - 0.38 / std::sqrt(std::max(streams, 1.0))); }

//===-- Tiles ---------------------------------------------------------------------------------------------------------------===//

/// Vectors of weights that one step of k reads.
static double weightVectors(const CoreFacts &core, const TileWork &tile) {
  return tile.panels * tile.projections * core.registersPerPanel();
}

double tileRegisters(const CoreFacts &core, const TileWork &tile) {
  double vectors = weightVectors(core, tile);
  return tile.rows * vectors + std::min(vectors, tile.rows) + 1;
}

double tileCycles(const CoreFacts &core, const TileWork &tile) {
  double vectors = weightVectors(core, tile), products = tile.rows * vectors;
  double multiply = (products + vectors * tile.unpackOps) / core.fmaPorts;
  double load = (tile.rows + vectors) / core.loadPorts;
  double fill = (vectors * core.lanes * tile.weightBytes + 4 * tile.rows) / core.l2BytesPerCycle;
  double slowest = std::max({multiply, load, fill, core.fmaLatency});
  // They overlap, but not perfectly: where two are close they get into each other's way.
  return slowest + 0.1 * (multiply + load + fill - std::max({multiply, load, fill}));
}

double coverCycles(const CoreFacts &core, const TileWork &tile, double singleRowPanels, double rows, double panels) {
  auto cycles = [&](double tileRows, double tilePanels) {
    TileWork part = tile;
    part.rows = tileRows, part.panels = tilePanels;
    return tileCycles(core, part);
  };
  double whole = tile.rows > 1 ? std::floor(rows / tile.rows) : 0, rest = rows - whole * tile.rows;
  auto group = [&](double size) {
    double panelTile = std::min(tile.panels, size);
    return whole * size / panelTile * cycles(tile.rows, panelTile) + rest * cycles(1, size);
  };
  double groups = std::floor(panels / singleRowPanels), left = panels - groups * singleRowPanels;
  return groups * group(singleRowPanels) + left * group(1);
}

//===-- Predictions ---------------------------------------------------------------------------------------------------------===//

namespace {
/// How a launch is cut into tasks, and how much of it the busiest thread does.
struct Cut {
  double blockRows = 1, rowBlocks = 1, panelBlocks = 1;
  double share = 1;
};
} // namespace

/// The rules of the runtime's CPU device: four tasks for each thread, of rows first, then of panels.
static Cut cutOf(const LaunchCuts &cuts, double rows, int threads) {
  double wanted = threads > 1 ? 4.0 * threads : 1;
  double units = cuts.panelSplit ? std::ceil(double(cuts.panels) / double(cuts.panelSplit)) : 1;
  Cut cut;
  cut.blockRows = cuts.rowSplit ? std::min(double(cuts.rowSplit), rows) : rows;
  cut.rowBlocks = std::ceil(rows / cut.blockRows);
  cut.panelBlocks = std::clamp(std::ceil(wanted / cut.rowBlocks), 1.0, units);
  if (cuts.rowSplit && cut.rowBlocks * cut.panelBlocks < wanted)
    cut.blockRows = std::min(cut.blockRows, std::ceil(rows / std::ceil(wanted / cut.panelBlocks)));
  cut.rowBlocks = std::ceil(rows / cut.blockRows);
  double tasks = cut.rowBlocks * cut.panelBlocks;
  cut.share = std::ceil(tasks / threads) / tasks;
  return cut;
}

/// Weights come from where a pass leaves them, streams from where the kernel before left them.
static double memorySeconds(const KernelCost &cost, const CpuRates &rates, const LaunchSize &size) {
  double shared = rates.sharedBandwidth * rates.threads;
  bool weightsStay = std::max(size.passBytes, cost.weightBytes) <= rates.sharedBytes;
  double streams = cost.singleRowPanels * std::max(cost.projections, 1.0);
  double weights = cost.weightBytes / (weightsStay ? shared : rates.readBandwidth * streamFraction(streams));
  double read = size.rows * cost.readBytes + size.segments * cost.stateBytes / 2;
  double written = size.rows * cost.writeBytes + size.segments * cost.stateBytes / 2;
  double held = rates.core.l2Bytes / 2 * rates.threads;
  if (read + written <= held)
    return weights + (read + written) / (rates.core.l2BytesPerCycle * rates.hertz * rates.threads);
  if (read + written <= rates.sharedBytes / 2)
    return weights + (read + written) / shared;
  return weights + read / rates.readBandwidth + written / rates.writeBandwidth;
}

/// The part of a matrix unit's peak that kernels reach whose operands come from the core's own cache: 0.45 to 0.55 in the study.
static constexpr double matrixFraction = 0.5;

/// Cycles of all projections over all rows, as if one thread did them.
static double productCycles(const KernelCost &cost, const LaunchCuts &cuts, const CoreFacts &core, const Cut &cut) {
  double rows = cut.blockRows * cut.rowBlocks, cycles = 0, f32 = cost.f32Products;
  if (core.bf16PerCycle > 0)
    cycles += rows * cost.bf16Products / (matrixFraction * core.bf16PerCycle);
  else
    f32 += cost.bf16Products;
  if (core.int8PerCycle > 0)
    cycles += rows * cost.int8Products / (matrixFraction * core.int8PerCycle);
  else
    f32 += cost.int8Products;
  if (f32 == 0)
    return cycles;
  TileWork tile;
  tile.rows = cost.rowTile, tile.panels = cost.panelTile, tile.projections = std::max(cost.projections, 1.0);
  tile.weightBytes = std::min(cost.weightBytes / f32, 4.0);
  tile.unpackOps = cost.unpackOps;
  double depth = f32 / (tile.projections * double(cuts.panels) * SM1_PANEL);
  double panels = double(cuts.panels);
  return cycles + depth * cut.rowBlocks * coverCycles(core, tile, cost.singleRowPanels, cut.blockRows, panels);
}

static double elementwiseCycles(const KernelCost &cost, const CoreFacts &core, double rows, double panelBlocks) {
  auto phase = [&](double ops, double steps) { return std::max(ops / core.lanes / core.fmaPorts, steps * core.fmaLatency); };
  return rows * (phase(cost.vectorOps, cost.chainSteps) + panelBlocks * phase(cost.prologueOps, cost.prologueSteps));
}

Prediction predict(const KernelCost &cost, const LaunchCuts &cuts, const CpuRates &rates, const LaunchSize &size) {
  Prediction prediction;
  if (size.rows < 1)
    return prediction;
  Cut cut = cutOf(cuts, size.rows, rates.threads);
  double busiest = cut.share / rates.hertz;
  prediction.launch = rates.launchSeconds;
  prediction.memory = memorySeconds(cost, rates, size);
  prediction.products = busiest * productCycles(cost, cuts, rates.core, cut);
  prediction.elementwise = busiest * elementwiseCycles(cost, rates.core, size.rows, cut.panelBlocks);
  prediction.seconds = prediction.launch + std::max(prediction.memory, prediction.products + prediction.elementwise);
  return prediction;
}

const char *Prediction::bound() const {
  double most = std::max({memory, products, elementwise, launch});
  return most == memory ? "memory" : most == products ? "products" : most == elementwise ? "elementwise" : "launch";
}

} // namespace sm1rt
