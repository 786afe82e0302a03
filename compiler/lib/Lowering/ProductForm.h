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
  /// Where that instruction is none of VNNI: lanes of its vectors. It multiplies pairs of 16-bit integers, or of int4 pairs of
  /// bytes, whose sums fit 16 bits.
  int64_t maddLanes;
  bool table; ///< int4 are looked up among 16 lanes

  /// From the types and the layout of the matrix; `products` of the kernel's schedule. `maddLanes` of a target
  /// whose dot products are those of integers without VNNI, else 0.
  static ProductForm of(LinearOp linear, llvm::StringRef layout, Products products, int64_t maddLanes = 0);

  /// Whether two projections can walk k together.
  bool operator==(const ProductForm &other) const {
    return weights == other.weights && rounded == other.rounded && int8 == other.int8 && dot == other.dot &&
           maddLanes == other.maddLanes;
  }

  /// k between the beginnings of two steps, and steps of a block.
  int64_t stepWidth() const;
  int64_t blockSteps() const;
  int64_t blockWidth() const;

  /// What one vector of weights is multiplied as: for each part the first of its k, counted from the beginning of the step.
  llvm::ArrayRef<int64_t> parts() const;
  /// k of one part: 1, or what a dot product takes.
  int64_t partWidth() const { return !dot ? 1 : weights == Weights::Pairs || multipliesWords() ? 2 : 4; }
  /// Neighbouring parts whose x lie in one word of a row.
  int64_t partsOfWord() const { return dot || !(rounded || int8) ? 1 : rounded ? 2 : 4; }
  /// Chains of a block that are added at its end; part i goes to chain i % chains().
  int64_t chains() const { return rounded && !dot ? 2 : 1; }
  /// Sums are integers until they are scaled.
  bool sumsIntegers() const { return int8 && dot; }
  /// Integers of 16 bits are multiplied: in each word of x and of weights those of k and k + 2.
  bool multipliesWords() const { return maddLanes && weights == Weights::Quads; }
  /// The sums of a block are integers of 16 bits, two of them in a word.
  bool sumsHalves() const { return maddLanes && weights == Weights::Nibbles; }
};

} // namespace sm1

#endif // SM1C_LOWERING_PRODUCTFORM_H
