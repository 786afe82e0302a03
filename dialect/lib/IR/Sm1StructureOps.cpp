//===- Sm1StructureOps.cpp - model, parameters, layers, kernels: assembly and verification -----------------------===//

#include "sm1/IR/Sm1NormHalves.h"

#include "mlir/Interfaces/FunctionImplementation.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace sm1;

//===----------------------------------------------------------------------===//
// sm1.model
//===----------------------------------------------------------------------===//

ParseResult ModelOp::parse(OpAsmParser &parser, OperationState &result) {
  auto buildType = [](Builder &builder, ArrayRef<Type> arguments, ArrayRef<Type> results, function_interface_impl::VariadicFlag,
                      std::string &) { return builder.getFunctionType(arguments, results); };
  return function_interface_impl::parseFunctionOp(parser, result, /*allowVariadic=*/false, getFunctionTypeAttrName(result.name),
                                                  buildType, getArgAttrsAttrName(result.name), getResAttrsAttrName(result.name));
}

void ModelOp::print(OpAsmPrinter &printer) {
  function_interface_impl::printFunctionOp(printer, *this, /*isVariadic=*/false, getFunctionTypeAttrName(), getArgAttrsAttrName(),
                                           getResAttrsAttrName());
}

static StringRef stringOrEmpty(Attribute attribute) {
  auto string = dyn_cast_or_null<StringAttr>(attribute);
  return string ? string.getValue() : StringRef();
}

StringRef ModelOp::argState(unsigned index) { return stringOrEmpty(getArgAttr(index, stateAttr)); }
StringRef ModelOp::resultState(unsigned index) { return stringOrEmpty(getResultAttr(index, stateAttr)); }
bool ModelOp::resultIsSelected(unsigned index) { return stringOrEmpty(getResultAttr(index, rowsAttr)) == "selected"; }

std::string ModelOp::argName(unsigned index) {
  StringRef name = stringOrEmpty(getArgAttr(index, nameAttr));
  return !name.empty() || argState(index).empty() ? name.str() : ("state_in." + argState(index)).str();
}

std::string ModelOp::resultName(unsigned index) {
  StringRef name = stringOrEmpty(getResultAttr(index, nameAttr));
  return !name.empty() || resultState(index).empty() ? name.str() : ("state_out." + resultState(index)).str();
}

/// model_c1, model_c2 for one argument or result; `what` names it in the message.
static LogicalResult verifyInterface(ModelOp model, const Twine &what, Type type, StringRef name, StringRef state, bool isResult,
                                     bool isSelected = false) {
  TensorClass kind = classify(type);
  bool isRows = kind == TensorClass::Stream || (kind == TensorClass::Tokens && !isResult);
  if (!isRows && kind != TensorClass::State)
    return model.emitOpError("model_c1: ") << what << " must be " << (isResult ? "" : "tokens tensor<?x?xi32>, ")
                                           << "a stream tensor<?x?xCxf32> or a state tensor<?xC...xf32>, got " << type;
  if ((kind == TensorClass::State) == state.empty() || name.empty())
    return model.emitOpError("model_c2: ") << what << " of type " << type << " needs "
                                           << (kind == TensorClass::State ? "sm1.state" : "sm1.name and no sm1.state");
  if (kind == TensorClass::Stream && !cast<RankedTensorType>(type).getElementType().isF32())
    return model.emitOpError("model_c1: ") << what << " must have f32 elements, got " << type;
  if (isSelected && kind != TensorClass::Stream)
    return model.emitOpError("model_c6: ") << what << " of type " << type << " must not have " << rowsAttr
                                           << ", which is for streams";
  return success();
}

