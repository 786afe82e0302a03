//===- StateChain.cpp - words of chains of states: where they lie, what is in them, waiting for them --------------===//

#include "StateChain.h"

#include "../../Transforms/KernelMerge.h"
#include "GpuOps.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace sm1;

//===----------------------------------------------------------------------===//
// A word
//===----------------------------------------------------------------------===//

Value StateChain::wordOf(Value number, Value low) {
  auto wide = [&](Value half) { return arith::ExtUIOp::create(builder, loc, builder.getI64Type(), half).getResult(); };
  Value bits = wide(arith::BitcastOp::create(builder, loc, builder.getI32Type(), number));
  Value high = arith::ShLIOp::create(builder, loc, bits, integer(32, 64));
  return arith::OrIOp::create(builder, loc, high, wide(low));
}

Value StateChain::numberIn(Value word) {
  Value bits = lowHalf(arith::ShRUIOp::create(builder, loc, word, integer(32, 64)));
  return arith::BitcastOp::create(builder, loc, builder.getF32Type(), bits);
}

Value StateChain::lowHalf(Value word) { return arith::TruncIOp::create(builder, loc, builder.getI32Type(), word); }

Value StateChain::address(int64_t back) {
  int64_t stride = strideOf(widthOf(block.kernel));
  Value place = block.add(block.mul(ownRow(), stride), chunk.channel);
  Value bytes = block.sub(block.mul(place, 8), block.constant(back * stride * 8));
  return cuda::addressOf(builder, loc, block.words, bytes, cuda::globalMemory);
}

Value StateChain::load(int64_t back) { return cuda::loadSharedWord(builder, loc, address(back)); }

void StateChain::leave(Value condition, Value word, int64_t back) {
  block.when(condition, [&] { cuda::storeSharedWord(builder, loc, word, address(back)); });
}

//===----------------------------------------------------------------------===//
// Waiting
//===----------------------------------------------------------------------===//

Value StateChain::choose(Value condition, llvm::function_ref<Value()> yes, llvm::function_ref<Value()> no) {
  auto give = [&](llvm::function_ref<Value()> word) {
    return [&, word](OpBuilder &, Location) { scf::YieldOp::create(builder, loc, word()); };
  };
  return scf::IfOp::create(builder, loc, condition, give(yes), give(no)).getResult(0);
}

void StateChain::ask(Value condition) {
  auto words = [&](OpBuilder &, Location) { scf::YieldOp::create(builder, loc, read()); };
  auto nothing = [&](OpBuilder &, Location) {
    scf::YieldOp::create(builder, loc, SmallVector<Value>(awaited.size(), integer(0, 64)));
  };
  asked = llvm::to_vector_of<Value>(scf::IfOp::create(builder, loc, condition, words, nothing).getResults());
}

SmallVector<Value> StateChain::wait() {
  SmallVector<Type> types(awaited.size(), builder.getI64Type());
  SmallVector<Location> locations(awaited.size(), loc);
  auto loop = scf::WhileOp::create(builder, loc, types, asked);
  OpBuilder::InsertionGuard guard(builder);
  auto missing = [&](ValueRange words) {
    SmallVector<Value> tests;
    for (auto [index, word] : llvm::enumerate(words))
      tests.push_back(isMissing(index, word));
    return tests;
  };
  Block *test = builder.createBlock(&loop.getBefore(), {}, types, locations);
  SmallVector<Value> tests = missing(test->getArguments());
  Value any = tests.front();
  for (Value other : llvm::drop_begin(tests))
    any = arith::OrIOp::create(builder, loc, any, other);
  scf::ConditionOp::create(builder, loc, any, test->getArguments());
  Block *again = builder.createBlock(&loop.getAfter(), {}, types, locations);
  SmallVector<Value> words;
  for (auto [index, isNeeded] : llvm::enumerate(missing(again->getArguments()))) {
    Value known = again->getArgument(index);
    words.push_back(choose(
        isNeeded, [&] { return load(awaited[index]); }, [&] { return known; }));
  }
  scf::YieldOp::create(builder, loc, words);
  return llvm::to_vector_of<Value>(loop.getResults());
}

Value StateChain::initial() { return initialState(block, chunk.scan, chunk.segment, chunk.channel); }

void StateChain::storeLast(Value state) { storeLastState(block, chunk.scan, state, chunk.segment, chunk.channel); }

Value StateChain::hasChunkBehind(int64_t chunks) {
  Value number = block.add(chunk.number, block.constant(chunks));
  return block.less(block.add(chunk.start, block.mul(number, chunk.chunkRows)), chunk.end);
}
