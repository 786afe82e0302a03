//===- GpuOps.h - what only a GPU has: thread numbers, barriers, shuffles, asynchronous copies, tensor cores ------===//
//
// Everything that touches the NVVM dialect is behind these functions, since its header alone takes twelve seconds to compile.

#ifndef SM1C_LOWERING_GPU_GPUOPS_H
#define SM1C_LOWERING_GPU_GPUOPS_H

#include "mlir/IR/Builders.h"

#include "llvm/ADT/SmallVector.h"

#include <array>

namespace mlir {
class DialectRegistry;
}

namespace sm1::cuda {

using mlir::Location;
using mlir::OpBuilder;
using mlir::Value;

/// The dialect of what these functions build.
void insertDialect(mlir::DialectRegistry &registry);

/// Number of the thread in its block, of the block in the grid; index, never negative.
Value threadId(OpBuilder &builder, Location loc);
enum class Axis { X, Y, Z };
Value blockId(OpBuilder &builder, Location loc, Axis axis);
/// Number of the block along X, and blocks there; index. Read each time they are asked for: in between they take no registers.
struct PlaceInGrid {
  Value number, blocks;
};
PlaceInGrid placeInGrid(OpBuilder &builder, Location loc);
/// Blocks of the grid; index.
struct GridSize {
  Value x, y, z;
};
GridSize gridSize(OpBuilder &builder, Location loc);
/// Cycles of the multiprocessor so far, read here and now; i32.
Value clock(OpBuilder &builder, Location loc);
/// Multiprocessors of the device, or some more; index.
Value multiprocessors(OpBuilder &builder, Location loc);

/// All threads of the block meet, and see each other's writes.
void barrier(OpBuilder &builder, Location loc);
/// The same of `threads` threads, whole warps, that meet at barrier `number` (i32, 1 to 15).
void barrierOf(OpBuilder &builder, Location loc, Value number, int64_t threads);
/// All lanes of a warp meet, and see each other's writes.
void warpBarrier(OpBuilder &builder, Location loc);

/// At the end of one of two branches that end alike: nothing, but of unknown effect. LLVM would give both one end, where everything
/// that they loaded meets in registers.
void endApart(OpBuilder &builder, Location loc);
/// The elements of a vector of f32 are loaded, or computed, no later than here.
void computeHere(OpBuilder &builder, Location loc, Value vector);

/// Waits until the kernels launched before have ended and their writes can be seen. Where launches overlap, nothing that they write
/// may be read before, and nothing written that they read.
void waitForEarlierKernels(OpBuilder &builder, Location loc);
/// The kernel launched next may start, as far as it gets without that.
void startLaterKernel(OpBuilder &builder, Location loc);

/// A word of 64 bits (i64) that blocks of the device hand to each other: seen whole or not at all, and orders nothing else.
Value loadSharedWord(OpBuilder &builder, Location loc, Value address);
void storeSharedWord(OpBuilder &builder, Location loc, Value word, Value address);

/// The f32 `value` of lane `lane ^ mask`; all 32 lanes must take part.
Value shuffleXor(OpBuilder &builder, Location loc, Value value, int32_t mask);
/// The same of lane `lane` (index).
Value shuffle(OpBuilder &builder, Location loc, Value value, Value lane);

/// Address of byte `offset` (index) of a memref of bytes or floats.
Value addressOf(OpBuilder &builder, Location loc, Value memref, Value offset, unsigned addressSpace);
inline constexpr unsigned globalMemory = 1, sharedMemory = 3;

/// The vector in global memory `offset` (i32) bytes behind `address`.
Value loadBehind(OpBuilder &builder, Location loc, Value address, Value offset, mlir::VectorType type);
/// A vector of 4, 8 or 16 bytes `offset` bytes behind it where `condition` (i1) holds, else zeros. Nobody jumps, so that the code
/// around it stays one piece.
Value loadWhere(OpBuilder &builder, Location loc, Value condition, Value address, int64_t offset, mlir::VectorType type);
void storeWhere(OpBuilder &builder, Location loc, Value condition, Value vector, Value address, int64_t offset);

/// Asks the L2 cache for the line of 128 bytes at an address in global memory.
void fetchLine(OpBuilder &builder, Location loc, Value address);
/// The same of so many bytes (i32, a multiple of 16, as the address is), by the copy engine.
void fetchBulk(OpBuilder &builder, Location loc, Value address, Value bytes);
/// Starts copying 16 bytes from global to shared memory, around the L1 cache; bytes from `bytes` (i32, 0 to 16) on become zero.
void copyAsync(OpBuilder &builder, Location loc, Value to, Value from, Value bytes);
/// Copies started so far form a group.
void commitCopies(OpBuilder &builder, Location loc);
/// Waits until at most `groups` of this thread's groups are under way.
void waitForCopies(OpBuilder &builder, Location loc, uint32_t groups);

/// Four 8x8 matrices of 16-bit numbers from shared memory; lane 8i+r gives the address of row r of matrix i. One i32 each.
std::array<Value, 4> loadMatrices(OpBuilder &builder, Location loc, Value address);
/// 16 bytes of shared memory, one i32 each.
std::array<Value, 4> loadWords(OpBuilder &builder, Location loc, Value address);
/// c + a b for a 16x16 (rows), b 16x8 (columns), both bf16, c 16x8 f32, in the fragments of mma.m16n8k16; with `fp8` for e4m3,
/// 16x32 and 32x8, in those of m16n8k32: bytes in the place of halves of words.
std::array<Value, 4> multiplyAdd(OpBuilder &builder, Location loc, std::array<Value, 4> a, std::array<Value, 2> b,
                                 std::array<Value, 4> c, bool fp8 = false);

//===-- Bulk copies, and the tensor cores of a warpgroup: sm_90a ------------------------------------------------------------===//

/// Makes 8 bytes of shared memory a barrier for so many arrivals a phase; one thread does.
void initBulkBarrier(OpBuilder &builder, Location loc, Value barrier, int64_t arrivals);
void initBulkBarrier(OpBuilder &builder, Location loc, Value barrier, Value arrivals); ///< i32
/// Barriers made by this thread can be seen by copies.
void fenceBulkBarriers(OpBuilder &builder, Location loc);
/// What this thread has stored to shared memory can be seen by the copy engine and the tensor cores of a warpgroup.
void fenceSharedForCopies(OpBuilder &builder, Location loc);
/// An arrival of a phase, which ends when `bytes` (i32) more have been copied.
void expectBytes(OpBuilder &builder, Location loc, Value barrier, Value bytes);
/// An arrival: what the thread has read and written lies before the phase's end.
void arrive(OpBuilder &builder, Location loc, Value barrier);
/// Starts copying `bytes` (i32, a multiple of 16) from global to shared memory, which are counted by `barrier`. What is `readOnce`
/// the L2 cache gives up first.
void copyBulk(OpBuilder &builder, Location loc, Value to, Value from, Value bytes, Value barrier, bool readOnce = false);
/// The same of a box of the tensor map `map` (a memref), from column `column` of row `row` on (i32); what is outside is zero.
void copyBox(OpBuilder &builder, Location loc, Value to, Value map, Value column, Value row, Value barrier);
/// Asks for the tensor map itself, so that the first copy does not wait for it.
void fetchMap(OpBuilder &builder, Location loc, Value map);
/// Waits for the end of the phase of that parity (i32, 0 for the first).
void waitForBytes(OpBuilder &builder, Location loc, Value barrier, Value parity);
/// The thread does nothing for so many clocks.
void letClocksPass(OpBuilder &builder, Location loc, int64_t clocks);

/// An operand in shared memory, as i64: rows of 32 or 64 bf16, `lineBytes`, from `address` on, a multiple of 8 of them, swizzled by
/// as many bytes.
Value operandAt(OpBuilder &builder, Location loc, Value address, int64_t lineBytes);
/// The one `bytes` further on, a multiple of 16: other rows, or another 16 k.
Value operandAfter(OpBuilder &builder, Location loc, Value operand, int64_t bytes);
/// Gives the threads of the warpgroup `registers` from here on, a multiple of 8: more than they had, which it waits for, or fewer.
void setRegisters(OpBuilder &builder, Location loc, int64_t registers, bool more);
/// Registers that the warpgroup has written can be used by multiplications that follow.
void fenceWarpgroup(OpBuilder &builder, Location loc);
/// Starts sums + rows weights', for 64 rows by 16 k and n = 2 sums.size() columns by 16 k. A thread of the four warps has of rows
/// 16 warp + lane / 4, and that plus 8, columns 8 j + 2 (lane % 4) and the next as sums 4 j, 4 j + 1, and 4 j + 2, 4 j + 3.
llvm::SmallVector<Value> startProducts(OpBuilder &builder, Location loc, bool fp8, Value rows, Value weights,
                                       mlir::ValueRange sums);
/// Products started so far form a group.
void commitProducts(OpBuilder &builder, Location loc);
/// Waits until at most `groups` are under way. Without any the sums returned are there; else more can be added to them only.
llvm::SmallVector<Value> waitForProducts(OpBuilder &builder, Location loc, uint32_t groups, mlir::ValueRange sums);

//===-- Blocks of a cluster: sm_90 and later --------------------------------------------------------------------------------===//

/// All threads arrive, and wait until all have: what they have read is over then. A release would wait for loads under way.
void arriveAtCluster(OpBuilder &builder, Location loc);
void waitForCluster(OpBuilder &builder, Location loc);
/// The 32 bits of the address that block `rank` (index) of the cluster has for what lies at `address` in this one's shared memory.
Value addressInBlock(OpBuilder &builder, Location loc, Value address, Value rank);
/// Starts storing four f32 at such an address, 16 bytes that the barrier at the other, of the same block, counts.
void storeInBlock(OpBuilder &builder, Location loc, Value to, mlir::ValueRange four, Value barrier);
/// Waits for the first phase of a barrier of this block, on which others' stores complete.
void waitForOtherBlocks(OpBuilder &builder, Location loc, Value barrier);

} // namespace sm1::cuda

#endif // SM1C_LOWERING_GPU_GPUOPS_H
