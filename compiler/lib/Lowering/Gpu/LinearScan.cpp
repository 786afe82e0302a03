//===- LinearScan.cpp - a scan of rows whose state before them is not known yet -----------------------------------===//

#include "LinearScan.h"

using namespace mlir;
using namespace sm1;

LinearInState sm1::compose(BlockKernel &block, LinearInState first, LinearInState then) {
  return {arith::MulFOp::create(block.builder, block.loc, first.slope, then.slope),
          block.fma(then.slope, first.constant, then.constant)};
}

LinearInState sm1::stepWhere(BlockKernel &block, Value isThere, LinearInState step) {
  auto vector = cast<VectorType>(step.slope.getType());
  Value one = arith::ConstantOp::create(block.builder, block.loc, DenseElementsAttr::get(vector, 1.0f));
  Value slope = arith::SelectOp::create(block.builder, block.loc, isThere, step.slope, one);
  return {slope, arith::SelectOp::create(block.builder, block.loc, isThere, step.constant, block.zeros(threadLanes))};
}

/// Products and quotients with what does not depend on h, and sums.
static bool staysLinear(Operation *op, const llvm::DenseSet<Value> &linears) {
  bool first = linears.contains(op->getOperand(0));
  if (isa<arith::NegFOp, arith::AddFOp, arith::SubFOp>(op))
    return true;
  return isa<arith::MulFOp>(op) ? !first || !linears.contains(op->getOperand(1))
                                : isa<arith::DivFOp>(op) && !linears.contains(op->getOperand(1));
}

LinearScan::LinearScan(BlockKernel &block, ScanOp scan)
    : block(block), scan(scan), slices(slicesAround(block, scan, scan.getDecay(), scan.getInput())) {
  linears.insert(scan.getH());
  for (Operation *op : slices.after) {
    auto needs = [&](auto test) { return llvm::any_of(op->getOperands(), test); };
    if (needs([&](Value operand) { return isLate(operand.getDefiningOp()); }))
      late.push_back(op);
    else if (needs([&](Value operand) { return linears.contains(operand); })) {
      if (staysLinear(op, linears))
        linears.insert(op->getResult(0));
      else
        late.push_back(op);
    }
  }
}

LinearInState LinearScan::step(Row &row) {
  row.evaluator.evaluate(slices.before);
  Value decay = row.evaluator.at(scan.getDecay(), 0, 0), input = row.evaluator.at(scan.getInput(), 0, 0);
  return {decay, input};
}

void LinearScan::follow(Row &row, LinearInState h) {
  row.linear[scan.getH()] = h;
  for (Operation *op : slices.after)
    if (linears.contains(op->getResult(0)))
      row.linear[op->getResult(0)] = apply(op, row);
    else if (!isLate(op))
      row.evaluator.evaluate(op);
}

static Value copyOn(BlockKernel &block, Operation *op, ValueRange operands) {
  OperationState state(block.loc, op->getName());
  state.addOperands(operands);
  state.addTypes(operands.front().getType());
  state.addAttributes(op->getAttrs());
  return block.builder.create(state)->getResult(0);
}

LinearInState LinearScan::apply(Operation *op, Row &row) {
  bool isSum = isa<arith::AddFOp, arith::SubFOp>(op);
  SmallVector<Value> slopes, constants;
  for (Value operand : op->getOperands()) {
    auto known = row.linear.find(operand);
    Value plain = known == row.linear.end() ? row.evaluator.at(operand, 0, 0) : Value();
    slopes.push_back(!plain ? known->second.slope : isSum ? block.zeros(threadLanes) : plain);
    constants.push_back(plain ? plain : known->second.constant);
  }
  // x + 0 and x - 0 are x.
  bool keepsSlope = isSum && !linears.contains(op->getOperand(1));
  return {keepsSlope ? slopes[0] : copyOn(block, op, slopes), copyOn(block, op, constants)};
}

void LinearScan::finish(Row &row, Value state) {
  auto isNeeded = [&](Operation *user) { return isLate(user) || isa<YieldOp>(user); };
  for (auto &[value, parts] : row.linear)
    if (llvm::any_of(value.getUsers(), isNeeded))
      row.evaluator.define(value, {block.fma(parts.slope, state, parts.constant)});
  row.evaluator.evaluate(late);
  block.storeResults(row.evaluator);
}

LinearInState sm1::walkGroups(BlockKernel &block, Value products, Value sums, Value channel, Value lastGroup) {
  constexpr int64_t readTogether = 8; // before the chain goes through them
  OpBuilder &builder = block.builder;
  auto step = [&](Value first, ValueRange carried) {
    SmallVector<Value> ownProducts, ownSums;
    for (int64_t i = 0; i < readTogether; ++i) {
      Value place = block.add(first, block.constant(i));
      ownProducts.push_back(block.loadScalar(products, {place, channel}));
      ownSums.push_back(block.loadScalar(sums, {place, channel}));
      if (!lastGroup)
        continue;
      Value isBehind = block.less(lastGroup, place);
      ownProducts[i] = arith::SelectOp::create(builder, block.loc, isBehind, block.number(1), ownProducts[i]);
      ownSums[i] = arith::SelectOp::create(builder, block.loc, isBehind, block.number(0), ownSums[i]);
    }
    Value product = carried[0], sum = carried[1];
    for (int64_t i = 0; i < readTogether; ++i) {
      Value place = block.add(first, block.constant(i));
      block.storeScalar(product, products, {place, channel});
      block.storeScalar(sum, sums, {place, channel});
      sum = block.fma(ownProducts[i], sum, ownSums[i]);
      product = arith::MulFOp::create(builder, block.loc, product, ownProducts[i]);
    }
    return SmallVector<Value>{product, sum};
  };
  Value groups = block.constant(cast<MemRefType>(products.getType()).getDimSize(0));
  auto all = block.loopWith(block.constant(0), groups, readTogether, ValueRange{block.number(1), block.number(0)}, step);
  return {all[0], all[1]};
}
