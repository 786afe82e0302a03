//===- CostTable.cpp - counts and predictions as a table ---------------------------------------------------------===//

#include "../Lowering/TileEvaluator.h"
#include "../Transforms/KernelMerge.h"
#include "sm1c/Cost.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace sm1;
using sm1rt::CpuRates;
using sm1rt::KernelCost;

/// The table is for a small machine, where one sees what a core is kept busy with.
static constexpr int tableThreads = 2;
static constexpr double tableRows = 2048;

namespace {
struct TableRow {
  KernelOp kernel;
  KernelCost cost;
  int64_t times; ///< launches in a pass
};
} // namespace

static double products(const KernelCost &cost) {
  return cost.f32Products + cost.bf16Products + cost.fp8Products + cost.int8Products;
}

static SmallVector<TableRow> rowsOf(ModuleOp module) {
  SmallVector<TableRow> rows;
  module.walk([&](KernelOp kernel) {
    auto layers = kernel->getParentOfType<LayersOp>();
    rows.push_back({kernel, costOf(kernel), layers ? int64_t(layers.getCount()) : 1});
  });
  return rows;
}

/// Arithmetic per byte that a row moves when it shares the weights with nobody: what one token at a time has.
static double intensity(const KernelCost &cost) {
  double bytes = cost.weightBytes + cost.readBytes + cost.writeBytes + cost.stateBytes;
  return (2 * products(cost) + cost.vectorOps + cost.prologueOps) / std::max(bytes, 1.0);
}

std::string sm1::costTable(ModuleOp module, const Target &target) {
  CpuRates rates = sm1rt::nominalRates({target.name.data(), target.name.size()}, tableThreads);
  SmallVector<TableRow> rows = rowsOf(module);
  double passBytes = 0;
  for (const TableRow &row : rows)
    passBytes += row.cost.weightBytes * double(row.times);

  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << llvm::formatv("{0} threads of {1:f1} GHz with {2:f0} vector lanes, {3:f0} GB/s from memory; weights of {4:f1} MB\n",
                          tableThreads, rates.hertz / 1e9, rates.core.lanes, rates.readBandwidth / 1e9, passBytes / 1e6);
  stream << llvm::formatv("{0,-18}{1,6}{2,12}{3,12}{4,14}{5,10}{6,8}{7,22}{8,24}\n", "kernel", "times", "weights", "bytes/row",
                          "products/row", "ops/row", "op/byte", "us for 1 row", llvm::formatv("us for {0:f0}", tableRows).str());
  double total[2] = {0, 0};
  for (TableRow &row : rows) {
    const KernelCost &cost = row.cost;
    stream << llvm::formatv("{0,-18}{1,6}{2,12:f0}{3,12:f0}{4,14:f0}{5,10:f0}{6,8:f2}", row.kernel.getKernelName(), row.times,
                            cost.weightBytes, cost.readBytes + cost.writeBytes, products(cost), cost.vectorOps + cost.prologueOps,
                            intensity(cost));
    for (int column : {0, 1}) {
      double count = column && !row.kernel.getSelected() ? tableRows : 1;
      sm1rt::Prediction time = predict(cost, launchCutsOf(row.kernel), rates, {count, 1, passBytes});
      stream << llvm::formatv("{0,10:f1} {1,-11}", time.seconds * 1e6, time.bound());
      total[column] += time.seconds * double(row.times);
    }
    stream << '\n';
  }
  stream << llvm::formatv("{0,-80}{1,10:f1}{2,22:f1}\n", "all", total[0] * 1e6, total[1] * 1e6);
  return text;
}
