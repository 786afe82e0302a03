//===- Report.cpp - one page that shows what is made of a description --------------------------------------------===//
//
// The page is page/report.html with style, script and data put in; it needs no network and no other file.

#include "../Driver/Description.h"
#include "../Driver/StageFiles.h"
#include "Collector.h"
#include "Page.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/TargetParser/Host.h"

#include <optional>

using namespace sm1;
namespace json = llvm::json;

/// What a page is about where nobody says otherwise: this CPU at its best plain level, a card of today, and the H200.
static std::vector<std::string> defaultTargets() {
  auto features = llvm::sys::getHostCPUFeatures();
  return {features.lookup("avx512f") ? "x86-64-v4" : "x86-64-v3", "sm_120", "sm_90"};
}

/// Compiles one way; nothing after an error, which has been reported.
static std::optional<json::Object> collect(CompileRequest request, const std::string &label, std::string &description,
                                           const Report &report) {
  if (request.targets.empty())
    request.targets = defaultTargets();
  auto loaded = loadDescription(request);
  if (!loaded)
    return report("sm1c: error: " + llvm::toString(loaded.takeError())), std::nullopt;
  request.weightsIn = "external";
  request.remarks = request.lineInfo = true;
  json::Array remarks;
  Collector collector(loaded->name);
  bool compiled = compile(
      request,
      [&](const std::string &line) {
        if (llvm::StringRef(line).contains("remark: "))
          remarks.push_back(line);
        else
          report(line);
      },
      &collector);
  if (!compiled)
    return std::nullopt;
  description = collector.description();
  json::Object way = collector.finish();
  way["label"] = label;
  way["remarks"] = std::move(remarks);
  return way;
}

/// `page` with `text` in the place of `mark`.
static void put(std::string &page, llvm::StringRef mark, llvm::StringRef text) {
  if (size_t place = page.find(mark.str()); place != std::string::npos)
    page.replace(place, mark.size(), text.str());
}

/// JSON inside of <script>, where a "<" of a string could end the element; outside of strings JSON has none.
static std::string inScript(const json::Value &value) {
  std::string safe;
  for (char c : std::string(llvm::formatv("{0}", value)))
    safe += c == '<' ? "\\u003c" : std::string(1, c);
  return safe;
}

bool sm1::writeReport(const CompileRequest &request, const CompileRequest *other, const Report &report) {
  json::Array ways;
  std::string description;
  if (auto way = collect(request, "as given", description, report))
    ways.push_back(std::move(*way));
  else
    return false;
  if (other) {
    if (auto way = collect(*other, request.compareText, description, report))
      ways.push_back(std::move(*way));
    else
      return false;
  }
  json::Object data{
      {"model", request.model}, {"compiler", compilerVersion()}, {"description", description}, {"ways", std::move(ways)}};
  std::string page = page::html;
  put(page, "/* report.css */", page::css);
  put(page, "/* report.js */", page::js);
  put(page, "/* data */", inScript(std::move(data)));
  llvm::Error error = writeFile(request.reportPage, page);
  if (!error)
    return true;
  report("sm1c: error: " + llvm::toString(std::move(error)));
  return false;
}
