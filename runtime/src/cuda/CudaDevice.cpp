// Launches, moves and copies in one stream. Nothing waits but downloads and synchronize().
#include "CudaDevice.h"

#include "../ChoiceRows.h"
#include "../KernelCheck.h"
#include "ChoiceCopies.h"
#include "Graph.h"
#include "Kernels.h"
#include "LaunchClock.h"
#include "Memory.h"
#include "Module.h"
#include "Replacement.h"
#include "TokenKernel.h"
#include "sm1rt/Model.h"
#include "sm1rt/packing/GpuCost.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace sm1rt {

using namespace cuda;

//===-- Choosing a target ---------------------------------------------------------------------------------------------------===//

static std::string listTargets(const Plan &plan) {
  std::string list;
  for (auto &[target, program] : plan.programs)
    list += (list.empty() ? "" : ", ") + target;
  return list;
}

/// The highest target that the device runs: PTX goes to every later chip, but for that of one chip, which is best on it.
static Expected<std::string> chooseTarget(const Package &package, const Context &context, const std::string &isa) {
  const std::string *best = nullptr;
  int highest = 0;
  for (auto &[target, program] : package.plan.programs) {
    bool oneChip = isForOneChip(target);
    bool fits = oneChip ? program.capability == context.capability : program.capability <= context.capability;
    int rank = 2 * program.capability + oneChip;
    if (program.capability && fits && rank > highest && (isa.empty() || isa == target)) {
      best = &target;
      highest = rank;
    }
  }
  if (best)
    return *best;
  if (!isa.empty() && package.plan.programs.count(isa) == 0)
    return Error{fmt::format("{}: no kernels for '{}', the package holds {}; recompile with --target={} or drop --isa",
                             package.file.path(), isa, listTargets(package.plan), isa)};
  return Error{fmt::format("{}: built for {}, {} ({}) is sm_{}; recompile with --target=sm_{}", package.file.path(),
                           isa.empty() ? listTargets(package.plan) : isa, context.name(), context.deviceName, context.capability,
                           context.capability)};
}

/// Machine code runs on chips of its own major version from its minor version on.
static bool cubinFits(int target, int capability) { return target / 10 == capability / 10 && target <= capability; }

static Expected<void> checkDriver(const Driver &driver, const std::string &what, std::string_view ptx) {
  int needed = cudaVersionOfPtx(ptx);
  if (driver.version >= needed)
    return {};
  return Error{fmt::format("{}: the driver is for CUDA {}, {} needs {}; update the driver, or pass --device=cpu", driver.library,
                           cudaVersion(driver.version), what, cudaVersion(needed))};
}

/// PTX of a target, without the driver looking at it.
static std::string_view ptxOf(const Package &package, const std::string &target) {
  const FileTensor &code = package.code(target);
  return {reinterpret_cast<const char *>(code.data), size_t(code.bytes)};
}

//===-- Device --------------------------------------------------------------------------------------------------------------===//

namespace {

class CudaDevice : public Device {
public:
  explicit CudaDevice(std::shared_ptr<Context> context)
      : context(context), staging(context), choiceCopies(context), graphs(context), clock(context) {}

  std::string name() const override {
    return fmt::format("{} ({}, {}, {}{})", context->name(), context->deviceName, target, codeKind,
                       tokens ? ", one launch a token, " + tokens->delays().text() : "");
  }
  std::string shortName() const override { return fmt::format("{}({},{})", context->name(), target, codeKind); }

  Expected<std::unique_ptr<DeviceBuffer>> allocate(uint64_t bytes) override { return cuda::allocate(context, bytes); }
  std::unique_ptr<DeviceBuffer> borrow(const void *, uint64_t) override { return nullptr; }
  uint8_t *hostAddress(const DeviceBuffer &) override { return nullptr; }
  Expected<void> clear(const DeviceBuffer &buffer) override;
  Expected<void> upload(const StridedCopy &copy) override { return staging.upload(copy); }
  Expected<void> download(const StridedCopy &copy) override { return staging.download(copy); }
  Expected<void> copy(const StridedCopy &copy) override { return copyOnDevice(*context, copy); }
  Expected<void> move(const StateMove &move) override;

