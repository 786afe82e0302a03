//===- MatrixTiles.cpp - sums of projections in tile registers (AMX) ---------------------------------------------===//

#include "MatrixTiles.h"

#include "../Transforms/KernelMerge.h"
#include "ProjectionInput.h"
#include "Prologue.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

static constexpr int64_t configWords = 16;

ProductForm sm1::formOf(LinearOp linear, KernelOp kernel) {
  auto argument = dyn_cast<BlockArgument>(linear.getWeight());
  auto param = argument ? kernel.getInputs()[argument.getArgNumber()].getDefiningOp<ParamOp>() : ParamOp();
  return ProductForm::of(linear, param ? param.getLayout().value_or("") : "", kernel.getScheduleAttr().getProducts());
}

const char *sm1::whyNotMatrixTiles(KernelOp kernel) {
  ScheduleAttr schedule = kernel.getScheduleAttr();
  // Blocks of fewer rows than the schedule's are not summed in passes.
  int64_t rowTiles = MatrixTiles::passesOf(kernel) ? 1 : schedule.getMatrixRows() / tileRows;
  llvm::SmallDenseMap<Value, int64_t> tilesOf;
  bool grouped = false, whole = false;
  for (auto linear : kernel.getBlock().getOps<LinearOp>()) {
    ProductForm form = formOf(linear, kernel);
    bool bf16 = form.rounded && form.weights == ProductForm::Weights::Pairs, int8 = form.int8 && form.dot && !form.maddLanes;
    grouped |= form.weights == ProductForm::Weights::Nibbles, whole |= form.weights != ProductForm::Weights::Nibbles;
    if (!bf16 && !int8)
      return "tile registers multiply bf16 pairs, and int8 quads and int4 nibbles with products = dot";
    if (grouped && (whole || schedule.getMatrixRows() != tileRows || schedule.getMatrixPanels() > 2))
      return "tile registers take int4 alone, by 16 rows and one or two panels";
    if (channels(linear.getX().getType()) % (grouped ? form.blockWidth() : stepWidth(form)))
      return "tile registers take whole 64 bytes of a row, of int4 whole groups";
    if (!grouped && (tilesOf[linear.getX()] += rowTiles * schedule.getMatrixPanels()) > sumTiles)
      return "six tile registers hold the sums of projections of one x; take fewer rows or panels";
  }
  return tilesOf.empty() && !grouped ? "has no projection for tile registers" : nullptr;
}

bool MatrixTiles::holdsHalves(KernelOp kernel) {
  ScheduleAttr schedule = kernel.getScheduleAttr();
  bool anyBf16 = llvm::any_of(kernel.getResultTypes(), [](Type type) { return getElementTypeOrSelf(type).isBF16(); });
  bool pairs = schedule.getPanelSplit() % 2 == 0 && strideOf(widthOf(kernel)) / panelWidth % 2 == 0;
  return anyBf16 && pairs && schedule.getMatrixRows() > tileRows && schedule.getMatrixPanels() == 1 && bandRowsOf(kernel) > 0;
}

int64_t MatrixTiles::wordsOf(KernelOp kernel) {
  ScheduleAttr schedule = kernel.getScheduleAttr();
  int64_t linears = llvm::range_size(kernel.getBlock().getOps<LinearOp>());
  return configWords + linears * schedule.getMatrixRows() / tileRows * schedule.getMatrixPanels() * tileWords +
         wordsOfPasses(kernel) + wordsOfGroups(kernel);
}

MatrixTiles::MatrixTiles(OpBuilder &builder, KernelOp kernel, const KernelBuffers &buffers, int64_t rows, int64_t scratchOffset)
    : builder(builder), loc(kernel.getLoc()), kernel(kernel), buffers(buffers), rows(rows), scratch(scratchOffset),
      rowTiles(llvm::divideCeil(rows, tileRows)), panels(kernel.getScheduleAttr().getMatrixPanels()) {
  int64_t together = std::max(kernel.getScheduleAttr().getRowSplit(), kernel.getScheduleAttr().getRowBand());
  fetchedLines = llvm::divideCeil(tileRows, std::max<int64_t>(1, rows < tileRows ? 1 : together / rows));
  int64_t place = scratch + configWords;
  for (auto linear : kernel.getBlock().getOps<LinearOp>()) {
    auto known = llvm::find_if(groups, [&](Group &group) { return group.linears.front().getX() == linear.getX(); });
    if (known == groups.end())
      groups.push_back({{linear}, formOf(linear, kernel), 0});
    else
      known->linears.push_back(linear);
  }
  for (Group &group : groups) {
    group.place = place;
    place += tilesOf(group) * tileWords;
  }
  passSums = place, groupScratch = place;
}

