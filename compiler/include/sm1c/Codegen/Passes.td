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
  let options = [Option<"overlaps", "overlaps", "bool", "false", "kernels wait by themselves for those before them">];
}

def ExpandArithmetic : Pass<"sm1-expand-arithmetic"> {
  let summary = "Arithmetic that has no instruction on every target as arithmetic that has";
  let description = [{
    Mathematical functions become polynomials over fused multiply-adds: the same operations on every target, so the same bits, and no call
    of a library. bf16 conversions become integer operations unless the target has instructions for them; e4m3 is a GPU's alone, and f32
    that are made it stop at 448. A vector.fma, which upstream may
    round twice, becomes a math.fma, which rounds once. What is left without a form is an error that names it.
    Expects:  functions of scf, vector, arith, math and memref.
    Leaves:   math that LLVM turns into instructions.
    Numerics: bf16 to nearest even; the functions have the accuracy of upstream's approximations.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::vector::VectorDialect"];
  let options = [Option<"hasBf16", "has-bf16", "bool", "false", "the target converts bf16 in hardware">];
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

def GpuEntries : Pass<"sm1-gpu-entries", "::mlir::ModuleOp"> {
  let summary = "Functions of a GPU to kernels that a driver launches";
  let description = [{
    Buffers become pointers to global memory, shared memory the block's dynamic memory, and the threads of a block, which the function's
    dispatch knows, an attribute of the kernel. Models are dropped.
    ```mlir
    func.func @k(%x: memref<?x16xf32, 1>, ..., %shared: memref<?xi8, 3>, %count: index, %segments: index) { ... return }
    // becomes
    llvm.mlir.global external @sm1_shared() {addr_space = 3 : i32, alignment = 128} : !llvm.array<0 x i8>
    llvm.func @k(%x: !llvm.ptr<1>, ..., %count: i64, %segments: i64) attributes {nvvm.kernel, nvvm.reqntid = ...} { ... llvm.return }
    ```
    Expects:  the stage target of a GPU.
    Leaves:   kernels of the LLVM and NVVM dialects with unconverted bodies.
    Numerics: exact.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

#endif // SM1C_CODEGEN_PASSES_TD
