//===- Compile.cpp - the whole way from a request to a file ------------------------------------------------------===//
//
// Stages up to fused are run once; from scheduled on, every target works on its own copy. MLIR runs in this thread, LLVM in one
// thread per target, since that is where the time goes.

#include "sm1c/Compile.h"

#include "Driver/Description.h"
#include "Driver/Diagnostics.h"
#include "sm1c/Codegen.h"
#include "sm1c/Package.h"
#include "sm1c/Stages.h"

#include "mlir/InitAllDialects.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/IR/DiagnosticInfo.h"
#include "llvm/IR/DiagnosticPrinter.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Target/TargetMachine.h"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>

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
  names.insert(names.end(), {"llvm", "asm"});
  return names;
}

std::vector<std::string> sm1::fusionPassNames() {
  std::vector<std::string> names;
  for (StringRef name : fusionPasses())
    names.push_back(name.str());
  return names;
}

std::string sm1::compilerVersion() { return "sm1c 0.1.0 (LLVM " LLVM_VERSION_STRING ")"; }

namespace {
/// What is made for one target.
struct TargetJob {
  explicit TargetJob(const Target *target) : target(target), context(std::make_unique<llvm::LLVMContext>()) {}

  const Target *target;
  OwningOpRef<ModuleOp> module; ///< at Stage::Target
  std::unique_ptr<llvm::LLVMContext> context;
  std::unique_ptr<llvm::TargetMachine> machine;
  std::unique_ptr<llvm::Module> ir;
  std::string irText, assembly;
  FlatCode code;
  std::string error;
};

class Compilation {
public:
  Compilation(const CompileRequest &request, const Report &report) : request(request), report(report) {}
  bool run();

private:
  /// Reports an llvm::Error; true when there was one.
  bool failedWith(llvm::Error error);
  bool prepare();
  bool parse();
  bool reachFused();
  bool reachTarget(TargetJob &job);
  bool reachLlvmIr(TargetJob &job);
  void generateCode(TargetJob &job) const;
  bool generateAll();
  bool writePackage();
  bool writeText();

  bool runStage(ModuleOp module, Stage stage, const Target *target);
  bool keepStage(StringRef name, const Target *target, const std::string &text);
  bool dump(StringRef file, const std::string &text);
  bool wants(StringRef name) const { return request.emit == name; }
  /// True if the work ends before `name` is reached.
  bool endsBefore(StringRef name) const;
  void finishPhase(const char *phase);

