//===- Candidates.cpp - the schedules of a kernel that are worth measuring ---------------------------------------===//
//
// Every schedule of its form that suits it, by predicted time. The model is off by a tenth or two where it compares tiles, so that
// it says which are worth a measurement, and not which is best.

#include "Candidates.h"

#include "../Lowering/Gpu/BlockChecks.h"
#include "../Lowering/KernelFunction.h"
#include "../Report/Machines.h"
#include "../Transforms/BlockForms.h"
#include "../Transforms/KernelMerge.h"
#include "sm1c/Cost.h"
#include "sm1c/Tuning.h"

#include <cmath>

using namespace mlir;
using namespace sm1;

namespace {
/// Gives a kernel schedules to try, and its own again at the end.
class Trial {
public:
  explicit Trial(KernelOp kernel) : kernel(kernel), tiles(kernel.getScheduleAttr()), blocks(kernel.getBlocksAttr()) {}
  ~Trial() {
    kernel.setScheduleAttr(tiles);
    kernel.setBlocksAttr(blocks);
    setLayouts();
  }
  void set(ScheduleAttr schedule) { kernel.setScheduleAttr(schedule); }
  void set(BlockScheduleAttr schedule) {
    kernel.setBlocksAttr(schedule);
    setLayouts();
  }

private:
  /// Weights of a GPU's projections are read in the layout of the form.
  void setLayouts() {
    for (auto linear : kernel.getBlock().getOps<LinearOp>())
      if (auto weight = dyn_cast<BlockArgument>(linear.getWeight()); weight && kernel.getBlocks())
        if (auto param = kernel.getInputs()[weight.getArgNumber()].getDefiningOp<ParamOp>())
          param.setLayout(matrixLayoutOf(kernel.getBlocksAttr().getForm()));
  }

  KernelOp kernel;
  ScheduleAttr tiles;
  BlockScheduleAttr blocks;
};

/// Rows and segments of a run.
struct Load {
  double rows, segments;
};

template <typename Schedule> struct Ranked {
  Schedule schedule;
  double relative;
};
} // namespace

/// What a kernel of the entry is for.
static SmallVector<Load> loadsOf(KernelOp kernel, Entry entry) {
  switch (entry) {
  case Entry::Both:
    return {{1, 1}, {8, 8}, {256, 1}};
  case Entry::Prefill:
  case Entry::PrefillLong:
    if (isTensorTiles(kernel.getBlocksAttr().getForm()))
      return {{4096, 1}};
    return {{128, 1}, {512, 1}, {4096, 1}};
  case Entry::PrefillLarger:
    return {{2048, 1}};
  case Entry::PrefillLarge:
    return {{1536, 1}};
  case Entry::PrefillMost:
    return {{1024, 1}};
  case Entry::PrefillMore:
    return {{768, 1}};
  case Entry::PrefillSome:
    return {{512, 1}};
  case Entry::PrefillSeveral:
    return {{256, 1}};
  case Entry::PrefillFew:
    return {{128, 1}};
  case Entry::Step:
    return {{1, 1}, {8, 8}};
  case Entry::StepFew:
  case Entry::StepSeveral:
  case Entry::StepSome:
    return {{64, 64}};
  case Entry::StepMany:
    return {{256, 256}};
  case Entry::StepMost:
    return {{512, 512}};
  }
  llvm_unreachable("no such entry");
}

/// A machine of the target; where none is known, an H200 that gives blocks what the target does.
static Machine machineOf(const Target &target) {
  auto machines = machinesFor(target);
  if (!machines.empty())
    return machines.front();
  sm1rt::GpuRates rates = sm1rt::findGpuCard("h200")->rates;
  rates.facts = *target.gpu;
  return {target.name.str(), rates.readBandwidth, rates.f32Operations, rates.bf16Operations, rates.f32Operations, rates};
}

/// Weights of the kernel's whole pass.
static double passBytes(KernelOp kernel) {
  double bytes = 0;
  kernel->getParentOfType<ModelOp>()->walk([&](ParamOp param) {
    auto layers = param->getParentOfType<LayersOp>();
    bytes += param.getLayout() ? packedBytes(param) * double(layers ? layers.getCount() : 1) : 0;
  });
  return bytes;
}

