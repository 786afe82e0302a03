//===- MatrixTiles.h - sums of projections in tile registers (AMX) -----------------------------------------------===//
//
// A tile register holds 16 rows of 64 bytes. Sums are made for a block of rows by panels and left in scratch, from where the rest
// of the kernel reads them row by row while tile registers are at the next block, whose sums are left there when that is done.
// bf16: each step adds 32 products a sum, even and odd k apart, which is the order sm1.linear states; denormal operands and sums
// count as zero. int8: integers, exact in any order.

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
  /// Rows and panels from these on, as many as the schedule says.
  struct Block {
    mlir::Value row, panel;
    mlir::Value turn; ///< number among the blocks that multiply these panels, which fetch the next ones together
  };
  /// The sums of a block: begin, every piece from 0 to `pieces`, end. Until then those of the block before can be read.
  void begin();
  void addPiece(const Block &block, mlir::Value piece, int64_t pieces);
  void end(const Block &block);
  /// Gives `evaluator`, whose tile begins `inside` rows into the block, the results of all projections.
  void define(TileEvaluator &evaluator, const Tile &tile, mlir::Value inside);

private:
  /// Projections of one x.
  struct Group {
    llvm::SmallVector<LinearOp> linears;
    ProductForm form;
    int64_t place; ///< of their sums in scratch
  };
  int64_t stepsOf(const Group &group) const;
  int64_t columnsOf(const Group &group) const { return int64_t(group.linears.size()) * panels; }
  int64_t tilesOf(const Group &group) const { return columnsOf(group) * rowTiles; }
  /// Whether rows and weights of a step have a register each. A block of fewer than 16 rows has two shapes of registers.
  bool holdsOperands(const Group &group) const;
  /// Whether a block's weights stay in the first cache until the next block multiplies them, if rows do not.
  bool keepsWeights(const Group &group) const;
  void clear(const Group &group);
  void multiply(Group &group, const Block &block, mlir::Value firstStep, mlir::Value lastStep);
  void multiply(Group &group, const Block &block, mlir::Value step);
  void store(const Group &group);
  /// Asks for lines of the weights one group of panels behind `address`, of which a register has `tileRows`.
  void fetchNext(const Block &block, mlir::Value address, int64_t distance);

  mlir::Value constant(int64_t value);
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value times(mlir::Value a, int64_t b);
  mlir::Value addressOf(mlir::Value buffer, mlir::Value byte);
  /// Address of row `row` of what the group multiplies, and bytes from one row to the next.
  std::pair<mlir::Value, int64_t> inputOf(Group &group, mlir::Value row);
  void call(llvm::StringRef intrinsic, mlir::ValueRange arguments);
  mlir::Value tile(int64_t number);
  /// `passes`: what is loaded need not stay in the first cache.
  void load(int64_t number, mlir::Value address, int64_t pitch, bool passes = false);

  mlir::OpBuilder &builder;
  mlir::Location loc;
  KernelOp kernel;
  const KernelBuffers &buffers;
  int64_t rows, scratch, rowTiles, panels;
  int64_t fetchedLines; ///< of each weight tile, by each block
  llvm::SmallVector<Group> groups;
};

} // namespace sm1

#endif // SM1C_LOWERING_MATRIXTILES_H
