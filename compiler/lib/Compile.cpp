//===- Compile.cpp - the whole way from a request to a file ------------------------------------------------------===//
//
// Stages up to fused are run once for all CPUs and once for each entry of GPUs; from scheduled on, every target works on its own
// copies. LLVM, where most of the time goes, runs in as many threads as there are.

#include "sm1c/Compile.h"

#include "Driver/Arithmetic.h"
#include "Driver/Description.h"
#include "Driver/Diagnostics.h"
#include "Driver/Observer.h"
#include "Driver/OwnWays.h"
#include "Driver/PassWatch.h"
#include "Driver/StageFiles.h"
#include "Transforms/BlockForms.h"
#include "sm1c/Codegen.h"
#include "sm1c/Cost.h"
#include "sm1c/Cuda.h"
#include "sm1c/Package.h"
#include "sm1c/Stages.h"
#include "sm1c/Token.h"

#include "mlir/IR/Threading.h"
#include "mlir/IR/Verifier.h"
#include "mlir/InitAllDialects.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/FormatVariadic.h"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <deque>
#include <set>

using namespace mlir;
using namespace sm1;

std::vector<std::string> sm1::targetNames() {
  std::vector<std::string> names;
  for (const Target &target : allTargets())
    names.push_back(target.name.str());
  return names;
}

std::vector<std::string> sm1::emitNames() {
  std::vector<std::string> names;
  for (Stage stage : allStages)
    names.push_back(stageName(stage).str());
  for (const char *text : {"cost", "cuda"}) // made of scheduled kernels
    names.insert(llvm::find(names, stageName(Stage::Target)), text);
  names.insert(names.end(), {"plan", "llvm", "asm", "ptx"});
  return names;
}

std::vector<std::string> sm1::fusionPassNames() {
  std::vector<std::string> names;
  for (StringRef name : fusionPasses())
    names.push_back(name.str());
  return names;
}

std::string sm1::compilerVersion() { return "sm1c " SM1_VERSION " (LLVM " LLVM_VERSION_STRING ")"; }

namespace {
/// A description on its way to targets of one kind: at Stage::Fused, for both entries or one.
struct Variant {
  Entry entry;
  std::string compute;
  OwningOpRef<ModuleOp> module;
};

/// What is made for one target.
struct TargetJob {
  explicit TargetJob(const Target *target) : target(target), code(*target) {}

  const Target *target;
  std::vector<std::pair<Entry, OwningOpRef<ModuleOp>>> modules; ///< at Stage::Target
  KernelCosts costs;
  KernelCode code;
  std::atomic<size_t> tasksLeft{0};
  std::string error;
};

class Compilation {
public:
  Compilation(const CompileRequest &request, const Report &report, Observer *observer) : request(request), report(report) {
    if (observer)
      observers.push_back(observer);
  }
  bool run();

private:
  /// Reports an llvm::Error; true when there was one.
  bool failedWith(llvm::Error error);
  bool prepare();
  bool parse();
  bool openCheckpoint();
  void listVariants();
  bool reachFused(Variant &variant);
  void makeToken(ModuleOp precise);
  bool reachTarget(TargetJob &job);
  bool reachLlvmDialect(TargetJob &job);
  bool generateAll();
  bool addProgram(TargetJob &job);
  bool keepPlan();
  bool writePackage();
  bool writeText();

  void keepCosts(TargetJob &job, StringRef compute, ModuleOp scheduled);
  bool runStage(ModuleOp module, Stage stage, Entry entry, const Target *target);
  /// A text on the way: kept if it was asked for, and shown to who looks on.
  void keepStage(StringRef name, const Target *target, Entry entry, const std::string &text);
  void show(const StageText &text) const;
  bool isWatched() const { return !observers.empty(); }
  /// Somebody looks on who wants no output.
  bool isOutputTaken() const;
  /// Reports what kept a file of --dump-stages from being written; true when something did.
  bool lostFiles() const;
  bool wants(StringRef name) const { return request.emit == name; }
  /// True if the work ends before `name` is reached.
  bool endsBefore(StringRef name) const;
  void finishPhase(const char *phase);

