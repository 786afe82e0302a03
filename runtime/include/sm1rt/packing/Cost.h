// The cost model: how long a kernel takes on a CPU, from counts of its work and facts about a core. The compiler counts and chooses
// schedules by it; the bench prints its answer beside the clock's. Plain numbers, no IR and no plan.
//
// A launch takes as long as the slower of two things that overlap for the most part: memory, which all threads share, and the
// cores, where arithmetic, loads and waiting for results are added up by vector instructions. Starting the threads and waiting for
// them comes on top.
#ifndef SM1RT_PACKING_COST_H
#define SM1RT_PACKING_COST_H

#include "sm1rt/PackageFormat.h"
#include "sm1rt/packing/Tasks.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace sm1rt {

//===-- What a kernel does --------------------------------------------------------------------------------------------------===//

/// Counts of one launch and its tiles; true of every machine that runs the same code. In a plan: the launch's "cost". None is
/// negative. A lane operation is one f32 operation of one element, as code generation expands it: 16 are one AVX-512 instruction.
struct KernelCost {
  double weightBytes = 0;     ///< per pass over the rows: what every row of it needs
  double readBytes = 0;       ///< per row: streams, and the rows of a table that are looked up
  double writeBytes = 0;      ///< per row
  double stateBytes = 0;      ///< per segment, reads plus writes
  double f32Products = 0;     ///< per row: multiply-adds of projections in f32, whatever their operands are stored in
  double bf16Products = 0;    ///< per row: those that multiply bf16 by bf16
  double int8Products = 0;    ///< per row: those that multiply integers
  double groupProducts = 0;   ///< per row, of those: of int4, each group of 32 k with a scale
  double fp8Products = 0;     ///< per row: those that multiply e4m3 by e4m3
  double unpackOps = 0;       ///< lane operations that make a loaded weight an operand
  double vectorOps = 0;       ///< per row: lane operations of everything else
  double chainSteps = 0;      ///< per row: vector multiply-adds of which each waits for the one before it
  double prologueOps = 0;     ///< per row and task that has it: lane operations on the way into projections
  double prologueSteps = 0;   ///< per row and task that has it: chain steps of the same
  double projections = 0;     ///< share one loop over k and its loads of rows
  double rowTile = 1;         ///< rows of a tile
  double panelTile = 1;       ///< panels of a tile
  double singleRowPanels = 1; ///< panels that a row outside of tiles reads at once
  double apart = 0;           ///< 1: tiles sum one projection after the other
  double widenRows = 0;       ///< tasks of so many rows unpack weights once for all of them; 0: none
  double stages = 0;          ///< of a GPU: steps of k in shared memory, or tiles of a scan's rows, under way at once; 0: a CPU's
  double depthSplit = 0;      ///< of a GPU's tiles: groups of warps that share the k of a sum
  double wgmma = 0;           ///< of a GPU's tiles: 1: products read both operands from shared memory, for 64 rows at once
  double registers = 0;       ///< of a GPU's thread, by ptxas; 0: not known
};

/// Every count with its key in a plan and the least it can be.
struct KernelCostField {
  const char *key;
  double KernelCost::*count;
  double least;
  bool optional = false; ///< 0 where a package does not have it: it was made before there was such a count
};
const std::vector<KernelCostField> &kernelCostFields();

/// Above every count of a kernel that fits a machine; keeps what is computed from counts finite.
inline constexpr double kernelCostLimit = 1e15;

//===-- What a machine does -------------------------------------------------------------------------------------------------===//

/// One core at one level of its instruction set. Rates are per cycle, of vector instructions of `lanes` f32.
struct CoreFacts {
  double lanes = 16, registers = 32;
  double fmaPorts = 2, loadPorts = 2;
  double fmaLatency = 4;       ///< cycles
  double l2Bytes = 1 << 20;    ///< the core's own cache
  double l2BytesPerCycle = 36; ///< into the core, sustained
  double bf16PerCycle = 0;     ///< bf16 multiply-adds of kernels that are made for them; 0: none, they are f32 multiply-adds
  double int8PerCycle = 0;     ///< the same for integers
  double maddPorts = 0;        ///< without VNNI: that take instructions which multiply integers in pairs or add them; else 0
  bool groupsInTiles = false;  ///< tile registers multiply groups of int4, of leastGroupRows rows or more

  double registersPerPanel() const { return SM1_PANEL / lanes; }
};

/// Cores of CPU targets; a name that is none of them has the facts of the nearest that it starts with.
CoreFacts coreOf(std::string_view target);

