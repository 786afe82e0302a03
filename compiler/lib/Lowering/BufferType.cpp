//===- BufferType.cpp - how a kernel's operands and results lie in memory ----------------------------------------===//

#include "TileEvaluator.h"

using namespace mlir;
using namespace sm1;

MemRefType sm1::bufferType(Type type, StringRef layout) {
  auto tensor = cast<RankedTensorType>(type);
  auto shape = tensor.getShape();
  Type element = tensor.getElementType();
  switch (classify(type)) {
  case TensorClass::Tokens:
    return MemRefType::get({ShapedType::kDynamic}, element);
  case TensorClass::Stream:
    return MemRefType::get({ShapedType::kDynamic, strideOf(shape[2])}, element);
  case TensorClass::State: {
    // Channels go last, so that a panel of them is contiguous.
    SmallVector<int64_t> sizes{ShapedType::kDynamic};
    llvm::append_range(sizes, shape.drop_front(2));
    sizes.push_back(strideOf(shape[1]));
    return MemRefType::get(sizes, element);
  }
  default:
    break;
  }
  int64_t panels = strideOf(shape[0]) / panelWidth;
  auto steps = [&](int64_t width) { return llvm::divideCeil(shape[1], width); };
  Type word = IntegerType::get(type.getContext(), 32);
  if (layout == "panels")
    return MemRefType::get({panels, shape[1], panelWidth}, element);
  // A word has two neighbouring k in bf16, four in int8, or eight in int4.
  if (layout == "pairs")
    return MemRefType::get({panels, int64_t(steps(2)), panelWidth}, word);
  if (layout == "quads")
    return MemRefType::get({panels, int64_t(steps(4)), panelWidth}, word);
  if (layout == "nibbles")
    return MemRefType::get({panels, int64_t(steps(32)) * 4, panelWidth}, word);
  if (layout == "scales")
    return shape[1] == 1 ? MemRefType::get({panels * panelWidth}, element)
                         : MemRefType::get({panels, shape[1], panelWidth}, element);
  if (layout == "fragments") { // two numbers of e4m3 are where one of bf16 is
    int64_t inOne = 16 / element.getIntOrFloatBitWidth();
    return MemRefType::get({panels, fragmentTiles(steps(inOne)), 32, 8 * inOne}, element);
  }
  if (layout == "images") {
    int64_t width = 512 / element.getIntOrFloatBitWidth(); // of a line of 64 bytes
    return MemRefType::get({int64_t(steps(width)), panels, panelWidth, width}, element);
  }
  if (layout == "stages") { // steps of 128 bytes of k, panels in eights, of each 64 bytes more than they have
    int64_t bytes = element.getIntOrFloatBitWidth() / 8;
    return MemRefType::get({int64_t(steps(128 / bytes)), int64_t(llvm::alignTo(panels, 8)), 33 * panelWidth * 4 / bytes}, element);
  }
  if (layout == "rows")
    return MemRefType::get({shape[0], strideOf(shape[1])}, element);
  if (shape.size() == 1)
    return MemRefType::get({strideOf(shape[0])}, element);
  return MemRefType::get({ShapedType::getNumElements(shape.drop_front()), strideOf(shape[0])}, element);
}
