//===- BlockKernel.cpp - what all forms of blocks share ----------------------------------------------------------===//

#include "BlockKernel.h"

#include "../../Transforms/BlockForms.h"
#include "../../Transforms/KernelMerge.h"
#include "GpuOps.h"
#include "NormHalves.h"
#include "TensorTiles.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

int64_t sm1::panelsOfBlocks(KernelOp kernel) {
  int64_t linears = contentsOf(kernel).linears, panels = strideOf(widthOf(kernel)) / panelWidth;
  return linears ? panels * linears / projectionsOfBlock(kernel) : panels;
}

BlockKernel::BlockKernel(OpBuilder &builder, KernelOp kernel, bool overlaps)
    : builder(builder), loc(kernel.getLoc()), kernel(kernel), schedule(kernel.getBlocksAttr()), overlaps(overlaps) {}

//===----------------------------------------------------------------------===//
// Numbers and control flow
//===----------------------------------------------------------------------===//

Value BlockKernel::constant(int64_t value) { return arith::ConstantIndexOp::create(builder, loc, value); }

Value BlockKernel::number(double value) {
  return arith::ConstantOp::create(builder, loc, builder.getFloatAttr(builder.getF32Type(), value));
}

Value BlockKernel::zeros(int64_t lanes) {
  return arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(VectorType::get({lanes}, builder.getF32Type()), 0.0f));
}

Value BlockKernel::add(Value a, Value b) { return builder.createOrFold<arith::AddIOp>(loc, a, b); }
Value BlockKernel::sub(Value a, Value b) { return builder.createOrFold<arith::SubIOp>(loc, a, b); }
Value BlockKernel::mul(Value a, int64_t b) { return builder.createOrFold<arith::MulIOp>(loc, a, constant(b)); }
Value BlockKernel::div(Value a, int64_t b) { return builder.createOrFold<arith::DivUIOp>(loc, a, constant(b)); }
Value BlockKernel::rem(Value a, int64_t b) { return builder.createOrFold<arith::RemUIOp>(loc, a, constant(b)); }
Value BlockKernel::least(Value a, Value b) { return builder.createOrFold<arith::MinSIOp>(loc, a, b); }
Value BlockKernel::less(Value a, Value b) { return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, a, b); }

Value BlockKernel::fma(Value a, Value b, Value c) { return math::FmaOp::create(builder, loc, a, b, c); }

void BlockKernel::loop(Value begin, Value end, int64_t step, Body body) {
  scf::ForOp::create(builder, loc, begin, end, constant(step), ValueRange(), [&](OpBuilder &, Location, Value index, ValueRange) {
    body(index);
    scf::YieldOp::create(builder, loc);
  });
}

SmallVector<Value> BlockKernel::loopWith(Value begin, Value end, int64_t step, ValueRange initial, Carrying body) {
  auto loop = scf::ForOp::create(
      builder, loc, begin, end, constant(step), initial,
      [&](OpBuilder &, Location, Value index, ValueRange carried) { scf::YieldOp::create(builder, loc, body(index, carried)); });
  return SmallVector<Value>(loop.getResults());
}

void BlockKernel::share(Value end, Body body) { loop(thread, end, schedule.getThreads(), body); }

void BlockKernel::when(Value condition, llvm::function_ref<void()> body) {
  auto branch = scf::IfOp::create(builder, loc, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(branch.thenBlock());
  body();
}

void BlockKernel::choose(Value condition, llvm::function_ref<void()> yes, llvm::function_ref<void()> no) {
  auto branch = scf::IfOp::create(builder, loc, condition, /*withElseRegion=*/true);
  for (auto [block, body] : {std::pair(branch.thenBlock(), yes), std::pair(branch.elseBlock(), no)}) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(block);
    body();
  }
}

void BlockKernel::barrier() { cuda::barrier(builder, loc); }

