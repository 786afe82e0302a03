//===- StageFiles.h - every stage as a numbered file of a folder -------------------------------------------------===//

#ifndef SM1C_LIB_DRIVER_STAGEFILES_H
#define SM1C_LIB_DRIVER_STAGEFILES_H

#include "Observer.h"

#include <string>

namespace sm1 {

/// "sm_120, entry step"; what a text is of. Empty where it is of all.
std::string labelOf(const Target *target, Entry entry);

/// "30-scheduled-sm_120-step.mlir". Numbers are those of docs/Stages.md and do not change: 10 for each stage of the IR, what is
/// made of a stage between it and the next.
std::string stageFileName(llvm::StringRef name, const Target *target, Entry entry);

/// An error where the folder of a file that is to be written is missing: better said before the work than behind it.
llvm::Error checkFolder(const std::string &path);

/// An error where `path` is one of the files, or a file of one of the checkpoint directories, that are `read`: it would be lost.
llvm::Error checkNotRead(const std::string &path, llvm::ArrayRef<std::string> read);

/// Writes a whole file, or leaves what was there; to a device, a pipe or "-", standard output, as much as goes.
llvm::Error writeFile(const std::string &path, const std::string &text);

/// Writes what it sees into a folder.
class StageFiles : public Observer {
public:
  /// Makes the folder where it is not there.
  static llvm::Expected<StageFiles> make(const std::string &folder);

  void onText(const StageText &text) override;
  /// What the first file that could not be written met; empty: all are there.
  const std::string &error() const { return firstError; }

private:
  explicit StageFiles(std::string folder) : folder(std::move(folder)) {}

  std::string folder, firstError;
};

} // namespace sm1

#endif // SM1C_LIB_DRIVER_STAGEFILES_H
