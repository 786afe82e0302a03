// Text of --replace and of the comment that sets a launch; from both to a function on the device.
#include "Replacement.h"

#include "../Platform.h"
#include "Nvrtc.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>

namespace sm1rt::cuda {

static bool isWordLetter(char letter) {
  return letter == '_' || (letter >= '0' && letter <= '9') || ((letter | 32) >= 'a' && (letter | 32) <= 'z');
}

Expected<Replacement> parseReplacement(const std::string &text) {
  size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    return Error{
        fmt::format("--replace={}: is not KERNEL=FILE.cu or KERNEL=FILE.cu:FUNCTION; sm1-run inspect lists kernels", text)};
  Replacement replacement{text.substr(0, equals), text.substr(equals + 1), ""};
  size_t colon = replacement.file.rfind(':');
  // A drive's colon is followed by a slash.
  if (colon == std::string::npos || colon == 0 || colon + 1 == replacement.file.size() ||
      !std::all_of(replacement.file.begin() + long(colon) + 1, replacement.file.end(), isWordLetter))
    return replacement;
  replacement.function = replacement.file.substr(colon + 1);
  replacement.file.resize(colon);
  if (replacement.kernel == "*")
    return Error{
        fmt::format("--replace={}: '*' replaces kernels by functions of the same names; drop ':{}'", text, replacement.function)};
  return replacement;
}

BlockSize largestBlock(const PlanProgram &program, size_t kernel, const LaunchShape &shape) {
  BlockSize size;
  for (auto &[entry, steps] : program.entries)
    for (const PlanStep &step : steps)
      for (const PlanLaunch &launch : step.body)
        if (launch.kernel == kernel) {
          size.threads = std::max(size.threads, shape.threads.value_or(launch.threads));
          size.shared = std::max(size.shared, shape.shared.value_or(launch.shared));
        }
  return size;
}

/// Where the function of that name begins: a `name(` behind a `__global__`; npos where there is none.
static size_t findFunction(std::string_view text, const std::string &name) {
  for (size_t at = text.find(name); at != std::string_view::npos; at = text.find(name, at + 1)) {
    size_t end = text.find_first_not_of(" \t\n", at + name.size());
    bool isWord = (at == 0 || !isWordLetter(text[at - 1])) && end != std::string_view::npos && text[end] == '(';
    size_t global = isWord ? text.rfind("__global__", at) : std::string_view::npos;
    // Nothing but its return type and launch bounds stands between the two.
    if (global != std::string_view::npos && text.substr(global, at - global).find_first_of("{};") == std::string_view::npos)
      return global;
  }
  return std::string_view::npos;
}

static Expected<void> readField(LaunchShape &shape, std::string_view word, const std::string &where) {
  struct Key {
    std::string_view name;
    std::optional<int64_t> LaunchShape::*field;
    int64_t least, most;
  };
  static constexpr Key keys[] = {{"threads", &LaunchShape::threads, 32, 1024},
                                 {"shared", &LaunchShape::shared, 0, 1 << 20},
                                 {"row_split", &LaunchShape::rowSplit, 1, 1 << 20},
                                 {"panel_split", &LaunchShape::panelSplit, 1, 1 << 20},
                                 {"time_split", &LaunchShape::timeSplit, 0, 1 << 30}};
  size_t equals = word.find('=');
  for (const Key &key : keys) {
    if (equals == std::string_view::npos || word.substr(0, equals) != key.name)
      continue;
    int64_t value = -1;
    auto [end, code] = std::from_chars(word.data() + equals + 1, word.data() + word.size(), value);
    if (code != std::errc() || end != word.data() + word.size() || value < key.least || value > key.most ||
        (key.name == "threads" && value % 32 != 0))
      return Error{fmt::format("{}: '{}' is outside {} to {}{}", where, word, key.least, key.most,
                               key.name == "threads" ? ", in steps of 32" : "")};
    shape.*key.field = value;
    return {};
  }
  return Error{fmt::format("{}: '{}' is none of threads=, shared=, row_split=, panel_split=, time_split=", where, word)};
}

Expected<LaunchShape> launchShapeOf(const std::string &file, const std::string &text, const std::string &function) {
  static constexpr std::string_view mark = "// sm1:";
  LaunchShape shape;
  size_t end = findFunction(text, function);
  std::string_view before = std::string_view(text).substr(0, end == std::string::npos ? 0 : end);
  size_t earlier = before.rfind("__global__"), at = before.rfind(mark);
  if (at == std::string_view::npos || (earlier != std::string_view::npos && earlier > at))
    return shape;
  std::string where = fmt::format("{}:{}", file, 1 + std::count(before.begin(), before.begin() + long(at), '\n'));
  std::string_view line = before.substr(at + mark.size());
  line = line.substr(0, line.find_first_of("\r\n"));
  while (true) {
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    if (line.empty())
      return shape;
    size_t length = std::min(line.find_first_of(" \t"), line.size());
    if (auto read = readField(shape, line.substr(0, length), where); !read)
      return read.error();
    line.remove_prefix(length);
  }
}

//===-- Loading -------------------------------------------------------------------------------------------------------------===//

static std::string joined(const std::vector<std::string> &names) {
  std::string list;
  for (const std::string &name : names)
    list += (list.empty() ? "'" : ", '") + name + "'";
  return list.empty() ? "none" : list;
}

/// Kernels that are replaced, each with the name of its function.
static Expected<std::vector<std::pair<size_t, std::string>>> matches(const PlanProgram &program, const Replacement &replacement,
                                                                     const std::vector<std::string> &functions) {
  std::vector<std::pair<size_t, std::string>> found;
  std::vector<std::string> kernels;
  // A name of CUDA's own, such as norm, cannot be a kernel's in extern "C".
  auto functionOf = [&](const std::string &kernel) {
    std::string longer = kernel + "_kernel";
    return std::find(functions.begin(), functions.end(), longer) != functions.end() ? longer : kernel;
  };
  auto has = [&](const std::string &name) { return std::find(functions.begin(), functions.end(), name) != functions.end(); };
  for (size_t index = 0; index < program.kernels.size(); ++index) {
    const std::string &name = program.kernels[index].name;
    kernels.push_back(name);
    if (replacement.kernel == "*" ? has(functionOf(name)) : replacement.kernel == name)
      found.emplace_back(index, replacement.function.empty() ? functionOf(name) : replacement.function);
  }
  if (found.empty() && replacement.kernel == "*")
    return Error{fmt::format("{}: none of its functions ({}) is called as a kernel, NAME or NAME_kernel; there are {}",
                             replacement.file, joined(functions), joined(kernels))};
  if (found.empty())
    return Error{fmt::format("--replace: no kernel '{}' in the program; there are {}", replacement.kernel, joined(kernels))};
  if (std::string wanted = found.front().second; !has(wanted))
    return Error{fmt::format(
        "{}: has no kernel '{}', its kernels are {}; write extern \"C\" __global__ void {}(...), or name another one with "
        "--replace={}={}:FUNCTION",
        replacement.file, wanted, joined(functions), wanted, replacement.kernel, replacement.file)};
  return found;
}

Expected<LoadedCuda> loadCompiled(const std::shared_ptr<Context> &context, const CompiledCuda &compiled, const std::string &file) {
  if (auto module = Module::load(context, compiled.cubin.data(), file))
    return LoadedCuda{std::move(*module), {compiled.cubin.data(), compiled.cubin.size()}};
  if (int needed = cudaVersionOfPtx(compiled.ptx); context->driver.version < needed)
    return Error{
        fmt::format("{}: {} makes code for drivers of CUDA {}, this one is for {}; update the driver, or name an older NVRTC in "
                    "SM1_NVRTC",
                    file, compiled.compiler, cudaVersion(needed), cudaVersion(context->driver.version))};
  auto module = Module::load(context, compiled.ptx.c_str(), file);
  if (!module)
    return module.error();
  return LoadedCuda{std::move(*module), {compiled.ptx.c_str(), compiled.ptx.size() + 1}};
}

Expected<ReplacingModule> loadReplacement(const std::shared_ptr<Context> &context, const PlanProgram &program,
                                          const Replacement &replacement) {
  auto file = FileMapping::open(replacement.file);
  if (!file)
    return file.error();
  std::string text(reinterpret_cast<const char *>(file->data()), file->size());
  auto compiled = compileCuda(replacement.file, text, fmt::format("sm_{}", context->capability));
  if (!compiled)
    return compiled.error();
  auto found = matches(program, replacement, compiled->kernels);
  if (!found)
    return found.error();
  auto loaded = loadCompiled(context, *compiled, replacement.file);
  if (!loaded)
    return loaded.error();
  std::vector<ReplacingFunction> functions;
  for (auto &[kernel, name] : *found) {
    auto shape = launchShapeOf(replacement.file, text, name);
    if (!shape)
      return shape.error();
    auto handle = loaded->module.function(name);
    if (!handle)
      return handle.error();
    BlockSize size = largestBlock(program, kernel, *shape);
    if (auto prepared = prepareLaunch(*context, *handle, name, size.threads, size.shared); !prepared)
      return prepared.error().in(replacement.file);
    functions.push_back({kernel, *handle, fmt::format("{} of {}", name, replacement.file), *shape});
  }
  return ReplacingModule{std::move(loaded->module), std::move(functions)};
}

} // namespace sm1rt::cuda
