// Files on Linux (and any POSIX system): reading, writing them whole or not at all, folders.
#include "Platform.h"
#include "PlatformCalls.h"

#include <fmt/format.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sm1rt {

//===-- Reading ------------------------------------------------------------------------------------------------------------===//

/// Opens `path` for reading and says how long it is; only regular files have a length to trust.
static Expected<uint64_t> openRegularFile(const std::string &path, Descriptor &file) {
  // O_NONBLOCK keeps a named pipe from blocking here before its type is known; it means nothing for regular files.
  file.handle = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file.handle < 0)
    return systemError(path, errno);
  struct stat status;
  if (::fstat(file.handle, &status) != 0)
    return systemError(path, errno);
  if (!S_ISREG(status.st_mode))
    return Error{fmt::format("{}: not a regular file", path)};
  return uint64_t(status.st_size);
}

Expected<FileMapping> FileMapping::open(const std::string &path) {
  Descriptor file{-1};
  auto size = openRegularFile(path, file);
  if (!size)
    return size.error();
  if (*size == 0)
    return FileMapping(nullptr, 0);
  void *address = ::mmap(nullptr, *size, PROT_READ, MAP_PRIVATE, file.handle, 0);
  if (address == MAP_FAILED)
    return systemError(path, errno);
  return FileMapping(static_cast<const uint8_t *>(address), *size);
}

FileMapping::FileMapping(FileMapping &&other) noexcept
    : address(std::exchange(other.address, nullptr)), bytes(std::exchange(other.bytes, 0)) {}

FileMapping &FileMapping::operator=(FileMapping &&other) noexcept {
  std::swap(address, other.address);
  std::swap(bytes, other.bytes);
  return *this;
}

FileMapping::~FileMapping() {
  if (address)
    ::munmap(const_cast<uint8_t *>(address), bytes);
}

bool fileExists(const std::string &path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0;
}