  const CompileRequest &request;
  const Report &report;
  StageOptions options;
  Description description;
  SmallVector<const Target *> targets;
  DialectRegistry registry;
  std::unique_ptr<MLIRContext> context;
  std::unique_ptr<DiagnosticLines> diagnostics;
  OwningOpRef<ModuleOp> module; ///< up to Stage::Fused
  std::unique_ptr<PlanBuilder> plan;
  std::vector<TargetJob> jobs;
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

bool Compilation::endsBefore(StringRef name) const {
  auto names = emitNames();
  auto wanted = llvm::find(names, request.emit);
  return wanted < llvm::find(names, name.str()); // a package is behind all of them
}

/// Writes a whole file or none.
static llvm::Error writeFile(const std::string &path, const std::string &text) {
  auto error = llvm::writeToOutput(path, [&](raw_ostream &stream) { return stream << text, llvm::Error::success(); });
  if (!error)
    return error;
  std::string reason = llvm::toString(std::move(error));
  StringRef rest = reason;
  rest.consume_front("'" + path + "': ");
  return llvm::createStringError(path + ": " + rest.lower());
}

bool Compilation::dump(StringRef file, const std::string &text) {
  return request.dumpStages.empty() || !failedWith(writeFile(request.dumpStages + "/" + file.str(), text));
}

/// The text of a stage, kept if it was asked for. `target` is set for stages of one target.
bool Compilation::keepStage(StringRef name, const Target *target, const std::string &text) {
  static constexpr std::pair<llvm::StringLiteral, llvm::StringLiteral> files[] = {{"spec", "00-spec.mlir"},
                                                                                  {"precise", "10-precise.mlir"},
                                                                                  {"fused", "20-fused.mlir"},
                                                                                  {"scheduled", "30-scheduled-{0}.mlir"},
                                                                                  {"target", "40-target-{0}.mlir"},
                                                                                  {"llvm", "50-{0}.ll"},
                                                                                  {"asm", "60-{0}.s"}};
  if (wants(name)) {
    const char *comment = name == "llvm" ? ";" : name == "asm" ? "#" : "//";
    if (target && !emitted.empty() && name != "llvm" && name != "asm")
      emitted += "// -----\n";
    emitted += (target ? (comment + Twine(" target ") + target->name + "\n").str() : "") + text;
  }
  auto file = llvm::find_if(files, [&](auto &pair) { return pair.first == name; });
  return dump(target ? llvm::formatv(file->second.data(), target->name).str() : file->second.str(), text);
}

bool Compilation::runStage(ModuleOp from, Stage stage, const Target *target) {
  options.target = target;
  PassManager passes(context.get());
  buildStage(passes, stage, options);
  if (failed(passes.run(from))) {
    if (!diagnostics->sawError())
      report(("sm1c: error: " + request.model + ": a pass of the stage " + stageName(stage) + " gave up without a reason").str());
    return false;
  }
  return keepStage(stageName(stage), target, request.dumpStages.empty() && !wants(stageName(stage)) ? "" : toText(from));
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
  if (request.output.empty() && request.emit.empty())
    return report("sm1c: error: no output; name the package with -o OUT, or print a stage with --emit=STAGE"), false;
  auto loaded = loadDescription(request);
  if (!loaded)
    return !failedWith(loaded.takeError());
  description = std::move(*loaded);
  options.storage = description.storage;
  options.compute = request.compute;
  if (options.compute == "bf16" && options.storage != "bf16")
    return report("sm1c: error: " + request.model + ": --compute=bf16 multiplies bf16 by bf16, but matrices are stored as " +
                  options.storage + "; add --weights=bf16"),
           false;
  options.form = request.form == "closed_form" ? ScanForm::ClosedForm : ScanForm::Exact;
  options.disabled = llvm::is_contained(request.disabledPasses, "all") ? fusionPassNames() : request.disabledPasses;
  if (!request.dumpStages.empty())
    if (std::error_code error = llvm::sys::fs::create_directories(request.dumpStages))
      return report("sm1c: error: " + request.dumpStages + ": cannot be made: " + StringRef(error.message()).lower()), false;
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
  plan = std::make_unique<PlanBuilder>(PlanOptions{compilerVersion(), options.storage, options.compute,
                                                   options.form == ScanForm::ClosedForm, !description.checkpoint.empty()});
  if (failed(plan->addDescription(models.front())))
    return false;
  plan->addHash("source", {reinterpret_cast<const uint8_t *>(description.text.data()), description.text.size()});
  return keepStage("spec", nullptr, description.text);
}

bool Compilation::reachFused() {
  for (Stage stage : {Stage::Precise, Stage::Fused})
    if (!endsBefore(stageName(stage)) && !runStage(*module, stage, nullptr))
      return false;
  return true;
}

bool Compilation::reachTarget(TargetJob &job) {
  job.module = module->clone();
  for (Stage stage : {Stage::Scheduled, Stage::Target})
    if (!endsBefore(stageName(stage)) && !runStage(*job.module, stage, job.target))
      return false;
  return true;
}

bool Compilation::reachLlvmIr(TargetJob &job) {
  auto machine = createTargetMachine(*job.target);
  if (!machine)
    return !failedWith(machine.takeError());
  job.machine = std::move(*machine);
  OwningOpRef<ModuleOp> kernels = kernelFunctions(*job.module);
  if (failed(lowerToLlvm(*kernels)))
    return false;
  job.context->setDiagnosticHandlerCallBack(
      [](const llvm::DiagnosticInfo *info, void *error) {
        if (info->getSeverity() != llvm::DS_Error)
          return;
        llvm::raw_string_ostream stream(*static_cast<std::string *>(error));
        llvm::DiagnosticPrinterRawOStream printer(stream);
        info->print(printer);
      },
      &job.error);
  job.ir = translateToLlvmIr(*kernels, *job.context, *job.target, *job.machine);
  return job.ir != nullptr;
}

/// LLVM's part for one target, in a thread of its own; an error is left in the job.
void Compilation::generateCode(TargetJob &job) const {
  bool keepsText = !request.dumpStages.empty();
  optimize(*job.ir, *job.machine);
  if (keepsText || wants("llvm"))
    llvm::raw_string_ostream(job.irText) << *job.ir;
  if (endsBefore("asm"))
    return;
  auto fail = [&](llvm::Error error) { job.error = llvm::toString(std::move(error)); };
  if (keepsText || wants("asm")) {
    auto assembly = emitAssembly(*job.ir, *job.machine);
    if (!assembly)
      return fail(assembly.takeError());
    job.assembly = std::move(*assembly);
  }
  auto object = emitObject(*job.ir, *job.machine);
  if (!object)
    return fail(object.takeError());
  auto code = flatten(*object);
  if (!code)
    return fail(code.takeError());
  job.code = std::move(*code);
}

bool Compilation::generateAll() {
  std::vector<std::thread> threads;
  for (TargetJob &job : jobs)
    threads.emplace_back([&] { generateCode(job); });
  for (std::thread &thread : threads)
    thread.join();
  for (TargetJob &job : jobs) {
    if (!job.error.empty())
      return report(("sm1c: error: " + description.name + ": target " + job.target->name + ": " + job.error).str()), false;
    if (!keepStage("llvm", job.target, job.irText) || (!endsBefore("asm") && !keepStage("asm", job.target, job.assembly)))
      return false;
  }
  return true;
}

bool Compilation::writePackage() {
  std::vector<TargetCode> code;
  for (TargetJob &job : jobs) {
    if (failed(plan->addProgram(*job.module->getOps<ModelOp>().begin(), *job.target, job.code)))
      return false;
    code.push_back({job.target, std::move(job.code)});
  }
  if (!dump("70-package.txt", request.dumpStages.empty() ? "" : describePackage(*plan, code)))
    return false;
  std::optional<sm1rt::Checkpoint> checkpoint;
  if (!description.checkpoint.empty()) {
    auto opened = sm1rt::Checkpoint::open(description.checkpoint, plan->modelName(), plan->params());
    if (!opened)
      return report("sm1c: error: " + opened.error().message), false;
    checkpoint.emplace(std::move(*opened));
  }
  if (failedWith(sm1::writePackage(request.output, *plan, description.text, code, checkpoint ? &*checkpoint : nullptr)))
    return false;
  if (!description.note.empty() && !plan->params().empty())
    report("sm1c: note: " + description.note);
  return true;
}

bool Compilation::writeText() {
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
  if (!reachFused())
    return false;
  finishPhase("precise, fused");
  if (!endsBefore("scheduled"))
    for (const Target *target : targets)
      jobs.emplace_back(target);
  for (TargetJob &job : jobs)
    if (!reachTarget(job))
      return false;
  finishPhase("scheduled, target");
  if (!endsBefore("llvm")) {
    for (TargetJob &job : jobs)
      if (!reachLlvmIr(job))
        return false;
    finishPhase("LLVM IR");
    if (!generateAll())
      return false;
    finishPhase("optimisation, machine code");
  }
  bool written = request.emit.empty() ? writePackage() : writeText();
  finishPhase(request.emit.empty() ? "plan, weights, file" : "text");
  return written;
}

bool sm1::compile(const CompileRequest &request, const Report &report) { return Compilation(request, report).run(); }
