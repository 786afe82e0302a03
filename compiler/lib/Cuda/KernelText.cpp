//===- KernelText.cpp - names, the function's head, values -------------------------------------------------------===//

#include "KernelText.h"

#include "../Lowering/TileEvaluator.h"
#include "../Transforms/BlockForms.h"
#include "../Transforms/KernelMerge.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace sm1;

/// Words that a value cannot be called: of the language, of the head, of the forms.
static constexpr llvm::StringLiteral reserved[] = {
    "and",       "asm",      "auto",         "bool",     "break",      "case",         "char",
    "class",     "const",    "continue",     "default",  "delete",     "do",           "double",
    "else",      "enum",     "explicit",     "export",   "extern",     "false",        "float",
    "for",       "friend",   "goto",         "if",       "inline",     "int",          "long",
    "namespace", "new",      "not",          "operator", "or",         "private",      "public",
    "register",  "return",   "short",        "signed",   "sizeof",     "static",       "struct",
    "switch",    "template", "this",         "throw",    "true",       "try",          "typedef",
    "union",     "unsigned", "using",        "virtual",  "void",       "volatile",     "while",
    "xor",       "row",      "column",       "width",    "stride",     "segment",      "start",
    "end",       "n",        "segments",     "selected", "rowSegment", "segmentStart", "index",
    "threads",   "tileRows", "tileChannels", "first",    "lane",       "rows",         "j",
    "i",         "wanted",   "walks",        "values",   "inverse",    "decays",       "inputs",
    "sm1",       "f32x4",    "bf16x4",       "f16x4",    "min",        "max",          "channel",
    "tileRow"};

KernelText::KernelText(KernelOp kernel, bool isStep, const SourceNames &names)
    : kernel(kernel), schedule(kernel.getBlocksAttr()), isStep(isStep), names(names), width(widthOf(kernel)),
      stride(strideOf(width)) {
  for (StringRef word : reserved)
    taken.insert(word);
  for (Value argument : kernel.getBlock().getArguments())
    nameOf(argument);
  for (Value yielded : kernel.yielded())
    results.push_back(unique(nameOf(yielded) + "_out"));
}

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

void KernelText::line(const Twine &content) { text += std::string(2 * depth, ' ') + content.str() + "\n"; }

void KernelText::open(const Twine &content) {
  line(content + " {");
  ++depth;
}

void KernelText::close() {
  --depth;
  line("}");
}

std::string KernelText::origin(Operation *op) const {
  std::string where = (" // " + op->getName().getStringRef()).str();
  unsigned number = names.lineOf(op);
  return number ? where + ", line " + std::to_string(number) : where;
}

static StringRef numberName(Type element) {
  return element.isF32() ? "float" : element.isBF16() ? "sm1::bf16" : element.isF16() ? "sm1::f16" : "int32_t";
}

void KernelText::printParameter(Type type, StringRef layout, const std::string &name, bool isConst) {
  MemRefType buffer = bufferType(type, layout);
  TensorClass kind = classify(type);
  std::string shape;
  for (int64_t size : buffer.getShape())
    shape += "[" + (ShapedType::isDynamic(size) ? kind == TensorClass::State ? "segments" : "rows" : std::to_string(size)) + "]";
  if (kind == TensorClass::Param)
    shape += ", a parameter";
  // States may be updated in place.
  StringRef alone = kind == TensorClass::State ? "*" : "*__restrict__ ";
  line(
      llvm::formatv("    {0}{1} {2}{3}, // {4}", isConst ? "const " : "", numberName(buffer.getElementType()), alone, name, shape));
}

void KernelText::printHead() {
  bool isScan = schedule.getForm() == BlockForm::Scan;
  line(llvm::formatv("// {0}: a block for {1} {2} and {3}", kernel.getKernelName(), rowSplit(),
                     isScan            ? "segment"
                     : rowSplit() == 1 ? "row"
                                       : "rows",
                     schedule.getPanelSplit() ? std::to_string(16 * schedule.getPanelSplit()) + " channels"
                                              : std::string("all channels")));
  std::string shape = llvm::formatv("// sm1: threads={0} shared=0 row_split={1}", schedule.getThreads(), rowSplit());
  if (schedule.getPanelSplit())
    shape += " panel_split=" + std::to_string(schedule.getPanelSplit());
  line(shape + (cutsTime(schedule) ? " time_split=0" : "")); // printed, a block walks all of its segment
  line(llvm::formatv("extern \"C\" __global__ void __launch_bounds__({0}) {1}_kernel(", schedule.getThreads(),
                     kernel.getKernelName()));
  for (auto [argument, input] : llvm::zip(kernel.getBlock().getArguments(), kernel.getInputs())) {
    auto param = input.getDefiningOp<ParamOp>();
    printParameter(argument.getType(), param ? param.getLayout().value_or("") : "", nameOf(argument), true);
  }
  for (auto [type, name] : llvm::zip(kernel.getResultTypes(), results))
    printParameter(type, "", name, false);
  open("    const int32_t *rowSegment, const int32_t *segmentStart, const int32_t *selected, int64_t n, int64_t segments)");
}

std::string KernelText::print() {
  printHead();
  if (schedule.getForm() == BlockForm::Scan)
    printScan();
  else
    printRows();
  close();
  return text;
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

std::string KernelText::unique(const std::string &wanted) {
  std::string name = wanted;
  for (int number = 2; !taken.insert(name).second; ++number)
    name = wanted + "_" + std::to_string(number);
  return name;
}

std::string KernelText::nameOf(Value value) {
  auto [place, isNew] = known.try_emplace(value);
  if (!isNew)
    return place->second;
  std::string name = unique(names.of(value));
  return known[value] = name;
}

std::string KernelText::strideName(int64_t of) const { return of == stride ? "stride" : std::to_string(of); }

std::string KernelText::place(const std::string &pointer, const Twine &row, int64_t rowStride) const {
  return (pointer + " + " + row + " * " + strideName(rowStride) + " + column").str();
}

SmallVector<std::string> KernelText::resultsOf(Value value) {
  SmallVector<std::string> found;
  for (auto [yielded, name] : llvm::zip(kernel.yielded(), results))
    if (yielded == value)
      found.push_back(name);
  return found;
}

static std::string vectorName(Type type) {
  Type element = getElementTypeOrSelf(type);
  return element.isF32() ? "f32x4" : element.isBF16() ? "bf16x4" : "f16x4";
}

void KernelText::define(Value value, const Twine &expression, Operation *op) {
  std::string name = nameOf(value);
  line("const " + vectorName(value.getType()) + " " + name + " = " + expression + ";" + origin(op));
  defined[value] = name;
}

std::string KernelText::use(Value value) {
  if (auto found = defined.find(value); found != defined.end())
    return found->second;
  auto argument = dyn_cast<BlockArgument>(value);
  if (!argument) {
    computeOne(value.getDefiningOp());
    return defined.lookup(value);
  }
  bool isParam = classify(value.getType()) == TensorClass::Param;
  std::string pointer = nameOf(argument);
  std::string &name = loaded[value];
  if (name.empty())
    name = unique(pointer + "_t");
  std::string from = isParam ? pointer + " + column" : place(pointer, "row", strideOf(channels(value.getType())));
  line("const " + vectorName(value.getType()) + " " + name + " = sm1::load(" + from + ");");
  return defined[value] = name;
}
