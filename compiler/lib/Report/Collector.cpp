//===- Collector.cpp - gathers what a report shows while a description is compiled -------------------------------===//

#include "Collector.h"

#include "../Driver/StageFiles.h"
#include "TokenGraph.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/AsmState.h"

using namespace mlir;
using namespace sm1;
namespace json = llvm::json;

namespace {
/// How many tokens of how many sequences a view is predicted for.
struct Load {
  const char *title;
  double rows, segments;
};
} // namespace

/// A token, a batch, a prompt: what each program is for.
static SmallVector<Load> loadsOf(Entry entry, bool isToken) {
  static constexpr Load one{"decode, 1 token", 1, 1}, batch{"decode, 8 sequences", 8, 8}, prompt{"prefill, 2048 tokens", 2048, 1};
  if (isToken)
    return {one, {"decode, 2 sequences", 2, 2}, {"decode, 4 sequences", 4, 4}};
  switch (entry) {
  case Entry::Both:
    return {one, batch, prompt};
  case Entry::Prefill:
  case Entry::PrefillLong:
  case Entry::PrefillLarger:
    return {prompt};
  case Entry::PrefillLarge:
    return {{"prefill, 1536 tokens", 1536, 1}};
  case Entry::PrefillMost:
    return {{"prefill, 1024 tokens", 1024, 1}};
  case Entry::PrefillMore:
    return {{"prefill, 768 tokens", 768, 1}};
  case Entry::PrefillSome:
    return {{"prefill, 512 tokens", 512, 1}};
  case Entry::PrefillSeveral:
    return {{"prefill, 256 tokens", 256, 1}};
  case Entry::PrefillFew:
    return {{"prefill, 128 tokens", 128, 1}, {"prefill, 8 tokens", 8, 1}};
  case Entry::Step:
    return {one, batch};
  case Entry::StepFew:
    return {{"decode, 16 sequences", 16, 16}};
  case Entry::StepSeveral:
    return {{"decode, 64 sequences", 64, 64}};
  case Entry::StepSome:
    return {{"decode, 128 sequences", 128, 128}};
  case Entry::StepMany:
    return {{"decode, 256 sequences", 256, 256}};
  case Entry::StepMost:
    return {{"decode, 512 sequences", 512, 512}};
  }
  llvm_unreachable("no such entry");
}

//===----------------------------------------------------------------------===//
// Gathering
//===----------------------------------------------------------------------===//

void Collector::onText(const StageText &text) {
  if (text.name == "spec")
    spec = text.text;
  else if (text.name == "llvm")
    codes[text.target].llvm = llvmFunctions(text.text);
  else if (text.name == "asm")
    codes[text.target].machine = assemblyFunctions(text.text);
  else if (text.name == "ptx") {
    codes[text.target].machine = ptxFunctions(text.text);
    codes[text.target].resources = gpuResources(text.text, *text.target);
  }
}

void Collector::onPipeline(StringRef text, Stage stage, const Target *target, Entry entry) {
  if (!seenPipelines.insert((stageName(stage) + "=" + text).str()).second)
    return;
  pipelines.push_back(json::Object{{"stage", stageName(stage)}, {"of", labelOf(target, entry)}, {"passes", text.str()}});
}

void Collector::keepPrecise(ModuleOp module, Entry entry) {
  AsmState state(module);
  module.walk([&](Operation *op) {
    if (op->getNumRegions() || op->hasTrait<OpTrait::IsTerminator>())
      return;
    std::string text;
    llvm::raw_string_ostream stream(text);
    op->print(stream, state);
    for (unsigned line : linesOf(op, file))
      precise[entry].push_back({line, text});
  });
}

void Collector::keepTarget(ModuleOp module, View &view) {
  for (auto function : module.getOps<func::FuncOp>()) {
    std::string text;
    llvm::raw_string_ostream stream(text);
    function.print(stream);
    view.functions[function.getName()] = cut(text);
  }
  module.walk([&](DispatchOp dispatch) {
    int64_t threads = dispatch.getBlocks() ? dispatch.getBlocksAttr().getThreads() : 0;
    view.launchShapes[dispatch.getCallee()] = {threads, int64_t(dispatch.getScratchBytes())};
  });
}

