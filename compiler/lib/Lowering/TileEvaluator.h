//===- TileEvaluator.h - the operations of a kernel on a tile of rows and panels ---------------------------------===//
//
// A tile is a few rows times a few panels. Every value of the kernel is, for a tile, a handful of vectors; this class builds the
// code that computes them. Loops around tiles are KernelToCpu's, where a panel is 16 channels and a vector holds one, and
// KernelToGpu's, where a vector is what one thread has of a row.

#ifndef SM1C_LOWERING_TILEEVALUATOR_H
#define SM1C_LOWERING_TILEEVALUATOR_H

#include "ProductForm.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/MapVector.h"

#include <optional>

namespace sm1 {

inline constexpr int64_t panelWidth = 16;

/// The type of the buffer behind a kernel's operand or result; `layout` is that of a parameter.
mlir::MemRefType bufferType(mlir::Type type, llvm::StringRef layout);

/// The operations of the kernel behind `value` that differ from row to row, in order.
llvm::SmallVector<mlir::Operation *> sliceOf(KernelOp kernel, mlir::Value value);
/// The norm among `ops`; null where there is none.
RmsNormOp normIn(llvm::ArrayRef<mlir::Operation *> ops);

/// Why the body's operations cannot be lowered; empty if they can.
std::string whyNotBody(KernelOp kernel);

/// Channels rounded up to whole panels.
inline int64_t strideOf(int64_t channels) { return (channels + panelWidth - 1) / panelWidth * panelWidth; }

/// Tiles of 16 k in packed fragments: whole steps of 32.
inline int64_t fragmentTiles(int64_t depth) { return (depth + 31) / 32 * 2; }

/// Words of 4 bytes of a task's scratch: `stride` of them for each row of the task, or one array.
struct ScratchRegion {
  int64_t offset = 0, stride = 0;
};

/// What a projection multiplies, made on the way into it: words of f32, of two bf16, of four int8, or of two integers of 16 bits,
/// of every four k the first and third and then the others. Behind integers stand, at word `tail`, the row's scale and the sum of
/// them, then -8 times that of each 32 if a matrix in groups is multiplied.
struct PrologueRegion : ScratchRegion {
  enum class Words { F32, Bf16, Int8, Int16 } words = Words::F32;
  int64_t tail = 0;
  bool isQuantised() const { return words == Words::Int8 || words == Words::Int16; }
  /// Integers of a row.
  int64_t integers() const { return tail * (words == Words::Int8 ? 4 : 2); }
  bool sumsGroups = false;
  /// Whether 16 rows lie together, 16 words of each after the other: in the order in which tile registers take them.
  bool tiled = false;
};
inline constexpr int64_t tiledRows = 16;

/// What the function of a kernel can reach.
struct KernelBuffers {
  llvm::DenseMap<mlir::Value, mlir::Value> inputs; ///< block argument of the kernel -> buffer
  llvm::SmallVector<mlir::Value> results;          ///< buffer of each result
  mlir::Value rowSegment, segmentStart, selected, scratch, rowBegin, rowEnd, panelBegin, panelEnd;
  /// Rows computed on the way into a projection: one array of `stride` per row of the task.
  llvm::DenseMap<mlir::Value, PrologueRegion> prologues;
  /// What a scan carries from tile to tile: `stride` floats per panel of the task.
  llvm::DenseMap<mlir::Operation *, ScratchRegion> carries;
  /// What a selective scan's states decay at, where it is computed: as carried, filled before the first tile.
  llvm::MapVector<mlir::Operation *, ScratchRegion> rates;
  /// A step: row r is all of segment r, so that a scan starts from its state and a convolution reads only taps.
  bool oneRowPerSegment = false;
  /// Where dot products are those of integers without VNNI: lanes of a vector, else 0.
  int64_t maddLanes = 0;
  /// Layout of each matrix that a projection reads.
  llvm::DenseMap<mlir::Value, llvm::StringRef> layouts;
  /// Of matrices that are unpacked for many rows: where, one array of `stride` per panel, the first of them `widenedPanel`. It is
  /// null while code for few rows is built, which unpacks as it goes.
  llvm::DenseMap<mlir::Value, ScratchRegion> widened;
  mlir::Value widenedPanel;

  bool isWidened(mlir::Value matrix) const { return widenedPanel && widened.contains(matrix); }
  ProductForm formOf(LinearOp linear, Products products) const {
    return ProductForm::of(linear, layouts.lookup(linear.getWeight()), products, maddLanes);
  }
};

/// Half lines that wait: the word for the tile's first row, words from one result to the next, and whether this panel completes
/// them.
struct HeldHalves {
  mlir::Value place, completes;
  int64_t stride;
};
/// Words of half a line, 16 channels of bf16.
inline constexpr int64_t halfLineWords = 8;

struct Tile {
  mlir::Value row, panel; ///< index of the first row and the first panel
  int64_t rows = 1, panels = 1;
  int64_t lanes = panelWidth; ///< channels of a panel; below 16 vectors lie on multiples of their size
  /// Where given: rows from there on are computed as the row before it and not stored.
  mlir::Value rowEnd = {};
  /// Where given: the row and panel of the tile whose lines of streams are fetched into the second cache in the meantime. They may
  /// be behind the last, since nobody reads such an address.
  mlir::Value fetchedRow = {}, fetchedPanel = {};
  /// From one panel of the tile to the next.
  int64_t panelStep = 1;
  /// All rows are of the first one's segment, and so are those that a convolution looks back on, which are in this run.
  bool oneSegment = false;
  /// With that: the first row begins the segment, and what a convolution looks back on before it are the taps it came with.
  bool beginsSegment = false;
  /// Whether what it stores goes around the caches, where it fills whole lines.
  bool around = false;
  /// Where given, of tiles of one panel: scratch for half lines of panels with even numbers, until those of the next complete them.
  std::optional<HeldHalves> held = {};
};

class TileEvaluator {
public:
  TileEvaluator(mlir::OpBuilder &builder, KernelOp kernel, const KernelBuffers &buffers, Tile tile);

