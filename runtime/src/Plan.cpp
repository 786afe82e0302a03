// Reads a plan and checks it: the package is an untrusted file, everything behind parsePlan relies on what is established here.
#include "sm1rt/Plan.h"

#include "Json.h"
#include "PlanGpu.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace sm1rt {

static constexpr int64_t dimensionLimit = int64_t(1) << 32;
static constexpr int64_t widthLimit = int64_t(1) << 24;
static constexpr int64_t layerLimit = 1 << 16;
static constexpr int64_t splitLimit = int64_t(1) << 31;
static constexpr int64_t scratchLimit = int64_t(64) << 20;
static constexpr int64_t threadsLimit = 1024, gridLimit = 65535; // of CUDA, in y and z
static constexpr int64_t clusterLimit = 8;                       // that every device has
static constexpr int64_t sharedLimit = int64_t(1) << 20;         // above any device's; the device checks its own
static constexpr int64_t stateBytesLimit = int64_t(1) << 32;
static constexpr int64_t rowBytesLimit = int64_t(1) << 28; // workspace of one row
static constexpr size_t argsLimit = PlanLaunch::argsLimit;
static constexpr uint64_t packedBytesLimit = uint64_t(1) << 40;
static constexpr int64_t copiesLimit = 1 << 20; // of all params, of all weights: each layer of each is listed in memory

bool isForOneChip(std::string_view target) { return target.compare(0, 3, "sm_") == 0 && target.back() == 'a'; }

std::optional<int> gpuTarget(std::string_view target) {
  if (isForOneChip(target))
    target.remove_suffix(1);
  if (target.size() < 5 || target.size() > 6 || target.compare(0, 3, "sm_") != 0 || target[3] == '0')
    return std::nullopt;
  int capability = 0;
  for (char digit : target.substr(3)) {
    if (digit < '0' || digit > '9')
      return std::nullopt;
    capability = capability * 10 + (digit - '0');
  }
  return capability;
}

std::vector<int64_t> PlanState::denseShape() const {
  std::vector<int64_t> dense = shape;
  if (layers)
    dense.insert(dense.begin(), layers);
  return dense;
}

namespace {

/// Reads one plan; cursors share `failure`, the first thing found wrong.
class PlanReader {
public:
  PlanReader(const CodeSizes &codeSizes) : codeSizes(codeSizes) {}

  void read(const JsonCursor &at) {
    readHead(at);
    readStates(at["states"]);
    readPorts(at["inputs"], plan.inputs, /*areInputs=*/true);
    readPorts(at["outputs"], plan.outputs, /*areInputs=*/false);
    readParams(at["params"]);
    readWeights(at["weights"]);
    readHashes(at["hashes"]);
    readPrograms(at["programs"]);
  }

  Plan plan;

private:
  void readHead(const JsonCursor &at);
  void readStates(const JsonCursor &list);
  void readPorts(const JsonCursor &list, std::vector<PlanPort> &ports, bool areInputs);
  PlanPort readPort(const JsonCursor &at, bool isInput);
  void readParams(const JsonCursor &list);
  void resolveEquals(const JsonCursor &list);
  void readWeights(const JsonCursor &list);
  PlanWeight readWeight(const JsonCursor &at);
  void readHashes(const JsonCursor &at);
  void readPrograms(const JsonCursor &at);
  PlanProgram readProgram(const JsonCursor &at, std::string_view target, uint64_t codeBytes);
  void readKernels(const JsonCursor &list, PlanProgram &program, uint64_t codeBytes);
  void readBuffers(const JsonCursor &list, PlanProgram &program);
  std::vector<int> readPortBuffers(const JsonCursor &list, const std::vector<PlanPort> &ports, const PlanProgram &program);
  void checkPortBuffer(const JsonCursor &at, const PlanPort &port, const PlanBuffer &buffer);
  PlanStep readStep(const JsonCursor &at, const PlanProgram &program);
  PlanLaunch readLaunch(const JsonCursor &at, const PlanProgram &program, int64_t layers);
  void readTasks(const JsonCursor &at, PlanLaunch &launch);
  void readGrid(const JsonCursor &at, PlanLaunch &launch);
  PlanArg readArg(const JsonCursor &at, const PlanProgram &program, int64_t layers, RowSpace rows);

