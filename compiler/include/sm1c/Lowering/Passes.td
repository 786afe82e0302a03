//===- Passes.td - sm1 to upstream dialects ----------------------------------------------------------------------===//

#ifndef SM1C_LOWERING_PASSES_TD
#define SM1C_LOWERING_PASSES_TD

include "mlir/Pass/PassBase.td"

def KernelToCpu : Pass<"sm1-kernel-to-cpu", "::mlir::ModuleOp"> {
  let summary = "Kernels to functions over vectors and loops";
  let description = [{
    Each scheduled sm1.kernel becomes a func.func over buffers [rows, stride] and an sm1.dispatch of it. The function covers the rows and
    panels of one task; see PackageFormat.h for what a task is.
    Expects:  launches of scheduled kernels.
    Leaves:   functions of scf, vector, arith, math and memref; models of parameters, layers, launches and dispatches.
    Numerics: exact; the order of sums is that of the op descriptions in every tile.
  }];
  let dependentDialects = ["::mlir::func::FuncDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect",
                           "::mlir::memref::MemRefDialect", "::mlir::math::MathDialect"];
}

def ExpandMath : Pass<"sm1-expand-math"> {
  let summary = "exp, log1p, tanh and friends as polynomials over fused multiply-adds";
  let description = [{
    The functions that models use most are written here, with their error stated at the code and tested against float64; the rest is left
    to upstream's approximations. The same operations on every target, so the same bits.
    Expects:  math on vectors or scalars of f32.
    Leaves:   no math.exp, math.log1p, math.tanh.
    Numerics: at most 1 ulp for exp, 1.5 ulp for log1p.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::vector::VectorDialect"];
}

#endif // SM1C_LOWERING_PASSES_TD
