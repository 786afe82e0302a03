//===- PointwiseText.cpp - a thread's way through one token --------------------------------------------------------===//

#include "PointwiseText.h"

#include "../Cuda/Elementwise.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace sm1;

/// Words that a value cannot be called.
static constexpr llvm::StringLiteral reserved[] = {"k",     "layer", "float", "int",  "for", "const",
                                                   "Model", "sm1",   "if",    "else", "auto"};

static int64_t upTo(int64_t size, int64_t multiple) { return (size + multiple - 1) / multiple * multiple; }

/// Numbers that a parameter has for each channel of a layer.
static int64_t rowsOfLayer(ParamOp param) {
  auto type = cast<RankedTensorType>(param.getType());
  return type.getNumElements() / type.getDimSize(0);
}

int64_t TokenVectors::rowsOf(ParamOp param) {
  auto layers = param->getParentOfType<LayersOp>();
  return (layers ? int64_t(layers.getCount()) : 1) * rowsOfLayer(param);
}

int64_t TokenVectors::offsetOf(ParamOp param) {
  auto [place, isNew] = offsets.try_emplace(param, end);
  if (isNew) {
    params.push_back(param);
    end += rowsOf(param) * upTo(cast<RankedTensorType>(param.getType()).getDimSize(0), 16);
  }
  return place->second;
}

int64_t TokenVectors::numberOf(ParamOp param) {
  offsetOf(param);
  return llvm::find(params, param) - params.begin();
}

PointwiseText::PointwiseText(TokenProgram program, TokenVectors &vectors, const SourceNames &names)
    : program(std::move(program)), vectors(vectors), names(names) {
  for (StringRef word : reserved)
    taken.insert(word);
}

//===----------------------------------------------------------------------===//
// Lines
//===----------------------------------------------------------------------===//

void PointwiseText::line(const Twine &content) { text += std::string(2 * depth, ' ') + content.str() + "\n"; }

std::string PointwiseText::origin(Operation *op) const {
  unsigned number = names.lineOf(op);
  return number ? (" // " + op->getName().getStringRef() + ", line " + Twine(number)).str() : "";
}

std::string PointwiseText::unique(const std::string &wanted) {
  std::string name = wanted;
  for (int number = 2; !taken.insert(name).second; ++number)
    name = wanted + "_" + std::to_string(number);
  return name;
}

