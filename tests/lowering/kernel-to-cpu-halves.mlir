// Two rows follow each step of k, and half lines wait for those of the next panel.
// RUN: sm1-opt %s -sm1-kernel-to-cpu -canonicalize -cse | FileCheck %s

!b = tensor<?x?x576xbf16>
!x = tensor<?x?x576xf32>
!s = tensor<?x?x64xf32>
!y = tensor<?x?x64xbf16>

// Two rows follow each step of k, of which there are 18 for 16 pieces. Products of a step stand apart. Half lines of panels with even
// numbers, which one instruction rounds, wait in scratch; those of the next complete lines, which go around the caches.
// CHECK-LABEL: func.func @halves
// CHECK-SAME: %[[Y:[a-z0-9]+]]: memref<?x64xbf16>,
// CHECK-SAME: %[[SCRATCH:[a-z0-9]+]]: memref<?xf32>,
// CHECK: llvm.call_intrinsic "llvm.x86.ldtilecfg"
// CHECK: scf.for %{{.*}} = %c0 to %c16 step %c1
// CHECK: arith.andi
// CHECK-NEXT: scf.if
// CHECK-NOT: scf.for
// CHECK: "llvm.x86.tdpbf16ps"(%c0_i8, %c5_i8, %c7_i8) {step_of_sum = 0 : i64}
// CHECK: "llvm.x86.tdpbf16ps"(%c1_i8, %c4_i8, %c7_i8) {step_of_sum = 1 : i64}
// CHECK: "llvm.x86.tdpbf16ps"(%c2_i8, %c5_i8, %c6_i8) {step_of_sum = 2 : i64}
// CHECK: "llvm.x86.tdpbf16ps"(%c3_i8, %c4_i8, %c6_i8) {step_of_sum = 3 : i64}
// CHECK: %[[ODD:.*]] = arith.remui %{{.*}}, %c2
// CHECK-NEXT: %[[COMPLETES:.*]] = arith.cmpi eq, %[[ODD]], %c1
// CHECK: avx512bf16.cvtneps2bf16.512
// CHECK: llvm.inline_asm "", "=v,0"
// CHECK: scf.if %[[COMPLETES]] {
// CHECK: vector.load %[[SCRATCH]]{{.*}} vector<8xf32>
// CHECK: vector.shuffle
// CHECK: memref.extract_aligned_pointer_as_index %[[Y]]
// CHECK: llvm.store %{{.*}}, %{{.*}} {alignment = 64 : i64, nontemporal} : vector<32xi16>, !llvm.ptr
// CHECK: llvm.store %{{.*}}, %{{.*}} {alignment = 64 : i64, nontemporal} : vector<32xi16>, !llvm.ptr
// CHECK: } else {
// CHECK-COUNT-2: vector.store %{{.*}}, %[[SCRATCH]]{{.*}} vector<8xf32>
// CHECK: scf.for %{{.*}} = %c16 to %c18 step %c1
// CHECK: llvm.call_intrinsic "llvm.x86.tilerelease"
sm1.model @m(%x: !x {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "pairs"} : tensor<64x576xbf16>
  %c = sm1.param "c" {layout = "pairs"} : tensor<64x576xbf16>
  %r = sm1.launch sync(none) -> !y {
    %y = sm1.kernel "halves" (%x0 = %x : !x, %a0 = %a : tensor<64x576xbf16>, %c0 = %c : tensor<64x576xbf16>)
        schedule<row_tile = 4, panel_tile = 1, single_row_panels = 1, row_split = 64, panel_split = 2, matrix_rows = 32, matrix_panels = 1> -> !y {
      %b = arith.truncf %x0 : !x to !b
      %p = sm1.linear %b, %a0 : !b, tensor<64x576xbf16>
      %q = sm1.linear %b, %c0 : !b, tensor<64x576xbf16>
      %e = arith.mulf %p, %q : !s
      %t = arith.truncf %e : !s to !y
      sm1.yield %t : !y
    }
    sm1.yield %y : !y
  }
  %w = sm1.launch sync(none) -> !s {
    %f = sm1.kernel "widened" (%r0 = %r : !y)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1> -> !s {
      %g = arith.extf %r0 : !y to !s
      sm1.yield %g : !s
    }
    sm1.yield %f : !s
  }
  sm1.return %w : !s
}
