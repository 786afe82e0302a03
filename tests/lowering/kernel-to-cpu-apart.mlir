// Two ways to cover many rows: a loop for each projection, and weights that are unpacked once for all rows of a task.
// RUN: sm1-opt %s -sm1-kernel-to-cpu -canonicalize -cse -split-input-file | FileCheck %s

!s = tensor<?x?x20xf32>

// Each projection of a tile of four rows has a loop of four sums, which go to scratch; then two rows at a time are multiplied and stored.
// What is the same for every row, exp of a parameter, is computed once per panel in front. A row that fills no tile has one loop for both.
// CHECK-LABEL: func.func @apart
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<?x32xf32>, %[[A:[a-z0-9]+]]: memref<2x20x16xf32>, %[[B:[a-z0-9]+]]: memref<2x20x16xf32>, %{{[a-z0-9]+}}: memref<32xf32>, %[[Y:[a-z0-9]+]]: memref<?x32xf32>,
// CHECK-SAME: %[[SCRATCH:[a-z0-9]+]]: memref<?xf32>
// CHECK: math.exp
// CHECK-NEXT: vector.store %{{.*}}, %[[SCRATCH]]
// CHECK-NOT: math.exp
// CHECK: %[[FIRST:.*]]:4 = scf.for %{{.*}} = %c0 to %c20
// CHECK-NOT: vector.load %[[B]]
// CHECK: vector.load %[[A]]
// CHECK-NOT: vector.load %[[B]]
// CHECK: scf.yield
// CHECK-COUNT-4: vector.store %{{.*}}, %[[SCRATCH]]
// CHECK: scf.for %{{.*}} = %c0 to %c20
// CHECK: vector.load %[[B]]
// CHECK-COUNT-4: vector.store %{{.*}}, %[[SCRATCH]]
// CHECK: scf.for %{{.*}} = %c0 to %c4 step %c2
// CHECK-COUNT-4: vector.load %[[SCRATCH]]
// CHECK-COUNT-2: vector.store %{{.*}}, %[[Y]]
// CHECK: scf.for %{{.*}} = %c0 to %c20 step %{{.*}} iter_args(%{{.*}} = %{{.*}}, %{{.*}} = %{{.*}})
// CHECK-DAG: vector.load %[[A]]
// CHECK-DAG: vector.load %[[B]]
// CHECK: vector.store %{{.*}}, %[[Y]]
// CHECK-NOT: scf.for
sm1.model @m(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "panels"} : tensor<20x20xf32>
  %b = sm1.param "b" {layout = "panels"} : tensor<20x20xf32>
  %c = sm1.param "c" {layout = "channels"} : tensor<20xf32>
  %r = sm1.launch sync(none) -> !s {
    %y = sm1.kernel "apart" (%x0 = %x : !s, %a0 = %a : tensor<20x20xf32>, %b0 = %b : tensor<20x20xf32>, %c0 = %c : tensor<20xf32>)
        schedule<row_tile = 4, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1, apart> -> !s {
      %p = sm1.linear %x0, %a0 : !s, tensor<20x20xf32>
      %q = sm1.linear %x0, %b0 : !s, tensor<20x20xf32>
      %e = math.exp %c0 : tensor<20xf32>
      %w = sm1.broadcast %e : tensor<20xf32> to !s
      %0 = arith.mulf %p, %q : !s
      %1 = arith.addf %0, %w : !s
      sm1.yield %1 : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %r : !s
}

// -----

!x = tensor<?x?x20xf32>
!y = tensor<?x?x8xf32>

// With twelve rows or more, words of four int8 become four vectors in scratch, and tiles and single rows read those; with fewer, each
// tile unpacks words as it reads them. The scale of a channel comes at the end of both.
// CHECK-LABEL: func.func @widened
// CHECK-SAME: (%{{[a-z0-9]+}}: memref<?x32xf32>, %[[A:[a-z0-9]+]]: memref<1x5x16xi32>, %[[S:[a-z0-9]+]]: memref<16xf32>, %[[Y:[a-z0-9]+]]: memref<?x16xf32>,
// CHECK-SAME: %[[SCRATCH:[a-z0-9]+]]: memref<?xf32>
// CHECK: %[[MANY:.*]] = arith.cmpi sge, %{{.*}}, %c12
// CHECK: scf.if %[[MANY]]
// CHECK: scf.for %{{.*}} = %c0 to %c5 step %c1 {
// CHECK-NEXT: %[[W:.*]] = vector.load %[[A]]
// CHECK-COUNT-4: vector.store %{{.*}}, %[[SCRATCH]]
// CHECK-NOT: vector.load %[[A]]
// CHECK: vector.load %[[SCRATCH]]
// CHECK: arith.mulf
// CHECK-COUNT-2: vector.store %{{.*}}, %[[Y]]
// CHECK-NOT: vector.load %[[A]]
// CHECK: } else {
// CHECK-NOT: vector.load %[[SCRATCH]]
// CHECK: vector.load %[[A]]
// CHECK: return
// CHECK: sm1.dispatch @widened({{.*}}) panels 1 scratch 1280 schedule
sm1.model @m(%x: !x {sm1.name = "x"}) -> (!y {sm1.name = "y"}) {
  %a = sm1.param "a" quantised <bits = 8, group = 0, columns = 20> {layout = "quads"} : tensor<8x20xi8>
  %s = sm1.param "a" quantised <bits = 8, group = 0, columns = 20> {layout = "scales"} : tensor<8x1xf32>
  %r = sm1.launch sync(none) -> !y {
    %y = sm1.kernel "widened" (%x0 = %x : !x, %a0 = %a : tensor<8x20xi8>, %s0 = %s : tensor<8x1xf32>)
        schedule<row_tile = 2, panel_tile = 1, single_row_panels = 1, row_split = 16, panel_split = 1, widen_rows = 12> -> !y {
      %p = sm1.linear %x0, %a0 scales %s0 : !x, tensor<8x20xi8>, tensor<8x1xf32>
      sm1.yield %p : !y
    }
    sm1.yield %y : !y
  }
  sm1.return %r : !y
}

// -----

!x = tensor<?x?x20xf32>
!y = tensor<?x?x8xf32>

// Behind tiles of six rows come tiles of four, then single rows. Where fewer rows are alone with one tile of six less, it is left out:
// eight rows are four and four.
// CHECK-LABEL: func.func @small_tiles
// CHECK-SAME: %[[BEGIN:[a-z0-9]+]]: index, %[[END:[a-z0-9]+]]: index, %{{[a-z0-9]+}}: index, %{{[a-z0-9]+}}: index) {
// CHECK: %[[ALL:.*]] = arith.subi %[[END]], %[[BEGIN]]
// CHECK: %[[LEFT:.*]] = arith.remui %[[ALL]], %c6
// CHECK: %[[WHOLE:.*]] = arith.subi %[[END]], %[[LEFT]]
// CHECK-DAG: %[[REST:.*]] = arith.subi %[[END]], %[[WHOLE]]
// CHECK-DAG: %[[BEFORE:.*]] = arith.subi %[[WHOLE]], %c6
// CHECK: %[[MORE:.*]] = arith.addi %[[REST]], %c6
// CHECK-DAG: %[[ALONE:.*]] = arith.remui %[[MORE]], %c4
// CHECK-DAG: %[[NOW:.*]] = arith.remui %[[REST]], %c4
// CHECK: %[[FEWER:.*]] = arith.cmpi ult, %[[ALONE]], %[[NOW]]
// CHECK: %[[SOME:.*]] = arith.cmpi ugt, %[[WHOLE]], %[[BEGIN]]
// CHECK: %[[BOTH:.*]] = arith.andi %[[FEWER]], %[[SOME]]
// CHECK: %[[SIX:.*]] = arith.select %[[BOTH]], %[[BEFORE]], %[[WHOLE]]
// CHECK: scf.for %{{.*}} = %[[BEGIN]] to %[[SIX]] step %c6
// CHECK: scf.for %{{.*}} = %[[SIX]] to %[[FOUR:.*]] step %c4
// CHECK: scf.for %{{.*}} = %[[FOUR]] to %[[END]] step %c1
sm1.model @m(%x: !x {sm1.name = "x"}) -> (!y {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "panels"} : tensor<8x20xf32>
  %r = sm1.launch sync(none) -> !y {
    %y = sm1.kernel "small_tiles" (%x0 = %x : !x, %a0 = %a : tensor<8x20xf32>)
        schedule<row_tile = 6, panel_tile = 1, single_row_panels = 1, row_split = 16, panel_split = 1> -> !y {
      %p = sm1.linear %x0, %a0 : !x, tensor<8x20xf32>
      sm1.yield %p : !y
    }
    sm1.yield %y : !y
  }
  sm1.return %r : !y
}
