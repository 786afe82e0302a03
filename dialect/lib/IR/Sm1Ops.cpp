//===- Sm1Ops.cpp - the operators: what ODS cannot verify, infer, parse or print ---------------------------------===//

#include "sm1/IR/Sm1.h"

using namespace mlir;
using namespace sm1;

/// The stream of x with `width` channels of type `element`.
static RankedTensorType streamLike(Type x, int64_t width, Type element) {
  auto shape = llvm::to_vector(cast<RankedTensorType>(x).getShape());
  shape.back() = width;
  return RankedTensorType::get(shape, element);
}

/// [batch of x, channels of x, extra...] in f32.
static RankedTensorType stateLike(Type x, ArrayRef<int64_t> extra) {
  auto stream = cast<RankedTensorType>(x);
  SmallVector<int64_t> shape{stream.getDimSize(0), stream.getShape().back()};
  llvm::append_range(shape, extra);
  return RankedTensorType::get(shape, Float32Type::get(x.getContext()));
}

//===----------------------------------------------------------------------===//
// Types in the assembly. Results are inferred while parsing, before anything is verified, so what is inferred from is checked here.
//===----------------------------------------------------------------------===//

static ParseResult parseStream(OpAsmParser &parser, Type &type) {
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseType(type))
    return failure();
  return isStream(type) ? success()
                        : parser.emitError(loc, "expected a stream tensor<?x?xCxT> of f32, bf16, f16 or e4m3, got ") << type;
}

static void printStream(OpAsmPrinter &printer, Operation *, Type type) { printer << type; }

static ParseResult parseMatrix(OpAsmParser &parser, Type &type) {
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseType(type))
    return failure();
  return isParam(type, 2) ? success()
                          : parser.emitError(loc, "expected a static matrix of f32, bf16, f16, e4m3, i8 or i4, got ") << type;
}

static void printMatrix(OpAsmPrinter &printer, Operation *, Type type) { printer << type; }

/// The enum alone: its attribute's own printer begins with a space.
static ParseResult parseSync(OpAsmParser &parser, SyncAttr &sync) {
  StringRef keyword;
  SMLoc loc = parser.getCurrentLocation();
  std::optional<Sync> parsed;
  if (parser.parseKeyword(&keyword))
    return failure();
  if (!(parsed = symbolizeSync(keyword)))
    return parser.emitError(loc, "sync must be none, flags or grid, got ") << keyword;
  sync = SyncAttr::get(parser.getContext(), *parsed);
  return success();
}

static void printSync(OpAsmPrinter &printer, Operation *, SyncAttr sync) { printer << stringifySync(sync.getValue()); }

#define GET_OP_CLASSES
#include "sm1/IR/Sm1Ops.cpp.inc"

/// Builders may infer from operands that no verifier has seen; what cannot be read is refused with the words of the verifier.
static LogicalResult refuseUnlessStream(std::optional<Location> loc, StringRef op, Type type) {
  return isStream(type) ? success() : emitOptionalError(loc, "'", op, "' op operand #0 must be stream tensor<?x?xCxT>, got ", type);
}

//===----------------------------------------------------------------------===//
// sm1.embedding, sm1.linear, sm1.rms_norm
//===----------------------------------------------------------------------===//

LogicalResult EmbeddingOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, ValueRange operands, DictionaryAttr,
                                            OpaqueProperties, RegionRange, SmallVectorImpl<Type> &types) {
  Type element = getElementTypeOrSelf(operands[1].getType());
  if (!isTokens(operands[0].getType()) || !isParam(operands[1].getType(), 2) || element.isInteger() ||
      isa<Float8E4M3FNType>(element))
    return emitOptionalError(loc, "'sm1.embedding' op operands must be tokens tensor<?x?xi32> and a matrix, got ",
                             operands[0].getType(), " and ", operands[1].getType());
  auto table = cast<RankedTensorType>(operands[1].getType());
  types.push_back(RankedTensorType::get({ShapedType::kDynamic, ShapedType::kDynamic, table.getDimSize(1)}, table.getElementType()));
  return success();
}

