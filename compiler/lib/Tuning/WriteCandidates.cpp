//===- WriteCandidates.cpp - packages with other schedules, to be measured ---------------------------------------===//
//
// Package n has the n-th candidate of every kernel that has so many: kernels are timed one by one, so that one package measures a
// schedule of each.

#include "../Driver/Observer.h"
#include "../Driver/StageFiles.h"
#include "TuningFiles.h"
#include "sm1c/Tuning.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"

#include <map>

using namespace mlir;
using namespace sm1;
namespace json = llvm::json;

namespace {
struct TunedKernel {
  std::string name, key;
  std::vector<Candidate> candidates;
};

/// Takes the kernels of a compilation that ends at Stage::Scheduled.
class KernelLister : public Observer {
public:
  explicit KernelLister(size_t most) : most(most) {}
  bool takesOutput() const override { return true; }
  void onText(const StageText &) override {}
  void onModule(ModuleOp module, Stage stage, const Target *target, Entry entry) override;

  std::vector<TunedKernel> kernels;
  std::string compute; ///< of a GPU

private:
  size_t most;
};
} // namespace

/// What a GPU's program computes in: with tensor cores prefills of some rows have kernels of their own.
static StringRef computeOf(ModuleOp module) {
  bool bf16 = false;
  module.walk([&](LinearOp linear) { bf16 |= getElementTypeOrSelf(linear.getX()).isBF16(); });
  return bf16 ? "bf16" : "f32";
}

void KernelLister::onModule(ModuleOp module, Stage stage, const Target *target, Entry entry) {
  if (stage != Stage::Scheduled)
    return;
  module.getContext()->loadAllAvailableDialects(); // those that lowerings build with: candidates are lowered to try them
  compute = target->isGpu() ? computeOf(module).str() : "";
  module.walk([&](KernelOp kernel) {
    std::string name = kernel.getKernelName().str();
    if (llvm::any_of(kernels, [&](const TunedKernel &known) { return known.name == name; }))
      return; // one function for several entries
    Entry own = target->isGpu() ? entryOfKernel(kernel, entry) : Entry::Both;
    auto candidates = candidatesOf(kernel, *target, own, compute, most);
    if (candidates.size() > 1)
      kernels.push_back({name, tuningKey(kernel, own, compute), std::move(candidates)});
  });
}

/// Kernels of one key are measured with the same schedules.
static void shareCandidates(std::vector<TunedKernel> &kernels) {
  std::map<std::string, const TunedKernel *> first;
  for (TunedKernel &kernel : kernels)
    if (auto [known, isNew] = first.emplace(kernel.key, &kernel); !isNew)
      kernel.candidates = known->second->candidates;
}

/// Lines for the kernels that have a candidate `number`.
static std::string scheduleText(ArrayRef<TunedKernel> kernels, size_t number) {
  std::string text;
  for (const TunedKernel &kernel : kernels)
    if (number < kernel.candidates.size())
      text += kernel.name + " " + kernel.candidates[number].schedule + "\n";
  return text;
}

static json::Object load(StringRef entry, int64_t batch, int64_t time) {
  return json::Object{{"entry", entry}, {"batch", batch}, {"time", time}};
}

/// Runs in which every kernel runs, of every size that it is for.
static json::Array loadsFor(const Target &target, StringRef compute) {
  if (!target.isGpu())
    return json::Array{load("prefill", 1, 256), load("step", 8, 1), load("step", 1, 1)};
  if (compute != "bf16")
    return json::Array{load("prefill", 1, 512), load("prefill", 1, 4096), load("step", 8, 1)};
  return json::Array{load("prefill", 1, 128), load("prefill", 1, 512), load("prefill", 1, 4096), load("step", 8, 1),
                     load("step", 64, 1), load("step", 256, 1)};
}