Value MatrixTiles::constant(int64_t value) { return arith::ConstantIndexOp::create(builder, loc, value); }
Value MatrixTiles::add(Value a, Value b) { return builder.createOrFold<arith::AddIOp>(loc, a, b); }
Value MatrixTiles::times(Value a, int64_t b) { return builder.createOrFold<arith::MulIOp>(loc, a, constant(b)); }

Value MatrixTiles::addressOf(Value buffer, Value byte) {
  return add(memref::ExtractAlignedPointerAsIndexOp::create(builder, loc, buffer), byte);
}

void MatrixTiles::call(StringRef intrinsic, ValueRange arguments) {
  LLVM::CallIntrinsicOp::create(builder, loc, builder.getStringAttr(intrinsic), arguments);
}

void MatrixTiles::mark(int64_t number, llvm::function_ref<void()> build) {
  Operation *before = builder.getInsertionBlock()->empty() ? nullptr : &*std::prev(builder.getInsertionPoint());
  build();
  mlir::Block *block = builder.getInsertionBlock();
  for (auto it = before ? std::next(mlir::Block::iterator(before)) : block->begin(); it != builder.getInsertionPoint(); ++it)
    if (!it->hasTrait<OpTrait::ConstantLike>())
      it->setAttr(stepAttr, builder.getI64IntegerAttr(number));
}

Value MatrixTiles::tile(int64_t number) { return arith::ConstantIntOp::create(builder, loc, number, 8); }

Value MatrixTiles::toPointer(Value address) {
  Value integer = arith::IndexCastOp::create(builder, loc, builder.getI64Type(), address);
  return LLVM::IntToPtrOp::create(builder, loc, LLVM::LLVMPointerType::get(builder.getContext()), integer);
}

Value MatrixTiles::stride(int64_t bytes) { return arith::ConstantIntOp::create(builder, loc, bytes, 64); }

void MatrixTiles::load(int64_t number, Value address, int64_t pitch, bool passes) {
  call(passes ? "llvm.x86.tileloaddt164" : "llvm.x86.tileloadd64", {tile(number), toPointer(address), stride(pitch)});
}

/// A few rows pass their weights once, and so want the next in the first cache; many find them there after the first block, whose
/// time they would take if memory had to bring all of them then.
void MatrixTiles::fetchNext(const Block &block, Value address, int64_t distance) {
  fetchLines(add(add(address, constant(distance)), times(block.turn, fetchedLines * tileRowBytes)));
}

void MatrixTiles::fetchLines(Value first) {
  int32_t hint = fetchedLines == tileRows ? 3 : 2;
  for (int64_t line = 0; line < fetchedLines; ++line)
    LLVM::Prefetch::create(builder, loc, toPointer(add(first, constant(line * tileRowBytes))), /*rw=*/0, hint,
                           /*cache=*/1);
}

/// Palette 1: rows of 64 bytes, 16 of them in each register, but for the rows and sums of a smaller block.
void MatrixTiles::configure() {
  uint8_t bytes[64] = {1};
  for (int64_t number = 0; number < 8; ++number) {
    bytes[16 + 2 * number] = tileRowBytes;
    bytes[48 + number] = number == weightTile ? tileRows : std::min(rows, tileRows);
  }
  if (takesGroups(kernel))
    shapeOfGroups(bytes);
  SmallVector<int32_t> words(configWords);
  std::memcpy(words.data(), bytes, sizeof(bytes));
  auto integers = VectorType::get({configWords}, builder.getI32Type()),
       floats = VectorType::get({configWords}, builder.getF32Type());
  Value config = arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(integers, ArrayRef<int32_t>(words)));
  vector::StoreOp::create(builder, loc, arith::BitcastOp::create(builder, loc, floats, config), buffers.scratch,
                          ValueRange{constant(scratch)});
  call("llvm.x86.ldtilecfg", {toPointer(addressOf(buffers.scratch, constant(4 * scratch)))});
}

/// Stores around the caches are ordered by nothing but a fence, and another thread reads what they wrote once the task is done.
void MatrixTiles::release() {
  call("llvm.x86.sse.sfence", {});
  call("llvm.x86.tilerelease", {});
}