void BlockKernel::waitForInputs() {
  startLaterKernel(LaterKernel::AtStart);
  if (overlaps && kernel->hasAttr(fewRowsAttr) && whenLaterKernelStarts() == LaterKernel::AfterSums) // one tile is as in a step
    when(less(count, constant(schedule.getRowSplit() + 1)), [&] { cuda::startLaterKernel(builder, loc); });
  if (overlaps)
    cuda::waitForEarlierKernels(builder, loc);
  startLaterKernel(LaterKernel::AfterInputs);
}

/// Steps of many sequences have tiles in few blocks, so that those of the next kernel or two find multiprocessors of their own and
/// have their weights when this one ends. In a step of few, whose blocks are everywhere, the next kernel's weights would be in the
/// way of what this one still waits for, and so they are in one of many where the schedule says so. In a prefill blocks of tiles
/// that come while some multiprocessors are still full crowd the others.
BlockKernel::LaterKernel BlockKernel::whenLaterKernelStarts() const {
  if (!buffers.oneRowPerSegment)
    return isTensorTiles(schedule.getForm()) && !kernel->hasAttr(startsNextAttr) ? LaterKernel::AfterSums : LaterKernel::AtStart;
  if (kernel->hasAttr(lateNextAttr))
    return LaterKernel::AfterInputs;
  bool hasTiles = false;
  kernel->getParentOfType<ModelOp>().walk([&](Operation *op) {
    auto blocks = op->getAttrOfType<BlockScheduleAttr>("blocks");
    hasTiles |= blocks && isTensorTiles(blocks.getForm());
  });
  return hasTiles ? LaterKernel::AtStart : LaterKernel::AfterInputs;
}

