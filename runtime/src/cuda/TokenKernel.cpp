// Compiling, arranging and launching. The host knows the sizes of kernels/token.cuh only as far as it launches them.
#include "TokenKernel.h"

#include "../ChoiceRows.h"
#include "../Platform.h"
#include "../StateLayout.h"
#include "../Weights.h"
#include "Kernels.h"
#include "Memory.h"
#include "Replacement.h"
#include "sm1rt/Packing.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>

namespace sm1rt::cuda {

/// Copies of the words, so that not all blocks ask for the same ones; measured on an H200.
static int copiesOfWords(int64_t sequences) { return sequences > 8 ? 1 : 2; }
/// What a block leaves to the system and to variables of its own.
static constexpr int64_t sharedMargin = 1024;
/// A block asks for a slot of weights each so often, and warps may let the words of a phase be on their way for some time before
/// they look for them: else the ones get in the way of the others. Loading weights from shared memory takes most of that time. Not
/// far from the best for the 130M configuration on an H200.
static TokenClocks fixedClocks(const PlanToken &plan, int64_t sequences) {
  TokenClocks clocks(1 + plan.phases.size(), 0);
  clocks[0] = plan.bits < 16 ? 600 : sequences > 4 ? 475 : 400;
  return clocks;
}

/// Epochs that a token takes.
static unsigned epochsOf(const PlanToken &plan) { return unsigned(plan.layers + 1); }

/// Every layer writes each word once.
void TokenKernel::Variant::count(const PlanToken &plan, int64_t sequences) {
  epoch += epochsOf(plan);
  if (plan.layers % 2 == 1)
    tags ^= (1u << sequences) - 1;
}

//===-- Compiling -----------------------------------------------------------------------------------------------------------===//

static uint64_t hashText(std::string_view text, uint64_t seed) { return fnv1a(text.data(), text.size(), seed); }

/// Where the code is kept, in the form that the driver took; empty where the user has no cache.
static std::string cachePath(const Context &context, const std::string &text, const std::vector<std::string> &options) {
  uint64_t hash = hashText(text, fnv1a(nullptr, 0));
  for (const Header &header : kernelHeaders)
    hash = hashText(header.text, hash);
  for (const std::string &option : options)
    hash = hashText(option, hash);
  auto folder = cacheDirectory("sm1");
  return folder ? fmt::format("{}/token-sm_{}-{}", *folder, context.capability, toHex(hash)) : "";
}

/// Compiles the text unless the user's cache has it at `path`.
static Expected<Module> loadText(const std::shared_ptr<Context> &context, const std::string &text, const std::string &architecture,
                                 const std::vector<std::string> &options, const std::string &path) {
  if (!path.empty() && fileExists(path))
    if (auto file = FileMapping::open(path))
      if (auto module = Module::load(context, file->data(), path))
        return module;
  auto compiled = compileCuda("token.cu", text, architecture, options);
  if (!compiled)
    return compiled.error();
  auto loaded = loadCompiled(context, *compiled, "token.cu");
  if (!loaded)
    return loaded.error();
  if (!path.empty()) // without a cache it is compiled again
    (void)writeFile(path, loaded->image);
  return std::move(loaded->module);
}

Expected<TokenKernel::Variant> TokenKernel::makeVariant(int64_t sequences) const {
  int64_t shared = context->sharedLimit - sharedMargin;
  std::vector<std::string> options = {
      "--fmad=false", // choices are plain additions and multiplications on every device
      fmt::format("-DSM1_TOKEN_BLOCKS={}", shares.shares.size()), fmt::format("-DSM1_TOKEN_SEQUENCES={}", sequences),
      fmt::format("-DSM1_TOKEN_SHARED={}", shared), fmt::format("-DSM1_TOKEN_REPLICAS={}", copiesOfWords(sequences))};
  std::string path = cachePath(*context, text, options);
  // What passes registers on is for one chip alone.
  const std::string architecture = fmt::format("sm_{}{}", context->capability, sequences > 8 ? "a" : "");
  auto module = loadText(context, text, architecture, options, path);
  if (!module)
    return module.error();
  auto function = module->function("sm1_token");
  if (!function)
    return function.error();
  if (auto prepared = prepareLaunch(*context, *function, "sm1_token", threadsFor(sequences), shared); !prepared)
    return prepared.error();
  using namespace sm1token;
  const int blocks = int(shares.shares.size()), phases = int(plan.phases.size()), size = int(sequences),
            copies = copiesOfWords(size);
  auto exchange = allocate(context, uint64_t(copies * wordDistance(size)) * uint64_t(wordLines(int(plan.words), phases, size)));
  auto keys = allocate(context, uint64_t(lineDistance) * uint64_t(linesOfKeys(blocks, int(vocabulary), size, copies)));
  if (!exchange || !keys)
    return !exchange ? exchange.error() : keys.error();
  TokenDelays delays{fixedClocks(plan, sequences), "fixed"};
  Variant variant{std::move(*module), *function, path, std::move(delays), std::move(*exchange), std::move(*keys), nullptr};
  if (hasChoices) {
    auto orders = TokenOrders::make(context, sequences, choiceRowBytes(vocabulary));
    if (!orders)
      return orders.error();
    variant.orders = std::move(*orders);
  }
  return variant;
}

/// Sizes::threads.
int64_t TokenKernel::threadsFor(int64_t sequences) const {
  int64_t blocks = int64_t(shares.shares.size()), items = 0;
  for (int64_t width : plan.partitions)
    items = std::max(items, (width + blocks - 1) / blocks * sequences);
  const int64_t epilogue = (items + 31) / 32, workers = plan.warps + epilogue;
  if (sequences > 8)
    return ((plan.warps + 4) / 4 * 4 + (epilogue + 3) / 4 * 4) * 32;
  return (workers + (workers == 15 ? 1 : 2)) * 32;
}

/// Threads of a block that have registers for 16 sequences: it has no more than 16 channels.
static constexpr int64_t mostThreads = 640;

/// Integers of 4 bits, which take more than their bytes save, have been measured with eight only.
int64_t TokenKernel::mostSequences() const {
  if (context->sharedLimit < 200 * 1024)
    return 4;
  return plan.bits > 4 && threadsFor(16) <= mostThreads ? 16 : 8;
}

/// Three or four sequences are quicker in the kernel for eight, where there is room for it.
int64_t TokenKernel::sizeFor(int64_t sequences) const {
  return sequences <= 2 ? sequences : sequences > 8 ? 16 : std::min<int64_t>(mostSequences(), 8);
}

Expected<TokenKernel::Variant *> TokenKernel::variantFor(int64_t sequences) {
  const int64_t size = sizeFor(sequences);
  if (auto found = variants.find(size); found != variants.end())
    return &found->second;
  auto made = makeVariant(size);
  if (!made)
    return made.error();
  Variant *variant = &variants.emplace(size, std::move(*made)).first->second;
  if (stream) // else it is the first one, and make() goes on with it
    if (auto chosen = chooseDelays(*variant, size); !chosen)
      return chosen.error();
  return variant;
}

//===-- Delays --------------------------------------------------------------------------------------------------------------===//

static void setClocks(sm1token::Launch &launch, const TokenClocks &clocks) {
  launch.pace = clocks.front();
  std::copy(clocks.begin() + 1, clocks.end(), launch.delay);
}

/// Beside the code, a file for each kind of device.
static std::string delaysPath(const Context &context, const std::string &codePath) {
  if (codePath.empty())
    return "";
  return fmt::format("{}-delays-{}", codePath, toHex(hashText(context.deviceName, fnv1a(nullptr, 0))));
}

Expected<void> TokenKernel::chooseDelays(Variant &variant, int64_t sequences) {
  auto setting = DelaySetting::ofEnvironment();
  if (!setting)
    return setting.error();
  if (!setting->given.empty()) {
    setting->given.resize(1 + plan.phases.size(), setting->given.back());
    variant.delays = {setting->given, "given"};
  }
  if (!setting->measures || context->clockKHz == 0)
    return {};
  const std::string path = delaysPath(*context, variant.path);
  if (auto kept = readClocks(path, *context, plan.phases.size()); !kept.empty()) {
    variant.delays = {kept, "kept"};
    return {};
  }
  auto measured = measureDelays(variant, sequences);
  if (!measured)
    return measured.error().in("measuring delays");
  variant.delays = {std::move(*measured), "measured"};
  keepClocks(path, *context, variant.delays.clocks);
  return {};
}

/// The model's own weights, states that are nobody's. A launch takes some 2 ms.
Expected<TokenClocks> TokenKernel::measureDelays(Variant &variant, int64_t sequences) {
  static constexpr double launchSeconds = 2e-3;
  static constexpr int mostTokens = 32;
  auto states = allocate(context, uint64_t(sequences) * stateBytes), tokens = allocate(context, uint64_t(sequences) * 4),
       logits = allocate(context, uint64_t(sequences * vocabulary) * 4);
  for (auto *made : {&states, &tokens, &logits})
    if (!*made)
      return made->error();
  std::vector<uint64_t> places;
  for (int64_t sequence = 0; sequence < sequences; ++sequence)
    places.push_back(uint64_t(reinterpret_cast<uintptr_t>((*states)->address)) + uint64_t(sequence) * stateBytes);
  auto table = toDevice(places.data(), places.size() * 8);
  if (!table)
    return table.error();
  TokenRun run{reinterpret_cast<const uint64_t *>((*table)->address), reinterpret_cast<const int32_t *>((*tokens)->address),
               reinterpret_cast<float *>((*logits)->address), vocabulary, sequences};
  LaunchClock clock(context);
  int count = 1;
  auto timeOf = [&](const TokenClocks &clocks) -> Expected<double> {
    sm1token::Launch launch = launchOf(variant, run);
    setClocks(launch, clocks);
    return variant.orders ? timeOrdered(variant, launch, count) : timeRepeated(variant, launch, count, clock);
  };
  auto once = timeOf(variant.delays.clocks);
  if (!once)
    return once.error();
  count = int(std::clamp(launchSeconds / std::max(*once, 1e-9), 1.0, double(mostTokens)));
  return searchClocks(variant.delays.clocks, timeOf);
}

/// Two launches of `count` times the same tokens; the quicker one.
Expected<double> TokenKernel::timeRepeated(Variant &variant, sm1token::Launch &launch, int count, LaunchClock &clock) {
  launch.repeats = count;
  auto timed = clock.begin();
  for (int i = 0; timed && i < 2; ++i)
    if (timed = start(variant, sizeFor(launch.sequenceCount), launch); timed)
      timed = clock.mark();
  if (!timed)
    return timed.error();
  auto seconds = clock.end();
  if (!seconds)
    return seconds.error();
  return *std::min_element(seconds->begin(), seconds->end()) / count;
}

/// The same with tokens that are chosen, as in a generation, from the first reply to the last: on an H200 a pace of 300 is as good
/// as one of 400 where nothing is chosen, and 2 of 74 us slower where something is.
Expected<double> TokenKernel::timeOrdered(Variant &variant, sm1token::Launch &launch, int count) {
  using HostClock = std::chrono::steady_clock;
  TokenChoice greedy;
  greedy.greedy = true;
  std::vector<uint8_t> choices;
  for (int sequence = 0; sequence < launch.sequenceCount; ++sequence)
    appendChoiceRow(choices, &greedy, vocabulary);
  double best = std::numeric_limits<double>::infinity(); // also where the host was held up
  for (int i = 0; i < 2; ++i) {
    orderFrom(variant, launch);
    if (auto started = start(variant, sizeFor(launch.sequenceCount), launch); !started)
      return started.error();
    HostClock::time_point first;
    for (int token = 0; token <= count; ++token) {
      order(choices.data(), token < count);
      auto reply = await();
      if (!reply)
        return reply.error();
      if (!*reply)
        break;
      if (token == 0)
        first = HostClock::now();
      else if (token == count)
        best = std::min(best, std::chrono::duration<double>(HostClock::now() - first).count() / count);
    }
    if (auto done = context->wait("timing tokens"); !done)
      return done.error();
  }
  return best;
}

//===-- Weights -------------------------------------------------------------------------------------------------------------===//

Expected<std::unique_ptr<DeviceBuffer>> TokenKernel::toDevice(const void *data, uint64_t bytes) const {
  auto buffer = allocate(context, bytes);
  if (!buffer)
    return buffer;
  if (auto sent = Staging(context).upload({(*buffer)->address, bytes, static_cast<const uint8_t *>(data), bytes, bytes, 1}); !sent)
    return sent.error();
  if (auto done = context->wait("sending tables"); !done)
    return done.error();
  return buffer;
}

/// Vectors one after the other, each layer by layer, and as much room for their inverses.
/// Squares before a norm are made with the inverse square of its weight, times 2^-96: of a larger weight that is no normal number.
static constexpr float mostOfVector = 32768;

Expected<void> TokenKernel::checkVectors(const Package &package) const {
  std::vector<float> numbers(vectors->bytes / sizeof(float));
  if (auto read = Staging(context).download(
          {reinterpret_cast<uint8_t *>(numbers.data()), vectors->bytes, vectors->address, vectors->bytes, vectors->bytes, 1});
      !read)
    return read;
  auto large = std::find_if(numbers.begin(), numbers.end(), [](float number) { return !(std::abs(number) < mostOfVector); });
  if (large == numbers.end())
    return {};
  return Error{fmt::format("{}: a parameter of channels is {}; whole tokens take those below {}, --step=kernels takes any",
                           package.file.path(), *large, mostOfVector)};
}

Expected<void> TokenKernel::collectVectors(const Package &package, const Weights &weights) {
  uint64_t bytes = 0;
  for (size_t weight : plan.vectors)
    bytes += uint64_t(package.plan.weights[weight].copies()) * *byteCount(package.plan.weights[weight].type);
  auto buffer = allocate(context, bytes);
  if (!buffer)
    return buffer.error();
  vectors = std::move(*buffer);
  auto room = allocate(context, bytes);
  if (!room)
    return room.error();
  inverses = std::move(*room);
  uint64_t at = 0;
  for (size_t weight : plan.vectors)
    for (int64_t layer = 0; layer < package.plan.weights[weight].copies(); ++layer) {
      uint64_t size = *byteCount(package.plan.weights[weight].type);
      if (auto copied = copyOnDevice(*context, {vectors->address + at, size, weights.address(weight, layer), size, size, 1});
          !copied)
        return copied;
      at += size;
    }
  return {};
}

Expected<void> TokenKernel::arrange(const Package &package, const Weights &weights) {
  std::vector<uint64_t> matrices, scales;
  auto addPhase = [&](const PlanToken::Phase &phase, int64_t layer) {
    for (size_t weight : phase.matrices)
      matrices.push_back(reinterpret_cast<uint64_t>(weights.address(weight, layer)));
    for (size_t weight : phase.scales)
      scales.push_back(reinterpret_cast<uint64_t>(weights.address(weight, layer)));
  };
  for (int64_t layer = 0; layer < plan.layers; ++layer)
    for (size_t i = 0; i + 1 < plan.phases.size(); ++i)
      addPhase(plan.phases[i], layer);
  addPhase(plan.phases.back(), 0);
  const size_t count = matrices.size();
  matrices.insert(matrices.end(), scales.begin(), scales.end());
  auto sources = toDevice(matrices.data(), matrices.size() * 8);
  auto madeShares = toDevice(shares.shares.data(), shares.shares.size() * sizeof(sm1token::Share));
  auto madeUses = toDevice(shares.uses.data(), shares.uses.size() * 2);
  auto madeStream = allocate(context, shares.streamBytes);
  for (auto *made : {&sources, &madeShares, &madeUses, &madeStream})
    if (!*made)
      return made->error();
  deviceShares = std::move(*madeShares);
  uses = std::move(*madeUses);
  stream = std::move(*madeStream);
  auto function = variants.begin()->second.module.function("sm1_token_arrange");
  if (!function)
    return function.error();
  if (auto collected = collectVectors(package, weights); !collected)
    return collected;
  if (auto checked = checkVectors(package); !checked)
    return checked;
  sm1token::Arrangement arrangement = {reinterpret_cast<const sm1token::Share *>(deviceShares->address),
                                       reinterpret_cast<const unsigned long long *>((*sources)->address),
                                       reinterpret_cast<const unsigned long long *>((*sources)->address) + count,
                                       stream->address,
                                       reinterpret_cast<const float *>(vectors->address),
                                       reinterpret_cast<unsigned *>(inverses->address),
                                       int(vectors->bytes / 4)};
  void *parameters[] = {&arrangement};
  context->busy = true;
  CUresult result = context->driver.cuLaunchKernel(*function, unsigned(shares.shares.size()), 8, 1, 256, 1, 1, 0, context->stream,
                                                   parameters, nullptr);
  if (result != success)
    return context->error(result, "arranging weights");
  return context->wait("arranging weights");
}

Expected<std::unique_ptr<TokenKernel>> TokenKernel::make(const std::shared_ptr<Context> &context, const Package &package,
                                                         const std::string &target, const Weights &weights) {
  const PlanProgram &program = package.plan.programs.find(target)->second;
  if (!program.token)
    return Error{fmt::format("{}: the package has no kernel for whole tokens; sm1c --remarks says why", package.file.path())};
  // Copies in bulk came with 9.0.
  if (context->capability < 90 || !context->cooperates)
    return Error{fmt::format("{} ({}): cannot compute whole tokens, which takes compute capability 9.0 and cooperative launches",
                             context->name(), context->deviceName)};
  std::unique_ptr<TokenKernel> kernel(
      new TokenKernel(context, *program.token, shareTokens(*program.token, context->multiprocessorCount)));
  kernel->text = reinterpret_cast<const char *>(package.token(target)->data);
  kernel->vocabulary = program.token->partitions[program.token->phases.back().partition];
  kernel->hasChoices = package.plan.weights[program.token->table].type.shape[0] == kernel->vocabulary && kernel->vocabulary > 1 &&
                       kernel->vocabulary <= 1024;
  kernel->table = weights.address(program.token->table, 0);
  StateLayout layout(package.plan);
  kernel->stateBytes = layout.bytes;
  for (size_t state : program.token->states)
    kernel->stateOffsets.push_back(layout.places[state].offset);
  if (auto made = kernel->variantFor(1); !made)
    return made.error();
  if (auto arranged = kernel->arrange(package, weights); !arranged)
    return arranged.error();
  if (auto chosen = kernel->chooseDelays(kernel->variants.begin()->second, 1); !chosen)
    return chosen.error();
  return kernel;
}

//===-- Running -------------------------------------------------------------------------------------------------------------===//

sm1token::Launch TokenKernel::launchOf(const Variant &variant, const TokenRun &run) const {
  sm1token::Launch launch = {};
  launch.shares = reinterpret_cast<const sm1token::Share *>(deviceShares->address);
  launch.stream = stream->address;
  launch.uses = reinterpret_cast<const unsigned short *>(uses->address);
  launch.table = table;
  launch.vectors = reinterpret_cast<const float *>(vectors->address);
  launch.inverses = reinterpret_cast<const unsigned *>(inverses->address);
  launch.exchange = reinterpret_cast<unsigned short *>(variant.exchange->address);
  launch.keys = reinterpret_cast<unsigned long long *>(variant.keys->address);
  launch.sequences = reinterpret_cast<const unsigned long long *>(run.sequences);
  launch.tokens = run.tokens;
  launch.logits = run.logits;
  launch.logitsStride = run.logitsStride;
  std::copy(stateOffsets.begin(), stateOffsets.end(), launch.stateOffset);
  launch.repeats = 1;
  launch.sequenceCount = int(run.sequenceCount);
  setClocks(launch, variant.delays.clocks);
  return launch;
}

/// Of the variant for up to `sequences`; with the epoch and tags that are next.
Expected<void> TokenKernel::start(Variant &variant, int64_t sequences, sm1token::Launch &launch) {
  launch.epoch = variant.epoch;
  launch.tags = variant.tags;
  if (auto ready = context->enter(); !ready)
    return ready;
  void *parameters[] = {&launch};
  context->busy = true;
  CUresult result = context->driver.cuLaunchCooperativeKernel(
      variant.function, unsigned(shares.shares.size()), 1, 1, unsigned(threadsFor(sequences)), 1, 1,
      unsigned(context->sharedLimit - sharedMargin), context->stream, parameters);
  if (result != success)
    return context->error(result, fmt::format("launching {} blocks for whole tokens", shares.shares.size()));
  for (int token = 0; token < launch.repeats; ++token)
    variant.count(plan, launch.sequenceCount);
  return {};
}

Expected<void> TokenKernel::run(const TokenRun &run) {
  auto variant = variantFor(run.sequenceCount);
  if (!variant)
    return variant.error();
  sm1token::Launch launch = launchOf(**variant, run);
  if (run.ordered)
    orderFrom(**variant, launch);
  return start(**variant, sizeFor(run.sequenceCount), launch);
}

/// The next launch, of this variant, follows orders.
void TokenKernel::orderFrom(Variant &variant, sm1token::Launch &launch) {
  ordered = &variant;
  orderedSequences = launch.sequenceCount;
  variant.orders->begin(launch, orderedSequences, variant.epoch + unsigned(plan.layers), epochsOf(plan));
}

/// The launch has begun another token where it has obeyed an order to go on.
Expected<const uint8_t *> TokenKernel::await() {
  auto chosen = ordered->orders->await();
  if (chosen && *chosen && ordered->orders->goesOn())
    ordered->count(plan, orderedSequences);
  return chosen;
}

} // namespace sm1rt::cuda
