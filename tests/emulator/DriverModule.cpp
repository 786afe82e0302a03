// Driver functions about modules, functions and launches.
#include "Driver.h"

#include "Plant.h"
#include "TensorMap.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>

using namespace emulator;

namespace {

/// The error log that a caller of cuModuleLoadDataEx provides.
class JitLog {
public:
  JitLog(unsigned count, const int *options, void **values) {
    for (unsigned i = 0; i < count; ++i) {
      if (options[i] == CU_JIT_ERROR_LOG_BUFFER)
        text = static_cast<char *>(values[i]);
      if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
        size = reinterpret_cast<size_t>(values[i]), used = &values[i];
      if (options[i] == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES)
        infoUsed = &values[i];
    }
    if (infoUsed)
      *infoUsed = nullptr;
    write("");
  }
  void write(const std::string &message) {
    size_t length = text && size ? std::min(message.size(), size - 1) : 0;
    if (text && size) {
      std::copy_n(message.data(), length, text);
      text[length] = '\0';
    }
    if (used)
      *used = reinterpret_cast<void *>(length ? length + 1 : 0);
  }

private:
  char *text = nullptr;
  size_t size = 0;
  void **used = nullptr, **infoUsed = nullptr;
};

void defineVariables(Driver &driver, const Syntax &syntax, EmulatedModule &module) {
  for (const Variable &variable : syntax.variables) {
    if (variable.space != Variable::Global && variable.space != Variable::Constant)
      continue;
    if (variable.isExtern)
      throw PtxError("variable '" + variable.name + "' is defined in no module; line " + std::to_string(variable.line));
    uint64_t bytes = std::max<uint64_t>(variable.bytes, 1);
    uint64_t address = driver.memory->allocate(bytes, variable.space == Variable::Constant);
    if (!address)
      throw PtxError("no memory for variable '" + variable.name + "'");
    uint8_t *host = driver.memory->hostForCopy(address, bytes, true);
    std::fill_n(host, bytes, uint8_t(0));
    std::copy(variable.initial.begin(), variable.initial.end(), host);
    module.symbols[variable.name] = {address, bytes, variable.space == Variable::Constant};
  }
  for (const Variable &variable : syntax.variables)
    for (const auto &[offset, name] : variable.pointers) {
      auto target = module.symbols.find(name);
      if (target == module.symbols.end())
        throw PtxError("variable '" + variable.name + "' holds the address of '" + name + "', which is none");
      uint8_t *place = driver.memory->host(module.symbols[variable.name].address + offset, 8);
      uint64_t value = bitCast<uint64_t>(*reinterpret_cast<std::array<uint8_t, 8> *>(place)) + target->second.address;
      std::memcpy(place, &value, 8);
    }
}

void checkTarget(const Driver &driver, const Syntax &syntax) {
  unsigned device = driver.settings.capability;
  if (syntax.target > device || (syntax.archSpecific && syntax.target != device))
    throw PtxError(".target sm_" + std::to_string(syntax.target) + (syntax.archSpecific ? "a" : "") + " does not run on sm_" +
                   std::to_string(device));
}

/// Throws PtxError.
void decode(EmulatedFunction &function) {
  const Syntax &syntax = function.module->syntax;
  if (function.syntax->body.empty())
    parseBody(syntax, *function.syntax);
  plantBug(*function.syntax, Driver::get().settings.plant);
  function.program = buildProgram(syntax, function.syntax->name, function.module->symbols);
  if (function.program->staticShared > 48 << 10)
    throw PtxError("entry '" + function.syntax->name + "' uses too much shared data (" +
                   std::to_string(function.program->staticShared) + " bytes, 49152 max)");
}

/// Whether nothing about an entry, as far as it is asked for before a launch, depends on its body.
bool canWait(const Syntax &syntax, const Function &function) {
  for (const Function &other : syntax.functions)
    if (other.isDefined && !other.isEntry)
      return false;
  for (const Variable &variable : syntax.variables)
    if (variable.space == Variable::Shared && variable.bytes)
      return false;
  return !function.hasShared;
}

/// The program of a function that waited for being used, or an error.
int decodeNow(EmulatedFunction &function) {
  try {
    if (!function.program)
      decode(function);
    return CUDA_SUCCESS;
  } catch (const PtxError &error) {
    std::fprintf(stderr, "sm1 emulator: %s\n", error.what());
    return CUDA_ERROR_INVALID_PTX;
  }
}

unsigned staticSharedOf(const EmulatedFunction &function) { return function.program ? function.program->staticShared : 0; }

void loadModule(Driver &driver, const std::string &text, EmulatedModule &module) {
  bool later = driver.settings.lazy && driver.settings.countFile.empty();
  Syntax &syntax = module.syntax = parsePtx(text, later ? Bodies::Later : Bodies::Now);
  checkTarget(driver, syntax);
  if (!driver.settings.plant.empty() && !isPlant(driver.settings.plant))
    throw PtxError("SM1_EMULATOR_PLANT=" + driver.settings.plant + " is not understood");
  if (!driver.settings.countFile.empty())
    std::ofstream(driver.settings.countFile, std::ios::app) << plantableBugs(syntax);
  module.ptxVersion = syntax.version;
  module.target = syntax.target;
  defineVariables(driver, syntax, module);
  for (Function &function : syntax.functions) // which entries call
    if (function.isDefined && !function.isEntry) {
      if (later)
        parseBody(syntax, function);
      plantBug(function, driver.settings.plant);
    }
  for (Function &function : syntax.functions) {
    if (!function.isEntry || !function.isDefined)
      continue;
    EmulatedFunction &target = module.functions[function.name];
    target.module = &module;
    target.syntax = &function;
    if (!driver.settings.lazy || !canWait(syntax, function))
      decode(target);
  }
}

void freeVariables(Driver &driver, EmulatedModule &module) {
  for (auto &symbol : module.symbols)
    driver.memory->release(symbol.second.address);
}

bool isFunction(Driver &driver, CUfunction function) {
  for (EmulatedModule *module : driver.modules)
    for (auto &entry : module->functions)
      if (&entry.second == function)
        return true;
  return false;
}

/// What the driver refuses before anything runs.
int checkLaunch(Driver &driver, const EmulatedFunction &function, Dim3 grid, Dim3 block, unsigned shared) {
  const Program &program = *function.program;
  uint64_t threads = uint64_t(block.x) * block.y * block.z;
  if (!threads || threads > 1024 || block.x > 1024 || block.y > 1024 || block.z > 64 ||
      (program.maxThreads && threads > program.maxThreads))
    return CUDA_ERROR_INVALID_VALUE;
  if (program.required[0] && (block.x != program.required[0] || block.y != program.required[1] || block.z != program.required[2]))
    return CUDA_ERROR_INVALID_VALUE;
  if (!grid.x || !grid.y || !grid.z || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535 || grid.z % program.cluster ||
      grid.y % program.besides)
    return CUDA_ERROR_INVALID_VALUE;
  if (shared > function.maxDynamicShared || shared + program.staticShared > driver.chip().sharedPerBlock ||
      (function.maxDynamicShared == 48 << 10 && shared + program.staticShared > 48 << 10))
    return CUDA_ERROR_INVALID_VALUE;
  return CUDA_SUCCESS;
}

int collectParams(const Program &program, void **params, void **extra, std::vector<uint8_t> &bytes) {
  bytes.assign(program.paramBytes, 0);
  if (params)
    for (size_t i = 0; i < program.paramOffsets.size(); ++i)
      std::memcpy(bytes.data() + program.paramOffsets[i], params[i], program.paramSizes[i]);
  else if (extra) {
    const void *buffer = nullptr;
    size_t size = 0;
    for (; extra[0]; extra += 2) // 1: the buffer, 2: where its size stands
      reinterpret_cast<size_t>(extra[0]) == 1 ? void(buffer = extra[1]) : void(size = *static_cast<size_t *>(extra[1]));
    if (!buffer || size < program.paramBytes)
      return CUDA_ERROR_INVALID_VALUE;
    std::memcpy(bytes.data(), buffer, program.paramBytes);
  } else if (program.paramBytes)
    return CUDA_ERROR_INVALID_VALUE;
  return CUDA_SUCCESS;
}

int run(const Launch &launch) {
  Driver &driver = Driver::get();
  driver.memory->beginLaunch();
  Finding finding = runGrid(launch, driver.settings.schedule, *driver.memory);
  if (finding.error)
    std::fprintf(stderr, "sm1 emulator: %s\n", finding.message.c_str());
  return finding.error;
}

unsigned blocksPerMultiprocessor(const Driver &driver, const EmulatedFunction &function, unsigned threads, size_t shared) {
  const Chip chip = driver.chip();
  if (!threads || threads > 1024)
    return 0;
  size_t perBlock = shared + staticSharedOf(function) + 1024;
  if (perBlock - 1024 > chip.sharedPerBlock)
    return 0;
  return static_cast<unsigned>(
      std::min<size_t>({32, chip.threadsPerMultiprocessor / ((threads + 31) / 32 * 32), chip.sharedPerMultiprocessor / perBlock}));
}

int launchKernel(Driver &driver, CUfunction function, Dim3 grid, Dim3 block, unsigned shared, CUstream stream, void **params,
                 void **extra, bool cooperative) {
  if (!isFunction(driver, function))
    return CUDA_ERROR_INVALID_HANDLE;
  if (int error = decodeNow(*function))
    return error;
  if (int error = checkLaunch(driver, *function, grid, block, shared))
    return error;
  Launch launch;
  launch.program = function->program.get();
  launch.grid = grid;
  launch.block = block;
  launch.dynamicShared = shared;
  launch.cooperative = cooperative;
  launch.smCount = driver.chip().multiprocessors;
  if (int error = collectParams(*launch.program, params, extra, launch.params))
    return error;
  uint64_t blocks = uint64_t(grid.x) * grid.y * grid.z;
  if (cooperative &&
      blocks > uint64_t(blocksPerMultiprocessor(driver, *function, block.x * block.y * block.z, shared)) * launch.smCount)
    return CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
  return driver.submit(stream, [launch] { return run(launch); });
}

} // namespace

