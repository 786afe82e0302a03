//===- MatrixTiles.cpp - sums of projections in tile registers (AMX) ---------------------------------------------===//

#include "MatrixTiles.h"

#include "ProjectionInput.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

/// Of eight tile registers six hold sums, one rows, one weights: five loads of memory for six products.
static constexpr int64_t sumTiles = 6, rowTile = 6, weightTile = 7;
static constexpr int64_t configWords = 16, tileWords = 256;

static ProductForm formOf(LinearOp linear, KernelOp kernel) {
  auto argument = dyn_cast<BlockArgument>(linear.getWeight());
  auto param = argument ? kernel.getInputs()[argument.getArgNumber()].getDefiningOp<ParamOp>() : ParamOp();
  return ProductForm::of(linear, param ? param.getLayout().value_or("") : "", kernel.getScheduleAttr().getProducts());
}

/// k of one step: 64 bytes of a row.
static int64_t stepWidth(const ProductForm &form) { return form.int8 ? tileRowBytes : tileRowBytes / 2; }

const char *sm1::whyNotMatrixTiles(KernelOp kernel) {
  ScheduleAttr schedule = kernel.getScheduleAttr();
  llvm::SmallDenseMap<Value, int64_t> tilesOf;
  for (auto linear : kernel.getBlock().getOps<LinearOp>()) {
    ProductForm form = formOf(linear, kernel);
    bool bf16 = form.rounded && form.weights == ProductForm::Weights::Pairs,
         int8 = form.int8 && form.dot && form.weights == ProductForm::Weights::Quads;
    if (!bf16 && !int8)
      return "tile registers multiply bf16 pairs, and int8 quads with products = dot";
    if (channels(linear.getX().getType()) % stepWidth(form))
      return "tile registers take whole 64 bytes of a row";
    if ((tilesOf[linear.getX()] += schedule.getMatrixRows() / tileRows * schedule.getMatrixPanels()) > sumTiles)
      return "six tile registers hold the sums of projections of one x; take fewer rows or panels";
  }
  return tilesOf.empty() ? "has no projection for tile registers" : nullptr;
}

int64_t MatrixTiles::wordsOf(KernelOp kernel) {
  ScheduleAttr schedule = kernel.getScheduleAttr();
  int64_t linears = llvm::range_size(kernel.getBlock().getOps<LinearOp>());
  return configWords + linears * schedule.getMatrixRows() / tileRows * schedule.getMatrixPanels() * tileWords;
}

MatrixTiles::MatrixTiles(OpBuilder &builder, KernelOp kernel, const KernelBuffers &buffers, int64_t rows, int64_t scratchOffset)
    : builder(builder), loc(kernel.getLoc()), kernel(kernel), buffers(buffers), rows(rows), scratch(scratchOffset),
      rowTiles(llvm::divideCeil(rows, tileRows)), panels(kernel.getScheduleAttr().getMatrixPanels()) {
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
    place += int64_t(group.linears.size()) * rowTiles * panels * tileWords;
  }
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

Value MatrixTiles::tile(int64_t number) { return arith::ConstantIntOp::create(builder, loc, number, 8); }

static Value toPointer(OpBuilder &builder, Location loc, Value address) {
  Value integer = arith::IndexCastOp::create(builder, loc, builder.getI64Type(), address);
  return LLVM::IntToPtrOp::create(builder, loc, LLVM::LLVMPointerType::get(builder.getContext()), integer);
}

void MatrixTiles::load(int64_t number, Value address, int64_t pitch, int64_t ahead) {
  Value stride = arith::ConstantIntOp::create(builder, loc, pitch, 64);
  call("llvm.x86.tileloadd64", {tile(number), toPointer(builder, loc, address), stride});
  if (!ahead)
    return;
  for (int64_t row = 0; row < tileRows; ++row)
    LLVM::Prefetch::create(builder, loc, toPointer(builder, loc, add(address, constant(row * pitch + ahead))), /*rw=*/0, /*hint=*/3,
                           /*cache=*/1);
}