LogicalResult LinearOp::inferReturnTypes(MLIRContext *context, std::optional<Location> loc, ValueRange operands, DictionaryAttr,
                                         OpaqueProperties, RegionRange, SmallVectorImpl<Type> &types) {
  if (failed(refuseUnlessStream(loc, getOperationName(), operands[0].getType())))
    return failure();
  auto weight = dyn_cast<RankedTensorType>(operands[1].getType());
  int64_t width = channels(operands[0].getType());
  if (!isParam(weight, 2) || weight.getDimSize(1) != width)
    return emitOptionalError(loc, "'sm1.linear' op linear_c1: weight must have ", width, " columns to match x of type ",
                             operands[0].getType(), ", got ", operands[1].getType());
  types.push_back(streamLike(operands[0].getType(), weight.getDimSize(0), Float32Type::get(context)));
  return success();
}

LogicalResult LinearOp::verify() {
  auto weight = cast<RankedTensorType>(getWeight().getType());
  bool isInteger = weight.getElementType().isInteger(), isFp8 = isa<Float8E4M3FNType>(weight.getElementType()),
       isQuantised = isInteger || isFp8;
  if (isQuantised != bool(getScales()) || (getInt8() && !isInteger))
    return emitOpError(
               "linear_c2: a matrix of integers or e4m3 comes with scales, another without, and int8 with integers alone; the "
               "matrix is ")
           << weight;
  if (isFp8 != isa<Float8E4M3FNType>(getElementTypeOrSelf(getX())))
    return emitOpError("linear_c3: x and the matrix must both be e4m3, got ") << getX().getType() << " and " << weight;
  if (isQuantised && cast<RankedTensorType>(getScales().getType()).getDimSize(0) != weight.getDimSize(0))
    return emitOpError("linear_c2: scales must be [") << weight.getDimSize(0) << ", groups], got " << getScales().getType();
  return success();
}

LogicalResult RmsNormOp::verify() {
  if (!getEps().isFinite() || getEps().isNegative() || getEps().isZero())
    return emitOpError("rms_norm_c2: eps must be positive and finite, got ") << getEpsAttr();
  return success();
}

//===----------------------------------------------------------------------===//
// sm1.conv1d
//===----------------------------------------------------------------------===//

LogicalResult Conv1dOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, ValueRange operands, DictionaryAttr,
                                         OpaqueProperties, RegionRange, SmallVectorImpl<Type> &types) {
  Type x = operands[0].getType(), bias = operands[2].getType();
  if (failed(refuseUnlessStream(loc, getOperationName(), x)))
    return failure();
  int64_t width = channels(x);
  auto weight = dyn_cast<RankedTensorType>(operands[1].getType());
  if (!isParam(weight, 3) || weight.getDimSize(0) != width || weight.getDimSize(1) != 1 || weight.getDimSize(2) < 2 ||
      bias != channelParamType(x))
    return emitOptionalError(loc, "'sm1.conv1d' op conv1d_c1: weight must be [", width, ", 1, K] with K at least 2 and bias [",
                             width, "] to match x of type ", x, ", got ", operands[1].getType(), " and ", bias);
  RankedTensorType taps = stateLike(x, {weight.getDimSize(2) - 1});
  if (operands[3].getType() != taps)
    return emitOptionalError(loc, "'sm1.conv1d' op conv1d_c2: taps must be ", taps, " for x of type ", x, " and a kernel of ",
                             weight.getDimSize(2), ", got ", operands[3].getType());
  types.assign({x, taps});
  return success();
}

