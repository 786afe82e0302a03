//===- SourceNames.cpp - names from the lines of a description ---------------------------------------------------===//

#include "SourceNames.h"

#include "mlir/IR/OpImplementation.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace sm1;

SourceNames::SourceNames(StringRef file, StringRef source) : file(file), text(source) { StringRef(text).split(lines, '\n'); }

FileLineColLoc SourceNames::placeOf(Operation *op) const {
  auto place = op->getLoc()->findInstanceOf<FileLineColLoc>();
  if (!place || place.getFilename() != file || place.getLine() == 0 || place.getLine() > lines.size() || place.getColumn() == 0)
    return {};
  // Operations that a pass adds stand where the one stands that they were added for.
  return lines[place.getLine() - 1].drop_front(place.getColumn() - 1).starts_with(op->getName().getStringRef()) ? place
                                                                                                                : FileLineColLoc();
}

unsigned SourceNames::lineOf(Operation *op) const {
  FileLineColLoc place = placeOf(op);
  return place ? place.getLine() : 0;
}

/// Name number `index` of `%a, %b:2 =`; empty if there is none.
static std::string nameAmong(StringRef left, unsigned index) {
  left = left.trim();
  if (!left.consume_back("="))
    return "";
  SmallVector<StringRef> parts;
  left.split(parts, ',');
  for (StringRef part : parts) {
    auto [name, count] = part.trim().split(':');
    unsigned covered = 1;
    if (!name.consume_front("%") || (!count.empty() && count.getAsInteger(10, covered)))
      return "";
    if (index < covered)
      return covered == 1 ? name.str() : (name + "_" + Twine(index)).str();
    index -= covered;
  }
  return "";
}

std::string SourceNames::written(OpResult result) const {
  FileLineColLoc place = placeOf(result.getOwner());
  return place ? nameAmong(lines[place.getLine() - 1].take_front(place.getColumn() - 1), result.getResultNumber()) : "";
}

std::string SourceNames::partOf(LinearOp linear, StringRef whole) const {
  auto weight = dyn_cast<BlockArgument>(linear.getWeight());
  auto kernel = weight ? dyn_cast<KernelOp>(weight.getOwner()->getParentOp()) : KernelOp();
  auto param = kernel ? kernel.getInputs()[weight.getArgNumber()].getDefiningOp<ParamOp>() : ParamOp();
  if (!param || !param.getFirstRow())
    return "";
  int64_t first = *param.getFirstRow(), rows = *param.getEndRow() - first;
  for (StringRef line : lines) {
    auto [left, right] = line.split("sm1.split %");
    if (first % rows == 0 && right.consume_front(whole) && !right.empty() && !llvm::isAlnum(right.front()) && right.front() != '_')
      return nameAmong(left, first / rows);
  }
  return "";
}

/// What the dialect calls a value when it prints it.
static std::string suggested(Value value) {
  std::string name;
  auto take = [&](Value named, StringRef suggestion) {
    if (named == value)
      name = suggestion.str();
  };
  auto argument = dyn_cast<BlockArgument>(value);
  Operation *op = argument ? argument.getOwner()->getParentOp() : value.getDefiningOp();
  auto printed = dyn_cast_or_null<OpAsmOpInterface>(op);
  if (printed && argument)
    printed.getAsmBlockArgumentNames(*argument.getOwner()->getParent(), take);
  else if (printed)
    printed.getAsmResultNames(take);
  return name;
}

static std::string identifier(StringRef name) {
  std::string clean;
  for (char letter : name)
    clean += llvm::isAlnum(letter) ? letter : '_';
  if (clean.empty() || llvm::isDigit(clean.front()))
    clean.insert(clean.begin(), 'v');
  return clean;
}

std::string SourceNames::of(Value value) const {
  if (auto result = dyn_cast<OpResult>(value)) {
    Operation *op = result.getOwner();
    if (std::string name = written(result); !name.empty()) {
      std::string part = isa<LinearOp>(op) ? partOf(cast<LinearOp>(op), name) : "";
      return identifier(part.empty() ? name : part);
    }
    if (isa<KernelOp, LaunchOp>(op)) // what it yields
      return of(op->getRegion(0).front().getTerminator()->getOperand(result.getResultNumber()));
    if (isa<arith::ExtFOp, arith::TruncFOp>(op)) // one name in two precisions
      return of(op->getOperand(0)) + (isa<arith::ExtFOp>(op) ? "_wide" : "_narrow");
    if (isa<SelectRowsOp>(op))
      return of(op->getOperand(0)) + "_selected";
  } else if (auto kernel = dyn_cast<KernelOp>(cast<BlockArgument>(value).getOwner()->getParentOp())) {
    return of(kernel.getInputs()[cast<BlockArgument>(value).getArgNumber()]);
  }
  return identifier(suggested(value));
}