  const CodeSizes &codeSizes;
};

} // namespace

//===-- Small pieces --------------------------------------------------------------------------------------------------------===//

using Choices = std::initializer_list<const char *>;

/// A string that is one of `choices`; its index.
static size_t readChoice(const JsonCursor &at, Choices choices) {
  std::string text = at.string();
  std::string all;
  size_t index = 0;
  for (const char *choice : choices) {
    if (text == choice)
      return index;
    all += fmt::format("{}'{}'", index++ ? ", " : "", choice);
  }
  at.fail(fmt::format("'{}' is none of {}", text, all));
  return 0;
}

/// A string that is one of `choices`.
static std::string readWord(const JsonCursor &at, Choices choices) { return choices.begin()[readChoice(at, choices)]; }

static std::string readCompute(const JsonCursor &at) { return readWord(at, {"f32", "bf16", "fp8", "int8"}); }

static RowSpace readRowSpace(const JsonCursor &at) {
  return readChoice(at, {"all", "selected"}) == 0 ? RowSpace::All : RowSpace::Selected;
}

/// The row space of a launch on a GPU.
static RowSpace readGridRows(const JsonCursor &at) {
  const RowSpace spaces[] = {RowSpace::All, RowSpace::Selected, RowSpace::Segments};
  return spaces[readChoice(at, {"all", "selected", "segments"})];
}

static DType readDType(const JsonCursor &at) {
  std::string text = at.string();
  auto dtype = parseDType(text);
  if (!dtype)
    at.fail(fmt::format("'{}' is no dtype", text));
  return dtype.value_or(DType::F32);
}

static std::vector<int64_t> readShape(const JsonCursor &at) {
  std::vector<int64_t> shape;
  for (size_t i = 0, rank = at.arraySize(8); i < rank; ++i)
    shape.push_back(at[i].integer(1, dimensionLimit));
  if (!at.failed() && !elementCount(shape))
    at.fail(fmt::format("{} is too large", toString(shape)));
  return shape;
}

/// Fails where two elements of a list have one name.
template <typename Item> static void checkNames(const JsonCursor &list, const std::vector<Item> &items) {
  std::set<std::string> names;
  for (const Item &item : items)
    if (!names.insert(item.name).second)
      list.fail(fmt::format("name '{}' appears twice", item.name));
}

template <typename Item> static void checkCopies(const JsonCursor &list, const std::vector<Item> &items) {
  int64_t copies = 0; // at most 2^16 items of 2^16 each
  for (const Item &item : items)
    copies += item.copies();
  if (copies > copiesLimit)
    list.fail(fmt::format("{} tensors over all layers, at most {} are allowed", copies, copiesLimit));
}

template <typename Item> static int indexOf(const std::vector<Item> &items, const std::string &name) {
  for (size_t i = 0; i < items.size(); ++i)
    if (items[i].name == name)
      return int(i);
  return -1;
}

/// An element of `items` by index; 0 after a failure, with `items` possibly empty.
template <typename Item> static size_t readIndex(const JsonCursor &at, const std::vector<Item> &items, const char *what) {
  if (items.empty()) {
    at.fail(fmt::format("there is no {}", what));
    return 0;
  }
  int64_t index = at.integer(INT64_MIN, INT64_MAX);
  if (index >= 0 && uint64_t(index) < items.size())
    return size_t(index);
  at.fail(fmt::format("{} {} does not exist, there are {}", what, index, items.size()));
  return 0;
}

//===-- States, ports, params, weights --------------------------------------------------------------------------------------===//

void PlanReader::readHead(const JsonCursor &at) {
  plan.compiler = at["compiler"].string();
  plan.model = at["model"].string();
  plan.form = readWord(at["form"], {"exact", "closed_form"});
  plan.storage = readWord(at["storage"], {"f32", "bf16", "f16", "int8", "int4"});
  plan.compute = readCompute(at["compute"]);
  plan.wholeSequence = at["whole_sequence"].boolean();
  plan.weightsExternal = readChoice(at["weights_in"], {"package", "external"}) == 1;
}

