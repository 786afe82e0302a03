// Reads a plan and checks it: the package is an untrusted file, everything behind parsePlan relies on what is established here.
#include "sm1rt/Plan.h"

#include "Json.h"
#include "PlanFields.h"
#include "PlanProgram.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <set>

namespace sm1rt {

static constexpr int64_t dimensionLimit = int64_t(1) << 32;
static constexpr int64_t stateBytesLimit = int64_t(1) << 32;
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

  const CodeSizes &codeSizes;
};

} // namespace

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
  using Kind = PackingStep::Kind;
  std::string op = at["op"].string();
  auto name = std::find(std::begin(packingStepNames), std::end(packingStepNames), op);
  if (name == std::end(packingStepNames)) {
    at["op"].fail(fmt::format("'{}' is none of '{}'", op, fmt::join(packingStepNames, "', '")));
    return PackingStep::channelsLast();
  }
  PackingStep step{static_cast<Kind>(name - std::begin(packingStepNames))};
  if (step.kind == Kind::Rows)
    return PackingStep::rows(at["begin"].integer(0, dimensionLimit), at["end"].integer(0, dimensionLimit));
  if (step.kind == Kind::Cast)
    return PackingStep::cast(readDType(at["to"]));
  if (step.kind == Kind::Pad)
    return PackingStep::pad(at["to"].integer(1, dimensionLimit));
  if (step.kind == Kind::Panels)
    step.size = at["width"].integer(16, 16);
  if (step.isOfQuantised()) {
    step.bits = at["bits"].integer(4, 8);
    step.group = at["group"].integer(0, dimensionLimit);
    step.to = readDType(at["scale"]);
  }
  return step;
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

void PlanReader::readPrograms(const JsonCursor &at) {
  for (const std::string &target : at.keys()) {
    auto code = codeSizes.find(target);
    if (code == codeSizes.end())
      at[target.c_str()].fail(fmt::format("the package has no tensor 'kernel/{}'", target));
    if (at.failed())
      return;
    plan.programs.emplace(target, readProgram(at[target.c_str()], target, code->second, plan));
  }
  if (!at.failed() && plan.programs.empty())
    at.fail("no target");
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
