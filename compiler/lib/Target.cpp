//===- Target.cpp - the table of targets -------------------------------------------------------------------------===//

#include "sm1c/Target.h"

using namespace sm1;

/// The PTX version is the lowest that knows the chip, and not below 8.0, so that old drivers can be used.
static constexpr Target gpu(llvm::StringLiteral name, llvm::StringLiteral ptx, int64_t capability, bool wgmma = false) {
  return {name, name, ptx, /*registers=*/0, /*lanes=*/0, /*l2Bytes=*/0, false, false, false, sm1rt::gpuFactsOf(capability), wgmma};
}

static constexpr llvm::StringLiteral byteFeatures = "+f16c,+avx512vnni", dotFeatures = "+f16c,+avx512bf16,+avx512vnni",
                                     matrixFeatures = "+f16c,+avx512bf16,+avx512vnni,+gfni,+amx-tile,+amx-bf16,+amx-int8";

// Every processor with AVX512-BF16 has VNNI (Cascade Lake and Ice Lake have VNNI alone), and with AMX both, and GFNI. Cache: 1 MiB
// is the smaller of what AVX2 desktops of the last ten years have per core (256 KiB to 2 MiB, mostly shared with nobody) and well
// under the 2 MiB of current AVX-512 cores.
static constexpr Target targets[] = {
    {"x86-64-v4-amx", "x86-64-v4", matrixFeatures, 32, 16, /*l2Bytes=*/2 << 20, /*integerDots=*/true, /*bf16Dots=*/true,
     /*matrixTiles=*/true},
    {"x86-64-v4-bf16", "x86-64-v4", dotFeatures, 32, 16, /*l2Bytes=*/1 << 20, /*integerDots=*/true, /*bf16Dots=*/true},
    {"x86-64-v4-vnni", "x86-64-v4", byteFeatures, 32, 16, /*l2Bytes=*/1 << 20, /*integerDots=*/true},
    {"x86-64-v4", "x86-64-v4", "+f16c", /*vectorRegisters=*/32, /*vectorLanes=*/16, /*l2Bytes=*/1 << 20},
    {"x86-64-v3", "x86-64-v3", "+f16c", /*vectorRegisters=*/16, /*vectorLanes=*/8, /*l2Bytes=*/512 << 10},
    gpu("sm_121", "+ptx88", 121),
    gpu("sm_120", "+ptx87", 120),
    gpu("sm_103", "+ptx88", 103),
    gpu("sm_100", "+ptx86", 100),
    gpu("sm_90a", "+ptx81", 90, /*wgmma=*/true),
    gpu("sm_90", "+ptx80", 90),
    gpu("sm_89", "+ptx80", 89),
    gpu("sm_87", "+ptx80", 87),
    gpu("sm_86", "+ptx80", 86),
    gpu("sm_80", "+ptx80", 80),
};

llvm::ArrayRef<Target> sm1::allTargets() { return targets; }

const Target *sm1::findTarget(llvm::StringRef name) {
  for (const Target &target : targets)
    if (target.name == name)
      return &target;
  return nullptr;
}
