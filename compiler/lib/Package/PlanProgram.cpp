//===- PlanProgram.cpp - the part of a plan that a target decides: buffers, launches, packed weights -------------===//

#include "../Transforms/Boxes.h"
#include "../Transforms/Scheduling.h"
#include "sm1/IR/Sm1NormHalves.h"
#include "sm1c/Package.h"

#include "llvm/ADT/BitVector.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace sm1;
namespace json = llvm::json;

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

/// Layouts that are one packing step, which has no numbers.
static constexpr std::pair<llvm::StringLiteral, sm1rt::PackingStep (*)()> namedSteps[] = {
    {"panels", sm1rt::PackingStep::panels},   {"pairs", sm1rt::PackingStep::pairs},         {"quads", sm1rt::PackingStep::quads},
    {"nibbles", sm1rt::PackingStep::nibbles}, {"fragments", sm1rt::PackingStep::fragments}, {"images", sm1rt::PackingStep::images},
    {"stages", sm1rt::PackingStep::stages}};

/// What happens to a parameter on its way to the layout that its kernels read.
static FailureOr<std::vector<sm1rt::PackingStep>> packingSteps(ParamOp param, ArrayRef<int64_t> shape) {
  using sm1rt::PackingStep;
  auto layout = param->getAttrOfType<StringAttr>("layout");
  StringRef name = layout ? layout.getValue() : "";
  std::vector<PackingStep> steps;
  if (param.getFirstRow())
    steps.push_back(PackingStep::rows(*param.getFirstRow(), *param.getEndRow()));
  auto type = cast<RankedTensorType>(param.getType());
  if (auto quantised = param.getQuantised()) {
    Type element = type.getElementType();
    auto step = element.isInteger()              ? PackingStep::quantise
                : element.isBF16()               ? PackingStep::coarsen
                : isa<Float8E4M3FNType>(element) ? PackingStep::e4m3
                                                 : PackingStep::scales;
    steps.push_back(
        step(quantised->getBits(), quantised->getGroup(), quantised->getBits() == 8 ? sm1rt::DType::F32 : sm1rt::DType::F16));
  } else {
    steps.push_back(PackingStep::cast(packageType(type.getElementType())));
  }
  if (auto named = llvm::find_if(namedSteps, [&](auto &known) { return known.first == name; }); named != std::end(namedSteps)) {
    steps.push_back(named->second());
  } else if (name == "rows") {
    steps.push_back(PackingStep::pad(rowStride(type)));
  } else if (name == "scales" && type.getDimSize(1) > 1) {
    steps.push_back(PackingStep::panels());
  } else if (name == "channels" || name == "scales") {
    if (type.getRank() > 1)
      steps.push_back(PackingStep::channelsLast());
    steps.push_back(PackingStep::pad((type.getDimSize(0) + 15) / 16 * 16));
  } else {
    return param.emitError("parameter needs a layout that PackageFormat.h lists, got \"") << name << "\"";
  }
  return steps;
}

