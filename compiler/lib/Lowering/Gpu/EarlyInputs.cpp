//===- EarlyInputs.cpp - what follows a step's sums reads, asked for before the products -------------------------===//

#include "EarlyInputs.h"

#include "../../Transforms/KernelMerge.h"
#include "../StoredValue.h"
#include "sm1/IR/Sm1NormHalves.h"

using namespace mlir;
using namespace sm1;

/// Adds `value` to `inputs` if it is in memory, or what it is made of where it is the same for all rows.
static void addInput(llvm::MapVector<Value, int64_t> &inputs, Value value, int64_t count = 1) {
  if (isa<BlockArgument>(value))
    inputs.insert({value, count});
  else if (isRowInvariant(value.getDefiningOp()))
    for (Value operand : value.getDefiningOp()->getOperands())
      addInput(inputs, operand);
}

/// False if `op` does not read at the place of what it computes alone.
static bool addInputs(llvm::MapVector<Value, int64_t> &inputs, Operation *op) {
  auto conv = dyn_cast<Conv1dOp>(op);
  if (isa<EmbeddingOp, SelectRowsOp, SplitOp, SelectiveScanOp>(op) || (conv && isa<BlockArgument>(storedValue(conv.getX()))))
    return false;
  if (!conv) { // squares become factors elsewhere
    for (Value operand : isa<RmsScaleOp>(op) ? op->getOperands().take_front() : op->getOperands())
      addInput(inputs, operand);
    return true;
  }
  int64_t taken = cast<RankedTensorType>(conv.getWeight().getType()).getDimSize(2);
  addInput(inputs, conv.getTaps(), taken - 1);
  addInput(inputs, conv.getWeight(), taken);
  addInput(inputs, conv.getBias());
  return true;
}

EarlyInputs::EarlyInputs(BlockKernel &block) : block(block) {
  bool areAll = block.buffers.oneRowPerSegment || // else states belong to some rows alone
                llvm::none_of(block.kernel.getBlock().getArguments(),
                              [](Value argument) { return classify(argument.getType()) == TensorClass::State; });
  for (Operation *op : block.mainOps())
    areAll = areAll && addInputs(inputs, op);
  if (!areAll)
    inputs.clear();
}

int64_t EarlyInputs::registers(int64_t rows, int64_t panels, int64_t lanes) const {
  int64_t numbers = 0;
  for (auto [argument, count] : inputs)
    numbers += count * panels * lanes * (classify(argument.getType()) == TensorClass::Param ? 1 : rows);
  return numbers;
}

int64_t EarlyInputs::registersOfRows(int64_t rows, int64_t panels, int64_t lanes) const {
  return rows * panels * lanes * llvm::count_if(inputs, [](auto &input) { return isStream(input.first.getType()); });
}

void EarlyInputs::loadSome(size_t number, Tile tile, bool areRows) {
  tile.rowEnd = block.count;
  TileEvaluator evaluator(block.builder, block.kernel, block.buffers, tile);
  if (number >= loaded.size())
    loaded.resize(number + 1);
  for (auto [argument, count] : inputs) {
    if (isStream(argument.getType()) != areRows)
      continue;
    Value buffer = block.buffers.inputs.lookup(argument);
    bool isParam = classify(argument.getType()) == TensorClass::Param;
    for (int64_t index = 0; index < count; ++index)
      for (int64_t n = 0; n < tile.panels; ++n) {
        SmallVector<Value> place;
        if (!isParam)
          place.push_back(evaluator.row(0));
        if (int64_t(place.size()) + 1 < cast<MemRefType>(buffer.getType()).getRank())
          place.push_back(block.constant(index));
        place.push_back(evaluator.column(n));
        loaded[number][argument].push_back(evaluator.loadVector(buffer, place));
      }
  }
}

void EarlyInputs::loadBeforeWait(size_t number, Tile tile) { loadSome(number, tile, /*areRows=*/false); }

void EarlyInputs::load(size_t number, Tile tile) { loadSome(number, tile, /*areRows=*/true); }

void EarlyInputs::give(TileEvaluator &evaluator, size_t number) const {
  for (auto &[argument, vectors] : loaded[number])
    evaluator.define(argument, vectors);
}
