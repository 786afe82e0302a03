// RUN: sm1-opt %s -sm1-form-kernels -sm1-fuse-elementwise -sm1-fuse-projection-siblings -sm1-fuse-projection-epilogue -remarks-filter-missed=fusion -verify-diagnostics -split-input-file | FileCheck %s

!s = tensor<?x?x8xf32>

// A residual joins the projection that it is added to, under the projection's name.
// CHECK-LABEL: sm1.model @residual
// CHECK: %[[Y:.*]] = sm1.kernel "out_proj" (%[[G:.*]] = %g : tensor<?x?x8xf32>, %[[W:.*]] = %out_proj : tensor<8x8xf32>, %[[X:.*]] = %x : tensor<?x?x8xf32>)
// CHECK-NEXT: %[[O:.*]] = sm1.linear %[[G]], %[[W]]
// CHECK-NEXT: %[[R:.*]] = arith.addf %[[X]], %[[O]]
// CHECK-NEXT: sm1.yield %[[R]]
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return %[[Y]]
sm1.model @residual(%x: !s {sm1.name = "x"}, %g: !s {sm1.name = "g"}) -> (!s {sm1.name = "y"}) {
  %w = sm1.param "out_proj.weight" : tensor<8x8xf32>
  %o = sm1.linear %g, %w : !s, tensor<8x8xf32>
  %y = arith.addf %x, %o : !s
  sm1.return %y : !s
}

// The residual is what the projection multiplies: one operand, read in two ways.
// CHECK-LABEL: sm1.model @residual_of_itself
// CHECK: sm1.kernel "w" (%[[X:.*]] = %x : tensor<?x?x8xf32>, %[[W:.*]] = %w : tensor<8x8xf32>) ->
// CHECK-NEXT: %[[O:.*]] = sm1.linear %[[X]], %[[W]]
// CHECK-NEXT: arith.addf %[[X]], %[[O]]
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return
sm1.model @residual_of_itself(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %w = sm1.param "w" : tensor<8x8xf32>
  %o = sm1.linear %x, %w : !s, tensor<8x8xf32>
  %y = arith.addf %x, %o : !s
  sm1.return %y : !s
}

// Two siblings and the gate between them: neither product is written.
// CHECK-LABEL: sm1.model @gate
// CHECK: sm1.kernel "w1" ({{.*}}) -> tensor<?x?x8xf32> {
// CHECK-NEXT: %[[A:.*]] = sm1.linear
// CHECK-NEXT: %[[B:.*]] = sm1.linear
// CHECK-NEXT: %[[T:.*]] = math.tanh %[[A]]
// CHECK-NEXT: %[[M:.*]] = arith.mulf %[[T]], %[[B]]
// CHECK-NEXT: sm1.yield %[[M]]
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return
sm1.model @gate(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %w1 = sm1.param "w1" : tensor<8x8xf32>
  %w3 = sm1.param "w3" : tensor<8x8xf32>
  %a = sm1.linear %x, %w1 : !s, tensor<8x8xf32>
  %b = sm1.linear %x, %w3 : !s, tensor<8x8xf32>
  %t = math.tanh %a : !s
  %m = arith.mulf %t, %b : !s
  sm1.return %m : !s
}

// Projections of different values do not share a kernel: one takes the sum in, the other is read by it.
// CHECK-LABEL: sm1.model @two_projections
// CHECK: %[[P:.*]] = sm1.kernel "{{[ab]}}"
// CHECK-NEXT: sm1.linear
// CHECK-NEXT: sm1.yield
// CHECK: sm1.kernel "{{[ab]}}" ({{.*}}%[[P]]
// CHECK-NEXT: sm1.linear
// CHECK-NEXT: arith.addf
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return
sm1.model @two_projections(%x: !s {sm1.name = "x"}, %z: !s {sm1.name = "z"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" : tensor<8x8xf32>
  %b = sm1.param "b" : tensor<8x8xf32>
  %p = sm1.linear %x, %a : !s, tensor<8x8xf32>
  %q = sm1.linear %z, %b : !s, tensor<8x8xf32>
  %y = arith.addf %p, %q : !s
  sm1.return %y : !s
}

// -----

// CHECK-LABEL: sm1.model @shared
// CHECK: sm1.kernel "w"
// CHECK: sm1.kernel "tanh"
sm1.model @shared(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "p"}, tensor<?x?x8xf32> {sm1.name = "y"}) {
  %w = sm1.param "w" : tensor<8x8xf32>
  %p = sm1.linear %x, %w : tensor<?x?x8xf32>, tensor<8x8xf32>
  // expected-remark @+1 {{w stays outside tanh: its result is used elsewhere}}
  %y = math.tanh %p : tensor<?x?x8xf32>
  sm1.return %p, %y : tensor<?x?x8xf32>, tensor<?x?x8xf32>
}

// -----

// A projection kernel of two widths: none is built from a description, but one can be written.
// CHECK-LABEL: sm1.model @width
// CHECK: sm1.kernel "a"
// CHECK: sm1.kernel "tanh"
sm1.model @width(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x4xf32> {sm1.name = "y"}) {
  %a = sm1.param "a" : tensor<8x8xf32>
  %b = sm1.param "b" : tensor<4x8xf32>
  %p, %q = sm1.kernel "a" (%x0 = %x : tensor<?x?x8xf32>, %a0 = %a : tensor<8x8xf32>, %b0 = %b : tensor<4x8xf32>) -> (tensor<?x?x8xf32>, tensor<?x?x4xf32>) {
    %0 = sm1.linear %x0, %a0 : tensor<?x?x8xf32>, tensor<8x8xf32>
    %1 = sm1.linear %x0, %b0 : tensor<?x?x8xf32>, tensor<4x8xf32>
    sm1.yield %0, %1 : tensor<?x?x8xf32>, tensor<?x?x4xf32>
  }
  // expected-remark @+1 {{a stays outside tanh: it has another width}}
  %y = math.tanh %q : tensor<?x?x4xf32>
  sm1.return %y : tensor<?x?x4xf32>
}
