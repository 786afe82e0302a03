//===- BlockForms.h - forms of blocks that the numbers of a schedule tell apart ----------------------------------===//
//
// A schedule (sm1.block_schedule, whose fields the dialect explains) has a form and numbers. What follows from them is said here
// once, for the pass that chooses schedules and for the lowerings that read them; and so are the attributes with which the pass
// tells a lowering what a schedule has no field for.

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

/// Of a scan: whether time is cut, so that a block has `row_tile` rows of a segment and a thread eight of them. Else a block walks
/// a whole segment, tile by tile, and a thread has one row of each tile.
inline bool cutsTime(BlockScheduleAttr blocks) {
  return blocks.getForm() == BlockForm::Scan && blocks.getThreads() < 4 * blocks.getRowTile();
}

/// Of a scan that cuts time: blocks that a multiprocessor runs at once, so that one computes while another waits for memory or for
/// the block before it.
inline int64_t blocksAtOnce(BlockScheduleAttr blocks) { return std::max<int64_t>(512 / blocks.getThreads(), 1); }

/// Of a scan that cuts time: whether all inputs of a chunk come to shared memory at once. Else they come into registers, a few rows
/// at a time.
inline bool staysInShared(BlockScheduleAttr blocks) { return cutsTime(blocks) && blocks.getStages() > 1; }
/// Whether they can come so: they are whole rows, in elements of 16 bits.
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

/// Blocks of a cluster, which stand in z and divide the k of a tile's sums among each other; 1: no cluster.
inline int64_t blocksOfCluster(BlockScheduleAttr blocks) {
  return blocks.getForm() == BlockForm::WgmmaTiles ? blocks.getDepthSplit() : 1;
}

/// Bytes of shared memory through which they exchange their parts (f32) of a tile of 64 rows by `columns`.
constexpr int64_t exchangedBytes(int64_t columns) { return 64 * columns * 4; }

inline constexpr int64_t threadsOfWarpgroup = 128;

/// Of wgmma_tiles: warpgroups that divide the panels of a tile, each of them with all of its rows; 1 where none do.
inline int64_t panelGroups(BlockScheduleAttr blocks) {
  bool share = blocks.getForm() == BlockForm::WgmmaTiles && blocks.getRowSplit() == blocks.getRowTile() &&
               blocks.getThreads() == 2 * threadsOfWarpgroup;
  return share ? 2 : 1;
}

/// Of wgmma_tiles: whether there are only as many blocks as multiprocessors, which go on from tile to tile, and have a warpgroup
/// that copies operands for those that multiply.
inline bool walksTiles(BlockScheduleAttr blocks) {
  return blocks.getForm() == BlockForm::WgmmaTiles && panelGroups(blocks) == 1 &&
         blocks.getThreads() > blocks.getRowSplit() / blocks.getRowTile() * threadsOfWarpgroup;
}
/// Of blocks that walk: whether two warpgroups share a tile, and a third scans along time what their sums become.
inline bool hasScanGroup(BlockScheduleAttr blocks) {
  return walksTiles(blocks) && blocks.getRowSplit() == 2 * blocks.getRowTile() && blocks.getThreads() == 4 * threadsOfWarpgroup;
}
/// Registers of a thread in blocks that walk: of one that copies, that multiplies, that scans. A block starts with the same number
/// for every thread, a multiple of 8; then warpgroups that copy give some up (setmaxnreg) and the others take them. The sum must
/// not grow: a warpgroup that asks for more than was given up waits for ever. Beside a scan those that multiply have few sums each,
/// and need little; the scan takes what is left.
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

/// Of blocks that walk: tiles that a block multiplies at the same time, each with warpgroups of its own.
inline int64_t tilesAtOnce(BlockScheduleAttr blocks) {
  return (blocks.getThreads() / threadsOfWarpgroup - 1) / (blocks.getRowSplit() / blocks.getRowTile());
}

// Attributes of kernels, which `sm1-schedule-for-gpu` sets and lowerings read.

