//===- PrintPipelines.cpp - the passes of every stage, as --pipeline takes them ----------------------------------===//

#include "Observer.h"
#include "StageFiles.h"

#include "llvm/ADT/StringSet.h"

using namespace sm1;

namespace {
/// Prints each pipeline once, with what it is for.
class PipelinePrinter : public Observer {
public:
  explicit PipelinePrinter(const Report &report) : report(report) {}

  bool takesOutput() const override { return true; }
  void onText(const StageText &) override {}
  void onPipeline(llvm::StringRef text, Stage stage, const Target *target, Entry entry) override {
    std::string line = (stageName(stage) + "=" + text).str();
    if (!seen.insert(line).second)
      return;
    std::string label = labelOf(target, entry);
    report(label.empty() ? line : line + "  # " + label);
  }

private:
  const Report &report;
  llvm::StringSet<> seen;
};
} // namespace

bool sm1::printPipelines(const CompileRequest &request, const Report &report, const Report &print) {
  CompileRequest upToTarget = request;
  upToTarget.emit = stageName(Stage::Target).str();
  PipelinePrinter printer(print);
  return compile(upToTarget, report, &printer);
}
