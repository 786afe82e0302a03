//===- Prologue.h - rows that a task makes in scratch before it multiplies them ----------------------------------===//

#ifndef SM1C_LOWERING_PROLOGUE_H
#define SM1C_LOWERING_PROLOGUE_H

#include "TileEvaluator.h"

namespace sm1 {

/// True if `linear` multiplies what its kernel computes or quantises.
inline bool hasPrologue(LinearOp linear) { return linear.getInt8() || linear.getX().getDefiningOp(); }

/// The form and size of a row of what is made of `x`; `buffers` knows the layouts of the matrices it is multiplied with. The offset
/// is left to the caller.
PrologueRegion prologueRegion(mlir::Value x, const KernelBuffers &buffers);

/// Stores a vector of a row, from channel `column` on, to the row that begins at word `start`; rows to be quantised as f32 first.
void storePrologue(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value vector, mlir::Value scratch, mlir::Value start,
                   mlir::Value column, PrologueRegion::Words words);

/// Quantises a row of `width` f32 at word `floats`, with room for tail * 4, to the row that begins at `start`: see sm1.linear.
void quantiseRow(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value scratch, mlir::Value floats, mlir::Value start,
                 int64_t width, const PrologueRegion &region);

} // namespace sm1

#endif // SM1C_LOWERING_PROLOGUE_H
