// The plan of a package: what PackageFormat.h describes, as structs. parsePlan checks every index, size and relation once; whoever
// holds a Plan may use its numbers without looking again.
#ifndef SM1RT_PLAN_H
#define SM1RT_PLAN_H

#include "sm1rt/Error.h"
#include "sm1rt/Packing.h"
#include "sm1rt/packing/Checkpoint.h"
#include "sm1rt/packing/Cost.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace sm1rt {

/// Which rows a buffer or launch has: every row of the run, or those whose outputs were asked for. Launches on a GPU may also have
/// one row per segment.
enum class RowSpace { All, Selected, Segments };

/// One state of a sequence: F32 [layers, shape...], channels are the first dimension of shape.
struct PlanState {
  std::string name;
  int64_t layers = 0; ///< 0: no layer dimension
  std::vector<int64_t> shape;

  int64_t copies() const { return layers ? layers : 1; }
  /// Shape of the dense form, with the layer dimension where there is one.
  std::vector<int64_t> denseShape() const;
};

/// An input or output of every entry.
struct PlanPort {
  enum class Kind { Tokens, Rows, State };
  std::string name;
  Kind kind = Kind::Rows;
  int64_t limit = 0;             ///< Tokens: 0 <= token < limit
  int64_t width = 0;             ///< Rows
  RowSpace rows = RowSpace::All; ///< Rows
  size_t state = 0;              ///< State: index in Plan::states
};

/// A tensor of the checkpoint; its `equals` is an index in Plan::params.
using PlanParam = CheckpointParam;

/// A packed weight: what kernels read.
struct PlanWeight {
  std::string name;
  size_t param = 0; ///< index in Plan::params
  int64_t count = 0;
  TensorType type; ///< of one layer, after all steps
  std::vector<PackingStep> steps;

  int64_t copies() const { return count ? count : 1; }
};

struct PlanKernel {
  std::string name;
  uint64_t offset = 0; ///< bytes from the start of the target's code; 0 on a GPU, where the name is what counts
};

struct PlanBuffer {
  RowSpace rows = RowSpace::All;
  int64_t stride = 0; ///< elements: 1 for tokens (I32), else a multiple of 16
  DType dtype = DType::F32;
};

struct PlanArg {
  enum class Kind { Buffer, Weight, StateIn, StateOut };
  Kind kind = Kind::Buffer;
  size_t index = 0;
  bool next = false;               ///< a weight: the next layer's, see PackageFormat.h
  std::optional<size_t> last = {}; ///< of such a one: the weight that the last layer takes
};

/// A tensor map that a kernel takes behind its other parameters.
struct PlanMap {
  size_t arg = 0;                  ///< of the launch: a buffer
  int64_t rows = 0, rowBytes = 64; ///< of a box; bytes of a row in it, 64 or 128, by which it is swizzled
  int64_t channels = 0;            ///< of the buffer, without what fills its last panel
  bool fits = false;               ///< boxes have no more rows than the run, up to a multiple of 8
  bool even = false;               ///< tiles share the run's rows evenly, and boxes have as many, up to a multiple of 8
  DType dtype = DType::BF16;       ///< of the buffer: or F8E4M3
};

struct PlanLaunch : LaunchCuts {
  static constexpr size_t argsLimit = 256;

  size_t kernel = 0;
  std::vector<PlanArg> args;
  RowSpace rows = RowSpace::All;
  int64_t scratch = 0;        ///< bytes per task; CPU
  int64_t threads = 0;        ///< per block; GPU
  int64_t shared = 0;         ///< bytes of dynamic shared memory; GPU
  int64_t timeSplit = 0;      ///< GPU; 0: time is not cut
  int64_t chunks = 0;         ///< rows of a segment that a tile is; GPU; 0: tiles are rows of the run
  int64_t cluster = 1;        ///< blocks behind one another in z that share a tile; GPU
  bool alone = false;         ///< each task wants a thread, each block of a GPU a multiprocessor
  bool walks = false;         ///< blocks of a GPU go on from tile to tile
  std::optional<PlanMap> map; ///< GPU
  std::optional<KernelCost> cost;
};

