// int4 in dot products: several rows, and where rows are quantised from.
// RUN: sm1-opt %s -sm1-kernel-to-cpu -canonicalize -cse -split-input-file | FileCheck %s

!x = tensor<?x?x160xf32>
!y = tensor<?x?x8xf32>

// Several rows: two groups side by side, x as it lies in memory behind one pointer, four rows 64 words apart; as many lines of the next
// panel as two groups have are fetched.
// CHECK-LABEL: func.func @two_groups
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<?x160xf32>, %[[A:[a-z0-9]+]]: memref<1x20x16xi32>, %[[S:[a-z0-9]+]]: memref<1x5x16xf16>,
// CHECK: %[[T:.*]]:4 = scf.for %[[G:.*]] = %c0 to %c4 step %c2 iter_args
// CHECK-COUNT-8: memref.prefetch %[[A]]
// CHECK-NEXT: memref.prefetch %[[S]]
// CHECK: %[[P:.*]] = llvm.inline_asm "", "=r,0"
// CHECK-NEXT: %[[X0:.*]] = llvm.inttoptr %[[P]]
// CHECK: %[[FIRST:.*]] = vector.load %[[A]]
// CHECK: llvm.load %[[X0]]
// CHECK: llvm.getelementptr %[[X0]][64]
// CHECK: llvm.getelementptr %[[X0]][128]
// CHECK: llvm.getelementptr %[[X0]][192]
// CHECK: %[[PAIRS:.*]] = vector.bitcast %[[FIRST]]
// CHECK: llvm.getelementptr %[[X0]][4]
// CHECK: vector.load %[[A]]
// CHECK: llvm.getelementptr %[[X0]][8]
// CHECK: vector.load %[[S]][%{{.*}}, %[[G]], %c0]
// CHECK-COUNT-4: vector.fma
// CHECK: vector.load %[[S]]
// CHECK-COUNT-4: vector.fma
// CHECK: scf.yield
// The last one is alone, and a single row walks groups one by one.
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
// CHECK: vector.load %[[S]][%{{.*}}, %c4, %c0]
// CHECK: scf.for %{{.*}} = %c0 to %c5 step %c1 iter_args
sm1.model @m(%x: !x {sm1.name = "x"}) -> (!y {sm1.name = "y"}) {
  %a = sm1.param "a" quantised <bits = 4, group = 32, columns = 160> {layout = "nibbles"} : tensor<8x160xi4>
  %s = sm1.param "a" quantised <bits = 4, group = 32, columns = 160> {layout = "scales"} : tensor<8x5xf16>
  %r = sm1.launch sync(none) -> !y {
    %y = sm1.kernel "two_groups" (%x0 = %x : !x, %a0 = %a : tensor<8x160xi4>, %s0 = %s : tensor<8x5xf16>)
        schedule<row_tile = 4, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1, products = dot> -> !y {
      %p = sm1.linear %x0, %a0 scales %s0 int8 : !x, tensor<8x160xi4>, tensor<8x5xf16>
      sm1.yield %p : !y
    }
    sm1.yield %y : !y
  }
  sm1.return %r : !y
}

// -----

!x = tensor<?x?x64xf32>
!y = tensor<?x?x8xf32>

// Rows that are whole are read where they lie, both times.
// CHECK-LABEL: func.func @whole_rows
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<?x64xf32>,
// CHECK: scf.for %[[ROW:.*]] =
// CHECK-NOT: vector.store
// CHECK: vector.load %[[X]][%[[ROW]], %c0]
// CHECK: vector.reduction <maxsi>
// CHECK-NOT: vector.store
// CHECK: %[[V:.*]] = vector.load %[[X]][%[[ROW]],
// CHECK-NEXT: arith.mulf %[[V]],
sm1.model @m(%x: !x {sm1.name = "x"}) -> (!y {sm1.name = "y"}) {
  %a = sm1.param "a" quantised <bits = 4, group = 32, columns = 64> {layout = "nibbles"} : tensor<8x64xi4>
  %s = sm1.param "a" quantised <bits = 4, group = 32, columns = 64> {layout = "scales"} : tensor<8x2xf16>
  %r = sm1.launch sync(none) -> !y {
    %y = sm1.kernel "whole_rows" (%x0 = %x : !x, %a0 = %a : tensor<8x64xi4>, %s0 = %s : tensor<8x2xf16>)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1, products = dot> -> !y {
      %p = sm1.linear %x0, %a0 scales %s0 int8 : !x, tensor<8x64xi4>, tensor<8x2xf16>
      sm1.yield %p : !y
    }
    sm1.yield %y : !y
  }
  sm1.return %r : !y
}
