// What is behind Model and Sequence.
#ifndef SM1RT_SRC_MODELIMPL_H
#define SM1RT_SRC_MODELIMPL_H

#include "Device.h"
#include "StateLayout.h"
#include "Weights.h"
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

/// Cuts pieces into passes of at most `rowsPerPass` rows; `whole`: a piece is never cut, and a pass exceeds the limit only when it
/// is one piece.
std::vector<Pass> cutPasses(const std::vector<Piece> &pieces, int64_t rowsPerPass, bool whole);

/// Memory of a pass, kept from run to run and grown when a pass needs more.
class Workspace {
public:
  /// Makes room; `rowsPerPass` is what growing aims at.
  Expected<void> reserve(Device &device, const PlanProgram &program, const StateLayout &layout, const Pass &pass, int64_t selected,
                         int64_t rowsPerPass);

  std::vector<std::unique_ptr<DeviceBuffer>> buffers; // per buffer of the program
  std::unique_ptr<DeviceBuffer> rowSegment, segmentStart, selectedRows;
  std::vector<std::unique_ptr<DeviceBuffer>> statesIn, statesOut; // per state: [layer][segment][extra][stride]

private:
  int64_t rowCapacity = 0, selectedCapacity = 0, segmentCapacity = 0;
};

class ModelImpl {
public:
  ModelImpl(Package package, OpenedDevice opened, const OpenOptions &options);
  static Expected<std::unique_ptr<ModelImpl>> open(const std::string &path, const OpenOptions &options);

  Expected<Outputs> run(std::string_view entry, const std::vector<Piece> &pieces);
  /// Hash of description, params, states and weights; the same for every device and target. Computed when first asked for.
  Expected<std::string> fingerprint();

  const Package package;
  const OpenOptions options;
  const std::unique_ptr<Device> device;
  const PlanProgram &program;
  const StateLayout layout;
  /// Runs and state accesses take turns: the device is used from one thread at a time.
  std::mutex mutex;

private:
  struct RunContext;
  Expected<void> checkPieces(std::string_view entry, const std::vector<Piece> &pieces) const;
  Expected<void> checkPiece(std::string_view entry, const std::vector<Piece> &pieces, size_t index) const;
  Expected<void> runPass(RunContext &context, const Pass &pass);
  Expected<void> uploadTables(RunContext &context, const Pass &pass);
  Expected<void> uploadInputs(RunContext &context, const Pass &pass);
  Expected<void> moveStates(RunContext &context, const Pass &pass, bool gather);
  Expected<void> launchAll(RunContext &context, const Pass &pass);
  Expected<void> launchOne(RunContext &context, const Pass &pass, const PlanLaunch &launch, int64_t layer, bool inLoop);
  Expected<void> downloadOutputs(RunContext &context, const Pass &pass);
  Expected<void> preparePending(RunContext &context);
  void finish(RunContext &context);

  Weights weights;
  Workspace workspace;
  std::vector<std::unique_ptr<DeviceBuffer>> spareStates; // for runs of several passes
  std::optional<std::string> knownFingerprint;
};

} // namespace sm1rt

#endif // SM1RT_SRC_MODELIMPL_H