void PlanReader::readStates(const JsonCursor &list) {
  int64_t total = 0;
  for (size_t i = 0, count = list.arraySize(256); i < count; ++i) {
    JsonCursor at = list[i];
    PlanState state{at["name"].name(), at["layers"].integer(0, layerLimit), readShape(at["shape"])};
    if (state.shape.empty())
      at.fail("shape needs the channel dimension at least");
    if (at.failed())
      return;
    // Padded channels at most 16 times the dense size.
    uint64_t bytes = *elementCount(state.shape) * 4 * 16;
    if (bytes > uint64_t(stateBytesLimit) / uint64_t(state.copies()) ||
        (total += int64_t(bytes) * state.copies()) > stateBytesLimit)
      at.fail(fmt::format("states of a sequence take more than {} bytes", stateBytesLimit / 16));
    plan.states.push_back(std::move(state));
  }
  checkNames(list, plan.states);
}

PlanPort PlanReader::readPort(const JsonCursor &at, bool isInput) {
  PlanPort port;
  port.name = at["name"].name();
  std::string kind = at["kind"].string();
  if (kind == "tokens" && isInput) {
    port.kind = PlanPort::Kind::Tokens;
    port.limit = at["limit"].integer(1, INT32_MAX);
  } else if (kind == "rows") {
    port.kind = PlanPort::Kind::Rows;
    port.width = at["width"].integer(1, widthLimit);
    port.rows = isInput ? RowSpace::All : readRowSpace(at["rows"]);
  } else if (kind == "state") {
    port.kind = PlanPort::Kind::State;
    JsonCursor state = at["state"];
    // By name or by position in `states`.
    int named = state.isString() ? indexOf(plan.states, state.string()) : 0;
    if (named < 0)
      state.fail(fmt::format("there is no state '{}'", state.string()));
    port.state = state.isString() ? size_t(named < 0 ? 0 : named) : readIndex(state, plan.states, "state");
  } else {
    at["kind"].fail(fmt::format("'{}' is none of {}", kind, isInput ? "'tokens', 'rows', 'state'" : "'rows', 'state'"));
  }
  return port;
}

void PlanReader::readPorts(const JsonCursor &list, std::vector<PlanPort> &ports, bool areInputs) {
  int tokens = 0, rows = 0;
  for (size_t i = 0, count = list.arraySize(256); i < count && !list.failed(); ++i) {
    ports.push_back(readPort(list[i], areInputs));
    tokens += ports.back().kind == PlanPort::Kind::Tokens;
    rows += ports.back().kind == PlanPort::Kind::Rows;
  }
  checkNames(list, ports);
  if (areInputs && tokens > 1)
    list.fail(fmt::format("{} tokens inputs, at most 1 is possible", tokens));
  if (areInputs && tokens + rows == 0)
    list.fail("one input must be tokens or rows");
}

void PlanReader::readParams(const JsonCursor &list) {
  size_t count = list.arraySize();
  for (size_t i = 0; i < count && !list.failed(); ++i) {
    JsonCursor at = list[i];
    PlanParam param;
    param.name = at["name"].name();
    if (!at.has("equals")) {
      param.count = at["count"].integer(0, layerLimit);
      param.shape = readShape(at["shape"]);
      param.fp8Rows = at.has("fp8_rows") && at["fp8_rows"].boolean();
      if ((param.count > 0) != (param.name.find("{i}") != std::string::npos))
        at.fail(fmt::format("'{}' with count {}: a name has '{{i}}' exactly when count is not 0", param.name, param.count));
    }
    plan.params.push_back(std::move(param));
  }
  checkNames(list, plan.params);
  resolveEquals(list);
  checkCopies(list, plan.params);
}

