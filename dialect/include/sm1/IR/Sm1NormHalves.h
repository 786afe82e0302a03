//===- Sm1NormHalves.h - the ops of Sm1NormHalves.td -------------------------------------------------------------===//

#ifndef SM1_IR_SM1NORMHALVES_H
#define SM1_IR_SM1NORMHALVES_H

#include "sm1/IR/Sm1.h"

namespace sm1 {

/// Of a parameter that is the next layer's: who makes a row does so for the norm of another layer. A string: the last one's.
inline constexpr llvm::StringLiteral nextLayerAttr = "next";

/// Panels of 16 channels, the last of which may not be full.
inline int64_t panelsOf(int64_t channels) { return (channels + 15) / 16; }

} // namespace sm1

#define GET_OP_CLASSES
#include "sm1/IR/Sm1NormHalves.h.inc"

#endif // SM1_IR_SM1NORMHALVES_H