void PointwiseText::define(Value value, const Twine &expression, Operation *op) {
  std::string name = unique(names.of(value));
  line("const float " + name + " = " + expression + ";" + origin(op));
  defined[value] = name;
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

std::string PointwiseText::parameter(ParamOp param, Value like, int64_t row) {
  int64_t rows = rowsOfLayer(param);
  std::string place = rows > 1 ? llvm::formatv(", {0}, {1}", row, rows).str() : std::string();
  return llvm::formatv("k.parameter<{0}, {1}>({2}{3})", partition(like), vectors.numberOf(param),
                       param->getParentOfType<LayersOp>() ? "layer" : "0", place);
}

std::string PointwiseText::state(Value argument, Value like, int64_t row) {
  int64_t index = cast<BlockArgument>(argument).getArgNumber() - 1;
  auto type = cast<RankedTensorType>(argument.getType());
  int64_t rows = type.getRank() > 2 ? type.getDimSize(2) : 1;
  std::string place = rows > 1 ? llvm::formatv(", {0}, {1}", row, rows).str() : std::string();
  return llvm::formatv("k.state<{0}>({1}, layer{2})", partition(like), index, place);
}

/// 1 / rms of what a phase reads.
std::string PointwiseText::inverse(unsigned phase) {
  std::string &name = inverses[int(phase)];
  if (name.empty()) {
    name = unique("inverse");
    line(llvm::formatv("const float {0} = k.inverseRms<{1}>({2});", name, phase, cudaLiteral(program.phases[phase].norm.getEps())) +
         origin(program.phases[phase].norm));
  }
  return name;
}

std::string PointwiseText::use(Value value) {
  if (auto found = defined.find(value); found != defined.end())
    return found->second;
  if (auto argument = dyn_cast<BlockArgument>(value)) // a scan's state
    return state(argument, value);
  compute(value.getDefiningOp());
  return defined.lookup(value);
}

/// What the taps of earlier tokens give: it needs no product.
void PointwiseText::sumEarlierTaps(Conv1dOp conv) {
  Value result = conv.getResult();
  auto weight = conv.getWeight().getDefiningOp<ParamOp>();
  std::string sum = parameter(conv.getBias().getDefiningOp<ParamOp>(), result);
  for (int64_t tap = 0; tap + 1 < rowsOfLayer(weight); ++tap) {
    std::string &value = taps[result].emplace_back(unique(names.of(result) + "_tap")), name = unique(names.of(result) + "_sum");
    line(llvm::formatv("const float {0} = {1};", value, state(conv.getTaps(), result, tap)));
    line(llvm::formatv("const float {0} = sm1::fma({1}, {2}, {3});", name, parameter(weight, result, tap), value, sum) +
         origin(conv));
    sum = name;
  }
  std::string last = unique(names.of(result) + "_weight");
  line("const float " + last + " = " + parameter(weight, result, rowsOfLayer(weight) - 1) + ";");
  earlierTaps[result] = {sum, last};
}

/// Whether `op` divides by 1 + exp(x).
static bool isByGate(Operation *op) {
  auto sum = isa<arith::DivFOp>(op) ? op->getOperand(1).getDefiningOp<arith::AddFOp>() : nullptr;
  auto isOne = [](Value value) {
    auto broadcast = value.getDefiningOp<BroadcastOp>(); // of a number, in a description
    auto constant = (broadcast ? broadcast->getOperand(0) : value).getDefiningOp<arith::ConstantOp>();
    auto number = constant ? splatNumber(constant) : std::nullopt;
    return number && number->isExactlyValue(1);
  };
  auto isExp = [](Value value) { return value.getDefiningOp<math::ExpOp>() != nullptr; };
  return sum && ((isOne(sum.getLhs()) && isExp(sum.getRhs())) || (isOne(sum.getRhs()) && isExp(sum.getLhs())));
}

/// With a GPU's special functions, as in every kernel that multiplies bf16.
static StringRef formOf(Operation *op) {
  if (isByGate(op))
    return "sm1token::gateQuotient({0}, {1})";
  return llvm::StringSwitch<StringRef>(op->getName().getStringRef())
      .Case("arith.divf", "sm1token::quotient({0}, {1})")
      .Case("math.exp", "sm1token::exp({0})")
      .Case("math.log1p", "sm1token::log1p({0})")
      .Default(cudaForm(op));
}

std::string PointwiseText::computeOf(Operation *op) {
  if (auto linear = dyn_cast<LinearOp>(op)) {
    unsigned phase = program.rankOf(linear.getResult());
    if (linear->getBlock() != &program.layers.getBody().front())
      phase = program.layerPhases();
    TokenPhase &of = program.phases[phase];
    auto matrix = llvm::find(of.linears, linear) - of.linears.begin();
    std::string product = llvm::formatv("k.product<{0}>({1})", phase, matrix);
    if (program.bits == 8)
      product += " * " + scales.lookup(linear);
    return of.norm ? product + " * " + inverse(phase) : product;
  }
  if (auto norm = dyn_cast<RmsNormOp>(op)) {
    std::string factor = inverse(program.rankOf(norm.getResult()));
    return use(norm.getX()) + " * " + factor + " * " + use(norm.getWeight());
  }
  if (auto scan = dyn_cast<ScanOp>(op)) {
    std::string decay = use(scan.getDecay()), input = use(scan.getInput());
    return llvm::formatv("sm1::fma({0}, {1}, {2})", decay, scan.getInit() ? use(scan.getInit()) : "0.0f", input);
  }
  if (auto conv = dyn_cast<Conv1dOp>(op)) {
    auto [sum, weight] = earlierTaps.lookup(conv.getResult());
    return llvm::formatv("sm1::fma({0}, {1}, {2})", weight, use(conv.getX()), sum);
  }
  std::string operands[3];
  for (auto [index, operand] : llvm::enumerate(op->getOperands()))
    operands[index] = use(operand);
  return llvm::formatv(/*Validate=*/false, formOf(op).data(), operands[0], operands[1], operands[2]).str();
}

void PointwiseText::compute(Operation *op) {
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    defined[constant.getResult()] = cudaLiteral(*splatNumber(constant));
  } else if (isa<BroadcastOp, arith::ExtFOp, arith::TruncFOp>(op)) {
    // Values between phases keep more than bf16 would: see kernels/token.cuh.
    defined[op->getResult(0)] = std::string(use(op->getOperand(0)));
  } else if (auto param = dyn_cast<ParamOp>(op)) {
    define(param.getResult(), parameter(param, param.getResult()), op);
  } else {
    std::string expression = computeOf(op);
    define(op->getResult(0), expression, op);
  }
}

//===----------------------------------------------------------------------===//
// Phases
//===----------------------------------------------------------------------===//

/// True for what somebody besides the next phase's warps asks for.
bool PointwiseText::isNeeded(Operation *op) const {
  return llvm::any_of(op->getResults(), [&](Value result) {
    return llvm::any_of(result.getUsers(), [&](Operation *user) {
      if (isa<LinearOp>(user))
        return false;
      if (isa<RmsNormOp, arith::TruncFOp, arith::ExtFOp>(user))
        return isNeeded(user);
      return true;
    });
  });
}

static bool isComputed(Operation *op) { return isa<LinearOp, ScanOp, Conv1dOp, RmsNormOp>(op) || !cudaForm(op).empty(); }

