//===- ScheduleFile.h - schedules that a person writes down, kernel by kernel ------------------------------------===//
//
// One line a kernel; what it does not say stays as the compiler chose it. docs/Schedules.md describes the format.

#ifndef SM1C_SCHEDULEFILE_H
#define SM1C_SCHEDULEFILE_H

#include "sm1/IR/Sm1.h"
#include "sm1c/Target.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Error.h"

#include <string>
#include <utility>
#include <vector>

namespace sm1 {

class ScheduleFile {
public:
  /// Reads a file. The error names the line, and what may stand there.
  static llvm::Expected<ScheduleFile> read(const std::string &path);
  static llvm::Expected<ScheduleFile> parse(llvm::StringRef text, const std::string &path);

  /// Names, as they are before any fusion, of the kernels that have `fuse=off`.
  std::vector<std::string> unfused() const;

  /// Whether it says anything of what it calls `name`.
  bool schedules(llvm::StringRef name, const Target &target) const;
  /// Changes the schedule of `kernel`, which has one for `target`, to what the file says of `name`; failure after a diagnostic at
  /// its line.
  llvm::LogicalResult apply(KernelOp kernel, llvm::StringRef name, const Target &target) const;

  /// An error for the first line with a schedule for none of the kernels in `names`, which are those of all targets at
  /// Stage::Scheduled.
  llvm::Error checkUsed(const llvm::StringSet<> &names) const;

private:
  struct Line {
    unsigned number;
    std::string kernel;
    std::string where; ///< a target, "cpu", "gpu", or empty for all
    std::vector<std::pair<std::string, std::string>> values;
    bool appliesTo(const Target &target) const;
  };

  llvm::Error add(Line line);
  llvm::Error errorAt(unsigned line, const llvm::Twine &text) const;

  std::string path;
  std::vector<Line> lines;
};

} // namespace sm1

#endif // SM1C_SCHEDULEFILE_H