ParseResult Conv1dOp::parse(OpAsmParser &parser, OperationState &result) {
  OpAsmParser::UnresolvedOperand x, weight, bias, taps;
  Type xType, weightType;
  if (parser.parseOperand(x) || parser.parseComma() || parser.parseOperand(weight) || parser.parseComma() ||
      parser.parseOperand(bias) || parser.parseKeyword("taps") || parser.parseOperand(taps) ||
      parser.parseOptionalAttrDict(result.attributes) || parser.parseColon() || parseStream(parser, xType) || parser.parseComma())
    return failure();
  SMLoc weightLoc = parser.getCurrentLocation();
  if (parser.parseType(weightType))
    return failure();
  if (!isParam(weightType, 3) || cast<RankedTensorType>(weightType).getDimSize(2) < 2)
    return parser.emitError(weightLoc, "conv1d_c1: weight must be [channel, 1, K] with K at least 2, got ") << weightType;
  RankedTensorType tapsType = stateLike(xType, {cast<RankedTensorType>(weightType).getDimSize(2) - 1});
  if (parser.resolveOperand(x, xType, result.operands) || parser.resolveOperand(weight, weightType, result.operands) ||
      parser.resolveOperand(bias, channelParamType(xType), result.operands) ||
      parser.resolveOperand(taps, tapsType, result.operands))
    return failure();
  result.addTypes({xType, tapsType});
  return success();
}

void Conv1dOp::print(OpAsmPrinter &printer) {
  printer << ' ' << getX() << ", " << getWeight() << ", " << getBias() << " taps " << getTaps();
  printer.printOptionalAttrDict((*this)->getAttrs());
  printer << " : " << getX().getType() << ", " << getWeight().getType();
}

//===----------------------------------------------------------------------===//
// sm1.scan
//===----------------------------------------------------------------------===//

LogicalResult ScanOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, ValueRange operands, DictionaryAttr,
                                       OpaqueProperties, RegionRange, SmallVectorImpl<Type> &types) {
  Type decay = operands[0].getType();
  if (failed(refuseUnlessStream(loc, getOperationName(), decay)))
    return failure();
  if (operands[1].getType() != decay)
    return emitOptionalError(loc, "'sm1.scan' op scan_c1: decay and input must have one type, got ", decay, " and ",
                             operands[1].getType());
  RankedTensorType state = stateLike(decay, {});
  if (operands.size() > 2 && operands[2].getType() != state)
    return emitOptionalError(loc, "'sm1.scan' op scan_c2: init must be [batch, channel] = ", state, " to match decay of type ",
                             decay, ", got ", operands[2].getType());
  types.assign({decay, state});
  return success();
}

ParseResult ScanOp::parse(OpAsmParser &parser, OperationState &result) {
  SmallVector<OpAsmParser::UnresolvedOperand> operands(2);
  if (parser.parseOperand(operands[0]) || parser.parseComma() || parser.parseOperand(operands[1]))
    return failure();
  if (succeeded(parser.parseOptionalKeyword("init")) && parser.parseOperand(operands.emplace_back()))
    return failure();
  if (succeeded(parser.parseOptionalKeyword("form"))) {
    StringRef form;
    SMLoc formLoc = parser.getCurrentLocation();
    std::optional<ScanForm> parsed;
    if (parser.parseKeyword(&form) || !(parsed = symbolizeScanForm(form)))
      return parser.emitError(formLoc, "form must be exact or closed_form");
    result.addAttribute(getFormAttrName(result.name), ScanFormAttr::get(parser.getContext(), *parsed));
  }
  Type type;
  if (parser.parseOptionalAttrDict(result.attributes) || parser.parseColon() || parseStream(parser, type))
    return failure();
  SmallVector<Type> types{type, type, stateLike(type, {})};
  types.resize(operands.size());
  if (parser.resolveOperands(operands, types, parser.getCurrentLocation(), result.operands))
    return failure();
  result.addTypes({type, stateLike(type, {})});
  return success();
}

void ScanOp::print(OpAsmPrinter &printer) {
  printer << ' ' << getDecay() << ", " << getInput();
  if (getInit())
    printer << " init " << getInit();
  if (getForm() != ScanForm::Exact)
    printer << " form " << stringifyScanForm(getForm());
  printer.printOptionalAttrDict((*this)->getAttrs(), {getFormAttrName()});
  printer << " : " << getDecay().getType();
}

