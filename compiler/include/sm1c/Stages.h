//===- Stages.h - the way of a description, stage by stage -------------------------------------------------------===//

#ifndef SM1C_STAGES_H
#define SM1C_STAGES_H

#include "sm1/IR/Sm1.h"
#include "sm1c/Target.h"

#include <optional>
#include <string>
#include <vector>

namespace mlir {
class OpPassManager;
}

namespace sm1 {

/// A stage is a past state of the module; it is reached by running the passes of buildStage from the one before.
enum class Stage {
  Spec,      ///< the description as written or imported
  Precise,   ///< storage types and every rounding are explicit
  Fused,     ///< one sm1.kernel per phase
  Scheduled, ///< kernels in launches, with tiles and splits for one target
  Target,    ///< kernels are functions over vectors and loops; the model is a list of dispatches
};

/// "spec", "precise", ...
llvm::StringRef stageName(Stage stage);
std::optional<Stage> parseStage(llvm::StringRef name);
inline constexpr Stage allStages[] = {Stage::Spec, Stage::Precise, Stage::Fused, Stage::Scheduled, Stage::Target};

/// What kernels are made for. A CPU has one program for both prefill and step. A GPU fuses and schedules each by itself, and has
/// further programs that take their place by the number of rows: for prefills of few, several, some, more, most, a large or a
/// larger number of rows and of long sequences, and for steps of few, several, some, many or most sequences. With wgmma alone there
/// are prefills of several, more, most, a large and a larger number of rows and of long sequences, and steps of few, several and
/// most.
enum class Entry {
  Both,
  Prefill,
  PrefillLong,
  PrefillLarger,
  PrefillLarge,
  PrefillMost,
  PrefillMore,
  PrefillSome,
  PrefillSeveral,
  PrefillFew,
  Step,
  StepFew,
  StepSeveral,
  StepSome,
  StepMany,
  StepMost
};

/// Those of GPUs, each a program of its own.
inline constexpr Entry gpuEntries[] = {Entry::Prefill,     Entry::PrefillLong, Entry::PrefillLarger, Entry::PrefillLarge,
                                       Entry::PrefillMost, Entry::PrefillMore, Entry::PrefillSome,   Entry::PrefillSeveral,
                                       Entry::PrefillFew,  Entry::Step,        Entry::StepFew,       Entry::StepSeveral,
                                       Entry::StepSome,    Entry::StepMany,    Entry::StepMost};

/// "prefill_few" and so on; empty for both.
llvm::StringRef entryName(Entry entry);
std::optional<Entry> parseEntry(llvm::StringRef name);
/// Every row is a segment of its own.
inline bool isStep(Entry entry) { return entry >= Entry::Step; }
/// Tiles of a kernel may be chunks of a sequence, where it ends in a scan.
inline bool takesChunks(Entry entry) { return entry == Entry::PrefillLong || entry == Entry::PrefillLarger; }
/// One tile has all of them.
inline bool isStepOfOneTile(Entry entry) { return entry == Entry::StepFew || entry == Entry::StepSeveral; }
/// Whether a target has a program for `entry`.
bool hasEntry(const Target &target, Entry entry);
/// What the names of an entry's own kernels end in.
llvm::StringRef nameSuffix(Entry entry);

/// How many rows tiles are made for.
enum class RunSize { Few, Some, Many };
RunSize sizeOf(Entry entry);

/// Rows of the runs that an entry takes in the place of the one that is asked for.
struct EntryRange {
  llvm::StringLiteral entry;
  int64_t leastRows, mostRows;
};
/// Nothing for an entry that takes what others leave. `ofWgmma`: whether there are the programs of a target with wgmma.
std::optional<EntryRange> rangeOf(Entry entry, bool ofWgmma = false);

struct StageOptions {
  /// "f32", "bf16" or "f16": how matrices are stored.
  std::string storage = "f32";
  /// "f32" or "bf16": what projections multiply.
  std::string compute = "f32";
  /// With compute bf16: programs of many rows on a GPU multiply e4m3 where it can be done.
  bool fp8 = false;
  ScanForm form = ScanForm::Exact;
  /// Needed from Stage::Scheduled on.
  const Target *target = nullptr;
  Entry entry = Entry::Both;
  /// Fusion passes to leave out, by flag ("sm1-fuse-scan-readout"); the result has the same bits.
  std::vector<std::string> disabled;
  /// A file of schedules that a person wrote, see ScheduleFile.h; empty: none. Names of kernels that it keeps out of fusion.
  std::string schedule;
  std::vector<std::string> unfused;
  /// A file of measured schedules, or "none"; empty: those that the compiler comes with.
  std::string tuned;
};

/// Adds the passes that take a module from the stage before `stage` to `stage`. Stage::Spec adds nothing.
void buildStage(mlir::OpPassManager &passes, Stage stage, const StageOptions &options);

/// Names of the passes that `StageOptions::disabled` may hold, in their order.
std::vector<llvm::StringRef> fusionPasses();

/// Registers every pass of ours and the pipelines `sm1-to-<stage>` for sm1-opt.
void registerPasses();

} // namespace sm1

#endif // SM1C_STAGES_H