  // Enough rows to fill the chip with every kernel many times over, so that its last blocks, and the wait for them, count for
  // little; more would only take memory.
  int64_t rowsPerPass() const override {
    constexpr int64_t rowsOfMultiprocessor = 256, least = 8192, most = 32768;
    int64_t rows = least;
    while (rows < most && rows * 2 <= rowsOfMultiprocessor * context->multiprocessorCount)
      rows *= 2;
    return rows;
  }

  Expected<void> load(const Package &package, const std::string &target) override;
  Expected<void> replaceKernels(const Package &package, const Weights &weights, const OpenOptions &options) override;
  Expected<void> prepareTokens(const Package &package, const Weights &weights) override;
  int64_t tokenSequences() const override { return tokens ? tokens->mostSequences() : 0; }
  bool takesOrders() const override { return tokens && tokens->takesOrders(); }
  Expected<void> runTokens(const TokenRun &run) override { return tokens->run(run); }
  void orderTokens(const uint8_t *choices, bool goesOn) override { tokens->order(choices, goesOn); }
  Expected<const uint8_t *> awaitTokens() override { return tokens->await(); }
  int64_t timedLaunches() const override { return LaunchClock::mostLaunches; }
  Expected<void> beginTiming() override { return clock.begin(); }
  Expected<std::vector<double>> endTiming() override {
    auto seconds = clock.end();
    outgrown.clear();
    return seconds;
  }
  Expected<int64_t> launch(const DeviceLaunch &launch) override;
  Expected<void> sample(const SampleLaunch &launch) override;
  Expected<const uint8_t *> awaitSample() override { return choiceCopies.await(); }
  Expected<void> sampleAndReplay(const SampleLaunch &launch, const ReplayKey &key,
                                 const std::function<Expected<void>()> &work) override;
  bool runsAhead() const override { return true; }
  Expected<void> synchronize() override {
    if (auto ready = context->enter(); !ready)
      return ready;
    return context->wait("waiting for the device");
  }
  Expected<void> replay(const ReplayKey &key, const std::function<Expected<void>()> &work, bool records) override {
    if (!records && !graphs.has(key))
      return work();
    followsMove = false; // a graph begins when all before it has ended
    return graphs.run(key, work);
  }
  void forgetRecordings() override { graphs.clear(); }

private:
  struct Function {
    CUfunction handle;
    std::string name;
    LaunchShape shape = {}; ///< of a user's kernel
    bool overlaps = false;  ///< it waits by itself for what it needs of earlier launches
    bool generated = false; ///< no user's: blocks share tiles, and go on from tile to tile, where the plan says so
  };
  struct Grid {
    int64_t x, y, z, threads, shared;
    bool overlaps = false; ///< it may begin before the launch in front of it has ended
  };
  Expected<Module> loadCode(const Package &package);
  Expected<void> findFunctions(const PlanProgram &program);
  Expected<void> loadOwn(const char *ptx, std::initializer_list<std::pair<Function *, const char *>> functions, int64_t threads);
  Expected<CUtensorMap> mapFor(const DeviceLaunch &launch);
  Expected<uint8_t *> wordsFor(const PlanLaunch &plan, int64_t parts);
  Expected<void> start(const Function &function, const Grid &grid, void **parameters);
  Expected<void> sendChoices(const SampleLaunch &launch);
  Expected<void> startSample(const SampleLaunch &launch);

  std::shared_ptr<Context> context;
  Staging staging;
  ChoiceCopies choiceCopies;
  std::string target, codeKind;  ///< "cubin" or "PTX"
  std::vector<Module> modules;   ///< the package's; the runtime's own
  std::vector<Function> kernels; ///< by index in the program; each may come from any module
  Function gatherStates{}, scatterStates{}, sampleTokens{};
  std::unique_ptr<TokenKernel> tokens;                 // null: a step is kernel by kernel
  bool followsMove = false;                            // what has been started last moves states
  std::unique_ptr<DeviceBuffer> sortRoom;              // for vocabularies that do not fit in shared memory
  std::unique_ptr<DeviceBuffer> words;                 // for kernels that cut time
  std::vector<std::unique_ptr<DeviceBuffer>> outgrown; // words until the stream is let go: freeing waits for it
  GraphCache graphs;                                   // before modules and buffers go, graphs do
  LaunchClock clock;
};

} // namespace