void BlockKernel::startLaterKernel(LaterKernel moment) {
  if (overlaps && moment == whenLaterKernelStarts())
    cuda::startLaterKernel(builder, loc);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Value BlockKernel::shared(ArrayRef<int64_t> shape, Type element) {
  auto type = MemRefType::get(shape, element, MemRefLayoutAttrInterface(), builder.getI64IntegerAttr(cuda::sharedMemory));
  int64_t offset = llvm::alignTo(sharedUsed, 128);
  sharedUsed = offset + type.getNumElements() * element.getIntOrFloatBitWidth() / 8;
  sharedPeak = std::max(sharedPeak, sharedUsed);
  return memref::ViewOp::create(builder, loc, type, sharedMemory, constant(offset), ValueRange());
}

Value BlockKernel::load(Value buffer, ValueRange indices, int64_t lanes) {
  Type element = cast<MemRefType>(buffer.getType()).getElementType();
  return vector::LoadOp::create(builder, loc, VectorType::get({lanes}, element), buffer, indices, /*nontemporal=*/false,
                                llvm::Align(lanes * element.getIntOrFloatBitWidth() / 8));
}

void BlockKernel::store(Value vector, Value buffer, ValueRange indices) {
  auto type = cast<VectorType>(vector.getType());
  vector::StoreOp::create(builder, loc, vector, buffer, indices, /*nontemporal=*/false,
                          llvm::Align(type.getNumElements() * type.getElementTypeBitWidth() / 8));
}

Value BlockKernel::loadScalar(Value buffer, ValueRange indices) { return memref::LoadOp::create(builder, loc, buffer, indices); }

void BlockKernel::storeScalar(Value value, Value buffer, ValueRange indices) {
  memref::StoreOp::create(builder, loc, value, buffer, indices);
}

Value BlockKernel::widen(Value value) {
  Type f32 = builder.getF32Type();
  if (getElementTypeOrSelf(value) == f32)
    return value;
  auto vector = dyn_cast<VectorType>(value.getType());
  return arith::ExtFOp::create(builder, loc, vector ? Type(vector.clone(f32)) : f32, value);
}

//===----------------------------------------------------------------------===//
// Whole rows
//===----------------------------------------------------------------------===//

Value BlockKernel::sumOfLanes(Value vector) {
  Value sum;
  for (int64_t i = 0; i < cast<VectorType>(vector.getType()).getNumElements(); ++i) {
    Value one = vector::ExtractOp::create(builder, loc, vector, ArrayRef<int64_t>{i});
    sum = sum ? arith::AddFOp::create(builder, loc, sum, one) : one;
  }
  return sum;
}

Value BlockKernel::sumOfWarp(Value number) { return sumsOfWarp({number}, Value()); }

/// While there are several, each half of the lanes goes on with half of the numbers, and gets the other half's part of them.
Value BlockKernel::sumsOfWarp(SmallVector<Value> numbers, Value lane) {
  int32_t distance = lanesOfWarp / 2;
  for (; numbers.size() > 1; distance /= 2) {
    size_t half = numbers.size() / 2;
    Value isUpper = less(constant(distance - 1), rem(lane, 2 * distance));
    for (size_t i = 0; i < half; ++i) {
      Value kept = arith::SelectOp::create(builder, loc, isUpper, numbers[half + i], numbers[i]);
      Value given = arith::SelectOp::create(builder, loc, isUpper, numbers[i], numbers[half + i]);
      numbers[i] = arith::AddFOp::create(builder, loc, kept, cuda::shuffleXor(builder, loc, given, distance));
    }
    numbers.resize(half);
  }
  Value sum = numbers.front();
  for (; distance >= 1; distance /= 2)
    sum = arith::AddFOp::create(builder, loc, sum, cuda::shuffleXor(builder, loc, sum, distance));
  return sum;
}

Value BlockKernel::inverseRms(Value sum, int64_t width, FloatAttr eps) {
  Value mean = arith::DivFOp::create(builder, loc, sum, number(width));
  Value root =
      math::SqrtOp::create(builder, loc, arith::AddFOp::create(builder, loc, mean, arith::ConstantOp::create(builder, loc, eps)));
  return arith::DivFOp::create(builder, loc, number(1), root);
}

/// One chain over the numbers `lane`, `lane` + 16, ... of a row, `panels` of them. Several are read at once, so that the chain
/// waits for arithmetic alone.
Value BlockKernel::sumOfSquares(Value values, Value row, Value lane, int64_t panels) {
  constexpr int64_t together = 8;
  auto addSome = [&](Value panel, Value sum, int64_t count) {
    SmallVector<Value> numbers;
    for (int64_t i = 0; i < count; ++i)
      numbers.push_back(loadScalar(values, {row, add(mul(add(panel, constant(i)), panelWidth), lane)}));
    for (Value number : numbers)
      sum = fma(number, number, sum);
    return sum;
  };
  int64_t whole = panels / together * together;
  Value sum = number(0);
  if (whole)
    sum = loopWith(constant(0), constant(whole), together, sum,
                   [&](Value panel, ValueRange carried) { return SmallVector<Value>{addSome(panel, carried[0], together)}; })[0];
  return addSome(constant(whole), sum, panels - whole);
}

void BlockKernel::buildInverseRms(RmsNormOp norm, Value values, Value inverse, Value rows, int64_t maxRows) {
  int64_t width = channels(norm.getType());
  // Whole warps, since lanes exchange their sums; 16 lanes to a row.
  Value working = constant(llvm::alignTo(maxRows * panelWidth, 32));
  when(less(thread, working), [&] {
    Value own = div(thread, panelWidth), lane = rem(thread, panelWidth);
    Value row = least(own, sub(rows, constant(1)));
    Value sum = sumOfSquares(values, row, lane, strideOf(width) / panelWidth);
    for (int32_t half = panelWidth / 2; half >= 1; half /= 2)
      sum = arith::AddFOp::create(builder, loc, sum, cuda::shuffleXor(builder, loc, sum, half));
    Value result = inverseRms(sum, channels(norm.getType()), norm.getEpsAttr());
    Value first = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, lane, constant(0));
    when(arith::AndIOp::create(builder, loc, first, less(own, rows)), [&] { storeScalar(result, inverse, own); });
  });
}