void PointwiseText::prepare(unsigned index) {
  for (Operation &op : program.layers.getBody().front().without_terminator()) {
    if (op.getNumResults() == 0 || program.rankOf(op.getResult(0)) != int(index) || !isComputed(&op))
      continue;
    if (auto conv = dyn_cast<Conv1dOp>(op)) {
      sumEarlierTaps(conv);
      continue;
    }
    if (auto scan = dyn_cast<ScanOp>(op); scan && scan.getInit()) {
      std::string name = unique(names.of(scan.getH()) + "_before");
      line("const float " + name + " = " + state(scan.getInit(), scan.getH()) + ";");
      defined[scan.getInit()] = name;
    }
    if (auto norm = dyn_cast<RmsNormOp>(op); norm && isNeeded(norm))
      use(norm.getWeight());
    if (isa<LinearOp, RmsNormOp, ScanOp>(op))
      continue;
    for (Value operand : op.getOperands())
      if (operand.getDefiningOp() && program.rankOf(operand) < 0)
        use(operand);
  }
}

/// What integers are multiplied with, a number for each row.
void PointwiseText::loadScales(TokenPhase &phase) {
  for (auto [linear, param] : llvm::zip(phase.linears, phase.scales))
    if (program.bits == 8) {
      std::string name = scales[linear] = unique(names.of(linear.getResult()) + "_scale");
      line("const float " + name + " = " + parameter(param, linear.getResult()) + ";");
    }
}

void PointwiseText::keepStates(unsigned index) {
  for (Value yielded : program.layers.getBody().front().getTerminator()->getOperands().drop_front()) {
    Operation *op = yielded.getDefiningOp();
    if (program.rankOf(yielded) != int(index))
      continue;
    if (auto scan = dyn_cast<ScanOp>(op)) {
      int64_t state = cast<BlockArgument>(scan.getInit()).getArgNumber() - 1;
      line(llvm::formatv("k.setState<{0}>({1}, {2}, layer);", partition(scan.getH()), use(scan.getH()), state));
      continue;
    }
    auto convolution = cast<Conv1dOp>(op);
    int64_t number = cast<BlockArgument>(convolution.getTaps()).getArgNumber() - 1;
    int64_t rows = cast<RankedTensorType>(convolution.getTaps().getType()).getDimSize(2);
    for (int64_t row = 0; row < rows; ++row)
      line(llvm::formatv("k.setState<{0}>({1}, {2}, layer, {3}, {4});", partition(convolution.getResult()),
                         row + 1 < rows ? taps[convolution.getResult()][row + 1] : use(convolution.getX()), number, row, rows));
  }
}

void PointwiseText::printPhase(unsigned index) {
  TokenPhase &phase = program.phases[index];
  line(llvm::formatv("// Phase {0}: {1} row{2} a channel of a vector of {3}", index, phase.linears.size(),
                     phase.linears.size() > 1 ? "s" : "", phase.width));
  prepare(index);
  loadScales(phase);
  const bool isLast = index + 1 == program.layerPhases();
  for (unsigned reader = 1; reader < program.layerPhases(); ++reader)
    if (program.rankOf(program.phases[reader].vector) == int(index))
      line(llvm::formatv("k.weigh<{0}>(layer);", reader));
  if (isLast)
    line("k.weigh<0>(layer + 1);");
  line(llvm::formatv("k.wait<{0}>();", index));
  for (unsigned reader = 1; reader < program.layerPhases(); ++reader)
    if (program.rankOf(program.phases[reader].vector) == int(index)) {
      std::string value = use(program.phases[reader].vector);
      line(llvm::formatv("k.publish<{0}, {1}>({2}, layer);", reader, partition(program.phases[reader].vector), value));
    }
  if (isLast) {
    Value next = program.layers.getBody().front().getTerminator()->getOperand(0);
    std::string value = use(next);
    line(llvm::formatv("k.publish<0, {0}>({1}, layer + 1);", partition(next), value));
  }
  keepStates(index);
  for (Operation &op : program.layers.getBody().front().without_terminator())
    if (op.getNumResults() > 0 && program.rankOf(op.getResult(0)) == int(index) && isComputed(&op) && isNeeded(&op))
      if (!isa<RmsNormOp>(op) || isNeeded(&op))
        use(op.getResult(0));
}

void PointwiseText::printLogits() {
  unsigned phase = program.layerPhases();
  LinearOp linear = program.phases[phase].linears.front();
  loadScales(program.phases[phase]);
  line(llvm::formatv("k.wait<{0}>();", phase));
  std::string value = computeOf(linear);
  line(llvm::formatv("k.logit<{0}>({1});", program.phases[phase].partition, value));
}

std::string PointwiseText::print() {
  Value carried = program.layers.getBody().getArgument(0), next = program.layers.getBody().front().getTerminator()->getOperand(0);
  std::string name = unique(names.of(carried));
  line(llvm::formatv("float {0} = k.embedded<{1}>();", name, partition(carried)));
  defined[carried] = name;
  line("#pragma unroll 1");
  line(llvm::formatv("for (int layer = 0; layer < Model::layers; ++layer) {{"));
  ++depth;
  for (unsigned index = 0; index < program.layerPhases(); ++index)
    printPhase(index);
  line(name + " = " + use(next) + ";");
  --depth;
  line("}");
  printLogits();
  return std::move(text);
}