/// A single launch (layers 0, one in body) or a loop over layers.
struct PlanStep {
  int64_t layers = 0;
  std::vector<PlanLaunch> body;
};

/// A step of the model as phases of one launch: kernels/token.cuh runs it, "token/<target>" of the package is its text.
struct PlanToken {
  struct Phase {
    int64_t width = 0;            ///< of the vector that the matrices read
    size_t partition = 0;         ///< of their rows
    std::vector<size_t> matrices; ///< weights in layout "fragments", one of each layer; the last phase's has no layers
    std::vector<size_t> scales;   ///< weights: those of matrices that are read as integers
  };
  int64_t layers = 0, warps = 0, words = 0;
  int64_t bits = 16;               ///< of a weight, as the launch reads it: 16, 8 or 4
  size_t table = 0;                ///< weight: the embedding
  std::vector<int64_t> partitions; ///< widths
  std::vector<Phase> phases;       ///< of a layer, then that of the logits
  std::vector<size_t> vectors;     ///< weights: parameters of channels in the order of their memory
  std::vector<size_t> states;
};

/// A run of `entry` takes the launches of entry `variant` where it has so many rows.
struct PlanRange {
  std::string entry, variant;
  int64_t leastRows = 0, mostRows = 0;
};

/// Rows of a chunk, where launches of `steps` have tiles that are chunks; else 0.
int64_t chunkRowsOf(const std::vector<PlanStep> &steps);

struct PlanProgram {
  int capability = 0;  ///< compute capability of a GPU target, 90 for "sm_90"; 0: a CPU target
  std::string compute; ///< the target's own, or the plan's
  std::vector<PlanKernel> kernels;
  std::vector<PlanBuffer> buffers;
  std::vector<int> inputs, outputs; ///< buffer of each port of the plan; -1 for states
  std::map<std::string, std::vector<PlanStep>, std::less<>> entries;
  std::optional<PlanToken> token; ///< GPU, optional
  std::vector<PlanRange> ranges;  ///< GPU
  bool overlaps = false;          ///< GPU: kernels wait by themselves for those before them

  /// Whether `entry` only stands in for another.
  bool isVariant(std::string_view entry) const {
    for (const PlanRange &range : ranges)
      if (range.variant == entry)
        return true;
    return false;
  }
  /// The entry whose launches a pass of `entry` takes: of a range that its `rows` are in, unless `chunksOf` says of rows of a chunk
  /// that the pass has so many of them that some are far from full. `variants` as in OpenOptions.
  std::string_view variantFor(std::string_view entry, const std::set<std::string> &variants, int64_t rows,
                              const std::function<int64_t(int64_t)> &chunksOf) const;
};

struct Plan {
  std::string compiler, model;
  std::string form, storage, compute; ///< each one of the words that PackageFormat.h lists
  bool wholeSequence = false;
  bool weightsExternal = false;
  std::vector<PlanState> states;
  std::vector<PlanPort> inputs, outputs;
  std::vector<PlanParam> params;
  std::vector<PlanWeight> weights;
  std::map<std::string, PlanProgram, std::less<>> programs; ///< by target
  std::map<std::string, std::string> hashes;
};

/// Whether a GPU target is for chips of its compute capability alone, as "sm_90a" is; others are for later ones, too.
bool isForOneChip(std::string_view target);

/// Compute capability of a GPU target, 120 for "sm_120", 90 for "sm_90" and "sm_90a"; nothing for any other name.
std::optional<int> gpuTarget(std::string_view target);

/// Bytes of code of each target, from the package's "kernel/<target>" tensors.
using CodeSizes = std::map<std::string, uint64_t, std::less<>>;

/// Parses and checks the whole plan. `where` (the package's path) starts every error.
Expected<Plan> parsePlan(std::string_view text, const std::string &where, const CodeSizes &codeSizes);

} // namespace sm1rt

#endif // SM1RT_PLAN_H
