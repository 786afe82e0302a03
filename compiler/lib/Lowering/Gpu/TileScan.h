//===- TileScan.h - a warpgroup that scans what others have summed, a tile at a time --------------------------------===//

#ifndef SM1C_LOWERING_GPU_TILESCAN_H
#define SM1C_LOWERING_GPU_TILESCAN_H

#include "ScanSlices.h"

namespace sm1 {

/// A tile of sums, a chunk of a sequence, on its way through shared memory to a warpgroup that scans it. A thread of that has four
/// channels of some neighbouring rows, a group.
class TileScan {
public:
  /// Tiles of so many rows of a segment by so many panels, a power of two up to 4, of all projections.
  TileScan(BlockKernel &block, int64_t rows, int64_t panels);

  /// What is handed over of a projection: its sums, or those scaled by a norm.
  static mlir::Value handed(LinearOp linear);
  /// By a lane of those that multiply: four channels of `panel` and of row `row` of the tile.
  void leave(mlir::Value sums, size_t linear, mlir::Value row, int64_t panel, mlir::Value lane);

  struct Chunk {
    mlir::Value firstRow, firstPanel, segment, number; ///< the segment ends at block.count
  };
  /// By the warpgroup that scans; `waitForSums` when what memory has of the tile has been asked for.
  void scan(Chunk chunk, llvm::function_ref<void()> waitForSums);

private:
  /// Rows that a thread computes while it waits for the next ones' streams.
  static constexpr int64_t rowsTogether = 4;

  struct Row {
    TileEvaluator evaluator;
    int64_t number;                    ///< in the thread
    mlir::Value index, inTile, column; ///< of all rows, of the tile's; where its sums lie
  };
  void takeParameters();
  /// What memory has of rows `first` and on of the thread: [stream][rowsTogether]; in the first walk, `isEarly`.
  llvm::SmallVector<mlir::Value> read(llvm::ArrayRef<mlir::BlockArgument> streams, int64_t first, bool isEarly);
  /// Whether the segment has row `number` of the thread.
  mlir::Value hasRow(int64_t number);
  mlir::Value word(int64_t value); ///< i32
  /// Of the thread's channels in a row of a buffer.
  mlir::Value addressIn(mlir::Value buffer, mlir::Value row);
  Row rowAt(int64_t number);
  /// `body` for each row of the thread, whose sums and `streams` are known; `there`: those of the first rows.
  void eachRow(llvm::ArrayRef<mlir::BlockArgument> streams, bool isEarly, llvm::SmallVector<mlir::Value> there,
               llvm::function_ref<void(Row &)> body);
  void storeRow(Row &row);
  /// The first walk. Product and sum of the thread's rows, and how much stays of the state in each.
  llvm::SmallVector<mlir::Value> fromZero(llvm::ArrayRef<mlir::Value> there);
  /// The second, with the state before the thread's rows.
  void fromState(mlir::Value state, mlir::ValueRange decays, llvm::ArrayRef<mlir::Value> there);
  /// The state behind a segment that ends within the chunk, by the threads that have its last row.
  void storeLast(mlir::Value state, mlir::ValueRange decays);
  /// What comes in, four channels in f32, lies between the walks where two sums lay that nothing else reads.
  void leaveInput(mlir::Value input, const Row &row);
  mlir::Value takeInput(const Row &row);
  void meet();
  /// Gives what memory has of the first rows.
  llvm::SmallVector<mlir::Value> exchange();

  BlockKernel &block;
  mlir::OpBuilder &builder;
  mlir::Location loc;
  ScanOp scanOp;
  llvm::SmallVector<LinearOp> linears;
  ScanSlices slices;
  llvm::SmallVector<mlir::BlockArgument> streams, early; ///< that scans read, and those of them that the chain needs
  int64_t rows, panels, width, groups, threadRows;
  llvm::SmallVector<mlir::Operation *> again; ///< those of slices.before whose results what follows the scan reads
  llvm::SmallVector<size_t> passing;          ///< projections that go into the scan alone
  mlir::Value memory, products, sums, states; ///< [projection, row][channel], [group][channel], [channel]
  Chunk chunk;
  mlir::Value own, group, unit, firstRow, rowsLeft; ///< of the thread; rowsLeft: of the segment, from firstRow on, i32
  mlir::Value behindLast;                           ///< row of a chunk that is whole
  llvm::SmallVector<std::pair<mlir::Value, mlir::Value>> parameters;
};

} // namespace sm1

#endif // SM1C_LOWERING_GPU_TILESCAN_H
