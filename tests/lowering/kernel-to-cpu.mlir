// RUN: sm1-opt %s -sm1-kernel-to-cpu -canonicalize -cse -split-input-file | FileCheck %s

!s = tensor<?x?x20xf32>

// Projections of one x share a loop over k: x is read and broadcast once per row, each row of weights serves both rows of the tile.
// Tiles of rows prefetch the next panels of the task together: the last 16 a sixteenth of every row each, fewer so much more. Row by
// row, so that only one of x is in a register. Sums are chains of fused multiply-adds, four k to a round. The projection of another x has a loop of
// its own. Rows that fill no tile come last, and prefetch what they read of the next panel.
// CHECK-LABEL: func.func @projections
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<?x32xf32>, %[[Z:[a-z0-9]+]]: memref<?x32xf32>, %[[A:[a-z0-9]+]]: memref<2x20x16xf32>, %[[B:[a-z0-9]+]]: memref<2x20x16xbf16>, %[[C:[a-z0-9]+]]: memref<2x20x16xf32>, %[[Y:[a-z0-9]+]]: memref<?x32xf32>,
// CHECK-SAME: %{{[a-z0-9]+}}: memref<?xi32>, %{{[a-z0-9]+}}: memref<?xi32>, %{{[a-z0-9]+}}: memref<?xi32>, %{{[a-z0-9]+}}: memref<?xf32>, %[[ROWBEGIN:[a-z0-9]+]]: index, %[[ROWEND:[a-z0-9]+]]: index, %[[PANELBEGIN:[a-z0-9]+]]: index, %[[PANELEND:[a-z0-9]+]]: index) {
// CHECK: scf.for %[[PANEL:.*]] = %[[PANELBEGIN]] to %[[PANELEND]] step %c1
// CHECK: %[[ROWS:.*]] = arith.subi %[[ROWEND]], %[[ROWBEGIN]]
// CHECK: %[[REST:.*]] = arith.remui %[[ROWS]], %c2
// CHECK: %[[WHOLE:.*]] = arith.subi %[[ROWEND]], %[[REST]]
// CHECK: scf.for %[[ROW:.*]] = %[[ROWBEGIN]] to %[[WHOLE]] step %c2
// CHECK: scf.for %[[P:.*]] = %[[PANEL]] to
// CHECK-NEXT: %[[TILES:.*]] = arith.divui %[[ROWS]], %c2
// CHECK-NEXT: %[[UP:.*]] = arith.addi %[[TILES]], %c15
// CHECK-NEXT: %[[WIDTH:.*]] = arith.divui %[[UP]], %[[TILES]]
// CHECK-NEXT: %[[INSIDE:.*]] = arith.subi %[[ROW]], %[[ROWBEGIN]]
// CHECK-NEXT: %[[TURN:.*]] = arith.divui %[[INSIDE]], %c2
// CHECK-NEXT: %[[LAST:.*]] = arith.subi %[[TILES]], %c1
// CHECK-NEXT: %[[LATER:.*]] = arith.subi %[[LAST]], %[[TURN]]
// CHECK-NEXT: %[[BEFORE:.*]] = arith.muli %[[LATER]], %[[WIDTH]]
// CHECK-NEXT: %[[P1:.*]] = arith.addi %[[P]], %c1
// CHECK-NEXT: %[[THERE:.*]] = arith.cmpi ult, %[[P1]], %[[PANELEND]]
// CHECK-NEXT: %[[LEFT:.*]] = arith.cmpi ult, %[[BEFORE]], %c16
// CHECK-NEXT: %[[PART:.*]] = arith.andi %[[THERE]], %[[LEFT]]
// CHECK-NEXT: %[[A_STEP:.*]] = arith.select %[[PART]], %[[WIDTH]], %c0
// CHECK-NEXT: %[[START:.*]] = arith.muli %[[BEFORE]], %c20
// CHECK-NEXT: %[[FROM:.*]] = arith.select %[[PART]], %[[START]], %c0
// CHECK: %[[SUMS:.*]]:4 = scf.for %[[K:.*]] = %c0 to %c20 step %c4 iter_args(%[[S0:.*]] = %[[ZERO:[a-z0-9_]+]], %[[S1:.*]] = %[[ZERO]], %[[S2:.*]] = %[[ZERO]], %[[S3:.*]] = %[[ZERO]])
// CHECK-NEXT: %[[OFFSET:.*]] = arith.muli %[[K]], %[[A_STEP]]
// CHECK-NEXT: %[[PLACE:.*]] = arith.addi %[[FROM]], %[[OFFSET]]
// CHECK-NEXT: memref.prefetch %[[A]][%[[P1]], %c0, %[[PLACE]]], read
// CHECK-NEXT: %[[WA:.*]] = vector.load %[[A]][%[[P]], %[[K]], %c0]
// CHECK-NEXT: memref.prefetch %[[B]][%[[P1]], %c0, %[[PLACE]]], read
// CHECK-NEXT: %[[NARROW:.*]] = vector.load %[[B]][%[[P]], %[[K]], %c0]
// CHECK-NEXT: %[[WB:.*]] = arith.extf %[[NARROW]]
// CHECK-NEXT: %[[V:.*]] = memref.load %[[X]][%[[ROW]], %[[K]]]
// CHECK-NEXT: %[[X0:.*]] = vector.broadcast %[[V]]
// CHECK-NEXT: %[[R0:.*]] = vector.fma %[[X0]], %[[WA]], %[[S0]]
// CHECK-NEXT: %[[R2:.*]] = vector.fma %[[X0]], %[[WB]], %[[S2]]
// CHECK-NEXT: %[[ROW1:.*]] = arith.addi %[[ROW]], %c1
// CHECK-NEXT: %[[V:.*]] = memref.load %[[X]][%[[ROW1]], %[[K]]]
// CHECK-NEXT: %[[X1:.*]] = vector.broadcast %[[V]]
// CHECK-NEXT: %[[R1:.*]] = vector.fma %[[X1]], %[[WA]], %[[S1]]
// CHECK-NEXT: %[[R3:.*]] = vector.fma %[[X1]], %[[WB]], %[[S3]]
// CHECK-NEXT: %[[K1:.*]] = arith.addi %[[K]], %c1
// CHECK: vector.fma %{{.*}}, %{{.*}}, %[[R0]]
// CHECK-NEXT: vector.fma %{{.*}}, %{{.*}}, %[[R2]]
// CHECK-COUNT-8: vector.fma
// CHECK: scf.yield
// CHECK: arith.addf %[[SUMS]]#0, %[[ZERO]]
// CHECK: scf.for %[[K:.*]] = %c0 to %c20 step %c4 iter_args(%{{.*}} = %[[ZERO]], %{{.*}} = %[[ZERO]])
// CHECK: memref.load %[[Z]]
// CHECK-COUNT-2: vector.store %{{.*}}, %[[Y]]
// CHECK: scf.for %[[ROW:.*]] = %[[WHOLE]] to %[[ROWEND]] step %c1
// CHECK: memref.prefetch %[[A]][%{{.*}}, %[[K:.*]], %c0], read
// CHECK-NEXT: vector.load %[[A]][%{{.*}}, %[[K]], %c0]
// CHECK: memref.load %[[X]]
// CHECK: vector.store %{{.*}}, %[[Y]]
// CHECK: return
// CHECK-LABEL: sm1.model @model_of_projections
// CHECK: sm1.dispatch @projections(%x, %z, %a, %b, %c) panels 2 scratch 0 schedule <row_tile = 2,
// CHECK-NOT: sm1.kernel
sm1.model @model_of_projections(%x: !s {sm1.name = "x"}, %z: !s {sm1.name = "z"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "panels"} : tensor<20x20xf32>
  %b = sm1.param "b" {layout = "panels"} : tensor<20x20xbf16>
  %c = sm1.param "c" {layout = "panels"} : tensor<20x20xf32>
  %r = sm1.launch sync(none) -> !s {
    %y = sm1.kernel "projections" (%x0 = %x : !s, %z0 = %z : !s, %a0 = %a : tensor<20x20xf32>, %b0 = %b : tensor<20x20xbf16>, %c0 = %c : tensor<20x20xf32>)
        schedule<row_tile = 2, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1> -> !s {
      %p = sm1.linear %x0, %a0 : !s, tensor<20x20xf32>
      %q = sm1.linear %x0, %b0 : !s, tensor<20x20xbf16>
      %t = sm1.linear %z0, %c0 : !s, tensor<20x20xf32>
      %u = math.fma %p, %q, %t : !s
      sm1.yield %u : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %r : !s
}

// -----

// A long sum is made of blocks of 64 k, each from zero, added up in order.
// CHECK-LABEL: func.func @long_sum
// CHECK: %[[FIRST:.*]] = scf.for %[[K:.*]] = %c0 to %c64 step %c32 iter_args(%[[SUM:.*]] = %[[ZERO:[a-z0-9_]+]])
// CHECK: vector.fma %{{.*}}, %{{.*}}, %[[SUM]]
// CHECK-COUNT-31: vector.fma
// CHECK-NEXT: scf.yield
// CHECK: %[[TOTAL:.*]] = arith.addf %[[FIRST]], %[[ZERO]]
// CHECK: %[[SECOND:.*]] = scf.for %[[I:.*]] = %c0 to %c36 step %c4 iter_args(%{{.*}} = %[[ZERO]])
// CHECK-NEXT: arith.addi %[[I]], %c64
// CHECK-COUNT-4: vector.fma
// CHECK: %[[TOTALS:.*]] = arith.addf %[[TOTAL]], %[[SECOND]]
// CHECK: vector.store %[[TOTALS]],
sm1.model @m(%x: tensor<?x?x100xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %a = sm1.param "a" {layout = "panels"} : tensor<8x100xf32>
  %r = sm1.launch sync(none) -> tensor<?x?x8xf32> {
    %y = sm1.kernel "long_sum" (%x0 = %x : tensor<?x?x100xf32>, %a0 = %a : tensor<8x100xf32>)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1> -> tensor<?x?x8xf32> {
      %p = sm1.linear %x0, %a0 : tensor<?x?x100xf32>, tensor<8x100xf32>
      sm1.yield %p : tensor<?x?x8xf32>
    }
    sm1.yield %y : tensor<?x?x8xf32>
  }
  sm1.return %r : tensor<?x?x8xf32>
}

// -----

!s = tensor<?x?x20xf32>

// A scan takes h from init in the first row of its segment and from scratch after that; last is stored in the segment's last row. Rows
// are outside, and what the next row needs is fetched.
// CHECK-LABEL: func.func @recurrence
// CHECK-SAME: (%[[A:[a-z0-9]+]]: memref<?x32xf32>, %[[B:[a-z0-9]+]]: memref<?x32xf32>, %[[H0:[a-z0-9]+]]: memref<?x32xf32>, %[[H:[a-z0-9]+]]: memref<?x32xf32>, %[[LAST:[a-z0-9]+]]: memref<?x32xf32>, %[[ROWSEGMENT:[a-z0-9]+]]: memref<?xi32>, %[[SEGMENTSTART:[a-z0-9]+]]: memref<?xi32>, %{{[a-z0-9]+}}: memref<?xi32>, %[[SCRATCH:[a-z0-9]+]]: memref<?xf32>, %[[ROWBEGIN:[a-z0-9]+]]: index, %[[ROWEND:[a-z0-9]+]]: index, %[[PANELBEGIN:[a-z0-9]+]]: index, %[[PANELEND:[a-z0-9]+]]: index)
// CHECK: scf.for %[[ROW:.*]] = %[[ROWBEGIN]] to %[[ROWEND]] step %c1
// CHECK: scf.for %[[PANEL:.*]] = %[[PANELBEGIN]] to %[[PANELEND]] step %c1
// CHECK: %[[AFTER:.*]] = arith.addi %[[ROW]], %c1
// CHECK: %[[I:.*]] = memref.load %[[ROWSEGMENT]][%[[ROW]]]
// CHECK: %[[SEGMENT:.*]] = arith.index_cast %[[I]]
// CHECK: %[[I:.*]] = memref.load %[[SEGMENTSTART]][%[[SEGMENT]]]
// CHECK: %[[START:.*]] = arith.index_cast %[[I]]
// CHECK: %[[NEXT:.*]] = arith.addi %[[SEGMENT]], %c1
// CHECK: %[[I:.*]] = memref.load %[[SEGMENTSTART]][%[[NEXT]]]
// CHECK: %[[END:.*]] = arith.index_cast %[[I]]
// CHECK: %[[ISSTART:.*]] = arith.cmpi eq, %[[ROW]], %[[START]]
// CHECK: %[[ISLAST:.*]] = arith.cmpi eq, %[[AFTER]], %[[END]]
// CHECK: %[[BEFORE:.*]] = scf.if %[[ISSTART]]
// CHECK: %[[INIT:.*]] = vector.load %[[H0]][%[[SEGMENT]],
// CHECK-NEXT: scf.yield %[[INIT]]
// CHECK: %[[OWN:.*]] = arith.subi %[[PANEL]], %[[PANELBEGIN]]
// CHECK: %[[PLACE:.*]] = arith.muli %[[OWN]], %c16
// CHECK: %[[CARRIED:.*]] = vector.load %[[SCRATCH]][%[[PLACE]]]
// CHECK-NEXT: scf.yield %[[CARRIED]]
// CHECK: memref.prefetch %[[A]][%[[AFTER]], %{{.*}}], read, locality<2>, data
// CHECK: %[[DECAY:.*]] = vector.load %[[A]][%[[ROW]],
// CHECK: %[[INPUT:.*]] = vector.load %[[B]][%[[ROW]],
// CHECK: %[[NOW:.*]] = vector.fma %[[DECAY]], %[[BEFORE]], %[[INPUT]]
// CHECK: scf.if %[[ISLAST]] {
// CHECK-NEXT: vector.store %[[NOW]], %[[LAST]][%[[SEGMENT]],
// CHECK: vector.store %[[NOW]], %[[SCRATCH]][
// CHECK: memref.prefetch %[[H]][%{{.*}}], write, locality<2>, data
// CHECK-NEXT: vector.store %[[NOW]], %[[H]][%[[ROW]],
// CHECK: return
// Two panels carry 16 f32 each.
// CHECK: sm1.dispatch @recurrence({{.*}}) panels 2 scratch 128
sm1.model @m(%a: !s {sm1.name = "a"}, %b: !s {sm1.name = "b"}, %h: tensor<?x20xf32> {sm1.state = "h"}) -> (!s {sm1.name = "y"}, tensor<?x20xf32> {sm1.state = "h"}) {
  %r:2 = sm1.launch sync(none) -> !s, tensor<?x20xf32> {
    %y:2 = sm1.kernel "recurrence" (%a0 = %a : !s, %b0 = %b : !s, %h0 = %h : tensor<?x20xf32>)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 0, panel_split = 1> -> (!s, tensor<?x20xf32>) {
      %p, %l = sm1.scan %a0, %b0 init %h0 : !s
      sm1.yield %p, %l : !s, tensor<?x20xf32>
    }
    sm1.yield %y#0, %y#1 : !s, tensor<?x20xf32>
  }
  sm1.return %r#0, %r#1 : !s, tensor<?x20xf32>
}

// -----

// The closed form carries a running product and a running sum, and starts both again in every segment.
// CHECK-LABEL: func.func @closed
// CHECK-DAG: %[[ONE:.*]] = arith.constant dense<1.000000e+00>
// CHECK-DAG: %[[FLOOR:.*]] = arith.constant dense<9.99999997E-7>
// CHECK-DAG: %[[ZERO:.*]] = arith.constant dense<0.000000e+00>
// CHECK: %[[ISSTART:.*]] = arith.cmpi eq
// CHECK: %[[BEFORE:.*]]:2 = scf.if %[[ISSTART]]
// CHECK-NEXT: scf.yield %[[ONE]], %[[ZERO]]
// CHECK: %[[PRODUCT:.*]] = vector.load %[[SCRATCH:.*]][%{{.*}}] : memref<?xf32>
// CHECK: %[[SUM:.*]] = vector.load %[[SCRATCH]][%{{.*}}] : memref<?xf32>
// CHECK-NEXT: scf.yield %[[PRODUCT]], %[[SUM]]
// CHECK: %[[L:.*]] = arith.mulf %[[BEFORE]]#0,
// CHECK: %[[D:.*]] = arith.maximumf %[[L]], %[[FLOOR]]
// CHECK: arith.divf %{{.*}}, %[[D]]
// CHECK: arith.addf %[[BEFORE]]#1,
// CHECK: arith.mulf %[[L]]
// CHECK: sm1.dispatch @closed({{.*}}) panels 1 scratch 128
sm1.model @m(%a: tensor<?x?x8xf32> {sm1.name = "a"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %r = sm1.launch sync(none) -> tensor<?x?x8xf32> {
    %y = sm1.kernel "closed" (%a0 = %a : tensor<?x?x8xf32>)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 0, panel_split = 1> -> tensor<?x?x8xf32> {
      %p, %l = sm1.scan %a0, %a0 form closed_form : tensor<?x?x8xf32>
      sm1.yield %p : tensor<?x?x8xf32>
    }
    sm1.yield %y : tensor<?x?x8xf32>
  }
  sm1.return %r : tensor<?x?x8xf32>
}

// -----

!s = tensor<?x?x20xf32>
!t = tensor<?x20x2xf32>

// A convolution of three taps: earlier rows come from the run or, before the segment's start, from the taps it came with; one question
// answers for all of them where all are in the run. Weights and taps have their channels last. The newest two rows are stored in the
// segment's last row.
// CHECK-LABEL: func.func @convolution
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<?x32xf32>, %[[W:[a-z0-9]+]]: memref<3x32xf32>, %[[BIAS:[a-z0-9]+]]: memref<32xf32>, %[[TAPS:[a-z0-9]+]]: memref<?x2x32xf32>, %[[Y:[a-z0-9]+]]: memref<?x32xf32>, %[[LAST:[a-z0-9]+]]: memref<?x2x32xf32>,
// CHECK: %[[ISLAST:.*]] = arith.cmpi eq
// CHECK: %[[R0:.*]] = arith.subi %[[ROW:.*]], %c2
// CHECK: %[[INSIDE:.*]] = arith.cmpi sge, %[[R0]], %[[START:.*]] : index
// CHECK: %[[V:.*]]:2 = scf.if %[[INSIDE]]
// CHECK: vector.load %[[X]][%[[R0]],
// CHECK: %[[R1:.*]] = arith.subi %[[ROW]], %c1
// CHECK: vector.load %[[X]][%[[R1]],
// CHECK: } else {
// CHECK: %[[OLD0:.*]] = scf.if %[[INSIDE]]
// CHECK: vector.load %[[X]][%[[R0]],
// CHECK: } else {
// CHECK: %[[AGE:.*]] = arith.subi %[[R0]], %[[START]]
// CHECK: %[[TAP:.*]] = arith.addi %[[AGE]], %c2
// CHECK: vector.load %[[TAPS]][%{{.*}}, %[[TAP]],
// CHECK: %[[OLD1:.*]] = scf.if
// CHECK: scf.yield %[[OLD0]], %[[OLD1]]
// CHECK: %[[V2:.*]] = vector.load %[[X]][%[[ROW]],
// CHECK: %[[S:.*]] = vector.load %[[BIAS]]
// CHECK: %[[W0:.*]] = vector.load %[[W]][%c0,
// CHECK: %[[S0:.*]] = vector.fma %[[W0]], %[[V]]#0, %[[S]]
// CHECK: %[[W1:.*]] = vector.load %[[W]][%c1,
// CHECK: %[[S1:.*]] = vector.fma %[[W1]], %[[V]]#1, %[[S0]]
// CHECK: %[[W2:.*]] = vector.load %[[W]][%c2,
// CHECK: %[[S2:.*]] = vector.fma %[[W2]], %[[V2]], %[[S1]]
// CHECK: scf.if %[[ISLAST]] {
// CHECK-NEXT: vector.store %[[V]]#1, %[[LAST]][%{{.*}}, %c0,
// CHECK: vector.store %[[V2]], %[[LAST]][%{{.*}}, %c1,
// CHECK: vector.store %[[S2]], %[[Y]][%[[ROW]],
sm1.model @m(%x: !s {sm1.name = "x"}, %t: !t {sm1.state = "c"}) -> (!s {sm1.name = "y"}, !t {sm1.state = "c"}) {
  %w = sm1.param "w" {layout = "channels"} : tensor<20x1x3xf32>
  %b = sm1.param "b" {layout = "channels"} : tensor<20xf32>
  %r:2 = sm1.launch sync(none) -> !s, !t {
    %y:2 = sm1.kernel "convolution" (%x0 = %x : !s, %w0 = %w : tensor<20x1x3xf32>, %b0 = %b : tensor<20xf32>, %t0 = %t : !t)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 16, panel_split = 1> -> (!s, !t) {
      %p, %l = sm1.conv1d %x0, %w0, %b0 taps %t0 : !s, tensor<20x1x3xf32>
      sm1.yield %p, %l : !s, !t
    }
    sm1.yield %y#0, %y#1 : !s, !t
  }
  sm1.return %r#0, %r#1 : !s, !t
}

// -----

!s = tensor<?x?x20xf32>

// A norm walks its row twice: the first time it adds squares, 16 chains, without the padding of the last panel; the chains are added in
// halves. The values wait in scratch. Rows are fetched four ahead.
// CHECK-LABEL: func.func @norm
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<?x32xf32>, %[[N:[a-z0-9]+]]: memref<32xf32>, %[[Y:[a-z0-9]+]]: memref<?x32xf32>,
// CHECK: scf.for %[[ROW:.*]] =
// CHECK: %[[LATER:.*]] = arith.addi %[[ROW]], %c4
// CHECK-NEXT: %[[FETCHED:.*]] = arith.minui %[[LATER]],
// CHECK-NEXT: %[[SQUARES:.*]] = scf.for %{{.*}} = %c0 to %c2 step %c1 iter_args(%[[SUM:.*]] = %[[ZERO:[a-z0-9_]+]])
// CHECK: memref.prefetch %[[X]][%[[FETCHED]],
// CHECK-NEXT: %[[V:.*]] = vector.load %[[X]][%[[ROW]],
// CHECK-NEXT: %[[E:.*]] = math.absf %[[V]]
// CHECK-NEXT: vector.store %[[E]], %[[SCRATCH:.*]][
// CHECK-NEXT: %[[LEFT:.*]] = arith.subi %c20,
// CHECK-NEXT: %[[MASK:.*]] = vector.create_mask %[[LEFT]]
// CHECK-NEXT: %[[OWN:.*]] = arith.select %[[MASK]], %[[E]], %[[ZERO]]
// CHECK-NEXT: %[[NEXT:.*]] = vector.fma %[[OWN]], %[[OWN]], %[[SUM]]
// CHECK-NEXT: scf.yield %[[NEXT]]
// CHECK-COUNT-4: arith.addf
// CHECK: arith.divf %{{.*}}, %[[WIDTH:.*]] : f32
// CHECK-NEXT: arith.addf
// CHECK-NEXT: math.sqrt
// CHECK-NEXT: arith.divf
// CHECK-NEXT: %[[INVERSE:.*]] = vector.broadcast
// CHECK-NEXT: scf.for %{{.*}} = %c0 to %c2 step %c1
// CHECK: %[[E:.*]] = vector.load %[[SCRATCH]]
// CHECK-NEXT: %[[SCALED:.*]] = arith.mulf %[[E]], %[[INVERSE]]
// CHECK-NEXT: %[[W:.*]] = vector.load %[[N]]
// CHECK-NEXT: %[[R:.*]] = arith.mulf %[[SCALED]], %[[W]]
// CHECK-NEXT: vector.store %[[R]], %[[Y]][%[[ROW]],
// CHECK: sm1.dispatch @norm({{.*}}) panels 2 scratch 128
sm1.model @m(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %n = sm1.param "n" {layout = "channels"} : tensor<20xf32>
  %r = sm1.launch sync(none) -> !s {
    %y = sm1.kernel "norm" (%x0 = %x : !s, %n0 = %n : tensor<20xf32>)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 0> -> !s {
      %e = math.absf %x0 : !s
      %p = sm1.rms_norm %e, %n0 eps 1.0e-6 : !s
      sm1.yield %p : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x20xf32>

// What a projection multiplies is computed first, for all rows of the task, rounded, and kept as f32 in scratch: 8 rows of 32, and one
// row for the norm.
// CHECK-LABEL: func.func @prologue
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<?x32xf32>, %{{[a-z0-9]+}}: memref<32xf32>, %[[A:[a-z0-9]+]]: memref<2x20x16xbf16>, %{{[a-z0-9]+}}: memref<?x32xf32>, %{{[a-z0-9]+}}: memref<?xi32>, %{{[a-z0-9]+}}: memref<?xi32>, %{{[a-z0-9]+}}: memref<?xi32>, %[[SCRATCH:[a-z0-9]+]]: memref<?xf32>, %[[ROWBEGIN:[a-z0-9]+]]: index, %[[ROWEND:[a-z0-9]+]]: index, %[[PANELBEGIN:[a-z0-9]+]]: index, %[[PANELEND:[a-z0-9]+]]: index)
// CHECK: scf.for %[[ROW:.*]] = %[[ROWBEGIN]] to %[[ROWEND]] step %c1
// CHECK-NEXT: %[[OWN:.*]] = arith.subi %[[ROW]], %[[ROWBEGIN]]
// CHECK-NEXT: %[[START:.*]] = arith.muli %[[OWN]], %c32
// CHECK: vector.load %[[X]]
// CHECK: arith.addi %{{.*}}, %c256
// CHECK: math.sqrt
// CHECK: %[[NARROW:.*]] = arith.truncf %{{.*}} : vector<16xf32> to vector<16xbf16>
// CHECK-NEXT: %[[WIDE:.*]] = arith.extf %[[NARROW]]
// CHECK-NEXT: %[[PLACE:.*]] = arith.addi %[[START]],
// CHECK-NEXT: vector.store %[[WIDE]], %[[SCRATCH]][%[[PLACE]]]
// CHECK: scf.for %[[PANEL:.*]] = %[[PANELBEGIN]] to %[[PANELEND]]
// CHECK: scf.for %[[ROW:.*]] = %[[ROWBEGIN]] to %[[ROWEND]]
// CHECK: scf.for %[[K:.*]] = %c0 to %c20 step %c4 iter_args
// CHECK-NOT: %[[X]]
// CHECK: memref.load %[[SCRATCH]]
// CHECK: vector.load %[[A]]
// CHECK: vector.fma
// CHECK: sm1.dispatch @prologue({{.*}}) panels 2 scratch 1152 schedule
sm1.model @m(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %n = sm1.param "n" {layout = "channels"} : tensor<20xf32>
  %a = sm1.param "a" {layout = "panels"} : tensor<20x20xbf16>
  %r = sm1.launch sync(none) -> !s {
    %y = sm1.kernel "prologue" (%x0 = %x : !s, %n0 = %n : tensor<20xf32>, %a0 = %a : tensor<20x20xbf16>)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1> -> !s {
      %p = sm1.rms_norm %x0, %n0 eps 1.0e-6 : !s
      %b = arith.truncf %p : !s to tensor<?x?x20xbf16>
      %q = sm1.linear %b, %a0 : tensor<?x?x20xbf16>, tensor<20x20xbf16>
      sm1.yield %q : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %r : !s
}

// -----

// Rows by index: of a table, of the rows that the caller selected. A part of a split may begin inside a panel and end inside one.
// CHECK-LABEL: func.func @embedding
// CHECK-SAME: (%[[TOKENS:[a-z0-9]+]]: memref<?xi32>, %[[TABLE:[a-z0-9]+]]: memref<37x32xbf16>,
// CHECK: %[[T:.*]] = memref.load %[[TOKENS]]
// CHECK: %[[I:.*]] = arith.index_cast %[[T]]
// CHECK: %[[V:.*]] = vector.load %[[TABLE]][%[[I]],
// CHECK: arith.extf %[[V]]
// CHECK-LABEL: func.func @selection
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<?x32xf32>, %{{[a-z0-9]+}}: memref<?x32xf32>, %{{[a-z0-9]+}}: memref<?xi32>, %{{[a-z0-9]+}}: memref<?xi32>, %[[SELECTED:[a-z0-9]+]]: memref<?xi32>,
// CHECK: %[[S:.*]] = memref.load %[[SELECTED]]
// CHECK: %[[I:.*]] = arith.index_cast %[[S]]
// CHECK: vector.load %[[X]][%[[I]],
// CHECK-LABEL: func.func @tail
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<?x32xf32>, %{{[a-z0-9]+}}: memref<?x16xf32>,
// CHECK: %[[LEFT:.*]] = arith.subi %c15, %[[COLUMN:.*]] : index
// CHECK: %[[MASK:.*]] = vector.create_mask %[[LEFT]]
// CHECK: %[[PLACE:.*]] = arith.addi %[[COLUMN]], %c5
// CHECK: vector.maskedload %[[X]][%{{.*}}, %[[PLACE]]], %[[MASK]]
// CHECK-LABEL: sm1.model @m
// CHECK: sm1.dispatch @selection({{.*}}) {{.*}} selected :
sm1.model @m(%t: tensor<?x?xi32> {sm1.name = "tokens"}) -> (tensor<?x?x15xf32> {sm1.name = "y", sm1.rows = "selected"}) {
  %w = sm1.param "embed" {layout = "rows"} : tensor<37x20xbf16>
  %x = sm1.launch sync(none) -> tensor<?x?x20xf32> {
    %k = sm1.kernel "embedding" (%t0 = %t : tensor<?x?xi32>, %w0 = %w : tensor<37x20xbf16>)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1> -> tensor<?x?x20xf32> {
      %0 = sm1.embedding %t0, %w0 : tensor<?x?xi32>, tensor<37x20xbf16>
      %1 = arith.extf %0 : tensor<?x?x20xbf16> to tensor<?x?x20xf32>
      sm1.yield %1 : tensor<?x?x20xf32>
    }
    sm1.yield %k : tensor<?x?x20xf32>
  }
  %s = sm1.launch sync(none) -> tensor<?x?x20xf32> {
    %k = sm1.kernel "selection" (%x0 = %x : tensor<?x?x20xf32>)
        rows selected schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1> -> tensor<?x?x20xf32> {
      %0 = sm1.select_rows %x0 : tensor<?x?x20xf32>
      sm1.yield %0 : tensor<?x?x20xf32>
    }
    sm1.yield %k : tensor<?x?x20xf32>
  }
  %y = sm1.launch sync(none) -> tensor<?x?x15xf32> {
    %k = sm1.kernel "tail" (%s0 = %s : tensor<?x?x20xf32>)
        rows selected schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1> -> tensor<?x?x15xf32> {
      %0, %1 = sm1.split %s0 : tensor<?x?x20xf32> into tensor<?x?x5xf32>, tensor<?x?x15xf32>
      sm1.yield %1 : tensor<?x?x15xf32>
    }
    sm1.yield %k : tensor<?x?x15xf32>
  }
  sm1.return %y : tensor<?x?x15xf32>
}

// -----

!s = tensor<?x?x100xf32>
!p = tensor<100xf32>

// What is computed from parameters alone is computed once per panel of the task, and waits in scratch for the loop over rows.
// CHECK-LABEL: func.func @invariant
// CHECK-SAME: (%[[X:[a-z0-9]+]]: memref<?x112xf32>, %[[P:[a-z0-9]+]]: memref<112xf32>, %[[Y:[a-z0-9]+]]: memref<?x112xf32>,
// CHECK: scf.for %{{.*}} = %[[PANELBEGIN:.*]] to %[[PANELEND:.*]] step %c1
// CHECK: vector.load %[[P]]
// CHECK: %[[E:.*]] = math.exp
// CHECK: vector.store %[[E]], %[[SCRATCH:.*]][
// CHECK: scf.for %[[ROW:.*]] =
// CHECK: scf.for %{{.*}} = %[[PANELBEGIN]] to %{{.*}} step %c4
// CHECK-NOT: math.exp
// CHECK-COUNT-4: vector.load %[[SCRATCH]]
// CHECK-NOT: math.exp
// CHECK-COUNT-4: vector.store %{{.*}}, %[[Y]]
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[PANELEND]] step %c1
// CHECK: sm1.dispatch @invariant({{.*}}) panels 7 scratch 448
sm1.model @m(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %p = sm1.param "p" {layout = "channels"} : !p
  %r = sm1.launch sync(none) -> !s {
    %y = sm1.kernel "invariant" (%x0 = %x : !s, %p0 = %p : !p)
        schedule<row_tile = 1, panel_tile = 4, single_row_panels = 4, row_split = 16, panel_split = 4> -> !s {
      %e = math.exp %p0 : !p
      %b = sm1.broadcast %e : !p to !s
      %m = arith.mulf %x0, %b : !s
      sm1.yield %m : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x150xf32>

// A row is walked four panels at a time, squares still added panel by panel; what fills no four panels comes last, with its padding.
// CHECK-LABEL: func.func @groups
// CHECK: %[[WHOLE:.*]] = scf.for %{{.*}} = %c0 to %c8 step %c4 iter_args(%[[SUM:.*]] =
// CHECK-NOT: vector.create_mask
// CHECK: %[[S0:.*]] = vector.fma %{{.*}}, %{{.*}}, %[[SUM]]
// CHECK: %[[S1:.*]] = vector.fma %{{.*}}, %{{.*}}, %[[S0]]
// CHECK: %[[S2:.*]] = vector.fma %{{.*}}, %{{.*}}, %[[S1]]
// CHECK: %[[S3:.*]] = vector.fma %{{.*}}, %{{.*}}, %[[S2]]
// CHECK-NEXT: scf.yield %[[S3]]
// CHECK: scf.for %{{.*}} = %c8 to %c10 step %c1 iter_args(%{{.*}} = %[[WHOLE]])
// CHECK: vector.create_mask
// CHECK: math.sqrt
// CHECK: scf.for %{{.*}} = %c0 to %c8 step %c4
// CHECK-COUNT-4: vector.store
// CHECK: scf.for %{{.*}} = %c8 to %c10 step %c1
sm1.model @m(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %n = sm1.param "n" {layout = "channels"} : tensor<150xf32>
  %r = sm1.launch sync(none) -> !s {
    %y = sm1.kernel "groups" (%x0 = %x : !s, %n0 = %n : tensor<150xf32>)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 0> -> !s {
      %p = sm1.rms_norm %x0, %n0 eps 1.0e-6 : !s
      sm1.yield %p : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x40xf32>

// A scan with projections walks all rows, in bands of which each passes all panels. What it carries waits in scratch, panel by panel.
// CHECK-LABEL: func.func @bands
// CHECK-SAME: %[[SCRATCH:[a-z0-9]+]]: memref<?xf32>, %[[ROWBEGIN:[a-z0-9]+]]: index, %[[ROWEND:[a-z0-9]+]]: index, %[[PANELBEGIN:[a-z0-9]+]]: index, %[[PANELEND:[a-z0-9]+]]: index)
// CHECK: scf.for %[[BAND:.*]] = %[[ROWBEGIN]] to %[[ROWEND]] step %c64
// CHECK-NEXT: %[[NEXT:.*]] = arith.addi %[[BAND]], %c64
// CHECK-NEXT: %[[END:.*]] = arith.minui %[[NEXT]], %[[ROWEND]]
// CHECK-NEXT: scf.for %{{.*}} = %[[PANELBEGIN]] to %[[PANELEND]] step %c1
// CHECK-NEXT: scf.for %{{.*}} = %[[BAND]] to %[[END]] step %c1
// CHECK: vector.load %[[SCRATCH]]
// CHECK: vector.store %{{.*}}, %[[SCRATCH]]
// CHECK: return
sm1.model @m(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "h"}) {
  %a = sm1.param "a" {layout = "panels"} : tensor<40x40xf32>
  %r = sm1.launch sync(none) -> !s {
    %y = sm1.kernel "bands" (%x0 = %x : !s, %a0 = %a : tensor<40x40xf32>)
        schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 0, panel_split = 1, row_band = 64> -> !s {
      %p = sm1.linear %x0, %a0 : !s, tensor<40x40xf32>
      %h, %last = sm1.scan %p, %x0 : !s
      sm1.yield %h : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %r : !s
}
