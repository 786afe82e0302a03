// RUN: sm1-opt %s -sm1-form-kernels -sm1-fuse-elementwise -sm1-fuse-scan-readout -remarks-filter-missed=fusion -verify-diagnostics -split-input-file | FileCheck %s

!s = tensor<?x?x8xf32>
!h = tensor<?x8xf32>

// Readout and gate follow the scan: h itself is not written any more, the last h is.
// CHECK-LABEL: sm1.model @readout
// CHECK: %[[L:.*]], %[[Y:.*]] = sm1.kernel "scan" (%{{.*}} = %a : tensor<?x?x8xf32>, %{{.*}} = %b : tensor<?x?x8xf32>, %{{.*}} = %h_in : tensor<?x8xf32>, %[[C:.*]] = %c : tensor<?x?x8xf32>, %[[D:.*]] = %d : tensor<?x?x8xf32>) -> (tensor<?x8xf32>, tensor<?x?x8xf32>)
// CHECK-NEXT: %[[H:.*]], %[[LAST:.*]] = sm1.scan
// CHECK-NEXT: %[[M:.*]] = arith.mulf %[[C]], %[[H]]
// CHECK-NEXT: %[[S:.*]] = arith.addf %[[M]], %[[D]]
// CHECK-NEXT: sm1.yield %[[LAST]], %[[S]]
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return %[[Y]], %[[L]]
sm1.model @readout(%a: !s {sm1.name = "a"}, %b: !s {sm1.name = "b"}, %c: !s {sm1.name = "c"}, %d: !s {sm1.name = "d"}, %h0: !h {sm1.state = "h"})
    -> (!s {sm1.name = "y"}, !h {sm1.state = "h"}) {
  %h, %last = sm1.scan %a, %b init %h0 : !s
  %ch = arith.mulf %c, %h : !s
  %y = arith.addf %ch, %d : !s
  sm1.return %y, %last : !s, !h
}

// Two consumers of h move in both, and h is written for the one who asks for it.
// CHECK-LABEL: sm1.model @two_consumers
// CHECK: sm1.kernel "scan"
// CHECK-NEXT: %[[H:.*]], %[[LAST:.*]] = sm1.scan
// CHECK-DAG: %[[E:.*]] = math.exp %[[H]]
// CHECK-DAG: %[[N:.*]] = arith.negf %[[H]]
// CHECK: sm1.yield %[[H]], %[[LAST]], %{{.*}}, %{{.*}} : tensor<?x?x8xf32>, tensor<?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return
sm1.model @two_consumers(%a: !s {sm1.name = "a"}, %h0: !h {sm1.state = "h"})
    -> (!s {sm1.name = "y"}, !s {sm1.name = "z"}, !s {sm1.name = "h"}, !h {sm1.state = "h"}) {
  %h, %last = sm1.scan %a, %a init %h0 : !s
  %y = math.exp %h : !s
  %z = arith.negf %h : !s
  sm1.return %y, %z, %h, %last : !s, !s, !s, !h
}

// Two scans in a chain: what stands between them belongs to the first, and the scans stay apart.
// CHECK-LABEL: sm1.model @chain
// CHECK: sm1.kernel "scan"
// CHECK: sm1.scan
// CHECK-NEXT: math.exp
// CHECK: sm1.kernel "scan"
// CHECK: sm1.scan
// CHECK-NEXT: arith.negf
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return
sm1.model @chain(%a: !s {sm1.name = "a"}, %h0: !h {sm1.state = "h"}, %g0: !h {sm1.state = "g"})
    -> (!s {sm1.name = "y"}, !h {sm1.state = "h"}, !h {sm1.state = "g"}) {
  %h, %last = sm1.scan %a, %a init %h0 : !s
  %e = math.exp %h : !s
  %g, %last_g = sm1.scan %e, %e init %g0 : !s
  %y = arith.negf %g : !s
  sm1.return %y, %last, %last_g : !s, !h, !h
}

// -----

// The other operand of the readout is computed from h, by a kernel that cannot move: h is needed before the readout.
// CHECK-LABEL: sm1.model @h_is_needed_before
// CHECK: sm1.kernel "scan"
// CHECK: sm1.kernel "w"
// CHECK: sm1.kernel "mulf"
sm1.model @h_is_needed_before(%a: tensor<?x?x8xf32> {sm1.name = "a"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %w = sm1.param "w" : tensor<8x8xf32>
  %h, %last = sm1.scan %a, %a : tensor<?x?x8xf32>
  %c = sm1.linear %h, %w : tensor<?x?x8xf32>, tensor<8x8xf32>
  // expected-remark @+1 {{scan stays outside mulf: a result is needed before the other kernel}}
  %y = arith.mulf %c, %h : tensor<?x?x8xf32>
  sm1.return %y : tensor<?x?x8xf32>
}

// -----

// h that leaves the layers is not gated inside them.
// CHECK-LABEL: sm1.model @outside_layers
// CHECK: sm1.kernel "scan"
// CHECK: sm1.kernel "negf"
// CHECK: sm1.return
sm1.model @outside_layers(%a: tensor<?x?x8xf32> {sm1.name = "a"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %h = sm1.layers 2 carry(%c = %a : tensor<?x?x8xf32>) {
    %0, %last = sm1.scan %c, %c : tensor<?x?x8xf32>
    sm1.yield %0 : tensor<?x?x8xf32>
  }
  %y = arith.negf %h : tensor<?x?x8xf32>
  sm1.return %y : tensor<?x?x8xf32>
}

// -----

// A readout of the selected rows does not make the scan skip the others.
// CHECK-LABEL: sm1.model @selected
// CHECK: sm1.kernel "scan" ({{.*}}) -> tensor
// CHECK: sm1.kernel "select_rows" ({{.*}}) rows selected -> tensor
// CHECK: sm1.kernel "negf" ({{.*}}) rows selected -> tensor
sm1.model @selected(%a: tensor<?x?x8xf32> {sm1.name = "a"}) -> (tensor<?x?x8xf32> {sm1.name = "y", sm1.rows = "selected"}) {
  %h, %last = sm1.scan %a, %a : tensor<?x?x8xf32>
  %s = sm1.select_rows %h : tensor<?x?x8xf32>
  %y = arith.negf %s : tensor<?x?x8xf32>
  sm1.return %y : tensor<?x?x8xf32>
}

// -----

// A scan kernel of another width than its readout: none is built from a description, but one can be written.
sm1.model @width(%a: tensor<?x?x8xf32> {sm1.name = "a"}, %b: tensor<?x?x4xf32> {sm1.name = "b"})
    -> (tensor<?x?x8xf32> {sm1.name = "h"}, tensor<?x?x4xf32> {sm1.name = "y"}) {
  %h, %p = sm1.kernel "scan" (%x = %a : tensor<?x?x8xf32>, %z = %b : tensor<?x?x4xf32>) -> (tensor<?x?x8xf32>, tensor<?x?x4xf32>) {
    %0, %last = sm1.scan %x, %x : tensor<?x?x8xf32>
    %1 = math.exp %z : tensor<?x?x4xf32>
    sm1.yield %0, %1 : tensor<?x?x8xf32>, tensor<?x?x4xf32>
  }
  // expected-remark @+1 {{scan stays outside negf: it has another width}}
  %y = arith.negf %p : tensor<?x?x4xf32>
  sm1.return %h, %y : tensor<?x?x8xf32>, tensor<?x?x4xf32>
}
