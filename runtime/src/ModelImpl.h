// What is behind Model and Sequence.
#ifndef SM1RT_SRC_MODELIMPL_H
#define SM1RT_SRC_MODELIMPL_H

#include "Device.h"
#include "StateLayout.h"
#include "Weights.h"
#include "Workspace.h"
#include "sm1rt/Model.h"

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace sm1rt {

/// A sequence's states, in device layout, and where it stands.
class SequenceImpl {
public:
  ModelImpl *model;
  std::unique_ptr<DeviceBuffer> memory; // StateLayout::bytes
  int64_t position = 0;
  uint64_t lastRun = 0; ///< number of the run that it was part of last
};

/// Part of a piece that one pass handles: rows begin..end-1 of piece `piece`.
struct PassPart {
  size_t piece;
  int64_t begin, end;
};

/// What runs over the layers at once. Parts of all passes, one after the other, are all pieces in order.
struct Pass {
  std::vector<PassPart> parts; ///< one segment each
  int64_t rows = 0;
};

/// Cuts pieces into passes of at most `rowsPerPass` rows, which replace what `passes` held; `whole`: a piece is never cut, and a
/// pass exceeds the limit only when it is one piece.
void cutPasses(const std::vector<Piece> &pieces, int64_t rowsPerPass, bool whole, std::vector<Pass> &passes);

class LaunchTimer;

class ModelImpl {
public:
  ModelImpl(Package package, OpenedDevice opened, const OpenOptions &options);
  ~ModelImpl();
  static Expected<std::unique_ptr<ModelImpl>> open(const std::string &path, const OpenOptions &options);

  Expected<Outputs> run(std::string_view entry, const std::vector<Piece> &pieces);
  Expected<void> generate(const std::vector<Piece> &prompts, const Generation &generation);
  /// Hash of description, params, states and weights; the same for every device and target. Computed when first asked for.
  Expected<std::string> fingerprint();
  void timeLaunches(std::function<void(const LaunchTime &)> take);
  Expected<void> compareKernel(const std::string &kernel, ModelImpl &trusted, int64_t moreRows);
  int64_t rowsPerPass() const { return options.rowsPerPass ? options.rowsPerPass : device->rowsPerPass(); }

  const Package package;
  const OpenOptions options;
  const std::unique_ptr<Device> device;
  const std::string target;
  const PlanProgram &program;
  const StateLayout layout;
  /// Runs and state accesses take turns: the device is used from one thread at a time.
  std::mutex mutex;

private:
  struct RunContext;
  struct GenerationContext;
  Expected<void> checkPieces(std::string_view entry, const std::vector<Piece> &pieces);
  Expected<void> checkPiece(std::string_view entry, const std::vector<Piece> &pieces, size_t index) const;
  RunContext &beginRun(std::string_view entry, const std::vector<Piece> &pieces);
  Expected<void> runPieces(RunContext &context);
  Expected<void> preparePass(RunContext &context, const Pass &pass);
  Expected<void> startPass(RunContext &context, const Pass &pass);
  void chooseVariant(RunContext &context, const Pass &pass) const;
  Expected<void> uploadTables(RunContext &context, const Pass &pass);
  Expected<void> uploadInputs(RunContext &context, const Pass &pass);
  Expected<void> compute(RunContext &context, const SampleLaunch *choice = nullptr);
  bool repeatsPrompt(const ReplayKey &key);
  Expected<void> prepareStep();
  bool isTokenRun(const RunContext &context) const;
  TokenRun tokenRun(const RunContext &context) const;
  Expected<void> computeToken(RunContext &context);
  Expected<void> launchAll(RunContext &context);
  bool watchesLaunches() const { return options.trace || takeLaunchTime; }
  Expected<void> launchOne(RunContext &context, const PlanLaunch &launch, int64_t layer, bool inLoop, LaunchTimer *timer);
  bool selectsEveryRow(const RunContext &context) const;
  Expected<void> downloadOutputs(RunContext &context, const Pass &pass, Outputs &outputs);
  Expected<void> preparePending(RunContext &context);
  void finish(RunContext &context);

  Expected<GenerationContext> startGeneration(const std::vector<Piece> &prompts, const Generation &generation);
  Expected<void> generateByRuns(GenerationContext &context, std::string_view entry, const std::vector<Piece> &pieces);
  Expected<void> generateInPlace(GenerationContext &context);
  Expected<void> stepInPlace(GenerationContext &context, RunContext &run, std::vector<size_t> &rows);
  Expected<void> beginSteps(RunContext &run);
  Expected<void> step(RunContext &run, const SampleLaunch *choice = nullptr);
  Expected<void> endSteps(GenerationContext &context, const RunContext &run, const std::vector<int64_t> &positions);
  Expected<bool> generateOrdered(GenerationContext &context);
  Expected<void> followOrders(GenerationContext &context, std::vector<size_t> &rows);
  void writeChoices(GenerationContext &context, const std::vector<size_t> &rows) const;
  Expected<void> takeChosen(GenerationContext &context, const std::vector<size_t> &rows, const uint8_t *chosen);
  Expected<void> takeToken(GenerationContext &context, size_t piece, const uint8_t *choice, const uint8_t *result);
  SampleLaunch choicesOf(GenerationContext &context, const std::vector<size_t> &rows, bool feed);
  Expected<void> takeTokens(GenerationContext &context, const std::vector<size_t> &rows);

  Weights weights;
  Workspace workspace;
  std::unique_ptr<RunContext> lastContext; // of the run under way, or of the last one
  uint64_t runs = 0;
  std::vector<std::unique_ptr<DeviceBuffer>> spareStates; // for runs of several passes
  ReplayKey lastPrompt{};                                 // and how many of its size came before it, one behind the other
  int64_t promptsAlike = 0;
  std::optional<std::string> knownFingerprint;
  std::function<void(const LaunchTime &)> takeLaunchTime; // empty: nobody asks
};

} // namespace sm1rt

#endif // SM1RT_SRC_MODELIMPL_H
