//===- WidenedWeights.cpp - stored weights, unpacked in scratch for many rows ------------------------------------===//

#include "WidenedWeights.h"

#include "ProjectionInput.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace sm1;

bool sm1::unpacksWeights(LinearOp linear, const ProductForm &form) {
  return !form.dot && !getElementTypeOrSelf(linear.getWeight()).isF32();
}

int64_t sm1::widenedStride(Value matrix, const ProductForm &form) {
  int64_t steps = cast<MemRefType>(matrix.getType()).getDimSize(1);
  return steps * int64_t(form.parts().size()) * panelWidth;
}

/// Where factor `part` of a step is.
static Value placeOf(OpBuilder &builder, Location loc, const ProductForm &form, ScratchRegion region, Value number, Value step,
                     size_t part) {
  auto constant = [&](int64_t value) -> Value { return arith::ConstantIndexOp::create(builder, loc, value); };
  Value panel = builder.createOrFold<arith::MulIOp>(loc, number, constant(region.stride));
  Value inside = builder.createOrFold<arith::MulIOp>(loc, step, constant(int64_t(form.parts().size()) * panelWidth));
  Value start = builder.createOrFold<arith::AddIOp>(loc, panel, inside);
  return builder.createOrFold<arith::AddIOp>(loc, start, constant(region.offset + int64_t(part) * panelWidth));
}

void sm1::widenPanels(OpBuilder &builder, Location loc, Value matrix, const ProductForm &form, Value scratch, ScratchRegion region,
                      Value panel, int64_t panels) {
  auto type = cast<MemRefType>(matrix.getType());
  auto constant = [&](int64_t value) -> Value { return arith::ConstantIndexOp::create(builder, loc, value); };
  auto widenStep = [&](Value number, Value step) {
    Value source = arith::AddIOp::create(builder, loc, panel, number);
    Value stored = vector::LoadOp::create(builder, loc, VectorType::get({panelWidth}, type.getElementType()), matrix,
                                          ValueRange{source, step, constant(0)});
    for (size_t part = 0; part < form.parts().size(); ++part)
      vector::StoreOp::create(builder, loc, WordVectors(builder, loc).weightPart(stored, form, part), scratch,
                              placeOf(builder, loc, form, region, number, step, part));
  };
  for (int64_t n = 0; n < panels; ++n)
    scf::ForOp::create(builder, loc, constant(0), constant(type.getDimSize(1)), constant(1), ValueRange(),
                       [&](OpBuilder &, Location, Value step, ValueRange) {
                         widenStep(constant(n), step);
                         scf::YieldOp::create(builder, loc);
                       });
}

Value sm1::widenedPart(OpBuilder &builder, Location loc, const ProductForm &form, Value scratch, ScratchRegion region, Value number,
                       Value step, size_t part) {
  return vector::LoadOp::create(builder, loc, VectorType::get({panelWidth}, builder.getF32Type()), scratch,
                                placeOf(builder, loc, form, region, number, step, part));
}
