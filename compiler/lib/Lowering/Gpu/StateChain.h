//===- StateChain.h - a scan's state on its way from chunk to chunk -----------------------------------------------===//
//
// Every chunk of a segment has a block, which knows the state behind the chunk as product * state before it + sum. What blocks tell
// each other goes through global memory, in words of 64 bits a channel: an f32 above what says what it is. A word is seen whole or
// not at all, so there are no flags and no fences; it is zero between launches, so there is nothing to clear. Blocks of a grid
// start in the order of their numbers, with time outermost: those waited for have always started. A word takes half a microsecond
// from one block to another, through the L2 cache.

#ifndef SM1C_LOWERING_GPU_STATECHAIN_H
#define SM1C_LOWERING_GPU_STATECHAIN_H

#include "ScanSlices.h"

#include <memory>

namespace sm1 {

/// A chunk of a segment, and the channel of it that a thread has.
struct ChunkOfChannel {
  ScanOp scan;
  mlir::Value segment, start, end; ///< the segment and its rows
  int64_t chunkRows;
  mlir::Value number; ///< of the chunk in the segment
  mlir::Value channel;
  mlir::Value isWhole = {}; ///< where given, and not so, the state behind the segment is its caller's affair
};

/// The state's way into a chunk and out of it.
class StateChain {
public:
  virtual ~StateChain() = default;

  /// Where `condition` holds, reads what `exchange` waits for: read early, it is most often there then.
  void ask(mlir::Value condition);
  /// Behind `ask`, where that holds: the state before the chunk, as soon as it is there. What other chunks wait for is on its way
  /// then, and the state behind a segment's last chunk is stored.
  virtual mlir::Value exchange(mlir::Value product, mlir::Value sum) = 0;

protected:
  /// The chunk waits for words that lie so many rows of words before its own.
  StateChain(BlockKernel &block, const ChunkOfChannel &chunk, llvm::ArrayRef<int64_t> awaited)
      : block(block), builder(block.builder), loc(block.loc), chunk(chunk), awaited(awaited) {}

  /// The row of words that has the chunk's own.
  virtual mlir::Value ownRow() = 0;
  /// The first one of the segment, which may take one less than it has chunks: segments of more than one begin in different ones of
  /// the chunks that all rows make together.
  mlir::Value firstRow() { return block.div(chunk.start, chunk.chunkRows); }
  /// The words awaited, as they are now; those that no chunk leaves, as they would be.
  virtual llvm::SmallVector<mlir::Value> read() = 0;
  /// Whether `word` is not yet the one that the chunk waits for.
  virtual mlir::Value isMissing(size_t index, mlir::Value word) = 0;
  /// The words awaited, when they are there.
  llvm::SmallVector<mlir::Value> wait();

  /// The word `back` rows before the chunk's own, as it is now; stores one there.
  mlir::Value load(int64_t back);
  void leave(mlir::Value condition, mlir::Value word, int64_t back);
  mlir::Value choose(mlir::Value condition, llvm::function_ref<mlir::Value()> yes, llvm::function_ref<mlir::Value()> no);

  mlir::Value integer(int64_t value, unsigned bits) { return mlir::arith::ConstantIntOp::create(builder, loc, value, bits); }
  /// f32 `number` above i32 `low`.
  mlir::Value wordOf(mlir::Value number, mlir::Value low);
  mlir::Value numberIn(mlir::Value word);
  mlir::Value lowHalf(mlir::Value word);

  /// What the segment begins with.
  mlir::Value initial();
  void storeLast(mlir::Value state);
  /// Whether the segment has a chunk so many behind this one.
  mlir::Value hasChunkBehind(int64_t chunks);

  BlockKernel &block;
  mlir::OpBuilder &builder;
  mlir::Location loc;
  ChunkOfChannel chunk;

private:
  mlir::Value address(int64_t back);

  llvm::SmallVector<int64_t> awaited;
  llvm::SmallVector<mlir::Value> asked; ///< words as they were early
};

/// Every chunk leaves the next one its state.
std::unique_ptr<StateChain> makeOneChain(BlockKernel &block, const ChunkOfChannel &chunk);
/// A state goes to every second chunk; the one between has left its product and sum as soon as it had them. The states are those of
/// one chain, bit by bit, after half as many ways of a word.
std::unique_ptr<StateChain> makeTwoChains(BlockKernel &block, const ChunkOfChannel &chunk);

} // namespace sm1

#endif // SM1C_LOWERING_GPU_STATECHAIN_H
