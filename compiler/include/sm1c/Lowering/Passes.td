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
                           "::mlir::memref::MemRefDialect", "::mlir::math::MathDialect", "::mlir::LLVM::LLVMDialect"];
  let options = [Option<"maddLanes", "madd-lanes", "int64_t", "0",
                        "dot products are those of integers without VNNI, of vectors with so many lanes (8: AVX2, 16: AVX-512)">];
}

def KernelToGpu : Pass<"sm1-kernel-to-gpu", "::mlir::ModuleOp"> {
  let summary = "Kernels to functions over threads, blocks and shared memory";
  let description = [{
    Each scheduled sm1.kernel becomes a func.func over buffers [rows, stride] in global memory and an sm1.dispatch of it. Every thread of
    the grid runs the function; its last arguments are the row tables, the block's shared memory, the rows of the launch (of a scan: its
    segments) and the number of segments. `step` says that every segment has one row.
    Expects:  launches of kernels with a schedule for blocks.
    Leaves:   functions of scf, vector, arith, math, memref and nvvm; models of parameters, layers, launches and dispatches.
    Numerics: exact; without tensor cores the order of sums is that of the op descriptions, so the bits are those of a CPU. Tensor cores
              sum bf16 products in f32 in an order that depends on k alone.
  }];
  let dependentDialects = ["::mlir::func::FuncDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect",
                           "::mlir::memref::MemRefDialect", "::mlir::math::MathDialect", "::mlir::LLVM::LLVMDialect"];
  let options = [
    Option<"target", "target", "std::string", "\"\"", "name of a GPU in the target table">,
    Option<"step", "step", "bool", "false", "lower for the entry step">,
  ];
}

def ApproximateMath : Pass<"sm1-approximate-math"> {
  let summary = "exp, log1p, expm1, tanh, roots and quotients by a GPU's special functions";
  let description = [{
    For kernels whose projections multiply bf16: a few ulp are lost where seven bits are kept.
    Expects:  math and arith on vectors or scalars of f32, in functions for a GPU.
    Leaves:   no math.exp, math.log1p, math.expm1, math.tanh, arith.divf of f32, and no math.sqrt of a vector: the root of a norm, one for
              a row, stays exact.
    Numerics: exp within 2 ulp and one more for each unit of |x|, log1p within 4 ulp from 2^-10 on and 2^-20 below, expm1 within 2^-19, tanh
              within 2^-18, quotients within 2 ulp, roots within 1.
              Denormals are zero. The same bits on every run, others than a CPU's.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::vector::VectorDialect",
                           "::mlir::LLVM::LLVMDialect"];
}

def ExpandMath : Pass<"sm1-expand-math"> {
  let summary = "exp, log1p, tanh and friends as polynomials over fused multiply-adds";
  let description = [{
    The functions that models use most are written here, with their error stated at the code and tested against float64; the rest is left
    to upstream's approximations. The same operations on every target, so the same bits.

    Where what surrounds an exp or log1p makes some of its operations needless, they are left out: an argument that cannot be positive does
    not overflow, a result that a sum or maximum swallows where it is tiny needs no denormals (1 + exp(x), max(exp(x), 1e-6)), and log1p of
    an exp that is at most 1 needs no reduction of its range. None of this changes a bit of what is made of the results, so nobody else,
    CUDA C++ with the whole formulas for one, has to know. Neighbouring operations of one kind are computed step by step side by side.
    Expects:  math on vectors or scalars of f32.
    Leaves:   no math.exp, math.log1p, math.tanh.
    Numerics: at most 1 ulp for exp, 1.5 ulp for log1p.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::vector::VectorDialect"];
}

def SpreadSteps : Pass<"sm1-spread-steps"> {
  let summary = "steps of tile registers evenly among the vector operations of their block";
  let description = [{
    Expects:  operations of steps marked by step_of_sum, a number from 0 on, in front of what else their block does; no math.
    Leaves:   no step_of_sum.
    Numerics: none.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

#endif // SM1C_LOWERING_PASSES_TD
