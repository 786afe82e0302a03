//===- PlanInterface.cpp - the part of a plan that a description decides: states, inputs, outputs, parameters ----===//

#include "sm1/IR/Sm1NormHalves.h"
#include "sm1c/Package.h"

#include "sm1rt/PackageFormat.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace sm1;
namespace json = llvm::json;

static json::Array toArray(ArrayRef<int64_t> values) { return json::Array(values); }

int64_t PlanBuilder::stateIndex(StringRef state) const {
  return llvm::find_if(states, [&](const State &s) { return s.name == state; }) - states.begin();
}

/// A state of the layers has one dimension more than its shape in a layer.
LogicalResult PlanBuilder::addStates(ModelOp model) {
  for (auto [index, argument] : llvm::enumerate(model.getBody().getArguments())) {
    StringRef state = model.argState(index);
    if (state.empty())
      continue;
    int64_t layers = 0;
    for (OpOperand &use : argument.getUses())
      if (auto loop = dyn_cast<LayersOp>(use.getOwner()))
        layers = loop.getCount();
    ArrayRef<int64_t> shape = cast<RankedTensorType>(argument.getType()).getShape().drop_front(layers ? 2 : 1);
    for (OpOperand &use : argument.getUses())
      if (auto loop = dyn_cast<LayersOp>(use.getOwner()); layers && (!loop || loop.getCount() != uint64_t(layers)))
        return use.getOwner()->emitError("state '") << state << "' belongs to " << layers << " layers and cannot be used here too";
    states.push_back({state.str(), layers, shape.vec()});
  }
  return success();
}

/// Tokens index tables, the smallest of which limits them.
static int64_t tokenLimit(ModelOp model) {
  int64_t limit = INT32_MAX;
  model.walk([&](EmbeddingOp op) { limit = std::min(limit, cast<RankedTensorType>(op.getTable().getType()).getDimSize(0)); });
  return limit;
}

void PlanBuilder::addPorts(ModelOp model) {
  for (auto [index, type] : llvm::enumerate(model.getArgumentTypes())) {
    json::Object port{{"name", model.argName(index)}};
    TensorClass kind = classify(type);
    port["kind"] = kind == TensorClass::Tokens ? "tokens" : kind == TensorClass::State ? "state" : "rows";
    if (kind == TensorClass::Tokens)
      port["limit"] = tokenLimit(model);
    else if (kind == TensorClass::State)
      port["state"] = stateIndex(model.argState(index));
    else
      port["width"] = channels(type);
    inputs.push_back(std::move(port));
  }
  for (auto [index, type] : llvm::enumerate(model.getResultTypes())) {
    json::Object port{{"name", model.resultName(index)}};
    bool isState = classify(type) == TensorClass::State;
    port["kind"] = isState ? "state" : "rows";
    if (isState) {
      port["state"] = stateIndex(model.resultState(index));
    } else {
      port["width"] = channels(type);
      port["rows"] = model.resultIsSelected(index) ? "selected" : "all";
    }
    outputs.push_back(std::move(port));
  }
}

