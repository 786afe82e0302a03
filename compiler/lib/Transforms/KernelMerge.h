//===- KernelMerge.h - what kernels contain, and moving one into another -----------------------------------------===//
//
// The fusion passes decide; this file knows how kernels are put together.

#ifndef SM1C_TRANSFORMS_KERNELMERGE_H
#define SM1C_TRANSFORMS_KERNELMERGE_H

#include "sm1/IR/Sm1.h"

#include "mlir/IR/PatternMatch.h"

#include <optional>
#include <string>

namespace sm1 {

/// The kinds of work in a kernel's body.
struct KernelContents {
  unsigned linears = 0, scans = 0, convs = 0, norms = 0, lookups = 0, elementwise = 0, others = 0;
  /// Nothing but elementwise operations on streams (and what is the same for every row).
  bool isElementwise() const { return elementwise && !linears && !scans && !convs && !norms && !lookups && !others; }
  /// Rows of a table, and perhaps elementwise operations on them.
  bool isLookup() const { return lookups && !linears && !scans && !convs && !norms && !others; }
  bool isProjection() const { return linears && !scans && !convs && !lookups && !others; }
  bool hasRowNorm = false;  ///< a norm whose result is not only multiplied by projections
  bool hasPrologue = false; ///< something is computed or quantised on the way into a projection
};

/// Projections in one kernel: more, and the sums of a useful tile do not fit the registers.
inline constexpr unsigned maxProjections = 3;

KernelContents contentsOf(KernelOp kernel);
/// Nothing but roundings, which belong to what makes the value: what reads it then reads fewer bytes.
bool onlyRounds(KernelOp kernel);
/// Whether the sums of each projection are a result of their own, as they are or rounded, all of one type.
bool storesSums(KernelOp kernel);
/// The projection whose sums `yielded` is, as they are or rounded; null where it is something else.
LinearOp projectionBehind(mlir::Value yielded);
/// Projections that a block of `kernel` has: all, or one of wgmma_tiles whose threads have no room for the sums of all.
int64_t projectionsOfBlock(KernelOp kernel);

/// Whether sums of projections go on into a scan over time in the same kernel.
bool endsInScan(KernelOp kernel);
/// Whether all that is made of `value`, in a kernel, goes into its scan, and nothing past it.
bool goesIntoScanAlone(mlir::Value value);
/// Projections of such tiles of which that has to be so: what comes in, f32, lies where their sums lay, bf16.
inline constexpr int64_t leastIntoScanAlone = 2;
/// Groups of neighbouring rows into which a warpgroup that scans divides a tile: a thread has four channels of one.
inline int64_t groupsOfScan(int64_t panels) { return 32 / panels; }
/// Shared memory for the sums of all projections and for what groups of rows leave.
int64_t sharedBehindSums(KernelOp kernel, BlockScheduleAttr blocks);

/// True if `op` yields the same for every row: constants, and arithmetic on parameters.
bool isRowInvariant(mlir::Operation *op);

/// What a kernel is called after its weight: "ssm_in_proj" for "layers.{i}.ssm.in_proj.weight"; empty where it is no parameter.
std::string stemOfWeight(mlir::Value weight);

/// Channels of what the kernel writes.
int64_t widthOf(KernelOp kernel);

/// The kernel that defines `value`; null if something else does.
KernelOp definingKernel(mlir::Value value);

/// The kernels whose results `kernel` reads, without repetition, in operand order.
llvm::SmallVector<KernelOp> producersOf(KernelOp kernel);

/// True if every use of every result of `producer` is an operand of `consumer`.
bool onlyUsedBy(KernelOp producer, KernelOp consumer);

/// True if every use of `value` leads, over elementwise operations, into the x of a projection. A yield is no such use.
bool onlyFeedsProjections(mlir::Value value);

/// The block argument of `consumer` for result `result` of another kernel.
mlir::BlockArgument argumentFor(KernelOp consumer, mlir::Value result);

/// True if some projection of `consumer` multiplies what `producer` computes.
bool feedsProjection(KernelOp producer, KernelOp consumer);

/// Name of the attribute of a kernel that no fusion may touch.
inline constexpr llvm::StringLiteral keepApartAttr = "keep_apart";

/// True if a selective scan of `consumer` reads rows that `producer` makes number by number: they have to be in memory.
bool isReadByIndex(KernelOp producer, KernelOp consumer);

/// Why the two cannot become one kernel where `second` stands, whatever they contain; nullptr if they can. `first` comes before.
const char *whyNotMerge(KernelOp first, KernelOp second);

/// Puts the body of `first` before that of `second`, at the place of `second`, and drops results that nobody uses any more. The
/// name is that of `named`. Both kernels are gone afterwards, and the result is a third: a pass that kept a list of kernels asks
/// for it again.
KernelOp mergeKernels(mlir::RewriterBase &rewriter, KernelOp first, KernelOp second, KernelOp named);

/// Walks every pair (producer, consumer) until none fuses. `why` answers for a pair with a reason not to, nullptr to fuse, or
/// std::nullopt when the pass has nothing to say about it. `keepProducerName` tells which of the two names the result has.
void fusePairs(mlir::Operation *root, llvm::StringRef passName, bool keepProducerName,
               llvm::function_ref<std::optional<const char *>(KernelOp producer, KernelOp consumer)> why);

} // namespace sm1

#endif // SM1C_TRANSFORMS_KERNELMERGE_H