/// Of a kernel that walks: its tiles are chunks, `row_split` rows of a segment counted from the segment's start. All panels of one
/// chunk of every segment come before the next chunks, so that what follows the sums of a chunk may wait for the chunk before it.
inline constexpr llvm::StringLiteral chunksAttr = "chunks";
/// The kernel of the program for long sequences differs from the one of the same name in that for many rows.
inline constexpr llvm::StringLiteral ofLongAttr = "of_long";

/// Of a kernel with wgmma_tiles: its program is for so few rows that the chip has room for all tiles at once. Then nobody reads
/// its weights a second time before the next pass, and the L2 cache may give them up first.
inline constexpr llvm::StringLiteral fewRowsAttr = "few_rows";
/// Of a step's kernel whose boxes fit: whether tiles share the rows of a run evenly. With few rows one tile has all of them.
inline bool sharesRows(mlir::Operation *kernel) { return !kernel->hasAttr(fewRowsAttr); }
inline constexpr llvm::StringLiteral evenAttr = "even";
/// Blocks are launched in clusters of two, though they share nothing, because kernels beside them have clusters that share k.
/// Single blocks could leave an odd number of free multiprocessors in a part of the chip, where such a cluster then finds no room.
inline constexpr llvm::StringLiteral pairsAttr = "pairs";
/// Of a prefill's kernel: the next kernel may start when this one does, for its tiles leave room on the chip.
inline constexpr llvm::StringLiteral startsNextAttr = "starts_next";
/// Clocks (an integer) that a block lets pass between two stages of weights, while it asks for those that it needs no other kernel
/// for. Asked for all at once they would hold up the rows that an earlier kernel is waiting for.
inline constexpr llvm::StringLiteral paceAttr = "pace";
/// Of a kernel of a step of many sequences: the next kernel may not start before this one has what it waits for. Without it, it
/// may.
inline constexpr llvm::StringLiteral lateNextAttr = "late_next";

/// Of a kernel with wgmma_tiles that stores its sums as they are: a block has one of the projections, although its threads have
/// room for the sums of all.
inline constexpr llvm::StringLiteral ofOneAttr = "of_one";

/// Sums that a thread of wgmma_tiles keeps in registers for `linears` projections, and the most that leave it room for all else.
inline int64_t wgmmaSums(BlockScheduleAttr blocks, int64_t linears) {
  return linears * blocks.getPanelSplit() * 16 * blocks.getRowTile() / 128 / panelGroups(blocks);
}
inline constexpr int64_t mostWgmmaSums = 192;
/// Panels of a tile of `linears` projections that ends in a scan: the largest power of two that divides `panels` and fits the
/// registers; a power of two, so that threads share rows evenly. 0 where such tiles would be too narrow.
inline int64_t widestScanTile(int64_t panels, int64_t linears) {
  constexpr int64_t mostPanels = 4, leastOfAll = 3;
  int64_t widest = mostPanels;
  while (widest >= 1 && (panels % widest || widest * linears * 16 > mostWgmmaSums))
    widest /= 2;
  return widest * linears >= leastOfAll ? widest : 0;
}
/// Panels of the widest tile, of 128 rows and one projection, that divides `panels`; 0 where such tiles would be too narrow.
inline int64_t widestWgmmaTile(int64_t panels) {
  int64_t widest = std::min<int64_t>(panels, mostWgmmaSums / 16);
  while (widest >= 3 && panels % widest)
    --widest;
  return widest >= 3 ? widest : 0;
}
/// Sums of squares that such tiles leave of a row, one each, filled up to whole vectors of four; 0 where there are no such tiles.
inline int64_t partsOfSquares(int64_t panels) {
  int64_t widest = widestWgmmaTile(panels);
  return widest ? int64_t(llvm::alignTo(panels / widest, 4)) : 0;
}
/// In the program for a larger number of rows: kernels of one matrix have tiles of half as many rows as in that for many, which
/// would leave half of the chip idle.
inline bool hasHalfTiles(KernelOp kernel) {
  auto linears = kernel.getBlock().getOps<LinearOp>();
  return !kernel.getSelected() && llvm::hasSingleElement(linears) && mlir::getElementTypeOrSelf((*linears.begin()).getX()).isBF16();
}
/// The type of what the projections of `kernel` multiply with their weights: that of the first one's x.
inline mlir::Type multipliedType(KernelOp kernel) { return (*kernel.getBlock().getOps<LinearOp>().begin()).getX().getType(); }
/// Whether its elements are e4m3, which only tiles on tensor cores multiply.
inline bool isFp8(mlir::Type type) { return llvm::isa<mlir::Float8E4M3FNType>(mlir::getElementTypeOrSelf(type)); }
/// Whether `target` has mma.sync of e4m3.
inline bool multipliesFp8(const Target &target) { return target.isGpu() && target.gpu->capability >= 89; }
/// Whether ptxas (13.0) makes two products of f16 of it, with conversions before them, for want of an instruction.
inline bool multipliesFp8AsHalves(const Target &target) {
  return multipliesFp8(target) && !target.wgmma && target.gpu->capability >= 90 && target.gpu->capability < 120;
}