  const CompileRequest &request;
  const Report &report;
  StageOptions options;
  SmallVector<Observer *> observers;
  std::optional<StageFiles> files;
  OwnWays own;
  Description description;
  Arithmetic arithmetic;
  SmallVector<const Target *> targets;
  DialectRegistry registry;
  std::unique_ptr<MLIRContext> context;
  std::unique_ptr<DiagnosticLines> diagnostics;
  OwningOpRef<ModuleOp> module; ///< at Stage::Spec
  std::vector<Variant> variants;
  std::unique_ptr<TokenKernel> token; ///< of GPUs; null: a step is not one launch
  std::unique_ptr<PlanBuilder> plan;
  std::optional<sm1rt::Checkpoint> checkpoint; ///< whose weights go into the package
  std::deque<TargetJob> jobs;
  /// The text that was asked for, of all targets.
  std::string emitted;
  std::chrono::steady_clock::time_point phaseStart = std::chrono::steady_clock::now();
};
} // namespace

static std::string toText(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  stream << '\n';
  return text;
}

//===----------------------------------------------------------------------===//
// Small pieces
//===----------------------------------------------------------------------===//

bool Compilation::failedWith(llvm::Error error) {
  if (!error)
    return false;
  report("sm1c: error: " + llvm::toString(std::move(error)));
  return true;
}

void Compilation::finishPhase(const char *phase) {
  auto now = std::chrono::steady_clock::now();
  if (request.timing)
    report(llvm::formatv("time: {0,-34} {1,8:f1} ms", phase, std::chrono::duration<double, std::milli>(now - phaseStart).count())
               .str());
  phaseStart = now;
}

bool Compilation::isOutputTaken() const {
  return llvm::any_of(observers, [](const Observer *observer) { return observer->takesOutput(); });
}

bool Compilation::endsBefore(StringRef name) const {
  auto names = emitNames();
  auto wanted = llvm::find(names, request.emit);
  return wanted < llvm::find(names, name.str()); // a package is behind all of them
}

bool Compilation::lostFiles() const {
  if (!files || files->error().empty())
    return false;
  report("sm1c: error: " + files->error());
  return true;
}

void Compilation::show(const StageText &text) const {
  for (Observer *observer : observers)
    observer->onText(text);
}

/// PTX and CUDA C++ are whole files by themselves, without a line of ours.
void Compilation::keepStage(StringRef name, const Target *target, Entry entry, const std::string &text) {
  if (wants(name)) {
    const char *comment = name == "llvm" ? ";" : name == "asm" ? "#" : "//";
    bool isBare = name == "ptx" || name == "cuda";
    if (!emitted.empty() && !isBare && name != "llvm" && name != "asm")
      emitted += "// -----\n";
    std::string label = isBare ? "" : labelOf(target, entry);
    emitted += (label.empty() ? "" : std::string(comment) + " " + label + "\n") + text;
  }
  show({name, target, entry, text});
}

bool Compilation::runStage(ModuleOp from, Stage stage, Entry entry, const Target *target) {
  options.target = target;
  options.entry = entry;
  PassManager passes(context.get());
  if (failedWith(own.pipelines().build(passes, stage, options)))
    return false;
  if (!request.plugins.empty())
    watchPasses(passes);
  // From kernels to functions it is a long way, on which nobody's passes but ours run: what comes out is verified.
  bool isOurs = stage == Stage::Target && !own.pipelines().hasText(stage);
  passes.enableVerifier(!isOurs);
  if (failed(passes.run(from)) || (isOurs && failed(verify(from)))) {
    if (!diagnostics->sawError())
      report(("sm1c: error: " + request.model + ": a pass of the stage " + stageName(stage) + " gave up without a reason").str());
    if (std::string hint = own.hint(stage); !hint.empty())
      report("sm1c: note: " + hint);
    return false;
  }
  if (failed(own.checkReached(from, stage, target)))
    return false;
  // Values are as precise in every entry; with e4m3 in some, that for many rows shows it.
  if (stage == Stage::Precise && entry != Entry::Both && entry != Entry::Prefill)
    return true;
  bool isAlone = stage == Stage::Precise && llvm::none_of(variants, [](auto &variant) { return variant.entry == Entry::Both; });
  if (isAlone)
    entry = Entry::Both;
  for (Observer *observer : observers) {
    observer->onPipeline(own.pipelines().textOf(stage, options), stage, target, entry);
    observer->onModule(from, stage, target, entry);
  }
  if (isWatched() || wants(stageName(stage)))
    keepStage(stageName(stage), target, entry, toText(from));
  return true;
}

