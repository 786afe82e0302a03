//===- TensorTilesStream.cpp - what is added to the sums of tiles by mma.sync, through shared memory --------------===//
//
// Registers full of sums have room for few loads at a time, each of which waits for memory. When the last steps are multiplied
// nobody fills the stages of those before them: there a warp has slots of eight rows of its tile, asks for what it adds to the
// first ones, of a stream in f32, and finds it behind its last product. As soon as it has finished eight rows it asks for later
// ones in their place. Chunks of 16 bytes are swizzled, so that eight lanes, of four rows and two panels, take all banks.

#include "TensorTilesBuilder.h"

#include "GpuOps.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

static constexpr int64_t floatBytes = 4, chunksOfPanel = panelWidth * floatBytes / 16;

int64_t TensorTilesBuilder::streamSlotBytes() const { return rowsOfTile * warpPanels * panelWidth * floatBytes; }

/// Of a warp in one stage: those in the place of its rows, and those in that of its weights.
std::pair<int64_t, int64_t> TensorTilesBuilder::slotsOfStage() const {
  int64_t all = streamSlotBytes() * (threads / lanesOfWarp);
  return {rowSliceBytes / all, weightSliceBytes / all};
}

/// Two, or that of the last step but one where there are no more.
int64_t TensorTilesBuilder::stagesOfStream() const { return std::min<int64_t>({stages - 1, steps - 1, 2}); }

int64_t TensorTilesBuilder::streamSlots() const {
  auto [ofRows, ofWeights] = slotsOfStage();
  return std::min(stagesOfStream() * (ofRows + ofWeights), tiles);
}

BlockArgument TensorTilesBuilder::addedStream() {
  if (!boxes || group != 4 || !streamSlots())
    return {};
  for (BlockArgument argument : block.kernel.getBlock().getArguments()) {
    auto type = cast<RankedTensorType>(argument.getType());
    bool isMultiplied = llvm::any_of(argument.getUsers(), [](Operation *user) { return isa<LinearOp>(user); });
    if (isStream(type) && !isMultiplied && type.getElementType().isF32() && channels(type) == widthOf(block.kernel))
      return argument;
  }
  return {};
}

/// Where the warp has `slot`, the address as an index.
Value TensorTilesBuilder::streamPlace(int64_t slot) {
  auto [ofRows, ofWeights] = slotsOfStage();
  int64_t stage = (steps - 1 - stagesOfStream() + slot / (ofRows + ofWeights)) % stages, inStage = slot % (ofRows + ofWeights);
  bool isOfRows = inStage < ofRows;
  Value base = memref::ExtractAlignedPointerAsIndexOp::create(block.builder, block.loc, isOfRows ? rowStages : weightStages);
  int64_t first = (isOfRows ? inStage : inStage - ofRows) * (threads / lanesOfWarp) * streamSlotBytes();
  return block.add(block.add(base, block.mul(warp, streamSlotBytes())),
                   block.constant(stage * (isOfRows ? rowSliceBytes : weightSliceBytes) + first));
}

static Value pointerTo(BlockKernel &block, Value place) {
  Value number = arith::IndexCastOp::create(block.builder, block.loc, block.builder.getI64Type(), place);
  return LLVM::IntToPtrOp::create(block.builder, block.loc,
                                  LLVM::LLVMPointerType::get(block.builder.getContext(), cuda::sharedMemory), number);
}

static Value byteOf(BlockKernel &block, Value row, Value chunk, int64_t panels) {
  Value turned = arith::XOrIOp::create(block.builder, block.loc, chunk, block.rem(block.div(row, 2), 4));
  return block.add(block.mul(row, panels * panelWidth * floatBytes), block.mul(turned, 16));
}

