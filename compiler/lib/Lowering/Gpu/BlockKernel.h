//===- BlockKernel.h - one kernel as the work of a block of threads ----------------------------------------------===//
//
// What the forms of blocks (BlockForm in Sm1Attrs.td) share: the function's arguments, shared memory, loops, and whole rows with
// their norms. Each form has a file of its own and is one of the build functions at the end.

#ifndef SM1C_LOWERING_GPU_BLOCKKERNEL_H
#define SM1C_LOWERING_GPU_BLOCKKERNEL_H

#include "../TileEvaluator.h"

namespace sm1 {

/// Arguments of every GPU function after its buffers: rowSegment, segmentStart, selected, shared memory, the number of rows (of a
/// scan: segments) of the launch, the number of segments. A form that cuts time has one more, the words that its blocks exchange;
/// wgmma_tiles a tensor map of what it multiplies, before it, where tiles are chunks, their table and number, and such words.
inline constexpr unsigned numBlockArguments = 6;
/// Position of shared memory among them.
inline constexpr unsigned sharedArgument = 3;

/// Channels that a thread loads and stores at once: 16 bytes of f32.
inline constexpr int64_t threadLanes = 4;
/// Length of the chains that a projection's sum is made of; part of the meaning of sm1.linear.
inline constexpr int64_t sumBlock = 64;

/// Panels that blocks share out among each other: of all projections where a block has one of them.
int64_t panelsOfBlocks(KernelOp kernel);

/// A kernel's operations around its one norm, in order: those that its x comes of, and those behind it.
struct AroundNorm {
  RmsNormOp norm;
  llvm::SmallVector<mlir::Operation *> before, after;
};

class BlockKernel {
public:
  /// `overlaps`: the kernel may start before those that it reads from have ended.
  BlockKernel(mlir::OpBuilder &builder, KernelOp kernel, bool overlaps);

  using Body = llvm::function_ref<void(mlir::Value)>;
  using Carrying = llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value, mlir::ValueRange)>;
  using RowBody = llvm::function_ref<void(TileEvaluator &, mlir::Value row)>;

  //===-- Numbers and control flow ----------------------------------------------------------------------------------------===//
  mlir::Value constant(int64_t value);
  mlir::Value number(double value); ///< f32
  mlir::Value zeros(int64_t lanes); ///< vector of f32
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value sub(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, int64_t b);
  mlir::Value div(mlir::Value a, int64_t b);
  mlir::Value rem(mlir::Value a, int64_t b);
  mlir::Value least(mlir::Value a, mlir::Value b);
  mlir::Value less(mlir::Value a, mlir::Value b);
  mlir::Value fma(mlir::Value a, mlir::Value b, mlir::Value c);
  void loop(mlir::Value begin, mlir::Value end, int64_t step, Body body);
  /// A loop that carries values; the body returns the next ones.
  llvm::SmallVector<mlir::Value> loopWith(mlir::Value begin, mlir::Value end, int64_t step, mlir::ValueRange initial,
                                          Carrying body);
  /// `body` for thread, thread + threads, ... below `end`: a share of `end` pieces of work.
  void share(mlir::Value end, Body body);
  void when(mlir::Value condition, llvm::function_ref<void()> body);
  void choose(mlir::Value condition, llvm::function_ref<void()> yes, llvm::function_ref<void()> no);
  void barrier();
  /// Before the first access to anything but parameters and row tables, which no kernel writes. Forms call it as late as they can:
  /// what stands before it is done while earlier kernels end.
  void waitForInputs();
  /// When the next kernel may start, whose blocks come when all of this one have said so or ended. waitForInputs() says it, but for
  /// AfterSums, which is left to tiles.
  enum class LaterKernel { AtStart, AfterInputs, AfterSums };
  void startLaterKernel(LaterKernel moment);