/// The logarithm of the kernel's mean time over its runs.
static double predictedLog(KernelOp kernel, const Machine &machine, ArrayRef<Load> loads, double bytes, Functions functions) {
  sm1rt::KernelCost cost = costOf(kernel, functions);
  sm1rt::BlockCuts cuts = launchCutsOf(kernel);
  if (kernel.getBlocks()) {
    cost.registers = double(registersEstimate(kernel));
    cuts.shared = sharedEstimate(kernel);
  }
  double sum = 0;
  for (Load load : loads)
    sum += std::log(
        estimate(machine, cost, cuts, {kernel.getSelected() ? load.segments : load.rows, load.segments, load.rows, bytes}).seconds);
  return sum / double(loads.size());
}

static bool suits(KernelOp kernel, const Target &target, Entry entry) {
  if (!target.isGpu())
    return whyNotTiles(kernel).empty();
  // An estimate: what is kept is lowered and asked exactly.
  return whyNotBlocks(kernel, isStep(entry), target).empty() && sharedEstimate(kernel) <= target.gpu->sharedPerBlock;
}

/// Those that suit, best first; the present one, which has no relative time but 1, is not among them.
template <typename Schedule>
static std::vector<Ranked<Schedule>> ranked(KernelOp kernel, const std::vector<Schedule> &schedules, Schedule present,
                                            const Target &target, Entry entry, Functions functions) {
  Machine machine = machineOf(target);
  SmallVector<Load> loads = loadsOf(kernel, entry);
  double bytes = passBytes(kernel), own = predictedLog(kernel, machine, loads, bytes, functions);
  std::vector<Ranked<Schedule>> list;
  for (Schedule schedule : schedules) {
    Trial trial(kernel);
    trial.set(schedule);
    if (schedule != present && suits(kernel, target, entry))
      list.push_back({schedule, std::exp(predictedLog(kernel, machine, loads, bytes, functions) - own)});
  }
  llvm::stable_sort(list, [](auto &a, auto &b) { return a.relative < b.relative; });
  return list;
}

/// Whether two schedules differ in nothing but what the model does not see: how deep a pipeline is where its memory costs no block,
/// into how many rows tasks of projections are cut. One of them is enough; deep pipelines and present cuts are listed first.
static bool areAlike(BlockScheduleAttr a, BlockScheduleAttr b) {
  return a == BlockScheduleAttr::get(a.getContext(), b.getForm(), b.getThreads(), b.getRowTile(), b.getRowSplit(),
                                     b.getPanelSplit(), a.getStages(), b.getDepthSplit());
}
static bool areAlike(ScheduleAttr a, ScheduleAttr b) {
  return a.getPanelTile() != a.getSingleRowPanels() && // of projections
         a == ScheduleAttr::get(a.getContext(), b.getRowTile(), b.getPanelTile(), b.getSingleRowPanels(), a.getRowSplit(),
                                b.getPanelSplit(), b.getRowBand(), b.getApart(), b.getWidenRows(), b.getProducts(),
                                b.getMatrixRows(), b.getMatrixPanels());
}

template <typename Schedule>
static void take(KernelOp kernel, const std::vector<Ranked<Schedule>> &list, const Target &target, Entry entry, size_t most,
                 std::vector<Candidate> &candidates) {
  std::vector<Schedule> taken;
  for (auto &[schedule, relative] : list) {
    if (candidates.size() > most)
      return;
    if (llvm::any_of(taken, [&, &own = schedule](Schedule other) { return areAlike(own, other); }))
      continue;
    Trial trial(kernel);
    trial.set(schedule);
    if (target.isGpu() && sharedBytesOf(kernel, isStep(entry), target) > target.gpu->sharedPerBlock)
      continue;
    taken.push_back(schedule);
    candidates.push_back({scheduleWords(kernel), relative});
  }
}

std::vector<Candidate> sm1::candidatesOf(KernelOp kernel, const Target &target, Entry entry, StringRef compute, size_t most) {
  std::vector<Candidate> candidates = {{scheduleWords(kernel), 1}};
  if (target.isGpu()) {
    bool keepsBits = compute != "bf16";
    auto schedules = blockSchedules(kernel, target, keepsBits);
    auto list =
        ranked(kernel, schedules, kernel.getBlocksAttr(), target, entry, keepsBits ? Functions::Exact : Functions::Approximate);
    take(kernel, list, target, entry, most, candidates);
  } else {
    auto list = ranked(kernel, tileSchedules(kernel, target), kernel.getScheduleAttr(), target, entry, Functions::Exact);
    take(kernel, list, target, entry, most, candidates);
  }
  return candidates;
}