//===----------------------------------------------------------------------===//
// The way
//===----------------------------------------------------------------------===//

bool Compilation::prepare() {
  if (failedWith(checkChoices(request)))
    return false;
  auto chosen = selectTargets(request);
  if (!chosen)
    return !failedWith(chosen.takeError());
  targets = std::move(*chosen);
  if (request.output.empty() && request.emit.empty() && !isOutputTaken())
    return report("sm1c: error: no output; name the package with -o OUT, or print a stage with --emit=STAGE"), false;
  if (failedWith(checkFolder(request.output)) ||
      failedWith(checkNotRead(request.output, {request.model, request.params, request.schedule, request.tuned})))
    return false;
  auto loaded = loadDescription(request);
  if (!loaded)
    return !failedWith(loaded.takeError());
  description = std::move(*loaded);
  options.storage = description.storage;
  if (failedWith(checkArithmetic(request, description.storage, targets)))
    return false;
  for (const std::string &note : arithmeticNotes(request, targets))
    report("sm1c: note: " + note);
  arithmetic = arithmeticOf(request, description.storage);
  options.fp8 = arithmetic.fp8;
  options.form = request.form == "closed_form" ? ScanForm::ClosedForm : ScanForm::Exact;
  options.disabled = llvm::is_contained(request.disabledPasses, "all") ? fusionPassNames() : request.disabledPasses;
  if (failedWith(own.read(request, options)))
    return false;
  if (request.dumpStages.empty())
    return true;
  auto made = StageFiles::make(request.dumpStages);
  if (!made)
    return !failedWith(made.takeError());
  observers.push_back(&files.emplace(std::move(*made)));
  return true;
}

bool Compilation::parse() {
  registerAllDialects(registry);
  registerCodegenDialects(registry);
  registry.insert<Sm1Dialect>();
  context = std::make_unique<MLIRContext>(registry);
  diagnostics = std::make_unique<DiagnosticLines>(*context, report);
  if (request.remarks && failed(reportRemarks(*context, report)))
    return false;
  module = parseSourceString<ModuleOp>(description.text, context.get(), description.name);
  if (!module)
    return false;
  auto models = llvm::to_vector(module->getOps<ModelOp>());
  if (models.size() != 1) {
    report("sm1c: error: " + description.name + ": holds " + std::to_string(models.size()) +
           " sm1.model, a package is made from exactly one");
    return false;
  }
  plan = std::make_unique<PlanBuilder>(PlanOptions{compilerVersion(), options.storage,
                                                   arithmetic.leastPreciseOf(targets.front()->isGpu()),
                                                   options.form == ScanForm::ClosedForm, !description.checkpoint.empty()});
  if (failed(plan->addDescription(models.front())))
    return false;
  plan->addHash("source", {reinterpret_cast<const uint8_t *>(description.text.data()), description.text.size()});
  listVariants();
  keepStage("spec", nullptr, Entry::Both, description.text);
  return openCheckpoint();
}

/// Before anything is compiled: what is wrong with a checkpoint shows in its header.
bool Compilation::openCheckpoint() {
  if (description.checkpoint.empty() || !request.emit.empty() || isOutputTaken())
    return true;
  auto opened = sm1rt::Checkpoint::open(description.checkpoint, plan->modelName(), plan->params());
  if (!opened)
    return report("sm1c: error: " + opened.error().message), false;
  checkpoint.emplace(std::move(*opened));
  return true;
}

/// CPUs take one module for both entries, GPUs one for each; tensor cores, whose tiles can be shaped freely, more by the number of
/// rows.
void Compilation::listVariants() {
  bool hasCpu = llvm::any_of(targets, [](const Target *target) { return !target->isGpu(); });
  bool hasGpu = llvm::any_of(targets, [](const Target *target) { return target->isGpu(); });
  if (hasCpu)
    variants.push_back({Entry::Both, arithmetic.cpu, {}});
  auto isWanted = [&](Entry entry) { return request.variants.empty() || llvm::is_contained(request.variants, entryName(entry)); };
  if (hasGpu)
    for (Entry entry : gpuEntries)
      if ((!rangeOf(entry) || (arithmetic.gpu == "bf16" && isWanted(entry))) &&
          llvm::any_of(targets, [&](const Target *target) { return hasEntry(*target, entry); }))
        variants.push_back({entry, arithmetic.gpu, {}});
}