/// Elements of k in a slice of wgmma_tiles, which is 64 bytes of a row of `x`; and slices of a whole row.
inline int64_t wgmmaSliceDepth(mlir::Type x) { return 512 / mlir::getElementTypeOrSelf(x).getIntOrFloatBitWidth(); }
inline int64_t slicesOfWgmma(mlir::Type x) {
  int64_t depth = wgmmaSliceDepth(x);
  return (channels(x) + depth - 1) / depth;
}
/// Of a kernel with tiles of 128 rows: a step has two slices, so that a multiprocessor has room for one block.
inline constexpr llvm::StringLiteral wideStepsAttr = "wide_steps";

/// Slices in a step of wgmma_tiles, one or two. The copy engine takes as long for 64 bytes of a row as for 128, and a block waits
/// half as often with two; but they take twice the shared memory. So there are two where a block has a multiprocessor to itself
/// (tiles of 64 rows, warpgroups that share panels, `wideSteps`), if the slices of a row are even in number; and in blocks that
/// walk, whose products would be faster than the copies of rows: there the last step may have one.
inline int64_t wgmmaSlices(BlockScheduleAttr blocks, mlir::Type x, bool wideSteps = false) {
  int64_t slices = slicesOfWgmma(x);
  bool isAlone = blocks.getRowSplit() == 64 || panelGroups(blocks) > 1 || wideSteps;
  return walksTiles(blocks) ? std::min<int64_t>(slices, 2) : isAlone && slices % 2 == 0 ? 2 : 1;
}
/// Whether boxes of wgmma_tiles end with the rows that a tile has of the run, rounded up to `rowsOfFit`: the copy engine takes as
/// long for a row that is not there as for one that is.
inline bool fitsBoxes(BlockScheduleAttr blocks) {
  return blocks.getForm() == BlockForm::WgmmaTiles && !walksTiles(blocks) && blocks.getRowSplit() == 64;
}
inline constexpr int64_t rowsOfFit = 8;
/// Size of a CUtensorMap, which has to lie on a multiple of 64 bytes.
inline constexpr int64_t tensorMapBytes = 128;

/// Neighbouring channels that a lane loads at once where a warp holds a row of `width` in registers: four, two or one, the most
/// with which lanes share the row evenly. 0 where none do, or a lane would have too many to hold.
inline int64_t channelsOfLane(int64_t width) {
  constexpr int64_t mostParts = 16;
  for (int64_t lanes : {4, 2, 1})
    if (width % 16 == 0 && width % (lanes * lanesOfWarp) == 0 && width / lanes / lanesOfWarp <= mostParts)
      return lanes;
  return 0;
}

} // namespace sm1

#endif // SM1C_TRANSFORMS_BLOCKFORMS_H