/// Second pass over params: those that repeat another one take over its shape.
void PlanReader::resolveEquals(const JsonCursor &list) {
  for (size_t i = 0; i < plan.params.size() && !list.failed(); ++i) {
    if (!list[i].has("equals"))
      continue;
    std::string name = list[i]["equals"].name();
    int other = indexOf(plan.params, name);
    if (other < 0 || list[size_t(other)].has("equals")) {
      list[i]["equals"].fail(fmt::format("there is no param '{}' with a shape", name));
      return;
    }
    plan.params[i].equals = other;
    plan.params[i].count = plan.params[size_t(other)].count;
    plan.params[i].shape = plan.params[size_t(other)].shape;
  }
}

static PackingStep readPackingStep(const JsonCursor &at) {
  std::string op = at["op"].string();
  if (op == "rows")
    return PackingStep::rows(at["begin"].integer(0, dimensionLimit), at["end"].integer(0, dimensionLimit));
  if (op == "cast")
    return PackingStep::cast(readDType(at["to"]));
  if (op == "channels_last")
    return PackingStep::channelsLast();
  if (op == "pad")
    return PackingStep::pad(at["to"].integer(1, dimensionLimit));
  if (op == "panels") {
    at["width"].integer(16, 16);
    return PackingStep::panels();
  }
  if (op == "fragments")
    return PackingStep::fragments();
  if (op == "images")
    return PackingStep::images();
  if (op == "pairs")
    return PackingStep::pairs();
  if (auto kind = op == "quantise" ? PackingStep::quantise
                  : op == "scales" ? PackingStep::scales
                  : op == "e4m3"   ? PackingStep::e4m3
                                   : PackingStep::coarsen;
      op == "quantise" || op == "scales" || op == "coarsen" || op == "e4m3")
    return kind(at["bits"].integer(4, 8), at["group"].integer(0, dimensionLimit), readDType(at["scale"]));
  if (op == "quads")
    return PackingStep::quads();
  if (op == "nibbles")
    return PackingStep::nibbles();
  at["op"].fail(
      fmt::format("'{}' is none of 'rows', 'cast', 'channels_last', 'pad', 'panels', 'fragments', 'images', 'pairs', 'quantise', "
                  "'scales', 'coarsen', 'e4m3', 'quads', 'nibbles'",
                  op));
  return PackingStep::channelsLast();
}

PlanWeight PlanReader::readWeight(const JsonCursor &at) {
  PlanWeight weight;
  weight.name = at["name"].name();
  std::string from = at["from"].name();
  int param = indexOf(plan.params, from);
  if (param < 0 || plan.params[size_t(param)].equals >= 0) {
    at["from"].fail(fmt::format("there is no param '{}' with a shape", from));
    return weight;
  }
  weight.param = size_t(param);
  weight.count = at["count"].integer(0, layerLimit);
  weight.type = {readDType(at["dtype"]), readShape(at["shape"])};
  JsonCursor steps = at["steps"];
  for (size_t i = 0, count = steps.arraySize(16); i < count; ++i)
    weight.steps.push_back(readPackingStep(steps[i]));
  if (at.failed())
    return weight;
  const PlanParam &source = plan.params[size_t(param)];
  if (weight.count != source.count)
    at.fail(fmt::format("count {} differs from count {} of param '{}'", weight.count, source.count, source.name));
  // Where no step sets the dtype it is the checkpoint's; binding compares it.
  bool sets = std::any_of(weight.steps.begin(), weight.steps.end(), [](const PackingStep &step) { return step.setsDType(); });
  auto packed = packedType({sets ? DType::F32 : weight.type.dtype, source.shape}, weight.steps);
  if (!packed)
    at.fail(packed.error().message);
  else if (*packed != weight.type)
    at.fail(fmt::format("declared {}, its steps give {}", toString(weight.type), toString(*packed)));
  return weight;
}

void PlanReader::readWeights(const JsonCursor &list) {
  uint64_t total = 0;
  for (size_t i = 0, count = list.arraySize(); i < count && !list.failed(); ++i) {
    plan.weights.push_back(readWeight(list[i]));
    if (list.failed())
      return;
    uint64_t bytes = *byteCount(plan.weights.back().type);
    uint64_t copies = uint64_t(plan.weights.back().copies());
    if (bytes > packedBytesLimit / copies || (total += bytes * copies) > packedBytesLimit)
      list[i].fail(fmt::format("packed weights take more than {} bytes", packedBytesLimit));
  }
  checkNames(list, plan.weights);
  checkCopies(list, plan.weights);
}