void BlockKernel::evaluateRows(ArrayRef<Operation *> ops, Value first, Value rows, int64_t maxRows, int64_t width,
                               RowBody beforeNorm, RowBody done) {
  RmsNormOp norm = normIn(ops);
  // A thread has a whole panel where its squares are stored.
  int64_t vectors = storedSquares(kernel) && !partsOfRow(kernel) ? panelWidth / threadLanes : 1;
  int64_t stride = strideOf(width), units = stride / (vectors * threadLanes);
  Value parts = mul(rows, units);
  SmallVector<Operation *> later(ops);
  Value values, inverse;
  auto tileOf = [&](Value row, Value unit) { return Tile{add(first, row), mul(unit, vectors), 1, vectors, threadLanes, {}}; };
  if (norm) {
    values = shared({maxRows, stride}, builder.getF32Type());
    inverse = shared({maxRows}, builder.getF32Type());
    SmallVector<Operation *> earlier = sliceOf(kernel, norm.getX());
    llvm::erase_if(later, [&](Operation *op) { return op == norm || llvm::is_contained(earlier, op); });
    share(parts, [&](Value part) {
      Value row = div(part, units), unit = rem(part, units), column = mul(unit, threadLanes);
      TileEvaluator evaluator(builder, kernel, buffers, tileOf(row, unit));
      evaluator.evaluate(earlier);
      beforeNorm(evaluator, row);
      Value x = evaluator.at(norm.getX(), 0, 0);
      if (width % panelWidth) { // what lies in a row's padding must not count
        Value mask = vector::CreateMaskOp::create(builder, loc, VectorType::get({threadLanes}, builder.getI1Type()),
                                                  ValueRange{sub(constant(width), column)});
        x = arith::SelectOp::create(builder, loc, mask, x, zeros(threadLanes));
      }
      store(x, values, {row, column});
    });
    barrier();
    buildInverseRms(norm, values, inverse, rows, maxRows);
    barrier();
  }
  share(parts, [&](Value part) {
    Value row = div(part, units), unit = rem(part, units);
    TileEvaluator evaluator(builder, kernel, buffers, tileOf(row, unit));
    if (norm) {
      Value x = load(values, {row, mul(unit, threadLanes)}, threadLanes);
      Value scale = vector::BroadcastOp::create(builder, loc, x.getType(), loadScalar(inverse, row));
      Value scaled = arith::MulFOp::create(builder, loc, x, scale);
      evaluator.define(norm, {arith::MulFOp::create(builder, loc, scaled, evaluator.at(norm.getWeight(), 0, 0))});
    }
    evaluator.evaluate(later);
    done(evaluator, row);
  });
}

//===----------------------------------------------------------------------===//
// The kernel's operations
//===----------------------------------------------------------------------===//

AroundNorm BlockKernel::aroundNorm() {
  AroundNorm ops;
  ops.after = mainOps();
  ops.norm = normIn(ops.after);
  ops.before = sliceOf(kernel, ops.norm.getX());
  llvm::erase_if(ops.after, [&](Operation *op) { return op == ops.norm || llvm::is_contained(ops.before, op); });
  return ops;
}

SmallVector<Operation *> BlockKernel::mainOps() {
  llvm::SmallPtrSet<Operation *, 16> early;
  for (auto linear : kernel.getBlock().getOps<LinearOp>())
    early.insert_range(sliceOf(kernel, linear.getX()));
  SmallVector<Operation *> ops;
  for (Operation &op : kernel.getBlock().without_terminator())
    if (!isRowInvariant(&op) && !early.contains(&op) && !isa<LinearOp>(op))
      ops.push_back(&op);
  return ops;
}

