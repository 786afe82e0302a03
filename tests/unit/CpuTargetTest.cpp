// Which code of a package runs on which machine; the machines are made up.
#include "cpu/CpuTarget.h"
#include "TestFiles.h"

using namespace sm1rt;

namespace {

Expected<void> grant() { return {}; }
Expected<void> deny() { return Error{"no tiles today"}; }

/// Machines from old to new: AVX2, AVX-512, an Ice Lake, a Zen 4, a Sapphire Rapids.
CpuMachine machine(int generation) {
  CpuMachine made{"Test CPU", {}, grant};
  made.features.v3 = generation >= 1;
  made.features.v4 = generation >= 2;
  made.features.avx512Vnni = generation >= 3;
  made.features.avx512Bf16 = generation >= 4;
  made.features.gfni = made.features.amxTile = made.features.amxBf16 = made.features.amxInt8 = generation >= 5;
  return made;
}

const std::vector<std::string> everything{"sm_90", "x86-64-v3", "x86-64-v4", "x86-64-v4-amx", "x86-64-v4-bf16",
                                          "x86-64-v4-vnni"};

TEST(CpuTargetTest, TakesTheBest) {
  const char *best[] = {"", "x86-64-v3", "x86-64-v4", "x86-64-v4-vnni", "x86-64-v4-bf16", "x86-64-v4-amx"};
  for (int generation = 1; generation <= 5; ++generation) {
    auto chosen = chooseCpuTarget(everything, "", machine(generation));
    ASSERT_OK(chosen);
    EXPECT_EQ(*chosen, best[generation]);
  }
  EXPECT_EQ(*chooseCpuTarget({"x86-64-v3", "x86-64-v4"}, "", machine(5)), "x86-64-v4");
}

TEST(CpuTargetTest, TakesWhatIsAskedFor) {
  for (const char *isa : {"x86-64-v3", "x86-64-v4", "x86-64-v4-vnni", "x86-64-v4-bf16", "x86-64-v4-amx"})
    EXPECT_EQ(*chooseCpuTarget(everything, isa, machine(5)), isa);
}

// One instruction set less and the target is another one; the error names it.
TEST(CpuTargetTest, EveryFeatureCounts) {
  bool CpuFeatures::*features[] = {&CpuFeatures::avx512Vnni, &CpuFeatures::avx512Bf16, &CpuFeatures::gfni,
                                   &CpuFeatures::amxTile,    &CpuFeatures::amxBf16,    &CpuFeatures::amxInt8};
  const char *names[] = {"AVX512-VNNI", "AVX512-BF16", "GFNI", "AMX-TILE", "AMX-BF16", "AMX-INT8"};
  const char *best[] = {"x86-64-v4", "x86-64-v4-vnni", "x86-64-v4-bf16"};
  for (int i = 0; i < 6; ++i) {
    CpuMachine almost = machine(5);
    almost.features.*features[i] = false;
    EXPECT_EQ(*chooseCpuTarget(everything, "", almost), best[std::min(i, 2)]);
    EXPECT_ERROR(chooseCpuTarget(everything, "x86-64-v4-amx", almost),
                 "built for x86-64-v4-amx (needs " + std::string(names[i]) + "), this machine (Test CPU) runs x86-64-v4");
  }
}

TEST(CpuTargetTest, SaysWhatIsMissing) {
  EXPECT_ERROR(
      chooseCpuTarget({"x86-64-v4", "x86-64-v4-bf16"}, "", machine(1)),
      "built for x86-64-v4 (needs AVX-512), x86-64-v4-bf16 (needs AVX-512, AVX512-VNNI, AVX512-BF16), this machine (Test CPU) "
      "runs x86-64-v3; recompile with --target=native");
  EXPECT_ERROR(chooseCpuTarget(everything, "", machine(0)), "runs none of the CPU targets");
  EXPECT_ERROR(chooseCpuTarget({"x86-64-v3"}, "x86-64-v4", machine(5)),
               "no kernels for 'x86-64-v4', the package holds x86-64-v3; recompile with --target=x86-64-v4 or drop --isa");
  EXPECT_ERROR(chooseCpuTarget({"sm_90"}, "", machine(5)), "built for sm_90, this machine");
}

// A system that keeps its tiles: the next target is good enough, unless those with tiles are all there is.
TEST(CpuTargetTest, TilesAreTheSystemsToGrant) {
  CpuMachine refusing = machine(5);
  refusing.useTiles = deny;
  EXPECT_EQ(*chooseCpuTarget(everything, "", refusing), "x86-64-v4-bf16");
  EXPECT_ERROR(chooseCpuTarget(everything, "x86-64-v4-amx", refusing), "x86-64-v4-amx: no tiles today");
  EXPECT_ERROR(chooseCpuTarget({"x86-64-v4-amx"}, "", refusing), "no tiles today");
}

TEST(CpuTargetTest, ThisMachine) {
  CpuMachine self = thisMachine();
  EXPECT_EQ(self.features.v3, cpuFeatures().v3);
  EXPECT_EQ(bool(chooseCpuTarget(everything, "", self)), self.features.v3);
}

} // namespace
