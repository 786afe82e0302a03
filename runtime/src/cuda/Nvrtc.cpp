// Finding NVRTC, and one compilation. Its few functions are declared here as its ABI has them.
#include "Nvrtc.h"

#include "../Platform.h"
#include "Kernels.h"

#include <fmt/format.h>

#include <cstdlib>
#include <string_view>
#include <type_traits>

namespace sm1rt::cuda {

using nvrtcResult = int;
using nvrtcProgram = struct NvrtcProgram *;
static constexpr nvrtcResult invalidOption = 5, compilationError = 6;

#if defined(_WIN32)
static constexpr const char *systemLibraries[] = {"nvrtc64_130_0.dll", "nvrtc64_120_0.dll"};
#else
static constexpr const char *systemLibraries[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so",
                                                  "/usr/local/cuda/lib64/libnvrtc.so"};
#endif

namespace {
struct Nvrtc {
  std::string library;
  int major = 0, minor = 0;
  nvrtcResult (*nvrtcVersion)(int *, int *);
  const char *(*nvrtcGetErrorString)(nvrtcResult);
  nvrtcResult (*nvrtcCreateProgram)(nvrtcProgram *, const char *, const char *, int, const char *const *, const char *const *);
  nvrtcResult (*nvrtcCompileProgram)(nvrtcProgram, int, const char *const *);
  nvrtcResult (*nvrtcGetPTXSize)(nvrtcProgram, size_t *);
  nvrtcResult (*nvrtcGetPTX)(nvrtcProgram, char *);
  nvrtcResult (*nvrtcGetCUBINSize)(nvrtcProgram, size_t *);
  nvrtcResult (*nvrtcGetCUBIN)(nvrtcProgram, char *);
  nvrtcResult (*nvrtcGetProgramLogSize)(nvrtcProgram, size_t *);
  nvrtcResult (*nvrtcGetProgramLog)(nvrtcProgram, char *);
  nvrtcResult (*nvrtcDestroyProgram)(nvrtcProgram *);

