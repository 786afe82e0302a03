//===- Diagnostics.cpp - what MLIR has to say, as lines for people -----------------------------------------------===//

#include "Diagnostics.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Location.h"
#include "mlir/IR/Remarks.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace sm1;

std::string sm1::placeOf(Location loc) {
  std::string place;
  loc->walk([&](Location part) {
    auto file = dyn_cast<FileLineColLoc>(part);
    if (!file)
      return WalkResult::advance();
    llvm::raw_string_ostream(place) << file.getFilename().getValue() << ":" << file.getLine() << ":" << file.getColumn();
    return WalkResult::interrupt();
  });
  return place;
}

static const char *severityName(DiagnosticSeverity severity) {
  switch (severity) {
  case DiagnosticSeverity::Error:
    return "error";
  case DiagnosticSeverity::Warning:
    return "warning";
  case DiagnosticSeverity::Note:
    return "note";
  case DiagnosticSeverity::Remark:
    return "remark";
  }
  return "";
}

DiagnosticLines::DiagnosticLines(MLIRContext &context, const Report &report)
    : report(report), handler(&context, [this](Diagnostic &diagnostic) { print(diagnostic); }) {}

void DiagnosticLines::print(Diagnostic &diagnostic) {
  std::string place = placeOf(diagnostic.getLocation());
  std::string line;
  llvm::raw_string_ostream stream(line);
  stream << place << (place.empty() ? "" : ": ") << severityName(diagnostic.getSeverity()) << ": " << diagnostic;
  errors += diagnostic.getSeverity() == DiagnosticSeverity::Error;
  report(line);
  for (Diagnostic &note : diagnostic.getNotes())
    // "see current operation" repeats half a module; the place says enough.
    if (!StringRef(note.str()).starts_with("see current operation"))
      print(note);
}

namespace {
/// One line per remark: "file:line:column: remark: FuseScanReadout: scan and mulf are one kernel". Passes run once for each entry
/// of each target; what they say again is not repeated.
class RemarkLines : public remark::detail::MLIRRemarkStreamerBase {
public:
  explicit RemarkLines(const Report &report) : report(report) {}

  void streamOptimizationRemark(const remark::detail::Remark &remark) override {
    std::string line = placeOf(remark.getLocation());
    line += line.empty() ? "" : ": ";
    line += "remark: " + remark.getRemarkName().str() + ":";
    for (const auto &arg : remark.getArgs())
      line += " " + arg.val;
    if (said.insert(line).second)
      report(line);
  }

private:
  const Report &report;
  llvm::StringSet<> said;
};
} // namespace

LogicalResult sm1::reportRemarks(MLIRContext &context, const Report &report) {
  remark::RemarkCategories categories;
  categories.passed = categories.missed = "fusion.*|tuning.*";
  return remark::enableOptimizationRemarks(context, std::make_unique<RemarkLines>(report),
                                           std::make_unique<remark::RemarkEmittingPolicyAll>(), categories);
}
