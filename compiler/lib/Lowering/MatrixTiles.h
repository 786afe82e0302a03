//===- MatrixTiles.h - sums of projections in tile registers (AMX) -----------------------------------------------===//
//
// A tile register holds 16 rows of 64 bytes. Sums are made for a block of rows by panels and left in scratch, from where the rest
// of the kernel reads them row by row while tile registers are at the next block, whose sums are left there when that is done.
//
// Where the weights of a block would not stay in the first cache, or the sums of all projections have no room at once, tile
// registers take one projection after another, and of each so much of k that they do stay, for all rows of a band: these are
// passes. Sums wait in scratch between them, which changes no bit.
//
// bf16: each step adds 32 products a sum, even and odd k apart, which is the order sm1.linear states; denormal operands and sums
// count as zero. int8: integers, exact in any order.

#ifndef SM1C_LOWERING_MATRIXTILES_H
#define SM1C_LOWERING_MATRIXTILES_H

#include "TileEvaluator.h"

namespace sm1 {

/// Bytes of a row of a tile register, and rows of one.
inline constexpr int64_t tileRowBytes = 64, tileRows = 16;
/// Of eight tile registers six hold sums at most, one rows, one weights, so that some are loaded again; up to four sums leave room
/// for all operands of a step.
inline constexpr int64_t sumTiles = 6, rowTile = 6, weightTile = 7, allTiles = 8, tileWords = 256;
/// Weights that stay in a first cache of 48 KiB, and leave room for sums there.
inline constexpr int64_t mostWeightBytes = 44 << 10;

/// On operations of a step of k: its number among those that are spread over what else their block does.
inline constexpr llvm::StringLiteral stepAttr = "step_of_sum";

/// The form of a projection of `kernel`, by its matrix's layout, and k of one step: 64 bytes of a row.
ProductForm formOf(LinearOp linear, KernelOp kernel);
inline int64_t stepWidth(const ProductForm &form) { return form.int8 ? tileRowBytes : tileRowBytes / 2; }

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
  /// Rows of the block before that follow each piece of a sum.
  int64_t rowsOfPiece() const;
  int64_t pieces() const { return rows / rowsOfPiece(); }
  /// Whether pieces have whole steps, which are then marked for SpreadSteps.cpp.
  bool marksSteps() const { return rows > tileRows && stepsOf(groups.front()) >= pieces(); }
  /// The sums of a block: begin, every piece, end. Until then those of the block before can be read.
  void begin(const Block &block);
  void addPiece(const Block &block, mlir::Value piece);
  void end(const Block &block);
  /// Gives `evaluator`, whose tile begins `inside` rows into the block, the results of all projections.
  void define(TileEvaluator &evaluator, const Tile &tile, mlir::Value inside);

