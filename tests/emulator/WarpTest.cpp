// Lanes and threads that meet: shuffles in all modes, votes, reductions, barriers; under every schedule.
#include "EmulatorTest.h"

#include <numeric>

using namespace emulator;

namespace {

const char *const kSchedules[] = {"warps", "warps-reversed", "shuffled:7", "threads"};

/// Runs `body`, which turns %r2 = 100 + thread into %r3, in one block; the results by thread.
std::vector<uint32_t> perThread(const std::string &body, unsigned threads = 32, const std::string &before = "") {
  Gpu gpu;
  CUdeviceptr out = gpu.allocate(threads * 8);
  std::string text = kernel(
      1, "add.s32 %r2, %r1, 100;\n" + body + "\nadd.s64 %rd1, %rd1, %rd0;\ncvt.u64.u32 %rd3, %r3;\nst.global.u64 [%rd1], %rd3;",
      before);
  EXPECT_EQ(gpu.run(gpu.function(text), 1, threads, {out}), 0) << body;
  auto wide = gpu.download<uint64_t>(out, threads);
  return {wide.begin(), wide.end()};
}

class WarpTest : public testing::TestWithParam<const char *> {
protected:
  Environment environment{"SM1_EMULATOR_SCHEDULE", GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Schedules, WarpTest, testing::ValuesIn(kSchedules),
                         [](const auto &info) { return "Schedule" + std::to_string(info.index); });

TEST_P(WarpTest, Shuffles) {
  auto up = perThread("shfl.sync.up.b32 %r3|%p1, %r2, 3, 0, -1; @!%p1 mov.u32 %r3, 7;");
  auto down = perThread("shfl.sync.down.b32 %r3, %r2, 5, 31, -1;");
  auto butterfly = perThread("shfl.sync.bfly.b32 %r3, %r2, 16, 31, -1;");
  auto index = perThread("shfl.sync.idx.b32 %r3, %r2, 9, 31, -1;");
  auto segments = perThread("shfl.sync.down.b32 %r3|%p1, %r2, 1, 6175, -1; @!%p1 mov.u32 %r3, 0;"); // 0x181f: segments of 8
  auto segmentIndex = perThread("shfl.sync.idx.b32 %r3, %r2, 1, 7199, -1;");                        // 0x1c1f: segments of 4
  for (unsigned lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(up[lane], lane < 3 ? 7 : 100 + lane - 3);
    EXPECT_EQ(down[lane], 100 + (lane + 5 < 32 ? lane + 5 : lane));
    EXPECT_EQ(butterfly[lane], 100 + (lane ^ 16));
    EXPECT_EQ(index[lane], 109u);
    EXPECT_EQ(segments[lane], lane % 8 == 7 ? 0 : 101 + lane);
    EXPECT_EQ(segmentIndex[lane], 100 + lane / 4 * 4 + 1);
  }
}

TEST_P(WarpTest, VotesAndReductions) {
  auto ballot = perThread("setp.gt.u32 %p1, %r2, 120; vote.sync.ballot.b32 %r3, %p1, -1;");
  auto all = perThread("setp.gt.u32 %p1, %r2, 120; vote.sync.all.pred %p2, %p1, -1; vote.sync.any.pred %p3, %p1, -1; selp.b32 %r3, "
                       "1, 0, %p2; @%p3 add.u32 %r3, %r3, 2;");
  auto sum = perThread("redux.sync.add.s32 %r3, %r2, -1;");
  auto least = perThread("sub.s32 %r4, %r2, 110; redux.sync.min.s32 %r3, %r4, -1;");
  auto matched = perThread("and.b32 %r4, %r2, 3; match.any.sync.b32 %r3, %r4, -1;");
  for (unsigned lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(ballot[lane], 0xffe00000u);
    EXPECT_EQ(all[lane], 2u);
    EXPECT_EQ(sum[lane], 32 * 100 + 496u);
    EXPECT_EQ(least[lane], uint32_t(-10));
    EXPECT_EQ(matched[lane], 0x11111111u << lane % 4);
  }
}

TEST_P(WarpTest, HalvesOfAWarp) {
  // Each half meets for itself, in a branch of its own.
  auto results = perThread("setp.lt.u32 %p1, %r1, 16; @%p1 bra LOW;\n"
                           "shfl.sync.bfly.b32 %r3, %r2, 1, 31, 0xffff0000; bra END;\n"
                           "LOW: shfl.sync.bfly.b32 %r3, %r2, 2, 31, 0xffff; bar.warp.sync 0xffff;\nEND:");
  for (unsigned lane = 0; lane < 32; ++lane)
    EXPECT_EQ(results[lane], 100 + (lane ^ (lane < 16 ? 2 : 1)));
}

TEST_P(WarpTest, BlockReduction) {
  std::string sum = "mov.u32 %r4, buffer; shl.b32 %r5, %r1, 2; add.u32 %r4, %r4, %r5; st.shared.u32 [%r4], %r2; mov.u32 %r6, 64;\n"
                    "LOOP: bar.sync 0; setp.ge.u32 %p1, %r1, %r6; @%p1 bra NEXT;\n"
                    "shl.b32 %r7, %r6, 2; add.u32 %r7, %r4, %r7; ld.shared.u32 %r8, [%r7]; ld.shared.u32 %r9, [%r4]; add.u32 %r9, "
                    "%r9, %r8; st.shared.u32 [%r4], %r9;\n"
                    "NEXT: shr.u32 %r6, %r6, 1; setp.ne.u32 %p2, %r6, 0; @%p2 bra LOOP;\nbar.sync 0; ld.shared.u32 %r3, [buffer];";
  for (uint32_t result : perThread(sum, 128, ".shared .align 4 .b8 buffer[512];\n"))
    EXPECT_EQ(result, 128 * 100 + 127 * 64u);
}

TEST_P(WarpTest, BarriersThatReduceAndName) {
  auto count = perThread("setp.lt.u32 %p1, %r1, 37; bar.red.popc.u32 %r3, 0, %p1;", 96);
  auto any = perThread("setp.eq.u32 %p1, %r1, 90; barrier.cta.red.or.pred %p2, 1, !%p1; barrier.cta.red.and.pred %p3, 1, %p1; "
                       "selp.b32 %r3, 1, 0, %p2; @%p3 add.u32 %r3, %r3, 2;",
                       96);
  // Producers arrive, consumers wait; then warps 0 and 1 alone.
  auto named = perThread("mov.u32 %r3, 1; setp.lt.u32 %p1, %r1, 64; @%p1 bar.sync 3, 64; @%p1 mov.u32 %r3, 5; setp.ge.u32 %p2, "
                         "%r1, 64; @%p2 bar.arrive 4, 96; @%p1 bar.sync 4, 96;",
                         96);
  for (unsigned thread = 0; thread < 96; ++thread) {
    EXPECT_EQ(count[thread], 37u);
    EXPECT_EQ(any[thread], 1u);
    EXPECT_EQ(named[thread], thread < 64 ? 5u : 1u);
  }
}

TEST_P(WarpTest, ExitedThreadsDoNotHoldBarriers) {
  Gpu gpu;
  CUdeviceptr out = gpu.upload(std::vector<uint64_t>(128, 0));
  std::string text = kernel(
      1, "setp.ge.u32 %p1, %r1, 70; @%p1 exit; bar.sync 0; add.s64 %rd1, %rd1, %rd0; mov.u64 %rd3, 1; st.global.u64 [%rd1], %rd3;");
  ASSERT_EQ(gpu.run(gpu.function(text), 1, 128, {out}), 0);
  auto results = gpu.download<uint64_t>(out, 128);
  EXPECT_EQ(std::accumulate(results.begin(), results.end(), 0ull), 70u);
}

TEST_P(WarpTest, SpinLock) {
  // Every thread takes a lock in turn: needs lanes that make progress on their own.
  Gpu gpu;
  CUdeviceptr memory = gpu.upload(std::vector<uint32_t>{0, 0});
  std::string text = kernel(1, "SPIN: atom.global.cas.b32 %r3, [%rd1], 0, 1; setp.ne.u32 %p1, %r3, 0; @%p1 bra SPIN;\n"
                               "ld.volatile.global.u32 %r4, [%rd1+4]; add.u32 %r4, %r4, %r1; st.volatile.global.u32 [%rd1+4], %r4; "
                               "membar.gl; atom.global.exch.b32 %r5, [%rd1], 0;");
  ASSERT_EQ(gpu.run(gpu.function(text), 2, 64, {memory}), 0);
  EXPECT_EQ(gpu.download<uint32_t>(memory, 2), (std::vector<uint32_t>{0, 2 * 2016}));
}

TEST_P(WarpTest, GridBarrier) {
  // All blocks wait for each other: a cooperative launch.
  Gpu gpu;
  CUdeviceptr memory = gpu.upload(std::vector<uint32_t>(1, 0));
  CUfunction function = gpu.function(kernel(1, "atom.global.add.u32 %r3, [%rd1], 1;\nWAIT: ld.acquire.gpu.global.u32 %r4, [%rd1]; "
                                               "setp.lt.u32 %p1, %r4, 256; @%p1 bra WAIT;"));
  void *params[] = {&memory};
  ASSERT_EQ(gpu.call("cuLaunchCooperativeKernel", function, 4u, 1u, 1u, 64u, 1u, 1u, 0u, gpu.stream, params), 0);
  EXPECT_EQ(gpu.call("cuStreamSynchronize", gpu.stream), 0);
}

} // namespace
