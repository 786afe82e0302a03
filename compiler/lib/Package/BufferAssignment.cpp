//===- BufferAssignment.cpp - which values of a model share a workspace buffer -----------------------------------===//
//
// Launches are numbered in the order of the program; a loop over layers has its body's launches once. Values that must lie in one
// place (a value that layers carry: its first value, the body's argument, what the body yields, the loop's result) form one group.
// A group needs its buffer from the launch that makes it to the last that reads it; groups of the same kind whose times do not
// touch share a buffer.

#include "sm1c/Package.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/EquivalenceClasses.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace sm1;

int64_t sm1::rowStride(RankedTensorType stream) { return (stream.getShape().back() + 15) / 16 * 16; }

sm1rt::DType sm1::packageType(Type element) {
  return element.isBF16()                 ? sm1rt::DType::BF16
         : element.isF16()                ? sm1rt::DType::F16
         : isa<Float8E4M3FNType>(element) ? sm1rt::DType::F8E4M3
         : element.isInteger(32)          ? sm1rt::DType::I32
                                          : sm1rt::DType::F32;
}

Value sm1::dispatchedValue(Value value) {
  auto launch = value.getDefiningOp<LaunchOp>();
  return launch ? launch.getBody().front().getTerminator()->getOperand(cast<OpResult>(value).getResultNumber()) : value;
}

/// What lives in a workspace buffer.
static bool needsBuffer(Value value) {
  TensorClass kind = classify(value.getType());
  return kind == TensorClass::Stream || kind == TensorClass::Tokens;
}

namespace {
constexpr int64_t beforeAll = -1, afterAll = INT64_MAX;

struct Group {
  int64_t first = afterAll, last = beforeAll;
  Buffer buffer{};
  bool hasBuffer = false;
};

class Assigner {
public:
  Assigner(ModelOp model, bool ownPorts) : model(model), symbols(model->getParentOfType<ModuleOp>()), ownPorts(ownPorts) {}
  FailureOr<BufferAssignment> run();

private:
  void visitBlock(Block &block);
  void visitDispatch(DispatchOp dispatch);
  void visitLoop(LayersOp layers);
  LogicalResult checkCarried(LayersOp layers, unsigned index);
  void define(Value value, int64_t time, Buffer buffer);
  /// `value` is made or needed at `time`.
  void touch(Value value, int64_t time);
  Buffer bufferOf(Value value, bool selected);
  void collectGroups();
  BufferAssignment share();

  ModelOp model;
  SymbolTable symbols;
  bool ownPorts;
  int64_t clock = 0;
  /// Values and how long each is needed.
  llvm::MapVector<Value, Group> spans;
  llvm::EquivalenceClasses<void *> same;
  llvm::MapVector<void *, Group> groups;
};
} // namespace

void Assigner::touch(Value value, int64_t time) {
  Group &span = spans[dispatchedValue(value)];
  span.first = std::min(span.first, time);
  span.last = std::max(span.last, time);
}

void Assigner::define(Value value, int64_t time, Buffer buffer) {
  touch(value, time);
  Group &span = spans[value];
  span.buffer = buffer;
  span.hasBuffer = true;
  same.insert(value.getAsOpaquePointer());
}

/// The buffer that kernels expect for an argument: tokens may be dense or in rows of 16, as the kernels have it.
Buffer Assigner::bufferOf(Value value, bool selected) {
  auto type = cast<RankedTensorType>(value.getType());
  sm1rt::DType dtype = packageType(type.getElementType());
  if (classify(type) == TensorClass::Stream)
    return {selected, rowStride(type), dtype};
  for (OpOperand &use : value.getUses()) {
    auto dispatch = dyn_cast<DispatchOp>(use.getOwner());
    auto function = dispatch ? symbols.lookup<func::FuncOp>(dispatch.getCallee()) : func::FuncOp();
    auto memref = function ? dyn_cast<MemRefType>(function.getArgumentTypes()[use.getOperandNumber()]) : MemRefType();
    if (memref)
      return {selected, memref.getRank() == 1 ? 1 : memref.getShape().back(), dtype};
  }
  return {selected, 1, dtype};
}

void Assigner::visitDispatch(DispatchOp dispatch) {
  int64_t time = clock++;
  for (Value operand : dispatch.getInputs())
    if (needsBuffer(operand))
      touch(operand, time);
  for (Value result : dispatch.getResults())
    if (needsBuffer(result))
      define(result, time, bufferOf(result, dispatch.getSelected()));
}