/// What `threads` cores that work together do in a second.
struct CpuRates {
  CoreFacts core;
  int threads = 1;
  double hertz = 2.5e9;          ///< of every core, all at work
  double readBandwidth = 10e9;   ///< bytes from memory, all threads
  double coreBandwidth = 10e9;   ///< bytes from memory that one thread gets while the others wait
  double sharedBandwidth = 20e9; ///< bytes from the cache that cores share, each thread
  double sharedBytes = 32 << 20; ///< of that cache
  double launchSeconds = 1.5e-6; ///< of several tasks: to start all threads and to wait for the last
};

/// A typical machine of a target: what the compiler predicts for when nobody has measured. Cores of 2.8 GHz, 12 GB a second from
/// memory for each, 100 for all.
CpuRates nominalRates(std::string_view target, int threads);

/// What a bench measures on all threads at once; 0 where it has not.
struct MeasuredPeaks {
  double readBytes = 0;      ///< a second, from memory
  double f32Operations = 0;  ///< a second, multiply-adds of f32 vectors; each is two
  double bf16Operations = 0; ///< likewise, of whatever kernels of bf16 products use
  double int8Operations = 0;
  double sharedCacheBytes = 0; ///< of the cache that cores share
};

/// The machine behind `peaks`. What else a prediction needs is in typical proportion to the first two, which have to be there.
CpuRates measuredRates(const CoreFacts &core, int threads, const MeasuredPeaks &peaks);

//===-- Predictions ---------------------------------------------------------------------------------------------------------===//

/// How much one launch has to do.
struct LaunchSize {
  double rows = 1, segments = 1;
  /// Weights of the whole pass: what does not fit the shared cache comes from memory every time.
  double passBytes = 0;
};

/// Where the time goes. `seconds` is at least each of the others.
struct Prediction {
  double seconds = 0;
  double memory = 0;      ///< weights, streams and states on their way
  double products = 0;    ///< projections
  double elementwise = 0; ///< all other arithmetic and its chains
  double launch = 0;

  /// "memory", "products", "elementwise" or "launch": the largest.
  const char *bound() const;
};

Prediction predict(const KernelCost &cost, const LaunchCuts &cuts, const CpuRates &rates, const LaunchSize &size);

//===-- Tiles ---------------------------------------------------------------------------------------------------------------===//

/// Projections of one x, and the tile of rows by panels that their loops over k compute.
struct TileWork {
  double rows = 1, panels = 1;
  double projections = 1;
  double weightBytes = 4; ///< per element
  double unpackOps = 0;   ///< as in KernelCost
  double rowOps = 0;      ///< vector operations that make one of x an operand
  double chains = 1;      ///< that a sum is made of, as many k of one word apart
  bool apart = false;     ///< a loop for each projection, but for a row by itself; else one for all
  double maddOps = 0;     ///< of integers without VNNI: instructions for each product of vectors; 0: a fused multiply-add
  double rowLoads = 1;    ///< of each row for one k

  /// Of integers without VNNI; `grouped`: int4.
  void takeMadds(bool grouped);
};

/// Operations that make one of a word's two bf16, or four int8, an operand: half of a shift and a mask; two shifts and a
/// conversion.
inline constexpr double pairRowOps = 1, byteOps = 3, tableOps = 2;

/// Fewer rows of int4 are multiplied by dot products also where there are tile registers, for which a group is unpacked first.
inline constexpr int64_t leastGroupRows = 48;

/// Large tiles are followed by tiles of so many rows, then by rows alone.
inline constexpr int64_t smallTileRows = 4;

/// Registers that a loop needs: sums, one step's weights or rows, whichever are fewer, one of the others, and one to spare, without
/// which compilers spill.
double tileRegisters(const CoreFacts &core, const TileWork &tile);
/// Cycles of one step of k of all projections, operands in the core's own cache.
double tileCycles(const CoreFacts &core, const TileWork &tile);
/// Cycles of one step of k over `rows` rows and `panels` panels: whole tiles, small ones, then rows by themselves,
/// `singleRowPanels` at once.
double coverCycles(const CoreFacts &core, const TileWork &tile, double singleRowPanels, double rows, double panels);

/// The part of the read bandwidth that a core gets which reads so many streams of memory, each in pages of its own: the prefetcher
/// follows every page by itself.
double streamFraction(double streams);

} // namespace sm1rt

#endif // SM1RT_PACKING_COST_H
