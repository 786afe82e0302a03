// Memory, processors, processes on Linux on x86-64 (and, without CPU kernels, any POSIX system); files are in PlatformFiles.cpp.
#include "Platform.h"
#include "PlatformCalls.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#endif

extern char **environ;

namespace sm1rt {

Error systemError(const std::string &where, int code) {
  std::string text = std::generic_category().message(code);
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z')
    text[0] = char(text[0] - 'A' + 'a');
  return {fmt::format("{}: {}", where, text)};
}

//===-- Memory -------------------------------------------------------------------------------------------------------------===//

static constexpr uint64_t pageBytes = 4096;
static constexpr uint64_t hugePageBytes = 2u << 20;

static uint64_t roundUp(uint64_t value, uint64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

Expected<PageMemory> PageMemory::allocate(uint64_t bytes) {
  if (bytes == 0)
    return PageMemory();
  if (bytes > (uint64_t(1) << 46))
    return Error{fmt::format("memory: {} bytes are more than any machine has", bytes)};
  uint64_t size = roundUp(bytes, bytes >= hugePageBytes ? hugePageBytes : pageBytes);
  void *address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED)
    return Error{fmt::format("memory: {} bytes are not available", bytes)};
#ifdef MADV_HUGEPAGE
  if (bytes >= hugePageBytes)
    ::madvise(address, size, MADV_HUGEPAGE); // advice only: worth 0-5 % of streaming speed
#endif
  return PageMemory(static_cast<uint8_t *>(address), size);
}

void forgetFilePages(const uint8_t *data, uint64_t bytes) {
  uint64_t begin = roundUp(reinterpret_cast<uintptr_t>(data), pageBytes);
  uint64_t end = (reinterpret_cast<uintptr_t>(data) + bytes) / pageBytes * pageBytes;
  // Advice only: what is read again comes from the file again.
  if (begin < end)
    ::madvise(reinterpret_cast<void *>(begin), end - begin, MADV_DONTNEED);
}

PageMemory::PageMemory(PageMemory &&other) noexcept
    : address(std::exchange(other.address, nullptr)), bytes(std::exchange(other.bytes, 0)) {}

PageMemory &PageMemory::operator=(PageMemory &&other) noexcept {
  std::swap(address, other.address);
  std::swap(bytes, other.bytes);
  return *this;
}

PageMemory::~PageMemory() {
  if (address)
    ::munmap(address, bytes);
}

Expected<ExecutableMemory> ExecutableMemory::load(const void *code, uint64_t bytes) {
  auto memory = PageMemory::allocate(bytes ? bytes : 1);
  if (!memory)
    return memory.error().in("kernels");
  std::memcpy(memory->data(), code, bytes);
  if (::mprotect(memory->data(), memory->size(), PROT_READ | PROT_EXEC) != 0)
    return systemError("memory for kernels cannot be made executable", errno);
  return ExecutableMemory(std::move(*memory));
}

//===-- CPU ----------------------------------------------------------------------------------------------------------------===//

#if defined(__x86_64__)
/// XCR0: which register files the operating system saves. Only valid where cpuid says OSXSAVE.
static uint64_t savedRegisterState() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t(high) << 32) | low;
}

// Bits whose names differ between compilers, or that older ones lack.
static constexpr unsigned gfniBit = 1u << 8, vnniBit = 1u << 11;                               // leaf 7.0 ecx
static constexpr unsigned amxBf16Bit = 1u << 22, amxTileBit = 1u << 24, amxInt8Bit = 1u << 25; // leaf 7.0 edx
static constexpr unsigned avx512Bf16Bit = 1u << 5;                                             // leaf 7.1 eax
/// What XCR0 says when tile configuration and tile data are saved.
static constexpr uint64_t savedTiles = 0x60000;

/// Adds what comes after the levels; `saved` is XCR0.
static void addExtensions(CpuFeatures &features, uint64_t saved) {
  unsigned a, b, c, d, leaves;
  if (!features.v4 || !__get_cpuid_count(7, 0, &leaves, &b, &c, &d))
    return;
  features.avx512Vnni = c & vnniBit;
  features.gfni = c & gfniBit;
  bool tiles = (saved & savedTiles) == savedTiles;
  features.amxTile = tiles && (d & amxTileBit);
  features.amxBf16 = tiles && (d & amxBf16Bit);
  features.amxInt8 = tiles && (d & amxInt8Bit);
  features.avx512Bf16 = leaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & avx512Bf16Bit);
}

CpuFeatures cpuFeatures() {
  CpuFeatures features;
  unsigned a, b, c, d, extended = 0, leaf7b = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d))
    return features;
  unsigned wanted = bit_FMA | bit_AVX | bit_F16C | bit_MOVBE | bit_OSXSAVE | bit_SSE4_2 | bit_POPCNT;
  if ((c & wanted) != wanted)
    return features;
  uint64_t saved = savedRegisterState();
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
    leaf7b = b;
  if (__get_cpuid(0x80000001, &a, &b, &c, &d))
    extended = c;
  unsigned level3 = bit_AVX2 | bit_BMI | bit_BMI2;
  features.v3 = (saved & 0x6) == 0x6 && (leaf7b & level3) == level3 && (extended & bit_LZCNT);
  unsigned level4 = bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL;
  features.v4 = features.v3 && (saved & 0xe6) == 0xe6 && (leaf7b & level4) == level4;
  addExtensions(features, saved);
  return features;
}

