//===- Pipelines.cpp - stages as text on the command line --------------------------------------------------------===//

#include "Pipelines.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace sm1;
using llvm::createStringError;

static constexpr llvm::StringLiteral ownPasses = "default";

/// The parts of a pipeline between commas that are in no bracket.
static SmallVector<StringRef> elementsOf(StringRef text) {
  SmallVector<StringRef> elements;
  int depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (text[i] == ',' && depth == 0)) {
      if (StringRef element = text.slice(begin, i).trim(); !element.empty())
        elements.push_back(element);
      begin = i + 1;
    } else if (StringRef("({[").contains(text[i]))
      ++depth;
    else if (StringRef(")}]").contains(text[i]))
      --depth;
  }
  return elements;
}

/// The same pipeline without the module that it may be written for.
static StringRef insideModule(StringRef text) {
  text = text.trim();
  if (text.consume_front("builtin.module("))
    text.consume_back(")");
  return text;
}

/// "cse,canonicalize{...}": the passes that a stage runs by itself.
static std::string ownText(Stage stage, const StageOptions &options) {
  OpPassManager passes("builtin.module");
  buildStage(passes, stage, options);
  std::string text;
  llvm::raw_string_ostream stream(text);
  passes.printAsTextualPipeline(stream);
  // Options that are empty lists leave their blanks.
  for (size_t place; (place = text.find("{ ")) != std::string::npos || (place = text.find("  ")) != std::string::npos;)
    text.erase(text[place] == '{' ? place + 1 : place, 1);
  return insideModule(text).str();
}

/// Appends the passes of `text`; an error says what MLIR's parser said first.
static llvm::Error append(OpPassManager &passes, StringRef text, StringRef option) {
  if (text.empty())
    return llvm::Error::success();
  std::string said;
  llvm::raw_string_ostream stream(said);
  if (succeeded(parsePassPipeline(text, passes, stream)))
    return llvm::Error::success();
  StringRef why = StringRef(said).split('\n').first;
  if (size_t place = why.find("error: "); place != StringRef::npos)
    why = why.drop_front(place + 7);
  return createStringError("--pipeline=" + option + ": " + why + "; sm1-opt --help lists passes, --load-pass-plugin adds others");
}

llvm::Expected<Pipelines> Pipelines::parse(const std::vector<std::string> &given) {
  Pipelines pipelines;
  for (const std::string &text : given) {
    auto [name, passes] = StringRef(text).split('=');
    auto stage = parseStage(name);
    if (!stage || *stage == Stage::Spec || !StringRef(text).contains('='))
      return createStringError(
          "--pipeline=" + text +
          ": must be STAGE=PASSES, where STAGE is one of precise, fused, scheduled, target, and PASSES a pipeline "
          "such as default,cse");
    if (!pipelines.texts.emplace(*stage, insideModule(passes)).second)
      return createStringError("--pipeline=" + text + ": the stage " + name + " has two pipelines; pass one of them");
    OpPassManager manager("builtin.module");
    for (StringRef element : elementsOf(pipelines.texts[*stage]))
      if (element != ownPasses)
        if (llvm::Error error = append(manager, element, text))
          return error;
  }
  return pipelines;
}

bool Pipelines::replaces(Stage stage) const {
  auto found = texts.find(stage);
  return found != texts.end() && !llvm::is_contained(elementsOf(found->second), ownPasses);
}

llvm::Error Pipelines::build(OpPassManager &passes, Stage stage, const StageOptions &options) const {
  if (!texts.count(stage)) {
    buildStage(passes, stage, options);
    return llvm::Error::success();
  }
  return append(passes, textOf(stage, options), stageName(stage));
}

std::string Pipelines::textOf(Stage stage, const StageOptions &options) const {
  auto found = texts.find(stage);
  if (found == texts.end())
    return ownText(stage, options);
  SmallVector<std::string> elements;
  for (StringRef element : elementsOf(found->second))
    elements.push_back(element == ownPasses ? ownText(stage, options) : element.str());
  return llvm::join(elements, ",");
}
