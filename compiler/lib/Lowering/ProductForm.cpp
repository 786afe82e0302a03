//===- ProductForm.cpp - how the products of a projection are read, multiplied and summed ------------------------===//

#include "ProductForm.h"

#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace sm1;

ProductForm ProductForm::of(LinearOp linear, StringRef layout, Products products, int64_t maddLanes) {
  auto weights = llvm::StringSwitch<Weights>(layout)
                     .Case("pairs", Weights::Pairs)
                     .Case("quads", Weights::Quads)
                     .Case("nibbles", Weights::Nibbles)
                     .Default(Weights::Panels);
  bool rounded = weights == Weights::Pairs && getElementTypeOrSelf(linear.getX()).isBF16();
  bool dot = products == Products::Dot && ((rounded && !maddLanes) || linear.getInt8());
  return {weights, rounded, linear.getInt8(), dot, dot ? maddLanes : 0, products == Products::Table && weights == Weights::Nibbles};
}

int64_t ProductForm::stepWidth() const {
  switch (weights) {
  case Weights::Panels:
    return 1;
  case Weights::Pairs:
    return 2;
  case Weights::Quads:
  case Weights::Nibbles: // of 8 k that lie 16 apart
    return 4;
  }
  llvm_unreachable("no such arrangement of weights");
}

int64_t ProductForm::blockSteps() const {
  if (weights == Weights::Nibbles)
    return 4;
  return blockWidth() / stepWidth();
}

int64_t ProductForm::blockWidth() const {
  if (weights == Weights::Nibbles)
    return 32; // one scale
  if (int8)
    return 256; // 256 · 128 · 127 is below 2^24, so that sums in f32 are exact too
  return rounded && !dot ? 32 : 64;
}

ArrayRef<int64_t> ProductForm::parts() const {
  static constexpr int64_t neighbours[] = {0, 1, 2, 3}, nibbles[] = {0, 1, 2, 3, 16, 17, 18, 19}, halves[] = {0, 16};
  if (weights == Weights::Nibbles)
    return dot ? ArrayRef(halves) : ArrayRef(nibbles);
  return ArrayRef(neighbours).take_front(stepWidth() / partWidth());
}
