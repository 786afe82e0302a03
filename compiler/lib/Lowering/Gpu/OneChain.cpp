//===- OneChain.cpp - every chunk leaves the next one its state ---------------------------------------------------===//
//
// A segment has one word a channel: the number of the chunk that may take it, and the state before that. The chunk that took it
// writes the next one over it, the last one zero.

#include "StateChain.h"

using namespace mlir;
using namespace sm1;

namespace {
class OneChain : public StateChain {
public:
  OneChain(BlockKernel &block, const ChunkOfChannel &chunk) : StateChain(block, chunk, /*awaited=*/{0}) {}

  Value exchange(Value product, Value sum) override;

private:
  Value ownRow() override { return firstRow(); }
  SmallVector<Value> read() override;
  Value isMissing(size_t, Value word) override;
  /// Of the word that the chunk takes, or one so many behind it.
  Value tag(int64_t behind);
  Value isBehindOther() { return block.less(block.constant(0), chunk.number); }
};
} // namespace

Value OneChain::tag(int64_t behind) {
  Value number = block.add(chunk.number, block.constant(behind));
  return arith::IndexCastUIOp::create(builder, loc, builder.getI32Type(), number);
}

SmallVector<Value> OneChain::read() {
  return {choose(
      isBehindOther(), [&] { return load(0); }, [&] { return wordOf(initial(), tag(0)); })};
}

Value OneChain::isMissing(size_t, Value word) {
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ne, lowHalf(word), tag(0));
}

Value OneChain::exchange(Value product, Value sum) {
  Value state = numberIn(wait().front()), next = block.fma(product, state, sum);
  Value hasNext = hasChunkBehind(1);
  Value word = arith::SelectOp::create(builder, loc, hasNext, wordOf(next, tag(1)), integer(0, 64));
  leave(arith::OrIOp::create(builder, loc, hasNext, isBehindOther()), word, 0);
  Value isLast = arith::XOrIOp::create(builder, loc, hasNext, integer(1, 1));
  if (chunk.isWhole)
    isLast = arith::AndIOp::create(builder, loc, isLast, chunk.isWhole);
  block.when(isLast, [&] { storeLast(next); });
  return state;
}

std::unique_ptr<StateChain> sm1::makeOneChain(BlockKernel &block, const ChunkOfChannel &chunk) {
  return std::make_unique<OneChain>(block, chunk);
}