  //===-- Memory ------------------------------------------------------------------------------------------------------------===//
  /// An array in shared memory, on 128 bytes.
  mlir::Value shared(llvm::ArrayRef<int64_t> shape, mlir::Type element);
  /// Arrays taken from here on may lie where those taken since `mark` lay.
  int64_t sharedMark() const { return sharedUsed; }
  void releaseShared(int64_t mark) { sharedUsed = mark; }
  int64_t sharedBytes() const { return sharedPeak; }
  /// `lanes` elements; a vector lies on a multiple of its size.
  mlir::Value load(mlir::Value buffer, mlir::ValueRange indices, int64_t lanes);
  void store(mlir::Value vector, mlir::Value buffer, mlir::ValueRange indices);
  mlir::Value loadScalar(mlir::Value buffer, mlir::ValueRange indices);
  void storeScalar(mlir::Value value, mlir::Value buffer, mlir::ValueRange indices);
  mlir::Value widen(mlir::Value value); ///< to f32

  //===-- Work --------------------------------------------------------------------------------------------------------------===//
  /// Evaluates `ops` for `rows` (at most maxRows) rows of `width` channels from `first` on, shared by all threads, and calls `done`
  /// for each part with everything known. A norm among the ops takes two walks; `beforeNorm` is called in the first, with what its
  /// input needs known. Sums of squares are those of KernelToCpu: 16 chains, added pairwise in halves. Begins and ends without a
  /// barrier.
  void evaluateRows(llvm::ArrayRef<mlir::Operation *> ops, mlir::Value first, mlir::Value rows, int64_t maxRows, int64_t width,
                    RowBody beforeNorm, RowBody done);
  mlir::Value sumOfLanes(mlir::Value vector); ///< of its elements, in order
  mlir::Value sumOfWarp(mlir::Value number);  ///< of all lanes', which all get it
  /// The same of each of `numbers`, a power of two, in the same order: that of number `lane * count / 32` to each lane.
  mlir::Value sumsOfWarp(llvm::SmallVector<mlir::Value> numbers, mlir::Value lane);
  /// 1 / sqrt(mean of squares + eps) of a row of `width` channels with that `sum` of squares.
  mlir::Value inverseRms(mlir::Value sum, int64_t width, mlir::FloatAttr eps);
  /// Operations that are not computed on the way into a projection, in order.
  llvm::SmallVector<mlir::Operation *> mainOps();
  AroundNorm aroundNorm();
  /// The kernel's projections, those of one x together.
  llvm::SmallVector<llvm::SmallVector<LinearOp>> projections();
  /// Stores what the kernel yields, as far as it is known and a stream.
  void storeResults(TileEvaluator &evaluator);

  mlir::OpBuilder &builder;
  mlir::Location loc;
  KernelOp kernel;
  BlockScheduleAttr schedule;
  KernelBuffers buffers;
  mlir::Value thread, segments, sharedMemory;
  mlir::Value count; ///< rows of the launch's row space; while a chunk is the tile, the end of its segment
  mlir::Value map;   ///< of wgmma_tiles: the tensor map of what is multiplied
  mlir::Value words; ///< of forms that cut time: [part of time][channel] of i64, zero at the start and at the end
  mlir::Value chunks,
      chunkCount; ///< where tiles are chunks of segments: their table, as in PackageFormat.h; `words` has their parts

private:
  LaterKernel whenLaterKernelStarts() const;

  bool overlaps;
  mlir::Value sumOfSquares(mlir::Value values, mlir::Value row, mlir::Value lane, int64_t panels);
  /// 1 / sqrt(mean of squares + eps) of each row in `rows`, to `inverse`.
  void buildInverseRms(RmsNormOp norm, mlir::Value values, mlir::Value inverse, mlir::Value rows, int64_t maxRows);

  int64_t sharedUsed = 0, sharedPeak = 0;
};

/// The function's body for each form.
void buildRows(BlockKernel &block);
void buildWarpRows(BlockKernel &block);
void buildRowBands(BlockKernel &block);
void buildScan(BlockKernel &block);
void buildSelectiveScan(BlockKernel &block);
void buildScanChunks(BlockKernel &block);
void buildTiles(BlockKernel &block);
void buildStep(BlockKernel &block);
void buildTensorTiles(BlockKernel &block);
void buildTensorStep(BlockKernel &block);
void buildWgmmaTiles(BlockKernel &block);

} // namespace sm1

#endif // SM1C_LOWERING_GPU_BLOCKKERNEL_H
