// Opening a model, and what does not belong to a run: sequences, names, the fingerprint.
#include "RunContext.h"

#include "Guard.h"
#include "KernelCheck.h"

#include <fmt/format.h>

#include <new>

namespace sm1rt {

static constexpr int64_t rowsPerPassLimit = 1 << 20;

ModelImpl::ModelImpl(Package opened, OpenedDevice onDevice, const OpenOptions &options)
    : package(std::move(opened)), options(options), device(std::move(onDevice.device)), target(std::move(onDevice.target)),
      program(package.plan.programs.find(target)->second), layout(package.plan), lastContext(new RunContext) {}

ModelImpl::~ModelImpl() = default;

/// Names of no variant are mistakes, but on a CPU, which has none.
static Expected<void> checkVariants(const PlanProgram &program, const OpenOptions &options) {
  std::string names = "none";
  for (const PlanRange &range : program.ranges)
    names += ", " + range.variant;
  for (const std::string &name : options.variants)
    if (name != "none" && !program.isVariant(name) && program.capability != 0)
      return Error{fmt::format("variants: there is no '{}', the package has {}", name, names)};
  return {};
}

Expected<std::unique_ptr<ModelImpl>> ModelImpl::open(const std::string &path, const OpenOptions &options) {
  if (options.rowsPerPass < 0 || options.rowsPerPass > rowsPerPassLimit)
    return Error{
        fmt::format("rows per pass: {} is outside 1 to {}, or 0 for what suits the device", options.rowsPerPass, rowsPerPassLimit)};
  auto package = Package::open(path);
  if (!package)
    return package.error();
  auto target = openDevice(*package, options);
  if (!target)
    return target.error();
  if (auto known = checkVariants(package->plan.programs.find(target->target)->second, options); !known)
    return known.error();
  auto model = std::make_unique<ModelImpl>(std::move(*package), std::move(*target), options);
  // The program moved with the package; std::map keeps its nodes in place, so the device's reference stays good.
  bool isFp8 = model->package.plan.programs.find(model->target)->second.compute == "fp8";
  auto weights = Weights::bind(model->package, options.params, *model->device, isFp8 ? options.warn : OpenOptions().warn);
  if (!weights)
    return weights.error();
  model->weights = std::move(*weights);
  if (auto replaced = model->device->replaceKernels(model->package, model->weights, options); !replaced)
    return replaced.error();
  if (auto ready = model->prepareStep(); !ready)
    return ready.error();
  return model;
}

/// A step in one launch, where it is wanted and possible. Kernels of the user are part of the other way.
Expected<void> ModelImpl::prepareStep() {
  if (options.step != "auto" && options.step != "token" && options.step != "kernels")
    return Error{fmt::format("step '{}' is none of auto, token, kernels", options.step)};
  if (options.step == "kernels" || (options.step == "auto" && !options.replace.empty()))
    return {};
  if (!options.replace.empty())
    return Error{"--step=token: runs none of the kernels that --replace names; drop one of the two"};
  auto ready = device->prepareTokens(package, weights);
  return options.step == "token" ? ready : Expected<void>();
}

static uint64_t hashText(const std::string &text, uint64_t seed) {
  // The length keeps ("ab", "c") and ("a", "bc") apart.
  uint64_t length = text.size();
  return fnv1a(text.data(), length, fnv1a(&length, sizeof(length), seed));
}

Expected<std::string> ModelImpl::fingerprint() {
  std::lock_guard<std::mutex> lock(mutex);
  if (knownFingerprint)
    return *knownFingerprint;
  auto hash = weights.hash(package.plan, *device);
  if (!hash)
    return hash.error();
  uint64_t seed = hashText(package.source, *hash);
  for (const PlanParam &param : package.plan.params)
    seed = hashText(fmt::format("{} {} {}", param.name, param.count, toString(param.shape)), seed);
  for (const PlanState &state : package.plan.states)
    seed = hashText(fmt::format("{} {} {}", state.name, state.layers, toString(state.shape)), seed);
  knownFingerprint = toHex(seed);
  return *knownFingerprint;
}

Model::Model(std::unique_ptr<ModelImpl> impl) : impl(std::move(impl)) {}
Model::Model(Model &&) noexcept = default;
Model &Model::operator=(Model &&) noexcept = default;
Model::~Model() = default;

Expected<Model> Model::open(const std::string &package, const OpenOptions &options) {
  auto impl = guarded([&] { return ModelImpl::open(package, options); });
  if (!impl)
    return impl.error();
  return Model(std::move(*impl));
}

const Plan &Model::plan() const { return impl->package.plan; }
std::string Model::deviceName() const { return impl->device->name(); }
int64_t Model::rowsPerPass() const { return impl->rowsPerPass(); }
int64_t Model::tokenSequences() const { return impl->device->tokenSequences(); }
std::string Model::target() const { return impl->target; }
Expected<std::string> Model::fingerprint() const {
  return guarded([&] { return impl->fingerprint(); });
}

void ModelImpl::timeLaunches(std::function<void(const LaunchTime &)> take) {
  std::lock_guard<std::mutex> lock(mutex);
  takeLaunchTime = std::move(take);
}
void Model::timeLaunches(std::function<void(const LaunchTime &)> take) { impl->timeLaunches(std::move(take)); }

Expected<void> ModelImpl::compareKernel(const std::string &kernel, ModelImpl &trusted, int64_t moreRows) {
  std::scoped_lock lock(mutex, trusted.mutex);
  return checkKernel({{*trusted.device, trusted.package, trusted.program, trusted.weights},
                      {*device, package, program, weights},
                      kernel,
                      nullptr,
                      moreRows});
}
Expected<void> Model::compareKernel(const std::string &kernel, Model &trusted, int64_t moreRows) {
  return guarded([&] { return impl->compareKernel(kernel, *trusted.impl, moreRows); });
}

Sequence Model::newSequence() const {
  std::lock_guard<std::mutex> lock(impl->mutex);
  auto memory = impl->device->allocate(impl->layout.bytes);
  if (!memory)
    throw std::bad_alloc();
  return Sequence(std::unique_ptr<SequenceImpl>(new SequenceImpl{impl.get(), std::move(*memory), 0}));
}

Expected<void> Model::generate(const std::vector<Piece> &prompts, const Generation &generation) {
  return guarded([&] { return impl->generate(prompts, generation); });
}

Expected<Outputs> Model::run(std::string_view entry, const std::vector<Piece> &pieces) {
  return guarded([&] { return impl->run(entry, pieces); });
}

} // namespace sm1rt
