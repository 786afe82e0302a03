// Two steps of two operations among four additions: one in front of the first, one in front of the third, whose operands wait for it.
// What a step computes for others stays where it is, and so do blocks without steps.
// RUN: sm1-opt %s -sm1-spread-steps | FileCheck %s

// CHECK-LABEL: func.func @spread
// CHECK: %[[OTHERS:.*]] = arith.addi %{{.*}}, %{{.*}} : index
// CHECK-NEXT: arith.addi
// CHECK-NEXT: arith.index_cast
// CHECK-NEXT: llvm.inttoptr
// CHECK-NEXT: llvm.call_intrinsic "llvm.x86.tileloadd64"
// CHECK-NEXT: "llvm.x86.tdpbf16ps"(%c0_i8, %c1_i8, %c2_i8) : (i8, i8, i8) -> ()
// CHECK-NEXT: %[[A:.*]] = arith.addf %arg0, %arg1
// CHECK-NEXT: %[[B:.*]] = arith.addf %arg0, %[[A]]
// CHECK-NEXT: arith.index_cast %[[OTHERS]]
// CHECK-NEXT: llvm.inttoptr
// CHECK-NEXT: llvm.call_intrinsic "llvm.x86.tileloadd64"
// CHECK-NEXT: "llvm.x86.tdpbf16ps"(%c3_i8, %c1_i8, %c2_i8)
// CHECK-NEXT: %[[HELD:.*]] = llvm.inline_asm has_side_effects "", "=v,0" %[[B]]
// CHECK-NEXT: %[[C:.*]] = arith.addf %[[HELD]], %arg1
// CHECK-NEXT: %[[D:.*]] = arith.addf %[[C]], %arg1
// CHECK-NEXT: memref.store
// CHECK-NEXT: return %[[D]]
func.func @spread(%a: vector<16xf32>, %b: vector<16xf32>, %at: index, %m: memref<?xindex>) -> vector<16xf32> {
  %c0 = arith.constant 0 : i8
  %c1 = arith.constant 1 : i8
  %c2 = arith.constant 2 : i8
  %c3 = arith.constant 3 : i8
  %stride = arith.constant 64 : i64
  %more = arith.constant 64 : index
  %others = arith.addi %at, %more {step_of_sum = 0 : i64} : index
  %first = arith.addi %others, %more {step_of_sum = 0 : i64} : index
  %i0 = arith.index_cast %first {step_of_sum = 0 : i64} : index to i64
  %p0 = llvm.inttoptr %i0 {step_of_sum = 0 : i64} : i64 to !llvm.ptr
  llvm.call_intrinsic "llvm.x86.tileloadd64"(%c1, %p0, %stride) {step_of_sum = 0 : i64} : (i8, !llvm.ptr, i64) -> ()
  llvm.call_intrinsic "llvm.x86.tdpbf16ps"(%c0, %c1, %c2) {step_of_sum = 0 : i64} : (i8, i8, i8) -> ()
  %i1 = arith.index_cast %others {step_of_sum = 1 : i64} : index to i64
  %p1 = llvm.inttoptr %i1 {step_of_sum = 1 : i64} : i64 to !llvm.ptr
  llvm.call_intrinsic "llvm.x86.tileloadd64"(%c1, %p1, %stride) {step_of_sum = 1 : i64} : (i8, !llvm.ptr, i64) -> ()
  llvm.call_intrinsic "llvm.x86.tdpbf16ps"(%c3, %c1, %c2) {step_of_sum = 1 : i64} : (i8, i8, i8) -> ()
  %v = arith.addf %a, %b : vector<16xf32>
  %w = arith.addf %a, %v : vector<16xf32>
  %x = arith.addf %w, %b : vector<16xf32>
  %y = arith.addf %x, %b : vector<16xf32>
  memref.store %others, %m[%at] : memref<?xindex>
  return %y : vector<16xf32>
}

// Three steps and one addition: all stand in front of it, in their order.
// CHECK-LABEL: func.func @crowded
// CHECK-NEXT: constant
// CHECK: "llvm.x86.tilezero"(%c0_i8)
// CHECK-NEXT: "llvm.x86.tilezero"(%c1_i8)
// CHECK-NEXT: "llvm.x86.tilezero"(%c0_i8)
// CHECK-NEXT: %[[SUM:.*]] = arith.addf
// CHECK-NEXT: return %[[SUM]]
func.func @crowded(%a: vector<16xf32>, %b: vector<16xf32>) -> vector<16xf32> {
  %c0 = arith.constant 0 : i8
  %c1 = arith.constant 1 : i8
  llvm.call_intrinsic "llvm.x86.tilezero"(%c0) {step_of_sum = 0 : i64} : (i8) -> ()
  llvm.call_intrinsic "llvm.x86.tilezero"(%c1) {step_of_sum = 1 : i64} : (i8) -> ()
  llvm.call_intrinsic "llvm.x86.tilezero"(%c0) {step_of_sum = 2 : i64} : (i8) -> ()
  %v = arith.addf %a, %b : vector<16xf32>
  return %v : vector<16xf32>
}
