//===- ChunkStage.h - a chunk of a scan on its way through shared memory ------------------------------------------===//

#ifndef SM1C_LOWERING_GPU_CHUNKSTAGE_H
#define SM1C_LOWERING_GPU_CHUNKSTAGE_H

#include "BlockKernel.h"

namespace sm1 {

/// The streams of a chunk in shared memory, of each eight rows of four channels to a thread. All of them are asked for at once,
/// which registers have no room for; two lanes that are neighbours copy for each other, each the eight channels of both in every
/// second row.
class ChunkStage {
public:
  /// What a thread has of some rows: [stream][row].
  using Rows = llvm::SmallVector<llvm::SmallVector<mlir::Value, 2>>;

  /// `streams` of 16 bits.
  ChunkStage(BlockKernel &block, llvm::ArrayRef<mlir::BlockArgument> streams, int64_t width);

  static constexpr int64_t rowsTogether = 2;
  /// Begins to copy the thread's rows from `firstRow` on, and of the block's first unit of four channels on; rows from `rowEnd` on,
  /// where there is one, as the row before it.
  void fill(mlir::Value firstRow, mlir::Value firstUnit, mlir::Value rowEnd);
  /// Rows 2 pair and 2 pair + 1 of the thread, when they are there.
  Rows take(int64_t pair);

private:
  BlockKernel &block;
  llvm::ArrayRef<mlir::BlockArgument> streams;
  int64_t width, chunkRows, pairs;
  mlir::Value memory, unit, group;
};

} // namespace sm1

#endif // SM1C_LOWERING_GPU_CHUNKSTAGE_H
