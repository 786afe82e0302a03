//===- Sm1NormHalves.cpp - sm1.panel_squares, sm1.rms_scale ------------------------------------------------------===//

#include "sm1/IR/Sm1NormHalves.h"

using namespace mlir;
using namespace sm1;

#define GET_OP_CLASSES
#include "sm1/IR/Sm1NormHalves.cpp.inc"

LogicalResult PanelSquaresOp::inferReturnTypes(MLIRContext *context, std::optional<Location> loc, ValueRange operands,
                                               DictionaryAttr attributes, OpaqueProperties properties, RegionRange regions,
                                               SmallVectorImpl<Type> &types) {
  Type x = operands[0].getType();
  std::optional<uint64_t> parts = PanelSquaresOpAdaptor(operands, attributes, properties, regions).getParts();
  if (!isFloatStream(x)) // which no verifier has seen yet
    return emitOptionalError(loc, "'", getOperationName(), "' op operand #0 must be stream tensor<?x?xCxf32>, got ", x);
  int64_t numbers = parts ? int64_t(*parts) : panelsOf(channels(x));
  types.push_back(RankedTensorType::get({ShapedType::kDynamic, ShapedType::kDynamic, numbers}, getElementTypeOrSelf(x)));
  return success();
}

LogicalResult PanelSquaresOp::verify() {
  if (getParts() && *getParts() % 4)
    return emitOpError("panel_squares_c1: parts must be a multiple of 4, got ") << *getParts();
  return success();
}

LogicalResult RmsScaleOp::verify() {
  int64_t panels = panelsOf(getWidth()), numbers = channels(getSquares().getType());
  if (numbers != panels && numbers % 4)
    return emitOpError("rms_scale_c1: a row of ")
           << getWidth() << " channels has " << panels << " panels or a multiple of 4 parts, got squares of type "
           << getSquares().getType();
  return success();
}

void PanelSquaresOp::getAsmResultNames(OpAsmSetValueNameFn set) { set(getResult(), "squares"); }
void RmsScaleOp::getAsmResultNames(OpAsmSetValueNameFn set) { set(getResult(), "normed"); }
