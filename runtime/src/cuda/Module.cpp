// Loading modules from memory, with the log of the driver's compiler when it refuses.
#include "Module.h"

#include <fmt/format.h>

#include <utility>

namespace sm1rt::cuda {

/// One line of a log of several, without blanks at either end.
static std::string onOneLine(const char *log) {
  std::string line;
  for (const char *at = log; *at; ++at)
    if (*at != '\n')
      line += *at;
    else if (!line.empty() && at[1])
      line += " / ";
  return line;
}

Expected<Module> Module::load(std::shared_ptr<Context> context, const void *image, const std::string &what) {
  if (auto ready = context->enter(); !ready)
    return ready.error();
  char log[8192] = "";
  int options[] = {jitErrorLog, jitErrorLogBytes};
  // A size travels in the pointer itself.
  void *values[] = {log, reinterpret_cast<void *>(uintptr_t(sizeof(log) - 1))};
  CUmodule module = nullptr;
  CUresult result = context->driver.cuModuleLoadDataEx(&module, image, 2, options, values);
  if (result == success)
    return Module(std::move(context), module, what);
  Error error = context->error(result, fmt::format("loading {}", what));
  if (std::string text = onOneLine(log); !text.empty())
    error.message += "; the driver says: " + text;
  return error;
}

Module::Module(std::shared_ptr<Context> context, CUmodule module, std::string what)
    : context(std::move(context)), module(module), what(std::move(what)) {}

Module::Module(Module &&other) noexcept
    : context(std::move(other.context)), module(std::exchange(other.module, nullptr)), what(std::move(other.what)) {}

Module &Module::operator=(Module &&other) noexcept {
  std::swap(context, other.context);
  std::swap(module, other.module);
  std::swap(what, other.what);
  return *this;
}

Module::~Module() {
  if (module && context->enter())
    context->driver.cuModuleUnload(module);
}

Expected<CUfunction> Module::function(const std::string &name) const {
  if (auto ready = context->enter(); !ready)
    return ready.error();
  CUfunction function = nullptr;
  CUresult result = context->driver.cuModuleGetFunction(&function, module, name.c_str());
  if (result == notFound)
    return Error{fmt::format("{}: {} has no entry '{}'; build the package again", context->name(), what, name)};
  if (result != success)
    return context->error(result, fmt::format("finding kernel '{}' in {}", name, what));
  return function;
}

Expected<void> prepareLaunch(Context &context, CUfunction function, const std::string &name, int64_t threads, int64_t shared) {
  const Driver &driver = context.driver;
  int mostThreads = 0, fixedShared = 0;
  CUresult result = driver.cuFuncGetAttribute(&mostThreads, maxThreadsPerBlock, function);
  if (result == success)
    result = driver.cuFuncGetAttribute(&fixedShared, staticShared, function);
  if (result != success)
    return context.error(result, fmt::format("asking about kernel '{}'", name));
  if (threads > mostThreads)
    return Error{
        fmt::format("{} ({}): kernel '{}' is launched with {} threads a block, its registers leave room for {}; recompile with "
                    "--target=sm_{}",
                    context.name(), context.deviceName, name, threads, mostThreads, context.capability)};
  if (shared + fixedShared > context.sharedLimit)
    return Error{fmt::format("{} ({}): kernel '{}' needs {} bytes of shared memory, a block has at most {}; recompile with "
                             "--target=sm_{}",
                             context.name(), context.deviceName, name, shared + fixedShared, context.sharedLimit,
                             context.capability)};
  // 48 KB is what a kernel may use without being asked.
  if (shared + fixedShared <= 48 << 10)
    return {};
  return context.check(driver.cuFuncSetAttribute(function, maxDynamicShared, int(shared)),
                       fmt::format("raising the shared memory of kernel '{}' to {} bytes", name, shared));
}

} // namespace sm1rt::cuda
