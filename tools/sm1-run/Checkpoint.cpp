// The cache of compiled checkpoints. An entry's name is a hash of everything that the package depends on, so entries never go
// stale; its content is checked before use, so a damaged one is rebuilt.
#include "Checkpoint.h"

#include "Progress.h"

#include "Platform.h"
#include "sm1rt/Model.h"
#include "sm1rt/Package.h"
#include "sm1rt/Plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <filesystem>

using namespace sm1rt;
namespace fs = std::filesystem;

constexpr uint64_t configLimitBytes = 1 << 20;

/// SM1C, else beside this program, else by name in PATH.
static std::string findCompiler() {
  if (const char *named = std::getenv("SM1C"); named && *named)
    return named;
  if (Expected<std::string> self = executablePath()) {
    std::string beside = (fs::path(*self).parent_path() / "sm1c").string();
    if (fileExists(beside))
      return beside;
  }
  if (const char *path = std::getenv("PATH")) {
    std::string folders = path;
    for (size_t begin = 0; begin <= folders.size();) {
      size_t end = std::min(folders.find(':', begin), folders.size());
      std::string candidate = (fs::path(folders.substr(begin, end - begin)) / "sm1c").string();
      if (fileExists(candidate))
        return candidate;
      begin = end + 1;
    }
  }
  return "";
}

/// What is known of the compiler without running it: a rebuilt one has another size or time.
static std::string compilerIdentity(const std::string &compiler) {
  std::error_code code;
  fs::path real = fs::canonical(compiler, code);
  uintmax_t bytes = fs::file_size(real, code);
  auto time = fs::last_write_time(real, code).time_since_epoch().count();
  return fmt::format("{} {} {}", real.string(), bytes, time);
}

/// Names, dtypes and shapes of the checkpoint's tensors: the compiler's defaults depend on them. Values do not matter.
static Expected<std::string> describeTensors(const CommonOptions &options) {
  std::string file = options.params.empty() ? options.model : options.params;
  if (isDirectory(file))
    file = (fs::path(file) / "model.safetensors").string();
  if (!fileExists(file)) {
    if (options.params.empty())
      return Error{
          fmt::format("{}: has no model.safetensors; a configuration alone compiles (sm1c {} -o OUT --weights-in=external) but "
                      "cannot run: add the weights, or name them with --params",
                      options.model, options.model)};
    return Error{fmt::format("{}: no such file; --params names a checkpoint directory or a safetensors file", file)};
  }
  Expected<SafetensorsFile> tensors = SafetensorsFile::open(file);
  if (!tensors)
    return tensors.error();
  std::string text;
  for (const FileTensor &tensor : tensors->tensors())
    text += tensor.name + " " + toString(tensor.type) + "\n";
  return text;
}

static std::vector<std::string> compilerArguments(const CommonOptions &options, const std::string &targets,
                                                  const std::string &compiler, const std::string &output) {
  std::vector<std::string> arguments = {compiler, options.model, "-o", output, "--weights-in=external", "--target=" + targets};
  auto pass = [&](const char *option, const std::string &value) {
    if (!value.empty())
      arguments.push_back(fmt::format("--{}={}", option, value));
  };
  pass("params", options.params);
  pass("weights", options.weights);
  pass("compute", options.compute);
  pass("form", options.form);
  return arguments;
}

/// Everything about the checkpoint that its package depends on.
static Expected<std::string> describeCheckpoint(const CommonOptions &options) {
  std::string config = (fs::path(options.model) / "config.json").string();
  if (!fileExists(config))
    return Error{fmt::format("{}: holds no config.json{}", options.model,
                             fileExists((fs::path(options.model) / "model.pt").string())
                                 ? ", but a model.pt, as train.py writes it; tools/convert-checkpoint makes a checkpoint of it"
                                 : "; a checkpoint directory has config.json and model.safetensors")};
  Expected<std::string> text = readTextFile(config, configLimitBytes);
  if (!text)
    return text;
  Expected<std::string> tensors = describeTensors(options);
  if (!tensors)
    return tensors;
  return *text + '\0' + *tensors;
}