LogicalResult ModelOp::verify() {
  llvm::StringMap<Type> states;
  llvm::StringSet<> names;
  for (auto [index, type] : llvm::enumerate(getArgumentTypes())) {
    if (failed(verifyInterface(*this, "argument " + Twine(index), type, argName(index), argState(index), false)))
      return failure();
    if (!names.insert(argName(index)).second)
      return emitOpError("model_c4: two arguments are called '") << argName(index) << "'";
    if (!argState(index).empty() && !states.try_emplace(argState(index), type).second)
      return emitOpError("model_c3: two arguments hold state '") << argState(index) << "'";
  }
  names.clear();
  for (auto [index, type] : llvm::enumerate(getResultTypes())) {
    if (failed(verifyInterface(*this, "result " + Twine(index), type, resultName(index), resultState(index), true,
                               resultIsSelected(index))))
      return failure();
    if (!names.insert(resultName(index)).second)
      return emitOpError("model_c4: two results are called '") << resultName(index) << "'";
    StringRef state = resultState(index);
    if (state.empty())
      continue;
    auto found = states.find(state);
    if (found == states.end())
      return emitOpError("model_c3: result ")
             << index << " returns state '" << state << "', which no argument holds or another result returns";
    if (found->second != type)
      return emitOpError("model_c3: state '") << state << "' comes in as " << found->second << " and is returned as " << type;
    states.erase(found);
  }
  if (!states.empty())
    return emitOpError("model_c3: state '") << states.begin()->getKey() << "' is not returned";
  return success();
}

/// model_c7.
static LogicalResult verifyParamShapes(ModelOp model) {
  llvm::StringMap<ParamOp> first;
  auto result = model.walk([&](ParamOp param) -> WalkResult {
    ParamOp other = first.try_emplace(param.getTensor(), param).first->second;
    if (other.tensorShape() == param.tensorShape())
      return WalkResult::advance();
    InFlightDiagnostic error = param.emitOpError("model_c7: '")
                               << param.getTensor() << "' has shape [" << param.tensorShape() << "] here";
    error.attachNote(other.getLoc()) << "and [" << other.tensorShape() << "] here";
    return error;
  });
  return failure(result.wasInterrupted());
}

LogicalResult ModelOp::verifyRegions() {
  auto terminator = dyn_cast<ReturnOp>(getBody().front().getTerminator());
  if (!terminator)
    return emitOpError("must end with sm1.return");
  if (terminator.getOperandTypes() != TypeRange(getResultTypes()))
    return terminator.emitOpError("model_c5: must return ") << getResultTypes() << ", got " << terminator.getOperandTypes();
  return verifyParamShapes(*this);
}

//===----------------------------------------------------------------------===//
// sm1.param
//===----------------------------------------------------------------------===//

SmallVector<int64_t> ParamOp::tensorShape() {
  auto shape = llvm::to_vector(cast<RankedTensorType>(getType()).getShape());
  if (getTotalRows())
    shape.front() = *getTotalRows();
  if (getQuantised())
    shape.back() = getQuantised()->getColumns();
  return shape;
}

/// param_c4.
static LogicalResult verifyQuantised(ParamOp param) {
  auto type = cast<RankedTensorType>(param.getType());
  Type element = type.getElementType();
  std::optional<QuantisedAttr> quantised = param.getQuantised();
  if (!quantised)
    return element.isInteger() || isa<Float8E4M3FNType>(element)
               ? param.emitOpError("param_c4: integers and e4m3 need `quantised`, got ") << type
               : success();
  bool isScales = element.isF32() || element.isF16();
  int64_t columns = isScales ? quantised->groups() : quantised->getColumns();
  bool isFp8 = isa<Float8E4M3FNType>(element) && quantised->getBits() == 8 && quantised->getGroup() == 0;
  bool fits = isScales || element.isBF16() || isFp8 || element.isInteger(quantised->getBits());
  if (type.getRank() == 2 && fits && type.getDimSize(1) == columns)
    return success();
  return param.emitOpError("param_c4: ") << *quantised << " has values [rows, " << quantised->getColumns() << "] of i"
                                         << quantised->getBits() << " or bf16, or e4m3 in place of rows of i8, and scales [rows, "
                                         << quantised->groups() << "] of f32 or f16, got " << type;
}

