//===- ProjectionInput.h - what a projection multiplies, row by row, and vectors of packed words -----------------===//

#ifndef SM1C_LOWERING_PROJECTIONINPUT_H
#define SM1C_LOWERING_PROJECTIONINPUT_H

#include "TileEvaluator.h"

namespace sm1 {

/// Vectors of 16 words of 32 bits, and what is packed in them.
class WordVectors {
public:
  WordVectors(mlir::OpBuilder &builder, mlir::Location loc) : builder(builder), loc(loc) {}

  mlir::Value integer(int32_t value);
  mlir::Value times(mlir::Value words, int32_t factor);
  mlir::Value toFloat(mlir::Value words);
  mlir::Value toInteger(mlir::Value floats);
  mlir::Value bitsOf(mlir::Value floats);
  mlir::Value broadcast(mlir::Value scalar);

  /// The two bf16 of each word, as f32.
  mlir::Value lowBf16(mlir::Value words);
  mlir::Value highBf16(mlir::Value words);
  /// The signed number in the `bits` bits of each word from bit `from` on, as f32.
  mlir::Value signedPart(mlir::Value words, int32_t from, int32_t bits);

  /// The int4 of each word from bit `from` on, which are stored as themselves plus 8, as f32 (AVX-512).
  mlir::Value int4Of(mlir::Value stored, int32_t from);

  /// The vector of weights `stored` as the factor of form.parts()[part].
  mlir::Value weightPart(mlir::Value stored, const ProductForm &form, size_t part);

  /// sum + four products of unsigned bytes of `weights` and signed bytes of `x` (AVX-512 VNNI).
  mlir::Value dotInt8(mlir::Value sum, mlir::Value weights, mlir::Value x);
  /// sum + two products of 16-bit integers, by vectors of `lanes` words: 8 (AVX2) or 16 (AVX-512).
  mlir::Value maddWords(mlir::Value sum, mlir::Value weights, mlir::Value x, int64_t lanes);
  /// Of 16 bits each: sum + two products of unsigned bytes of `weights` and signed bytes of `x`; likewise.
  mlir::Value maddBytes(mlir::Value sum, mlir::Value weights, mlir::Value x, int64_t lanes);
  /// sum + both 16-bit integers of each word.
  mlir::Value addHalves(mlir::Value sum, mlir::Value halves, int64_t lanes);
  /// sum + two products of bf16 (AVX512-BF16).
  mlir::Value dotBf16(mlir::Value sum, mlir::Value weights, mlir::Value x);

private:
  mlir::Type words();
  mlir::Type floats();
  mlir::Value shiftLeft(mlir::Value value, int32_t by);
  /// Of each 16 bits the higher byte, zero-extended.
  mlir::Value highBytes(mlir::Value stored);
  mlir::Value addProducts(llvm::StringRef intrinsic, mlir::Value sum, mlir::Value a, mlir::Value b, int64_t bits, int64_t lanes);
  mlir::Value as(mlir::Value value, int64_t lanes, mlir::Type element);

  mlir::OpBuilder &builder;
  mlir::Location loc;
};

/// x of a projection: a buffer of the workspace, or rows that a prologue has made in scratch.
class ProjectionInput {
public:
  ProjectionInput(mlir::OpBuilder &builder, mlir::Location loc, TileEvaluator &at, const KernelBuffers &buffers, mlir::Value x,
                  ProductForm form);

  /// What parts of a step at `k`, in the word `word` of the row, are multiplied with, for row m of the tile: those of which
  /// `firsts` are the first k, all in one word of the row. Parts that begin at `valid` or later are null; a dot product gets zeros
  /// for what is not valid.
  llvm::SmallVector<mlir::Value> parts(int64_t m, mlir::Value k, mlir::Value word, llvm::ArrayRef<int64_t> firsts, int64_t valid);

  /// Of rows made in scratch: where word `word` of the tile's first row is, as a pointer of its own, and a word of row m from there
  /// on in all lanes. An instruction with an index besides would be two in the processor where it multiplies what it loads.
  mlir::Value anchor(mlir::Value word);
  mlir::Value wordFrom(mlir::Value anchor, int64_t m, int64_t word);

  /// Of quantised rows: the scale (f32), the sum of all integers and -8 times that of one group's (words), each in all lanes.
  mlir::Value scale(int64_t m);
  mlir::Value sum(int64_t m);
  mlir::Value groupCorrection(int64_t m, mlir::Value group);

private:
  /// Where the part of a step is that begins at k `first` of it.
  mlir::Value wordOfPart(mlir::Value word, int64_t first);
  /// Address in scratch of a word of row m.
  mlir::Value place(int64_t m, mlir::Value word);
  mlir::Value floatAt(int64_t m, mlir::Value k);
  /// A word of the row in all lanes.
  mlir::Value wordAt(int64_t m, mlir::Value k, mlir::Value word);
  mlir::Value tail(int64_t m, mlir::Value offset);

  mlir::OpBuilder &builder;
  mlir::Location loc;
  TileEvaluator &at;
  const KernelBuffers &buffers;
  mlir::Value x;
  ProductForm form;
  WordVectors w;
  const PrologueRegion *region = nullptr;
};

/// From the sum of a projection to its result.
class ProjectionScaling {
public:
  ProjectionScaling(mlir::OpBuilder &builder, mlir::Location loc, TileEvaluator &at, const KernelBuffers &buffers, LinearOp linear,
                    ProductForm form)
      : builder(builder), loc(loc), at(at), buffers(buffers), linear(linear), form(form), w(builder, loc),
        x(builder, loc, at, buffers, linear.getX(), form) {}

  /// `total` of row m and panel n of the tile: what is quantised is scaled, and freed of what integers were stored with. Sums of
  /// int8 may come as integers in words or, from a tile register, in the bits of floats.
  mlir::Value finish(mlir::Value total, int64_t m, int64_t n);

private:
  mlir::OpBuilder &builder;
  mlir::Location loc;
  TileEvaluator &at;
  const KernelBuffers &buffers;
  LinearOp linear;
  ProductForm form;
  WordVectors w;
  ProjectionInput x;
};

} // namespace sm1

#endif // SM1C_LOWERING_PROJECTIONINPUT_H