Expected<void> CudaDevice::clear(const DeviceBuffer &buffer) {
  if (auto ready = context->enter(); !ready)
    return ready;
  if (buffer.bytes == 0)
    return {};
  context->busy = true;
  auto address = reinterpret_cast<CUdeviceptr>(buffer.address);
  return context->check(context->driver.cuMemsetD8Async(address, 0, buffer.bytes, context->stream), "clearing memory");
}

//===-- Loading -------------------------------------------------------------------------------------------------------------===//

/// The cubin where there is one for this chip; the PTX where there is none, or the driver finds it newer than itself.
Expected<Module> CudaDevice::loadCode(const Package &package) {
  int capability = package.plan.programs.find(target)->second.capability;
  const FileTensor *cubin = package.cubin(target);
  if (cubin && cubinFits(capability, context->capability))
    if (auto module = Module::load(context, cubin->data, fmt::format("the cubin of {}", target))) {
      codeKind = "cubin";
      return module;
    }
  codeKind = "PTX";
  if (auto able = checkDriver(context->driver, fmt::format("the PTX of {}", target), ptxOf(package, target)); !able)
    return able.error();
  return Module::load(context, ptxOf(package, target).data(), fmt::format("the PTX of {}", target));
}

/// Drivers take overlapping launches into graphs since CUDA 12.3.
static bool overlapsLaunches(const Context &context) { return context.driver.version >= 12030 && context.capability >= 90; }

Expected<void> CudaDevice::findFunctions(const PlanProgram &program) {
  bool overlaps = program.overlaps && overlapsLaunches(*context);
  for (size_t index = 0; index < program.kernels.size(); ++index) {
    const std::string &name = program.kernels[index].name;
    auto function = modules.front().function(name);
    if (!function)
      return function.error();
    BlockSize size = largestBlock(program, index);
    if (auto prepared = prepareLaunch(*context, *function, name, size.threads, size.shared); !prepared)
      return prepared;
    kernels.push_back({*function, name, {}, overlaps, /*generated=*/true});
  }
  return {};
}

/// Kernels of the runtime's own, from one module.
Expected<void> CudaDevice::loadOwn(const char *ptx, std::initializer_list<std::pair<Function *, const char *>> functions,
                                   int64_t threads) {
  static const char *const what = "the runtime's own PTX";
  if (auto able = checkDriver(context->driver, what, ptx); !able)
    return able;
  auto module = Module::load(context, ptx, what);
  if (!module)
    return module.error();
  for (auto [function, name] : functions) {
    auto found = module->function(name);
    if (!found)
      return found.error();
    if (auto prepared = prepareLaunch(*context, *found, name, threads, 0); !prepared)
      return prepared;
    *function = {*found, name};
  }
  modules.push_back(std::move(*module));
  return {};
}

static constexpr int64_t moveThreads = 256;

Expected<void> CudaDevice::load(const Package &package, const std::string &chosen) {
  target = chosen;
  auto module = loadCode(package);
  if (!module)
    return module.error();
  modules.push_back(std::move(*module));
  if (auto found = findFunctions(package.plan.programs.find(target)->second); !found)
    return found;
  return loadOwn(statesPtx, {{&gatherStates, "sm1_gather_states"}, {&scatterStates, "sm1_scatter_states"}}, moveThreads);
}