/// Palette 1: rows of 64 bytes, 16 of them in each register, but for the rows and sums of a smaller block.
void MatrixTiles::configure() {
  uint8_t bytes[64] = {1};
  for (int64_t number = 0; number < 8; ++number) {
    bytes[16 + 2 * number] = tileRowBytes;
    bytes[48 + number] = number == weightTile ? tileRows : std::min(rows, tileRows);
  }
  SmallVector<int32_t> words(configWords);
  std::memcpy(words.data(), bytes, sizeof(bytes));
  auto integers = VectorType::get({configWords}, builder.getI32Type()),
       floats = VectorType::get({configWords}, builder.getF32Type());
  Value config = arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(integers, ArrayRef<int32_t>(words)));
  vector::StoreOp::create(builder, loc, arith::BitcastOp::create(builder, loc, floats, config), buffers.scratch,
                          ValueRange{constant(scratch)});
  call("llvm.x86.ldtilecfg", {toPointer(builder, loc, addressOf(buffers.scratch, constant(4 * scratch)))});
}

void MatrixTiles::release() { call("llvm.x86.tilerelease", {}); }

std::pair<Value, int64_t> MatrixTiles::inputOf(Group &group, Value row) {
  Value x = group.linears.front().getX();
  if (auto found = buffers.prologues.find(x); found != buffers.prologues.end()) {
    const PrologueRegion &region = found->second;
    Value taskRow = arith::SubIOp::create(builder, loc, row, buffers.rowBegin);
    return {addressOf(buffers.scratch, add(times(taskRow, 4 * region.stride), constant(4 * region.offset))), 4 * region.stride};
  }
  Value buffer = buffers.inputs.lookup(x);
  int64_t pitch = 2 * cast<MemRefType>(buffer.getType()).getDimSize(1);
  return {addressOf(buffer, times(row, pitch)), pitch};
}

/// One step of k. Rows are walked there and back, so that the weights of the turn are already loaded.
void MatrixTiles::multiply(Group &group, Value row, Value panel, Value step) {
  auto [input, pitch] = inputOf(group, row);
  int64_t count = int64_t(group.linears.size()) * panels, loaded = -1;
  for (int64_t r = 0; r < rowTiles; ++r) {
    load(rowTile, add(add(input, constant(r * tileRows * pitch)), times(step, tileRowBytes)), pitch, 0);
    for (int64_t i = 0; i < count; ++i) {
      int64_t column = r % 2 ? count - 1 - i : i;
      if (column != loaded) {
        Value matrix = buffers.inputs.lookup(group.linears[column / panels].getWeight());
        int64_t panelBytes = 4 * panelWidth * cast<MemRefType>(matrix.getType()).getDimSize(1);
        Value place = add(times(add(panel, constant(column % panels)), panelBytes), times(step, tileRows * tileRowBytes));
        // Weights pass by once for a few rows, so those of the next panels are asked for; many rows find them in the cache.
        load(weightTile, addressOf(matrix, place), tileRowBytes, rows < tileRows ? panels * panelBytes : 0);
        loaded = column;
      }
      call(group.form.int8 ? "llvm.x86.tdpbsud" : "llvm.x86.tdpbf16ps",
           {tile(column * rowTiles + r), tile(rowTile), tile(weightTile)});
    }
  }
}

void MatrixTiles::sumGroup(Group &group, Value row, Value panel) {
  int64_t count = int64_t(group.linears.size()) * panels * rowTiles;
  for (int64_t number = 0; number < count; ++number)
    call("llvm.x86.tilezero", {tile(number)});
  int64_t steps = channels(group.linears.front().getX().getType()) / stepWidth(group.form);
  scf::ForOp::create(builder, loc, constant(0), constant(steps), constant(1), ValueRange(),
                     [&](OpBuilder &, Location, Value step, ValueRange) {
                       multiply(group, row, panel, step);
                       scf::YieldOp::create(builder, loc);
                     });
  for (int64_t number = 0; number < count; ++number) {
    Value address = toPointer(builder, loc, addressOf(buffers.scratch, constant(4 * (group.place + number * tileWords))));
    Value stride = arith::ConstantIntOp::create(builder, loc, tileRowBytes, 64);
    call("llvm.x86.tilestored64", {tile(number), address, stride});
  }
}

void MatrixTiles::sum(Value row, Value panel) {
  for (Group &group : groups)
    sumGroup(group, row, panel);
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