MatrixTiles::Rows MatrixTiles::inputOf(Group &group, Value row) {
  Value x = group.linears.front().getX();
  if (auto found = buffers.prologues.find(x); found != buffers.prologues.end()) {
    const PrologueRegion &region = found->second;
    Value taskRow = arith::SubIOp::create(builder, loc, row, buffers.rowBegin);
    Value address = addressOf(buffers.scratch, times(startOfRow(builder, loc, region, taskRow), 4));
    int64_t pitch = 4 * region.stride;
    if (region.tiled)
      return {address, tileRowBytes, tileRows * pitch, tileRows * tileRowBytes};
    return {address, pitch, tileRows * pitch, tileRowBytes};
  }
  Value buffer = buffers.inputs.lookup(x);
  int64_t pitch = 2 * cast<MemRefType>(buffer.getType()).getDimSize(1);
  return {addressOf(buffer, times(row, pitch)), pitch, tileRows * pitch, tileRowBytes};
}

bool MatrixTiles::holdsOperands(const Group &group) const {
  int64_t columns = columnsOf(group);
  return rows >= tileRows && columns * rowTiles + columns + rowTiles <= allTiles;
}

/// Blocks of 16 rows or fewer multiply with them once.
bool MatrixTiles::keepsWeights(const Group &group) const {
  return holdsOperands(group) && rows > tileRows && columnsOf(group) * stepsOf(group) * tileRows * tileRowBytes <= mostWeightBytes;
}

Value MatrixTiles::weightsAt(Group &group, const Block &block, Value step, int64_t column) {
  Value matrix = buffers.inputs.lookup(group.linears[column / panels].getWeight());
  Value place = times(add(block.panel, constant(column % panels)), panelBytesOf(group));
  return addressOf(matrix, add(place, times(step, tileRows * tileRowBytes)));
}

void MatrixTiles::loadRows(Group &group, const Block &block, Value step, int64_t r) {
  Rows input = inputOf(group, block.row);
  load(placeOfRows(group, r), addressIn(input, r, step), input.pitch, keepsWeights(group));
}

void MatrixTiles::addProduct(const Group &group, int64_t column, int64_t r, int64_t rowPlace, int64_t weightPlace) {
  call(group.form.int8 ? "llvm.x86.tdpbsud" : "llvm.x86.tdpbf16ps",
       {tile(column * rowTiles + r), tile(rowPlace), tile(weightPlace)});
}

/// Operands are loaded for the next step behind the last product that takes them: of the tile registers that a core has beside the
/// eight few are free, and so it looks ahead no further than some six loads and products.
void MatrixTiles::multiplyHeld(Group &group, const Block &block, Value step, int64_t part) {
  int64_t column = part / rowTiles, r = part % rowTiles;
  addProduct(group, column, r, placeOfRows(group, r), weightTile - column);
  Value next = arith::MinUIOp::create(builder, loc, add(step, constant(1)), constant(stepsOf(group) - 1));
  if (column + 1 == columnsOf(group))
    loadRows(group, block, next, r);
  if (r + 1 < rowTiles)
    return;
  load(weightTile - column, weightsAt(group, block, next, column), tileRowBytes);
  fetchNext(block, weightsAt(group, block, step, column), panels * panelBytesOf(group));
}

/// Rows are walked there and back, so that the weights of the turn are already loaded.
void MatrixTiles::multiplyInTurn(Group &group, const Block &block, Value step) {
  Rows input = inputOf(group, block.row);
  int64_t count = columnsOf(group), loaded = -1;
  for (int64_t r = 0; r < rowTiles; ++r) {
    load(rowTile, addressIn(input, r, step), input.pitch);
    for (int64_t i = 0; i < count; ++i) {
      int64_t column = r % 2 ? count - 1 - i : i;
      if (column != loaded) {
        Value address = weightsAt(group, block, step, column);
        load(weightTile, address, tileRowBytes);
        if (r == 0)
          fetchNext(block, address, panels * panelBytesOf(group));
        loaded = column;
      }
      addProduct(group, column, r, rowTile, weightTile);
    }
  }
}

void MatrixTiles::multiply(Group &group, const Block &block, Value step) {
  if (!holdsOperands(group))
    return multiplyInTurn(group, block, step);
  for (int64_t part = 0; part < tilesOf(group); ++part)
    multiplyHeld(group, block, step, part);
}

