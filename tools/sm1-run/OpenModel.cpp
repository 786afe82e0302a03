// Opens models and checks that they are what the command line asked for.
#include "OpenModel.h"

#include "Checkpoint.h"

#include "Platform.h"

#include <fmt/format.h>

#include <filesystem>

using namespace sm1rt;
namespace fs = std::filesystem;

static OpenOptions openOptionsFrom(const CommonOptions &options) {
  OpenOptions open;
  open.params = options.params;
  open.device = options.device;
  open.isa = options.isa;
  open.threads = options.threads;
  open.rowsPerPass = options.rowsPerPass;
  open.replace = options.replace;
  open.trustReplacements = options.trust;
  open.step = options.step;
  open.variants.insert(options.variants.begin(), options.variants.end());
  open.warn = [](std::string_view line) { fmt::print(stderr, "warning: {}\n", line); };
  if (options.trace)
    open.trace = [](std::string_view line) { fmt::print(stderr, "{}\n", line); };
  return open;
}

/// `asked` is what the command line says, empty for no wish.
static Expected<void> checkCompiledWith(const std::string &package, const char *option, const std::string &asked,
                                        const std::string &have) {
  if (asked.empty() || asked == have)
    return {};
  return Error{fmt::format("{}: compiled with {}={}, --{}={} was asked for; recompile with sm1c --{}={}", package, option, have,
                           option, asked, option, asked)};
}

static Expected<Model> openPackage(const CommonOptions &options) {
  if (!fileExists(options.model))
    return Error{fmt::format("{}: no such file or directory; name a package or a checkpoint directory", options.model)};
  Expected<Model> model = Model::open(options.model, openOptionsFrom(options));
  if (!model)
    return model;
  const Plan &plan = model->plan();
  Expected<void> matches = checkCompiledWith(options.model, "form", options.form, plan.form);
  if (matches)
    matches = checkCompiledWith(options.model, "weights", options.weights, plan.storage);
  if (matches)
    matches = checkCompiledWith(options.model, "compute", options.compute, plan.programs.find(model->target())->second.compute);
  if (!matches)
    return matches.error();
  return model;
}

static Expected<Model> openCheckpoint(const CommonOptions &options) {
  Expected<std::string> package = compiledPackage(options);
  if (!package)
    return package.error();
  OpenOptions open = openOptionsFrom(options);
  if (open.params.empty())
    open.params = options.model;
  return Model::open(*package, open);
}

Expected<Model> openModel(const CommonOptions &options) {
  return isDirectory(options.model) ? openCheckpoint(options) : openPackage(options);
}

Expected<TokenModel> tokenModelOf(const Plan &plan, const std::string &name) {
  TokenModel model{0, 0, 0};
  int tokenInputs = 0, rowInputs = 0, rowOutputs = 0;
  for (const PlanPort &input : plan.inputs) {
    tokenInputs += input.kind == PlanPort::Kind::Tokens;
    rowInputs += input.kind == PlanPort::Kind::Rows;
    if (input.kind == PlanPort::Kind::Tokens)
      model.vocabulary = input.limit;
  }
  for (const PlanPort &output : plan.outputs) {
    rowOutputs += output.kind == PlanPort::Kind::Rows;
    if (output.kind == PlanPort::Kind::Rows)
      model.logitsWidth = output.width;
  }
  if (tokenInputs != 1 || rowInputs != 0 || rowOutputs != 1)
    return Error{fmt::format(
        "{}: '{}' takes {} token and {} row inputs and gives {} row outputs, a whole model takes tokens and gives logits; "
        "run it with sm1-run call",
        name, plan.model, tokenInputs, rowInputs, rowOutputs)};
  if (model.logitsWidth != model.vocabulary)
    return Error{fmt::format("{}: '{}' takes {} tokens and gives {} logits, both must be the vocabulary; run it with sm1-run call",
                             name, plan.model, model.vocabulary, model.logitsWidth)};
  return model;
}

static bool isSameFile(const fs::path &a, const fs::path &b) {
  std::error_code error;
  return fs::equivalent(a, b, error) && !error;
}

Expected<void> checkWritable(const std::string &path, const std::vector<std::string> &read) {
  for (const std::string &name : read)
    for (const char *file : {"", "config.json", "model.safetensors", "vocab_config.json"})
      if (!name.empty() && isSameFile(path, *file ? fs::path(name) / file : fs::path(name)) && !isDirectory(path))
        return Error{fmt::format("{}: is read by this command and would be lost; name another file to write", path)};
  if (Expected<TemporaryFile> file = TemporaryFile::create(path); !file)
    return file.error();
  return {};
}
