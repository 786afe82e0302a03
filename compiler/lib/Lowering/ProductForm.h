//===- ProductForm.h - how the products of a projection are read, multiplied and summed --------------------------===//
//
// The order of a sum is part of the meaning of sm1.linear; this is where it is turned into loops. A projection walks k in steps, a
// vector of weights each, in blocks of steps that are summed by themselves.

#ifndef SM1C_LOWERING_PRODUCTFORM_H
#define SM1C_LOWERING_PRODUCTFORM_H

#include "sm1/IR/Sm1.h"

namespace sm1 {

struct ProductForm {
  /// How the matrix lies in memory; the names are those of the packing steps.
  enum class Weights { Panels, Pairs, Quads, Nibbles };

  Weights weights;
  bool rounded; ///< x is bf16, and neighbouring k are multiplied apart
  bool int8;    ///< x is quantised
  bool dot;     ///< an instruction multiplies and adds neighbouring k
  bool table;   ///< int4 are looked up among 16 lanes

  /// From the types and the layout of the matrix; `products` of the kernel's schedule.
  static ProductForm of(LinearOp linear, llvm::StringRef layout, Products products);

  /// Whether two projections can walk k together.
  bool operator==(const ProductForm &other) const {
    return weights == other.weights && rounded == other.rounded && int8 == other.int8 && dot == other.dot;
  }

  /// k between the beginnings of two steps, and steps of a block.
  int64_t stepWidth() const;
  int64_t blockSteps() const;
  int64_t blockWidth() const;

  /// What one vector of weights is multiplied as: for each part the first of its k, counted from the beginning of the step.
  llvm::ArrayRef<int64_t> parts() const;
  /// k of one part: 1, or what a dot product takes.
  int64_t partWidth() const { return !dot ? 1 : weights == Weights::Pairs ? 2 : 4; }
  /// Neighbouring parts whose x lie in one word of a row.
  int64_t partsOfWord() const { return dot || !(rounded || int8) ? 1 : rounded ? 2 : 4; }
  /// Chains of a block that are added at its end; part i goes to chain i % chains().
  int64_t chains() const { return rounded && !dot ? 2 : 1; }
  /// Sums are integers until they are scaled.
  bool sumsIntegers() const { return int8 && dot; }
};

} // namespace sm1

#endif // SM1C_LOWERING_PRODUCTFORM_H