void Collector::onToken(const TokenKernel &kernel, const Target *target) {
  views.push_back({target, Entry::Step, graphOfToken(kernel, file), {}, {}, cut(kernel.text)});
}

Collector::View *Collector::viewOf(const Target *target, Entry entry) {
  auto found =
      llvm::find_if(views, [&](const View &view) { return view.target == target && view.entry == entry && !view.isToken(); });
  return found == views.end() ? nullptr : &*found;
}

void Collector::onModule(ModuleOp module, Stage stage, const Target *target, Entry entry) {
  if (stage == Stage::Precise)
    keepPrecise(module, entry);
  else if (stage == Stage::Fused)
    fused[entry] = graphOf(module, file);
  else if (stage == Stage::Scheduled)
    views.push_back({target, entry, graphOf(module, file), {}, {}});
  else if (View *view = viewOf(target, entry); stage == Stage::Target && view)
    keepTarget(module, *view);
}

//===----------------------------------------------------------------------===//
// As data of the page
//===----------------------------------------------------------------------===//

/// The entry's own, or what is the same for all.
template <typename Map> static const typename Map::mapped_type *find(const Map &map, Entry entry) {
  for (Entry known : {entry, Entry::Both, Entry::Prefill})
    if (auto found = map.find(known); found != map.end())
      return &found->second;
  return nullptr;
}

json::Object Collector::stagesJson(const View &view, size_t index) const {
  const KernelNode &kernel = view.graph.kernels[index];
  json::Object stages;
  std::string text;
  if (auto *lines = find(precise, view.entry))
    for (const Line &line : *lines)
      if (llvm::is_contained(kernel.lines, line.line))
        text += line.text + "\n";
  stages["precise"] = text;
  if (view.isToken()) {
    stages["CUDA C++"] = view.tokenText;
    return stages;
  }
  if (auto *graph = find(fused, view.entry); graph && graph->kernels.size() == view.graph.kernels.size())
    stages["fused"] = graph->kernels[index].text;
  stages["scheduled"] = kernel.text;
  stages["target"] = view.functions.lookup(kernel.name);
  if (auto code = codes.find(view.target); code != codes.end()) {
    stages["LLVM IR"] = code->second.llvm.lookup(kernel.name);
    stages[view.target->isGpu() ? "PTX" : "assembly"] = code->second.machine.lookup(kernel.name);
  }
  return stages;
}

json::Object Collector::resourcesJson(const View &view, const KernelNode &kernel) const {
  auto [threads, sharedBytes] = view.launchShapes.lookup(kernel.name);
  json::Object out;
  auto code = codes.find(view.target);
  if (code == codes.end() || view.isToken()) // which is compiled where it runs
    return out;
  if (!view.target->isGpu()) {
    out["scratch"] = sharedBytes;
    out["stack"] = stackBytes(code->second.machine.lookup(kernel.name));
    return out;
  }
  out["threads"] = threads;
  out["shared"] = sharedBytes;
  auto found = code->second.resources.find(kernel.name);
  if (found == code->second.resources.end() || !threads)
    return out;
  const GpuResources &gpu = found->second;
  const GpuFacts &facts = *view.target->gpu;
  int64_t blocks = residentBlocks(facts, threads, gpu.registers, gpu.sharedBytes + sharedBytes);
  out["registers"] = gpu.registers;
  out["spills"] = gpu.spillBytes;
  out["stack"] = gpu.stackBytes;
  out["shared"] = gpu.sharedBytes + sharedBytes;
  out["blocks"] = blocks;
  out["occupancy"] = double(blocks * threads) / double(facts.threadsPerMultiprocessor);
  return out;
}

Estimate Collector::estimateOf(const View &view, const KernelNode &kernel, const Machine &machine, const LaunchWork &work) const {
  if (view.isToken())
    return estimatePhase(machine, kernel, view.graph, work.segments);
  sm1rt::KernelCost cost = kernel.cost;
  sm1rt::BlockCuts cuts = kernel.cuts;
  cuts.shared = view.launchShapes.lookup(kernel.name).second;
  if (auto code = codes.find(view.target); code != codes.end())
    cost.registers = double(code->second.resources.lookup(kernel.name).registers);
  return estimate(machine, cost, cuts, work);
}

