//===- Tuning.h - schedules that were measured: what they are found by, and where they are -----------------------===//
//
// A tuned schedule belongs to a kind of kernel, whatever the model: its key says what the kernel computes, on what, for which runs.
// Files of them are ScheduleFiles whose names are keys. docs/Tuning.md has the whole way, from candidates to a file.

#ifndef SM1C_TUNING_H
#define SM1C_TUNING_H

#include "sm1c/ScheduleFile.h"
#include "sm1c/Stages.h"

#include <string>
#include <vector>

namespace sm1 {

/// First line of a file of tuned schedules. A change of keys or of what a line means takes another number.
inline constexpr llvm::StringLiteral tunedHeader = "# sm1 tuned schedules, format 1";

/// The entry that a kernel is scheduled for: prefills of every size have kernels that are no tiles of tensor cores in common, but
/// for the scan of several rows, and those of many rows and of long sequences most of the others.
Entry entryOfKernel(KernelOp kernel, Entry entry);

/// "prefill_some/bf16/linear1536x768xbf16+ew7/768xbf16->1536xbf16": entry and arithmetic of a GPU, operations, arrays read and
/// written. Kernels with equal keys can have each other's schedules. `kernel` is scheduled.
std::string tuningKey(KernelOp kernel, Entry entry, llvm::StringRef compute);

/// Files of tuned schedules.
class TunedSchedules {
public:
  /// Those that the compiler comes with, and before them those of a file; "none": no schedules at all; empty: no file.
  static llvm::Expected<TunedSchedules> load(const std::string &choice);

  /// Gives `kernel`, which has a schedule, the tuned one of its key, if there is one that suits it; says so in a remark, and why
  /// not where one does not suit. Failure after a diagnostic.
  llvm::LogicalResult apply(KernelOp kernel, const std::string &key, const Target &target, bool isStep) const;
  bool has(const std::string &key, const Target &target) const;
  bool empty() const { return files.empty(); }

private:
  std::vector<ScheduleFile> files; ///< the first that has a key counts
};

/// The schedule of a kernel, in the words of a schedule file.
std::string scheduleWords(KernelOp kernel);

/// One way to schedule a kernel.
struct Candidate {
  std::string schedule; ///< in the words of a schedule file
  double relative;      ///< predicted time by that of the present schedule
};

/// The present schedule of `kernel`, then at most `most` others, the best predicted first. All suit kernel and target, and have its
/// bits where its arithmetic promises some. Changes nothing for long: the kernel is as it was when this returns.
std::vector<Candidate> candidatesOf(KernelOp kernel, const Target &target, Entry entry, llvm::StringRef compute, size_t most);

} // namespace sm1

#endif // SM1C_TUNING_H
