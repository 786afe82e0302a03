//===- Sm1Dialect.cpp - registration, attributes, and the classes of tensors -------------------------------------===//

#include "sm1/IR/Sm1NormHalves.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace sm1;

#include "sm1/IR/Sm1Dialect.cpp.inc"
#include "sm1/IR/Sm1Enums.cpp.inc"

/// What a schedule says of projections, each only where it is not the default, in this order: `, row_band = 256`, `, apart`,
/// `, widen_rows = 32`, `, products = dot` and `, matrix_rows = 48, matrix_panels = 2`.
static ParseResult parseProducts(AsmParser &parser, int64_t &rowBand, bool &apart, int64_t &widenRows, Products &products,
                                 int64_t &matrixRows, int64_t &matrixPanels) {
  apart = false;
  products = Products::Fma;
  rowBand = widenRows = matrixRows = matrixPanels = 0;
  bool more = succeeded(parser.parseOptionalComma());
  /// Whether `keyword` comes next; a comma behind what `rest` reads says that there is more.
  auto field = [&](StringRef keyword, llvm::function_ref<ParseResult()> rest) -> ParseResult {
    if (!more || failed(parser.parseOptionalKeyword(keyword)))
      return success();
    if (rest())
      return failure();
    more = succeeded(parser.parseOptionalComma());
    return success();
  };
  auto integer = [&](int64_t &value) -> ParseResult { return failure(parser.parseEqual() || parser.parseInteger(value)); };
  auto product = [&]() -> ParseResult {
    FailureOr<Products> parsed = parser.parseEqual() ? FailureOr<Products>() : FieldParser<Products>::parse(parser);
    products = succeeded(parsed) ? *parsed : products;
    return LogicalResult(parsed);
  };
  if (field("row_band", [&] { return integer(rowBand); }) || field("apart", [&] { return apart = true, success(); }) ||
      field("widen_rows", [&] { return integer(widenRows); }) || field("products", product))
    return failure();
  if (!more)
    return success();
  return failure(parser.parseKeyword("matrix_rows") || integer(matrixRows) || parser.parseComma() ||
                 parser.parseKeyword("matrix_panels") || integer(matrixPanels));
}

static void printProducts(AsmPrinter &printer, int64_t rowBand, bool apart, int64_t widenRows, Products products,
                          int64_t matrixRows, int64_t matrixPanels) {
  if (rowBand)
    printer << ", row_band = " << rowBand;
  if (apart)
    printer << ", apart";
  if (widenRows)
    printer << ", widen_rows = " << widenRows;
  if (products != Products::Fma)
    printer << ", products = " << stringifyProducts(products);
  if (matrixRows || matrixPanels)
    printer << ", matrix_rows = " << matrixRows << ", matrix_panels = " << matrixPanels;
}

#define GET_ATTRDEF_CLASSES
#include "sm1/IR/Sm1Attrs.cpp.inc"

void Sm1Dialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "sm1/IR/Sm1Ops.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "sm1/IR/Sm1NormHalves.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "sm1/IR/Sm1Attrs.cpp.inc"
      >();
}

LogicalResult ScheduleAttr::verify(llvm::function_ref<InFlightDiagnostic()> emitError, int64_t rowTile, int64_t panelTile,
                                   int64_t singleRowPanels, int64_t rowSplit, int64_t panelSplit, int64_t rowBand, bool,
                                   int64_t widenRows, Products, int64_t matrixRows, int64_t matrixPanels) {
  if (rowTile < 1 || panelTile < 1 || singleRowPanels < 1)
    return emitError() << "row_tile, panel_tile and single_row_panels must be at least 1, got " << rowTile << ", " << panelTile
                       << ", " << singleRowPanels;
  if (singleRowPanels % panelTile)
    return emitError() << "single_row_panels must be a multiple of panel_tile = " << panelTile << ", got " << singleRowPanels;
  if (rowSplit < 0 || panelSplit < 0 || rowBand < 0 || widenRows < 0)
    return emitError() << "row_split, panel_split, row_band and widen_rows must not be negative, got " << rowSplit << ", "
                       << panelSplit << ", " << rowBand << ", " << widenRows;
  if (matrixRows < 0 || matrixRows % 16 || (matrixRows > 0) != (matrixPanels > 0))
    return emitError() << "matrix_rows must be a multiple of 16 and matrix_panels positive, or both 0, got " << matrixRows
                       << " and " << matrixPanels;
  return success();
}

LogicalResult QuantisedAttr::verify(llvm::function_ref<InFlightDiagnostic()> emitError, int64_t bits, int64_t group,
                                    int64_t columns) {
  if ((bits != 8 && bits != 4) || group < 0 || columns < 1)
    return emitError() << "bits must be 8 or 4, group not negative and columns at least 1, got " << bits << ", " << group << " and "
                       << columns;
  return success();
}

