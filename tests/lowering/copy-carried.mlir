// RUN: sm1-opt %s -sm1-copy-carried -split-input-file | FileCheck %s

// The layer's value is dead when the next is made (%b reads only %a): nothing to do.
// CHECK-LABEL: sm1.model @in_place
// CHECK-NOT: copy_
// CHECK: sm1.return
func.func private @f(memref<?x16xf32>, memref<?x16xf32>, memref<?xi32>, memref<?xi32>, memref<?xi32>, memref<?xf32>, index, index, index, index)
sm1.model @in_place(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %y = sm1.layers 2 carry(%0 = %x : tensor<?x?x8xf32>) {
    %a = sm1.launch sync(none) -> tensor<?x?x8xf32> {
      %k = sm1.dispatch @f(%0) panels 1 scratch 0 schedule <row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 0, panel_split = 0>
        : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
      sm1.yield %k : tensor<?x?x8xf32>
    }
    %b = sm1.launch sync(none) -> tensor<?x?x8xf32> {
      %k = sm1.dispatch @f(%a) panels 1 scratch 0 schedule <row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 0, panel_split = 0>
        : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
      sm1.yield %k : tensor<?x?x8xf32>
    }
    sm1.yield %b : tensor<?x?x8xf32>
  }
  sm1.return %y : tensor<?x?x8xf32>
}

// -----

// The launch that makes the next value reads this one, and the first one is returned too: one copy each.
// CHECK-LABEL: func.func @copy_16_f32
// CHECK: vector.load
// CHECK: vector.store
// CHECK-LABEL: sm1.model @copies
// CHECK: %[[FIRST:.*]] = sm1.launch
// CHECK: sm1.dispatch @copy_16_f32(%x)
// CHECK: sm1.layers 2 carry(%{{.*}} = %[[FIRST]]
// CHECK: sm1.dispatch @f
// CHECK: %[[NEXT:.*]] = sm1.launch
// CHECK: sm1.dispatch @copy_16_f32
// CHECK: sm1.yield %[[NEXT]] : tensor<?x?x8xf32>
// CHECK-NEXT: }
func.func private @f(memref<?x16xf32>, memref<?x16xf32>, memref<?xi32>, memref<?xi32>, memref<?xi32>, memref<?xf32>, index, index, index, index)
sm1.model @copies(%x: tensor<?x?x8xf32> {sm1.name = "x"})
    -> (tensor<?x?x8xf32> {sm1.name = "y"}, tensor<?x?x8xf32> {sm1.name = "same"}) {
  %y = sm1.layers 2 carry(%0 = %x : tensor<?x?x8xf32>) {
    %a = sm1.launch sync(none) -> tensor<?x?x8xf32> {
      %k = sm1.dispatch @f(%0) panels 1 scratch 0 schedule <row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 0, panel_split = 0>
        : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
      sm1.yield %k : tensor<?x?x8xf32>
    }
    sm1.yield %a : tensor<?x?x8xf32>
  }
  sm1.return %y, %x : tensor<?x?x8xf32>, tensor<?x?x8xf32>
}