  /// Whether int4 in groups are multiplied, each by itself (MatrixGroups.cpp), in blocks of no other number of rows than the
  /// schedule's.
  static bool takesGroups(KernelOp kernel);
  /// How many passes the schedule's blocks take; 0: they are summed as above.
  static int64_t passesOf(KernelOp kernel);
  /// Whether blocks have half lines of bf16, which wait for those of the next panel.
  static bool holdsHalves(KernelOp kernel);
  /// Rows of a band, of which a pass takes all.
  static int64_t bandRowsOf(KernelOp kernel);
  /// A block in a pass.
  struct Unit {
    mlir::Value panel;      ///< the first
    mlir::Value pass, turn; ///< numbers of the pass, and of the block in its band
    mlir::Value nextPanel;  ///< where the first pass of the next band or panels begins
    mlir::Value half;       ///< of scratch for sums, 0 or 1
  };
  /// Copies `turns` blocks of rows from `row` on into the order in which tile registers take them.
  void packBand(mlir::Value row, mlir::Value turns);
  /// Where the operands of a unit's pass are.
  struct PassPlace {
    mlir::Value weights, fetched; ///< addresses of the first step of the matrix
    mlir::Value first, end;       ///< steps
  };
  PassPlace placeOf(const Unit &unit);
  /// Steps that each pass has at least.
  static int64_t stepsOfPass(KernelOp kernel);
  /// The sums of a unit: begin, every step, end.
  void beginUnit(const Unit &unit, const PassPlace &place);
  void addSteps(const Unit &unit, const PassPlace &place, mlir::Value first, mlir::Value end);
  /// So many steps from `first` on, marked for SpreadSteps.cpp.
  void addMarkedSteps(const Unit &unit, const PassPlace &place, mlir::Value first, int64_t count);
  void endUnit(const Unit &unit);
  /// As `define`, of all passes; `inside` counts from the beginning of the band.
  void defineOfBand(TileEvaluator &evaluator, const Tile &tile, mlir::Value inside, mlir::Value half);

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
  int64_t panelBytesOf(const Group &group) const { return tileRows * tileRowBytes * stepsOf(group); }
  mlir::Value weightsAt(Group &group, const Block &block, mlir::Value step, int64_t column);
  /// The register of rows, where each operand of a step has one.
  int64_t placeOfRows(const Group &group, int64_t r) const { return weightTile - columnsOf(group) - r; }
  void loadRows(Group &group, const Block &block, mlir::Value step, int64_t r);
  void addProduct(const Group &group, int64_t column, int64_t r, int64_t rowPlace, int64_t weightPlace);
  void begin(Group &group, const Block &block);
  void multiply(Group &group, const Block &block, mlir::Value firstStep, mlir::Value lastStep);
  /// One step of k; product number `part` of one; one whose operands take turns.
  void multiply(Group &group, const Block &block, mlir::Value step);
  void multiplyHeld(Group &group, const Block &block, mlir::Value step, int64_t part);
  void multiplyInTurn(Group &group, const Block &block, mlir::Value step);
  void store(const Group &group);
  /// MatrixPasses.cpp. Of a pass: the address of its matrix, and its steps of k.
  struct Pass {
    mlir::Value matrix, first, end;
  };
  Pass passOf(mlir::Value number);
  void loadRows(const Unit &unit, mlir::Value step, int64_t r);
  void loadWeights(const PassPlace &place, mlir::Value step, int64_t column);
  /// Product number `part` of a step.
  void addPassPart(const Unit &unit, const PassPlace &place, mlir::Value step, int64_t part);
  /// Marks what `build` makes as step `number` of those that are spread over their block.
  void mark(int64_t number, llvm::function_ref<void()> build);
  /// Where sums of a row of the band lie, for the column-th panel of all projections; words.
  mlir::Value placeOfSums(mlir::Value half, mlir::Value column, mlir::Value row);
  mlir::Value placeOfPacked(mlir::Value turn, mlir::Value step, int64_t rowTile);
  void moveSums(const Unit &unit, bool isStore);
  static int64_t wordsOfPasses(KernelOp kernel);
  /// Asks for lines of the weights one group of panels behind `address`, of which a register has `tileRows`.
  void fetchNext(const Block &block, mlir::Value address, int64_t distance);
  void fetchLines(mlir::Value first);
  /// MatrixGroups.cpp.
  static int64_t wordsOfGroups(KernelOp kernel);
  void shapeOfGroups(uint8_t *config) const;
  mlir::Value placeOfUnpacked(mlir::Value linear, mlir::Value group, int64_t count);
  mlir::Value placeOfIntegers(mlir::Value turn, int64_t number);
  mlir::Value totalAt(const Group &of, int64_t linear, int64_t panel, int64_t row);
  void unpackGroup(LinearOp linear, const Block &block, mlir::Value group, mlir::Value place);
  void multiplyGroup(Group &of, const Block &block, mlir::Value group, mlir::Value unpacked, int64_t number);
  void storeGroup(mlir::Value turn, int64_t number);
  void addGroup(LinearOp linear, mlir::Value panel, mlir::Value group, mlir::Value integers,
                llvm::MutableArrayRef<mlir::Value> totals);
  void sumGroups(Group &of, size_t linear, const Block &block);
  llvm::SmallVector<mlir::Value> sumPanel(Group &of, size_t linear, const Block &block, int64_t n);

  mlir::Value constant(int64_t value);
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value times(mlir::Value a, int64_t b);
  mlir::Value addressOf(mlir::Value buffer, mlir::Value byte);
  /// Rows of what the group multiplies, from some row on: the address, and bytes from one row, register of rows, step to the next.
  struct Rows {
    mlir::Value address;
    int64_t pitch, tile, step;
  };
  Rows inputOf(Group &group, mlir::Value row);
  mlir::Value addressIn(const Rows &input, int64_t rowTile, mlir::Value step) {
    return add(add(input.address, constant(rowTile * input.tile)), times(step, input.step));
  }
  mlir::Value toPointer(mlir::Value address);
  mlir::Value stride(int64_t bytes);
  void call(llvm::StringRef intrinsic, mlir::ValueRange arguments);
  mlir::Value tile(int64_t number);
  /// `passes`: what is loaded need not stay in the first cache.
  void load(int64_t number, mlir::Value address, int64_t pitch, bool passes = false);

  mlir::OpBuilder &builder;
  mlir::Location loc;
  KernelOp kernel;
  const KernelBuffers &buffers;
  int64_t rows, scratch, rowTiles, panels;
  int64_t groupScratch; ///< where what int4 in groups take begins in scratch
  int64_t passSums;     ///< where the sums of passes begin in scratch
  int64_t fetchedLines; ///< of each weight tile, by each block
  llvm::SmallVector<Group> groups;
};

} // namespace sm1

#endif // SM1C_LOWERING_MATRIXTILES_H
