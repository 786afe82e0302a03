// Each detector with a kernel that has the bug and one that has not.
#include "Findings.h"

using namespace emulator;

namespace {

const std::string kBuffer = ".shared .align 16 .b8 buffer[256];\n";
const std::string kMine = "mov.u32 %r3, buffer; add.u32 %r3, %r3, %r2;\n";

TEST(DetectorTest, GlobalBounds) {
  expectClean("ld.global.u32 %r4, [%rd5+3840];");
  expectFinding("ld.global.u32 %r4, [%rd5+3844];", CUDA_ERROR_ILLEGAL_ADDRESS, "read of 4 bytes at global address");
  expectFinding("st.global.u32 [%rd5+-4], %r1;", CUDA_ERROR_ILLEGAL_ADDRESS, "which is in no allocation");
  expectFinding("atom.global.add.u32 %r4, [%rd5+4096], 1;", CUDA_ERROR_ILLEGAL_ADDRESS, "write of 4 bytes");
  expectFinding("mov.u64 %rd8, 0; ld.u32 %r4, [%rd8];", CUDA_ERROR_ILLEGAL_ADDRESS, "which is in no allocation");
}

TEST(DetectorTest, SharedBounds) {
  expectClean(kMine + "st.shared.u32 [%r3], %r1;", kBuffer);
  expectFinding(kMine + "st.shared.u32 [%r3+4], %r1;", CUDA_ERROR_ILLEGAL_ADDRESS,
                "write of 4 bytes at offset 256 of 256 bytes of shared memory", kBuffer);
  expectFinding(kMine + "st.shared.u32 [%r3+-256], %r1;", CUDA_ERROR_ILLEGAL_ADDRESS, "of shared memory", kBuffer);
  expectFinding("mov.u64 %rd8, buffer; cvta.shared.u64 %rd8, %rd8; st.u32 [%rd8+-4], %r1;", CUDA_ERROR_ILLEGAL_ADDRESS,
                "of shared memory", kBuffer);
}

TEST(DetectorTest, DynamicSharedBounds) {
  std::string before = ".extern .shared .align 16 .b8 dynamic[];\n",
              body = "mov.u32 %r3, dynamic; add.u32 %r3, %r3, %r2; st.shared.u32 [%r3], %r1;";
  EXPECT_EQ(outcome(body, before, 64, 256).error, 0);
  EXPECT_EQ(outcome(body, before, 64, 252).error, CUDA_ERROR_ILLEGAL_ADDRESS);
}

TEST(DetectorTest, LocalBoundsAndConstants) {
  expectClean(".local .align 4 .b8 depot[16]; st.local.u32 [depot+12], %r1;");
  expectFinding(".local .align 4 .b8 depot[16]; st.local.u32 [depot+16], %r1;", CUDA_ERROR_ILLEGAL_ADDRESS, "of local memory");
  expectFinding("mov.u64 %rd8, table; st.global.u32 [%rd8], %r1;", CUDA_ERROR_ILLEGAL_ADDRESS, "which is constant memory",
                ".const .align 4 .u32 table[2] = {1, 2};\n");
}

TEST(DetectorTest, Alignment) {
  expectClean("ld.global.v2.u32 {%r4, %r5}, [%rd1+8];");
  expectFinding("ld.global.v4.u32 {%r4, %r5, %r6, %r7}, [%rd1+8];", CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned read of 16 bytes");
  expectFinding(kMine + "st.shared.u16 [%r3+1], %h1;", CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned write of 2 bytes at shared",
                kBuffer);
  // An array that promises 4 bytes may stand anywhere: a 16-byte access to it is wrong even where a compiler happens to align it.
  std::string loose = ".shared .align 4 .b8 loose[64];\n";
  expectClean("mov.u32 %r4, 0; setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [loose], %r4;", loose);
  expectFinding("mov.u32 %r4, 0; st.shared.v4.u32 [loose], {%r4, %r4, %r4, %r4};", CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned",
                loose);
}

TEST(DetectorTest, FreedMemory) {
  Gpu gpu;
  CUdeviceptr kept = gpu.upload(std::vector<uint32_t>(64, 1)), freed = gpu.upload(std::vector<uint32_t>(64, 1));
  CUfunction function = gpu.function(kernel(1, "ld.global.u32 %r2, [%rd1+4];"));
  EXPECT_EQ(gpu.run(function, 1, 32, {freed}), 0);
  EXPECT_EQ(gpu.call("cuMemFree_v2", freed), 0);
  EXPECT_EQ(gpu.run(function, 1, 32, {kept}), 0);
  testing::internal::CaptureStderr();
  EXPECT_EQ(gpu.run(function, 1, 32, {freed}), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("which was freed"), std::string::npos);
}

TEST(DetectorTest, UnwrittenShared) {
  expectClean(kMine + "st.shared.u32 [%r3], %r1; ld.shared.u32 %r4, [%r3];", kBuffer);
  expectFinding(kMine + "setp.ne.u32 %p1, %r1, 9; @%p1 st.shared.u32 [%r3], %r1; ld.shared.u32 %r4, [%r3];",
                CUDA_ERROR_LAUNCH_FAILED, "read of 4 bytes at shared offset 36, which nobody has written", kBuffer);
  expectFinding(kMine + "st.shared.u16 [%r3], %h1; ld.shared.u32 %r4, [%r3];", CUDA_ERROR_LAUNCH_FAILED, "which nobody has written",
                kBuffer);
}

TEST(DetectorTest, UnwrittenGlobal) {
  std::string reads = "ld.global.u32 %r4, [%rd7];", writesFirst = "st.global.u32 [%rd7], %r1; ld.global.u32 %r4, [%rd7];";
  EXPECT_EQ(outcome(reads).error, 0); // off unless asked for
  Environment environment("SM1_EMULATOR_INITCHECK", "1");
  expectFinding(reads, CUDA_ERROR_LAUNCH_FAILED, "which nobody has written");
  expectClean(writesFirst);
  expectClean("ld.global.nc.u32 %r4, [%rd5];");
  expectFinding("st.global.u32 [%rd5], %r1; ld.global.nc.u32 %r4, [%rd5];", CUDA_ERROR_LAUNCH_FAILED, "this launch has written it");
}

/// Launches are told apart by a byte: what one has written is not taken for what the 255th behind it has.
TEST(DetectorTest, WrittenByALaunchLongAgo) {
  Environment environment("SM1_EMULATOR_INITCHECK", "1");
  Gpu gpu;
  CUdeviceptr memory = gpu.allocate(256);
  ASSERT_EQ(gpu.run(gpu.function(kernel(1, "add.s64 %rd1, %rd1, %rd0; st.global.u64 [%rd1], %rd0;")), 1, 32, {memory}), 0);
  CUfunction read = gpu.function(kernel(1, "add.s64 %rd1, %rd1, %rd0; ld.global.nc.u64 %rd2, [%rd1];"));
  for (int launch = 0; launch < 600; ++launch)
    ASSERT_EQ(gpu.run(read, 1, 32, {memory}), 0) << launch;
}

TEST(DetectorTest, Races) {
  std::string write = kMine + "st.shared.u32 [%r3], %r1;\n",
              readNext = "mov.u32 %r5, buffer; xor.b32 %r6, %r2, 128; add.u32 %r5, %r5, %r6; ld.shared.u32 %r4, [%r5];\n";
  expectClean(write + "bar.sync 0;\n" + readNext, kBuffer);
  expectClean(write + "bar.sync 0;\n" + readNext + "bar.sync 0;\n" + "st.shared.u32 [%r3], %r1;", kBuffer);
  expectFinding(write + "bar.sync 0;\n" + readNext + "st.shared.u32 [%r3], %r1;", CUDA_ERROR_LAUNCH_FAILED,
                "race: ", kBuffer); // read, then written by its owner
  // All write one word.
  expectFinding("st.shared.u32 [buffer], %r1;", CUDA_ERROR_LAUNCH_FAILED,
                "race: write of 4 bytes at shared offset 0 and the write by thread 0 at PTX line 18", kBuffer);
  expectClean("mov.u32 %r4, 0; setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [buffer], %r4; bar.sync 0; atom.shared.add.u32 %r4, "
              "[buffer], 1;",
              kBuffer);
  expectFinding("mov.u32 %r4, 0; setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [buffer], %r4; bar.sync 0; atom.shared.add.u32 %r4, "
                "[buffer], 1; ld.shared.u32 %r5, [buffer];",
                CUDA_ERROR_LAUNCH_FAILED, "race: ", kBuffer);
  // Neighbouring halves of a word are no conflict.
  expectClean("shl.b32 %r3, %r1, 1; mov.u32 %r4, buffer; add.u32 %r4, %r4, %r3; mov.u16 %h1, 1; st.shared.u16 [%r4], %h1; "
              "ld.shared.u16 %h2, [%r4];",
              kBuffer);
  Environment environment("SM1_EMULATOR_RACECHECK", "0");
  expectClean("st.shared.u32 [buffer], %r1;", kBuffer);
}

TEST(DetectorTest, RacesWithinAWarp) {
  std::string exchange = kMine + "st.shared.u32 [%r3], %r1;\n",
              readOther = "mov.u32 %r5, buffer; xor.b32 %r6, %r2, 4; add.u32 %r5, %r5, %r6; ld.shared.u32 %r4, [%r5];";
  for (const char *schedule : {"warps", "threads"}) {
    Environment environment("SM1_EMULATOR_SCHEDULE", schedule);
    expectClean(exchange + "bar.warp.sync -1;\n" + readOther, kBuffer);
    expectClean(exchange + "shfl.sync.idx.b32 %r7, %r1, 0, 31, -1;\n" + readOther, kBuffer);
    Outcome missing = outcome(exchange + readOther, kBuffer);
    EXPECT_EQ(missing.error, CUDA_ERROR_LAUNCH_FAILED);
    // Pairs that meet alone are ordered among themselves only.
    expectClean(
        "mov.u32 %r11, buffer; add.u32 %r11, %r11, %r2; st.shared.u32 [%r11], %r1; and.b32 %r9, %r1, 30; mov.u32 %r10, 3; shl.b32 "
        "%r10, %r10, %r9; and.b32 %r12, %r1, 32; setp.eq.u32 %p1, %r12, 0;\n"
        "@%p1 bar.warp.sync %r10; xor.b32 %r6, %r2, 4; mov.u32 %r5, buffer; add.u32 %r5, %r5, %r6; @%p1 ld.shared.u32 %r4, [%r5];",
        kBuffer);
    Outcome wrongPair = outcome(
        "mov.u32 %r11, buffer; add.u32 %r11, %r11, %r2; st.shared.u32 [%r11], %r1; and.b32 %r9, %r1, 30; mov.u32 %r10, 3; shl.b32 "
        "%r10, %r10, %r9; setp.lt.u32 %p1, %r1, 32;\n"
        "@%p1 bar.warp.sync %r10; xor.b32 %r6, %r2, 8; mov.u32 %r5, buffer; add.u32 %r5, %r5, %r6; @%p1 ld.shared.u32 %r4, [%r5];",
        kBuffer);
    EXPECT_EQ(wrongPair.error, CUDA_ERROR_LAUNCH_FAILED) << schedule;
  }
}

TEST(DetectorTest, DifferentStoresToOnePlace) {
  const std::string first = "setp.lt.u32 %p1, %r1, 32; ";
  expectFinding("st.global.u32 [%rd2], %r1;", CUDA_ERROR_LAUNCH_FAILED, "race: write of 0x0001 at global address ");
  expectClean("mov.u32 %r4, 7; st.global.u32 [%rd2], %r4;");                                         // the same number by all
  expectClean(first + "mov.u32 %r4, 7; @%p1 st.global.u32 [%rd6], %r4; st.global.u32 [%rd6], %r1;"); // each to a place of its own
  // A barrier orders warps, and what differs in one half of a word is found there.
  expectClean("setp.eq.u32 %p1, %r1, 0; setp.eq.u32 %p2, %r1, 40; @%p1 st.global.u32 [%rd2], %r1; bar.sync 0; "
              "@%p2 st.global.u32 [%rd2], %r1;");
  expectFinding(
      "setp.eq.u32 %p1, %r1, 0; setp.eq.u32 %p2, %r1, 40; @%p1 st.global.u32 [%rd2], %r1; @%p2 st.global.u32 [%rd2], %r1;",
      CUDA_ERROR_LAUNCH_FAILED, "where thread 0 wrote 0x0000 at PTX line 1");
  expectClean(
      "shl.b32 %r3, %r1, 1; cvt.u64.u32 %rd8, %r3; add.s64 %rd8, %rd2, %rd8; cvt.u16.u32 %h1, %r1; st.global.u16 [%rd8], %h1;");
  expectFinding("setp.eq.u32 %p1, %r1, 1; mov.u32 %r4, 65536; mov.u16 %h1, 2; @!%p1 st.global.u32 [%rd2], %r4; "
                "@%p1 st.global.u16 [%rd2+2], %h1;",
                CUDA_ERROR_LAUNCH_FAILED, "race: write of 0x0002 at");
  // Strong stores are meant to be seen by others.
  expectClean("st.relaxed.gpu.global.u32 [%rd2], %r1;");
  Environment environment("SM1_EMULATOR_RACECHECK", "0");
  expectClean("st.global.u32 [%rd2], %r1;");
}

TEST(DetectorTest, DifferentStoresOfTwoBlocks) {
  const std::string byOne = "setp.eq.u32 %p1, %r1, 0; mov.u32 %r4, %ctaid.x; ";
  for (const auto &[body, error] : {std::pair(byOne + "@%p1 st.global.u32 [%rd1], %r4;", int(CUDA_ERROR_LAUNCH_FAILED)),
                                    std::pair(byOne + "mov.u32 %r4, 1; @%p1 st.global.u32 [%rd1], %r4;", 0)}) {
    Gpu gpu;
    CUdeviceptr out = gpu.upload(std::vector<uint32_t>(64, 0));
    CUfunction function = gpu.function(forTarget("sm_90", "8.6", kernel(1, body)));
    testing::internal::CaptureStderr();
    EXPECT_EQ(gpu.run(function, 2, 32, {out}), error);
    std::string message = testing::internal::GetCapturedStderr();
    EXPECT_EQ(message.find("thread 0 of another block wrote 0x0000") != std::string::npos, error != 0) << message;
  }
}

TEST(DetectorTest, AsyncCopies) {
  std::string issue = "shl.b32 %r3, %r1, 2; mov.u32 %r4, buffer; add.u32 %r3, %r3, %r4; cp.async.ca.shared.global [%r3], [%rd5], "
                      "4; cp.async.commit_group;\n",
              read = "ld.shared.u32 %r5, [%r3];";
  expectClean(issue + "cp.async.wait_group 0;\n" + read, kBuffer);
  expectFinding(issue + read, CUDA_ERROR_LAUNCH_FAILED, "before the copy of PTX line", kBuffer);
  expectFinding(issue + "cp.async.wait_group 1;\n" + read, CUDA_ERROR_LAUNCH_FAILED, "before the copy of PTX line", kBuffer);
  std::string other = "xor.b32 %r6, %r2, 128; add.u32 %r6, %r6, %r4; ld.shared.u32 %r5, [%r6];";
  expectClean(issue + "cp.async.wait_all; bar.sync 0;\n" + other, kBuffer);
  expectFinding(issue + "cp.async.wait_all;\n" + other, CUDA_ERROR_LAUNCH_FAILED, "", kBuffer);
  // A tile that others still read must not be refilled.
  expectFinding(issue + "cp.async.wait_all; bar.sync 0;\n" + other +
                    "cp.async.ca.shared.global [%r3], [%rd5], 4; cp.async.wait_all;",
                CUDA_ERROR_LAUNCH_FAILED, "race: ", kBuffer);
  expectFinding("mov.u32 %r3, buffer; cp.async.cg.shared.global [%r3], [%rd1+4088], 16;", CUDA_ERROR_MISALIGNED_ADDRESS,
                "source of an asynchronous copy", kBuffer);
}

TEST(DetectorTest, Deadlocks) {
  expectFinding("setp.lt.u32 %p1, %r1, 40; @%p1 bra A; bar.sync 1, 64; bra B;\nA: bar.sync 2, 64;\nB:", CUDA_ERROR_LAUNCH_FAILED,
                "deadlock: 64 threads wait at barriers");
  expectFinding("setp.lt.u32 %p1, %r1, 32; @%p1 bar.sync 1, 64;", CUDA_ERROR_LAUNCH_FAILED, "deadlock: ");
  expectFinding("setp.lt.u32 %p1, %r1, 16; @%p1 shfl.sync.idx.b32 %r3, %r1, 0, 31, -1; @!%p1 bar.sync 0;", CUDA_ERROR_LAUNCH_FAILED,
                "for lanes of their warp");
  expectFinding("setp.lt.u32 %p1, %r1, 16; @%p1 bra A; bar.sync 0; bra B;\nA: bar.sync 0;\nB:", CUDA_ERROR_LAUNCH_FAILED,
                "lanes of one warp wait at different barriers");
  expectFinding("shfl.sync.idx.b32 %r3, %r1, 0, 31, 0xffff;", CUDA_ERROR_LAUNCH_FAILED,
                "the member mask does not name the executing lane");
  Environment environment("SM1_EMULATOR_STEPS", "100000");
  expectFinding("LOOP: add.u32 %r3, %r3, 1; bra LOOP;", CUDA_ERROR_LAUNCH_TIMEOUT, "no end after");
}

TEST(DetectorTest, TrapsAndAssertions) {
  expectFinding("setp.eq.u32 %p1, %r1, 33; @%p1 trap;", CUDA_ERROR_LAUNCH_FAILED,
                "trap in kernel k, block (0,0,0), thread (33,0,0)");
  expectFinding("call.uni __assertfail, ();", CUDA_ERROR_ASSERT, "assertion failed");
}

TEST(DetectorTest, ErrorsStickUntilTheContextGoes) {
  {
    Gpu gpu;
    CUfunction function = gpu.function(kernel(1, "mov.u64 %rd1, 64; ld.global.u32 %r2, [%rd1];"));
    testing::internal::CaptureStderr();
    EXPECT_EQ(gpu.launch(function, 1, 32, {0}), 0); // launches report later
    EXPECT_EQ(gpu.call("cuCtxSynchronize"), CUDA_ERROR_ILLEGAL_ADDRESS);
    CUdeviceptr address = 0;
    EXPECT_EQ(gpu.call("cuMemAlloc_v2", &address, size_t(16)), CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT_EQ(gpu.launch(function, 1, 32, {0}), CUDA_ERROR_ILLEGAL_ADDRESS);
    testing::internal::GetCapturedStderr();
  }
  EXPECT_EQ(outcome("").error, 0);
}

} // namespace
