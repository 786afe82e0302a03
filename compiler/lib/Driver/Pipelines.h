//===- Pipelines.h - stages as text on the command line ----------------------------------------------------------===//
//
// --pipeline=STAGE=PASSES runs other passes than a stage's own on the way to it. PASSES is MLIR's text of a pipeline; the word
// `default` stands for the stage's own passes.

#ifndef SM1C_LIB_DRIVER_PIPELINES_H
#define SM1C_LIB_DRIVER_PIPELINES_H

#include "sm1c/Stages.h"

#include "llvm/Support/Error.h"

#include <map>
#include <string>
#include <vector>

namespace sm1 {

class Pipelines {
public:
  /// Reads what --pipeline was given; every pass in it must be registered.
  static llvm::Expected<Pipelines> parse(const std::vector<std::string> &given);

  bool empty() const { return texts.empty(); }
  /// Whether somebody has written what leads to a stage.
  bool hasText(Stage stage) const { return texts.count(stage); }
  /// Whether a stage's own passes do not run.
  bool replaces(Stage stage) const;
  /// Adds what runs on the way to `stage`.
  llvm::Error build(mlir::OpPassManager &passes, Stage stage, const StageOptions &options) const;
  /// The same as text, with every option of every pass: what --pipeline would take.
  std::string textOf(Stage stage, const StageOptions &options) const;

private:
  std::map<Stage, std::string> texts;
};

} // namespace sm1

#endif // SM1C_LIB_DRIVER_PIPELINES_H
