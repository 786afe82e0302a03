// Everything the runtime and the tools need from the operating system, in one place: Platform.cpp and PlatformFiles.cpp are the
// only files that another system has to replace.
#ifndef SM1RT_SRC_PLATFORM_H
#define SM1RT_SRC_PLATFORM_H

#include "sm1rt/Error.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sm1rt {

/// A whole file mapped read-only. Move-only.
class FileMapping {
public:
  static Expected<FileMapping> open(const std::string &path);
  FileMapping(FileMapping &&other) noexcept;
  FileMapping &operator=(FileMapping &&other) noexcept;
  ~FileMapping();

  const uint8_t *data() const { return address; }
  uint64_t size() const { return bytes; }

private:
  FileMapping(const uint8_t *address, uint64_t bytes) : address(address), bytes(bytes) {}
  const uint8_t *address;
  uint64_t bytes;
};

/// Takes whole pages within a part of a mapped file out of the process's memory, until somebody reads them again.
void forgetFilePages(const uint8_t *data, uint64_t bytes);

/// Zeroed memory on a page boundary; from 2 MiB on the system is asked for huge pages. Move-only; may be empty.
class PageMemory {
public:
  static Expected<PageMemory> allocate(uint64_t bytes);
  PageMemory() = default;
  PageMemory(PageMemory &&other) noexcept;
  PageMemory &operator=(PageMemory &&other) noexcept;
  ~PageMemory();

  uint8_t *data() const { return address; }
  uint64_t size() const { return bytes; }

private:
  PageMemory(uint8_t *address, uint64_t bytes) : address(address), bytes(bytes) {}
  uint8_t *address = nullptr;
  uint64_t bytes = 0;
};

/// Code copied to memory of its own: writable while copied, then executable, never both. Move-only.
class ExecutableMemory {
public:
  static Expected<ExecutableMemory> load(const void *code, uint64_t bytes);

  const uint8_t *data() const { return memory.data(); }

private:
  explicit ExecutableMemory(PageMemory memory) : memory(std::move(memory)) {}
  PageMemory memory;
};

/// A shared library of the system, by name or path; it stays loaded until the process ends.
class DynamicLibrary {
public:
  /// The error says what the loader says.
  static Expected<DynamicLibrary> open(const std::string &name);
  /// Address of a function; null when the library has none of that name.
  void *symbol(const char *name) const;

private:
  explicit DynamicLibrary(void *handle) : handle(handle) {}
  void *handle;
};

/// Instructions that the CPU has and whose registers the operating system saves.
struct CpuFeatures {
  bool v3 = false;                                        ///< AVX2, FMA, F16C, BMI, MOVBE, LZCNT
  bool v4 = false;                                        ///< v3 and AVX-512 F, BW, CD, DQ, VL
  bool avx512Vnni = false, avx512Bf16 = false;            ///< both only with v4
  bool gfni = false;                                      ///< only with v4, on its vectors
  bool amxTile = false, amxBf16 = false, amxInt8 = false; ///< a process has to ask for tiles: useTileRegisters
};
CpuFeatures cpuFeatures();
/// Asks the system for the tile registers of AMX, for all threads of the process, those of the future too. To be called before any
/// of them uses a tile; again and again does no harm. The error is the system's.
Expected<void> useTileRegisters();
/// e.g. "Intel(R) Xeon(R) Platinum 8488C"; empty when unknown.
std::string cpuName();
/// Cores that this process may run on, at least 1.
int availableCores();
/// Keeps the calling thread on one of the cores that the process may use, counted from 0 and around, until it is destroyed on the
/// same thread. Does nothing where the system does not let it.
class CorePin {
public:
  explicit CorePin(int index);
  ~CorePin();
  CorePin(const CorePin &) = delete;
  CorePin &operator=(const CorePin &) = delete;

private:
  std::vector<int> allowed; ///< cores of the thread before
};
/// Tells the core that this thread is waiting in a loop.
void spinPause();

bool fileExists(const std::string &path);
bool isDirectory(const std::string &path);
Expected<std::string> readTextFile(const std::string &path, uint64_t limitBytes);

/// A file being written beside its final place; commit() renames it over whatever is there, the destructor removes what was not
/// committed. Until then it has no name, where the file system knows such files, so that a process that is killed leaves nothing. A
/// final place that exists and is no regular file is refused; behind a link that stays, what it leads to is replaced. Move-only.
class TemporaryFile {
public:
  static Expected<TemporaryFile> create(const std::string &finalPath);
  TemporaryFile(TemporaryFile &&other) noexcept;
  TemporaryFile &operator=(TemporaryFile &&other) noexcept;
  ~TemporaryFile();

  Expected<void> write(const void *data, uint64_t bytes);
  Expected<void> commit();

private:
  TemporaryFile(std::string finalPath, std::string path, int handle, bool isNamed);
  std::string finalPath, path;
  int handle = -1;
  bool isNamed = false; ///< there is a file `path`
};

/// Writes a whole small file through a TemporaryFile.
Expected<void> writeFile(const std::string &path, std::string_view content);
/// A path beside `path`, or beside the file that a link there leads to, that no other process uses: for a child process to write
/// to.
std::string temporaryName(const std::string &path);
/// Moves `from`, a temporaryName of `to`, over `to` in one step; what is there and is no regular file is refused.
Expected<void> replaceFile(const std::string &from, const std::string &to);
/// Removes a file; one that is not there is no error.
void removeFile(const std::string &path);

/// The user's cache folder for `application`, created when it is not there: XDG_CACHE_HOME, else ~/.cache.
Expected<std::string> cacheDirectory(const std::string &application);
/// Path of the running program.
Expected<std::string> executablePath();
bool stderrIsTerminal();

struct ProcessResult {
  int exitCode = 0;   ///< 128 + signal when it was killed
  std::string output; ///< standard output and error, interleaved; at most the last 1 MiB
};

/// Runs a program (a path, or a name that is searched in PATH) to its end. `onOutput`, when set, sees its output as it comes.
Expected<ProcessResult> runProcess(const std::vector<std::string> &arguments,
                                   const std::function<void(std::string_view)> &onOutput = nullptr);

} // namespace sm1rt

#endif // SM1RT_SRC_PLATFORM_H
