//===- WidenedWeights.h - stored weights, unpacked in scratch for many rows --------------------------------------===//
//
// Weights that are stored narrower than they are multiplied take instructions at every load. A task of many rows unpacks a few
// panels once and multiplies all its rows with what lies in scratch; products and sums are the same.

#ifndef SM1C_LOWERING_WIDENEDWEIGHTS_H
#define SM1C_LOWERING_WIDENEDWEIGHTS_H

#include "TileEvaluator.h"

namespace sm1 {

/// Whether the weights of `linear` are unpacked before they are multiplied.
bool unpacksWeights(LinearOp linear, const ProductForm &form);

/// Words of scratch for one unpacked panel of `matrix`, a buffer of the kernel.
int64_t widenedStride(mlir::Value matrix, const ProductForm &form);

/// Unpacks `panels` panels of `matrix` from `panel` on into `region`.
void widenPanels(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value matrix, const ProductForm &form, mlir::Value scratch,
                 ScratchRegion region, mlir::Value panel, int64_t panels);

/// Factor `part` of `step` in the panel that is `number` panels into `region`.
mlir::Value widenedPart(mlir::OpBuilder &builder, mlir::Location loc, const ProductForm &form, mlir::Value scratch,
                        ScratchRegion region, mlir::Value number, mlir::Value step, size_t part);

} // namespace sm1

#endif // SM1C_LOWERING_WIDENEDWEIGHTS_H
