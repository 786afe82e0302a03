//===- MatrixTiles.h - sums of projections in tile registers (AMX) -----------------------------------------------===//
//
// A tile register holds 16 rows of 64 bytes. Sums are made for a block of rows by panels and left in scratch, from where the rest
// of the kernel reads them row by row. bf16: each step adds 32 products a sum, even and odd k apart, which is the order sm1.linear
// states; denormal operands and sums count as zero. int8: integers, exact in any order.

#ifndef SM1C_LOWERING_MATRIXTILES_H
#define SM1C_LOWERING_MATRIXTILES_H

#include "TileEvaluator.h"

namespace sm1 {

/// Bytes of a row of a tile register, and rows of one.
inline constexpr int64_t tileRowBytes = 64, tileRows = 16;

/// Why the projections of `kernel` cannot be summed in tiles with its schedule and layouts; nullptr if they can.
const char *whyNotMatrixTiles(KernelOp kernel);

class MatrixTiles {
public:
  /// Blocks of `rows` rows: a multiple of 16 up to the schedule's, or fewer than 16. `scratchOffset`: where wordsOf(kernel) words
  /// of scratch begin; a multiple of 16.
  MatrixTiles(mlir::OpBuilder &builder, KernelOp kernel, const KernelBuffers &buffers, int64_t rows, int64_t scratchOffset);

  /// Words of scratch.
  static int64_t wordsOf(KernelOp kernel);

  /// Before the first and after the last sum of a task.
  void configure();
  void release();
  /// The sums of the rows from `row` and the panels from `panel`, as many as the schedule says.
  void sum(mlir::Value row, mlir::Value panel);
  /// Gives `evaluator`, whose tile begins `inside` rows into the block, the results of all projections.
  void define(TileEvaluator &evaluator, const Tile &tile, mlir::Value inside);

private:
  /// Projections of one x.
  struct Group {
    llvm::SmallVector<LinearOp> linears;
    ProductForm form;
    int64_t place; ///< of their sums in scratch
  };
  void sumGroup(Group &group, mlir::Value row, mlir::Value panel);
  void multiply(Group &group, mlir::Value row, mlir::Value panel, mlir::Value step);

  mlir::Value constant(int64_t value);
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value times(mlir::Value a, int64_t b);
  mlir::Value addressOf(mlir::Value buffer, mlir::Value byte);
  /// Address of row `row` of what the group multiplies, and bytes from one row to the next.
  std::pair<mlir::Value, int64_t> inputOf(Group &group, mlir::Value row);
  void call(llvm::StringRef intrinsic, mlir::ValueRange arguments);
  mlir::Value tile(int64_t number);
  /// Loads a tile register. With `ahead`, the 16 rows so many bytes behind it are prefetched.
  void load(int64_t number, mlir::Value address, int64_t pitch, int64_t ahead);

  mlir::OpBuilder &builder;
  mlir::Location loc;
  KernelOp kernel;
  const KernelBuffers &buffers;
  int64_t rows, scratch, rowTiles, panels;
  llvm::SmallVector<Group> groups;
};

} // namespace sm1

#endif // SM1C_LOWERING_MATRIXTILES_H
