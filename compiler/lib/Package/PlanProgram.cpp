//===- PlanProgram.cpp - the part of a plan that a target decides: buffers, launches, packed weights -------------===//

#include "sm1c/Package.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace sm1;
namespace json = llvm::json;

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

/// What happens to a parameter on its way to the layout that its kernels read.
static FailureOr<std::vector<sm1rt::PackingStep>> packingSteps(ParamOp param, ArrayRef<int64_t> shape) {
  using sm1rt::PackingStep;
  auto layout = param->getAttrOfType<StringAttr>("layout");
  StringRef name = layout ? layout.getValue() : "";
  std::vector<PackingStep> steps;
  if (param.getFirstRow())
    steps.push_back(PackingStep::rows(*param.getFirstRow(), *param.getEndRow()));
  auto type = cast<RankedTensorType>(param.getType());
  steps.push_back(PackingStep::cast(packageType(type.getElementType())));
  if (name == "panels") {
    steps.push_back(PackingStep::panels());
  } else if (name == "rows") {
    steps.push_back(PackingStep::pad(rowStride(type)));
  } else if (name == "channels") {
    if (type.getRank() > 1)
      steps.push_back(PackingStep::channelsLast());
    steps.push_back(PackingStep::pad((type.getDimSize(0) + 15) / 16 * 16));
  } else {
    return param.emitError("parameter needs layout = \"panels\", \"rows\" or \"channels\", got \"") << name << "\"";
  }
  return steps;
}

/// "layers.{i}.ssm.x_proj.weight.0-1408.panels.bf16": what it is made of.
static std::string weightName(ParamOp param, sm1rt::DType dtype) {
  std::string name = param.getTensor().str();
  if (param.getFirstRow())
    name += "." + std::to_string(*param.getFirstRow()) + "-" + std::to_string(*param.getEndRow());
  return name + "." + param->getAttrOfType<StringAttr>("layout").str() + "." + StringRef(sm1rt::dtypeName(dtype)).lower();
}

FailureOr<size_t> PlanBuilder::weightOf(ParamOp param) {
  size_t source = llvm::find_if(paramList, [&](auto &known) { return known.name == param.getTensor(); }) - paramList.begin();
  if (source == paramList.size())
    return param.emitError("parameter '") << param.getTensor() << "' is not in the description", failure();
  auto steps = packingSteps(param, paramList[source].shape);
  if (failed(steps))
    return failure();
  auto type = sm1rt::packedType({sm1rt::DType::F32, paramList[source].shape}, *steps);
  if (!type)
    return param.emitError("parameter '") << param.getTensor() << "' cannot be packed: " << type.error().message, failure();
  std::string name = weightName(param, type->dtype);
  for (size_t index = 0; index < weightList.size(); ++index)
    if (weightList[index].name == name)
      return index;
  weightList.push_back({name, source, std::move(*steps), std::move(*type)});
  return weightList.size() - 1;
}

//===----------------------------------------------------------------------===//
// Programs
//===----------------------------------------------------------------------===//

/// Builds the program of one target.
class PlanBuilder::ProgramBuilder {
public:
  ProgramBuilder(PlanBuilder &plan, ModelOp model, const FlatCode &code) : plan(plan), model(model), code(code) {}
  FailureOr<json::Object> run();

private:
  LogicalResult findStates();
  LogicalResult addStateResult(Value result, StringRef state);
  FailureOr<json::Array> steps(Block &block);
  FailureOr<json::Object> launch(DispatchOp dispatch);
  FailureOr<json::Object> argument(DispatchOp dispatch, Value operand);
  FailureOr<int64_t> kernelIndex(DispatchOp dispatch);
  json::Array portBuffers(ValueRange values);

  PlanBuilder &plan;
  ModelOp model;
  const FlatCode &code;
  BufferAssignment assignment;
  /// Block arguments that are states, and results of dispatches that become states.
  DenseMap<Value, int64_t> statesIn, statesOut;
};

static const char *rowSpace(bool selected) { return selected ? "selected" : "all"; }

/// `result`, returned by the model, is the next `state`.
LogicalResult PlanBuilder::ProgramBuilder::addStateResult(Value result, StringRef state) {
  Value made = dispatchedValue(result);
  if (auto layers = made.getDefiningOp<LayersOp>())
    made = dispatchedValue(layers.getBody().front().getTerminator()->getOperand(cast<OpResult>(made).getResultNumber()));
  if (!made.getDefiningOp<DispatchOp>())
    return model.emitError("state '") << state << "' is returned as it came; a model must compute the states that it returns";
  if (!statesOut.try_emplace(made, plan.stateIndex(state)).second)
    return model.emitError("state '") << state << "' is the same value as another state; each needs one of its own";
  return success();
}

LogicalResult PlanBuilder::ProgramBuilder::findStates() {
  for (auto [index, argument] : llvm::enumerate(model.getBody().getArguments()))
    if (!model.argState(index).empty())
      statesIn[argument] = plan.stateIndex(model.argState(index));
  for (auto layers : model.getBody().front().getOps<LayersOp>())
    for (unsigned index = layers.getCarried().size(); index < layers->getNumOperands(); ++index)
      if (auto state = statesIn.find(layers->getOperand(index)); state != statesIn.end())
        statesIn[layers.getBody().getArgument(index)] = state->second;
  for (auto [index, value] : llvm::enumerate(model.getBody().front().getTerminator()->getOperands()))
    if (!model.resultState(index).empty() && failed(addStateResult(value, model.resultState(index))))
      return failure();
  return success();
}

