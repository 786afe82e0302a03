// Reads what runs on one target: kernels, buffers, and the launches of its entries, each index checked against what there is.
#include "PlanProgram.h"

#include "PlanFields.h"
#include "PlanGpu.h"

#include <algorithm>

namespace sm1rt {

static constexpr int64_t splitLimit = int64_t(1) << 31;
static constexpr int64_t scratchLimit = int64_t(64) << 20;
static constexpr int64_t threadsLimit = 1024, gridLimit = 65535; // of CUDA, in y and z
static constexpr int64_t leastChunk = 64, mostChunk = 256;       // rows of a box
static constexpr int64_t clusterLimit = 8;                       // that every device has
static constexpr int64_t sharedLimit = int64_t(1) << 20;         // above any device's; the device checks its own
static constexpr int64_t rowBytesLimit = int64_t(1) << 28;       // workspace of one row
static constexpr size_t argsLimit = PlanLaunch::argsLimit;

namespace {

/// Reads one program of a plan whose other parts are known.
class ProgramReader {
public:
  ProgramReader(const Plan &plan) : plan(plan) {}

  void read(const JsonCursor &at, std::string_view target, uint64_t codeBytes);

  PlanProgram program;

private:
  void readKernels(const JsonCursor &list, uint64_t codeBytes);
  void readBuffers(const JsonCursor &list);
  std::vector<int> readPortBuffers(const JsonCursor &list, const std::vector<PlanPort> &ports);
  PlanStep readStep(const JsonCursor &at);
  PlanLaunch readLaunch(const JsonCursor &at, int64_t layers);
  PlanArg readArg(const JsonCursor &at, int64_t layers, RowSpace rows);

  const Plan &plan;
};

} // namespace

/// The row space of a launch on a GPU.
static RowSpace readGridRows(const JsonCursor &at) {
  const RowSpace spaces[] = {RowSpace::All, RowSpace::Selected, RowSpace::Segments};
  return spaces[readChoice(at, {"all", "selected", "segments"})];
}

static bool isPtxName(const std::string &name) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$'; };
  return letter(name[0]) && std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

void ProgramReader::readKernels(const JsonCursor &list, uint64_t codeBytes) {
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

void ProgramReader::readBuffers(const JsonCursor &list) {
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

void ProgramReader::read(const JsonCursor &at, std::string_view target, uint64_t codeBytes) {
  program.capability = gpuTarget(target).value_or(0);
  if (program.capability == 0 && target.compare(0, 3, "sm_") == 0)
    at.fail(fmt::format("target '{}' names no compute capability", target));
  program.compute = at.has("compute") ? readCompute(at["compute"]) : plan.compute;
  readKernels(at["kernels"], codeBytes);
  readBuffers(at["buffers"]);
  program.inputs = readPortBuffers(at["inputs"], plan.inputs);
  program.outputs = readPortBuffers(at["outputs"], plan.outputs);
  JsonCursor entries = at["entries"];
  for (const std::string &name : entries.keys()) {
    JsonCursor steps = entries[name.c_str()];
    std::vector<PlanStep> list;
    for (size_t i = 0, count = steps.arraySize(); i < count && !at.failed(); ++i)
      list.push_back(readStep(steps[i]));
    program.entries.emplace(name, std::move(list));
  }
  if (!at.failed() && program.entries.empty())
    entries.fail("no entry");
  readGpuParts(at, plan, program);
}

static void checkPortBuffer(const JsonCursor &at, const PlanPort &port, const PlanBuffer &buffer) {
  bool tokens = port.kind == PlanPort::Kind::Tokens;
  DType dtype = tokens ? DType::I32 : DType::F32;
  if (buffer.dtype != dtype)
    at.fail(fmt::format("'{}' is {}, its buffer {}", port.name, dtypeName(dtype), dtypeName(buffer.dtype)));
  if (!tokens && buffer.stride < port.width)
    at.fail(fmt::format("'{}' is {} wide, its buffer has stride {}", port.name, port.width, buffer.stride));
  if (buffer.rows != port.rows)
    at.fail(fmt::format("'{}' and its buffer disagree on rows 'all' or 'selected'", port.name));
}

std::vector<int> ProgramReader::readPortBuffers(const JsonCursor &list, const std::vector<PlanPort> &ports) {
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

PlanStep ProgramReader::readStep(const JsonCursor &at) {
  PlanStep step;
  if (!at.has("loop")) {
    step.body.push_back(readLaunch(at, 0));
    return step;
  }
  step.layers = at["loop"].integer(1, layerLimit);
  JsonCursor body = at["body"];
  for (size_t i = 0, count = body.arraySize(); i < count && !at.failed(); ++i) {
    if (body[i].has("loop"))
      body[i].fail("loops do not nest");
    step.body.push_back(readLaunch(body[i], step.layers));
  }
  return step;
}

static void readTasks(const JsonCursor &at, PlanLaunch &launch) {
  launch.rows = readRowSpace(at["rows"]);
  launch.rowSplit = at["row_split"].integer(0, splitLimit);
  launch.panels = at["panels"].integer(1, splitLimit);
  launch.panelSplit = at["panel_split"].integer(0, splitLimit);
  launch.scratch = at["scratch"].integer(0, scratchLimit);
  launch.alone = at.has("alone") && at["alone"].boolean();
}

static void readGrid(const JsonCursor &at, PlanLaunch &launch) {
  launch.rows = readGridRows(at["rows"]);
  launch.rowSplit = at["row_split"].integer(1, splitLimit);
  launch.panels = at["panels"].integer(1, splitLimit);
  launch.panelSplit = at["panel_split"].integer(1, splitLimit);
  launch.threads = at["threads"].integer(32, threadsLimit);
  launch.shared = at["shared"].integer(0, sharedLimit);
  launch.alone = at.has("alone") && at["alone"].boolean();
  launch.walks = at.has("walks") && at["walks"].boolean();
  launch.timeSplit = at.has("time_split") ? at["time_split"].integer(0, splitLimit) : 0;
  launch.chunks = at.has("chunks") ? at["chunks"].integer(leastChunk, mostChunk) : 0;
  launch.cluster = at.has("cluster") ? at["cluster"].integer(1, clusterLimit) : 1;
  if (at.failed())
    return;
  if (launch.cluster > 1 && (launch.timeSplit || launch.walks))
    at["cluster"].fail("blocks that share a tile are no parts of time, nor do they go on from tile to tile");
  if (launch.chunks && (!launch.walks || launch.rows != RowSpace::All))
    at["chunks"].fail("blocks that take chunks of segments go on from tile to tile, over all rows");
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

PlanLaunch ProgramReader::readLaunch(const JsonCursor &at, int64_t layers) {
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
    launch.args.push_back(readArg(args[i], layers, launch.rows));
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

PlanArg ProgramReader::readArg(const JsonCursor &at, int64_t layers, RowSpace rows) {
  if (at.keys().size() != (at.has("next_weight") && at.has("last") ? 2 : 1))
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
    if (!at.failed() && at.has("last")) {
      arg.last = readIndex(at["last"], plan.weights, "weight");
      if (!at.failed() && (plan.weights[*arg.last].count || plan.weights[*arg.last].type != plan.weights[arg.index].type))
        at.fail(fmt::format("last: weight '{}' is no weight without layers like '{}'", plan.weights[*arg.last].name,
                            plan.weights[arg.index].name));
    }
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

PlanProgram readProgram(const JsonCursor &at, std::string_view target, uint64_t codeBytes, const Plan &plan) {
  ProgramReader reader(plan);
  reader.read(at, target, codeBytes);
  return std::move(reader.program);
}

} // namespace sm1rt
