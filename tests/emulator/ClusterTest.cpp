// Blocks of a cluster: what they store in each other's shared memory arrives, and misuse is found.
#include "Findings.h"

using namespace emulator;

namespace {

const char *const kSchedules[] = {"warps", "warps-reversed", "shuffled:3", "threads"};

class ClusterTest : public testing::TestWithParam<const char *> {
protected:
  Environment environment{"SM1_EMULATOR_SCHEDULE", GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Schedules, ClusterTest, testing::ValuesIn(kSchedules),
                         [](const auto &info) { return "Schedule" + std::to_string(info.index); });

const std::string kVariables = ".shared .align 8 .b64 bar[4];\n.shared .align 128 .b8 buffer[2048];\n",
                  kArrive = "barrier.cluster.arrive.release.aligned;\n", kWait = "barrier.cluster.wait.acquire.aligned;\n",
                  // %r2: place of the thread's 16 bytes, %r3: rank, %r4: the next block's
    kPlaces = "shl.b32 %r2, %r1, 4;\nmov.u32 %r5, buffer;\nadd.u32 %r2, %r2, %r5;\nmov.u32 %r3, %ctaid.z;\n"
              "and.b32 %r4, %r3, 1;\nxor.b32 %r4, %r4, 1;\nsetp.eq.u32 %p1, %r1, 0;\n",
                  kInit = "@%p1 mbarrier.init.shared::cta.b64 [bar], 1;\n@%p1 fence.mbarrier_init.release.cluster;\n"
                          "@%p1 mbarrier.arrive.expect_tx.shared::cta.b64 _, [bar], 1024;\nbar.sync 0;\n",
                  kNumbers = "mad.lo.u32 %r10, %r3, 1000, %r1;\n",
                  kStore = "mapa.shared::cluster.u32 %r6, %r2, %r4;\nmov.u32 %r7, bar;\nmapa.shared::cluster.u32 %r7, %r7, %r4;\n"
                           "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.u32 [%r6], {%r10, %r10, %r10, %r10}, "
                           "[%r7];\n",
                  kRead = "AGAIN: mbarrier.try_wait.parity.acquire.cluster.shared.b64 %p9, [bar], 0;\n@!%p9 bra AGAIN;\n"
                          "ld.shared.v4.u32 {%r20, %r21, %r22, %r23}, [%r2];\n",
                  kOut = "mad.lo.u32 %r11, %r3, 64, %r1;\nmul.wide.u32 %rd4, %r11, 4;\nadd.s64 %rd4, %rd4, %rd1;\n"
                         "st.global.u32 [%rd4], %r23;\n";

/// `body` as a kernel of clusters of two, in z or in y.
std::string clusters(const std::string &body, bool inY) {
  std::string text = forTarget("sm_90", "8.6", kernel(1, kPlaces + body, kVariables)), shape = inY ? "1, 2, 1" : "1, 1, 2";
  return text.replace(text.find(") {\n"), 4, ")\n.explicitcluster\n.reqnctapercluster " + shape + "\n{\n");
}

int runPairs(Gpu &gpu, const std::string &body, CUdeviceptr out, unsigned z = 2, unsigned y = 0) {
  std::vector<uint64_t> params{out};
  void *pointers[] = {&params[0]};
  CUfunction function = gpu.function(clusters(body, y > 0));
  if (int error = gpu.call("cuLaunchKernel", function, 1u, y ? y : 1u, z, 64u, 1u, 1u, 0u, gpu.stream,
                           static_cast<void **>(pointers), static_cast<void **>(nullptr)))
    return error;
  return gpu.call("cuStreamSynchronize", gpu.stream);
}

TEST_P(ClusterTest, StoresArriveInTheOtherBlock) {
  Gpu gpu;
  CUdeviceptr out = gpu.allocate(4 * 64 * 4);
  // What the other block overwrites was used before.
  std::string body =
      kInit + "st.shared.u32 [%r2], %r1;\nld.shared.u32 %r8, [%r2];\n" + kArrive + kWait + kNumbers + kStore + kRead + kOut;
  ASSERT_EQ(runPairs(gpu, body, out, 4), 0);
  auto values = gpu.download<uint32_t>(out, 4 * 64);
  for (uint32_t i = 0; i < 4 * 64; ++i)
    EXPECT_EQ(values[i], (i / 64 ^ 1) * 1000 + i % 64);
}

TEST_P(ClusterTest, FindsStoresThatNothingOrders) {
  for (const std::string &body : {
           kInit + "st.shared.u32 [%r2], %r1;\n" + kNumbers + kStore + kRead + kOut + kArrive + kWait,           // no barrier
           kInit + kArrive + kWait + "st.shared.u32 [%r2], %r1;\n" + kNumbers + kStore + kRead + kOut,           // used behind it
           kInit + kArrive + kWait + kNumbers + kStore + "ld.shared.v4.u32 {%r20, %r21, %r22, %r23}, [%r2];\n" + // not waited for
               kRead + kOut,
           kArrive + kWait + kInit + kNumbers + kStore + kRead + kOut, // the mbarrier is made too late
       }) {
    Gpu gpu;
    CUdeviceptr out = gpu.allocate(4 * 64 * 4);
    EXPECT_NE(runPairs(gpu, body, out), 0) << body;
  }
}

TEST_P(ClusterTest, FindsMisuse) {
  for (const std::string &body : {
           kArrive + kArrive + kWait,                                              // twice
           kWait,                                                                  // without an arrival
           kInit + kArrive + kWait + kNumbers + "mov.u32 %r4, 2;\n" + kStore,      // no such block
           kInit + kArrive + kWait + kNumbers + "add.u32 %r2, %r2, 4;\n" + kStore, // misaligned
           kInit + kArrive + kWait + kNumbers + kStore,                            // ends before the bytes are there
       }) {
    Gpu gpu;
    CUdeviceptr out = gpu.allocate(4 * 64 * 4);
    EXPECT_NE(runPairs(gpu, body, out), 0) << body;
  }
}

TEST(ClusterLaunchTest, GridsAreWholeClusters) {
  Gpu gpu;
  CUdeviceptr out = gpu.allocate(4 * 64 * 4);
  EXPECT_EQ(runPairs(gpu, kArrive + kWait, out, 3), CUDA_ERROR_INVALID_VALUE);
}

TEST(ClusterLaunchTest, PairsInYShareNothing) {
  Gpu gpu;
  CUdeviceptr out = gpu.allocate(4 * 64 * 4);
  EXPECT_EQ(runPairs(gpu, "", out, 1, 2), 0);
  EXPECT_EQ(runPairs(gpu, "", out, 1, 3), CUDA_ERROR_INVALID_VALUE);
  EXPECT_NE(runPairs(gpu, kArrive + kWait, out, 1, 2), 0);
}

} // namespace