bool isDirectory(const std::string &path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

Expected<std::string> readTextFile(const std::string &path, uint64_t limitBytes) {
  Descriptor file{-1};
  auto size = openRegularFile(path, file);
  if (!size)
    return size.error();
  if (*size > limitBytes)
    return Error{fmt::format("{}: {} bytes, at most {} are read", path, *size, limitBytes)};
  std::string text(*size, '\0');
  uint64_t have = 0;
  while (have < text.size()) {
    ssize_t got = ::read(file.handle, &text[have], text.size() - have);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return systemError(path, errno);
    if (got == 0)
      break;
    have += uint64_t(got);
  }
  text.resize(have);
  return text;
}

//===-- Writing ------------------------------------------------------------------------------------------------------------===//

/// Where a file goes that replaces `path`: a link stays, and what it leads to is replaced.
static std::string behindLinks(const std::string &path) {
  struct stat status;
  if (::lstat(path.c_str(), &status) != 0 || !S_ISLNK(status.st_mode))
    return path;
  std::unique_ptr<char, decltype(&std::free)> place(::realpath(path.c_str(), nullptr), &std::free);
  return place ? place.get() : path;
}

/// Renaming over /dev/null or a folder would replace or miss it.
static Expected<void> checkReplaceable(const std::string &path) {
  struct stat status;
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
    return Error{fmt::format("{}: not a regular file, cannot be replaced", path)};
  return {};
}

std::string temporaryName(const std::string &path) {
  static std::atomic<unsigned> counter{0};
  // Containers that share a folder have processes of one number, most often 1; the time tells them apart.
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return fmt::format("{}.tmp-{}-{}-{}", behindLinks(path), ::getpid(), counter.fetch_add(1),
                     std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

TemporaryFile::TemporaryFile(std::string finalPath, std::string path, int handle, bool isNamed)
    : finalPath(std::move(finalPath)), path(std::move(path)), handle(handle), isNamed(isNamed) {}

TemporaryFile::TemporaryFile(TemporaryFile &&other) noexcept
    : finalPath(std::move(other.finalPath)), path(std::move(other.path)), handle(std::exchange(other.handle, -1)),
      isNamed(std::exchange(other.isNamed, false)) {}

TemporaryFile &TemporaryFile::operator=(TemporaryFile &&other) noexcept {
  std::swap(finalPath, other.finalPath);
  std::swap(path, other.path);
  std::swap(handle, other.handle);
  std::swap(isNamed, other.isNamed);
  return *this;
}

TemporaryFile::~TemporaryFile() {
  if (handle >= 0)
    ::close(handle);
  if (isNamed)
    ::unlink(path.c_str());
}

/// Why no file can be made beside `path`, with the folder that is missing.
static Error creationError(const std::string &path, int code) {
  Error error = systemError(path, code);
  size_t slash = path.rfind('/');
  if (code == ENOENT && slash != std::string::npos && !isDirectory(path.substr(0, slash + 1)))
    error.message += fmt::format("; there is no folder {} to write to, make it first", path.substr(0, slash + 1));
  return error;
}

/// A file without a name, in the folder of `path`; less than 0 where the file system has none. Nothing is left of it, however the
/// process ends.
static int openNameless(const std::string &path) {
#ifdef O_TMPFILE
  size_t slash = path.rfind('/');
  std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  return ::open(folder.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
#else
  return -1;
#endif
}

/// Gives a nameless file its first name.
static bool giveName(int handle, const std::string &path) {
#ifdef O_TMPFILE
  std::string open = fmt::format("/proc/self/fd/{}", handle);
  return ::linkat(AT_FDCWD, open.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0;
#else
  return false;
#endif
}

Expected<TemporaryFile> TemporaryFile::create(const std::string &finalPath) {
  if (Expected<void> replaceable = checkReplaceable(finalPath); !replaceable)
    return replaceable.error();
  std::string path = temporaryName(finalPath);
  // Later it gets its name through /proc, which a container may lack.
  if (int handle = isDirectory("/proc/self/fd") ? openNameless(path) : -1; handle >= 0)
    return TemporaryFile(finalPath, path, handle, /*isNamed=*/false);
  int handle = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (handle < 0)
    return creationError(finalPath, errno);
  return TemporaryFile(finalPath, path, handle, /*isNamed=*/true);
}

Expected<void> TemporaryFile::write(const void *data, uint64_t bytes) {
  auto *from = static_cast<const uint8_t *>(data);
  while (bytes > 0) {
    ssize_t written = ::write(handle, from, bytes < (1u << 30) ? bytes : (1u << 30));
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return systemError(finalPath, errno);
    from += written;
    bytes -= uint64_t(written);
  }
  return {};
}

Expected<void> TemporaryFile::commit() {
  isNamed = isNamed || giveName(handle, path);
  int code = isNamed ? 0 : errno;
  // Some file systems report a full disk only here.
  if (::close(std::exchange(handle, -1)) != 0 && code == 0)
    code = errno;
  if (code == 0 && ::rename(path.c_str(), behindLinks(finalPath).c_str()) != 0)
    code = errno;
  if (code != 0)
    return systemError(finalPath, code); // the destructor removes it
  isNamed = false;
  return {};
}

Expected<void> writeFile(const std::string &path, std::string_view content) {
  auto file = TemporaryFile::create(path);
  if (!file)
    return file.error();
  if (auto written = file->write(content.data(), content.size()); !written)
    return written.error();
  return file->commit();
}

Expected<void> replaceFile(const std::string &from, const std::string &to) {
  if (Expected<void> replaceable = checkReplaceable(to); !replaceable)
    return replaceable.error();
  if (::rename(from.c_str(), behindLinks(to).c_str()) != 0)
    return systemError(to, errno);
  return {};
}

void removeFile(const std::string &path) { ::unlink(path.c_str()); }

//===-- Folders ------------------------------------------------------------------------------------------------------------===//

/// mkdir -p.
static Expected<void> createDirectories(const std::string &path) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    std::string part = path.substr(0, slash);
    if (::mkdir(part.c_str(), 0777) != 0 && errno != EEXIST)
      return systemError(part, errno);
    if (slash == std::string::npos)
      return {};
  }
}

Expected<std::string> cacheDirectory(const std::string &application) {
  const char *cache = std::getenv("XDG_CACHE_HOME");
  const char *home = std::getenv("HOME");
  std::string path;
  // The XDG specification says that a relative path is to be ignored.
  if (cache && cache[0] == '/')
    path = cache;
  else if (home && home[0] == '/')
    path = std::string(home) + "/.cache";
  else
    return Error{"cache folder: neither XDG_CACHE_HOME nor HOME names one"};
  path += "/" + application;
  if (auto made = createDirectories(path); !made)
    return made.error().in("cache folder");
  return path;
}

} // namespace sm1rt