//===----------------------------------------------------------------------===//
// sm1.selective_scan
//===----------------------------------------------------------------------===//

/// More states than published models have; kernels keep them all at hand.
static constexpr int64_t mostStates = 256;

/// [channels of dt, channels of b] in f32: what `a` has to be.
static RankedTensorType ratesLike(Type dt, Type b) {
  return RankedTensorType::get({channels(dt), channels(b)}, Float32Type::get(dt.getContext()));
}

LogicalResult SelectiveScanOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, ValueRange operands, DictionaryAttr,
                                                OpaqueProperties, RegionRange, SmallVectorImpl<Type> &types) {
  Type dt = operands[0].getType(), input = operands[1].getType(), a = operands[2].getType(), b = operands[3].getType(),
       c = operands[4].getType();
  if (failed(refuseUnlessStream(loc, getOperationName(), dt)))
    return failure();
  if (input != dt)
    return emitOptionalError(loc, "'sm1.selective_scan' op selective_scan_c1: dt and input must have one type, got ", dt, " and ",
                             input);
  if (!isStream(b) || c != b || channels(b) > mostStates || a != ratesLike(dt, b))
    return emitOptionalError(loc, "'sm1.selective_scan' op selective_scan_c2: A must be [", channels(dt),
                             ", N] in f32, B and C streams of N channels, and N at most ", mostStates, ", got ", a, ", ", b, " and ",
                             c);
  RankedTensorType state = stateLike(dt, {channels(b)});
  if (operands.size() > 5 && operands[5].getType() != state)
    return emitOptionalError(loc, "'sm1.selective_scan' op selective_scan_c3: init must be [batch, channel, state] = ", state,
                             ", got ", operands[5].getType());
  types.assign({dt, state});
  return success();
}

ParseResult SelectiveScanOp::parse(OpAsmParser &parser, OperationState &result) {
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  if (parser.parseOperandList(operands, /*requiredOperandCount=*/5))
    return failure();
  if (succeeded(parser.parseOptionalKeyword("init")) && parser.parseOperand(operands.emplace_back()))
    return failure();
  Type dt, b;
  if (parser.parseOptionalAttrDict(result.attributes) || parser.parseColon() || parseStream(parser, dt) || parser.parseComma() ||
      parseStream(parser, b))
    return failure();
  RankedTensorType state = stateLike(dt, {channels(b)});
  SmallVector<Type> types{dt, dt, ratesLike(dt, b), b, b, state};
  types.resize(operands.size());
  if (parser.resolveOperands(operands, types, parser.getCurrentLocation(), result.operands))
    return failure();
  result.addTypes({dt, state});
  return success();
}

void SelectiveScanOp::print(OpAsmPrinter &printer) {
  printer << ' ' << getDt() << ", " << getInput() << ", " << getA() << ", " << getB() << ", " << getC();
  if (getInit())
    printer << " init " << getInit();
  printer.printOptionalAttrDict((*this)->getAttrs());
  printer << " : " << getDt().getType() << ", " << getB().getType();
}

//===----------------------------------------------------------------------===//
// sm1.broadcast, sm1.split
//===----------------------------------------------------------------------===//

LogicalResult BroadcastOp::verify() {
  auto tensor = dyn_cast<RankedTensorType>(getValue().getType());
  if (tensor && tensor.getDimSize(0) != channels(getType()))
    return emitOpError("broadcast_c1: a tensor must have one element per channel of ") << getType() << ", got " << tensor;
  return success();
}

LogicalResult SplitOp::verify() {
  auto x = cast<RankedTensorType>(getX().getType());
  int64_t total = 0;
  for (Type part : getParts().getTypes()) {
    total += channels(part);
    if (part != streamLike(x, channels(part), x.getElementType()))
      return emitOpError("split_c1: parts must have the batch, time and element type of ") << x << ", got " << part;
  }
  if (total != x.getShape().back())
    return emitOpError("split_c1: the parts must have ") << x.getShape().back() << " channels together, got " << total;
  return success();
}
