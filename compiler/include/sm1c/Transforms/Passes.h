//===- Passes.h - declarations of the sm1-to-sm1 passes ----------------------------------------------------------===//

#ifndef SM1C_TRANSFORMS_PASSES_H
#define SM1C_TRANSFORMS_PASSES_H

#include "mlir/Pass/Pass.h"

namespace sm1 {
#define GEN_PASS_DECL
#include "sm1c/Transforms/Passes.h.inc"
} // namespace sm1

#endif // SM1C_TRANSFORMS_PASSES_H