/// "layers.{i}.ssm.x_proj.weight.0-1408.panels.bf16": what it is made of.
static std::string weightName(ParamOp param, sm1rt::DType dtype) {
  std::string name = param.getTensor().str();
  if (param.getFirstRow())
    name += "." + std::to_string(*param.getFirstRow()) + "-" + std::to_string(*param.getEndRow());
  if (param.getQuantised() && dtype == sm1rt::DType::BF16)
    name += ".coarse" + std::to_string(param.getQuantised()->getBits());
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

/// Builds the program of one target: kernels and buffers that its entries share.
class PlanBuilder::ProgramBuilder {
public:
  ProgramBuilder(PlanBuilder &plan, const FlatCode &code) : plan(plan), code(code) {}
  FailureOr<json::Object> run(ArrayRef<EntryModel> models);

private:
  friend class EntryBuilder;
  /// Buffers of `assignment` as buffers of the program. Ports, known from an earlier entry, stay where they are; entries never run
  /// at the same time, so the rest takes what buffers of its kind there are.
  FailureOr<SmallVector<int64_t>> place(ModelOp model, const BufferAssignment &assignment);
  LogicalResult checkResultRows(ModelOp model, const BufferAssignment &assignment);

  PlanBuilder &plan;
  const FlatCode &code;
  SmallVector<Buffer> buffers;
  /// Buffers of inputs and outputs; -1 for states.
  SmallVector<int64_t> inputs, outputs;
};

/// Lists the launches of one model.
class PlanBuilder::EntryBuilder {
public:
  EntryBuilder(ProgramBuilder &program, const EntryModel &entry, const BufferAssignment &assignment, ArrayRef<int64_t> places)
      : plan(program.plan), code(program.code), model(entry.model), isStep(sm1::isStep(entry.entry)), costs(*entry.costs),
        assignment(assignment), places(places) {}
  FailureOr<json::Array> run();

private:
  LogicalResult findStates();
  LogicalResult addStateResult(Value result, StringRef state);
  FailureOr<json::Array> steps(Block &block);
  FailureOr<json::Object> launch(DispatchOp dispatch);
  LogicalResult addBlocks(json::Object &launch, DispatchOp dispatch);
  FailureOr<json::Object> argument(DispatchOp dispatch, Value operand);
  FailureOr<int64_t> kernelIndex(DispatchOp dispatch);

  PlanBuilder &plan;
  const FlatCode &code;
  ModelOp model;
  bool isStep;
  int64_t chunkRows = 0; ///< of the kernels whose tiles are chunks, which one table of a pass serves
  const KernelCosts &costs;
  const BufferAssignment &assignment;
  ArrayRef<int64_t> places;
  /// Block arguments that are states, and results of dispatches that become states.
  DenseMap<Value, int64_t> statesIn, statesOut;
};

static const char *rowSpace(bool selected) { return selected ? "selected" : "all"; }

/// `result`, returned by the model, is the next `state`.
LogicalResult PlanBuilder::EntryBuilder::addStateResult(Value result, StringRef state) {
  Value made = dispatchedValue(result);
  if (auto layers = made.getDefiningOp<LayersOp>())
    made = dispatchedValue(layers.getBody().front().getTerminator()->getOperand(cast<OpResult>(made).getResultNumber()));
  if (!made.getDefiningOp<DispatchOp>())
    return model.emitError("state '") << state << "' is returned as it came; a model must compute the states that it returns";
  if (!statesOut.try_emplace(made, plan.stateIndex(state)).second)
    return model.emitError("state '") << state << "' is the same value as another state; each needs one of its own";
  return success();
}

LogicalResult PlanBuilder::EntryBuilder::findStates() {
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

FailureOr<int64_t> PlanBuilder::EntryBuilder::kernelIndex(DispatchOp dispatch) {
  auto found = llvm::find_if(code.kernels, [&](const FlatCode::Kernel &kernel) { return kernel.name == dispatch.getCallee(); });
  if (found == code.kernels.end())
    return dispatch.emitError("there is no code for kernel @") << dispatch.getCallee(), failure();
  return found - code.kernels.begin();
}

/// An operand or result of a dispatch as a plan argument.
FailureOr<json::Object> PlanBuilder::EntryBuilder::argument(DispatchOp dispatch, Value value) {
  if (auto param = value.getDefiningOp<ParamOp>()) {
    auto weight = plan.weightOf(param);
    if (failed(weight))
      return failure();
    json::Object made{{param->hasAttr(nextLayerAttr) ? "next_weight" : "weight", int64_t(*weight)}};
    if (auto behind = param->getAttrOfType<StringAttr>(nextLayerAttr)) {
      OwningOpRef<ParamOp> last = cast<ParamOp>(param->clone());
      last->setTensorAttr(behind);
      auto lastWeight = plan.weightOf(*last);
      if (failed(lastWeight))
        return failure();
      made["last"] = int64_t(*lastWeight);
    }
    return made;
  }
  if (classify(value.getType()) != TensorClass::State)
    return json::Object{{"buffer", places[assignment.placeOf(value)]}};
  bool isResult = value.getDefiningOp() == dispatch;
  auto &known = isResult ? statesOut : statesIn;
  auto state = known.find(value);
  if (state == known.end())
    return dispatch.emitError("kernel @") << dispatch.getCallee() << (isResult ? " makes" : " reads") << " a state of type "
                                          << value.getType() << " that is no state of the model",
           failure();
  return json::Object{{isResult ? "state_out" : "state_in", state->second}};
}

static json::Object costJson(const sm1rt::KernelCost &cost) {
  json::Object counts;
  for (const sm1rt::KernelCostField &field : sm1rt::kernelCostFields())
    if (!field.optional || cost.*field.count != 0)
      counts[field.key] = cost.*field.count;
  return counts;
}

/// Of a copy that sm1-copy-carried has added, behind the stage at which kernels are counted.
static sm1rt::KernelCost costOfCopy(DispatchOp dispatch) {
  auto rowBytes = [](TypeRange types) {
    double bytes = 0;
    for (Type type : types)
      if (isStream(type))
        bytes += double(llvm::alignTo(channels(type), 16)) * cast<RankedTensorType>(type).getElementTypeBitWidth() / 8;
    return bytes;
  };
  sm1rt::KernelCost cost;
  cost.readBytes = rowBytes(dispatch.getInputs().getTypes());
  cost.writeBytes = rowBytes(dispatch.getResultTypes());
  return cost;
}

/// What a launch of a GPU says of its blocks.
LogicalResult PlanBuilder::EntryBuilder::addBlocks(json::Object &launch, DispatchOp dispatch) {
  BlockScheduleAttr blocks = dispatch.getBlocksAttr();
  launch["rows"] = blocks.getForm() == BlockForm::Scan ? "segments" : rowSpace(dispatch.getSelected());
  if (auto mapped = dispatch.getMapped()) {
    Type x = dispatch.getInputs()[*mapped].getType();
    json::Object map{{"arg", *mapped}, {"rows", blocks.getRowSplit()}, {"channels", channels(x)}};
    if (int64_t slices = slicesOfBox(blocks, x, dispatch->hasAttr(wideStepsAttr)); slices > 1)
      map["row_bytes"] = slices * 64;
    if (isStep && fitsBoxes(blocks))
      map[dispatch->hasAttr(evenAttr) ? "even" : "fits"] = true;
    launch["map"] = std::move(map);
  }
  if (walksTiles(blocks))
    launch["walks"] = true;
  if (dispatch->hasAttr(chunksAttr)) {
    int64_t rows = blocks.getRowSplit();
    if (chunkRows && chunkRows != rows)
      return dispatch.emitError("kernel @") << dispatch.getCallee() << " has chunks of " << rows
                                            << " rows, another one of the program of " << chunkRows
                                            << "; row_split must be the same where chunks is true";
    launch["chunks"] = chunkRows = rows;
  }
  if (cutsTime(blocks))
    launch["time_split"] = blocks.getRowTile();
  if (int64_t cluster = blocksOfCluster(blocks); cluster > 1)
    launch["cluster"] = cluster;
  launch["threads"] = blocks.getThreads();
  launch["shared"] = int64_t(dispatch.getScratchBytes());
  launch["row_split"] = blocks.getRowSplit();
  launch["panel_split"] = blocks.getPanelSplit() ? blocks.getPanelSplit() : int64_t(dispatch.getPanels());
  return success();
}

FailureOr<json::Object> PlanBuilder::EntryBuilder::launch(DispatchOp dispatch) {
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
  json::Object launch{{"kernel", *kernel}, {"args", std::move(args)}, {"panels", int64_t(dispatch.getPanels())}};
  if (dispatch.getBlocksAttr()) {
    if (failed(addBlocks(launch, dispatch)))
      return failure();
  } else {
    launch["rows"] = rowSpace(dispatch.getSelected());
    launch["scratch"] = int64_t(dispatch.getScratchBytes());
    launch["row_split"] = dispatch.getScheduleAttr().getRowSplit();
    launch["panel_split"] = dispatch.getScheduleAttr().getPanelSplit();
  }
  if (dispatch->hasAttr(aloneAttr))
    launch["alone"] = true;
  auto known = costs.find(dispatch.getCallee());
  if (known != costs.end() || dispatch.getCallee().starts_with("copy_")) {
    sm1rt::KernelCost cost = known != costs.end() ? known->second : costOfCopy(dispatch);
    cost.registers = double(code.kernels[size_t(*kernel)].registers);
    launch["cost"] = costJson(cost);
  }
  return launch;
}

/// Launches and loops of the model, or launches of a loop's body.
FailureOr<json::Array> PlanBuilder::EntryBuilder::steps(Block &block) {
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
      return op.emitError("a program is made of launches with one dispatch each, got ") << op.getName(), failure();
    auto made = launch(dispatches.front());
    if (failed(made))
      return failure();
    list.push_back(std::move(*made));
  }
  return list;
}

FailureOr<json::Array> PlanBuilder::EntryBuilder::run() {
  if (failed(findStates()))
    return failure();
  return steps(model.getBody().front());
}

static SmallVector<int64_t> portBuffers(const BufferAssignment &assignment, ValueRange values) {
  SmallVector<int64_t> list;
  for (Value value : values)
    list.push_back(classify(value.getType()) == TensorClass::State ? -1 : int64_t(assignment.placeOf(value)));
  return list;
}

FailureOr<SmallVector<int64_t>> PlanBuilder::ProgramBuilder::place(ModelOp model, const BufferAssignment &assignment) {
  SmallVector<int64_t> places(assignment.buffers.size(), -1);
  llvm::BitVector taken(buffers.size());
  Block &body = model.getBody().front();
  for (auto [known, own] : {std::pair(&inputs, portBuffers(assignment, body.getArguments())),
                            std::pair(&outputs, portBuffers(assignment, body.getTerminator()->getOperands()))}) {
    for (size_t port = 0; port < known->size(); ++port) {
      if (own[port] < 0)
        continue;
      int64_t &place = places[own[port]];
      if ((place >= 0 && place != (*known)[port]) || !(buffers[(*known)[port]] == assignment.buffers[own[port]]))
        return model.emitError("prefill and step need different buffers for the same input or output"), failure();
      place = (*known)[port];
      taken.set(place);
    }
  }
  for (auto [index, buffer] : llvm::enumerate(assignment.buffers)) {
    if (places[index] >= 0)
      continue;
    unsigned found = 0;
    while (found < buffers.size() && (taken[found] || !(buffers[found] == buffer)))
      ++found;
    if (found == buffers.size()) {
      buffers.push_back(buffer);
      taken.resize(buffers.size());
    }
    taken.set(found);
    places[index] = found;
  }
  auto placed = [&](SmallVector<int64_t> list) {
    for (int64_t &port : list)
      port = port < 0 ? -1 : places[port];
    return list;
  };
  inputs = placed(portBuffers(assignment, body.getArguments()));
  outputs = placed(portBuffers(assignment, body.getTerminator()->getOperands()));
  return places;
}

LogicalResult PlanBuilder::ProgramBuilder::checkResultRows(ModelOp model, const BufferAssignment &assignment) {
  for (auto [index, value] : llvm::enumerate(model.getBody().front().getTerminator()->getOperands()))
    if (classify(value.getType()) == TensorClass::Stream &&
        assignment.buffers[assignment.placeOf(value)].selected != model.resultIsSelected(index))
      return model.emitError("result '") << model.resultName(index) << "' is computed for "
                                         << rowSpace(!model.resultIsSelected(index)) << " rows, the model says "
                                         << rowSpace(model.resultIsSelected(index));
  return success();
}

static bool hasChunks(ModelOp model) {
  return model
      .walk([](DispatchOp dispatch) { return dispatch->hasAttr(chunksAttr) ? WalkResult::interrupt() : WalkResult::advance(); })
      .wasInterrupted();
}

FailureOr<json::Object> PlanBuilder::ProgramBuilder::run(ArrayRef<EntryModel> models) {
  json::Object entries, ranges;
  for (const EntryModel &entry : models) {
    if (entry.entry == Entry::PrefillLong && !hasChunks(entry.model)) // it is that of many rows
      continue;
    auto assignment = assignBuffers(entry.model, /*ownPorts=*/models.size() > 1);
    if (failed(assignment))
      return failure();
    auto places = place(entry.model, *assignment);
    if (failed(places) || failed(checkResultRows(entry.model, *assignment)))
      return failure();
    auto list = EntryBuilder(*this, entry, *assignment, *places).run();
    if (failed(list))
      return failure();
    // On a CPU a step is a prefill of one row per sequence: the same launches.
    if (entry.entry == Entry::Both)
      entries["step"] = json::Array(*list);
    entries[entry.entry == Entry::Both ? "prefill" : entryName(entry.entry)] = std::move(*list);
    bool ofWgmma = llvm::any_of(models, [](const EntryModel &other) { return other.entry == Entry::StepFew; });
    if (auto range = rangeOf(entry.entry, ofWgmma))
      ranges[entryName(entry.entry)] =
          json::Object{{"entry", range->entry}, {"least_rows", range->leastRows}, {"most_rows", range->mostRows}};
  }
  json::Array kernels, bufferList;
  for (const FlatCode::Kernel &kernel : code.kernels)
    kernels.push_back(json::Object{{"name", kernel.name}, {"offset", int64_t(kernel.offset)}});
  for (const Buffer &buffer : buffers)
    bufferList.push_back(json::Object{{"rows", rowSpace(buffer.selected)},
                                      {"stride", buffer.stride},
                                      {"dtype", StringRef(sm1rt::dtypeName(buffer.dtype)).lower()}});
  json::Object program{{"kernels", std::move(kernels)},
                       {"buffers", std::move(bufferList)},
                       {"inputs", json::Array(inputs)},
                       {"outputs", json::Array(outputs)},
                       {"entries", std::move(entries)}};
  if (!ranges.empty())
    program["ranges"] = std::move(ranges);
  return program;
}

LogicalResult PlanBuilder::addProgram(ArrayRef<EntryModel> models, const Target &target, const std::string &compute,
                                      const FlatCode &code) {
  auto program = ProgramBuilder(*this, code).run(models);
  if (failed(program))
    return failure();
  if (compute != options.compute)
    (*program)["compute"] = compute;
  if (target.isGpu() && target.gpu->overlapsKernels())
    (*program)["overlaps"] = true;
  if (target.isGpu()) // kernels are found by name
    for (json::Value &kernel : *program->getArray("kernels"))
      kernel.getAsObject()->erase("offset");
  programs[target.name] = std::move(*program);
  if (!code.bytes.empty()) // --emit=plan has none
    addHash(("kernel/" + target.name).str(), code.bytes);
  if (!code.cubin.empty())
    addHash(("cubin/" + target.name).str(), code.cubin);
  return success();
}

//===----------------------------------------------------------------------===//
// Whole tokens
//===----------------------------------------------------------------------===//

LogicalResult PlanBuilder::addToken(const TokenKernel &kernel, const Target &target) {
  bool failedOnce = false;
  auto weight = [&](ParamOp param) {
    auto index = weightOf(param);
    failedOnce |= failed(index);
    return failed(index) ? int64_t(-1) : int64_t(*index);
  };
  json::Array phases, vectors, stateList;
  for (const TokenKernel::Phase &phase : kernel.phases) {
    json::Array matrices, scales;
    for (ParamOp param : phase.matrices)
      matrices.push_back(weight(param));
    for (ParamOp param : phase.scales)
      scales.push_back(weight(param));
    phases.push_back(json::Object{
        {"width", phase.width}, {"partition", phase.partition}, {"matrices", std::move(matrices)}, {"scales", std::move(scales)}});
  }
  for (ParamOp param : kernel.vectors)
    vectors.push_back(weight(param));
  for (const std::string &state : kernel.states)
    stateList.push_back(stateIndex(state));
  programs.getObject(target.name)
      ->insert({"token", json::Object{{"layers", kernel.layers},
                                      {"warps", kernel.warps},
                                      {"words", kernel.words},
                                      {"bits", kernel.bits},
                                      {"table", weight(kernel.table)},
                                      {"partitions", json::Array(kernel.partitions)},
                                      {"phases", std::move(phases)},
                                      {"vectors", std::move(vectors)},
                                      {"states", std::move(stateList)}}});
  addHash(("token/" + target.name).str(), {reinterpret_cast<const uint8_t *>(kernel.text.c_str()), kernel.text.size() + 1});
  return success(!failedOnce);
}