/// Each is compared with the generated one first, unless the user vouches for it.
Expected<void> CudaDevice::replaceKernels(const Package &package, const Weights &weights, const OpenOptions &options) {
  const PlanProgram &program = package.plan.programs.find(target)->second;
  KernelHost host{*this, package, program, weights};
  for (const std::string &text : options.replace) {
    auto replacement = parseReplacement(text);
    if (!replacement)
      return replacement.error();
    auto loaded = loadReplacement(context, program, *replacement);
    if (!loaded)
      return loaded.error();
    modules.push_back(std::move(loaded->module));
    for (const ReplacingFunction &found : loaded->functions) {
      Function generated = kernels[found.kernel], own{found.handle, found.name, found.shape};
      auto choose = [&](bool replacing) { kernels[found.kernel] = replacing ? own : generated; };
      const std::string &name = program.kernels[found.kernel].name;
      if (!options.trustReplacements)
        if (auto same = checkKernel({host, host, name, choose}); !same)
          return Error{fmt::format("{} in place of kernel '{}': {}; correct it, or pass --trust to take it as it is", found.name,
                                   name, same.error().message)};
      choose(true);
    }
  }
  return {};
}

Expected<void> CudaDevice::prepareTokens(const Package &package, const Weights &weights) {
  auto made = TokenKernel::make(context, package, target, weights);
  if (!made)
    return made.error();
  tokens = std::move(*made);
  return {};
}

//===-- Launching -----------------------------------------------------------------------------------------------------------===//

static int64_t divideUp(int64_t value, int64_t by) { return (value - 1) / by + 1; }

Expected<void> CudaDevice::start(const Function &function, const Grid &grid, void **parameters) {
  if (auto ready = context->enter(); !ready)
    return ready;
  context->busy = true;
  CUlaunchAttribute overlap{programmaticSerialization, {1}};
  CUlaunchConfig config{unsigned(grid.x),      unsigned(grid.y), unsigned(grid.z), unsigned(grid.threads), 1, 1,
                        unsigned(grid.shared), context->stream,  &overlap,         grid.overlaps ? 1u : 0u};
  CUresult result = context->driver.cuLaunchKernelEx(&config, function.handle, parameters, nullptr);
  if (result == success)
    return {};
  return context->error(result, fmt::format("launching kernel '{}' on a grid of {} x {} x {} blocks of {} threads with {} bytes of "
                                            "shared memory",
                                            function.name, grid.x, grid.y, grid.z, grid.threads, grid.shared));
}

/// The map that a kernel takes of one of its args; of nothing where it takes none.
Expected<CUtensorMap> CudaDevice::mapFor(const DeviceLaunch &launch) {
  CUtensorMap map{};
  if (!launch.plan->map)
    return map;
  const PlanMap &plan = *launch.plan->map;
  uint64_t bytes = dtypeBytes(plan.dtype), rowBytes = uint64_t(divideUp(plan.channels, 16)) * 16 * bytes;
  int64_t share = plan.even ? divideUp(launch.rows, divideUp(launch.rows, plan.rows)) : launch.rows;
  int64_t boxRows = plan.fits || plan.even ? std::min(plan.rows, divideUp(share, 8) * 8) : plan.rows;
  // The copy engine is slow where many of a box's rows are outside: those that are nobody's come along, as far as there is memory.
  int64_t mapped = std::max(launch.rows, std::min(divideUp(launch.rows, boxRows) * boxRows, launch.room));
  uint64_t sizes[] = {uint64_t(plan.channels), uint64_t(mapped)};
  unsigned box[] = {unsigned(uint64_t(plan.rowBytes) / bytes), unsigned(boxRows)}, steps[] = {1, 1};
  int type = plan.dtype == DType::BF16 ? mapOfBf16 : mapOfBytes,
      swizzle = plan.rowBytes == 64 ? swizzleOf64Bytes : swizzleOf128Bytes;
  CUresult result = context->driver.cuTensorMapEncodeTiled(&map, type, 2, launch.args[plan.arg], sizes, &rowBytes, box, steps,
                                                           notInterleaved, swizzle, fetchLinesOf128Bytes, zerosOutside);
  if (result != success)
    return context->error(result, fmt::format("a tensor map of {} rows of {} channels", launch.rows, plan.channels));
  return map;
}

