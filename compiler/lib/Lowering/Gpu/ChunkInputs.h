//===- ChunkInputs.h - what a thread reads of a chunk of a scan ---------------------------------------------------===//

#ifndef SM1C_LOWERING_GPU_CHUNKINPUTS_H
#define SM1C_LOWERING_GPU_CHUNKINPUTS_H

#include "BlockKernel.h"

#include <memory>

namespace sm1 {

/// Rows of streams of a thread, four channels each, on their way from memory.
class ChunkInputs {
public:
  virtual ~ChunkInputs() = default;

  /// The thread has rows from `firstRow` on of the four channels of `unit`; rows from `rowEnd` on, where there is one, are the row
  /// before it.
  virtual void begin(mlir::Value firstRow, mlir::Value unit, mlir::Value rowEnd) = 0;
  /// How many rows `give` is called ahead of their use.
  virtual int64_t rowsAhead() const = 0;
  /// Gives `evaluator` the streams of the thread's row `number`; one row after the other.
  virtual void give(TileEvaluator &evaluator, int64_t number) = 0;
};

/// Loads to registers, few rows ahead: registers have no room for more.
std::unique_ptr<ChunkInputs> makeRegisterInputs(llvm::ArrayRef<mlir::BlockArgument> streams);
/// All rows at once, of streams of 16 bits, by asynchronous copies to shared memory; a block has `width` channels.
std::unique_ptr<ChunkInputs> makeSharedInputs(BlockKernel &block, llvm::ArrayRef<mlir::BlockArgument> streams, int64_t width);

} // namespace sm1

#endif // SM1C_LOWERING_GPU_CHUNKINPUTS_H