void TensorTilesBuilder::copyStream(int64_t tile) {
  OpBuilder &builder = block.builder;
  int64_t chunks = warpPanels * chunksOfPanel, rowsAtOnce = lanesOfWarp / chunks;
  Value array = block.buffers.inputs.lookup(addedStream());
  int64_t stride = cast<MemRefType>(array.getType()).getShape().back() * floatBytes;
  Value chunk = block.rem(lane, chunks), panel = block.add(block.add(firstPanel, warpPanel), block.div(chunk, chunksOfPanel));
  Value isPanel = block.less(panel, block.constant(strideOf(widthOf(block.kernel)) / panelWidth));
  Value column = block.add(block.mul(block.add(firstPanel, warpPanel), panelWidth * floatBytes), block.mul(chunk, 16));
  Value place = streamPlace(tile % streamSlots()), none = arith::ConstantIntOp::create(builder, block.loc, 0, 32),
        all = arith::ConstantIntOp::create(builder, block.loc, 16, 32);
  for (int64_t first = 0; first < rowsOfTile; first += rowsAtOnce) {
    Value inTile = block.add(block.constant(first), block.div(lane, chunks));
    Value row = block.add(block.add(firstRow, warpRow), block.add(block.constant(tile * rowsOfTile), inTile));
    Value isThere = arith::AndIOp::create(builder, block.loc, block.less(row, block.count), isPanel);
    Value from = arith::SelectOp::create(builder, block.loc, isThere, block.add(block.mul(row, stride), column), block.constant(0));
    cuda::copyAsync(builder, block.loc, pointerTo(block, block.add(place, byteOf(block, inTile, chunk, warpPanels))),
                    cuda::addressOf(builder, block.loc, array, from, cuda::globalMemory),
                    arith::SelectOp::create(builder, block.loc, isThere, all, none));
  }
}

void TensorTilesBuilder::startStream(int64_t part) {
  int64_t step = steps - 1 - stagesOfStream() + part, ofStage = slotsOfStage().first + slotsOfStage().second;
  Value parity = arith::ConstantIntOp::create(block.builder, block.loc, step / stages % 2, 32);
  cuda::waitForBytes(block.builder, block.loc, freeAt(block.constant(step % stages)), parity);
  for (int64_t slot = part * ofStage; slot < std::min((part + 1) * ofStage, streamSlots()); ++slot) {
    copyStream(slot);
    cuda::commitCopies(block.builder, block.loc);
  }
}

/// As many groups of copies as there are slots are under way, whether or not they have any.
void TensorTilesBuilder::waitForStream() {
  cuda::waitForCopies(block.builder, block.loc, streamSlots() - 1);
  cuda::warpBarrier(block.builder, block.loc);
}

void TensorTilesBuilder::startLaterStream(int64_t tile) {
  if (tile + streamSlots() < tiles) {
    cuda::warpBarrier(block.builder, block.loc); // other lanes have read what lay there
    copyStream(tile + streamSlots());
  }
  if (tile + 1 < tiles)
    cuda::commitCopies(block.builder, block.loc);
}

void TensorTilesBuilder::giveStream(TileEvaluator &evaluator, int64_t firstOfGroup, int64_t half, int64_t first, int64_t count) {
  OpBuilder &builder = block.builder;
  Value owner = block.div(lane, 4), place = streamPlace(tileOfStream % streamSlots());
  Value chunk = block.add(block.mul(block.add(block.constant(firstOfGroup), block.rem(owner, group)), chunksOfPanel),
                          block.add(block.div(owner, group), block.constant(half * 2)));
  SmallVector<Value> vectors;
  for (int64_t j = first; j < first + count; ++j) {
    Value row = block.add(block.mul(block.rem(lane, 4), 2), block.constant(j));
    SmallVector<Value> numbers;
    for (Value word :
         cuda::loadWords(builder, block.loc, pointerTo(block, block.add(place, byteOf(block, row, chunk, warpPanels)))))
      numbers.push_back(arith::BitcastOp::create(builder, block.loc, builder.getF32Type(), word));
    vectors.push_back(vector::FromElementsOp::create(builder, block.loc, VectorType::get({4}, builder.getF32Type()), numbers));
  }
  evaluator.define(addedStream(), std::move(vectors));
}