LogicalResult BlockScheduleAttr::verify(llvm::function_ref<InFlightDiagnostic()> emitError, BlockForm, int64_t threads,
                                        int64_t rowTile, int64_t rowSplit, int64_t panelSplit, int64_t stages, int64_t depthSplit) {
  if (threads < 32 || threads > 1024 || threads % 32)
    return emitError() << "threads must be a multiple of 32 from 32 to 1024, got " << threads;
  if (rowTile < 1 || rowSplit < 1 || stages < 1 || panelSplit < 0)
    return emitError() << "row_tile, row_split and stages must be at least 1 and panel_split not negative, got " << rowTile << ", "
                       << rowSplit << ", " << stages << ", " << panelSplit;
  if (depthSplit < 1)
    return emitError() << "depth_split must be at least 1, got " << depthSplit;
  return success();
}

LogicalResult Sm1Dialect::verifyOperationAttribute(Operation *op, NamedAttribute attribute) {
  if (attribute.getName() != tiedAttr)
    return op->emitError() << "unknown attribute '" << attribute.getName().getValue()
                           << "'; the dialect's attributes of an operation are: " << tiedAttr;
  auto dictionary = dyn_cast<DictionaryAttr>(attribute.getValue());
  if (!dictionary || !isa<ModelOp>(op) || !llvm::all_of(dictionary, [](NamedAttribute a) { return isa<StringAttr>(a.getValue()); }))
    return op->emitError() << tiedAttr << " belongs on sm1.model and maps tensor names to parameter names";
  return success();
}

/// One argument's or result's attribute; a misspelt one must not be passed over.
static LogicalResult verifyInterfaceAttribute(Operation *op, NamedAttribute attribute, bool isResult) {
  StringRef name = attribute.getName().getValue();
  auto string = dyn_cast<StringAttr>(attribute.getValue());
  if (name == rowsAttr && isResult)
    return string && string.getValue() == "selected"
               ? success()
               : op->emitError() << rowsAttr << " must be \"selected\", got " << attribute.getValue();
  if (name != nameAttr && name != stateAttr)
    return op->emitError() << "unknown attribute '" << name << "'; " << (isResult ? "a result" : "an argument") << " may have "
                           << nameAttr << (isResult ? ", sm1.state and sm1.rows" : " and sm1.state");
  if (!string || string.getValue().empty() || string.getValue().starts_with("__"))
    return op->emitError() << name << " must be a string that is not empty and does not begin with __, got "
                           << attribute.getValue();
  return success();
}

LogicalResult Sm1Dialect::verifyRegionArgAttribute(Operation *op, unsigned, unsigned, NamedAttribute attribute) {
  return verifyInterfaceAttribute(op, attribute, /*isResult=*/false);
}

LogicalResult Sm1Dialect::verifyRegionResultAttribute(Operation *op, unsigned, unsigned, NamedAttribute attribute) {
  return verifyInterfaceAttribute(op, attribute, /*isResult=*/true);
}

/// No tensor of a real model comes near it, and sizes in bytes stay far from the end of 64 bits.
static constexpr int64_t maxElements = int64_t(1) << 40;

/// True if the dimensions from `first` on are static and at least 1, and their product is at most maxElements.
static bool isSizedFrom(RankedTensorType tensor, int64_t first) {
  int64_t elements = 1;
  for (int64_t size : tensor.getShape().drop_front(first)) {
    if (size < 1 || size > maxElements / elements)
      return false;
    elements *= size;
  }
  return true;
}

TensorClass sm1::classify(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor || tensor.getRank() < 1 || tensor.getEncoding())
    return TensorClass::Unknown;
  Type element = tensor.getElementType();
  bool isFloat = element.isF32() || element.isBF16() || element.isF16(), isFp8 = isa<Float8E4M3FNType>(element);
  int64_t rank = tensor.getRank(), dynamic = 0;
  while (dynamic < rank && tensor.isDynamicDim(dynamic))
    ++dynamic;
  if (dynamic == 2 && rank == 2 && element.isSignlessInteger(32))
    return TensorClass::Tokens;
  bool isQuantised = rank == 2 && (isFp8 || element.isSignlessInteger(8) || element.isSignlessInteger(4));
  if (!(isFloat || (isFp8 && dynamic == 2) || (isQuantised && dynamic == 0)) || !isSizedFrom(tensor, dynamic))
    return TensorClass::Unknown;
  if (dynamic == 0)
    return TensorClass::Param;
  if (dynamic == 1 && rank >= 2 && element.isF32())
    return TensorClass::State;
  return dynamic == 2 && rank == 3 ? TensorClass::Stream : TensorClass::Unknown;
}

bool sm1::isFloatStream(Type type) { return isStream(type) && cast<RankedTensorType>(type).getElementType().isF32(); }

bool sm1::isParam(Type type, std::optional<int64_t> rank) {
  return classify(type) == TensorClass::Param && (!rank || cast<RankedTensorType>(type).getRank() == *rank);
}

bool sm1::isChannelParam(Type type) { return isParam(type, 1) && cast<RankedTensorType>(type).getElementType().isF32(); }

Type sm1::channelParamType(Type stream) {
  if (!isStream(stream))
    return NoneType::get(stream.getContext());
  return RankedTensorType::get({channels(stream)}, Float32Type::get(stream.getContext()));
}

int64_t sm1::channels(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  return classify(type) == TensorClass::State ? tensor.getDimSize(1) : tensor.getShape().back();
}
