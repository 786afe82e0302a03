//===- Collector.h - gathers what a report shows while a description is compiled ---------------------------------===//

#ifndef SM1C_LIB_REPORT_COLLECTOR_H
#define SM1C_LIB_REPORT_COLLECTOR_H

#include "../Driver/Observer.h"
#include "CodeText.h"
#include "Graph.h"
#include "Machines.h"
#include "Resources.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Support/JSON.h"

#include <map>
#include <vector>

namespace sm1 {

class Collector : public Observer {
public:
  /// `file` is the name under which the description is parsed.
  explicit Collector(std::string file) : file(std::move(file)) {}

  bool takesOutput() const override { return true; }
  void onText(const StageText &text) override;
  void onModule(mlir::ModuleOp module, Stage stage, const Target *target, Entry entry) override;
  void onToken(const TokenKernel &kernel, const Target *target) override;
  void onPipeline(llvm::StringRef text, Stage stage, const Target *target, Entry entry) override;

  /// Everything, in the form that page/report.js reads.
  llvm::json::Object finish() const;
  const std::string &description() const { return spec; }

private:
  /// One operation of the stage precise.
  struct Line {
    unsigned line;
    std::string text;
  };
  /// A program of a target. That of whole tokens has phases for kernels, and is of the entry Step.
  struct View {
    const Target *target;
    Entry entry;
    KernelGraph graph;
    llvm::StringMap<std::string> functions;                    ///< at Stage::Target
    llvm::StringMap<std::pair<int64_t, int64_t>> launchShapes; ///< threads, bytes of shared memory or scratch
    std::string tokenText = ""; ///< CUDA C++ of the launch for whole tokens; empty for any other program
    bool isToken() const { return !tokenText.empty(); }
  };
  struct Code {
    FunctionTexts llvm, machine;
    llvm::StringMap<GpuResources> resources; ///< of a GPU
  };

  void keepPrecise(mlir::ModuleOp module, Entry entry);
  void keepTarget(mlir::ModuleOp module, View &view);
  View *viewOf(const Target *target, Entry entry);
  llvm::json::Object viewJson(const View &view) const;
  llvm::json::Array loadsJson(const View &view, const KernelNode &kernel) const;
  Estimate estimateOf(const View &view, const KernelNode &kernel, const Machine &machine, const LaunchWork &work) const;
  llvm::json::Object kernelJson(const View &view, size_t index) const;
  llvm::json::Object stagesJson(const View &view, size_t index) const;
  llvm::json::Object resourcesJson(const View &view, const KernelNode &kernel) const;

  std::string file, spec;
  std::map<Entry, std::vector<Line>> precise;
  std::map<Entry, KernelGraph> fused;
  std::vector<View> views;
  std::map<const Target *, Code> codes;
  llvm::json::Array pipelines;
  llvm::StringSet<> seenPipelines;
};

} // namespace sm1

#endif // SM1C_LIB_REPORT_COLLECTOR_H
