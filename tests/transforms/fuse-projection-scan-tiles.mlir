// With `tiles`, for chunks of a sequence on tensor cores.
// RUN: sm1-opt %s -sm1-form-kernels -sm1-fuse-scan-readout -sm1-fuse-projection-siblings "-sm1-fuse-projection-scan=tiles" -remarks-filter-missed=fusion -verify-diagnostics -split-input-file | FileCheck %s

!x = tensor<?x?x64xbf16>
!s = tensor<?x?x32xf32>
!w = tensor<32x64xbf16>

// It is called after the projections.
// CHECK-LABEL: sm1.model @rounded
// CHECK: sm1.kernel "a" (%{{.*}} : tensor<?x?x64xbf16>
// CHECK-COUNT-2: sm1.linear
// CHECK: sm1.scan
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return
sm1.model @rounded(%x0: tensor<?x?x64xf32> {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" : !w
  %b = sm1.param "b" : !w
  %x = arith.truncf %x0 : tensor<?x?x64xf32> to !x
  %p = sm1.linear %x, %a : !x, !w
  %q = sm1.linear %x, %b : !x, !w
  %h, %last = sm1.scan %p, %q : !s
  sm1.return %h : !s
}

// -----

!s = tensor<?x?x32xf32>
!w = tensor<32x32xf32>

// CHECK-LABEL: sm1.model @floats
// CHECK: sm1.kernel "a"
// CHECK: sm1.kernel "scan"
sm1.model @floats(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" : !w
  %b = sm1.param "b" : !w
  %p = sm1.linear %x, %a : !s, !w
  %q = sm1.linear %x, %b : !s, !w
  // expected-remark @+1 {{a stays outside scan: tiles of many rows multiply bf16 of one x}}
  %h, %last = sm1.scan %p, %q : !s
  sm1.return %h : !s
}

// -----

!x = tensor<?x?x64xbf16>
!s = tensor<?x?x16xf32>
!w = tensor<16x64xbf16>

// CHECK-LABEL: sm1.model @narrow
// CHECK: sm1.kernel "a"
// CHECK: sm1.kernel "scan"
sm1.model @narrow(%x0: tensor<?x?x64xf32> {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" : !w
  %b = sm1.param "b" : !w
  %x = arith.truncf %x0 : tensor<?x?x64xf32> to !x
  %p = sm1.linear %x, %a : !x, !w
  %q = sm1.linear %x, %b : !x, !w
  // expected-remark @+1 {{a stays outside scan: no tile divides the panels of its rows}}
  %h, %last = sm1.scan %p, %q : !s
  sm1.return %h : !s
}

// -----

!x = tensor<?x?x64xbf16>
!s = tensor<?x?x32xf32>
!w = tensor<32x64xbf16>

// CHECK-LABEL: sm1.model @read_later
// CHECK: sm1.kernel "a"
// CHECK: sm1.kernel "scan"
sm1.model @read_later(%x0: tensor<?x?x64xf32> {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" : !w
  %b = sm1.param "b" : !w
  %x = arith.truncf %x0 : tensor<?x?x64xf32> to !x
  %p = sm1.linear %x, %a : !x, !w
  %q = sm1.linear %x, %b : !x, !w
  // expected-remark @+1 {{a stays outside scan: fewer than two projections go into the scan alone}}
  %h, %last = sm1.scan %p, %q : !s
  %y = arith.mulf %h, %q : !s
  sm1.return %y : !s
}

// -----

!x = tensor<?x?x64xbf16>
!s = tensor<?x?x32xf32>
!w = tensor<32x64xbf16>

// CHECK-LABEL: sm1.model @closed
// CHECK: sm1.kernel "a"
// CHECK: sm1.kernel "scan"
sm1.model @closed(%x0: tensor<?x?x64xf32> {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" : !w
  %b = sm1.param "b" : !w
  %x = arith.truncf %x0 : tensor<?x?x64xf32> to !x
  %p = sm1.linear %x, %a : !x, !w
  %q = sm1.linear %x, %b : !x, !w
  // expected-remark @+1 {{a stays outside scan: a closed form is not cut in time}}
  %h, %last = sm1.scan %p, %q {form = #sm1<form closed_form>} : !s
  sm1.return %h : !s
}
