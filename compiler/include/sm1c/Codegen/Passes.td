//===- Passes.td - from functions over buffers to the LLVM dialect -----------------------------------------------===//

#ifndef SM1C_CODEGEN_PASSES_TD
#define SM1C_CODEGEN_PASSES_TD

include "mlir/Pass/PassBase.td"

def CopyCarried : Pass<"sm1-copy-carried", "::mlir::ModuleOp"> {
  let summary = "Copy values that sm1.layers carries where they cannot be written in place";
  let description = [{
    A carried value lives in one buffer in every layer, so the launch that makes the next layer's value overwrites this layer's.
    Where this layer's value is still needed then, the new one is made elsewhere and copied by a launch of its own at the end of
    the layer.
    ```mlir
    sm1.layers 2 carry(%x = %x0 : tensor<?x?x8xf32>) {
      %y = sm1.launch sync(none) -> tensor<?x?x8xf32> { ... sm1.dispatch @k(%x) ... }
      sm1.yield %y : tensor<?x?x8xf32>
    }
    // becomes
    sm1.layers 2 carry(%x = %x0 : tensor<?x?x8xf32>) {
      %y = sm1.launch sync(none) -> tensor<?x?x8xf32> { ... sm1.dispatch @k(%x) ... }
      %c = sm1.launch sync(none) -> tensor<?x?x8xf32> { ... sm1.dispatch @copy_16_f32(%y) ... }
      sm1.yield %c : tensor<?x?x8xf32>
    }
    ```
    The same before the loop, for a first value that is used after it too.
    Expects:  the stage target.
    Leaves:   carried values that one buffer can hold.
    Numerics: exact.
  }];
  let dependentDialects = ["::mlir::func::FuncDialect", "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect", "::mlir::ub::UBDialect"];
}

def ExpandForCpu : Pass<"sm1-expand-for-cpu"> {
  let summary = "Arithmetic that has no instruction on every x86-64 as arithmetic that has";
  let description = [{
    bf16 conversions become integer operations, mathematical functions become polynomials over fused multiply-adds: the same
    operations on every target, so the same bits, and no call of a library. A vector.fma, which upstream may round twice, becomes
    a math.fma, which rounds once. What is left without a form is an error that names it.
    Expects:  functions of scf, vector, arith, math and memref.
    Leaves:   math that LLVM turns into instructions.
    Numerics: bf16 to nearest even; the functions have the accuracy of upstream's approximations.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::vector::VectorDialect"];
}

def CpuEntries : Pass<"sm1-cpu-entries", "::mlir::ModuleOp"> {
  let summary = "Give every kernel function the entry that the runtime calls";
  let description = [{
    The entry takes an Sm1CpuTask (PackageFormat.h) in one calling convention on every system, loads its fields and calls the
    function, whose buffers become bare pointers; LLVM inlines it.
    ```mlir
    func.func @k(%x: memref<?x16xf32>, ..., %panelEnd: index) { ... return }
    // becomes
    llvm.func internal @k(%x: !llvm.ptr, ..., %panelEnd: i64) attributes {always_inline} { ... llvm.return }
    llvm.func win64cc @k$entry(%task: !llvm.ptr) { ... llvm.call @k(...) : ... llvm.return }
    ```
    Expects:  functions whose last eight arguments are those of a task, over dense buffers with dynamic rows only.
    Leaves:   every function with a body behind an entry. `llvm.noalias` on an argument is kept.
    Numerics: exact.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

#endif // SM1C_CODEGEN_PASSES_TD
