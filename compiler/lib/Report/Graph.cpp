//===- Graph.cpp - kernels of a module, and what goes from one to the other --------------------------------------===//

#include "Graph.h"

#include "../Lowering/TileEvaluator.h"
#include "../Transforms/BlockForms.h"
#include "../Transforms/KernelMerge.h"
#include "sm1c/Cost.h"

#include "mlir/IR/AsmState.h"
#include "llvm/ADT/SetVector.h"

#include <set>

using namespace mlir;
using namespace sm1;

LineSet sm1::linesOf(Operation *op, StringRef file) {
  std::set<unsigned> lines;
  op->walk([&](Operation *inner) {
    inner->getLoc()->walk([&](Location part) {
      if (auto place = dyn_cast<FileLineColLoc>(part); place && place.getFilename().getValue() == file)
        lines.insert(place.getLine());
      return WalkResult::advance();
    });
  });
  return LineSet(lines.begin(), lines.end());
}

/// The value behind launches and kernels' results: what a kernel, a layer or the model defines.
static Value source(Value value) {
  while (auto result = dyn_cast<OpResult>(value)) {
    auto launch = dyn_cast<LaunchOp>(result.getOwner());
    if (!launch)
      break;
    value = launch.getBody().front().getTerminator()->getOperand(result.getResultNumber());
  }
  return value;
}

static double bytesOf(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  double elements = 1;
  for (int64_t size : tensor.getShape())
    elements *= ShapedType::isDynamic(size) ? 1 : size;
  return elements * tensor.getElementTypeBitWidth() / 8;
}

namespace {
class GraphBuilder {
public:
  GraphBuilder(ModuleOp module, StringRef file, Functions functions)
      : module(module), file(file), functions(functions), state(module) {}
  KernelGraph build();

private:
  void addKernel(KernelOp kernel);
  void addOutputs(Operation *terminator);
  void connect(Value value, int to, StringRef name);
  std::string nameOf(Value value);

  ModuleOp module;
  StringRef file;
  Functions functions;
  AsmState state;
  llvm::DenseMap<Operation *, int> indices;
  KernelGraph graph;
};
} // namespace

std::string GraphBuilder::nameOf(Value value) {
  std::string name;
  llvm::raw_string_ostream stream(name);
  value.printAsOperand(stream, state);
  return StringRef(name).ltrim('%').str();
}

static std::string scheduleText(KernelOp kernel) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (kernel.getSchedule())
    stream << kernel.getScheduleAttr();
  else if (kernel.getBlocks())
    stream << kernel.getBlocksAttr();
  StringRef rest = text;
  rest = rest.substr(rest.find('<') + 1);
  rest.consume_back(">");
  return text.empty() ? "" : rest.str();
}

/// In bf16 a GPU computes functions with its special units (sm1-approximate-math).
static Functions functionsOf(ModuleOp module) {
  bool approximate = false;
  module.walk([&](KernelOp kernel) { approximate |= kernel.getBlocks() && costOf(kernel).bf16Products > 0; });
  return approximate ? Functions::Approximate : Functions::Exact;
}

void GraphBuilder::addKernel(KernelOp kernel) {
  indices[kernel] = graph.kernels.size();
  auto layers = kernel->getParentOfType<LayersOp>();
  KernelNode node;
  node.name = kernel.getKernelName().str();
  node.times = layers ? layers.getCount() : 1;
  node.inLayer = bool(layers);
  node.selected = kernel.getSelected();
  for (Operation &op : kernel.getBlock().without_terminator())
    if (!isRowInvariant(&op))
      node.operations.push_back(op.getName().stripDialect().str());
  node.lines = linesOf(kernel, file);
  node.schedule = scheduleText(kernel);
  node.cost = costOf(kernel, functions);
  node.cuts = launchCutsOf(kernel);
  auto isRow = [](Type type) { return isStream(type) || isTokens(type); };
  node.streamsRead = llvm::count_if(kernel.getInputs().getTypes(), isRow);
  node.streamsWritten = llvm::count_if(kernel.getResultTypes(), isRow);
  llvm::raw_string_ostream stream(node.text);
  kernel->print(stream, state);
  graph.weightBytes += node.cost.weightBytes * double(node.times);
  graph.kernels.push_back(std::move(node));
}

/// An edge to kernel `to` from whatever makes `value`.
void GraphBuilder::connect(Value value, int to, StringRef name) {
  value = source(value);
  Type type = value.getType();
  if (!isStream(type) && !isTokens(type) && !isState(type))
    return;
  GraphEdge edge{-1, to, name.empty() ? nameOf(value) : name.str(), isState(type) ? "state" : "stream", bytesOf(type)};
  if (auto kernel = value.getDefiningOp<KernelOp>())
    edge.from = indices.lookup(kernel);
  else if (auto layers = value.getDefiningOp<LayersOp>()) {
    Value last = source(layers.getBody().front().getTerminator()->getOperand(cast<OpResult>(value).getResultNumber()));
    if (auto kernel = last.getDefiningOp<KernelOp>())
      edge.from = indices.lookup(kernel);
  } else if (auto argument = dyn_cast<BlockArgument>(value)) {
    auto layers = dyn_cast<LayersOp>(argument.getOwner()->getParentOp());
    if (layers && argument.getArgNumber() < layers.getCarried().size()) {
      // From the kernel before the first layer, and, in a loop, from the last one of the layer before.
      connect(layers.getCarried()[argument.getArgNumber()], to, nameOf(value));
      if (layers.getCount() > 1)
        if (auto kernel =
                source(layers.getBody().front().getTerminator()->getOperand(argument.getArgNumber())).getDefiningOp<KernelOp>())
          graph.edges.push_back({indices.lookup(kernel), to, nameOf(value), "carry", edge.bytes});
      return;
    }
  }
  graph.edges.push_back(std::move(edge));
}

/// States that a layer writes and results of the model leave the picture.
void GraphBuilder::addOutputs(Operation *terminator) {
  auto layers = dyn_cast<LayersOp>(terminator->getParentOp());
  for (auto [index, operand] : llvm::enumerate(terminator->getOperands())) {
    if (layers && index < layers.getCarried().size())
      continue;
    if (source(operand).getDefiningOp<KernelOp>())
      connect(operand, -1, "");
  }
}

KernelGraph GraphBuilder::build() {
  module.walk([&](KernelOp kernel) { addKernel(kernel); });
  module.walk([&](KernelOp kernel) {
    llvm::SetVector<Value> inputs(kernel.getInputs().begin(), kernel.getInputs().end());
    for (Value input : inputs)
      connect(input, indices.lookup(kernel), "");
  });
  module.walk([&](Operation *op) {
    if (isa<ReturnOp>(op) || (isa<YieldOp>(op) && isa<LayersOp>(op->getParentOp())))
      addOutputs(op);
  });
  return std::move(graph);
}

KernelGraph sm1::graphOf(ModuleOp module, StringRef file) { return GraphBuilder(module, file, functionsOf(module)).build(); }
