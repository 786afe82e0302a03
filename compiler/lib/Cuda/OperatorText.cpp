//===- OperatorText.cpp - each operation of a kernel as lines of CUDA C++ ----------------------------------------===//

#include "../Lowering/StoredValue.h"
#include "../Lowering/TileEvaluator.h"
#include "../Transforms/KernelMerge.h"
#include "Elementwise.h"
#include "KernelText.h"

#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/FormatVariadic.h"

#include <charconv>

using namespace mlir;
using namespace sm1;

StringRef sm1::cudaForm(Operation *op) {
  Type element = op->getNumResults() == 1 ? getElementTypeOrSelf(op->getResult(0)) : Type();
  if (!element || !(element.isF32() || element.isBF16() || element.isF16()))
    return "";
  if (isa<arith::TruncFOp>(op))
    return element.isBF16() ? "sm1::toBf16({0})" : element.isF16() ? "sm1::toF16({0})" : "";
  if (!element.isF32())
    return "";
  return llvm::StringSwitch<StringRef>(op->getName().getStringRef())
      .Case("arith.extf", "sm1::widen({0})")
      .Case("arith.negf", "-{0}")
      .Case("arith.addf", "{0} + {1}")
      .Case("arith.subf", "{0} - {1}")
      .Case("arith.mulf", "{0} * {1}")
      .Case("arith.divf", "{0} / {1}")
      .Case("arith.maximumf", "sm1::maximum({0}, {1})")
      .Case("arith.minimumf", "sm1::minimum({0}, {1})")
      .Case("math.absf", "sm1::abs({0})")
      .Case("math.exp", "sm1::exp({0})")
      .Case("math.log1p", "sm1::log1p({0})")
      .Case("math.sqrt", "sm1::sqrt({0})")
      .Case("math.fma", "sm1::fma({0}, {1}, {2})")
      .Default("");
}

std::optional<llvm::APFloat> sm1::splatNumber(arith::ConstantOp constant) {
  if (auto number = dyn_cast<FloatAttr>(constant.getValue()); number && number.getType().isF32())
    return number.getValue();
  auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
  if (dense && dense.isSplat() && dense.getElementType().isF32())
    return dense.getSplatValue<llvm::APFloat>();
  return std::nullopt;
}

/// Why the operation has no form in CUDA C++; empty if it has one.
static std::string whyNotOperation(Operation *op) {
  bool hasForm = true;
  if (auto constant = dyn_cast<arith::ConstantOp>(op))
    hasForm = splatNumber(constant).has_value();
  else if (auto conv = dyn_cast<Conv1dOp>(op))
    hasForm = getElementTypeOrSelf(conv.getX()).isF32(); // or bf16 that is widened
  else if (!isa<BroadcastOp, EmbeddingOp, SelectRowsOp, SplitOp, RmsNormOp, ScanOp>(op))
    hasForm = !cudaForm(op).empty();
  return hasForm ? "" : ("holds " + op->getName().getStringRef()).str();
}

std::string sm1::whyNotCuda(KernelOp kernel, bool isStep) {
  BlockScheduleAttr schedule = kernel.getBlocksAttr();
  KernelContents contents = contentsOf(kernel);
  int64_t panels = strideOf(widthOf(kernel)) / panelWidth, split = schedule.getPanelSplit() ? schedule.getPanelSplit() : panels;
  bool isScan = schedule.getForm() == BlockForm::Scan;
  if (schedule.getForm() != BlockForm::Rows && !isScan)
    return ("the form " + stringifyBlockForm(schedule.getForm())).str();
  if (isScan && (isStep || contents.scans != 1 || contents.norms || schedule.getRowSplit() != 1 || panels % split ||
                 schedule.getThreads() % (4 * split)))
    return "another share of a scan";
  if (contents.norms > 1 || (contents.norms && split != panels))
    return "more than one norm, or a norm of parts of rows";
  if (contents.norms && panels > 512)
    return "rows that do not fit in 32 KB";
  if (std::string why = whyNotBody(kernel); !why.empty())
    return why;
  for (Operation &op : kernel.getBlock().without_terminator())
    if (std::string why = whyNotOperation(&op); !why.empty())
      return why;
  return "";
}

//===----------------------------------------------------------------------===//
// Numbers and elementwise operations
//===----------------------------------------------------------------------===//

std::string sm1::cudaLiteral(const llvm::APFloat &number) {
  if (!number.isFinite())
    return llvm::formatv("__int_as_float({0:x})", number.bitcastToAPInt().getZExtValue());
  char digits[32];
  std::string text(digits, std::to_chars(digits, digits + sizeof(digits), number.convertToFloat()).ptr);
  return text + (text.find_first_of(".e") == std::string::npos ? ".0f" : "f");
}

void KernelText::compute(ArrayRef<Operation *> ops) {
  for (Operation *op : ops)
    if (llvm::none_of(op->getResults(), [&](Value result) { return defined.contains(result); }))
      computeOne(op);
}

void KernelText::computeOne(Operation *op) {
  if (auto constant = dyn_cast<arith::ConstantOp>(op))
    defined[constant.getResult()] = cudaLiteral(*splatNumber(constant));
  else if (auto broadcast = dyn_cast<BroadcastOp>(op))
    defined[broadcast.getResult()] = std::string(use(broadcast.getValue()));
  else if (auto conv = dyn_cast<Conv1dOp>(op))
    computeConv(conv);
  else if (auto scan = dyn_cast<ScanOp>(op))
    computeScanStep(scan);
  else if (auto split = dyn_cast<SplitOp>(op))
    computeSplit(split);
  else if (auto embedding = dyn_cast<EmbeddingOp>(op))
    computeGather(op, embedding.getTable(), nameOf(embedding.getTokens()));
  else if (auto select = dyn_cast<SelectRowsOp>(op))
    computeGather(op, select.getX(), "selected");
  else
    computeElementwise(op);
}

