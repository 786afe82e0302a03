//===- Boxes.h - tiles by mma.sync whose operands the copy engine brings ------------------------------------------===//

#ifndef SM1C_TRANSFORMS_BOXES_H
#define SM1C_TRANSFORMS_BOXES_H

#include "BlockForms.h"

namespace sm1 {

/// Of a kernel with tensor_tiles: its operands come by the copy engine, rows as boxes of a tensor map, in steps of twice as many k.
inline constexpr llvm::StringLiteral boxesAttr = "boxes";

/// Whether rows of the kernel come as boxes of a tensor map.
inline bool takesBoxes(KernelOp kernel) {
  BlockForm form = kernel.getBlocksAttr().getForm();
  return form == BlockForm::WgmmaTiles || (form == BlockForm::TensorTiles && kernel->hasAttr(boxesAttr));
}

/// Of tensor_tiles with boxes: bytes of a row in a step, and of a panel, which the next one is half a line further behind. Weights
/// ("stages") have panels in so many, which those of a tile divide.
inline constexpr int64_t bytesOfBoxLine = 128, bytesOfBoxPanel = 16 * bytesOfBoxLine + 64, mostRowsOfBox = 256, panelsOfStages = 8;

/// Bytes of a step.
inline int64_t bytesOfBoxStep(int64_t rows, int64_t panels) { return rows * bytesOfBoxLine + panels * bytesOfBoxPanel; }

/// Slices of 64 bytes that a box of `blocks` has of a row of `x`.
inline int64_t slicesOfBox(BlockScheduleAttr blocks, mlir::Type x, bool wideSteps) {
  return blocks.getForm() == BlockForm::TensorTiles ? bytesOfBoxLine / 64 : wgmmaSlices(blocks, x, wideSteps);
}

/// Whether `target` has a copy engine that knows tensor maps.
inline bool copiesBoxes(const Target &target) { return target.isGpu() && target.gpu->capability >= 90; }

} // namespace sm1

#endif // SM1C_TRANSFORMS_BOXES_H
