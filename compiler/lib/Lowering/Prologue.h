//===- Prologue.h - rows that a task makes in scratch before it multiplies them ----------------------------------===//

#ifndef SM1C_LOWERING_PROLOGUE_H
#define SM1C_LOWERING_PROLOGUE_H

#include "TileEvaluator.h"

namespace sm1 {

/// True if `linear` multiplies what its kernel computes or quantises.
inline bool hasPrologue(LinearOp linear) { return linear.getInt8() || linear.getX().getDefiningOp(); }

/// The form and size of a row of what is made of `x`; `buffers` knows the layouts of the matrices it is multiplied with. The offset
/// is left to the caller.
PrologueRegion prologueRegion(mlir::Value x, const KernelBuffers &buffers, Products products);

/// Where in scratch row `taskRow` of the task begins, and how far from there its word `word` is.
mlir::Value startOfRow(mlir::OpBuilder &builder, mlir::Location loc, const PrologueRegion &region, mlir::Value taskRow);
mlir::Value distanceOfWord(mlir::OpBuilder &builder, mlir::Location loc, const PrologueRegion &region, mlir::Value word);

/// Stores a vector of a row, from channel `column` on, to the row that begins at word `start`; rows to be quantised as f32 first.
void storePrologue(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value vector, mlir::Value scratch, mlir::Value start,
                   mlir::Value column, const PrologueRegion &region);

/// Loads 16 f32 of a row from a column on.
using RowLoader = llvm::function_ref<mlir::Value(mlir::Value column)>;

/// Quantises a row of `width` f32, of which tail * 4 can be loaded, to the row that begins at `start`: see sm1.linear.
void quantiseRow(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value scratch, RowLoader floats, mlir::Value start,
                 int64_t width, const PrologueRegion &region);

} // namespace sm1

#endif // SM1C_LOWERING_PROLOGUE_H
