//===- Passes.h - declarations of the passes to upstream dialects ------------------------------------------------===//

#ifndef SM1C_LOWERING_PASSES_H
#define SM1C_LOWERING_PASSES_H

#include "mlir/Pass/Pass.h"

namespace sm1 {
#define GEN_PASS_DECL
#include "sm1c/Lowering/Passes.h.inc"
} // namespace sm1

#endif // SM1C_LOWERING_PASSES_H
