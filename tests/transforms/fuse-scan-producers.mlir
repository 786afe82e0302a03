// RUN: sm1-opt %s -sm1-form-kernels -sm1-fuse-scan-producers -remarks-filter-missed=fusion -verify-diagnostics -split-input-file | FileCheck %s

!s = tensor<?x?x8xf32>
!h = tensor<?x8xf32>

// Decay and input are computed as the scan walks the rows, with what they have in common computed once.
// CHECK-LABEL: sm1.model @discretisation
// CHECK: sm1.kernel "scan" (%[[D:.*]] = %dt : tensor<?x?x8xf32>, %[[U:.*]] = %u : tensor<?x?x8xf32>, %[[H:.*]] = %h_in : tensor<?x8xf32>)
// CHECK-DAG: %[[N:.*]] = arith.negf %[[D]]
// CHECK-DAG: %[[E:.*]] = math.exp %[[N]]
// CHECK-DAG: %[[M:.*]] = arith.mulf %[[N]], %[[U]]
// CHECK: sm1.scan %[[E]], %[[M]] init %[[H]]
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return
sm1.model @discretisation(%dt: !s {sm1.name = "dt"}, %u: !s {sm1.name = "u"}, %h0: !h {sm1.state = "h"})
    -> (!s {sm1.name = "y"}, !h {sm1.state = "h"}) {
  %n = arith.negf %dt : !s
  %e = math.exp %n : !s
  %m = arith.mulf %n, %u : !s
  %h, %last = sm1.scan %e, %m init %h0 : !s
  sm1.return %h, %last : !s, !h
}

// A rounding stays for the kernel that makes its value.
// CHECK-LABEL: sm1.model @rounded
// CHECK: sm1.kernel "truncf"
// CHECK: sm1.kernel "scan"
// CHECK: arith.extf
// CHECK: sm1.scan
// CHECK: sm1.return
sm1.model @rounded(%x: !s {sm1.name = "x"}, %h0: !h {sm1.state = "h"}) -> (!s {sm1.name = "y"}, !h {sm1.state = "h"}) {
  %r = arith.truncf %x : !s to tensor<?x?x8xbf16>
  %w = arith.extf %r : tensor<?x?x8xbf16> to !s
  // expected-remark @+1 {{what it rounds is to be stored so}}
  %h, %last = sm1.scan %w, %w init %h0 : !s
  sm1.return %h, %last : !s, !h
}

// A decay that is the same for every row needs no kernel of its own.
// CHECK-LABEL: sm1.model @constant_decay
// CHECK: sm1.kernel "scan" (%[[A:.*]] = %decay : tensor<8xf32>, %[[X:.*]] = %x : tensor<?x?x8xf32>)
// CHECK: sm1.broadcast %[[A]]
// CHECK: sm1.scan
// CHECK-NOT: sm1.kernel
sm1.model @constant_decay(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %p = sm1.param "decay" : tensor<8xf32>
  %d = sm1.broadcast %p : tensor<8xf32> to !s
  %h, %last = sm1.scan %d, %x : !s
  sm1.return %h : !s
}

// What only the second of two scans reads moves into that one, although it is computed from the first.
// CHECK-LABEL: sm1.model @chain
// CHECK: sm1.kernel "scan"
// CHECK-NEXT: sm1.scan
// CHECK: sm1.kernel "scan"
// CHECK-NEXT: %[[E:.*]] = math.exp
// CHECK-NEXT: sm1.scan %[[E]]
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return
sm1.model @chain(%x: !s {sm1.name = "x"}, %h0: !h {sm1.state = "h"}, %g0: !h {sm1.state = "g"})
    -> (!s {sm1.name = "y"}, !h {sm1.state = "h"}, !h {sm1.state = "g"}) {
  %h, %last = sm1.scan %x, %x init %h0 : !s
  %e = math.exp %h : !s
  %g, %last_g = sm1.scan %e, %h init %g0 : !s
  sm1.return %g, %last, %last_g : !s, !h, !h
}

// -----

// CHECK-LABEL: sm1.model @shared
// CHECK: sm1.kernel "exp"
// CHECK: sm1.kernel "scan"
sm1.model @shared(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}, tensor<?x?x8xf32> {sm1.name = "e"}) {
  %e = math.exp %x : tensor<?x?x8xf32>
  // expected-remark @+1 {{exp stays outside scan: its result is used elsewhere}}
  %h, %last = sm1.scan %e, %x : tensor<?x?x8xf32>
  sm1.return %h, %e : tensor<?x?x8xf32>, tensor<?x?x8xf32>
}

// -----

// Both scans need it; it is computed once, before them.
// CHECK-LABEL: sm1.model @two_scans
// CHECK: sm1.kernel "exp"
// CHECK: sm1.kernel "scan"
// CHECK: sm1.kernel "scan"
sm1.model @two_scans(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}, tensor<?x?x8xf32> {sm1.name = "z"}) {
  %e = math.exp %x : tensor<?x?x8xf32>
  // expected-remark @+1 {{exp stays outside scan: its result is used elsewhere}}
  %h, %last = sm1.scan %e, %x : tensor<?x?x8xf32>
  // expected-remark @+1 {{exp stays outside scan: its result is used elsewhere}}
  %g, %last_g = sm1.scan %x, %e : tensor<?x?x8xf32>
  sm1.return %h, %g : tensor<?x?x8xf32>, tensor<?x?x8xf32>
}

// -----

// Every channel of the scan multiplies the whole row, which is in memory or nowhere.
// CHECK-LABEL: sm1.model @multiplied
// CHECK: sm1.kernel "exp"
// CHECK: sm1.kernel "scan"
sm1.model @multiplied(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %w = sm1.param "w" : tensor<8x8xf32>
  %e = math.exp %x : tensor<?x?x8xf32>
  // expected-remark @+1 {{exp stays outside scan: a projection of the scan's kernel multiplies it}}
  %y = sm1.kernel "scan" (%a = %e : tensor<?x?x8xf32>, %b = %w : tensor<8x8xf32>) -> tensor<?x?x8xf32> {
    %p = sm1.linear %a, %b : tensor<?x?x8xf32>, tensor<8x8xf32>
    %h, %last = sm1.scan %a, %p : tensor<?x?x8xf32>
    sm1.yield %h : tensor<?x?x8xf32>
  }
  sm1.return %y : tensor<?x?x8xf32>
}