  static Expected<Nvrtc> load();
  std::string name() const { return fmt::format("NVRTC {}.{}", major, minor); }
};
} // namespace

static Expected<DynamicLibrary> openLibrary(std::string &name) {
  if (const char *named = std::getenv("SM1_NVRTC"); named && *named) {
    name = named;
    auto library = DynamicLibrary::open(name);
    if (!library)
      return Error{fmt::format("{}: {}; SM1_NVRTC has to name the library of NVRTC", name, library.error().message)};
    return library;
  }
  std::string tried;
  for (const char *candidate : systemLibraries) {
    name = candidate;
    if (auto library = DynamicLibrary::open(name))
      return library;
    tried += (tried.empty() ? "" : ", ") + name;
  }
  return Error{
      fmt::format("no NVRTC to compile kernels with, looked for {}; install it (it is part of the CUDA toolkit), or name its "
                  "library in SM1_NVRTC",
                  tried)};
}

Expected<Nvrtc> Nvrtc::load() {
  Nvrtc nvrtc;
  auto library = openLibrary(nvrtc.library);
  if (!library)
    return library.error();
  const char *missing = nullptr;
  auto find = [&](auto &function, const char *symbol) {
    function = reinterpret_cast<std::decay_t<decltype(function)>>(library->symbol(symbol));
    if (!function && !missing)
      missing = symbol;
  };
  find(nvrtc.nvrtcVersion, "nvrtcVersion");
  find(nvrtc.nvrtcGetErrorString, "nvrtcGetErrorString");
  find(nvrtc.nvrtcCreateProgram, "nvrtcCreateProgram");
  find(nvrtc.nvrtcCompileProgram, "nvrtcCompileProgram");
  find(nvrtc.nvrtcGetPTXSize, "nvrtcGetPTXSize");
  find(nvrtc.nvrtcGetPTX, "nvrtcGetPTX");
  find(nvrtc.nvrtcGetCUBINSize, "nvrtcGetCUBINSize");
  find(nvrtc.nvrtcGetCUBIN, "nvrtcGetCUBIN");
  find(nvrtc.nvrtcGetProgramLogSize, "nvrtcGetProgramLogSize");
  find(nvrtc.nvrtcGetProgramLog, "nvrtcGetProgramLog");
  find(nvrtc.nvrtcDestroyProgram, "nvrtcDestroyProgram");
  if (missing)
    return Error{
        fmt::format("{}: has no function {}; it is no NVRTC, or older than CUDA 12: install a newer one", nvrtc.library, missing)};
  if (nvrtc.nvrtcVersion(&nvrtc.major, &nvrtc.minor) != 0 || nvrtc.major < 12)
    return Error{
        fmt::format("{}: is NVRTC {}.{}, kernels need 12.0; install a newer one", nvrtc.library, nvrtc.major, nvrtc.minor)};
  return nvrtc;
}

/// Names behind ".entry" of a PTX text.
static std::vector<std::string> entriesOf(const std::string &ptx) {
  static constexpr std::string_view directive = ".entry ";
  std::vector<std::string> names;
  for (size_t at = ptx.find(directive); at != std::string::npos; at = ptx.find(directive, at + 1)) {
    size_t begin = at + directive.size();
    names.push_back(ptx.substr(begin, ptx.find_first_of("( \t\n", begin) - begin));
  }
  return names;
}

/// Folders with headers: the file's own, the toolkit's where there is one.
static std::vector<std::string> optionsFor(const std::string &file, const std::string &architecture) {
  std::vector<std::string> options = {"--gpu-architecture=" + architecture, "--std=c++17"};
  size_t slash = file.find_last_of("/\\");
  options.push_back("--include-path=" + (slash == std::string::npos ? std::string(".") : file.substr(0, slash + 1)));
  const char *home = std::getenv("CUDA_HOME");
  std::string toolkit = std::string(home && *home ? home : "/usr/local/cuda") + "/include";
  if (isDirectory(toolkit))
    options.push_back("--include-path=" + toolkit);
  return options;
}

static std::string logOf(const Nvrtc &nvrtc, nvrtcProgram program) {
  size_t size = 0;
  if (nvrtc.nvrtcGetProgramLogSize(program, &size) != 0 || size < 2)
    return "";
  std::string log(size, '\0');
  nvrtc.nvrtcGetProgramLog(program, log.data());
  log.resize(log.find_last_not_of(std::string_view("\0\n ", 3)) + 1);
  return log;
}

static Expected<CompiledCuda> compileWith(const Nvrtc &nvrtc, nvrtcProgram program, const std::string &file,
                                          const std::string &architecture, const std::vector<std::string> &more) {
  std::vector<std::string> options = optionsFor(file, architecture);
  options.insert(options.end(), more.begin(), more.end());
  std::vector<const char *> arguments;
  for (const std::string &option : options)
    arguments.push_back(option.c_str());
  nvrtcResult result = nvrtc.nvrtcCompileProgram(program, int(arguments.size()), arguments.data());
  std::string log = result ? logOf(nvrtc, program) : "";
  if (result == compilationError)
    return Error{fmt::format("{}: {} cannot compile it; correct these lines\n{}", file, nvrtc.name(), log)};
  if (result == invalidOption)
    return Error{
        fmt::format("{}: {} makes no code for {}: {}; install a newer one", nvrtc.library, nvrtc.name(), architecture, log)};
  CompiledCuda compiled;
  compiled.compiler = nvrtc.name();
  size_t bytes = 0;
  if (result == 0 && (result = nvrtc.nvrtcGetPTXSize(program, &bytes)) == 0) {
    compiled.ptx.resize(bytes);
    result = nvrtc.nvrtcGetPTX(program, compiled.ptx.data());
    compiled.ptx.resize(compiled.ptx.find('\0')); // the size counts the end
  }
  if (result == 0 && (result = nvrtc.nvrtcGetCUBINSize(program, &bytes)) == 0) {
    compiled.cubin.resize(bytes);
    result = nvrtc.nvrtcGetCUBIN(program, compiled.cubin.data());
  }
  if (result != 0)
    return Error{fmt::format("{}: {} while compiling for {}{}{}; check the library", file, nvrtc.nvrtcGetErrorString(result),
                             architecture, log.empty() ? "" : "\n", log)};
  compiled.kernels = entriesOf(compiled.ptx);
  return compiled;
}

Expected<CompiledCuda> compileCuda(const std::string &file, const std::string &text, const std::string &architecture,
                                   const std::vector<std::string> &options) {
  auto nvrtc = Nvrtc::load();
  if (!nvrtc)
    return nvrtc.error();
  std::vector<const char *> texts, names;
  for (const Header &header : kernelHeaders) {
    texts.push_back(header.text);
    names.push_back(header.name);
  }
  nvrtcProgram program = nullptr;
  if (nvrtcResult result =
          nvrtc->nvrtcCreateProgram(&program, text.c_str(), file.c_str(), int(texts.size()), texts.data(), names.data()))
    return Error{fmt::format("{}: {} while handing it to {}", file, nvrtc->nvrtcGetErrorString(result), nvrtc->name())};
  auto compiled = compileWith(*nvrtc, program, file, architecture, options);
  nvrtc->nvrtcDestroyProgram(&program);
  return compiled;
}

} // namespace sm1rt::cuda
