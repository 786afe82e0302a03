//===- TwoChains.cpp - states of every second chunk, products and sums of those between ---------------------------===//
//
// A chunk leaves its product and sum for the next, as soon as it has them, and the state behind it for the one after that, which
// puts both together. Each chunk but a segment's last has a word a channel:
//
//   from chunk c to c + 1          f32 sum, and the inverted bits of the product; of the first two chunks f32 state, and a tag
//   in its place, c + 1 to c + 3   f32 state, and a tag; zero in the end
//
// A product's inverted bits are never zero or a tag, which would be NaNs that no multiplication makes. Each word has one reader,
// who takes it before something else is written there.

#include "StateChain.h"

using namespace mlir;
using namespace sm1;

namespace {
class TwoChains : public StateChain {
public:
  TwoChains(BlockKernel &block, const ChunkOfChannel &chunk) : StateChain(block, chunk, /*awaited=*/{1, 3}) {}

  Value exchange(Value product, Value sum) override;

private:
  /// What a word's low half says where it is no product: the state is that before the next chunk, or before the one behind that.
  enum class Tag { AfterNext = 1, Next };

  Value ownRow() override { return block.add(firstRow(), chunk.number); }
  SmallVector<Value> read() override;
  Value isMissing(size_t index, Value word) override;
  /// The state before the chunk, of the words awaited: the product and sum of the chunk before, and the state before that one. The
  /// first three chunks have their state in the first word.
  Value stateBefore(ArrayRef<Value> words);

  Value tag(Tag tag) { return integer(int64_t(tag), 32); }
  Value inverted(Value bits) { return arith::XOrIOp::create(builder, loc, bits, integer(-1, 32)); }
  Value both(Value a, Value b) { return arith::AndIOp::create(builder, loc, a, b); }
  Value opposite(Value a) { return arith::XOrIOp::create(builder, loc, a, integer(1, 1)); }
  /// Whether the chunk has that number, or more.
  Value hasNumber(int64_t least) { return block.less(block.constant(least - 1), chunk.number); }
};
} // namespace

SmallVector<Value> TwoChains::read() {
  Value before = choose(
      hasNumber(1), [&] { return load(1); }, [&] { return wordOf(initial(), tag(Tag::Next)); });
  Value earlier = choose(
      hasNumber(3), [&] { return load(3); }, [&] { return wordOf(block.number(0), tag(Tag::AfterNext)); });
  return {before, earlier};
}

Value TwoChains::isMissing(size_t index, Value word) {
  if (index == 0)
    return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, word, integer(0, 64));
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ne, lowHalf(word), tag(Tag::AfterNext));
}

Value TwoChains::stateBefore(ArrayRef<Value> words) {
  Value sum = numberIn(words[0]);
  Value product = arith::BitcastOp::create(builder, loc, builder.getF32Type(), inverted(lowHalf(words[0])));
  Value state = block.fma(product, numberIn(words[1]), sum);
  return arith::SelectOp::create(builder, loc, hasNumber(3), state, sum);
}

Value TwoChains::exchange(Value product, Value sum) {
  Value hasNext = hasChunkBehind(1), zero = integer(0, 64);
  Value bits = arith::BitcastOp::create(builder, loc, builder.getI32Type(), product);
  leave(both(hasNumber(2), hasNext), wordOf(sum, inverted(bits)), 0);
  Value state = stateBefore(wait()), next = block.fma(product, state, sum);
  // The words awaited have been taken: the one is the state's place for the chunk after the next, the other becomes zero.
  Value left = arith::SelectOp::create(builder, loc, hasChunkBehind(2), wordOf(next, tag(Tag::AfterNext)), zero);
  leave(hasNumber(1), left, 1);
  leave(both(opposite(hasNumber(2)), hasNext), wordOf(next, tag(Tag::Next)), 0);
  leave(hasNumber(3), zero, 3);
  block.when(opposite(hasNext), [&] { storeLast(next); });
  return state;
}

std::unique_ptr<StateChain> sm1::makeTwoChains(BlockKernel &block, const ChunkOfChannel &chunk) {
  return std::make_unique<TwoChains>(block, chunk);
}