LogicalResult ParamOp::verify() {
  bool repeated = getTensor().contains(layerPlaceholder), inLayers = (*this)->getParentOfType<LayersOp>() != nullptr;
  if (repeated != (inLayers || (*this)->hasAttr(nextLayerAttr)))
    return emitOpError("param_c1: '") << getTensor() << "' "
                                      << (repeated   ? "has {i} but does not stand inside sm1.layers"
                                          : inLayers ? "stands inside sm1.layers and needs {i}"
                                                     : "is the next layer's and needs {i}");
  if (getLayout() &&
      !llvm::is_contained({"panels", "pairs", "quads", "nibbles", "fragments", "images", "stages", "rows", "channels", "scales"},
                          *getLayout()))
    return emitOpError(
               "param_c3: layout must be panels, pairs, quads, nibbles, fragments, images, stages, rows, channels or scales, got ")
           << getLayoutAttr();
  if (failed(verifyQuantised(*this)))
    return failure();
  if (!getFirstRow() && !getEndRow() && !getTotalRows())
    return success();
  if (!getFirstRow() || !getEndRow() || !getTotalRows())
    return emitOpError("param_c2: first row, end row and total rows come together");
  int64_t first = *getFirstRow(), end = *getEndRow(), total = *getTotalRows(),
          rows = cast<RankedTensorType>(getType()).getDimSize(0);
  if (first < 0 || first >= end || end > total)
    return emitOpError("param_c2: rows must satisfy 0 <= first < end <= total, got ") << first << " to " << end << " of " << total;
  if (rows != end - first)
    return emitOpError("param_c2: the type must have ") << end - first << " rows, got " << getType();
  return success();
}

//===----------------------------------------------------------------------===//
// Bindings: `%arg = %operand : type, ...` of sm1.layers and sm1.kernel
//===----------------------------------------------------------------------===//

static ParseResult parseBindings(OpAsmParser &parser, SmallVectorImpl<OpAsmParser::Argument> &arguments,
                                 SmallVectorImpl<OpAsmParser::UnresolvedOperand> &operands, SmallVectorImpl<Type> &types) {
  return parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren, [&]() -> ParseResult {
    return failure(parser.parseArgument(arguments.emplace_back()) || parser.parseEqual() ||
                   parser.parseOperand(operands.emplace_back()) || parser.parseColonType(types.emplace_back()));
  });
}

static void printBindings(OpAsmPrinter &printer, ValueRange arguments, ValueRange operands) {
  printer << '(';
  llvm::interleaveComma(llvm::zip(arguments, operands), printer, [&](auto pair) {
    auto [argument, operand] = pair;
    printer << argument << " = " << operand << " : " << operand.getType();
  });
  printer << ')';
}

//===----------------------------------------------------------------------===//
// sm1.layers
//===----------------------------------------------------------------------===//

RankedTensorType LayersOp::sliceType(RankedTensorType state) {
  auto shape = llvm::to_vector(state.getShape());
  shape.erase(shape.begin() + 1);
  return RankedTensorType::get(shape, state.getElementType());
}

