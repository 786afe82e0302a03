// mbarriers and the bulk copies that complete on them: what they do under every schedule, and every misuse.
#include "Findings.h"

using namespace emulator;

namespace {

const char *const kSchedules[] = {"warps", "warps-reversed", "shuffled:3", "threads"};

const std::string kVariables = ".shared .align 8 .b64 bar[4];\n.shared .align 128 .b8 buffer[1024];\n",
                  kMine = "mov.u32 %r3, buffer; add.u32 %r3, %r3, %r2;\n", kFirst = "setp.eq.u32 %p1, %r1, 0;\n",
                  kOther = "xor.b32 %r6, %r2, 128; mov.u32 %r5, buffer; add.u32 %r5, %r5, %r6; ld.shared.u32 %r4, [%r5];\n";

/// Thread 0 makes `bar`, for `count` arrivals, and all of the block know it.
std::string made(unsigned count) {
  return kFirst + "@%p1 mbarrier.init.shared::cta.b64 [bar], " + std::to_string(count) +
         ";\n@%p1 fence.mbarrier_init.release.cluster;\nbar.sync 0;\n";
}
/// Waits for the phase of this parity; `guard` is "" or "@%p1 ".
std::string wait(const std::string &parity, const std::string &label = "WAIT") {
  return label + ": mbarrier.try_wait.parity.shared::cta.b64 %p9, [bar], " + parity + "; @!%p9 bra " + label + ";\n";
}
/// Thread 0 copies `bytes` of the first pointer to `buffer`.
std::string copied(unsigned bytes) {
  std::string size = std::to_string(bytes);
  return "@%p1 mbarrier.arrive.expect_tx.shared::cta.b64 _, [bar], " + size +
         ";\n@%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [buffer], [%rd1], " + size + ", [bar];\n";
}

/// Runs a body that leaves %r20; its values by thread. Two inputs of 256 words: i*i, zeros.
std::vector<uint32_t> perThread(const std::string &body, unsigned threads = 64) {
  Gpu gpu;
  std::vector<uint32_t> squares(256);
  for (uint32_t i = 0; i < 256; ++i)
    squares[i] = i * i;
  CUdeviceptr in = gpu.upload(squares), out = gpu.allocate(threads * 4);
  std::string text = kernel(2,
                            "shl.b32 %r2, %r1, 2;\n" + body +
                                "cvt.u64.u32 %rd4, %r2; add.s64 %rd5, %rd2, %rd4; st.global.u32 "
                                "[%rd5], %r20;",
                            kVariables);
  EXPECT_EQ(gpu.run(gpu.function(forTarget("sm_90", "8.6", text)), 1, threads, {in, out}), 0) << body;
  return gpu.download<uint32_t>(out, threads);
}

class MbarrierTest : public testing::TestWithParam<const char *> {
protected:
  Environment environment{"SM1_EMULATOR_SCHEDULE", GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Schedules, MbarrierTest, testing::ValuesIn(kSchedules),
                         [](const auto &info) { return "Schedule" + std::to_string(info.index); });

TEST_P(MbarrierTest, ArrivalsOrderTheThreads) {
  std::string write = kMine + "st.shared.u32 [%r3], %r1;\n", arrive = "mbarrier.arrive.shared::cta.b64 _, [bar];\n";
  auto values = perThread(made(64) + write + arrive + wait("0") + kOther + "mov.u32 %r20, %r4;\n");
  for (uint32_t i = 0; i < 64; ++i)
    EXPECT_EQ(values[i], i ^ 32);
}

TEST_P(MbarrierTest, PhasesFollowEachOther) {
  // Five times round: everyone writes, reads its neighbour's word and says so, before the next write.
  auto values =
      perThread(made(64) + kMine +
                "mov.u32 %r7, 0; mov.u32 %r20, 0;\n"
                "LOOP: add.u32 %r8, %r1, %r7; st.shared.u32 [%r3], %r8; mbarrier.arrive.shared::cta.b64 _, [bar];\n" +
                wait("0", "A") + kOther + "add.u32 %r20, %r20, %r4; mbarrier.arrive.release.cta.shared::cta.b64 %rd9, [bar];\n" +
                "B: mbarrier.test_wait.acquire.cta.shared::cta.b64 %p9, [bar], %rd9; @!%p9 bra B;\n" +
                "add.u32 %r7, %r7, 1; setp.lt.u32 %p2, %r7, 5; @%p2 bra LOOP;\n");
  for (uint32_t i = 0; i < 64; ++i)
    EXPECT_EQ(values[i], 5 * (i ^ 32) + 10);
}

TEST_P(MbarrierTest, CountsAndParities) {
  // A new mbarrier is in phase 0: the phase before it, of parity 1, is over.
  auto values =
      perThread(kFirst + "mov.u32 %r20, 0; @!%p1 bra END; mbarrier.init.shared.b64 [bar+8], 5;\n"
                         "mbarrier.test_wait.parity.shared.b64 %p2, [bar+8], 1; @%p2 add.u32 %r20, %r20, 1;\n"
                         "mbarrier.test_wait.parity.shared.b64 %p2, [bar+8], 0; @%p2 add.u32 %r20, %r20, 2;\n"
                         "mbarrier.arrive.shared.b64 _, [bar+8], 4; mbarrier.test_wait.parity.shared.b64 %p2, [bar+8], 0; @%p2 "
                         "add.u32 %r20, %r20, 4;\n"
                         "mov.u64 %rd6, bar; cvta.shared.u64 %rd6, %rd6; mbarrier.arrive.b64 _, [%rd6+8];\n"
                         "mbarrier.try_wait.parity.shared.b64 %p2, [bar+8], 0, 100; @%p2 add.u32 %r20, %r20, 8;\n"
                         "mbarrier.inval.shared.b64 [bar+8]; mbarrier.init.shared.b64 [bar+8], 1;\nEND:\n");
  EXPECT_EQ(values[0], 9u);
}

TEST_P(MbarrierTest, BulkCopies) {
  auto values = perThread(made(1) + copied(256) + wait("0") + kOther + "mov.u32 %r20, %r4;\n");
  for (uint32_t i = 0; i < 64; ++i)
    EXPECT_EQ(values[i], (i ^ 32) * (i ^ 32));
}

TEST_P(MbarrierTest, BytesOfSeveralCopiesMakeAPhase) {
  // Two copies with a cache hint, expected apart from the arrival; one address in 64 bits.
  auto values = perThread(made(1) +
                          "createpolicy.fractional.L2::evict_first.b64 %rd8, 1.0; mov.u32 %r9, buffer; mov.u64 %rd9, bar;\n"
                          "@%p1 mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [bar], 256;\n"
                          "@%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%r9+128], "
                          "[%rd1+512], 128, [bar], %rd8;\n"
                          "@%p1 cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes.L2::cache_hint [%r9], [%rd1], 128, "
                          "[%rd9], %rd8;\n"
                          "@%p1 mbarrier.arrive.shared::cta.b64 _, [bar];\n" +
                          wait("0") + kMine + "ld.shared.u32 %r20, [%r3];\n");
  for (uint32_t i = 0; i < 64; ++i) {
    uint32_t n = i < 32 ? i : 128 + i - 32;
    EXPECT_EQ(values[i], n * n);
  }
}

/// Lane 0 of each warp waits, the others go past.
const std::string kOneWaits = "and.b32 %r7, %r1, 31; setp.ne.u32 %p2, %r7, 0; @%p2 bra PAST;\n" + wait("0") + "PAST:\n";

TEST_P(MbarrierTest, OneLaneWaitsForItsWarp) {
  auto values = perThread(made(1) + copied(256) + kOneWaits + "bar.warp.sync -1;\n" + kOther + "mov.u32 %r20, %r4;\n");
  for (uint32_t i = 0; i < 64; ++i)
    EXPECT_EQ(values[i], (i ^ 32) * (i ^ 32));
}

// ---- findings ----

TEST(MbarrierFindingTest, Objects) {
  auto find = [](const std::string &body, int error, const std::string &message) {
    expectFinding(body, error, message, kVariables);
  };
  find("mbarrier.arrive.shared.b64 _, [bar];", CUDA_ERROR_LAUNCH_FAILED, "no mbarrier was initialised at shared offset");
  find(kFirst + "@%p1 mbarrier.init.shared.b64 [bar+4], 1;", CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned mbarrier");
  find(kFirst + "@%p1 mbarrier.init.shared.b64 [buffer+1024], 1;", CUDA_ERROR_ILLEGAL_ADDRESS, "an mbarrier at offset");
  find("mbarrier.init.b64 [%rd1], 1;", CUDA_ERROR_ILLEGAL_ADDRESS, "an mbarrier at offset");
  find(kFirst + "@%p1 mbarrier.init.shared.b64 [bar], 0;", CUDA_ERROR_LAUNCH_FAILED, "an mbarrier for 0 arrivals");
  find(kFirst + "@%p1 mbarrier.init.shared.b64 [bar], 1048576;", CUDA_ERROR_LAUNCH_FAILED, "an mbarrier for 1048576 arrivals");
  find(kFirst + "@%p1 mbarrier.init.shared.b64 [bar], 1; @%p1 mbarrier.init.shared.b64 [bar], 1;", CUDA_ERROR_LAUNCH_FAILED,
       "is initialised again without mbarrier.inval");
  find(made(1) + "ld.shared.u32 %r4, [bar+4];", CUDA_ERROR_LAUNCH_FAILED, "where an mbarrier lies");
  find(made(1) + "st.shared.u64 [bar], %rd1;", CUDA_ERROR_LAUNCH_FAILED, "where an mbarrier lies");
  find(made(1) + "@%p1 mbarrier.inval.shared.b64 [bar]; @%p1 mbarrier.arrive.shared.b64 _, [bar];", CUDA_ERROR_LAUNCH_FAILED,
       "no mbarrier was initialised");
}

TEST(MbarrierFindingTest, Counts) {
  auto find = [](const std::string &body, const std::string &message) {
    expectFinding(body, CUDA_ERROR_LAUNCH_FAILED, message, kVariables);
  };
  find(made(2) + "@%p1 mbarrier.arrive.shared.b64 _, [bar], 3;", "arrival of 3 at the mbarrier");
  // The phase has its arrivals, and waits for bytes: one more is too many.
  find(made(1) + "@%p1 mbarrier.arrive.expect_tx.shared.b64 _, [bar], 16; @%p1 mbarrier.arrive.shared.b64 _, [bar];",
       "where 0 of 1 are missing");
  find(made(1) + "@%p1 mbarrier.expect_tx.shared.b64 [bar], 1048575; @%p1 mbarrier.expect_tx.shared.b64 [bar], 16;",
       "expects 1048591 bytes in one phase");
  find(made(1) + "@%p1 mbarrier.arrive.shared.b64 %rd9, [bar]; @%p1 mbarrier.arrive.shared.b64 _, [bar]; @%p1 "
                 "mbarrier.test_wait.shared.b64 %p2, [bar], %rd9;",
       "the state is of no phase");
}

TEST(MbarrierFindingTest, ThreadsMustKnowOfTheInit) {
  for (const char *schedule : kSchedules) {
    Environment environment("SM1_EMULATOR_SCHEDULE", schedule);
    Outcome found = outcome(kFirst + "@%p1 mbarrier.init.shared.b64 [bar], 64;\nmbarrier.arrive.shared.b64 _, [bar];", kVariables);
    EXPECT_EQ(found.error, CUDA_ERROR_LAUNCH_FAILED) << schedule;
    EXPECT_TRUE(found.message.find("race: use of the mbarrier") != std::string::npos ||
                found.message.find("no mbarrier was initialised") != std::string::npos)
        << found.message;
  }
}

TEST(MbarrierFindingTest, ALaneLearnsForItselfOnly) {
  for (const char *schedule : kSchedules) {
    Environment environment("SM1_EMULATOR_SCHEDULE", schedule);
    Outcome found = outcome(made(1) + copied(256) + kOneWaits + kOther, kVariables);
    EXPECT_EQ(found.error, CUDA_ERROR_LAUNCH_FAILED) << schedule;
    EXPECT_NE(found.message.find("read of 4 bytes at shared offset"), std::string::npos) << found.message;
  }
}

TEST(MbarrierFindingTest, ARelaxedArrivalOrdersNothing) {
  std::string write = kMine + "st.shared.u32 [%r3], %r1;\n";
  expectFinding(made(64) + write + "mbarrier.arrive.relaxed.cta.shared::cta.b64 _, [bar];\n" + wait("0") + kOther,
                CUDA_ERROR_LAUNCH_FAILED, "race: read of 4 bytes", kVariables);
}

TEST(MbarrierFindingTest, CopiesOfTheWrongShape) {
  std::string copy = "@%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes ";
  auto find = [&](const std::string &operands, int error, const std::string &message) {
    expectFinding(".reg .b32 lowest, odd; mov.u32 lowest, 0; mov.u32 odd, 24;\n" + made(1) + copy + operands, error, message,
                  kVariables);
  };
  find("[buffer], [%rd1], odd, [bar];", CUDA_ERROR_MISALIGNED_ADDRESS, "cp.async.bulk: size 24 is no multiple of 16");
  find("[buffer+8], [%rd1], 16, [bar];", CUDA_ERROR_MISALIGNED_ADDRESS, "cp.async.bulk: target address");
  find("[buffer], [%rd1+8], 16, [bar];", CUDA_ERROR_MISALIGNED_ADDRESS, "cp.async.bulk: source address");
  find("[buffer], [%rd1+4080], 32, [bar];", CUDA_ERROR_ILLEGAL_ADDRESS, "read of 16 bytes at global address");
  find("[buffer+1008], [%rd1], 32, [bar];", CUDA_ERROR_ILLEGAL_ADDRESS, "of shared memory");
  find("[buffer], [%rd1], 16, [bar+8];", CUDA_ERROR_LAUNCH_FAILED, "no mbarrier was initialised");
  find("[lowest], [%rd1], 16, [bar];", CUDA_ERROR_LAUNCH_FAILED, "where an mbarrier lies");
  find("[buffer], [%rd1], 16, [bar];", CUDA_ERROR_LAUNCH_FAILED, "the block ends while a bulk copy");
  expectFinding(kFirst + "@%p1 mbarrier.init.shared.b64 [bar], 1; bar.sync 0;\n" + copy + "[buffer], [%rd1], 16, [bar];",
                CUDA_ERROR_LAUNCH_FAILED, "no fence.mbarrier_init or fence.proxy.async has followed", kVariables);
  expectFinding(made(1) + copied(32) + "@%p1 mbarrier.inval.shared.b64 [bar];", CUDA_ERROR_LAUNCH_FAILED,
                "is invalidated while a copy", kVariables);
}

TEST(MbarrierFindingTest, TargetsBeforeTheWait) {
  std::string start = made(1) + copied(256) + "bar.sync 0;\n", early = "before the copy of PTX line";
  expectFinding(start + kOther, CUDA_ERROR_LAUNCH_FAILED, early, kVariables);
  expectFinding(start + kMine + "st.shared.u32 [%r3], %r1;", CUDA_ERROR_LAUNCH_FAILED, early, kVariables);
  expectFinding(start + "@%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [buffer+128], [%rd1], 16, [bar];",
                CUDA_ERROR_LAUNCH_FAILED, early, kVariables);
  // The bytes are there, since the first warp waited; the second did not.
  expectFinding(start + "setp.ge.u32 %p2, %r1, 32; @%p2 bra PAST;\n" + wait("0") + "PAST:\n" + kOther, CUDA_ERROR_LAUNCH_FAILED,
                ", whose mbarrier the thread has not waited for", kVariables);
}

TEST(MbarrierFindingTest, WaitsForNothing) {
  Environment environment("SM1_EMULATOR_POLLS", "100");
  expectFinding(made(1) + wait("0"), CUDA_ERROR_LAUNCH_TIMEOUT, "deadlock: nothing changes any more", kVariables);
  expectFinding(made(1) +
                    "@%p1 mbarrier.arrive.expect_tx.shared::cta.b64 _, [bar], 48;\n@%p1 cp.async.bulk.shared::cluster.global."
                    "mbarrier::complete_tx::bytes [buffer], [%rd1], 32, [bar];\n" +
                    wait("0"),
                CUDA_ERROR_LAUNCH_TIMEOUT, "deadlock: nothing changes any more", kVariables);
}

TEST(MbarrierFindingTest, RefusesWhatItDoesNotKnow) {
  struct {
    const char *body, *message;
  } cases[] = {{"mbarrier.arrive_drop.shared.b64 _, [%r1];", "no such operation on mbarriers"},
               {"mbarrier.arrive.noComplete.shared.b64 %rd2, [%r1], 1;", "unknown modifier '.noComplete'"},
               {"mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r1];", "unknown modifier '.cluster'"},
               {"cp.async.bulk.global.shared::cta.bulk_group [%rd1], [%r1], 16;", "unknown modifier '.bulk_group'"},
               {"cp.async.bulk.prefetch.L2.global.L2::evict_last [%rd1], 16;", "unknown modifier '.L2::evict_last'"},
               {"fence.proxy.tensormap::generic.release.gpu;", "unknown modifier '.tensormap::generic'"},
               {"bar.arrive 1;", "an arrival at a barrier without the number of threads"}};
  for (auto &test : cases) {
    Gpu gpu;
    CUmodule module = nullptr;
    EXPECT_EQ(gpu.load(forTarget("sm_90", "8.0", kernel(1, test.body)), module), CUDA_ERROR_INVALID_PTX) << test.body;
    EXPECT_NE(gpu.log.find(test.message), std::string::npos) << gpu.log;
  }
}

} // namespace
