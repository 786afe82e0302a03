// Quantises matrices of a file and compares with what the file says comes out, byte for byte. Tensors are named CASE/source and
// CASE/BITS.GROUP.SCALE.integers, .scales, .coarse or .e4m3, e.g. "ties/4.32.f16.scales". Usage: sm1-pack-test FILE.

#include "sm1rt/Packing.h"
#include "sm1rt/Safetensors.h"

#include <fmt/core.h>

#include <cstring>

using namespace sm1rt;

/// The step that a tensor's name asks for; its bits are 0 where the name is another.
static PackingStep stepOf(const std::string &name) {
  long long bits = 0, group = 0;
  char scale[8] = "", what[16] = "";
  if (std::sscanf(name.c_str(), "%lld.%lld.%7[a-z0-9].%15s", &bits, &group, scale, what) != 4)
    return PackingStep::quantise(0, 0, DType::F32);
  DType dtype = parseDType(scale).value_or(DType::U8);
  auto step = !std::strcmp(what, "scales")   ? PackingStep::scales
              : !std::strcmp(what, "coarse") ? PackingStep::coarsen
              : !std::strcmp(what, "e4m3")   ? PackingStep::e4m3
                                             : PackingStep::quantise;
  return step(bits, group, dtype);
}

/// What is wrong with `expected`, empty when nothing is.
static std::string compare(const SafetensorsFile &file, const FileTensor &expected) {
  size_t slash = expected.name.find('/');
  const FileTensor *source = file.find(expected.name.substr(0, slash) + "/source");
  if (!source)
    return "there is no source";
  std::vector<PackingStep> steps{stepOf(expected.name.substr(slash + 1))};
  std::vector<uint8_t> out(expected.bytes);
  for (int threads : {1, 3}) {
    if (auto done = pack(source->type, source->data, steps, out.data(), out.size(), threadedFor(threads)); !done)
      return done.error().message;
    for (size_t i = 0; i < out.size(); ++i)
      if (out[i] != expected.data[i])
        return fmt::format("byte {} is {}, expected {}", i, out[i], expected.data[i]);
  }
  return "";
}

int main(int argc, char **argv) {
  auto file = SafetensorsFile::open(argc == 2 ? argv[1] : "");
  if (!file) {
    fmt::print("{}\n", file.error().message);
    return 2;
  }
  int equal = 0, wrong = 0;
  for (const FileTensor &tensor : file->tensors()) {
    if (tensor.name.find("/source") != std::string::npos)
      continue;
    std::string what = compare(*file, tensor);
    if (!what.empty())
      fmt::print("FAILED  {}: {}\n", tensor.name, what);
    ++(what.empty() ? equal : wrong);
  }
  fmt::print("{} tensors equal, {} not\n", equal, wrong);
  return wrong ? 1 : 0;
}