EMULATED cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned optionCount, int *options, void **values) {
  ENTER(cuModuleLoadDataEx, true);
  if (!module || !image)
    return CUDA_ERROR_INVALID_VALUE;
  JitLog log(optionCount, options, values);
  const char *text = static_cast<const char *>(image);
  const auto *bytes = static_cast<const uint8_t *>(image);
  bool elf = std::memcmp(text, "\177ELF", 4) == 0,
       fatbin = bytes[0] == 0x50 && bytes[1] == 0xed && bytes[2] == 0x55 && bytes[3] == 0xba;
  if (elf || fatbin) {
    log.write("the emulator runs PTX only, this is a cubin or fatbin");
    return CUDA_ERROR_NO_BINARY_FOR_GPU;
  }
  auto loaded = std::make_unique<EmulatedModule>();
  try {
    loadModule(driver, text, *loaded);
  } catch (const PtxError &error) {
    log.write(error.what());
    freeVariables(driver, *loaded);
    return CUDA_ERROR_INVALID_PTX;
  }
  *module = loaded.release();
  driver.modules.insert(*module);
  return CUDA_SUCCESS;
}

EMULATED cuModuleUnload(CUmodule module) {
  ENTER(cuModuleUnload, true);
  if (!driver.modules.count(module))
    return CUDA_ERROR_INVALID_HANDLE;
  if (int error = driver.flushAll())
    return error;
  freeVariables(driver, *module);
  driver.modules.erase(module);
  delete module;
  return CUDA_SUCCESS;
}

