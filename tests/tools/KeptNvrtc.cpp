// NVRTC for tests: what it makes of a text is kept, as tools/ptxas.py keeps cubins. A compilation takes seconds.
//
// A library in NVRTC's place, with the functions that the runtime uses. PTX and cubin are kept under a hash of the real library,
// its options, the text and the headers that come with it. What is refused is not kept, nor what includes other headers.
//
// From the environment, as tests set it: SM1_KEPT_NVRTC names the real library, SM1_KEPT_NVRTC_FOLDER where to keep what it makes.
// Without either, on another machine, the loader finds a library and nothing is kept; nor is it with SM1_TEST_COMPILE=always. With
// SM1_TEST_PTXAS=none, which runs on the emulator have, nothing is assembled: it reads PTX, and the same is made for compute_90 as
// for sm_90.
#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#define NVRTC extern "C" __attribute__((visibility("default")))

namespace {

constexpr int success = 0;

/// A variable of the environment; empty where it is not set.
std::string setting(const char *name) {
  const char *value = std::getenv(name);
  return value ? value : "";
}

/// The library that tests name, or one that the loader finds.
void *realLibrary() {
  static void *const library = [] {
    const std::string named = setting("SM1_KEPT_NVRTC");
    void *found = named.empty() ? nullptr : dlopen(named.c_str(), RTLD_NOW | RTLD_LOCAL);
    for (const char *name : {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"})
      found = found ? found : dlopen(name, RTLD_NOW | RTLD_LOCAL);
    return found;
  }();
  return library;
}

/// A function of it.
template <class Signature> Signature *real(const char *name) {
  void *found = realLibrary() ? dlsym(realLibrary(), name) : nullptr;
  if (!found) {
    std::fprintf(stderr, "sm1-kept-nvrtc: there is no NVRTC, or none with %s\n", name);
    std::abort();
  }
  return reinterpret_cast<Signature *>(found);
}

/// FNV-1a of texts one after the other, with their sizes.
class Digest {
public:
  void add(std::string_view text) {
    for (unsigned char c : std::to_string(text.size()) + ":" + std::string(text))
      hash = (hash ^ c) * 0x100000001b3u;
    bytes += text.size();
  }
  std::string text() const {
    std::ostringstream words;
    words << std::hex << hash << '-' << bytes;
    return words.str();
  }

private:
  uint64_t hash = 0xcbf29ce484222325u, bytes = 0;
};

struct Result {
  std::string ptx, cubin;
};

std::string contents(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool exists(const std::string &path) { return access(path.c_str(), R_OK) == 0; }

/// Whole or not at all: several tests may keep the same.
void put(const std::string &path, const std::string &bytes) {
  std::string partial = path + "." + std::to_string(getpid());
  if (std::ofstream(partial, std::ios::binary) << bytes)
    std::rename(partial.c_str(), path.c_str());
}

} // namespace

struct KeptProgram {
  void *program = nullptr;
  std::string text;
  std::vector<std::pair<std::string, std::string>> headers; // name, text
  Result result;
  bool isKept = false;
};

/// Options by which the real library compiles, `isAssembled` or not.
static std::vector<std::string> optionsOf(int count, const char *const *options, bool isAssembled) {
  constexpr std::string_view chip = "--gpu-architecture=sm_", virtualChip = "--gpu-architecture=compute_";
  std::vector<std::string> made(options, options + count);
  for (std::string &option : made)
    if (!isAssembled && option.compare(0, chip.size(), chip) == 0)
      option.replace(0, chip.size(), virtualChip);
  return made;
}

/// Where the result of a compilation is kept; empty where it must not be.
static std::string placeOf(const KeptProgram &program, const std::vector<std::string> &options) {
  const std::string folder = setting("SM1_KEPT_NVRTC_FOLDER");
  struct stat library;
  if (folder.empty() || setting("SM1_TEST_COMPILE") == "always" || stat(setting("SM1_KEPT_NVRTC").c_str(), &library))
    return "";
  Digest digest;
  digest.add(std::to_string(library.st_size) + " " + std::to_string(library.st_mtime));
  digest.add(program.text);
  for (const auto &[name, text] : program.headers)
    digest.add(name), digest.add(text);
  for (const std::string &option : options)
    digest.add(option);
  for (size_t at = 0; (at = program.text.find("#include", at)) != std::string::npos; ++at) {
    size_t begin = program.text.find_first_of("\"<", at), end = program.text.find_first_of("\">\n", begin + 1);
    bool isKnown = false;
    for (const auto &header : program.headers)
      isKnown |= begin < end && program.text.compare(begin + 1, end - begin - 1, header.first) == 0;
    if (!isKnown)
      return "";
  }
  return folder + "/" + digest.text();
}

NVRTC int nvrtcVersion(int *major, int *minor) { return real<int(int *, int *)>("nvrtcVersion")(major, minor); }

NVRTC const char *nvrtcGetErrorString(int result) { return real<const char *(int)>("nvrtcGetErrorString")(result); }

NVRTC int nvrtcCreateProgram(KeptProgram **made, const char *text, const char *name, int count, const char *const *headers,
                             const char *const *names) {
  auto *program = new KeptProgram;
  int result = real<int(void **, const char *, const char *, int, const char *const *, const char *const *)>("nvrtcCreateProgram")(
      &program->program, text, name, count, headers, names);
  program->text = text;
  for (int i = 0; i < count; ++i)
    program->headers.push_back({names[i], headers[i]});
  *made = program;
  return result;
}

/// What the real library gives out by a pair of functions.
static int take(KeptProgram *program, const char *size, const char *data, std::string &bytes) {
  size_t length = 0;
  if (int result = real<int(void *, size_t *)>(size)(program->program, &length))
    return result;
  bytes.resize(length);
  return real<int(void *, char *)>(data)(program->program, bytes.data());
}

NVRTC int nvrtcCompileProgram(KeptProgram *program, int count, const char *const *given) {
  const bool isAssembled = setting("SM1_TEST_PTXAS") != "none";
  const std::vector<std::string> options = optionsOf(count, given, isAssembled);
  const std::string place = placeOf(*program, options);
  if (!place.empty() && exists(place + ".cubin")) { // written last
    program->result = {contents(place + ".ptx"), contents(place + ".cubin")};
    program->isKept = true;
    return success;
  }
  std::vector<const char *> words;
  for (const std::string &option : options)
    words.push_back(option.c_str());
  int result = real<int(void *, int, const char *const *)>("nvrtcCompileProgram")(program->program, count, words.data());
  if (result == success)
    result = take(program, "nvrtcGetPTXSize", "nvrtcGetPTX", program->result.ptx);
  if (result == success && isAssembled)
    result = take(program, "nvrtcGetCUBINSize", "nvrtcGetCUBIN", program->result.cubin);
  else if (result == success)
    program->result.cubin = std::string("\177ELF\0\0\0", 8); // which the emulator refuses, as any
  if (result == success && !place.empty()) {
    put(place + ".ptx", program->result.ptx);
    put(place + ".cubin", program->result.cubin);
  }
  return result;
}

static int give(const std::string &bytes, char *to) {
  std::memcpy(to, bytes.data(), bytes.size());
  return success;
}

NVRTC int nvrtcGetPTXSize(KeptProgram *program, size_t *size) { return *size = program->result.ptx.size(), success; }
NVRTC int nvrtcGetPTX(KeptProgram *program, char *ptx) { return give(program->result.ptx, ptx); }
NVRTC int nvrtcGetCUBINSize(KeptProgram *program, size_t *size) { return *size = program->result.cubin.size(), success; }
NVRTC int nvrtcGetCUBIN(KeptProgram *program, char *cubin) { return give(program->result.cubin, cubin); }

NVRTC int nvrtcGetProgramLogSize(KeptProgram *program, size_t *size) {
  return program->isKept ? (*size = 1, success) : real<int(void *, size_t *)>("nvrtcGetProgramLogSize")(program->program, size);
}

NVRTC int nvrtcGetProgramLog(KeptProgram *program, char *log) {
  return program->isKept ? (*log = '\0', success) : real<int(void *, char *)>("nvrtcGetProgramLog")(program->program, log);
}

NVRTC int nvrtcDestroyProgram(KeptProgram **program) {
  int result = real<int(void **)>("nvrtcDestroyProgram")(&(*program)->program);
  delete *program;
  *program = nullptr;
  return result;
}
