// Safetensors files as every reader of the runtime meets them: plain, as a package, and as a saved state. An input is a file as it
// stands, or, so that changes to the header get past its length, a header and data with a line feed between them.
#include "FuzzTarget.h"
#include "TestPackage.h"

#include "sm1rt/Package.h"
#include "sm1rt/Safetensors.h"
#include "sm1rt/StateFile.h"

#include <random>

using namespace sm1rt;
using namespace sm1test;
using sm1fuzz::require;

/// In memory where there is such a folder; gone when the process ends as it should.
static std::string inputPath() {
  static struct Scratch {
    std::filesystem::path folder = std::filesystem::exists("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::string path = (folder / ("sm1-fuzz-" + std::to_string(std::random_device()()))).string();
    ~Scratch() { std::filesystem::remove(path); }
  } scratch;
  return scratch.path;
}

/// The form with a line feed.
static std::string opened(const std::string &file) {
  uint64_t length = 0;
  for (int byte = 7; byte >= 0; --byte)
    length = length << 8 | uint8_t(file[size_t(byte)]);
  return file.substr(8, length) + "\n" + file.substr(8 + length);
}

std::vector<std::string> sm1fuzz::seeds() {
  const std::string typed = R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"I64","shape":[],)"
                            R"("data_offsets":[24,32]},"c":{"dtype":"U8","shape":[0],"data_offsets":[32,32]}})";
  const std::string state = R"({"__metadata__":{"sm1.state":"1","sm1.model":"toy","sm1.fingerprint":"0123456789abcdef",)"
                            R"("sm1.position":"2","sm1.seed":"7","sm1.sequence":"1"},"state.h":{"dtype":"F32","shape":[2],)"
                            R"("data_offsets":[0,8]},"tokens":{"dtype":"I32","shape":[3],"data_offsets":[8,20]}})";
  TemporaryFolder folder;
  writeToyCheckpoint(folder.file("checkpoint"));
  std::vector<std::string> files = {safetensorsBytes(typed, std::string(32, '\x3f')),
                                    safetensorsBytes(state, std::string(20, '\1')), readBytes(folder.file("checkpoint"))};
  for (const std::string &file : std::vector<std::string>(files))
    files.push_back(opened(file));
  return files;
}

static void readAll(const std::string &path) {
  auto file = SafetensorsFile::open(path);
  if (!file) {
    require(!file.error().message.empty(), "a refusal has a reason");
    return;
  }
  uint64_t covered = file->dataOffset();
  volatile uint8_t sum = 0;
  for (const FileTensor &tensor : file->tensors()) {
    require(byteCount(tensor.type) == tensor.bytes, "a tensor has the bytes of its type");
    for (uint64_t byte = 0; byte < tensor.bytes; byte += 64)
      sum = sum + tensor.data[byte];
    covered += tensor.bytes;
  }
  require(covered == file->fileBytes(), "tensors cover the data");
}

static void runFile(const std::string &bytes) {
  writeBytes(inputPath(), bytes);
  readAll(inputPath());
  (void)Package::open(inputPath());
  if (auto info = StateFile::open(inputPath()))
    require(info->position() >= 0 && info->conversation().tokens.size() < 1 << 20, "a state has a position");
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string input(reinterpret_cast<const char *>(data), size);
  size_t header = input.find('\n');
  if (header == std::string::npos || input.substr(0, 1) != "{")
    runFile(input);
  else
    runFile(safetensorsBytes(input.substr(0, header), input.substr(header + 1)));
  return 0;
}
