//===- DiffStage.cpp - what two ways of compiling differ in, at one stage ----------------------------------------===//

#include "Observer.h"
#include "StageFiles.h"
#include "TextDiff.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

#include <map>

using namespace sm1;

namespace {
/// The texts of one stage by the name that --dump-stages gives them.
class StageCollector : public Observer {
public:
  explicit StageCollector(llvm::StringRef stage) : stage(stage) {}

  bool takesOutput() const override { return true; }
  void onText(const StageText &text) override {
    if (text.name == stage)
      texts[stageFileName(text.name, text.target, text.entry)] = text.text;
  }
  std::map<std::string, std::string> texts;

private:
  llvm::StringRef stage;
};
} // namespace

bool sm1::diffStage(const CompileRequest &request, const CompileRequest &other, const Report &report, const Report &print) {
  std::vector<std::string> stages = emitNames();
  if (!llvm::is_contained(stages, request.diffStage)) {
    report("sm1c: error: --diff-stage=" + request.diffStage + ": must be one of " + llvm::join(stages, ", "));
    return false;
  }
  std::map<std::string, std::string> texts[2];
  for (bool second : {false, true}) {
    CompileRequest one = second ? other : request;
    one.emit = request.diffStage;
    StageCollector collector(request.diffStage);
    if (!compile(one, report, &collector))
      return false;
    texts[second] = std::move(collector.texts);
  }
  for (auto &[name, text] : texts[1])
    texts[0].try_emplace(name); // what only the other has is all new
  for (auto &[name, text] : texts[0])
    for (const std::string &line : unifiedDiff(text, texts[1][name], "a/" + name, "b/" + name))
      print(line);
  return true;
}
