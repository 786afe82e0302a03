// RUN: sm1-opt %s -sm1-form-kernels -sm1-fuse-elementwise -sm1-fuse-projection-siblings -sm1-fuse-projection-epilogue -sm1-fuse-norm-projection -remarks-filter-missed=fusion -verify-diagnostics=only-expected -split-input-file | FileCheck %s

!s = tensor<?x?x8xf32>

// Both projections multiply the norm, which is then computed on the way into them.
// CHECK-LABEL: sm1.model @norm
// CHECK: sm1.kernel "a" (%[[X:.*]] = %x : tensor<?x?x8xf32>, %[[N:.*]] = %n : tensor<8xf32>, %{{.*}} = %a : tensor<8x8xf32>, %{{.*}} = %b : tensor<8x8xf32>)
// CHECK-NEXT: %[[R:.*]] = sm1.rms_norm %[[X]], %[[N]]
// CHECK-NEXT: sm1.linear %[[R]]
// CHECK-NEXT: sm1.linear %[[R]]
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return
sm1.model @norm(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "p"}, !s {sm1.name = "q"}) {
  %n = sm1.param "n" : tensor<8xf32>
  %a = sm1.param "a" : tensor<8x8xf32>
  %b = sm1.param "b" : tensor<8x8xf32>
  %r = sm1.rms_norm %x, %n eps 1.0e-6 : !s
  %p = sm1.linear %r, %a : !s, tensor<8x8xf32>
  %q = sm1.linear %r, %b : !s, tensor<8x8xf32>
  sm1.return %p, %q : !s, !s
}

// The rounding of the norm goes with it.
// CHECK-LABEL: sm1.model @rounding
// CHECK: sm1.kernel "a"
// CHECK-NEXT: %[[R:.*]] = sm1.rms_norm
// CHECK-NEXT: %[[T:.*]] = arith.truncf %[[R]]
// CHECK-NEXT: sm1.linear %[[T]]
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return
sm1.model @rounding(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "p"}) {
  %n = sm1.param "n" : tensor<8xf32>
  %a = sm1.param "a" : tensor<8x8xbf16>
  %r = sm1.rms_norm %x, %n eps 1.0e-6 : !s
  %t = arith.truncf %r : !s to tensor<?x?x8xbf16>
  %p = sm1.linear %t, %a : tensor<?x?x8xbf16>, tensor<8x8xbf16>
  sm1.return %p : !s
}

// A residual after the projection does not keep the norm before it out.
// CHECK-LABEL: sm1.model @block
// CHECK: sm1.kernel "a" (%[[X:.*]] = %x : tensor<?x?x8xf32>,
// CHECK-NEXT: %[[R:.*]] = sm1.rms_norm %[[X]]
// CHECK-NEXT: %[[P:.*]] = sm1.linear %[[R]]
// CHECK-NEXT: arith.addf %[[X]], %[[P]]
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return
sm1.model @block(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %n = sm1.param "n" : tensor<8xf32>
  %a = sm1.param "a" : tensor<8x8xf32>
  %r = sm1.rms_norm %x, %n eps 1.0e-6 : !s
  %p = sm1.linear %r, %a : !s, tensor<8x8xf32>
  %y = arith.addf %x, %p : !s
  sm1.return %y : !s
}

// -----

// Projections of two widths are two kernels, and the norm is computed once, before both.
// CHECK-LABEL: sm1.model @two_kernels
// CHECK: sm1.kernel "n"
// CHECK: sm1.kernel "a"
// CHECK: sm1.kernel "b"
sm1.model @two_kernels(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "p"}, tensor<?x?x4xf32> {sm1.name = "q"}) {
  %n = sm1.param "n" : tensor<8xf32>
  %a = sm1.param "a" : tensor<8x8xf32>
  %b = sm1.param "b" : tensor<4x8xf32>
  %r = sm1.rms_norm %x, %n eps 1.0e-6 : tensor<?x?x8xf32>
  // expected-remark @+1 {{n stays outside a: its result is used elsewhere}}
  %p = sm1.linear %r, %a : tensor<?x?x8xf32>, tensor<8x8xf32>
  // expected-remark @+1 {{n stays outside b: its result is used elsewhere}}
  %q = sm1.linear %r, %b : tensor<?x?x8xf32>, tensor<4x8xf32>
  sm1.return %p, %q : tensor<?x?x8xf32>, tensor<?x?x4xf32>
}

// -----

// Multiplied and added: a tile has no other channels of the norm than its own, so the norm is in memory.
// CHECK-LABEL: sm1.model @elementwise_too
// CHECK: sm1.kernel "n"
// CHECK: sm1.kernel "a"
// CHECK-NEXT: sm1.linear
// CHECK-NEXT: arith.addf
sm1.model @elementwise_too(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %n = sm1.param "n" : tensor<8xf32>
  %a = sm1.param "a" : tensor<8x8xf32>
  %r = sm1.rms_norm %x, %n eps 1.0e-6 : tensor<?x?x8xf32>
  // expected-remark @+1 {{n stays outside a: its result is not only multiplied}}
  %p = sm1.linear %r, %a : tensor<?x?x8xf32>, tensor<8x8xf32>
  %y = arith.addf %r, %p : tensor<?x?x8xf32>
  sm1.return %y : tensor<?x?x8xf32>
}

// -----

// A norm of a norm: the second one goes into the projection, the first stays.
// CHECK-LABEL: sm1.model @norm_of_norm
// CHECK: sm1.kernel "m"
// CHECK-NEXT: sm1.rms_norm
// CHECK-NEXT: sm1.yield
// CHECK: sm1.kernel "a"
// CHECK-NEXT: sm1.rms_norm
// CHECK-NEXT: sm1.linear
sm1.model @norm_of_norm(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %m = sm1.param "m" : tensor<8xf32>
  %n = sm1.param "n" : tensor<8xf32>
  %a = sm1.param "a" : tensor<8x8xf32>
  %r = sm1.rms_norm %x, %m eps 1.0e-6 : tensor<?x?x8xf32>
  %s = sm1.rms_norm %r, %n eps 1.0e-6 : tensor<?x?x8xf32>
  // expected-remark @+1 {{m stays outside a: its result is not only multiplied}}
  %y = sm1.linear %s, %a : tensor<?x?x8xf32>, tensor<8x8xf32>
  sm1.return %y : tensor<?x?x8xf32>
}

// -----

// CHECK-LABEL: sm1.model @scan
// CHECK: sm1.kernel "n"
// CHECK: sm1.kernel "scan"
sm1.model @scan(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %n = sm1.param "n" : tensor<8xf32>
  %a = sm1.param "a" : tensor<8x8xf32>
  %r = sm1.rms_norm %x, %n eps 1.0e-6 : tensor<?x?x8xf32>
  // expected-remark @+1 {{n stays outside scan: a scan walks all rows of its channels, the norm of each would be repeated}}
  %y = sm1.kernel "scan" (%x0 = %r : tensor<?x?x8xf32>, %a0 = %a : tensor<8x8xf32>) -> tensor<?x?x8xf32> {
    %p = sm1.linear %x0, %a0 : tensor<?x?x8xf32>, tensor<8x8xf32>
    %h, %last = sm1.scan %p, %p : tensor<?x?x8xf32>
    sm1.yield %h : tensor<?x?x8xf32>
  }
  sm1.return %y : tensor<?x?x8xf32>
}