void KernelText::computeElementwise(Operation *op) {
  std::string operands[3];
  for (auto [index, operand] : llvm::enumerate(op->getOperands()))
    operands[index] = use(operand);
  // Two literals would be numbers of C++, without the rounding of f32x4.
  if (op->getNumOperands() > 1 && llvm::all_of(op->getOperands(), [](Value operand) {
        auto broadcast = operand.getDefiningOp<BroadcastOp>();
        return (broadcast ? broadcast.getValue() : operand).getDefiningOp<arith::ConstantOp>();
      }))
    operands[0] = "f32x4(" + operands[0] + ")";
  define(op->getResult(0), llvm::formatv(/*Validate=*/false, cudaForm(op).data(), operands[0], operands[1], operands[2]).str(), op);
}

//===----------------------------------------------------------------------===//
// Operations that read memory by index
//===----------------------------------------------------------------------===//

void KernelText::computeGather(Operation *op, Value source, const std::string &indices) {
  std::string from = place(nameOf(source), "int64_t(" + indices + "[row])", strideOf(channels(op->getResult(0).getType())));
  define(op->getResult(0), "sm1::load(" + from + ")", op);
}

void KernelText::computeSplit(SplitOp split) {
  std::string x = nameOf(split.getX()), xStride = strideName(strideOf(channels(split.getX().getType())));
  int64_t offset = 0;
  for (Value part : split.getParts()) {
    std::string from = llvm::formatv("{0} + row * {1} + {2} + column", x, xStride, offset);
    if (!part.use_empty())
      define(part, llvm::formatv("sm1::loadFirst({0}, {1} - int(column))", from, channels(part.getType())).str(), split);
    offset += channels(part.getType());
  }
}

void KernelText::computeConv(Conv1dOp conv) {
  int64_t taken = cast<RankedTensorType>(conv.getWeight().getType()).getDimSize(2), before = taken - 1;
  Value stored = storedValue(conv.getX());
  const char *load = stored == conv.getX() ? "sm1::load({0})" : "sm1::widen(sm1::load({0}))";
  auto read = [&](const std::string &place) { return llvm::formatv(/*Validate=*/false, load, place).str(); };
  std::string x = nameOf(stored), taps = nameOf(conv.getTaps()), weight = nameOf(conv.getWeight()), bias = use(conv.getBias());
  std::string name = nameOf(conv.getResult()), window = unique(name + "_window");
  line("f32x4 " + window + "[" + Twine(taken) + "];" + origin(conv));
  if (isStep) {
    line(llvm::formatv("for (int j = 0; j < {0}; ++j)", before));
    line(llvm::formatv("  {0}[j] = sm1::load({1} + (row * {2} + j) * stride + column);", window, taps, before));
  } else {
    open(llvm::formatv("for (int j = 0; j < {0}; ++j)", before));
    line(llvm::formatv(
        "const int64_t wanted = row - {0} + j; // before the first row of a segment come the taps that it has from earlier",
        before));
    line(
        llvm::formatv("{0}[j] = wanted >= start ? {1} : sm1::load({2} + (segment * {3} + wanted - start + {3}) * stride + column);",
                      window, read(x + " + wanted * stride + column"), taps, before));
    close();
  }
  line(llvm::formatv("{0}[{1}] = {2};", window, before, read(x + " + row * stride + column")));
  line("f32x4 " + name + " = " + bias + ";");
  line(llvm::formatv("for (int j = 0; j < {0}; ++j)", taken));
  line(llvm::formatv("  {0} = sm1::fma(sm1::widen(sm1::load({1} + j * stride + column)), {2}[j], {0});", name, weight, window));
  defined[conv.getResult()] = name;
  if (!storedLast.insert(conv).second)
    return;
  for (const std::string &last : resultsOf(conv.getLast())) {
    line(isStep ? std::string("for (int j = 0; j < ") + std::to_string(before) + "; ++j)"
                : llvm::formatv("for (int j = 0; row + 1 == end && j < {0}; ++j)", before).str());
    line(llvm::formatv("  sm1::store({0} + ({1} * {2} + j) * stride + column, {3}[j + 1]);", last, isStep ? "row" : "segment",
                       before, window));
  }
}

void KernelText::computeScanStep(ScanOp scan) {
  std::string decay = use(scan.getDecay()), input = use(scan.getInput());
  std::string before =
      scan.getInit() ? "sm1::load(" + place(nameOf(scan.getInit()), "row", stride) + ")" : std::string("f32x4(0.0f)");
  if (scan.getForm() == ScanForm::ClosedForm)
    define(scan.getH(), decay + " * (" + before + " + " + input + " / sm1::maximum(" + decay + ", 1e-06f))", scan);
  else
    define(scan.getH(), "sm1::fma(" + decay + ", " + before + ", " + input + ")", scan);
  for (const std::string &last : resultsOf(scan.getLast()))
    line("sm1::store(" + place(last, "row", stride) + ", " + defined[scan.getH()] + ");");
}

void KernelText::storeStreams(llvm::function_ref<bool(Value)> which) {
  for (auto [yielded, result] : llvm::zip(kernel.yielded(), results)) {
    if (classify(yielded.getType()) != TensorClass::Stream || !which(yielded))
      continue;
    std::string value = use(yielded);
    line("sm1::store(" + place(result, "row", stride) + ", " + value + ");");
  }
}
