// Control flow: divergence, loops, indexed branches, calls, local memory, scopes.
#include "EmulatorTest.h"

using namespace emulator;

namespace {

std::vector<uint64_t> results(const std::string &body, const std::string &before = "", unsigned threads = 32) {
  Gpu gpu;
  CUdeviceptr out = gpu.allocate(threads * 8);
  EXPECT_EQ(gpu.run(gpu.function(kernel(1, body + "\nadd.s64 %rd1, %rd1, %rd0;\nst.global.u64 [%rd1], %rd3;", before)), 1, threads,
                    {out}),
            0);
  return gpu.download<uint64_t>(out, threads);
}

TEST(ControlTest, LoopsOfDifferentLength) {
  auto sums = results("mov.u64 %rd3, 0; mov.u32 %r2, 0;\nLOOP: setp.ge.u32 %p1, %r2, %r1; @%p1 bra END; cvt.u64.u32 %rd4, %r2; "
                      "add.u64 %rd3, %rd3, %rd4; add.u32 %r2, %r2, 1; bra.uni LOOP;\nEND:");
  for (uint64_t i = 0; i < 32; ++i)
    EXPECT_EQ(sums[i], i * (i - 1) / 2);
}

TEST(ControlTest, IndexedBranch) {
  auto values = results("and.b32 %r2, %r1, 3;\nTABLE: .branchtargets L0, L1, L2, L1;\nbrx.idx %r2, TABLE;\nL0: mov.u64 %rd3, 10; "
                        "bra END;\nL1: mov.u64 %rd3, 11; bra END;\nL2: mov.u64 %rd3, 12;\nEND:");
  for (unsigned i = 0; i < 32; ++i)
    EXPECT_EQ(values[i], (std::array<uint64_t, 4>{10, 11, 12, 11})[i % 4]);
}

const std::string kSquare = ".func (.param .b64 result) square(.param .b64 x) {\n.reg .b64 %v<3>;\nld.param.b64 %v0, "
                            "[x];\nmul.lo.u64 %v1, %v0, %v0;\nst.param.b64 [result], %v1;\nret;\n}\n";

TEST(ControlTest, CallsFromDivergentLanes) {
  auto values = results(
      "cvt.u64.u32 %rd2, %r1; mov.u64 %rd3, 3; and.b32 %r2, %r1, 1; setp.eq.u32 %p1, %r2, 0; @%p1 bra END;\n"
      "{ .param .b64 in; .param .b64 out; st.param.b64 [in], %rd2; call.uni (out), square, (in); ld.param.b64 %rd3, [out]; }\n"
      "{ .param .b64 in; .param .b64 out; st.param.b64 [in], %rd3; call.uni (out), square, (in); ld.param.b64 %rd3, [out]; }\nEND:",
      kSquare);
  for (uint64_t i = 0; i < 32; ++i)
    EXPECT_EQ(values[i], i % 2 ? i * i * i * i : 3);
}

TEST(ControlTest, LocalMemoryAndGenericAddresses) {
  auto values = results(".local .align 8 .b8 depot[64]; mov.u64 %rd4, depot; cvta.local.u64 %rd5, %rd4; and.b32 %r2, %r1, 7; "
                        "mul.wide.u32 %rd6, %r2, 8; add.s64 %rd7, %rd5, %rd6;\n"
                        "cvt.u64.u32 %rd8, %r1; st.u64 [%rd7], %rd8; add.s64 %rd9, %rd4, %rd6; ld.local.u64 %rd3, [%rd9]; "
                        "isspacep.local %p1, %rd7; @!%p1 mov.u64 %rd3, 99;");
  for (uint64_t i = 0; i < 32; ++i)
    EXPECT_EQ(values[i], i);
}

TEST(ControlTest, ScopesHaveTheirOwnLabels) {
  auto values = results("mov.u64 %rd3, 0;\n{ .reg .pred q; setp.lt.u32 q, %r1, 8; @q bra SKIP; add.u64 %rd3, %rd3, 1; SKIP: }\n{ "
                        ".reg .pred q; setp.lt.u32 q, %r1, 16; @q bra SKIP; add.u64 %rd3, %rd3, 2; SKIP: }");
  for (unsigned i = 0; i < 32; ++i)
    EXPECT_EQ(values[i], i < 8 ? 0u : i < 16 ? 1u : 3u);
}

TEST(ControlTest, ConstantsAndGlobals) {
  auto values = results("mul.wide.u32 %rd4, %r1, 4; mov.u64 %rd5, table; and.b64 %rd4, %rd4, 12; add.s64 %rd5, %rd5, %rd4; "
                        "ld.const.u32 %r2, [%rd5]; ld.global.u32 %r3, [counter+4]; add.u32 %r2, %r2, %r3; cvt.u64.u32 %rd3, %r2;",
                        ".const .align 4 .u32 table[4] = {5, 6, 7, 8};\n.global .align 4 .b8 counter[8] = {0, 0, 0, 0, 44, 1};\n");
  for (unsigned i = 0; i < 32; ++i)
    EXPECT_EQ(values[i], 5 + i % 4 + 300u);
}

TEST(ControlTest, RefusesWhatItDoesNotKnow) {
  struct {
    const char *body, *message;
  } cases[] = {{"frobnicate.b32 %r2, %r1;", "unknown instruction 'frobnicate' in line 14: frobnicate.b32 %r2, %r1;"},
               {"add.odd.s32 %r2, %r1, %r1;", "unknown modifier '.odd' in line 14: add.odd.s32 %r2, %r1, %r1;"},
               {"add.s32 %r2, %r1;", "2 operands in line 14"},
               {"add.s32 %r2, %r1, %unknown;", "unknown name '%unknown' in line 14"},
               {"bra NOWHERE;", "no label 'NOWHERE' in line 14"},
               {"wgmma.fence;", "wgmma is known with .sync.aligned"},
               {"cp.async.bulk.commit_group;", "unknown modifier '.commit_group'"},
               {"add.s32 %r2 %r1;", "expected ',' before '%r1' in line 14"}};
  for (auto &test : cases) {
    Gpu gpu;
    CUmodule module = nullptr;
    EXPECT_EQ(gpu.load(kernel(1, test.body), module), CUDA_ERROR_INVALID_PTX) << test.body;
    EXPECT_NE(gpu.log.find(test.message), std::string::npos) << gpu.log;
  }
  Gpu gpu;
  CUmodule module = nullptr;
  std::string recursion = ".func again() {\ncall.uni again;\nret;\n}\n";
  EXPECT_EQ(gpu.load(kernel(1, "call.uni again;", recursion), module), CUDA_ERROR_INVALID_PTX);
  EXPECT_NE(gpu.log.find("recursion"), std::string::npos) << gpu.log;
}

} // namespace
