// What a scan of several states takes in: as other scans do, but for B and C, which all of its channels read.
// RUN: sm1-opt %s -sm1-form-kernels -sm1-fuse-elementwise -sm1-fuse-scan-producers -sm1-fuse-scan-readout -sm1-fuse-projection-siblings -sm1-fuse-projection-scan -remarks-filter-missed=fusion -verify-diagnostics | FileCheck %s

!s = tensor<?x?x8xf32>
!n = tensor<?x?x2xf32>

// The input before the scan and the readout behind it are one kernel with it; A is computed there. The step size's projection stays outside.
// CHECK-LABEL: sm1.model @whole
// CHECK: sm1.kernel "dt"
// CHECK: %[[B:.*]] = sm1.kernel "b"
// CHECK: sm1.kernel "selective_scan" ({{.*}} = %[[B]] : tensor<?x?x2xf32>
// CHECK-NOT: sm1.linear
// CHECK: arith.mulf
// CHECK: math.exp
// CHECK: sm1.selective_scan
// CHECK: arith.addf
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return
sm1.model @whole(%x: !s {sm1.name = "x"}, %h0: tensor<?x8x2xf32> {sm1.state = "h"}) -> (!s {sm1.name = "y"}, tensor<?x8x2xf32> {sm1.state = "h"}) {
  %w = sm1.param "dt" : tensor<8x8xf32>
  %wb = sm1.param "b" : tensor<2x8xf32>
  %a_log = sm1.param "A_log" : tensor<8x2xf32>
  %a = math.exp %a_log : tensor<8x2xf32>
  %dt = sm1.linear %x, %w : !s, tensor<8x8xf32>
  // expected-remark @+1 {{b stays beside dt: it has another width}}
  %b = sm1.linear %x, %wb : !s, tensor<2x8xf32>
  %u = arith.mulf %dt, %x : !s
  // expected-remark @+2 {{dt stays outside selective_scan: a scan of several states per channel wants other tiles}}
  // expected-remark @+1 {{b stays outside selective_scan: a scan of several states per channel wants other tiles}}
  %h, %last = sm1.selective_scan %dt, %u, %a, %b, %b init %h0 : !s, !n
  %y = arith.addf %h, %x : !s
  sm1.return %y, %last : !s, tensor<?x8x2xf32>
}

// As many states as channels: the widths alone would allow it.
// CHECK-LABEL: sm1.model @square
// CHECK: sm1.kernel "negf"
// CHECK: sm1.kernel "selective_scan"
sm1.model @square(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "A" : tensor<8x8xf32>
  %b = arith.negf %x : !s
  // expected-remark @+1 {{negf stays outside selective_scan: all channels of the scan read it}}
  %h, %last = sm1.selective_scan %x, %x, %a, %b, %b : !s, !s
  sm1.return %h : !s
}
