// Cooperative launches: blocks that exchange words through global memory, and a ring of bulk copies between the warps of each.
#include "Findings.h"

using namespace emulator;

namespace {

const char *const kSchedules[] = {"warps", "warps-reversed", "shuffled:1", "shuffled:2", "threads"};

int launchTogether(Gpu &gpu, CUfunction function, unsigned blocks, unsigned threads, std::vector<uint64_t> params) {
  std::vector<void *> pointers;
  for (uint64_t &param : params)
    pointers.push_back(&param);
  return gpu.call("cuLaunchCooperativeKernel", function, blocks, 1u, 1u, threads, 1u, 1u, 0u, gpu.stream, pointers.data());
}

class CooperativeTest : public testing::TestWithParam<const char *> {
protected:
  Environment environment{"SM1_EMULATOR_SCHEDULE", GetParam()};
};
class CooperativeFindingTest : public CooperativeTest {};
std::string nameOf(const testing::TestParamInfo<const char *> &info) { return "Schedule" + std::to_string(info.index); }
INSTANTIATE_TEST_SUITE_P(Schedules, CooperativeTest, testing::ValuesIn(kSchedules), nameOf);
INSTANTIATE_TEST_SUITE_P(Findings, CooperativeFindingTest, testing::ValuesIn(kSchedules), nameOf);

/// Each lane hands a word on to the next block, ten times round. A word is a value and the number of its round, in 64 bits that are
/// written at once; %rd1 has 32 words for every block.
const std::string kPassOn = forTarget(
    "sm_90", "8.0",
    kernel(1,
           "mov.u32 %r2, %ctaid.x; mov.u32 %r3, %nctaid.x; add.u32 %r4, %r2, 1; rem.u32 %r4, %r4, %r3;\n"
           "shl.b32 %r5, %r2, 8; shl.b32 %r6, %r4, 8; shl.b32 %r7, %r1, 3; add.u32 %r5, %r5, %r7; add.u32 %r6, %r6, %r7;\n"
           "cvt.u64.u32 %rd2, %r5; cvt.u64.u32 %rd3, %r6; add.s64 %rd2, %rd2, %rd1; add.s64 %rd3, %rd3, %rd1;\n"
           "mov.u32 %r10, %r1; mov.u32 %r11, 1; setp.eq.u32 %p1, %r2, 0;\n"
           "LOOP: mov.b64 %rd4, {%r10, %r11}; @%p1 st.relaxed.gpu.global.b64 [%rd3], %rd4;\n"
           "POLL: ld.relaxed.gpu.global.b64 %rd5, [%rd2]; mov.b64 {%r12, %r13}, %rd5; setp.ne.u32 %p2, %r13, %r11; @%p2 bra POLL;\n"
           "add.u32 %r10, %r12, %r2; mov.b64 %rd4, {%r10, %r11}; @!%p1 st.relaxed.gpu.global.b64 [%rd3], %rd4;\n"
           "add.u32 %r11, %r11, 1; setp.le.u32 %p3, %r11, 10; @%p3 bra LOOP;"));

TEST_P(CooperativeTest, WordsPassFromBlockToBlock) {
  for (uint32_t blocks : {4, 7, 36}) {
    Environment chip("SM1_EMULATOR_SMS", std::to_string(blocks));
    Gpu gpu;
    CUdeviceptr words = gpu.upload(std::vector<uint32_t>(blocks * 64, 0));
    ASSERT_EQ(launchTogether(gpu, gpu.function(kPassOn), blocks, 32, {words}), 0);
    ASSERT_EQ(gpu.call("cuStreamSynchronize", gpu.stream), 0);
    auto last = gpu.download<uint32_t>(words, 64); // what block 0 got
    for (uint32_t lane = 0; lane < 32; ++lane) {
      EXPECT_EQ(last[2 * lane], lane + 10 * (blocks * (blocks - 1) / 2));
      EXPECT_EQ(last[2 * lane + 1], 10u);
    }
  }
}

TEST_P(CooperativeTest, SpinningWarpsStarveNobody) {
  // Of each block three warps and half of the fourth spin on what the other half of the last block says.
  Gpu gpu;
  CUdeviceptr word = gpu.upload(std::vector<uint32_t>(2, 0));
  CUfunction function = gpu.function(
      kernel(1, "mov.u32 %r2, %ctaid.x; setp.lt.u32 %p1, %r1, 112; setp.ne.or.u32 %p1, %r2, 3, %p1; @%p1 bra SPIN;\n"
                "mov.u32 %r3, 0; COUNT: add.u32 %r3, %r3, 1; setp.lt.u32 %p2, %r3, 100000; @%p2 bra COUNT;\n"
                "red.release.gpu.global.add.u32 [%rd1], 1;\n"
                "SPIN: ld.acquire.gpu.global.u32 %r4, [%rd1]; setp.ne.u32 %p3, %r4, 16; nanosleep.u32 20; @%p3 bra SPIN;"));
  ASSERT_EQ(launchTogether(gpu, function, 4, 128, {word}), 0);
  EXPECT_EQ(gpu.call("cuStreamSynchronize", gpu.stream), 0);
}

TEST_P(CooperativeTest, FormsOfAccessesAndFences) {
  Gpu gpu;
  CUdeviceptr words = gpu.upload(std::vector<uint32_t>{1, 2, 3, 4, 0, 0, 0, 0});
  CUfunction function = gpu.function(forTarget(
      "sm_90", "8.0",
      kernel(1,
             "prefetch.global.L2 [%rd1]; prefetch.global.L2::evict_last [%rd1]; prefetch.tensormap [%rd1];\n"
             "createpolicy.fractional.L2::evict_last.b64 %rd2, 0.5;\n"
             "elect.sync %r3|%p1, -1; redux.sync.add.u32 %r4, %r1, -1;\n"
             "ld.relaxed.sys.global.v4.u32 {%r5, %r6, %r7, %r8}, [%rd1]; ld.acquire.cta.global.u32 %r9, [%rd1+4];\n"
             "ld.global.nc.L1::no_allocate.L2::128B.v2.u32 {%r10, %r11}, [%rd1]; "
             "ld.global.L1::no_allocate.L2::cache_hint.u32 %r12, [%rd1+8], %rd2; ld.volatile.global.u32 %r13, [%rd1+12];\n"
             "fence.acq_rel.gpu; fence.sc.sys; fence.proxy.alias; fence.proxy.async; fence.proxy.async.global; membar.gl; "
             "membar.sys; nanosleep.u32 10;\n"
             "mov.u64 %rd3, %clock64; mov.u32 %r14, %clock; mov.u64 %rd4, %globaltimer;\n"
             "add.u32 %r4, %r4, %r5; add.u32 %r4, %r4, %r8; add.u32 %r4, %r4, %r9; add.u32 %r4, %r4, %r10; add.u32 %r4, %r4, %r12; "
             "add.u32 %r4, %r4, %r13;\n"
             "@%p1 st.release.gpu.global.u32 [%rd1+16], %r4; @%p1 st.relaxed.cta.global.v2.u32 [%rd1+24], {%r5, %r6};\n"
             "@%p1 atom.acq_rel.gpu.global.add.u32 %r15, [%rd1+20], 5; @%p1 red.release.sys.global.max.u32 [%rd1+20], 7;")));
  ASSERT_EQ(launchTogether(gpu, function, 1, 32, {words}), 0);
  EXPECT_EQ(gpu.download<uint32_t>(words, 8), (std::vector<uint32_t>{1, 2, 3, 4, 496 + 1 + 4 + 2 + 1 + 3 + 4, 7, 1, 2}));
}

TEST_P(CooperativeFindingTest, WaitingForNobodyIsADeadlock) {
  Environment polls("SM1_EMULATOR_POLLS", "200");
  Gpu gpu;
  CUdeviceptr words = gpu.upload(std::vector<uint32_t>(64, 0));
  // Two words are polled, the second is never written; meanwhile the other warp waits at a barrier.
  CUfunction function = gpu.function(
      kernel(1, "setp.ge.u32 %p1, %r1, 32; @%p1 bra BARRIER; st.relaxed.gpu.global.u32 [%rd1], 1;\n"
                "POLL: ld.relaxed.gpu.global.u32 %r3, [%rd1]; ld.volatile.global.u32 %r4, [%rd1+4]; add.u32 %r3, %r3, %r4; "
                "setp.ne.u32 %p2, %r3, 2; @%p2 bra POLL;\nBARRIER: bar.sync 0;"));
  ASSERT_EQ(launchTogether(gpu, function, 3, 64, {words}), 0);
  testing::internal::CaptureStderr();
  EXPECT_EQ(gpu.call("cuStreamSynchronize", gpu.stream), CUDA_ERROR_LAUNCH_TIMEOUT);
  std::string message = testing::internal::GetCapturedStderr();
  EXPECT_NE(message.find("deadlock: nothing changes any more"), std::string::npos) << message;
  EXPECT_NE(message.find("96 at PTX line 1"), std::string::npos) << message;
}

TEST_P(CooperativeFindingTest, ABlockThatIsStuckEndsTheLaunch) {
  Gpu gpu;
  CUdeviceptr word = gpu.upload(std::vector<uint32_t>(1, 0));
  CUfunction function = gpu.function(kernel(1, "mov.u32 %r2, %ctaid.x; setp.eq.u32 %p1, %r2, 1; @%p1 bar.sync 2, 96;\nPOLL: "
                                               "ld.relaxed.gpu.global.u32 %r3, [%rd1]; bra POLL;"));
  ASSERT_EQ(launchTogether(gpu, function, 3, 64, {word}), 0);
  testing::internal::CaptureStderr();
  EXPECT_EQ(gpu.call("cuStreamSynchronize", gpu.stream), CUDA_ERROR_LAUNCH_FAILED);
  std::string message = testing::internal::GetCapturedStderr();
  EXPECT_NE(message.find("deadlock: 64 threads wait at barriers"), std::string::npos) << message;
  EXPECT_NE(message.find("block (1,0,0)"), std::string::npos) << message;
}

TEST(CooperativeLaunchTest, AllBlocksHaveToFit) {
  Environment chip("SM1_EMULATOR_SMS", "3");
  Gpu gpu;
  int value = 0;
  EXPECT_EQ(gpu.call("cuDeviceGetAttribute", &value, 16, 0), 0);
  EXPECT_EQ(value, 3);
  EXPECT_EQ(gpu.call("cuDeviceGetAttribute", &value, 95, 0), 0);
  EXPECT_EQ(value, 1);
  CUfunction function = gpu.function(kernel(0, ""));
  EXPECT_EQ(launchTogether(gpu, function, 6, 1024, {}), 0);
  EXPECT_EQ(launchTogether(gpu, function, 7, 1024, {}), CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
  EXPECT_EQ(gpu.launch(function, 7, 1024, {}), 0);
  EXPECT_EQ(gpu.call("cuStreamSynchronize", gpu.stream), 0);
}

TEST(CooperativeLaunchTest, IsCaptured) {
  Gpu gpu;
  CUdeviceptr words = gpu.upload(std::vector<uint32_t>(5 * 64, 0));
  CUfunction function = gpu.function(kPassOn);
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;
  ASSERT_EQ(gpu.call("cuStreamBeginCapture_v2", gpu.stream, 0), 0);
  ASSERT_EQ(gpu.call("cuMemsetD8Async", words, static_cast<unsigned char>(0), size_t(5 * 256), gpu.stream), 0);
  ASSERT_EQ(launchTogether(gpu, function, 5, 32, {words}), 0);
  ASSERT_EQ(gpu.call("cuStreamEndCapture", gpu.stream, &graph), 0);
  ASSERT_EQ(gpu.call("cuGraphInstantiateWithFlags", &exec, graph, 0ull), 0);
  EXPECT_EQ(gpu.download<uint32_t>(words, 2)[1], 0u);
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(gpu.call("cuGraphLaunch", exec, gpu.stream), 0);
    EXPECT_EQ(gpu.download<uint32_t>(words, 2), (std::vector<uint32_t>{100, 10}));
  }
}

TEST(CooperativeLaunchTest, BlocksKnowTheirMultiprocessor) {
  Environment chip("SM1_EMULATOR_SMS", "4");
  Gpu gpu;
  CUdeviceptr out = gpu.allocate(32);
  CUfunction function =
      gpu.function(kernel(1, "mov.u32 %r2, %ctaid.x; mul.wide.u32 %rd2, %r2, 8; add.s64 %rd1, %rd1, %rd2; mov.u32 "
                             "%r3, %smid; mov.u32 %r4, %nsmid; st.global.v2.u32 [%rd1], {%r3, %r4};"));
  ASSERT_EQ(launchTogether(gpu, function, 4, 1, {out}), 0);
  EXPECT_EQ(gpu.download<uint32_t>(out, 8), (std::vector<uint32_t>{0, 4, 1, 4, 2, 4, 3, 4}));
}

// ---- what orders accesses to shared memory ----

/// Warp 0 of block 0 writes its words, says so in a word of global memory, block 1 says it on in another, and warp 1 of block 0,
/// which waits for that by loads of the form `poll`, reads what warp 0 wrote.
std::string aroundTheGrid(const std::string &poll) {
  return kernel(
      1,
      "mov.u32 %r2, %ctaid.x; setp.eq.u32 %p1, %r2, 1; @%p1 bra RELAY; shl.b32 %r3, %r1, 2; mov.u32 %r4, buffer; setp.ge.u32 "
      "%p1, %r1, 32; @%p1 bra READ;\n"
      "add.u32 %r4, %r4, %r3; st.shared.u32 [%r4], %r1; bar.warp.sync -1; setp.eq.u32 %p2, %r1, 0; @%p2 "
      "st.relaxed.gpu.global.u32 [%rd1], 1; bra END;\n"
      "RELAY: ld.relaxed.gpu.global.u32 %r5, [%rd1]; setp.eq.u32 %p2, %r5, 0; @%p2 bra RELAY; st.relaxed.gpu.global.u32 "
      "[%rd1+4], 1; bra END;\n"
      "READ: " +
          poll +
          " %r5, [%rd1+4]; setp.eq.u32 %p2, %r5, 0; @%p2 bra READ; add.u32 %r4, %r4, %r3; ld.shared.u32 %r6, [%r4+-128];\nEND:",
      ".shared .align 4 .b8 buffer[128];\n");
}

TEST_P(CooperativeFindingTest, WordsOrderWhatWasDoneBefore) {
  for (const char *poll : {"ld.relaxed.gpu.global.u32", "ld.global.u32"}) {
    Gpu gpu;
    CUdeviceptr words = gpu.upload(std::vector<uint32_t>(2, 0));
    ASSERT_EQ(launchTogether(gpu, gpu.function(aroundTheGrid(poll)), 2, 64, {words}), 0);
    testing::internal::CaptureStderr();
    int error = gpu.call("cuStreamSynchronize", gpu.stream);
    std::string message = testing::internal::GetCapturedStderr();
    bool strong = poll == std::string("ld.relaxed.gpu.global.u32");
    EXPECT_EQ(error, strong ? 0 : CUDA_ERROR_LAUNCH_FAILED) << message;
    EXPECT_EQ(message.find("race: read of 4 bytes") != std::string::npos, !strong) << message;
  }
}

TEST_P(CooperativeFindingTest, ArrivingIsNotWaiting) {
  std::string variables = ".shared .align 4 .b8 buffer[128];\n",
              begin =
                  "and.b32 %r3, %r1, 31; shl.b32 %r3, %r3, 2; mov.u32 %r4, buffer; add.u32 %r4, %r4, %r3; setp.ge.u32 %p1, %r1, "
                  "32; @%p1 bra READ;\n",
              read = "bra END;\nREAD: bar.sync 1, 64; ld.shared.u32 %r5, [%r4]; bar.arrive 2, 64;\nEND:";
  auto run = [&](const std::string &writer) { return outcome(begin + writer + read, variables); };
  std::string write = "st.shared.u32 [%r4], %r1;";
  EXPECT_EQ(run(write + "bar.arrive 1, 64; bar.sync 2, 64;" + write).error, 0);
  for (const std::string &writer :
       {write + "bar.arrive 1, 64;" + write + "bar.sync 2, 64;", "bar.arrive 1, 64;" + write + "bar.sync 2, 64;"}) {
    Outcome found = run(writer);
    EXPECT_EQ(found.error, CUDA_ERROR_LAUNCH_FAILED) << writer;
    EXPECT_TRUE(found.message.find("race: ") != std::string::npos || found.message.find("nobody has written") != std::string::npos)
        << found.message;
  }
}

// ---- stores that others see late ----

/// Block 0 publishes a 7 and says so; block 1 hands it on when it hears of it. The last word is what block 1 got.
uint32_t handedOn(const std::string &publish, const std::string &poll, unsigned seed) {
  Environment schedule("SM1_EMULATOR_SCHEDULE", "shuffled:" + std::to_string(seed));
  Gpu gpu;
  CUdeviceptr words = gpu.upload(std::vector<uint32_t>(4, 0));
  CUfunction function = gpu.function(
      kernel(1, "mov.u32 %r2, %ctaid.x; setp.eq.u32 %p1, %r2, 1; mov.u32 %r3, 7; mov.u32 %r4, 1; @%p1 bra POLL;\n" + publish +
                    "bra END;\nPOLL: " + poll + "setp.eq.u32 %p2, %r6, 0; @%p2 bra POLL; st.global.u32 [%rd1+8], %r5;\nEND:"));
  EXPECT_EQ(launchTogether(gpu, function, 2, 1, {words}), 0);
  return gpu.download<uint32_t>(words, 4)[2];
}

unsigned timesLost(const std::string &publish, const std::string &poll) {
  unsigned lost = 0;
  for (unsigned seed = 0; seed < 40; ++seed)
    lost += handedOn(publish, poll, seed) != 7;
  return lost;
}

TEST(LateStoresTest, AFlagNeedsAFence) {
  std::string data = "st.global.u32 [%rd1], %r3;", flag = "st.relaxed.gpu.global.u32 [%rd1+4], %r4;",
              poll = "ld.acquire.gpu.global.u32 %r6, [%rd1+4]; ld.global.u32 %r5, [%rd1];";
  EXPECT_GT(timesLost(data + flag, poll), 0u);
  EXPECT_EQ(timesLost(data + "fence.acq_rel.gpu;" + flag, poll), 0u);
  EXPECT_EQ(timesLost(data + "membar.gl;" + flag, poll), 0u);
  EXPECT_EQ(timesLost(data + "st.release.gpu.global.u32 [%rd1+4], %r4;", poll), 0u);
  EXPECT_EQ(timesLost(data + "red.release.gpu.global.add.u32 [%rd1+4], %r4;", poll), 0u);
}

TEST(LateStoresTest, AVectorIsNoUnit) {
  std::string pair = "st.relaxed.gpu.global.v2.u32 [%rd1], {%r3, %r4};",
              one = "mov.b64 %rd2, {%r3, %r4}; st.relaxed.gpu.global.b64 [%rd1], %rd2;",
              poll = "ld.relaxed.gpu.global.b64 %rd3, [%rd1]; mov.b64 {%r5, %r6}, %rd3;";
  EXPECT_GT(timesLost(pair, poll), 0u);
  EXPECT_EQ(timesLost(one, poll), 0u);
}

TEST(LateStoresTest, AThreadSeesItsOwn) {
  for (const char *order :
       {"st.global.u32 [%rd1+8], %r3; st.global.u32 [%rd1+8], %r4; ld.global.u32 %r5, [%rd1+8]; add.u32 %r5, %r5, 6;",
        "st.global.u32 [%rd1+8], %r4; atom.global.add.u32 %r5, [%rd1+8], 5; ld.global.u32 %r5, [%rd1+8]; add.u32 "
        "%r5, %r5, 1;"})
    EXPECT_EQ(timesLost("st.relaxed.gpu.global.u32 [%rd1], %r4;", std::string(order) + "ld.relaxed.gpu.global.u32 %r6, [%rd1];"),
              0u);
}

// ---- a ring of bulk copies ----

/// What a ring may be left without.
struct Ring {
  enum { Empty, Full, Nothing } producerWaitsFor = Empty;
  bool consumerWaits = true, meetsBeforeArriving = true;
};

/// Two warps add up the words that the third copies into two slots of 256 bytes, eight slots in all; a fourth waits for both at a
/// named barrier and writes their sum. %rd1: the words, %rd2: 64 sums for each block.
std::string ring(const Ring &form) {
  std::string producer = "PRODUCER: and.b32 %r4, %r1, 31; setp.ne.u32 %p1, %r4, 0; @%p1 bra END; mov.u32 %r5, 0;\n"
                         "REFILL: and.b32 %r6, %r5, 1; shl.b32 %r7, %r6, 3; mov.u32 %r8, full; add.u32 %r8, %r8, %r7; shl.b32 %r9, "
                         "%r6, 8; mov.u32 %r10, slots; add.u32 %r10, %r10, %r9;\n";
  // The slot was filled n times before: its (n-1)-th reading must be over, which for the first is the phase before phase 0.
  if (form.producerWaitsFor != Ring::Nothing)
    producer += "shr.u32 %r11, %r5, 1; add.u32 %r11, %r11, 1; and.b32 %r11, %r11, 1;\n"
                "EMPTY: mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r8" +
                std::string(form.producerWaitsFor == Ring::Empty ? "+16" : "+0") + "], %r11; @!%p2 bra EMPTY;\n";
  producer += "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r8], 256;\n"
              "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r10], [%rd1], 256, [%r8];\n"
              "add.s64 %rd1, %rd1, 256; add.u32 %r5, %r5, 1; setp.lt.u32 %p3, %r5, 8; @%p3 bra REFILL; bra END;\n";
  std::string consumer =
      "CONSUMER: mov.u32 %r5, 0; mov.u32 %r20, 0; and.b32 %r4, %r1, 31; setp.eq.u32 %p1, %r4, 0;\n"
      "TAKE: and.b32 %r6, %r5, 1; shl.b32 %r7, %r6, 3; mov.u32 %r8, full; add.u32 %r8, %r8, %r7; shl.b32 %r9, %r6, "
      "8; mov.u32 %r10, slots; add.u32 %r10, %r10, %r9; add.u32 %r10, %r10, %r2;\n"
      "shr.u32 %r11, %r5, 1; and.b32 %r11, %r11, 1;\n";
  if (form.consumerWaits)
    consumer += "FULL: mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r8], %r11; @!%p2 bra FULL;\n";
  consumer += "ld.shared.u32 %r12, [%r10]; add.u32 %r20, %r20, %r12;\n";
  if (form.meetsBeforeArriving)
    consumer += "bar.warp.sync -1;\n";
  consumer += "@%p1 mbarrier.arrive.shared::cta.b64 _, [%r8+16]; add.u32 %r5, %r5, 1; setp.lt.u32 %p3, %r5, 8; @%p3 bra TAKE;\n"
              "mov.u32 %r10, sums; add.u32 %r10, %r10, %r2; st.shared.u32 [%r10], %r20; bar.arrive 1, 96; bra END;\n";
  std::string writer =
      "WRITER: bar.sync 1, 96; and.b32 %r4, %r1, 31; shl.b32 %r4, %r4, 2; mov.u32 %r10, sums; add.u32 %r10, %r10, %r4; "
      "ld.shared.u32 %r5, [%r10]; ld.shared.u32 %r6, [%r10+128];\n"
      "mov.u32 %r7, %ctaid.x; shl.b32 %r7, %r7, 8; add.u32 %r7, %r7, %r4; cvt.u64.u32 %rd3, %r7; add.s64 %rd2, %rd2, "
      "%rd3; st.global.u32 [%rd2], %r5; st.global.u32 [%rd2+128], %r6;\nEND:";
  return forTarget(
      "sm_90", "8.0",
      kernel(2,
             "shl.b32 %r2, %r1, 2; setp.ne.u32 %p1, %r1, 0; @%p1 bra MADE;\n"
             "mbarrier.init.shared.b64 [full], 1; mbarrier.init.shared.b64 [full+8], 1; mbarrier.init.shared.b64 "
             "[full+16], 2; mbarrier.init.shared.b64 [full+24], 2; fence.proxy.async.shared::cta;\n"
             "MADE: bar.sync 0; setp.ge.u32 %p1, %r1, 96; @%p1 bra WRITER; setp.ge.u32 %p1, %r1, 64; @%p1 bra PRODUCER; bra "
             "CONSUMER;\n" +
                 producer + consumer + writer,
             ".shared .align 8 .b64 full[4];\n.shared .align 128 .b8 slots[512];\n.shared .align 4 .b8 sums[256];\n"));
}

/// The finding of a ring in four blocks, "" when every sum is right.
std::string findingOf(const Ring &form) {
  Gpu gpu;
  std::vector<uint32_t> words(8 * 64);
  for (uint32_t i = 0; i < words.size(); ++i)
    words[i] = i * i;
  CUdeviceptr in = gpu.upload(words), out = gpu.allocate(4 * 256);
  EXPECT_EQ(launchTogether(gpu, gpu.function(ring(form)), 4, 128, {in, out}), 0);
  testing::internal::CaptureStderr();
  int error = gpu.call("cuStreamSynchronize", gpu.stream);
  std::string message = testing::internal::GetCapturedStderr();
  if (error)
    return message;
  auto sums = gpu.download<uint32_t>(out, 4 * 64);
  for (uint32_t i = 0; i < sums.size(); ++i) {
    uint32_t expected = 0;
    for (uint32_t slot = 0; slot < 8; ++slot)
      expected += (slot * 64 + i % 64) * (slot * 64 + i % 64);
    EXPECT_EQ(sums[i], expected) << i;
  }
  return "";
}

TEST_P(CooperativeTest, Ring) { EXPECT_EQ(findingOf(Ring()), ""); }

TEST_P(CooperativeFindingTest, RingThatRefillsAtOnce) {
  Ring form;
  form.producerWaitsFor = Ring::Nothing;
  std::string message = findingOf(form); // of what is wrong the schedule chooses what comes first
  EXPECT_TRUE(message.find("arrival of 1 at the mbarrier") != std::string::npos ||
              message.find("before the copy of PTX line") != std::string::npos ||
              message.find("race: write of 16 bytes") != std::string::npos)
      << message;
}

TEST_P(CooperativeFindingTest, RingThatRefillsWhatIsStillRead) {
  Ring form;
  form.producerWaitsFor = Ring::Full; // the copy before has landed, but has everyone read it?
  EXPECT_NE(findingOf(form).find("race: write of 16 bytes"), std::string::npos) << findingOf(form);
}

TEST_P(CooperativeFindingTest, RingThatReadsTooEarly) {
  Ring form;
  form.consumerWaits = false;
  EXPECT_NE(findingOf(form).find("read of 4 bytes at shared offset"), std::string::npos) << findingOf(form);
}

TEST_P(CooperativeFindingTest, RingWhoseLaneSpeaksForItsWarp) {
  Ring form;
  form.meetsBeforeArriving = false;
  EXPECT_NE(findingOf(form).find("race: write of 16 bytes"), std::string::npos) << findingOf(form);
}

} // namespace
