//===- GpuOps.h - what only a GPU has: thread numbers, barriers, shuffles, asynchronous copies, tensor cores ------===//
//
// Everything that touches the NVVM dialect is behind these functions, since its header alone takes twelve seconds to compile.

#ifndef SM1C_LOWERING_GPU_GPUOPS_H
#define SM1C_LOWERING_GPU_GPUOPS_H

#include "mlir/IR/Builders.h"

#include <array>

namespace sm1::cuda {

using mlir::Location;
using mlir::OpBuilder;
using mlir::Value;

/// Number of the thread in its block, of the block in the grid; index, never negative.
Value threadId(OpBuilder &builder, Location loc);
enum class Axis { X, Y, Z };
Value blockId(OpBuilder &builder, Location loc, Axis axis);

/// All threads of the block meet, and see each other's writes.
void barrier(OpBuilder &builder, Location loc);
/// All lanes of a warp meet, and see each other's writes.
void warpBarrier(OpBuilder &builder, Location loc);

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

/// Address of byte `offset` (index) of a memref of bytes or floats.
Value addressOf(OpBuilder &builder, Location loc, Value memref, Value offset, unsigned addressSpace);
inline constexpr unsigned globalMemory = 1, sharedMemory = 3;

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
/// c + a b for a 16x16 (rows), b 16x8 (columns), both bf16, c 16x8 f32, in the fragments of mma.m16n8k16.
std::array<Value, 4> multiplyAdd(OpBuilder &builder, Location loc, std::array<Value, 4> a, std::array<Value, 2> b,
                                 std::array<Value, 4> c);

} // namespace sm1::cuda

#endif // SM1C_LOWERING_GPU_GPUOPS_H