/// Words that blocks of one kernel exchange. Every kernel leaves them zero, so all can have the same.
Expected<uint8_t *> CudaDevice::wordsFor(const PlanLaunch &plan, int64_t parts) {
  uint64_t bytes = uint64_t(parts * plan.panels) * 16 * sizeof(uint64_t);
  if (!words || words->bytes < bytes) {
    graphs.clear(); // which know where they lay
    if (words && clock.running())
      outgrown.push_back(std::move(words));
    words.reset();
    auto allocated = allocate(bytes);
    if (!allocated)
      return allocated.error();
    words = std::move(*allocated);
  }
  return words->address;
}

Expected<int64_t> CudaDevice::launch(const DeviceLaunch &launch) {
  const PlanLaunch &plan = *launch.plan;
  const Function &function = kernels[plan.kernel];
  const LaunchShape &own = function.shape;
  int64_t timeSplit = own.timeSplit.value_or(plan.timeSplit);
  bool chunks = plan.chunks && function.generated;
  Grid grid{chunks ? launch.tables.chunkCount : divideUp(launch.rows, own.rowSplit.value_or(plan.rowSplit)),
            divideUp(plan.panels, own.panelSplit.value_or(plan.panelSplit)),
            timeSplit            ? divideUp(launch.longest, timeSplit)
            : function.generated ? plan.cluster
                                 : 1,
            own.threads.value_or(plan.threads), own.shared.value_or(plan.shared)};
  if (grid.z > 65535)
    return Error{
        fmt::format("{}: kernel '{}' cuts {} rows of a sequence into {} parts of {}, a grid has at most 65535; run shorter pieces",
                    context->name(), function.name, launch.longest, grid.z, timeSplit)};
  if (plan.walks && function.generated)
    grid.x = std::min<int64_t>(grid.x * grid.y, context->multiprocessorCount), grid.y = 1;
  // Kernels of a step read its states before they wait, so none may begin while these are moved.
  grid.overlaps = function.overlaps && !std::exchange(followsMove, false) &&
                  !(plan.alone && grid.x * grid.y * grid.z <= context->multiprocessorCount);
  RowTables tables = launch.tables;
  int64_t rows = launch.rows, segments = launch.segments;
  int64_t parts = chunks ? tables.chunkCount : timeSplit && grid.z > 1 ? divideUp(launch.passRows, timeSplit) : 0;
  auto words = parts ? wordsFor(plan, parts) : Expected<uint8_t *>(nullptr);
  if (!words)
    return words.error().in(function.name);
  auto map = mapFor(launch);
  if (!map)
    return map.error().in(function.name);
  void *parameters[PlanLaunch::argsLimit + 9];
  size_t count = 0;
  for (; count < plan.args.size(); ++count)
    parameters[count] = const_cast<void **>(&launch.args[count]);
  for (void *next : std::initializer_list<void *>{&tables.rowSegment, &tables.segmentStart, &tables.selected, &rows, &segments})
    parameters[count++] = next;
  if (chunks)
    for (void *next : std::initializer_list<void *>{&tables.chunks, &tables.chunkCount, &*words})
      parameters[count++] = next;
  parameters[count++] = plan.map ? static_cast<void *>(&*map) : &*words;
  if (auto started = start(function, grid, parameters); !started)
    return started.error();
  if (clock.running())
    if (auto marked = clock.mark(); !marked)
      return marked.error();
  return grid.x * grid.y * grid.z;
}

Expected<void> CudaDevice::move(const StateMove &move) {
  int64_t pieces = move.partCount * move.segments;
  if (pieces == 0)
    return {};
  followsMove = true;
  StateMove values = move;
  void *parameters[] = {&values.parts, &values.sequences, &values.partCount, &values.segments};
  // A block goes on with the next piece where there are more than blocks.
  return start(move.gather ? gatherStates : scatterStates, {std::min<int64_t>(pieces, 1 << 20), 1, 1, moveThreads, 0}, parameters);
}

/// Tokens that a block sorts in shared memory, 24 bytes each, which leaves room below the 48 KB that need no asking.
static constexpr int64_t sharedTokens = 1024;
static constexpr int64_t sampleThreads = 512; // of kernels/sample.cu