  /// Computes `ops`, in order. What is the same for every row is computed when it is first needed and need not be among them.
  void evaluate(llvm::ArrayRef<mlir::Operation *> ops);

  /// The vector of `value` for row `m` and panel `n` of the tile.
  mlir::Value at(mlir::Value value, int64_t m, int64_t n);

  /// Gives `value`, one vector per row and panel, rows outermost.
  void define(mlir::Value value, llvm::SmallVector<mlir::Value> vectors) { values[value] = std::move(vectors); }
  bool isDefined(mlir::Value value) const { return values.contains(value); }

  int64_t panels() const { return tile.panels; }

  /// First channel of the tile.
  mlir::Value firstColumn() { return column(0); }

  /// Stores `value` of the whole tile to a [rows, stride] buffer.
  void store(mlir::Value value, mlir::Value buffer);

  mlir::Value constant(int64_t value);
  mlir::Value splat(float value, mlir::Type element = {});
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value row(int64_t m);
  mlir::Value column(int64_t n);
  mlir::Value columnOf(mlir::Value panel, int64_t n);
  mlir::VectorType vectorOf(mlir::Type element) { return mlir::VectorType::get({tile.lanes}, element); }
  mlir::Value loadVector(mlir::Value buffer, mlir::ValueRange indices);
  mlir::Value widen(mlir::Value value);

  /// The vector of `param`, [channels, states] and made of parameters alone, for one state and panel `n`; SelectiveScan.cpp.
  mlir::Value atState(mlir::Value param, mlir::Value state, int64_t n);
  mlir::Value placeOfState(ScratchRegion region, mlir::Value state, int64_t n);

private:
  /// Row of the tile with what the recurrences ask about it.
  struct RowPosition {
    mlir::Value row, segment, start, isStart, isLast;
  };

  void evaluateOne(mlir::Operation *op);
  void evaluateElementwise(mlir::Operation *op);
  /// `op` on vectors in place of tensors.
  mlir::Operation *copyOnVectors(mlir::Operation *op, mlir::ValueRange operands);
  void evaluateBroadcast(BroadcastOp op);
  /// All projections of what `first` multiplies; TileProjections.cpp.
  void evaluateLinears(LinearOp first, llvm::ArrayRef<mlir::Operation *> ops);
  void evaluateConv(Conv1dOp op);
  void evaluateScan(ScanOp op);
  void evaluateScanStep(ScanOp op);
  /// Where vector `part` of what the scan carries for panel `n` lies in scratch.
  mlir::Value placeOfCarry(ScanOp op, int64_t n, int64_t part);
  /// The state that the sequence of `segment` came with; zero where the scan has none.
  mlir::Value initialState(ScanOp op, mlir::Value segment, int64_t n);
  /// Vector `part` of what is carried into a segment's first row, whose state is `h0`.
  mlir::Value carryAtStart(ScanOp op, int64_t part, mlir::Value h0);
  /// What is carried into the tile's first row, which is at `position`: all panels, all parts of each.
  llvm::SmallVector<mlir::Value> carriedInto(ScanOp op, const RowPosition &position);
  /// SelectiveScan.cpp.
  void evaluateSelectiveScan(SelectiveScanOp op);
  llvm::SmallVector<mlir::Value> scanState(SelectiveScanOp op, llvm::ArrayRef<RowPosition> positions, mlir::Value state,
                                           mlir::ValueRange sums);
  mlir::Value stateBefore(SelectiveScanOp op, const RowPosition &position, mlir::Value state, int64_t n, mlir::Value left);
  mlir::Value weightOfState(mlir::Value weights, int64_t m, mlir::Value state);
  void evaluateSplit(SplitOp op);
  /// Rows of a buffer named by an index array: an embedding's table, or selected rows.
  void evaluateGather(mlir::Operation *op, mlir::Value source, mlir::Value indices);
  /// Loads what a block argument holds: a stream tile, or one vector per panel of a parameter.
  void loadArgument(mlir::Value argument);

  bool storeAround(mlir::Value value, mlir::Value buffer);
  /// Of a tile whose half lines wait for each other.
  void storeHalves(mlir::Value value, mlir::Value buffer);
  llvm::MaybeAlign alignmentOf(mlir::Type element);
  /// The vector of a [rows, stride] buffer at `column` in row `m` of the tile.
  mlir::Value loadOfRow(mlir::Value buffer, int64_t m, int64_t n);
  void fetchAhead(mlir::Value buffer, int64_t m, int64_t n, bool isWrite);
  mlir::Value loadIndex(mlir::Value buffer, mlir::Value position);
  RowPosition positionOf(int64_t m);
  llvm::SmallVector<mlir::Value> rowsBefore(int64_t m, const RowPosition &position, mlir::Value x, mlir::Value taps, int64_t taken);
  /// Buffers of the kernel's results that yield `value`.
  llvm::SmallVector<mlir::Value> resultBuffers(mlir::Value value);
  /// Runs `body` where `condition` holds.
  void when(mlir::Value condition, llvm::function_ref<void()> body);

  mlir::OpBuilder &builder;
  mlir::Location loc;
  KernelOp kernel;
  const KernelBuffers &buffers;
  Tile tile;
  llvm::DenseMap<mlir::Value, llvm::SmallVector<mlir::Value>> values;
};

} // namespace sm1

#endif // SM1C_LOWERING_TILEEVALUATOR_H