bool Compilation::reachFused(Variant &variant) {
  variant.module = module->clone();
  options.compute = variant.compute;
  for (Stage stage : {Stage::Precise, Stage::Fused}) {
    if (!endsBefore(stageName(stage)) && !runStage(*variant.module, stage, variant.entry, nullptr))
      return false;
    if (stage == Stage::Precise && options.fp8)
      plan->noteFp8Norms(*variant.module);
    if (stage == Stage::Precise && variant.entry == Entry::Step && variant.compute == "bf16" && !endsBefore("cuda"))
      makeToken(*variant.module);
  }
  return true;
}

/// A step in one launch, from what is precise and not yet fused.
void Compilation::makeToken(ModuleOp precise) {
  std::string why;
  token = makeTokenKernel(precise.clone(), description.name, description.text, why);
  if (!token && request.remarks)
    report("sm1c: remark: a step is one launch for each kernel: " + why);
}

/// Counts the kernels; the table is one of CPUs. What a GPU's take depends on the shared memory of a block, too, which the next
/// stage knows: `sm1-bench predict` reads it from the package.
void Compilation::keepCosts(TargetJob &job, StringRef compute, ModuleOp scheduled) {
  if (endsBefore("cost"))
    return;
  bool approximate = job.target->isGpu() && compute == "bf16";
  for (auto &counted : costsOf(scheduled, approximate ? Functions::Approximate : Functions::Exact))
    job.costs[counted.first()] = counted.second;
  if (!job.target->isGpu())
    keepStage("cost", job.target, Entry::Both, costTable(scheduled, *job.target));
}

bool Compilation::reachTarget(TargetJob &job) {
  CudaText cuda(description.name, description.text);
  bool printsCuda = job.target->isGpu() && (wants("cuda") || isWatched()) && !endsBefore("cuda");
  for (Variant &variant : variants) {
    if (!hasEntry(*job.target, variant.entry))
      continue;
    job.modules.emplace_back(variant.entry, variant.module->clone());
    options.compute = variant.compute;
    for (Stage stage : {Stage::Scheduled, Stage::Target}) {
      if (!endsBefore(stageName(stage)) && !runStage(*job.modules.back().second, stage, variant.entry, job.target))
        return false;
      if (stage != Stage::Scheduled)
        continue;
      own.noteKernels(*job.modules.back().second, options);
      keepCosts(job, variant.compute, *job.modules.back().second);
      if (printsCuda)
        cuda.add(*job.modules.back().second, variant.entry);
    }
  }
  if (printsCuda)
    keepStage("cuda", job.target, Entry::Both, cuda.finish(request.model, job.target->name));
  if (printsCuda && token) {
    show({"token", job.target, Entry::Both, token->text});
    for (Observer *observer : observers)
      observer->onToken(*token, job.target);
  }
  return true;
}

bool Compilation::reachLlvmDialect(TargetJob &job) {
  SmallVector<ModuleOp> modules;
  for (auto &[entry, module] : job.modules)
    modules.push_back(*module);
  return succeeded(job.code.lower(modules, request.lineInfo));
}

/// LLVM's part for all targets, kernel by kernel in as many threads as there are. What makes a target's last kernel puts them
/// together: GPUs come first, so that ptxas, one long process, runs beside what follows.
bool Compilation::generateAll() {
  bool isShown = isWatched(), isWritten = request.emit.empty() && !isOutputTaken();
  CodeWish wish{isShown || wants("llvm"), isShown || wants("asm") || wants("ptx"), !endsBefore("asm"), isWritten};
  struct Task {
    CodeTask code;
    TargetJob *job;
  };
  std::vector<Task> tasks;
  for (TargetJob &job : jobs)
    for (CodeTask &task : job.code.tasks(wish))
      tasks.push_back({std::move(task), &job}), ++job.tasksLeft;
  llvm::stable_sort(tasks, [](const Task &a, const Task &b) {
    return std::pair(a.job->target->isGpu(), a.code.size) > std::pair(b.job->target->isGpu(), b.code.size);
  });
  parallelForEach(context.get(), tasks, [&](Task &task) {
    task.code.run();
    if (--task.job->tasksLeft > 0)
      return;
    if (llvm::Error error = task.job->code.finish(wish))
      task.job->error = llvm::toString(std::move(error));
  });
  for (TargetJob &job : jobs) {
    if (!job.error.empty())
      return report(("sm1c: error: " + description.name + ": target " + job.target->name + ": " + job.error).str()), false;
    keepStage("llvm", job.target, Entry::Both, job.code.ir);
    if (!endsBefore("asm"))
      keepStage(job.target->isGpu() && !wants("asm") ? "ptx" : "asm", job.target, Entry::Both, job.code.assembly);
  }
  return true;
}