void PlanReader::readHashes(const JsonCursor &at) {
  for (const std::string &part : at.keys()) {
    std::string hash = at[part.c_str()].string();
    if (hash.size() != 16 || hash.find_first_not_of("0123456789abcdef") != std::string::npos)
      at[part.c_str()].fail(fmt::format("'{}' is no hash of 16 lower-case hex digits", hash));
    plan.hashes.emplace(part, hash);
  }
}

//===-- Programs ------------------------------------------------------------------------------------------------------------===//

void PlanReader::readPrograms(const JsonCursor &at) {
  for (const std::string &target : at.keys()) {
    auto code = codeSizes.find(target);
    if (code == codeSizes.end())
      at[target.c_str()].fail(fmt::format("the package has no tensor 'kernel/{}'", target));
    if (at.failed())
      return;
    plan.programs.emplace(target, readProgram(at[target.c_str()], target, code->second));
  }
  if (!at.failed() && plan.programs.empty())
    at.fail("no target");
}

static bool isPtxName(const std::string &name) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$'; };
  return letter(name[0]) && std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

void PlanReader::readKernels(const JsonCursor &list, PlanProgram &program, uint64_t codeBytes) {
  int64_t last = codeBytes ? int64_t(codeBytes) - 1 : 0;
  for (size_t i = 0, count = list.arraySize(); i < count && !list.failed(); ++i) {
    PlanKernel kernel{list[i]["name"].name(), 0};
    if (program.capability == 0)
      kernel.offset = uint64_t(list[i]["offset"].integer(0, last));
    else if (!list.failed() && !isPtxName(kernel.name))
      list[i]["name"].fail(fmt::format("'{}' is no name of a PTX entry", kernel.name));
    program.kernels.push_back(std::move(kernel));
  }
  if (codeBytes == 0 && !program.kernels.empty())
    list.fail("the target has no code");
}

void PlanReader::readBuffers(const JsonCursor &list, PlanProgram &program) {
  int64_t rowBytes = 0;
  for (size_t i = 0, count = list.arraySize(4096); i < count; ++i) {
    JsonCursor stride = list[i]["stride"];
    DType dtype = readDType(list[i]["dtype"]);
    bool tokens = dtype == DType::I32; // one number per row, no room for vectors
    PlanBuffer buffer{readRowSpace(list[i]["rows"]), stride.integer(tokens ? 1 : 16, tokens ? 1 : 2 * widthLimit), dtype};
    if (!tokens && buffer.stride % 16 != 0)
      stride.fail(fmt::format("{} is not a multiple of 16", buffer.stride));
    if ((rowBytes += buffer.stride * int64_t(dtypeBytes(buffer.dtype))) > rowBytesLimit)
      list.fail(fmt::format("one row of the workspace takes more than {} bytes", rowBytesLimit));
    program.buffers.push_back(buffer);
  }
}

PlanProgram PlanReader::readProgram(const JsonCursor &at, std::string_view target, uint64_t codeBytes) {
  PlanProgram program;
  program.capability = gpuTarget(target).value_or(0);
  if (program.capability == 0 && target.compare(0, 3, "sm_") == 0)
    at.fail(fmt::format("target '{}' names no compute capability", target));
  program.compute = at.has("compute") ? readCompute(at["compute"]) : plan.compute;
  readKernels(at["kernels"], program, codeBytes);
  readBuffers(at["buffers"], program);
  program.inputs = readPortBuffers(at["inputs"], plan.inputs, program);
  program.outputs = readPortBuffers(at["outputs"], plan.outputs, program);
  JsonCursor entries = at["entries"];
  for (const std::string &name : entries.keys()) {
    JsonCursor steps = entries[name.c_str()];
    std::vector<PlanStep> list;
    for (size_t i = 0, count = steps.arraySize(); i < count && !at.failed(); ++i)
      list.push_back(readStep(steps[i], program));
    program.entries.emplace(name, std::move(list));
  }
  if (!at.failed() && program.entries.empty())
    entries.fail("no entry");
  readGpuParts(at, plan, program);
  return program;
}