ParseResult LayersOp::parse(OpAsmParser &parser, OperationState &result) {
  int64_t count = 0;
  SMLoc loc = parser.getCurrentLocation();
  SmallVector<OpAsmParser::Argument> arguments;
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  SmallVector<Type> types;
  if (parser.parseInteger(count) || parser.parseKeyword("carry") || parseBindings(parser, arguments, operands, types))
    return failure();
  size_t numCarried = operands.size();
  if (succeeded(parser.parseOptionalKeyword("state")) && parseBindings(parser, arguments, operands, types))
    return failure();
  for (auto [index, argument] : llvm::enumerate(arguments)) {
    auto tensor = dyn_cast<RankedTensorType>(types[index]);
    if (!tensor || (index >= numCarried && tensor.getRank() < 3))
      return parser.emitError(loc, "expected a carried tensor or a state tensor<?xLxC...xf32>, got ") << types[index];
    argument.type = index < numCarried ? tensor : sliceType(tensor);
  }
  result.addAttribute(getCountAttrName(result.name), parser.getBuilder().getI64IntegerAttr(count));
  result.addAttribute(getOperandSegmentSizeAttr(),
                      parser.getBuilder().getDenseI32ArrayAttr({int32_t(numCarried), int32_t(operands.size() - numCarried)}));
  result.addTypes(types);
  return failure(parser.resolveOperands(operands, types, loc, result.operands) ||
                 parser.parseOptionalAttrDictWithKeyword(result.attributes) || parser.parseRegion(*result.addRegion(), arguments));
}

void LayersOp::print(OpAsmPrinter &printer) {
  auto arguments = getBody().getArguments();
  printer << ' ' << getCount() << " carry";
  printBindings(printer, arguments.take_front(getCarried().size()), getCarried());
  if (!getStates().empty()) {
    printer << " state";
    printBindings(printer, arguments.drop_front(getCarried().size()), getStates());
  }
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs(), {getCountAttrName(), getOperandSegmentSizeAttr()});
  printer << ' ';
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

LogicalResult LayersOp::verify() {
  if ((*this)->getParentOfType<LayersOp>())
    return emitOpError("layers_c3: must not stand inside sm1.layers");
  if (getOperandTypes() != getResultTypes())
    return emitOpError("layers_c2: results must have the types of the operands");
  if (getCount() > 4096)
    return emitOpError("layers_c1: the count must be 1 to 4096, got ") << getCount();
  for (Type type : getStates().getTypes()) {
    auto state = cast<RankedTensorType>(type);
    if (!isState(state) || state.getRank() < 3 || state.getDimSize(1) != int64_t(getCount()))
      return emitOpError("layers_c1: a state must have ") << getCount() << " layers in dimension 1, got " << state;
  }
  return success();
}

LogicalResult LayersOp::verifyRegions() {
  SmallVector<Type> expected(getCarried().getTypes());
  for (Type type : getStates().getTypes())
    expected.push_back(sliceType(cast<RankedTensorType>(type)));
  if (TypeRange(getBody().getArgumentTypes()) != TypeRange(expected))
    return emitOpError("layers_c2: the body's arguments must be ") << expected << ", got " << getBody().getArgumentTypes();
  auto yield = dyn_cast<YieldOp>(getBody().front().getTerminator());
  if (!yield || yield.getOperandTypes() != TypeRange(expected))
    return emitOpError("layers_c2: the body must yield ") << expected;
  return success();
}

//===----------------------------------------------------------------------===//
// sm1.kernel
//===----------------------------------------------------------------------===//

ParseResult KernelOp::parse(OpAsmParser &parser, OperationState &result) {
  StringAttr name;
  SMLoc loc = parser.getCurrentLocation();
  SmallVector<OpAsmParser::Argument> arguments;
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  SmallVector<Type> types;
  if (parser.parseAttribute(name, getKernelNameAttrName(result.name), result.attributes) ||
      parseBindings(parser, arguments, operands, types))
    return failure();
  for (auto [argument, type] : llvm::zip(arguments, types))
    argument.type = type;
  if (succeeded(parser.parseOptionalKeyword("rows"))) {
    if (parser.parseKeyword("selected"))
      return failure();
    result.addAttribute(getSelectedAttrName(result.name), parser.getBuilder().getUnitAttr());
  }
  if (succeeded(parser.parseOptionalKeyword("schedule"))) {
    ScheduleAttr schedule;
    if (parser.parseCustomAttributeWithFallback(schedule))
      return failure();
    result.addAttribute(getScheduleAttrName(result.name), schedule);
  }
  if (succeeded(parser.parseOptionalKeyword("blocks"))) {
    BlockScheduleAttr blocks;
    if (parser.parseCustomAttributeWithFallback(blocks))
      return failure();
    result.addAttribute(getBlocksAttrName(result.name), blocks);
  }
  SmallVector<Type> results;
  return failure(parser.parseArrowTypeList(results) || parser.addTypesToList(results, result.types) ||
                 parser.resolveOperands(operands, types, loc, result.operands) ||
                 parser.parseOptionalAttrDictWithKeyword(result.attributes) || parser.parseRegion(*result.addRegion(), arguments));
}

