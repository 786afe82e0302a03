//===- TokenGraph.cpp - one launch for a whole token, as a graph of its phases ------------------------------------===//
//
// A phase stands where a graph has kernels: its projections, and everything that follows from them channel by channel. What blocks
// exchange are the vectors that phases read.

#include "TokenGraph.h"

#include "sm1c/Cost.h"

#include "mlir/IR/AsmState.h"
#include "llvm/Support/FormatVariadic.h"

#include <set>

using namespace mlir;
using namespace sm1;

/// Bytes of an f32 for each channel of a vector, whose words are f32 whatever it is at the stage precise.
static double wordBytes(int64_t width) { return 4.0 * double(width); }

/// What a sequence carries through `op`, read and written.
static double stateBytesOf(Operation *op) {
  double bytes = 0;
  auto count = [&](Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor || !isState(type))
      return;
    double elements = 1;
    for (int64_t size : tensor.getShape())
      elements *= ShapedType::isDynamic(size) ? 1 : double(size);
    bytes += elements * tensor.getElementTypeBitWidth() / 8;
  };
  for (Type type : op->getOperandTypes())
    count(type);
  for (Type type : op->getResultTypes())
    count(type);
  return bytes;
}

static KernelNode nodeOf(const TokenKernel &kernel, const TokenKernel::Phase &phase, StringRef file) {
  bool isLogits = &phase == &kernel.phases.back();
  KernelNode node;
  node.name = phase.stem;
  node.times = isLogits ? 1 : kernel.layers;
  node.inLayer = !isLogits;
  std::set<unsigned> lines;
  for (Operation *op : phase.operations) {
    node.operations.push_back(op->getName().stripDialect().str());
    for (unsigned line : linesOf(op, file))
      lines.insert(line);
    node.cost.stateBytes += stateBytesOf(op);
    if (!isa<LinearOp>(op))
      node.cost.vectorOps += double(channels(op->getResult(0).getType())) * laneOpsOf(op, Functions::Approximate);
  }
  node.lines.assign(lines.begin(), lines.end());
  for (ParamOp matrix : phase.matrices) {
    node.cost.weightBytes += packedBytes(matrix) * double(kernel.bits) / 16;
    node.cost.bf16Products += double(kernel.partitions[phase.partition]) * double(phase.width);
  }
  node.cost.projections = double(phase.matrices.size());
  node.cost.readBytes = wordBytes(phase.width);
  node.cost.writeBytes = isLogits ? wordBytes(kernel.partitions[phase.partition]) : 0;
  node.schedule = llvm::formatv("{0} channels in, {1} {2} of {3} rows in {4} bits, {5} warps of a block share the columns",
                                phase.width, phase.matrices.size(), phase.matrices.size() == 1 ? "matrix" : "matrices",
                                kernel.partitions[phase.partition], kernel.bits, kernel.warps);
  return node;
}

/// The phase that makes `vector` known; -1: none of the layer.
static int makerOf(const TokenKernel &kernel, Value vector) {
  for (auto [index, phase] : llvm::enumerate(kernel.phases))
    if (vector.getDefiningOp() && llvm::is_contained(phase.operations, vector.getDefiningOp()))
      return int(index);
  return -1;
}

KernelGraph sm1::graphOfToken(const TokenKernel &kernel, StringRef file) {
  KernelGraph graph;
  AsmState state(kernel.module.get());
  int lastOfLayer = int(kernel.phases.size()) - 2;
  for (auto [index, phase] : llvm::enumerate(kernel.phases)) {
    graph.kernels.push_back(nodeOf(kernel, phase, file));
    graph.weightBytes += graph.kernels.back().cost.weightBytes * double(graph.kernels.back().times);
    std::string name;
    llvm::raw_string_ostream stream(name);
    phase.vector.printAsOperand(stream, state);
    GraphEdge edge{makerOf(kernel, phase.vector), int(index), StringRef(name).ltrim('%').str(), "stream", wordBytes(phase.width)};
    if (int(index) > lastOfLayer)
      edge.from = lastOfLayer;
    else if (edge.from < 0 && kernel.layers > 1) // what layers carry
      graph.edges.push_back({lastOfLayer, int(index), edge.value, "carry", edge.bytes});
    graph.kernels[std::max(edge.from, 0)].cost.writeBytes += edge.from < 0 ? 0 : edge.bytes;
    graph.edges.push_back(std::move(edge));
  }
  return graph;
}

Estimate sm1::estimatePhase(const Machine &machine, const KernelNode &phase, const KernelGraph &token, double sequences) {
  const auto &rates = std::get<sm1rt::GpuRates>(machine.rates);
  double phases = 0;
  for (const KernelNode &each : token.kernels)
    phases += double(each.times);
  sm1rt::TokenPrediction whole = sm1rt::predictToken({token.weightBytes, phases, sequences}, rates),
                         part = sm1rt::predictToken({phase.cost.weightBytes, 1, sequences}, rates);
  bool waits = whole.exchange * part.exchange > whole.stream * part.stream;
  return {whole.secondsOf(part), waits ? "waiting" : "memory"};
}