/// Carried values cover the whole loop; what the body makes for itself lives inside it.
void Assigner::visitLoop(LayersOp layers) {
  int64_t start = clock++;
  for (auto [index, value] : llvm::enumerate(layers.getCarried())) {
    touch(value, start);
    bool selected = spans[dispatchedValue(value)].buffer.selected;
    define(layers.getBody().getArgument(index), start, bufferOf(value, selected));
  }
  visitBlock(layers.getBody().front());
  int64_t end = clock++;
  Operation *yield = layers.getBody().front().getTerminator();
  for (auto [index, value] : llvm::enumerate(layers.getCarried())) {
    Value argument = layers.getBody().getArgument(index);
    touch(yield->getOperand(index), end);
    define(layers.getResult(index), end, spans[argument].buffer);
    for (Value other : {dispatchedValue(value), dispatchedValue(yield->getOperand(index)), layers.getResult(index)})
      same.unionSets(argument.getAsOpaquePointer(), other.getAsOpaquePointer());
  }
}

/// A carried value is dead when the next one is written over it. sm1-copy-carried sees to that; this is the check.
LogicalResult Assigner::checkCarried(LayersOp layers, unsigned index) {
  Value argument = layers.getBody().getArgument(index), first = dispatchedValue(layers.getCarried()[index]);
  auto yields = layers.getBody().front().getTerminator()->getOperands();
  Value next = dispatchedValue(yields[index]);
  bool twice = llvm::count(yields, yields[index]) > 1 || llvm::count(layers.getCarried(), layers.getCarried()[index]) > 1;
  bool stillNeeded = next != argument && (isa<BlockArgument>(next) || spans[argument].last >= spans[next].first);
  if (!twice && !stillNeeded && spans[first].last <= spans[argument].first)
    return success();
  return layers.emitError("carried value ") << index << " of sm1.layers is still needed when its next value is written";
}

void Assigner::visitBlock(Block &block) {
  for (Operation &op : block) {
    if (auto launch = dyn_cast<LaunchOp>(op))
      launch.walk([&](DispatchOp dispatch) { visitDispatch(dispatch); });
    else if (auto layers = dyn_cast<LayersOp>(op))
      visitLoop(layers);
  }
}

/// Time of a group: that of all its values.
void Assigner::collectGroups() {
  for (auto &[value, span] : spans) {
    Group &group = groups[*same.findLeader(value.getAsOpaquePointer())];
    group.first = std::min(group.first, span.first);
    group.last = std::max(group.last, span.last);
    if (span.hasBuffer)
      group.buffer = span.buffer;
  }
}

/// In the order in which they are made, each group takes the first buffer of its kind that is free by then.
BufferAssignment Assigner::share() {
  SmallVector<std::pair<void *, Group>> order(groups.begin(), groups.end());
  llvm::stable_sort(order, [](auto &a, auto &b) { return a.second.first < b.second.first; });
  BufferAssignment assignment;
  SmallVector<int64_t> busyUntil;
  DenseMap<void *, unsigned> chosen;
  for (auto &[leader, group] : order) {
    unsigned index = 0;
    while (index < busyUntil.size() && (busyUntil[index] >= group.first || !(assignment.buffers[index] == group.buffer)))
      ++index;
    if (index == busyUntil.size()) {
      assignment.buffers.push_back(group.buffer);
      busyUntil.push_back(group.last);
    }
    busyUntil[index] = group.last;
    chosen[leader] = index;
  }
  for (auto &[value, span] : spans)
    assignment.places[value] = chosen[*same.findLeader(value.getAsOpaquePointer())];
  return assignment;
}

FailureOr<BufferAssignment> Assigner::run() {
  for (BlockArgument argument : model.getBody().getArguments())
    if (needsBuffer(argument))
      define(argument, beforeAll, bufferOf(argument, /*selected=*/false));
  visitBlock(model.getBody().front());
  for (Value value : model.getBody().front().getTerminator()->getOperands())
    if (needsBuffer(value))
      touch(value, afterAll);
  for (auto layers : model.getBody().front().getOps<LayersOp>())
    for (unsigned index = 0; index < layers.getCarried().size(); ++index)
      if (failed(checkCarried(layers, index)))
        return failure();
  if (ownPorts) {
    SmallVector<Value> ports(model.getBody().getArguments());
    llvm::append_range(ports, model.getBody().front().getTerminator()->getOperands());
    for (Value port : ports)
      if (needsBuffer(port))
        for (int64_t time : {beforeAll, afterAll})
          touch(port, time);
  }
  collectGroups();
  return share();
}

FailureOr<BufferAssignment> sm1::assignBuffers(ModelOp model, bool ownPorts) { return Assigner(model, ownPorts).run(); }
