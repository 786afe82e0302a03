//===- TensorTiles.h - what the forms of tiles on tensor cores share ---------------------------------------------===//

#ifndef SM1C_LOWERING_GPU_TENSORTILES_H
#define SM1C_LOWERING_GPU_TENSORTILES_H

#include "BlockKernel.h"

namespace sm1 {

struct TilePlace {
  mlir::Value firstRow, firstPanel;
};

/// Where the tile of `rows` rows by `panels` panels lies that a block takes.
TilePlace placeTile(BlockKernel &block, int64_t rows, int64_t panels);

/// Asks the second cache for what parameters have of such panels, which other layers' weights have driven out: behind its products
/// a block would wait for memory.
void fetchParameters(BlockKernel &block, mlir::Value firstPanel, int64_t panels);

/// Of a step: asks the second cache for the states of such a tile, which nobody has touched since the step before. The block still
/// waits for its inputs, so nothing is read.
void fetchStates(BlockKernel &block, mlir::Value firstRow, mlir::Value firstPanel, int64_t rows, int64_t panels);

/// By one thread of a block that has waited: asks the second cache for what streams other than those that are multiplied have of
/// `count` rows of such a tile, from the tile's row `first` on.
void fetchStreams(BlockKernel &block, TilePlace tile, int64_t rows, int64_t panels, mlir::Value first, int64_t count);

/// The same by all threads of a block, of a whole tile, which many rows fill.
void fetchStreamLines(BlockKernel &block, TilePlace tile, int64_t rows, int64_t panels);

} // namespace sm1

#endif // SM1C_LOWERING_GPU_TENSORTILES_H