FailureOr<int64_t> PlanBuilder::ProgramBuilder::kernelIndex(DispatchOp dispatch) {
  auto found = llvm::find_if(code.kernels, [&](const FlatCode::Kernel &kernel) { return kernel.name == dispatch.getCallee(); });
  if (found == code.kernels.end())
    return dispatch.emitError("there is no code for kernel @") << dispatch.getCallee(), failure();
  return found - code.kernels.begin();
}

/// An operand or result of a dispatch as a plan argument.
FailureOr<json::Object> PlanBuilder::ProgramBuilder::argument(DispatchOp dispatch, Value value) {
  if (auto param = value.getDefiningOp<ParamOp>()) {
    auto weight = plan.weightOf(param);
    return failed(weight) ? FailureOr<json::Object>(failure()) : json::Object{{"weight", int64_t(*weight)}};
  }
  if (classify(value.getType()) != TensorClass::State)
    return json::Object{{"buffer", int64_t(assignment.placeOf(value))}};
  bool isResult = value.getDefiningOp() == dispatch;
  auto &known = isResult ? statesOut : statesIn;
  auto state = known.find(value);
  if (state == known.end())
    return dispatch.emitError("kernel @") << dispatch.getCallee() << (isResult ? " makes" : " reads") << " a state of type "
                                          << value.getType() << " that is no state of the model",
           failure();
  return json::Object{{isResult ? "state_out" : "state_in", state->second}};
}

FailureOr<json::Object> PlanBuilder::ProgramBuilder::launch(DispatchOp dispatch) {
  auto kernel = kernelIndex(dispatch);
  if (failed(kernel))
    return failure();
  json::Array args;
  auto values = llvm::to_vector(dispatch.getInputs());
  values.append(dispatch.getResults().begin(), dispatch.getResults().end());
  for (Value value : values) {
    auto arg = argument(dispatch, value);
    if (failed(arg))
      return failure();
    args.push_back(std::move(*arg));
  }
  ScheduleAttr schedule = dispatch.getSchedule();
  return json::Object{{"kernel", *kernel},
                      {"args", std::move(args)},
                      {"rows", rowSpace(dispatch.getSelected())},
                      {"row_split", schedule.getRowSplit()},
                      {"panels", int64_t(dispatch.getPanels())},
                      {"panel_split", schedule.getPanelSplit()},
                      {"scratch", int64_t(dispatch.getScratchBytes())}};
}

/// Launches and loops of the model, or launches of a loop's body.
FailureOr<json::Array> PlanBuilder::ProgramBuilder::steps(Block &block) {
  json::Array list;
  for (Operation &op : block) {
    if (isa<ParamOp, ReturnOp, YieldOp>(op))
      continue;
    if (auto layers = dyn_cast<LayersOp>(op)) {
      auto body = steps(layers.getBody().front());
      if (failed(body))
        return failure();
      list.push_back(json::Object{{"loop", int64_t(layers.getCount())}, {"body", std::move(*body)}});
      continue;
    }
    auto launchOp = dyn_cast<LaunchOp>(op);
    auto dispatches = launchOp ? llvm::to_vector(launchOp.getBody().getOps<DispatchOp>()) : SmallVector<DispatchOp>();
    if (dispatches.size() != 1 || launchOp.getSync() != Sync::None)
      return op.emitError("a CPU program is made of launches with one dispatch each, got ") << op.getName(), failure();
    auto made = launch(dispatches.front());
    if (failed(made))
      return failure();
    list.push_back(std::move(*made));
  }
  return list;
}

json::Array PlanBuilder::ProgramBuilder::portBuffers(ValueRange values) {
  json::Array list;
  for (Value value : values)
    list.push_back(classify(value.getType()) == TensorClass::State ? int64_t(-1) : int64_t(assignment.placeOf(value)));
  return list;
}

FailureOr<json::Object> PlanBuilder::ProgramBuilder::run() {
  auto assigned = assignBuffers(model);
  if (failed(assigned) || failed(findStates()))
    return failure();
  assignment = std::move(*assigned);
  json::Array kernels, buffers;
  for (const FlatCode::Kernel &kernel : code.kernels)
    kernels.push_back(json::Object{{"name", kernel.name}, {"offset", int64_t(kernel.offset)}});
  for (const Buffer &buffer : assignment.buffers)
    buffers.push_back(json::Object{{"rows", rowSpace(buffer.selected)},
                                   {"stride", buffer.stride},
                                   {"dtype", StringRef(sm1rt::dtypeName(buffer.dtype)).lower()}});
  Block &body = model.getBody().front();
  auto list = steps(body);
  if (failed(list))
    return failure();
  for (auto [index, value] : llvm::enumerate(body.getTerminator()->getOperands()))
    if (classify(value.getType()) == TensorClass::Stream &&
        assignment.buffers[assignment.placeOf(value)].selected != model.resultIsSelected(index))
      return model.emitError("result '") << model.resultName(index) << "' is computed for "
                                         << rowSpace(!model.resultIsSelected(index)) << " rows, the model says "
                                         << rowSpace(model.resultIsSelected(index)),
             failure();
  // A step is a prefill of one row per sequence: the same launches.
  json::Array step = *list;
  return json::Object{{"kernels", std::move(kernels)},
                      {"buffers", std::move(buffers)},
                      {"inputs", portBuffers(body.getArguments())},
                      {"outputs", portBuffers(body.getTerminator()->getOperands())},
                      {"entries", json::Object{{"prefill", std::move(*list)}, {"step", std::move(step)}}}};
}

LogicalResult PlanBuilder::addProgram(ModelOp model, const Target &target, const FlatCode &code) {
  auto program = ProgramBuilder(*this, model, code).run();
  if (failed(program))
    return failure();
  programs[target.name] = std::move(*program);
  addHash(("kernel/" + target.name).str(), code.bytes);
  return success();
}
