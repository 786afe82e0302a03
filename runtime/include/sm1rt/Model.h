// The C++ face of the runtime: open a package, bind weights, keep sequences, run rows of tokens or tensors through it.
#ifndef SM1RT_MODEL_H
#define SM1RT_MODEL_H

#include "sm1rt/Error.h"
#include "sm1rt/Generation.h"
#include "sm1rt/StateFile.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace sm1rt {

struct Plan; // Plan.h: the package's plan, parsed and checked
struct PlanLaunch;
class ModelImpl; // src/Model.cpp
class SequenceImpl;

struct OpenOptions {
  /// Checkpoint directory or .safetensors file for an external package; empty: the package carries its weights.
  std::string params;
  /// "cpu"; "cuda" or "cuda:N" for a GPU; "auto" for the first GPU where a driver, a device and code for it are there, else the
  /// CPU. A device that the machine or the package lacks is an error, never a fallback.
  std::string device = "auto";
  /// Target to take from the package, e.g. "x86-64-v3" or "sm_90"; empty: the best that the device runs.
  std::string isa;
  /// Worker threads including the caller; 0: one per available core.
  int threads = 0;
  /// Rows that one pass over the layers handles at most; bounds the workspace; 0: what suits the device. Results do not depend on
  /// it, but for the last bits of bf16 on a GPU.
  int64_t rowsPerPass = 0;
  /// Kernels in CUDA C++ that take the place of generated ones, on a GPU: "KERNEL=FILE.cu" or "KERNEL=FILE.cu:FUNCTION". Each is
  /// compiled by NVRTC and compared with the generated one before it is used; kernels/OwnKernels.md has its parameters and the bounds.
  std::vector<std::string> replace;
  /// Leaves the comparison out.
  bool trustReplacements = false;
  /// How a GPU computes a step: "token", a whole token in one launch (up to 16 sequences, eight of wide models and of int4, four
  /// where a block has less than 200 KB of shared memory; needs NVRTC, compute capability 9.0 and a model that is a chain of
  /// phases); "kernels", one after the other in a graph; "auto": the first where it can be had. The two round differently within
  /// the bounds of compute bf16.
  std::string step = "auto";
  /// Entries of the plan's `ranges` to take whatever the number of rows, "prefill_few" or "step_many"; "none" takes none of them.
  /// Empty: as the ranges say.
  std::set<std::string> variants;
  /// Called with one line, when set, about weights that are bound and lose more than rounding in what the program multiplies.
  std::function<void(std::string_view)> warn;
  /// Called with one line per launch when set: kernel, device, layer, rows, microseconds.
  std::function<void(std::string_view)> trace;
};

/// The state of one sequence: everything a model remembers. Created zero. Belongs to the model that made it, may outlive no model.
/// Not thread-safe; different sequences may be used from different threads only in different runs.
class Sequence {
public:
  Sequence(Sequence &&) noexcept;
  Sequence &operator=(Sequence &&) noexcept;
  ~Sequence();

  /// An independent copy of the state.
  Sequence fork() const;
  /// Back to the start of a sequence: all zero.
  void reset();
  /// Tokens run through it since the start.
  int64_t position() const;

  /// State `index` of the plan, dense [layers, shape...] F32 (no layers dimension when layers is 0). Empty when the device was
  /// lost.
  std::vector<float> read(size_t index) const;
  /// The reverse; `values` must have exactly the state's size, all finite.
  Expected<void> write(size_t index, const std::vector<float> &values);

  /// Safetensors file with every state, the model's fingerprint, and the conversation unless it has no tokens. Written whole or not
  /// at all. Refuses a conversation of fewer tokens than position() or of tokens that are not the model's.
  Expected<void> save(const std::string &path, const Conversation &conversation = {}) const;
  /// The reverse; returns the conversation, without tokens when none was saved. Refuses the state of another model; on an error the
  /// sequence is as it was.
  Expected<Conversation> load(const std::string &path);

private:
  friend class Model;
  friend class ModelImpl;
  explicit Sequence(std::unique_ptr<SequenceImpl> impl);
  std::unique_ptr<SequenceImpl> impl;
};

