//===- Sm1.h - the one header over the dialect's generated files -------------------------------------------------===//

#ifndef SM1_IR_SM1_H
#define SM1_IR_SM1_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "sm1/IR/Sm1Dialect.h.inc"
#include "sm1/IR/Sm1Enums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "sm1/IR/Sm1Attrs.h.inc"

namespace sm1 {

/// Attribute names on arguments and results of sm1.model, and on the model itself.
inline constexpr llvm::StringLiteral nameAttr = "sm1.name";
inline constexpr llvm::StringLiteral stateAttr = "sm1.state";
inline constexpr llvm::StringLiteral rowsAttr = "sm1.rows";
inline constexpr llvm::StringLiteral tiedAttr = "sm1.tied";

/// The classes of tensors of the dialect's description.
enum class TensorClass { Stream, Tokens, State, Param, Unknown };

/// The class of `type` by its shape and elements; Unknown for everything else, whatever it is. Sizes that are not dynamic are at
/// least 1.
TensorClass classify(mlir::Type type);

inline bool isStream(mlir::Type type) { return classify(type) == TensorClass::Stream; }
inline bool isTokens(mlir::Type type) { return classify(type) == TensorClass::Tokens; }
inline bool isState(mlir::Type type) { return classify(type) == TensorClass::State; }
bool isFloatStream(mlir::Type type);

/// A parameter; with `rank`, one of that rank.
bool isParam(mlir::Type type, std::optional<int64_t> rank = std::nullopt);

/// A parameter tensor<Cxf32>.
bool isChannelParam(mlir::Type type);

/// tensor<Cxf32> for a stream of C channels; none for another type.
mlir::Type channelParamType(mlir::Type stream);

/// Channels of a stream or of a per-layer state.
int64_t channels(mlir::Type type);

/// Value that stands for the number of a layer in parameter names.
inline constexpr llvm::StringLiteral layerPlaceholder = "{i}";

} // namespace sm1

#define GET_OP_CLASSES
#include "sm1/IR/Sm1Ops.h.inc"

#endif // SM1_IR_SM1_H