static std::string manifest(ArrayRef<TunedKernel> kernels, const Target &target, StringRef compute, size_t packages) {
  json::Array names, list;
  for (size_t number = 0; number < packages; ++number)
    names.push_back(std::to_string(number) + ".sm1pkg");
  for (const TunedKernel &kernel : kernels) {
    json::Array candidates;
    for (const Candidate &candidate : kernel.candidates)
      candidates.push_back(json::Object{{"schedule", candidate.schedule}, {"predicted", candidate.relative}});
    list.push_back(json::Object{{"name", kernel.name}, {"key", kernel.key}, {"candidates", std::move(candidates)}});
  }
  json::Object all{{"format", candidatesFormat},   {"compiler", compilerVersion()},      {"target", target.name},
                   {"packages", std::move(names)}, {"loads", loadsFor(target, compute)}, {"kernels", std::move(list)}};
  return llvm::formatv("{0:2}\n", json::Value(std::move(all)));
}

/// Starts the program beside this one; it reports to the same terminal.
static bool measureHere(const CompileRequest &request, const Report &report) {
  std::string self = llvm::sys::fs::getMainExecutable(nullptr, nullptr);
  llvm::SmallString<128> bench = llvm::sys::path::parent_path(self);
  llvm::sys::path::append(bench, "sm1-bench");
  if (!llvm::sys::fs::can_execute(bench))
    return report("sm1c: error: --tune-device: " + bench.str().str() + " is not there; run sm1-bench tune " + request.tune +
                  " where it is"),
           false;
  std::string device = "--device=" + request.tuneDevice;
  std::string params = "--params=" + (request.params.empty() ? request.model : request.params);
  int result = llvm::sys::ExecuteAndWait(bench, {bench, "tune", request.tune, device, params});
  if (result != 0)
    report("sm1c: error: --tune-device=" + request.tuneDevice + ": sm1-bench tune ended with " + std::to_string(result));
  return result == 0;
}

/// Why the options do not go with --tune; empty if they do.
static std::string whyNotTune(const CompileRequest &request) {
  const Target *target = request.targets.size() == 1 ? findTarget(request.targets.front()) : nullptr;
  if (!target)
    return "--tune measures for one target at a time; name it, such as --target=sm_90 or --target=x86-64-v4";
  if (!request.schedule.empty())
    return "--tune looks for schedules and --schedule gives them; leave one out";
  if (request.weightsIn == "package")
    return "--weights-in=package would put the weights into every candidate; leave it out, sm1-bench tune has --params";
  return "";
}

bool sm1::writeCandidates(const CompileRequest &given, const Report &report) {
  if (std::string why = whyNotTune(given); !why.empty())
    return report("sm1c: error: " + why), false;
  if (std::error_code failed = llvm::sys::fs::create_directories(given.tune))
    return report("sm1c: error: " + given.tune + ": " + StringRef(failed.message()).lower()), false;
  CompileRequest request = given;
  request.weightsIn = "external";
  request.emit = stageName(Stage::Scheduled).str();
  KernelLister lister(given.tuneCandidates);
  if (!compile(request, report, &lister))
    return false;
  shareCandidates(lister.kernels);
  const Target &target = *findTarget(given.targets.front());
  size_t packages = 1;
  for (const TunedKernel &kernel : lister.kernels)
    packages = std::max(packages, kernel.candidates.size());
  request.emit.clear();
  for (size_t number = 0; number < packages; ++number) {
    std::string stem = given.tune + "/" + std::to_string(number);
    request.output = stem + ".sm1pkg";
    request.schedule = number ? stem + ".schedule" : "";
    if (number)
      if (llvm::Error error = writeFile(request.schedule, scheduleText(lister.kernels, number)))
        return report("sm1c: error: " + llvm::toString(std::move(error))), false;
    if (!compile(request, report))
      return false;
  }
  // Last: a folder without it has no candidates, and times of others are not for it.
  if (llvm::Error error = writeFile(candidatesPath(given.tune), manifest(lister.kernels, target, lister.compute, packages)))
    return report("sm1c: error: " + llvm::toString(std::move(error))), false;
  if (!given.tuneDevice.empty() && !measureHere(given, report))
    return false;
  if (given.tuneDevice.empty())
    report("sm1c: note: " + std::to_string(packages) + " packages for " + std::to_string(lister.kernels.size()) +
           " kernels; measure them with: sm1-bench tune " + given.tune + ", then: sm1c " + given.tune + " --tune-into=FILE");
  return true;
}