/// What one sequence contributes to a run. Exactly one of `tokens` or `rows` is used, as the model's inputs say.
struct Piece {
  Sequence *sequence;
  /// [count] token ids; for a model with a tokens input.
  const int32_t *tokens = nullptr;
  /// One pointer per "rows" input of the plan, in plan order: [count, width] F32, dense.
  std::vector<const float *> rows;
  /// Number of tokens or rows; at least 1.
  int64_t count = 0;
  /// Rows (0..count-1, ascending) whose "selected" outputs are wanted.
  std::vector<int64_t> selected;
};

/// Dense F32 outputs of a run, one per "rows" output of the plan, in plan order: [rows, width]. For "all": every row of every
/// piece, piece after piece; for "selected": the selected rows, piece after piece.
using Outputs = std::vector<std::vector<float>>;

/// What one launch of a run took.
struct LaunchTime {
  std::string_view entry;   ///< valid during the run
  const PlanLaunch *launch; ///< of the model's plan; one of a loop comes once a layer
  int64_t rows;             ///< of the launch's row space
  int64_t segments;         ///< pieces in its pass
  int64_t passRows;         ///< rows of all of them
  int64_t longest;          ///< rows of the longest
  double seconds;           ///< until its last task has finished; on a GPU from the end of the launch before
};

class Model {
public:
  static Expected<Model> open(const std::string &package, const OpenOptions &options);
  Model(Model &&) noexcept;
  Model &operator=(Model &&) noexcept;
  ~Model();

  const Plan &plan() const;
  /// e.g. "cpu (x86-64-v4, 2 threads)", "cuda:0 (NVIDIA H200, sm_90, cubin)"; at the end what the code was made from.
  std::string deviceName() const;
  /// The target of the package that runs, a key of Plan::programs.
  std::string target() const;
  /// Sequences up to which a step is a whole token in one launch (OpenOptions::step); 0: never.
  int64_t tokenSequences() const;
  /// Rows that one pass handles at most: what the options said, or what suits the device.
  int64_t rowsPerPass() const;
  /// Hash of description, params, states and weights, 16 hex digits; what ties a saved state to its model. Reads all weights once.
  Expected<std::string> fingerprint() const;
  /// A sequence at its start. Like Sequence::fork it throws std::bad_alloc when the machine has no memory left.
  Sequence newSequence() const;

  /// Runs all pieces, states of their sequences updated; entry "prefill" (any count) or "step" (every count 1). Long pieces are cut
  /// into passes of at most rowsPerPass rows with carried state; a sequence's bits depend on neither the cuts nor its neighbours.
  /// On an error no sequence has changed.
  Expected<Outputs> run(std::string_view entry, const std::vector<Piece> &pieces);

  /// Runs the prompts and goes on token by token, as `generation` chooses, until no piece wants another one. `selected` of a prompt
  /// is ignored, its tokens are not read any more once it has got one. Afterwards a sequence has read all of its tokens but the
  /// last (or that, too, when `take` ended it without `last` or `end`), as its position says. For models of tokens in, logits for
  /// selected rows out. After an error sequences may have moved on.
  Expected<void> generate(const std::vector<Piece> &prompts, const Generation &generation);

  /// From now on `take` is called for each launch of a run, in order and on the thread that runs; an empty one ends it. On a CPU
  /// each is waited for, which costs next to nothing; a GPU times up to 128 at a time by events between them, kernel by kernel
  /// (`step`). `take` must not use the model.
  void timeLaunches(std::function<void(const LaunchTime &)> take);

  /// Whether `kernel` computes what the kernel of that name does in `trusted`, a model of the same description and parameters on a
  /// device of the same kind: every launch of both on the same random rows, up to `moreRows` of them. An error says where they
  /// first differ.
  Expected<void> compareKernel(const std::string &kernel, Model &trusted, int64_t moreRows = 0);

private:
  explicit Model(std::unique_ptr<ModelImpl> impl);
  std::unique_ptr<ModelImpl> impl;
};

/// What to compile a model for that is to run on `device`, as OpenOptions names it: "native", and for a GPU what fits it best,
/// "sm_120" or "sm_90a"; for "auto" that of the first GPU, if there is one. The error of a device that is not there.
Expected<std::vector<std::string>> targetsFor(const std::string &device);

} // namespace sm1rt

#endif // SM1RT_MODEL_H
