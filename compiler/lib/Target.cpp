//===- Target.cpp - the table of targets -------------------------------------------------------------------------===//

#include "sm1c/Target.h"

using namespace sm1;

// Cache: 1 MiB is the smaller of what AVX2 desktops of the last ten years have per core (256 KiB to 2 MiB, mostly shared with nobody)
// and well under the 2 MiB of current AVX-512 cores.
static constexpr Target targets[] = {
    {"x86-64-v4", "x86-64-v4", "+f16c", /*vectorRegisters=*/32, /*vectorLanes=*/16, /*l2Bytes=*/1 << 20},
    {"x86-64-v3", "x86-64-v3", "+f16c", /*vectorRegisters=*/16, /*vectorLanes=*/8, /*l2Bytes=*/512 << 10},
};

llvm::ArrayRef<Target> sm1::allTargets() { return targets; }

const Target *sm1::findTarget(llvm::StringRef name) {
  for (const Target &target : targets)
    if (target.name == name)
      return &target;
  return nullptr;
}