SmallVector<SmallVector<LinearOp>> BlockKernel::projections() {
  SmallVector<SmallVector<LinearOp>> groups;
  for (auto linear : kernel.getBlock().getOps<LinearOp>()) {
    auto known = llvm::find_if(groups, [&](auto &group) { return group.front().getX() == linear.getX(); });
    if (known == groups.end())
      groups.push_back({linear});
    else
      known->push_back(linear);
  }
  return groups;
}

void BlockKernel::storeResults(TileEvaluator &evaluator) {
  for (auto [yielded, buffer] : llvm::zip(kernel.yielded(), buffers.results))
    if (classify(yielded.getType()) == TensorClass::Stream && evaluator.isDefined(yielded) &&
        !yielded.getDefiningOp<PanelSquaresOp>())
      evaluator.store(yielded, buffer);
}

//===----------------------------------------------------------------------===//
// Form: rows
//===----------------------------------------------------------------------===//

/// Those that the kernel stores, if it does: the thread has the whole panel.
static void storeSquaresOfPanel(BlockKernel &block, TileEvaluator &evaluator, Value row) {
  PanelSquaresOp squares = storedSquares(block.kernel);
  if (!squares || partsOfRow(block.kernel))
    return;
  Value sum = evaluator.at(squares.getResult(), 0, 0);
  for (int64_t n = 1; n < evaluator.panels(); ++n)
    sum = arith::AddFOp::create(block.builder, block.loc, sum, evaluator.at(squares.getResult(), 0, n));
  Value isFirst = arith::ConstantIntOp::create(block.builder, block.loc, 1, 1);
  storeSquares(block, sum, /*distances=*/{}, isFirst, row, block.div(evaluator.firstColumn(), panelWidth));
}

/// Without a norm: who multiplies the row asks for the sum of its squares alone, so it is the first number of them.
static void buildRowOfParts(BlockKernel &block, Value row) {
  int64_t units = strideOf(widthOf(block.kernel)) / threadLanes;
  Value ofUnits = block.shared({units}, block.builder.getF32Type()), none = block.constant(0);
  block.evaluateRows(block.mainOps(), row, block.constant(1), 1, widthOf(block.kernel), {}, [&](TileEvaluator &evaluator, Value) {
    block.storeResults(evaluator);
    block.storeScalar(evaluator.at(storedSquares(block.kernel).getResult(), 0, 0), ofUnits,
                      block.div(evaluator.firstColumn(), threadLanes));
  });
  block.barrier();
  block.when(block.less(block.thread, block.constant(lanesOfWarp)), [&] {
    Value sum = block.loopWith(block.thread, block.constant(units), lanesOfWarp, block.number(0), [&](Value unit, ValueRange sums) {
      Value next = arith::AddFOp::create(block.builder, block.loc, sums[0], block.loadScalar(ofUnits, unit));
      return SmallVector<Value>{next};
    })[0];
    Value isFirst = block.less(block.thread, block.constant(1));
    storeSquares(block, block.sumOfWarp(sum), /*distances=*/{}, isFirst, row, none);
    storeZeros(block, isFirst, row, 1);
  });
}

void sm1::buildRows(BlockKernel &block) {
  Value row = cuda::blockId(block.builder, block.loc, cuda::Axis::X);
  constexpr int64_t rowsOfFetch = 64; // one block in so many asks for all
  block.when(
      arith::CmpIOp::create(block.builder, block.loc, arith::CmpIPredicate::eq, block.rem(row, rowsOfFetch), block.constant(0)),
      [&] { fetchParameters(block, block.constant(0), strideOf(widthOf(block.kernel)) / panelWidth); });
  block.waitForInputs();
  // A result that the norm's input needs is stored in the first walk, the others in the second.
  auto storeDefined = [&](TileEvaluator &evaluator, Value) {
    block.storeResults(evaluator);
    storeSquaresOfPanel(block, evaluator, row);
  };
  if (!partsOfRow(block.kernel))
    return block.evaluateRows(block.mainOps(), row, block.constant(1), 1, widthOf(block.kernel), storeDefined, storeDefined);
  buildRowOfParts(block, row);
}