std::string cpuName() {
  unsigned words[12];
  for (unsigned i = 0; i < 3; ++i)
    if (!__get_cpuid(0x80000002 + i, &words[i * 4], &words[i * 4 + 1], &words[i * 4 + 2], &words[i * 4 + 3]))
      return {};
  char text[sizeof(words) + 1] = {};
  std::memcpy(text, words, sizeof(words));
  std::string name = text;
  while (!name.empty() && name.back() == ' ')
    name.pop_back();
  return name.substr(name.find_first_not_of(' ') == std::string::npos ? name.size() : name.find_first_not_of(' '));
}

void spinPause() { __builtin_ia32_pause(); }
#else
CpuFeatures cpuFeatures() { return {}; }
std::string cpuName() { return {}; }
void spinPause() {}
#endif

Expected<void> useTileRegisters() {
#if defined(__linux__) && defined(__x86_64__)
  constexpr long requestPermission = 0x1023, tileData = 18; // ARCH_REQ_XCOMP_PERM of <asm/prctl.h>, Linux 5.16
  if (::syscall(SYS_arch_prctl, requestPermission, tileData) == 0)
    return {};
  return systemError("the system does not grant the tile registers of AMX", errno);
#else
  return Error{"tile registers of AMX are not asked for on this system"};
#endif
}

int availableCores() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof(set), &set) == 0)
    return CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
  long online = ::sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? int(online) : 1;
}

CorePin::CorePin(int index) {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof(set), &set) != 0)
    return;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &set))
      allowed.push_back(core);
  CPU_ZERO(&set);
  CPU_SET(allowed[size_t(index) % allowed.size()], &set);
  ::sched_setaffinity(0, sizeof(set), &set);
}

CorePin::~CorePin() {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int core : allowed)
    CPU_SET(core, &set);
  if (!allowed.empty())
    ::sched_setaffinity(0, sizeof(set), &set);
}

//===-- Libraries, processes -----------------------------------------------------------------------------------------------===//

Expected<std::string> executablePath() {
  char path[4096];
  ssize_t length = ::readlink("/proc/self/exe", path, sizeof(path));
  if (length < 0 || length == ssize_t(sizeof(path)))
    return systemError("/proc/self/exe", length < 0 ? errno : ENAMETOOLONG);
  return std::string(path, size_t(length));
}

Expected<DynamicLibrary> DynamicLibrary::open(const std::string &name) {
  if (void *handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL))
    return DynamicLibrary(handle);
  const char *reason = ::dlerror();
  // glibc repeats the name in front of the reason.
  std::string text = reason ? reason : "not found by the loader";
  if (text.compare(0, name.size() + 2, name + ": ") == 0)
    text.erase(0, name.size() + 2);
  return Error{text};
}

void *DynamicLibrary::symbol(const char *name) const { return ::dlsym(handle, name); }

bool stderrIsTerminal() { return ::isatty(STDERR_FILENO) == 1; }

/// Starts the child with both output streams on `pipeEnd`; its input is empty.
static Expected<pid_t> spawnChild(const std::vector<std::string> &arguments, int pipeEnd) {
  std::vector<char *> argv;
  for (const std::string &argument : arguments)
    argv.push_back(const_cast<char *>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, pipeEnd, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, pipeEnd, STDERR_FILENO);
  pid_t child = 0;
  int code = ::posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (code != 0)
    return systemError(arguments[0], code);
  return child;
}

/// Reads the child's output until it closes it.
static std::string collectOutput(int handle, const std::function<void(std::string_view)> &onOutput) {
  constexpr size_t limit = 1 << 20;
  std::string output;
  char part[4096];
  for (;;) {
    ssize_t got = ::read(handle, part, sizeof(part));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return output;
    if (onOutput)
      onOutput({part, size_t(got)});
    output.append(part, size_t(got));
    if (output.size() > 2 * limit)
      output.erase(0, output.size() - limit);
  }
}

Expected<ProcessResult> runProcess(const std::vector<std::string> &arguments,
                                   const std::function<void(std::string_view)> &onOutput) {
  if (arguments.empty())
    return Error{"process: no program named"};
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return systemError("pipe", errno);
  Descriptor reading{ends[0]};
  Expected<pid_t> child = Error{};
  {
    Descriptor writing{ends[1]};
    child = spawnChild(arguments, writing.handle);
  }
  if (!child)
    return child.error();
  ProcessResult result;
  result.output = collectOutput(reading.handle, onOutput);
  int status = 0;
  while (::waitpid(*child, &status, 0) < 0 && errno == EINTR)
    ;
  result.exitCode = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + (WIFSIGNALED(status) ? WTERMSIG(status) : 0);
  return result;
}

} // namespace sm1rt
