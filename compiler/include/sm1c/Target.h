//===- Target.h - facts about the machines we compile for, as data -----------------------------------------------===//

#ifndef SM1C_TARGET_H
#define SM1C_TARGET_H

#include "sm1rt/packing/GpuCost.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <optional>

namespace sm1 {

using sm1rt::GpuFacts; // the cost model, which the runtime shares, needs them, too

/// One instruction-set level of a processor, or one chip of a family of GPUs. Nothing about a target hides in a pass: schedules and
/// code generation read it here.
struct Target {
  llvm::StringLiteral name;
  /// -mcpu and -mattr for LLVM.
  llvm::StringLiteral cpu, features;
  /// Vector registers, and how many f32 one holds. A panel of 16 channels takes 16 / vectorLanes of them.
  int64_t vectorRegisters, vectorLanes;
  /// Bytes a core can keep of its own; tasks are cut so that a row block and its scratch fit.
  int64_t l2Bytes;
  /// Dot products of bytes (VNNI) and of bf16 (AVX512-BF16); tile registers (AMX) for both.
  bool integerDots = false, bf16Dots = false, matrixTiles = false;
  std::optional<GpuFacts> gpu = std::nullopt;
  /// Matrix instructions of four warps that read shared memory (Hopper's alone).
  bool wgmma = false;

  int64_t registersPerPanel() const { return 16 / vectorLanes; }
  bool isGpu() const { return gpu.has_value(); }
};

/// Every target: CPUs, best first, then GPUs, newest first.
llvm::ArrayRef<Target> allTargets();

/// The target of that name; nullptr when there is none.
const Target *findTarget(llvm::StringRef name);

} // namespace sm1

#endif // SM1C_TARGET_H