EMULATED cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
  ENTER(cuModuleGetFunction, true);
  if (!driver.modules.count(module))
    return CUDA_ERROR_INVALID_HANDLE;
  auto found = module->functions.find(name);
  if (found == module->functions.end())
    return CUDA_ERROR_NOT_FOUND;
  *function = &found->second;
  return CUDA_SUCCESS;
}

EMULATED cuModuleGetGlobal_v2(CUdeviceptr *address, size_t *bytes, CUmodule module, const char *name) {
  ENTER(cuModuleGetGlobal_v2, true);
  if (!driver.modules.count(module))
    return CUDA_ERROR_INVALID_HANDLE;
  auto found = module->symbols.find(name);
  if (found == module->symbols.end())
    return CUDA_ERROR_NOT_FOUND;
  if (address)
    *address = found->second.address;
  if (bytes)
    *bytes = found->second.bytes;
  return CUDA_SUCCESS;
}

EMULATED cuFuncSetAttribute(CUfunction function, int attribute, int value) {
  ENTER(cuFuncSetAttribute, true);
  if (!isFunction(driver, function))
    return CUDA_ERROR_INVALID_HANDLE;
  if (attribute == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT)
    return value >= -1 && value <= 100 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0 ||
      unsigned(value) + staticSharedOf(*function) > driver.chip().sharedPerBlock)
    return CUDA_ERROR_INVALID_VALUE;
  function->maxDynamicShared = static_cast<unsigned>(value);
  return CUDA_SUCCESS;
}