void PlanReader::checkPortBuffer(const JsonCursor &at, const PlanPort &port, const PlanBuffer &buffer) {
  bool tokens = port.kind == PlanPort::Kind::Tokens;
  DType dtype = tokens ? DType::I32 : DType::F32;
  if (buffer.dtype != dtype)
    at.fail(fmt::format("'{}' is {}, its buffer {}", port.name, dtypeName(dtype), dtypeName(buffer.dtype)));
  if (!tokens && buffer.stride < port.width)
    at.fail(fmt::format("'{}' is {} wide, its buffer has stride {}", port.name, port.width, buffer.stride));
  if (buffer.rows != port.rows)
    at.fail(fmt::format("'{}' and its buffer disagree on rows 'all' or 'selected'", port.name));
}

std::vector<int> PlanReader::readPortBuffers(const JsonCursor &list, const std::vector<PlanPort> &ports,
                                             const PlanProgram &program) {
  std::vector<int> buffers;
  size_t count = list.arraySize();
  if (count != ports.size())
    list.fail(fmt::format("{} buffers for {} inputs or outputs of the plan", count, ports.size()));
  for (size_t i = 0; i < count && !list.failed(); ++i) {
    bool state = ports[i].kind == PlanPort::Kind::State;
    int64_t buffer = state ? list[i].integer(-1, -1) : int64_t(readIndex(list[i], program.buffers, "buffer"));
    if (!state && !list.failed())
      checkPortBuffer(list[i], ports[i], program.buffers[size_t(buffer)]);
    buffers.push_back(int(buffer));
  }
  return buffers;
}

PlanStep PlanReader::readStep(const JsonCursor &at, const PlanProgram &program) {
  PlanStep step;
  if (!at.has("loop")) {
    step.body.push_back(readLaunch(at, program, 0));
    return step;
  }
  step.layers = at["loop"].integer(1, layerLimit);
  JsonCursor body = at["body"];
  for (size_t i = 0, count = body.arraySize(); i < count && !at.failed(); ++i) {
    if (body[i].has("loop"))
      body[i].fail("loops do not nest");
    step.body.push_back(readLaunch(body[i], program, step.layers));
  }
  return step;
}

void PlanReader::readTasks(const JsonCursor &at, PlanLaunch &launch) {
  launch.rows = readRowSpace(at["rows"]);
  launch.rowSplit = at["row_split"].integer(0, splitLimit);
  launch.panels = at["panels"].integer(1, splitLimit);
  launch.panelSplit = at["panel_split"].integer(0, splitLimit);
  launch.scratch = at["scratch"].integer(0, scratchLimit);
  launch.alone = at.has("alone") && at["alone"].boolean();
}

void PlanReader::readGrid(const JsonCursor &at, PlanLaunch &launch) {
  launch.rows = readGridRows(at["rows"]);
  launch.rowSplit = at["row_split"].integer(1, splitLimit);
  launch.panels = at["panels"].integer(1, splitLimit);
  launch.panelSplit = at["panel_split"].integer(1, splitLimit);
  launch.threads = at["threads"].integer(32, threadsLimit);
  launch.shared = at["shared"].integer(0, sharedLimit);
  launch.alone = at.has("alone") && at["alone"].boolean();
  launch.walks = at.has("walks") && at["walks"].boolean();
  launch.timeSplit = at.has("time_split") ? at["time_split"].integer(0, splitLimit) : 0;
  launch.cluster = at.has("cluster") ? at["cluster"].integer(1, clusterLimit) : 1;
  if (at.failed())
    return;
  if (launch.cluster > 1 && (launch.timeSplit || launch.walks))
    at["cluster"].fail("blocks that share a tile are no parts of time, nor do they go on from tile to tile");
  if (launch.threads % 32 != 0)
    at["threads"].fail(fmt::format("{} is not a multiple of 32", launch.threads));
  if (int64_t blocks = (launch.panels - 1) / launch.panelSplit + 1; blocks > gridLimit)
    at["panels"].fail(fmt::format("{} panels in blocks of {} make {} blocks, a grid has at most {}", launch.panels,
                                  launch.panelSplit, blocks, gridLimit));
}