json::Array Collector::loadsJson(const View &view, const KernelNode &kernel) const {
  json::Array loads;
  for (const Load &load : loadsOf(view.entry, view.isToken())) {
    LaunchWork work{kernel.selected ? load.segments : load.rows, load.segments, load.rows, view.graph.weightBytes};
    json::Array estimates;
    for (const Machine &machine : machinesFor(*view.target)) {
      Estimate one = estimateOf(view, kernel, machine, work);
      estimates.push_back(json::Object{{"seconds", one.seconds}, {"bound", one.bound}});
    }
    loads.push_back(json::Object{{"bytes", bytesOf(kernel.cost, work)},
                                 {"operations", operationsOf(kernel.cost, work)},
                                 {"rows", work.rows},
                                 {"machines", std::move(estimates)}});
  }
  return loads;
}

json::Object Collector::kernelJson(const View &view, size_t index) const {
  const KernelNode &kernel = view.graph.kernels[index];
  const sm1rt::KernelCost &cost = kernel.cost;
  return json::Object{{"name", kernel.name},
                      {"times", kernel.times},
                      {"inLayer", kernel.inLayer},
                      {"selected", kernel.selected},
                      {"operations", json::Array(kernel.operations)},
                      {"lines", json::Array(kernel.lines)},
                      {"schedule", kernel.schedule},
                      {"weightBytes", cost.weightBytes},
                      {"readBytes", cost.readBytes},
                      {"writeBytes", cost.writeBytes},
                      {"stateBytes", cost.stateBytes},
                      {"products", cost.f32Products + cost.bf16Products + cost.fp8Products + cost.int8Products},
                      {"arithmetic", cost.fp8Products > 0    ? "fp8"
                                     : cost.bf16Products > 0 ? "bf16"
                                     : cost.int8Products > 0 ? "int8"
                                                             : "f32"},
                      {"otherOperations", cost.vectorOps + cost.prologueOps},
                      {"passes", int64_t(kernel.streamsRead + kernel.streamsWritten)},
                      {"streamsRead", int64_t(kernel.streamsRead)},
                      {"streamsWritten", int64_t(kernel.streamsWritten)},
                      {"resources", resourcesJson(view, kernel)},
                      {"loads", loadsJson(view, kernel)},
                      {"stages", stagesJson(view, index)}};
}

json::Object Collector::viewJson(const View &view) const {
  json::Array kernels, edges, loads, machines;
  for (size_t index = 0; index < view.graph.kernels.size(); ++index)
    kernels.push_back(kernelJson(view, index));
  for (const GraphEdge &edge : view.graph.edges)
    edges.push_back(
        json::Object{{"from", edge.from}, {"to", edge.to}, {"value", edge.value}, {"kind", edge.kind}, {"bytes", edge.bytes}});
  for (const Load &load : loadsOf(view.entry, view.isToken()))
    loads.push_back(load.title);
  for (const Machine &machine : machinesFor(*view.target))
    machines.push_back(json::Object{{"name", machine.name},
                                    {"bytesPerSecond", machine.bytesPerSecond},
                                    {"f32", machine.f32},
                                    {"bf16", machine.bf16},
                                    {"fp8", 2 * machine.bf16},
                                    {"int8", machine.int8}});
  return json::Object{
      {"target", view.target->name},   {"gpu", view.target->isGpu()}, {"entry", view.isToken() ? "token" : entryName(view.entry)},
      {"token", view.isToken()},       {"loads", std::move(loads)},   {"machines", std::move(machines)},
      {"kernels", std::move(kernels)}, {"edges", std::move(edges)}};
}

json::Object Collector::finish() const {
  json::Array made;
  for (const View &view : views)
    made.push_back(viewJson(view));
  return json::Object{{"views", std::move(made)}, {"pipelines", json::Array(pipelines)}};
}