EMULATED cuFuncGetAttribute(int *value, int attribute, CUfunction function) {
  ENTER(cuFuncGetAttribute, true);
  if (!isFunction(driver, function))
    return CUDA_ERROR_INVALID_HANDLE;
  switch (attribute) {
  case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
    *value = function->syntax->maxThreads ? static_cast<int>(function->syntax->maxThreads) : 1024;
    break;
  case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
    *value = static_cast<int>(staticSharedOf(*function));
    break;
  case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
    *value = 0;
    break;
  case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
    if (int error = decodeNow(*function))
      return error;
    *value = static_cast<int>(function->program->localBytes);
    break;
  case CU_FUNC_ATTRIBUTE_NUM_REGS:
    *value = 32;
    break;
  case CU_FUNC_ATTRIBUTE_PTX_VERSION:
    *value = static_cast<int>(function->module->target);
    break;
  case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
    *value = static_cast<int>(driver.settings.capability);
    break;
  case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
    *value = static_cast<int>(function->maxDynamicShared);
    break;
  default:
    return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}

/// Two dimensions of bytes or 16-bit numbers, one after the other, zeros outside.
EMULATED cuTensorMapEncodeTiled(void *map, int type, unsigned rank, void *address, const uint64_t *sizes, const uint64_t *strides,
                                const unsigned *box, const unsigned *steps, int interleave, int swizzle, int promotion, int fill) {
  ENTER(cuTensorMapEncodeTiled, true);
  enum { kBytes = 0, kFloat16 = 6, kBfloat16 = 9 };
  if (driver.settings.capability < 90 || (type != kBytes && type != kFloat16 && type != kBfloat16) || rank != 2 || interleave ||
      fill)
    return CUDA_ERROR_NOT_SUPPORTED;
  auto at = reinterpret_cast<uint64_t>(address);
  unsigned bytes = type == kBytes ? 1 : 2;
  bool fits = reinterpret_cast<uintptr_t>(map) % 64 == 0 && at % 16 == 0 && strides[0] % 16 == 0 && sizes[0] && sizes[1] &&
              sizes[0] <= UINT32_MAX && sizes[1] <= UINT32_MAX && strides[0] >= sizes[0] * bytes && box[0] && box[1] &&
              box[0] <= 256 && box[1] <= 256 && box[0] * bytes % 16 == 0 && steps[0] == 1 && steps[1] == 1 && swizzle >= 0 &&
              swizzle <= 3 && promotion >= 0 && promotion <= 3;
  if (!fits || (swizzle && box[0] * bytes > 16u << swizzle))
    return CUDA_ERROR_INVALID_VALUE;
  TensorMap made{TensorMap::kMagic, at, sizes[0], sizes[1], strides[0], box[0], box[1], static_cast<uint32_t>(swizzle), bytes, {}};
  std::memcpy(map, &made, sizeof made);
  return CUDA_SUCCESS;
}

EMULATED cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction function, int threads, size_t shared) {
  ENTER(cuOccupancyMaxActiveBlocksPerMultiprocessor, true);
  if (!isFunction(driver, function))
    return CUDA_ERROR_INVALID_HANDLE;
  if (threads <= 0)
    return CUDA_ERROR_INVALID_VALUE;
  *blocks = static_cast<int>(blocksPerMultiprocessor(driver, *function, static_cast<unsigned>(threads), shared));
  return CUDA_SUCCESS;
}

EMULATED cuLaunchKernel(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,
                        unsigned blockZ, unsigned shared, CUstream stream, void **params, void **extra) {
  ENTER(cuLaunchKernel, true);
  return launchKernel(driver, function, {gridX, gridY, gridZ}, {blockX, blockY, blockZ}, shared, stream, params, extra, false);
}

/// A launch that may overlap the one before runs after it all the same; what it does too early shows in the text.
EMULATED cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction function, void **params, void **extra) {
  ENTER(cuLaunchKernelEx, true);
  for (unsigned i = 0; i < config->numAttrs; ++i)
    if (config->attrs[i].id != CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION || driver.settings.capability < 90)
      return CUDA_ERROR_INVALID_VALUE;
  return launchKernel(driver, function, {config->gridDimX, config->gridDimY, config->gridDimZ},
                      {config->blockDimX, config->blockDimY, config->blockDimZ}, config->sharedMemBytes, config->hStream, params,
                      extra, false);
}

EMULATED cuLaunchCooperativeKernel(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                                   unsigned blockY, unsigned blockZ, unsigned shared, CUstream stream, void **params) {
  ENTER(cuLaunchCooperativeKernel, true);
  return launchKernel(driver, function, {gridX, gridY, gridZ}, {blockX, blockY, blockZ}, shared, stream, params, nullptr, true);
}