static KernelCost readCost(const JsonCursor &at) {
  KernelCost cost;
  for (const KernelCostField &field : kernelCostFields())
    if (!field.optional || at.has(field.key))
      cost.*field.count = at[field.key].number(field.least, kernelCostLimit);
  return cost;
}

PlanLaunch PlanReader::readLaunch(const JsonCursor &at, const PlanProgram &program, int64_t layers) {
  PlanLaunch launch;
  launch.kernel = readIndex(at["kernel"], program.kernels, "kernel");
  if (program.capability)
    readGrid(at, launch);
  else
    readTasks(at, launch);
  if (at.has("cost"))
    launch.cost = readCost(at["cost"]);
  JsonCursor args = at["args"];
  for (size_t i = 0, count = args.arraySize(argsLimit); i < count && !at.failed(); ++i)
    launch.args.push_back(readArg(args[i], program, layers, launch.rows));
  if (program.capability)
    readMap(at, program, launch);
  return launch;
}

/// What belongs to a layer needs a loop over exactly its layers.
static void checkLayers(const JsonCursor &at, const std::string &what, int64_t count, int64_t layers) {
  if (count == 0 || count == layers)
    return;
  at.fail(layers ? fmt::format("{} has {} layers, the loop has {}", what, count, layers)
                 : fmt::format("{} has {} layers and is used outside of a loop", what, count));
}

PlanArg PlanReader::readArg(const JsonCursor &at, const PlanProgram &program, int64_t layers, RowSpace rows) {
  if (at.keys().size() != 1)
    at.fail("must be one of {buffer}, {weight}, {next_weight}, {state_in}, {state_out}");
  PlanArg arg;
  if (at.has("buffer")) {
    arg = {PlanArg::Kind::Buffer, readIndex(at["buffer"], program.buffers, "buffer")};
    // There is no way back from a row of the run to a selected row, so such a launch would leave the buffer.
    if (!at.failed() && rows != RowSpace::Selected && program.buffers[arg.index].rows == RowSpace::Selected)
      at.fail(
          fmt::format("a launch over {} cannot use a buffer of selected rows", rows == RowSpace::All ? "all rows" : "segments"));
  } else if (bool next = at.has("next_weight"); next || at.has("weight")) {
    arg = {PlanArg::Kind::Weight, readIndex(at[next ? "next_weight" : "weight"], plan.weights, "weight"), next};
    if (!at.failed() && (layers || !next)) // before a loop the first layer is the next
      checkLayers(at, fmt::format("weight '{}'", plan.weights[arg.index].name), plan.weights[arg.index].count, layers);
  } else if (at.has("state_in") || at.has("state_out")) {
    bool in = at.has("state_in");
    arg = {in ? PlanArg::Kind::StateIn : PlanArg::Kind::StateOut,
           readIndex(at[in ? "state_in" : "state_out"], plan.states, "state")};
    if (!at.failed())
      checkLayers(at, fmt::format("state '{}'", plan.states[arg.index].name), plan.states[arg.index].layers, layers);
  } else {
    at.fail("must be one of {buffer}, {weight}, {next_weight}, {state_in}, {state_out}");
  }
  return arg;
}

Expected<Plan> parsePlan(std::string_view text, const std::string &where, const CodeSizes &codeSizes) {
  auto json = parseJson(text, where + ": plan");
  if (!json)
    return json.error();
  std::string failure;
  PlanReader reader(codeSizes);
  reader.read(JsonCursor(*json, "plan", failure));
  if (!failure.empty())
    return Error{fmt::format("{}: {}", where, failure)};
  return std::move(reader.plan);
}

} // namespace sm1rt