static int64_t paddedTokens(int64_t count) {
  int64_t padded = 2;
  while (padded < count)
    padded *= 2;
  return padded;
}

/// Everything that a choice needs but its launch.
Expected<void> CudaDevice::sendChoices(const SampleLaunch &launch) {
  if (!sampleTokens.handle)
    if (auto loaded = loadOwn(samplePtx, {{&sampleTokens, "sm1_sample"}}, sampleThreads); !loaded)
      return loaded;
  int64_t padded = paddedTokens(launch.count);
  uint64_t room = padded > sharedTokens ? uint64_t(launch.rows * padded) * 24 : 0;
  if (room > 0 && (!sortRoom || sortRoom->bytes < room)) {
    graphs.clear();
    sortRoom.reset();
    auto allocated = allocate(room);
    if (!allocated)
      return allocated.error().in("sampling");
    sortRoom = std::move(*allocated);
  }
  auto sent = choiceCopies.send(launch.choices, uint64_t(launch.rows), choiceRowBytes(launch.count), [&] { graphs.clear(); });
  return sent ? sent : sent.error().in("sampling");
}

Expected<void> CudaDevice::startSample(const SampleLaunch &launch) {
  SampleLaunch values = launch;
  int64_t choiceBytes = int64_t(choiceRowBytes(launch.count)), padded = paddedTokens(launch.count);
  const uint8_t *choices = choiceCopies.choicesThere();
  uint8_t *results = choiceCopies.resultsThere(), *room = padded > sharedTokens ? sortRoom->address : nullptr;
  void *parameters[] = {&values.logits, &values.stride, &values.count,     &choices, &choiceBytes,
                        &values.tokens, &results,       &values.sequences, &room,    &padded};
  return start(sampleTokens, {launch.rows, 1, 1, sampleThreads, room ? 0 : padded * 24}, parameters);
}

Expected<void> CudaDevice::sample(const SampleLaunch &launch) {
  if (auto sent = sendChoices(launch); !sent)
    return sent;
  return startSample(launch);
}

/// In one graph: between two of them goes by more than between two kernels of one.
Expected<void> CudaDevice::sampleAndReplay(const SampleLaunch &launch, const ReplayKey &key,
                                           const std::function<Expected<void>()> &work) {
  constexpr int64_t choosing = 1 << 8;
  if (auto sent = sendChoices(launch); !sent)
    return sent;
  ReplayKey own = key;
  own.back() |= choosing;
  auto both = [&]() -> Expected<void> {
    if (auto started = startSample(launch); !started)
      return started;
    return work();
  };
  return replay(own, both, /*records=*/true);
}

//===-- Opening -------------------------------------------------------------------------------------------------------------===//

/// What compilers know best of a chip: its own instructions where there is a target for it alone, else its architecture or the
/// newest before it.
static std::string targetOf(int64_t capability) {
  int64_t known = std::min(gpuFactsOf(capability).capability, capability);
  return fmt::format("sm_{}{}", known, capability == 90 ? "a" : "");
}

static auto openContext(int ordinal) {
  auto driver = Driver::load();
  return driver ? Context::open(*driver, ordinal) : driver.error();
}

Expected<std::string> cudaTarget(int ordinal) {
  auto context = openContext(ordinal);
  if (!context)
    return context.error();
  return targetOf((*context)->capability);
}

Expected<OpenedDevice> openCudaDevice(const Package &package, int ordinal, const std::string &isa) {
  const auto &programs = package.plan.programs;
  if (std::none_of(programs.begin(), programs.end(), [](auto &program) { return program.second.capability > 0; }))
    return Error{fmt::format("{}: built for {}, no GPU; recompile with --target=sm_XY, the name of your GPU's architecture",
                             package.file.path(), listTargets(package.plan))};
  auto context = openContext(ordinal);
  if (!context)
    return context.error();
  auto target = chooseTarget(package, **context, isa);
  if (!target)
    return target.error();
  return OpenedDevice{std::make_unique<CudaDevice>(std::move(*context)), *target};
}

} // namespace sm1rt
