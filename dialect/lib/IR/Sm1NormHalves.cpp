//===- Sm1NormHalves.cpp - sm1.panel_squares, sm1.rms_scale ------------------------------------------------------===//

#include "sm1/IR/Sm1NormHalves.h"

using namespace mlir;
using namespace sm1;

#define GET_OP_CLASSES
#include "sm1/IR/Sm1NormHalves.cpp.inc"

LogicalResult PanelSquaresOp::inferReturnTypes(MLIRContext *context, std::optional<Location> loc, ValueRange operands,
                                               DictionaryAttr, OpaqueProperties, RegionRange, SmallVectorImpl<Type> &types) {
  Type x = operands[0].getType();
  if (!isFloatStream(x)) // which no verifier has seen yet
    return emitOptionalError(loc, "'", getOperationName(), "' op operand #0 must be stream tensor<?x?xCxf32>, got ", x);
  types.push_back(
      RankedTensorType::get({ShapedType::kDynamic, ShapedType::kDynamic, panelsOf(channels(x))}, getElementTypeOrSelf(x)));
  return success();
}

LogicalResult RmsScaleOp::verify() {
  int64_t panels = panelsOf(getWidth());
  if (channels(getSquares().getType()) != panels)
    return emitOpError("rms_scale_c1: a row of ")
           << getWidth() << " channels has " << panels << " panels, got squares of type " << getSquares().getType();
  return success();
}

void PanelSquaresOp::getAsmResultNames(OpAsmSetValueNameFn set) { set(getResult(), "squares"); }
void RmsScaleOp::getAsmResultNames(OpAsmSetValueNameFn set) { set(getResult(), "normed"); }
