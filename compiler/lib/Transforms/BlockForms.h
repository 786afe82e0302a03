//===- BlockForms.h - forms of blocks that the numbers of a schedule tell apart ----------------------------------===//

#ifndef SM1C_TRANSFORMS_BLOCKFORMS_H
#define SM1C_TRANSFORMS_BLOCKFORMS_H

#include "sm1/IR/Sm1.h"
#include "sm1c/Target.h"

#include "mlir/IR/TypeUtilities.h"
#include "llvm/Support/MathExtras.h"

namespace sm1 {

inline constexpr int64_t lanesOfWarp = 32;

/// Projections of many rows on tensor cores.
inline bool isTensorTiles(BlockForm form) { return form == BlockForm::TensorTiles || form == BlockForm::WgmmaTiles; }
inline bool isTensorForm(BlockForm form) { return isTensorTiles(form) || form == BlockForm::TensorStep; }

/// The layout in which projections of such blocks read their weights.
inline llvm::StringRef matrixLayoutOf(BlockForm form) {
  return form == BlockForm::WgmmaTiles ? "images" : isTensorForm(form) ? "fragments" : "panels";
}

/// Of a scan: whether blocks have `row_tile` rows of a segment each, eight of them to a thread, and not a whole segment, of which a
/// thread has a row of each tile.
inline bool cutsTime(BlockScheduleAttr blocks) {
  return blocks.getForm() == BlockForm::Scan && blocks.getThreads() < 4 * blocks.getRowTile();
}

/// Of a scan that cuts time: blocks that a multiprocessor has at once; one waits for memory, or for the block before it, while
/// another computes.
inline int64_t blocksAtOnce(BlockScheduleAttr blocks) { return std::max<int64_t>(512 / blocks.getThreads(), 1); }

/// Of a scan that cuts time: whether all inputs of a chunk go through shared memory, and not a few rows at a time into registers.
inline bool staysInShared(BlockScheduleAttr blocks) { return cutsTime(blocks) && blocks.getStages() > 1; }
/// Whether they can: whole rows, in elements of 16 bits.
inline bool hasStreamsOf16Bits(KernelOp kernel) {
  return llvm::all_of(kernel.getBlock().getArguments(), [](mlir::BlockArgument argument) {
    return !isStream(argument.getType()) ||
           (mlir::getElementTypeOrSelf(argument.getType()).getIntOrFloatBitWidth() == 16 &&
            llvm::none_of(argument.getUsers(), [](mlir::Operation *user) { return mlir::isa<SplitOp, SelectRowsOp>(user); }));
  });
}

/// Of rows: whether a thread has four channels of each of the block's `row_split` rows.
inline bool hasRowBands(BlockScheduleAttr blocks) {
  return blocks.getForm() == BlockForm::Rows && blocks.getRowTile() == 1 && blocks.getRowSplit() > 1;
}

/// Of rows: whether each has a warp; else all threads of a block share one.
inline bool hasWarpRows(BlockScheduleAttr blocks) {
  return blocks.getForm() == BlockForm::Rows && blocks.getThreads() == blocks.getRowTile() * lanesOfWarp && !hasRowBands(blocks);
}

/// Blocks of a cluster, one behind another in z, which divide the k of a tile's sums among each other; 1: no cluster.
inline int64_t blocksOfCluster(BlockScheduleAttr blocks) {
  return blocks.getForm() == BlockForm::WgmmaTiles ? blocks.getDepthSplit() : 1;
}

/// Bytes through which they exchange a tile of 64 rows by so many columns.
constexpr int64_t exchangedBytes(int64_t columns) { return 64 * columns * 4; }

inline constexpr int64_t threadsOfWarpgroup = 128;

/// Of wgmma_tiles: warpgroups that share the panels of a tile, each with all of its rows.
inline int64_t panelGroups(BlockScheduleAttr blocks) {
  bool share = blocks.getForm() == BlockForm::WgmmaTiles && blocks.getRowSplit() == blocks.getRowTile() &&
               blocks.getThreads() == 2 * threadsOfWarpgroup;
  return share ? 2 : 1;
}

/// Of wgmma_tiles: whether blocks go on from tile to tile, as many as there are multiprocessors, with a warpgroup that copies for
/// those that multiply.
inline bool walksTiles(BlockScheduleAttr blocks) {
  return blocks.getForm() == BlockForm::WgmmaTiles && panelGroups(blocks) == 1 &&
         blocks.getThreads() > blocks.getRowSplit() / blocks.getRowTile() * threadsOfWarpgroup;
}
/// Of such blocks: whether two warpgroups share a tile and one more scans what they leave of it.
inline bool hasScanGroup(BlockScheduleAttr blocks) {
  return walksTiles(blocks) && blocks.getRowSplit() == 2 * blocks.getRowTile() && blocks.getThreads() == 4 * threadsOfWarpgroup;
}
/// Registers of such blocks' threads: of those that copy, and of those that multiply, which have what the others give them. All
/// begin with as many, a multiple of 8, and no more than those come back: who asks for more than that waits for ever.
/// Where a warpgroup scans those that multiply have few sums each, and it has the rest.
inline constexpr int64_t registersOfCopies = 40;
inline int64_t registersOfWalk(BlockScheduleAttr blocks) {
  if (hasScanGroup(blocks))
    return 136;
  int64_t groups = blocks.getThreads() / threadsOfWarpgroup - 1, atStart = (64 << 10) / blocks.getThreads() / 8 * 8;
  return groups == 1 ? 255 : std::min<int64_t>(240, (atStart * (groups + 1) - registersOfCopies) / groups / 8 * 8);
}
inline int64_t registersOfScan(BlockScheduleAttr blocks) {
  int64_t groups = blocks.getThreads() / threadsOfWarpgroup, all = (64 << 10) / threadsOfWarpgroup / 8 * 8;
  return std::min<int64_t>(240, all - registersOfCopies - (groups - 2) * registersOfWalk(blocks));
}

/// Of such blocks: tiles that they have at once, each with warpgroups of its own.
inline int64_t tilesAtOnce(BlockScheduleAttr blocks) {
  return (blocks.getThreads() / threadsOfWarpgroup - 1) / (blocks.getRowSplit() / blocks.getRowTile());
}

/// Of a kernel that walks: whether its tiles are chunks, row_split rows of a segment counted from the segment's start, all panels
/// of a chunk of every segment before the next ones: what follows the sums of a chunk may wait for the one before.
inline constexpr llvm::StringLiteral chunksAttr = "chunks";
/// Whether a kernel of the program for long sequences is another than that for many rows has.
inline constexpr llvm::StringLiteral ofLongAttr = "of_long";

/// Of a kernel with wgmma_tiles: whether its program is for so few rows that all tiles find room at once. Then its weights come
/// again in the next pass alone, so that the L2 cache may give them up first; where there is one tile of rows most of the chip is
/// idle.
inline constexpr llvm::StringLiteral fewRowsAttr = "few_rows";
/// Of a step's kernel whose boxes fit: whether tiles share the rows of a run evenly. Where one tile has all, there is nothing to
/// share.
inline bool sharesRows(mlir::Operation *kernel) { return !kernel->hasAttr(fewRowsAttr); }
inline constexpr llvm::StringLiteral evenAttr = "even";
/// Whether blocks come in clusters of two that share nothing, in front of kernels whose blocks share k: others would leave an odd
/// number of multiprocessors to some parts of the chip, so that a cluster has to wait for one of them to end.
inline constexpr llvm::StringLiteral pairsAttr = "pairs";
/// Whether the next kernel may start when it does, in a program that has more than one row of a sequence: its tiles leave room for
/// others.
inline constexpr llvm::StringLiteral startsNextAttr = "starts_next";
/// Clocks that a block lets pass from one stage of weights to the next when it asks for those that wait for no kernel, so that
/// rows which an earlier kernel waits for are not behind all of them.
inline constexpr llvm::StringLiteral paceAttr = "pace";
/// Of a kernel of a step of many sequences: the next kernel may start when this one has what it waits for; without it, before that.
inline constexpr llvm::StringLiteral lateNextAttr = "late_next";

/// Of a kernel with wgmma_tiles whose sums are stored as they are: whether a block has one of the projections, and not a part of
/// all, though its threads had room for those.
inline constexpr llvm::StringLiteral ofOneAttr = "of_one";

/// Sums of a thread of wgmma_tiles with so many projections, and the most that leave it registers for the rest.
inline int64_t wgmmaSums(BlockScheduleAttr blocks, int64_t linears) {
  return linears * blocks.getPanelSplit() * 16 * blocks.getRowTile() / 128 / panelGroups(blocks);
}
inline constexpr int64_t mostWgmmaSums = 192;
/// Panels of a tile of so many projections that ends in a scan, a power of two, so that threads share rows evenly: of those that
/// divide `panels`, the most; 0 where tiles would be too narrow.
inline int64_t widestScanTile(int64_t panels, int64_t linears) {
  constexpr int64_t mostPanels = 4, leastOfAll = 3;
  int64_t widest = mostPanels;
  while (widest >= 1 && (panels % widest || widest * linears * 16 > mostWgmmaSums))
    widest /= 2;
  return widest * linears >= leastOfAll ? widest : 0;
}
/// Of `panels`, the most that divide them and are a tile of 128 rows; 0 where they are too few to be one of one projection.
inline int64_t widestWgmmaTile(int64_t panels) {
  int64_t widest = std::min<int64_t>(panels, mostWgmmaSums / 16);
  while (widest >= 3 && panels % widest)
    --widest;
  return widest >= 3 ? widest : 0;
}
/// Numbers that such tiles make of a row's squares, one each, in whole vectors; 0 where there are no such tiles.
inline int64_t partsOfSquares(int64_t panels) {
  int64_t widest = widestWgmmaTile(panels);
  return widest ? int64_t(llvm::alignTo(panels / widest, 4)) : 0;
}
/// What the projections of `kernel` multiply; the type of the first one's x.
inline mlir::Type multipliedType(KernelOp kernel) { return (*kernel.getBlock().getOps<LinearOp>().begin()).getX().getType(); }
/// Whether it is e4m3, which tiles on tensor cores multiply and no other form.
inline bool isFp8(mlir::Type type) { return llvm::isa<mlir::Float8E4M3FNType>(mlir::getElementTypeOrSelf(type)); }
/// Whether `target` has mma.sync of e4m3.
inline bool multipliesFp8(const Target &target) { return target.isGpu() && target.gpu->capability >= 89; }
/// Whether that is two products of f16, and conversions before them, to ptxas (13.0). Others have an instruction for it.
inline bool multipliesFp8AsHalves(const Target &target) {
  return multipliesFp8(target) && !target.wgmma && target.gpu->capability >= 90 && target.gpu->capability < 120;
}

/// k of a slice of wgmma_tiles, 64 bytes of a row of `x`.
inline int64_t wgmmaSliceDepth(mlir::Type x) { return 512 / mlir::getElementTypeOrSelf(x).getIntOrFloatBitWidth(); }
inline int64_t slicesOfWgmma(mlir::Type x) {
  int64_t depth = wgmmaSliceDepth(x);
  return (channels(x) + depth - 1) / depth;
}
/// Of a kernel with tiles of 128 rows: whether a step has two slices. Then its multiprocessor is one block's.
inline constexpr llvm::StringLiteral wideStepsAttr = "wide_steps";

/// Slices in a step of wgmma_tiles: two where tiles have 64 rows or warpgroups share the panels, for runs that leave a
/// multiprocessor to one block, which then waits half as often, or where the kernel has `wideSteps`, for the copy engine takes as
/// long for 64 bytes of a row as for 128; whole steps only. Two as well where a block goes on from tile to tile, whose products
/// would be faster than the copies of its rows; there the last step may have one.
inline int64_t wgmmaSlices(BlockScheduleAttr blocks, mlir::Type x, bool wideSteps = false) {
  int64_t slices = slicesOfWgmma(x);
  bool isAlone = blocks.getRowSplit() == 64 || panelGroups(blocks) > 1 || wideSteps;
  return walksTiles(blocks) ? std::min<int64_t>(slices, 2) : isAlone && slices % 2 == 0 ? 2 : 1;
}
/// Whether boxes of wgmma_tiles have no more rows than a tile has of the run, in eights: the copy engine takes as long for a row
/// that is not there.
inline bool fitsBoxes(BlockScheduleAttr blocks) {
  return blocks.getForm() == BlockForm::WgmmaTiles && !walksTiles(blocks) && blocks.getRowSplit() == 64;
}
inline constexpr int64_t rowsOfFit = 8;
/// A CUtensorMap, on 64 bytes.
inline constexpr int64_t tensorMapBytes = 128;

/// Neighbouring channels that a lane has at once of a row that a warp holds in registers, the most up to four that share it evenly;
/// 0 where none do, or a lane would have too much to hold.
inline int64_t channelsOfLane(int64_t width) {
  constexpr int64_t mostParts = 16;
  for (int64_t lanes : {4, 2, 1})
    if (width % 16 == 0 && width % (lanes * lanesOfWarp) == 0 && width / lanes / lanesOfWarp <= mostParts)
      return lanes;
  return 0;
}

} // namespace sm1

#endif // SM1C_TRANSFORMS_BLOCKFORMS_H
