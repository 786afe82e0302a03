//===- Sm1Names.cpp - names of values in printed IR --------------------------------------------------------------===//
//
// Names are made from what the IR itself says (tensors, states, kernels), so a dump of any stage reads like the description.

#include "sm1/IR/Sm1.h"

using namespace mlir;
using namespace sm1;

/// "layers.{i}.ssm.in_proj.weight" is in_proj, "ssm.conv1d.bias" conv1d_bias, "ssm.A_log" A_log.
static std::string paramName(StringRef tensor) {
  auto [path, last] = tensor.rsplit('.');
  if (last.empty())
    return tensor.str();
  StringRef parent = path.contains('.') ? path.rsplit('.').second : path;
  if (last == "weight")
    return parent.str();
  return last == "bias" ? (parent + "_bias").str() : last.str();
}

static std::string modelArgName(ModelOp model, unsigned index) {
  StringRef state = model.argState(index);
  return state.empty() ? model.argName(index) : (state + "_in").str();
}

/// The model's state that operand `index` of `layers` is; empty for anything else.
static StringRef stateName(LayersOp layers, unsigned index) {
  auto argument = dyn_cast<BlockArgument>(layers.getOperand(index));
  auto model = argument ? dyn_cast_or_null<ModelOp>(argument.getOwner()->getParentOp()) : ModelOp();
  return model ? model.argState(argument.getArgNumber()) : StringRef();
}

static std::string layersArgName(LayersOp layers, unsigned index) {
  StringRef state = stateName(layers, index);
  return index < layers.getCarried().size() ? "x" : state.empty() ? "" : (state + "_prev").str();
}

/// What kernels and dispatches call a result: their own name, with _state for what a sequence carries on.
static std::string phaseResultName(StringRef phase, Value result) {
  return isState(result.getType()) ? (phase + "_state").str() : phase.str();
}

/// A name for `value` from what made it; empty when nothing says one. Looks one step back and never recurses, so hostile IR costs
/// nothing.
static std::string hint(Value value) {
  if (Operation *op = value.getDefiningOp()) {
    if (auto param = dyn_cast<ParamOp>(op))
      return paramName(param.getTensor());
    if (auto kernel = dyn_cast<KernelOp>(op))
      return phaseResultName(kernel.getKernelName(), value);
    if (auto dispatch = dyn_cast<DispatchOp>(op))
      return phaseResultName(dispatch.getCallee(), value);
    return "";
  }
  auto argument = cast<BlockArgument>(value);
  Operation *parent = argument.getOwner()->getParentOp();
  if (auto model = dyn_cast_or_null<ModelOp>(parent))
    return modelArgName(model, argument.getArgNumber());
  if (auto layers = dyn_cast_or_null<LayersOp>(parent))
    return layersArgName(layers, argument.getArgNumber());
  return "";
}

static void nameValue(OpAsmSetValueNameFn set, Value value, const Twine &name) {
  SmallString<32> storage;
  if (StringRef text = name.toStringRef(storage); !text.empty())
    set(value, text);
}

/// The name of the parameter that a projection multiplies by, also through the argument of a kernel.
static std::string weightName(Value weight) {
  auto argument = dyn_cast<BlockArgument>(weight);
  auto kernel = argument ? dyn_cast_or_null<KernelOp>(argument.getOwner()->getParentOp()) : KernelOp();
  return hint(kernel && argument.getArgNumber() < kernel.getInputs().size() ? kernel.getInputs()[argument.getArgNumber()] : weight);
}

//===----------------------------------------------------------------------===//
// Structure
//===----------------------------------------------------------------------===//

void ModelOp::getAsmBlockArgumentNames(Region &region, OpAsmSetValueNameFn set) {
  for (BlockArgument argument : region.getArguments())
    if (argument.getArgNumber() < getArgumentTypes().size())
      nameValue(set, argument, modelArgName(*this, argument.getArgNumber()));
}

void ParamOp::getAsmResultNames(OpAsmSetValueNameFn set) { nameValue(set, getResult(), paramName(getTensor())); }

void LayersOp::getAsmBlockArgumentNames(Region &region, OpAsmSetValueNameFn set) {
  for (BlockArgument argument : region.getArguments())
    if (argument.getArgNumber() < getNumOperands())
      nameValue(set, argument, layersArgName(*this, argument.getArgNumber()));
}

void LayersOp::getAsmResultNames(OpAsmSetValueNameFn set) {
  for (OpResult result : getResults()) {
    unsigned index = result.getResultNumber();
    StringRef name = index < getCarried().size() ? "x" : index < getNumOperands() ? stateName(*this, index) : "";
    nameValue(set, result, name.empty() ? "layers" : (name + "_out").str());
  }
}

//===----------------------------------------------------------------------===//
// Operators
//===----------------------------------------------------------------------===//

void EmbeddingOp::getAsmResultNames(OpAsmSetValueNameFn set) { set(getResult(), "embedded"); }
void RmsNormOp::getAsmResultNames(OpAsmSetValueNameFn set) { set(getResult(), "normed"); }

void LinearOp::getAsmResultNames(OpAsmSetValueNameFn set) {
  std::string weight = weightName(getWeight());
  nameValue(set, getResult(), weight.empty() ? "linear" : weight + "_out");
}

void Conv1dOp::getAsmResultNames(OpAsmSetValueNameFn set) {
  set(getResult(), "convolved");
  set(getLast(), "taps");
}

void ScanOp::getAsmResultNames(OpAsmSetValueNameFn set) {
  set(getH(), "h");
  set(getLast(), "last");
}

void SelectiveScanOp::getAsmResultNames(OpAsmSetValueNameFn set) {
  set(getY(), "scanned");
  set(getLast(), "last");
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

void KernelOp::getAsmBlockArgumentNames(Region &region, OpAsmSetValueNameFn set) {
  for (BlockArgument argument : region.getArguments())
    if (argument.getArgNumber() < getInputs().size())
      nameValue(set, argument, hint(getInputs()[argument.getArgNumber()]));
}

void KernelOp::getAsmResultNames(OpAsmSetValueNameFn set) {
  for (Value result : getResults())
    nameValue(set, result, phaseResultName(getKernelName(), result));
}

void DispatchOp::getAsmResultNames(OpAsmSetValueNameFn set) {
  for (Value result : getResults())
    nameValue(set, result, phaseResultName(getCallee(), result));
}

/// A launch's results are called as what it yields.
void LaunchOp::getAsmResultNames(OpAsmSetValueNameFn set) {
  auto yield = getBody().empty() || getBody().front().empty() ? YieldOp() : dyn_cast<YieldOp>(getBody().front().back());
  if (!yield || yield.getNumOperands() != getNumResults())
    return;
  for (auto [result, value] : llvm::zip(getResults(), yield.getResults()))
    nameValue(set, result, hint(value));
}