int64_t MatrixTiles::stepsOf(const Group &group) const {
  LinearOp first = group.linears.front();
  return channels(first.getX().getType()) / stepWidth(group.form);
}

/// Sums begin at zero; what holds its operands has those of the first step.
void MatrixTiles::begin(Group &group, const Block &block) {
  for (int64_t number = 0; number < tilesOf(group); ++number)
    call("llvm.x86.tilezero", {tile(number)});
  if (!holdsOperands(group))
    return;
  for (int64_t r = 0; r < rowTiles; ++r)
    loadRows(group, block, constant(0), r);
  for (int64_t column = 0; column < columnsOf(group); ++column)
    load(weightTile - column, weightsAt(group, block, constant(0), column), tileRowBytes);
}

void MatrixTiles::multiply(Group &group, const Block &block, Value firstStep, Value lastStep) {
  scf::ForOp::create(builder, loc, firstStep, lastStep, constant(1), ValueRange(),
                     [&](OpBuilder &, Location, Value step, ValueRange) {
                       multiply(group, block, step);
                       scf::YieldOp::create(builder, loc);
                     });
}

void MatrixTiles::store(const Group &group) {
  for (int64_t number = 0; number < tilesOf(group); ++number) {
    Value address = toPointer(addressOf(buffers.scratch, constant(4 * (group.place + number * tileWords))));
    call("llvm.x86.tilestored64", {tile(number), address, stride(tileRowBytes)});
  }
}

/// Pieces are the first group's, which has the tile registers meanwhile; the others follow at the end.
void MatrixTiles::begin(const Block &block) {
  if (!takesGroups(kernel))
    begin(groups.front(), block);
}

/// Two rows for each step of k, where there are steps enough: products then go on while two rows are finished, and as many
/// instructions as a core looks ahead hold some of both. Four rows hide their own latency.
int64_t MatrixTiles::rowsOfPiece() const {
  return !groups.front().form.int8 && rows > tileRows && stepsOf(groups.front()) >= rows / 2 ? 2 : 4;
}

void MatrixTiles::addPiece(const Block &block, Value piece) {
  if (takesGroups(kernel))
    return;
  Group &group = groups.front();
  if (int64_t steps = stepsOf(group) / pieces()) { // what is left follows at the end
    int64_t parts = holdsOperands(group) ? tilesOf(group) : 1;
    for (int64_t number = 0; number < steps * parts; ++number)
      mark(number, [&] {
        Value step = add(times(piece, steps), constant(number / parts));
        if (parts > 1)
          multiplyHeld(group, block, step, number % parts);
        else
          multiply(group, block, step);
      });
    return;
  }
  Value scaled = times(piece, stepsOf(group)), count = constant(pieces());
  Value first = arith::DivUIOp::create(builder, loc, scaled, count);
  Value last = arith::DivUIOp::create(builder, loc, add(scaled, constant(stepsOf(group))), count);
  multiply(group, block, first, last);
}

void MatrixTiles::end(const Block &block) {
  if (takesGroups(kernel)) {
    for (Group &group : groups)
      for (size_t linear = 0; linear < group.linears.size(); ++linear)
        sumGroups(group, linear, block);
    return;
  }
  int64_t steps = stepsOf(groups.front());
  if (steps > pieces() && steps % pieces())
    multiply(groups.front(), block, constant(steps - steps % pieces()), constant(steps));
  store(groups.front());
  for (Group &group : llvm::drop_begin(groups)) {
    begin(group, block);
    multiply(group, block, constant(0), constant(stepsOf(group)));
    store(group);
  }
}

void MatrixTiles::define(TileEvaluator &evaluator, const Tile &tile, Value inside) {
  for (Group &group : groups)
    for (auto [l, linear] : llvm::enumerate(group.linears)) {
      ProjectionScaling scaling(builder, loc, evaluator, buffers, linear, group.form);
      SmallVector<Value> results;
      for (int64_t m = 0; m < tile.rows; ++m)
        for (int64_t n = 0; n < tile.panels; ++n) {
          int64_t first = group.place + (int64_t(l) * panels + n) * rowTiles * tileWords;
          Value place = add(times(add(inside, constant(m)), panelWidth), constant(first));
          Value sum = evaluator.loadVector(buffers.scratch, place);
          results.push_back(scaling.finish(sum, m, n));
        }
      evaluator.define(linear.getResult(), std::move(results));
    }
}
