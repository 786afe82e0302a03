// A persistent kernel as nvcc makes it (persistent/ring.cu): right under every schedule, several launches in a row, and every
// barrier or wait that is left out noticed.
#include "PlantEach.h"

#include <fstream>
#include <map>
#include <sstream>

using namespace emulator;

namespace {

const char *const kSchedules[] = {"warps", "warps-reversed", "shuffled:1", "shuffled:2", "threads"};
constexpr unsigned kSize = 64, kBlocks = 4, kThreads = 192, kShared = 7 << 10, kLaunches = 2;
constexpr int kLayers = 4; // an even number: the next launch finds x where the first one found it

std::string textOf(const std::string &file) {
  std::ifstream stream(std::string(SM1_EMULATOR_TEST_DATA) + "/" + file);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

/// Two launches of four layers; the message of a finding, "wrong numbers", or "" when all is well.
std::string runRing() {
  Environment chip("SM1_EMULATOR_SMS", "4"), polls("SM1_EMULATOR_POLLS", "300");
  Gpu gpu;
  std::vector<uint32_t> weights(kLayers * kSize * kSize), x(kSize), words(4 * kSize, 0);
  for (uint32_t i = 0; i < weights.size(); ++i)
    weights[i] = i * 2654435761u >> 7;
  for (uint32_t i = 0; i < kSize; ++i)
    x[i] = i + 1, words[2 * i] = x[i], words[2 * i + 1] = 1; // layer 0 of the first launch
  CUfunction function = gpu.function(textOf("ring.ptx"), "ring");
  CUdeviceptr w = gpu.upload(weights), exchange = gpu.upload(words), out = gpu.allocate(kSize * 4);
  testing::internal::CaptureStderr();
  int error = 0;
  for (unsigned launch = 0; launch < kLaunches && !error; ++launch) {
    int layers = kLayers;
    uint32_t base = 1 + launch * kLayers;
    void *params[] = {&w, &exchange, &out, &layers, &base};
    error = gpu.call("cuLaunchCooperativeKernel", function, kBlocks, 1u, 1u, kThreads, 1u, 1u, kShared, gpu.stream, params);
    for (int l = 0; l < kLayers; ++l) {
      std::vector<uint32_t> next(kSize, 0);
      for (unsigned i = 0; i < kSize * kSize; ++i)
        next[i / kSize] += weights[static_cast<unsigned>(l) * kSize * kSize + i] * x[i % kSize];
      x = next;
    }
  }
  error = error ? error : gpu.call("cuStreamSynchronize", gpu.stream);
  std::string message = testing::internal::GetCapturedStderr();
  if (error)
    return message;
  return gpu.download<uint32_t>(out, kSize) == x ? "" : "wrong numbers";
}

class PersistentTest : public testing::TestWithParam<const char *> {
protected:
  Environment environment{"SM1_EMULATOR_SCHEDULE", GetParam()};
};
class PersistentFindingTest : public PersistentTest {};
std::string nameOf(const testing::TestParamInfo<const char *> &info) { return "Schedule" + std::to_string(info.index); }
INSTANTIATE_TEST_SUITE_P(Schedules, PersistentTest, testing::ValuesIn(kSchedules), nameOf);
INSTANTIATE_TEST_SUITE_P(Findings, PersistentFindingTest, testing::ValuesIn(kSchedules), nameOf);

TEST_P(PersistentTest, Ring) { EXPECT_EQ(runRing(), ""); }

TEST_P(PersistentFindingTest, PlantedBugsAreCaught) {
  std::map<std::string, unsigned> counts = plantEach(std::string("ring-") + GetParam(), [] { return runRing().empty(); });
  EXPECT_GE(counts["barrier"], 2u);
  EXPECT_GE(counts["wait"], 2u);
  EXPECT_GE(counts["index"], 8u);
}

} // namespace