LogicalResult PlanBuilder::addParams(ModelOp model) {
  auto result = model.walk([&](ParamOp op) {
    if (op->hasAttr(nextLayerAttr)) {
      op.emitError("parameter '") << op.getTensor() << "' is the next layer's, which fusion makes alone; a description has its own";
      return WalkResult::interrupt();
    }
    auto layers = op->getParentOfType<LayersOp>();
    sm1rt::CheckpointParam param{op.getTensor().str(), layers ? int64_t(layers.getCount()) : 0, {}, -1};
    for (int64_t size : op.tensorShape())
      param.shape.push_back(size);
    for (auto &known : paramList) {
      if (known.name != param.name)
        continue;
      if (known.count == param.count && known.shape == param.shape)
        return WalkResult::advance();
      op.emitError("parameter '") << param.name << "' has shape " << sm1rt::toString(param.shape) << " here and "
                                  << sm1rt::toString(known.shape) << " elsewhere, or another number of layers";
      return WalkResult::interrupt();
    }
    paramList.push_back(std::move(param));
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

/// `sm1.tied`: tensors that a checkpoint may hold if they equal a parameter.
LogicalResult PlanBuilder::addTied(ModelOp model) {
  auto tied = model->getAttrOfType<DictionaryAttr>(tiedAttr);
  for (NamedAttribute pair : tied ? tied.getValue() : ArrayRef<NamedAttribute>()) {
    std::string from = pair.getName().str(), to = cast<StringAttr>(pair.getValue()).str();
    auto named = [](const std::string &name) { return [&](const sm1rt::CheckpointParam &param) { return param.name == name; }; };
    auto target = llvm::find_if(paramList, named(to));
    if (target == paramList.end() || target->equals >= 0)
      return model.emitError("sm1.tied: '") << from << "' shall equal '" << to << "', which is no parameter of the model";
    if (llvm::any_of(paramList, named(from)))
      return model.emitError("sm1.tied: '") << from << "' is a parameter itself";
    paramList.push_back({from, target->count, target->shape, int(target - paramList.begin())});
  }
  return success();
}

/// The state that a value is, through the layers; null when it is none.
static bool isModelState(Value value, ModelOp model) {
  auto argument = dyn_cast_or_null<BlockArgument>(value);
  if (!argument)
    return false;
  if (auto layers = dyn_cast<LayersOp>(argument.getOwner()->getParentOp()))
    return argument.getArgNumber() >= layers.getCarried().size() &&
           isModelState(layers->getOperand(argument.getArgNumber()), model);
  return !model.argState(argument.getArgNumber()).empty();
}

/// A scan of closed form, or one whose start no state carries, holds only for a sequence in one piece.
bool PlanBuilder::needsWholeSequence(ModelOp model) const {
  auto holdsForWhole = [&](Operation *op) {
    if (auto scan = dyn_cast<ScanOp>(op))
      return options.closedForm || scan.getForm() == ScanForm::ClosedForm || !isModelState(scan.getInit(), model);
    auto selective = dyn_cast<SelectiveScanOp>(op);
    return selective && !isModelState(selective.getInit(), model);
  };
  return model.walk([&](Operation *op) { return holdsForWhole(op) ? WalkResult::interrupt() : WalkResult::advance(); })
      .wasInterrupted();
}

LogicalResult PlanBuilder::addDescription(ModelOp model) {
  name = model.getSymName().str();
  if (failed(addStates(model)) || failed(addParams(model)) || failed(addTied(model)))
    return failure();
  addPorts(model);
  wholeSequence = needsWholeSequence(model);
  model.walk([&](ScanOp scan) { options.closedForm |= scan.getForm() == ScanForm::ClosedForm; });
  return success();
}

void PlanBuilder::noteFp8Norms(ModuleOp precise) {
  precise.walk([&](RmsNormOp norm) {
    auto weight = norm.getWeight().getDefiningOp<ParamOp>();
    bool isRounded = llvm::any_of(norm->getUsers(), [](Operation *user) {
      return isa<arith::TruncFOp>(user) && isa<Float8E4M3FNType>(getElementTypeOrSelf(user->getResult(0)));
    });
    for (sm1rt::CheckpointParam &param : paramList)
      param.fp8Rows |= weight && isRounded && weight.getTensor() == param.name;
  });
}

/// FNV-1a 64, which PackageFormat.h asks for.
static uint64_t fnv1a(ArrayRef<uint8_t> bytes) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (uint8_t byte : bytes)
    hash = (hash ^ byte) * 0x100000001b3ull;
  return hash;
}

void PlanBuilder::addHash(StringRef part, ArrayRef<uint8_t> bytes) {
  hashes[part.str()] = llvm::formatv("{0:x-16}", fnv1a(bytes)).str();
}

json::Value PlanBuilder::plan() const {
  json::Array stateJson, paramJson, weightJson;
  for (const State &state : states)
    stateJson.push_back(json::Object{{"name", state.name}, {"layers", state.layers}, {"shape", toArray(state.shape)}});
  for (const sm1rt::CheckpointParam &param : paramList) {
    json::Object entry = param.equals >= 0
                             ? json::Object{{"name", param.name}, {"equals", paramList[param.equals].name}}
                             : json::Object{{"name", param.name}, {"count", param.count}, {"shape", toArray(param.shape)}};
    if (param.fp8Rows)
      entry["fp8_rows"] = true;
    paramJson.push_back(std::move(entry));
  }
  for (const PackedWeight &weight : weightList) {
    const sm1rt::CheckpointParam &param = paramList[weight.param];
    weightJson.push_back(json::Object{{"name", weight.name},
                                      {"from", param.name},
                                      {"count", param.count},
                                      {"dtype", StringRef(sm1rt::dtypeName(weight.type.dtype)).lower()},
                                      {"shape", toArray(weight.type.shape)},
                                      {"steps", cantFail(json::parse(sm1rt::toJson(weight.steps)))}});
  }
  return json::Object{{"compiler", options.compiler},
                      {"model", name},
                      {"form", options.closedForm ? "closed_form" : "exact"},
                      {"storage", options.storage},
                      {"compute", options.compute},
                      {"whole_sequence", wholeSequence},
                      {"weights_in", options.weightsInPackage || paramList.empty() ? "package" : "external"},
                      {"states", std::move(stateJson)},
                      {"inputs", json::Array(inputs)},
                      {"outputs", json::Array(outputs)},
                      {"params", std::move(paramJson)},
                      {"weights", std::move(weightJson)},
                      {"programs", json::Object(programs)},
                      {"hashes", json::Object(hashes)}};
}