/// sm1c would speak of targets, which nobody has named here.
static Expected<void> checkFp8(const CommonOptions &options, const std::vector<std::string> &targets) {
  constexpr int oldest = 89;
  std::optional<int> capability = gpuTarget(targets.back());
  if (options.compute != "fp8" || capability.value_or(0) >= oldest)
    return {};
  return Error{
      fmt::format("{}: --compute=fp8 multiplies e4m3 on GPUs from sm_{} on, and {}; pass --compute=bf16, or another --device",
                  options.model, oldest, capability ? "this one is " + targets.back() : "this would run on the CPU")};
}

static Expected<std::string> cachePath(const CommonOptions &options, const std::string &targets, const std::string &checkpoint,
                                       const std::string &compiler) {
  Expected<std::string> folder = cacheDirectory("sm1");
  if (!folder)
    return Error{folder.error().message + "; name another with XDG_CACHE_HOME, or compile once with sm1c and run the package"};
  std::string key = checkpoint;
  for (const std::string &part : {targets, options.weights, options.compute, options.form, compilerIdentity(compiler)})
    key += '\0' + part;
  return (fs::path(*folder) / (toHex(fnv1a(key.data(), key.size())) + ".sm1pkg")).string();
}

/// What a compiler has to say: its last line with "error: ", without that word; else its last line.
static std::string lastWords(std::string text) {
  while (!text.empty() && std::isspace((unsigned char)text.back()))
    text.pop_back();
  constexpr std::string_view marker = "error: ";
  size_t error = text.rfind(marker);
  if (error == std::string::npos)
    return text.substr(text.rfind('\n') + 1);
  size_t begin = text.rfind('\n', error) + 1, end = text.find('\n', error);
  return text.substr(begin, error - begin) + text.substr(error + marker.size(), end - error - marker.size());
}

static Error compilerFailure(const std::string &compiler, const ProcessResult &result) {
  std::string words = lastWords(result.output);
  if (words.empty())
    words = "it said nothing";
  if ((result.exitCode == 1 || result.exitCode == 2) && !result.output.empty())
    return {words};
  if (result.exitCode > 128)
    return {fmt::format("{}: killed by signal {}; {}", compiler, result.exitCode - 128, words)};
  return {fmt::format("{}: exit code {}; {}", compiler, result.exitCode, words)};
}

static Expected<void> compile(const CommonOptions &options, const std::string &targets, const std::string &compiler,
                              const std::string &package) {
  std::string temporary = temporaryName(package);
  fmt::print(stderr, "compiling {}\n", options.model);
  Progress clock("compiling", 1, "package");
  Expected<ProcessResult> result = runProcess(compilerArguments(options, targets, compiler, temporary));
  Expected<void> made;
  if (!result)
    made = result.error();
  else if (result->exitCode != 0)
    made = compilerFailure(compiler, *result);
  else
    made = replaceFile(temporary, package);
  if (!made)
    removeFile(temporary);
  else
    fmt::print(stderr, "compiled in {:.1f} s, kept as {}\n", clock.elapsedSeconds(), package);
  return made;
}

Expected<std::string> compiledPackage(const CommonOptions &options) {
  Expected<std::string> checkpoint = describeCheckpoint(options);
  if (!checkpoint)
    return checkpoint;
  std::string compiler = findCompiler();
  if (compiler.empty())
    return Error{
        fmt::format("{}: a checkpoint directory is compiled by sm1c, which is neither beside this program nor in PATH; set SM1C, "
                    "or name a package",
                    options.model)};
  Expected<std::vector<std::string>> names = targetsFor(options.device);
  if (!names)
    return names.error();
  if (Expected<void> fits = checkFp8(options, *names); !fits)
    return fits.error();
  std::string targets = fmt::format("{}", fmt::join(*names, ","));
  Expected<std::string> package = cachePath(options, targets, *checkpoint, compiler);
  if (!package)
    return package;
  if (fileExists(*package) && Package::open(*package))
    return package;
  if (Expected<void> compiled = compile(options, targets, compiler, *package); !compiled)
    return compiled.error();
  return package;
}
