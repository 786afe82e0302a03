//===- RoundStreams.h - store in bf16 what prefill kernels hand to each other ------------------------------------===//

#ifndef SM1C_TRANSFORMS_ROUNDSTREAMS_H
#define SM1C_TRANSFORMS_ROUNDSTREAMS_H

#include "mlir/IR/Operation.h"

namespace sm1 {

/// Projections and norms that only other kernels read cross memory in half the bytes: their kernels round them, and their readers
/// widen them. What layers carry, and what is added to it, stays f32. Kernels are fused, and not scheduled yet.
void roundStreams(mlir::Operation *root);

} // namespace sm1

#endif // SM1C_TRANSFORMS_ROUNDSTREAMS_H