bool Compilation::addProgram(TargetJob &job) {
  SmallVector<EntryModel> models;
  for (auto &[entry, module] : job.modules)
    models.push_back({entry, *module->getOps<ModelOp>().begin(), &job.costs});
  if (failed(plan->addProgram(models, *job.target, arithmetic.leastPreciseOf(job.target->isGpu()), job.code.code)))
    return false;
  return !token || !job.target->isGpu() || succeeded(plan->addToken(*token, *job.target));
}

/// The plan without code, of kernels that have no places in it and, of a GPU, no registers: a package's is known once it is
/// written.
bool Compilation::keepPlan() {
  for (TargetJob &job : jobs) {
    std::set<std::string> names;
    for (auto &[entry, module] : job.modules)
      module->walk([&](DispatchOp dispatch) { names.insert(dispatch.getCallee().str()); });
    for (const std::string &name : names)
      job.code.code.kernels.push_back({name, 0});
    if (!addProgram(job))
      return false;
  }
  keepStage("plan", nullptr, Entry::Both, llvm::formatv("{0:2}\n", plan->plan()).str());
  return true;
}

bool Compilation::writePackage() {
  std::vector<TargetCode> code;
  for (TargetJob &job : jobs) {
    if (!addProgram(job))
      return false;
    code.push_back({job.target, std::move(job.code.code), token && job.target->isGpu() ? token->text : ""});
  }
  if (isWatched())
    show({"package", nullptr, Entry::Both, describePackage(*plan, code)});
  if (lostFiles())
    return false;
  if (isOutputTaken())
    return true;
  if (failedWith(sm1::writePackage(request.output, *plan, description.text, code, checkpoint ? &*checkpoint : nullptr)))
    return false;
  if (std::string warning = checkpoint ? checkpoint->fp8Warning(plan->params()) : ""; !warning.empty())
    report("sm1c: warning: " + warning);
  if (!description.note.empty() && !plan->params().empty())
    report("sm1c: note: " + description.note);
  return true;
}

bool Compilation::writeText() {
  if (lostFiles())
    return false;
  if (isOutputTaken())
    return true;
  if (!request.output.empty())
    return !failedWith(writeFile(request.output, emitted));
  if (std::fwrite(emitted.data(), 1, emitted.size(), stdout) == emitted.size() && std::fflush(stdout) == 0)
    return true;
  report("sm1c: error: standard output: " + StringRef(std::strerror(errno)).lower());
  return false;
}

bool Compilation::run() {
  if (!prepare() || !parse())
    return false;
  finishPhase("reading and checking");
  for (Variant &variant : variants)
    if (!reachFused(variant))
      return false;
  finishPhase("precise, fused");
  if (!endsBefore("scheduled"))
    for (const Target *target : targets)
      jobs.emplace_back(target);
  for (TargetJob &job : jobs)
    if (!reachTarget(job))
      return false;
  if (!endsBefore("scheduled") && failedWith(own.checkSchedule()))
    return false;
  if (std::string note = own.noteUnused(); !note.empty() && !endsBefore("scheduled"))
    report("sm1c: note: " + note);
  finishPhase("scheduled, target");
  if (!endsBefore("llvm")) {
    for (TargetJob &job : jobs)
      if (!reachLlvmDialect(job))
        return false;
    finishPhase("LLVM dialect");
    if (!generateAll())
      return false;
    finishPhase("optimisation, machine code");
  }
  if (wants("plan") && !keepPlan())
    return false;
  bool written = request.emit.empty() ? writePackage() : writeText();
  finishPhase(request.emit.empty() ? "plan, weights, file" : "text");
  return written;
}

bool sm1::compile(const CompileRequest &request, const Report &report, Observer *observer) {
  return Compilation(request, report, observer).run();
}

bool sm1::compile(const CompileRequest &request, const Report &report) { return compile(request, report, nullptr); }