void KernelOp::print(OpAsmPrinter &printer) {
  printer << ' ' << getKernelNameAttr() << ' ';
  printBindings(printer, getBody().getArguments(), getInputs());
  if (getSelected())
    printer << " rows selected";
  if (getSchedule()) {
    printer << " schedule";
    printer.printStrippedAttrOrType(getScheduleAttr());
  }
  if (getBlocks()) {
    printer << " blocks";
    printer.printStrippedAttrOrType(getBlocksAttr());
  }
  printer.printArrowTypeList(getResultTypes());
  printer.printOptionalAttrDictWithKeyword(
      (*this)->getAttrs(), {getKernelNameAttrName(), getSelectedAttrName(), getScheduleAttrName(), getBlocksAttrName()});
  printer << ' ';
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

LogicalResult KernelOp::verify() {
  if (getKernelName().empty())
    return emitOpError("kernel_c2: needs a name");
  if ((*this)->getParentOfType<KernelOp>())
    return emitOpError("kernel_c2: must not stand inside sm1.kernel");
  if (getSchedule() && getBlocks())
    return emitOpError("kernel_c3: has a schedule for a CPU and one for a GPU; a kernel has one");
  return success();
}

LogicalResult KernelOp::verifyRegions() {
  if (TypeRange(getBody().getArgumentTypes()) != TypeRange(getInputs().getTypes()))
    return emitOpError("kernel_c1: the body's arguments must have the types of the operands ") << getInputs().getTypes();
  auto yield = dyn_cast<YieldOp>(getBody().front().getTerminator());
  if (!yield || yield.getOperandTypes() != getResultTypes())
    return emitOpError("kernel_c1: the body must yield ") << getResultTypes();
  return success();
}

//===----------------------------------------------------------------------===//
// sm1.launch, sm1.dispatch
//===----------------------------------------------------------------------===//

LogicalResult LaunchOp::verifyRegions() {
  if ((*this)->getParentOfType<LaunchOp>())
    return emitOpError("launch_c1: must not stand inside sm1.launch");
  auto yield = dyn_cast<YieldOp>(getBody().front().getTerminator());
  if (!yield || yield.getOperandTypes() != getResultTypes())
    return emitOpError("launch_c1: the body must yield ") << getResultTypes();
  return success();
}

LogicalResult DispatchOp::verify() {
  int64_t panels = getPanels(), scratchBytes = getScratchBytes();
  if (panels < 1 || scratchBytes < 0)
    return emitOpError("dispatch_c2: needs at least 1 panel and no negative scratch, got ") << panels << " and " << scratchBytes;
  if (getSchedule().has_value() == getBlocks().has_value())
    return emitOpError("dispatch_c3: needs one schedule, got ") << (getSchedule() ? "two" : "none");
  if (auto mapped = getMapped(); mapped && *mapped >= getInputs().size())
    return emitOpError("dispatch_c4: mapped = ")
           << int64_t(*mapped) << ", must be the number of one of " << getInputs().size() << " operands";
  return success();
}

LogicalResult DispatchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  if (!symbols.lookupNearestSymbolFrom<FunctionOpInterface>(*this, getCalleeAttr()))
    return emitOpError("dispatch_c1: ") << getCalleeAttr() << " is not a function of the module";
  return success();
}
