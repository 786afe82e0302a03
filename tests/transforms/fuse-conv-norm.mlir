// RUN: sm1-opt %s -sm1-form-kernels -sm1-fuse-elementwise -sm1-fuse-conv-norm -remarks-filter-missed=fusion -verify-diagnostics -split-input-file | FileCheck %s

// Convolution, activation and norm are one kernel; the taps and the norm are what it writes.
// CHECK-LABEL: sm1.model @conv_norm
// CHECK: %[[T:.*]], %[[U:.*]] = sm1.kernel "conv1d"
// CHECK-NEXT: %[[C:.*]], %[[TAPS:.*]] = sm1.conv1d
// CHECK-NEXT: %[[A:.*]] = math.tanh %[[C]]
// CHECK-NEXT: %[[N:.*]] = sm1.rms_norm %[[A]]
// CHECK-NEXT: sm1.yield %[[TAPS]], %[[N]]
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return %[[U]], %[[T]]
sm1.model @conv_norm(%x: tensor<?x?x8xf32> {sm1.name = "x"}, %t: tensor<?x8x3xf32> {sm1.state = "c"})
    -> (tensor<?x?x8xf32> {sm1.name = "y"}, tensor<?x8x3xf32> {sm1.state = "c"}) {
  %w = sm1.param "w" : tensor<8x1x4xf32>
  %b = sm1.param "b" : tensor<8xf32>
  %c, %taps = sm1.conv1d %x, %w, %b taps %t : tensor<?x?x8xf32>, tensor<8x1x4xf32>
  %a = math.tanh %c : tensor<?x?x8xf32>
  %u = sm1.rms_norm %a, %b eps 1.0e-6 : tensor<?x?x8xf32>
  sm1.return %u, %taps : tensor<?x?x8xf32>, tensor<?x8x3xf32>
}

// -----

// An activation may leave the convolution's result in use; both are written.
// CHECK-LABEL: sm1.model @shared_by_activation
// CHECK: sm1.kernel "conv1d"
// CHECK-NEXT: %[[C:.*]], %[[TAPS:.*]] = sm1.conv1d
// CHECK-NEXT: %[[A:.*]] = math.tanh %[[C]]
// CHECK-NEXT: sm1.yield %[[C]], %[[TAPS]], %[[A]]
// CHECK-NOT: sm1.kernel
sm1.model @shared_by_activation(%x: tensor<?x?x8xf32> {sm1.name = "x"}, %t: tensor<?x8x3xf32> {sm1.state = "c"})
    -> (tensor<?x?x8xf32> {sm1.name = "y"}, tensor<?x?x8xf32> {sm1.name = "z"}, tensor<?x8x3xf32> {sm1.state = "c"}) {
  %w = sm1.param "w" : tensor<8x1x4xf32>
  %b = sm1.param "b" : tensor<8xf32>
  %c, %taps = sm1.conv1d %x, %w, %b taps %t : tensor<?x?x8xf32>, tensor<8x1x4xf32>
  %a = math.tanh %c : tensor<?x?x8xf32>
  sm1.return %a, %c, %taps : tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x8x3xf32>
}

// -----

// A norm walks the row twice: what is used elsewhere as well would be in both walks.
// CHECK-LABEL: sm1.model @shared_by_norm
// CHECK: sm1.kernel "conv1d"
// CHECK: sm1.kernel "b"
sm1.model @shared_by_norm(%x: tensor<?x?x8xf32> {sm1.name = "x"}, %t: tensor<?x8x3xf32> {sm1.state = "c"})
    -> (tensor<?x?x8xf32> {sm1.name = "y"}, tensor<?x?x8xf32> {sm1.name = "z"}, tensor<?x8x3xf32> {sm1.state = "c"}) {
  %w = sm1.param "w" : tensor<8x1x4xf32>
  %b = sm1.param "b" : tensor<8xf32>
  %c, %taps = sm1.conv1d %x, %w, %b taps %t : tensor<?x?x8xf32>, tensor<8x1x4xf32>
  // expected-remark @+1 {{conv1d stays outside b: the values before the norm are used elsewhere}}
  %u = sm1.rms_norm %c, %b eps 1.0e-6 : tensor<?x?x8xf32>
  sm1.return %u, %c, %taps : tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x8x3xf32>
}

// -----

// CHECK-LABEL: sm1.model @after_norm
// CHECK: sm1.kernel "conv1d"
// CHECK: sm1.rms_norm
// CHECK: sm1.kernel "tanh"
sm1.model @after_norm(%x: tensor<?x?x8xf32> {sm1.name = "x"}, %t: tensor<?x8x3xf32> {sm1.state = "c"})
    -> (tensor<?x?x8xf32> {sm1.name = "y"}, tensor<?x8x3xf32> {sm1.state = "c"}) {
  %w = sm1.param "w" : tensor<8x1x4xf32>
  %b = sm1.param "b" : tensor<8xf32>
  %c, %taps = sm1.conv1d %x, %w, %b taps %t : tensor<?x?x8xf32>, tensor<8x1x4xf32>
  %u = sm1.rms_norm %c, %b eps 1.0e-6 : tensor<?x?x8xf32>
  // expected-remark @+1 {{conv1d stays outside tanh: the kernel has a norm already}}
  %a = math.tanh %u : tensor<?x?x8xf32>
  sm1.return %a, %taps : tensor<?x?x8xf32>, tensor<?x8x3xf32>
}

// -----

// CHECK-LABEL: sm1.model @with_projection
// CHECK: sm1.kernel "conv1d"
// CHECK: sm1.kernel "b"
sm1.model @with_projection(%x: tensor<?x?x8xf32> {sm1.name = "x"}, %t: tensor<?x8x3xf32> {sm1.state = "c"})
    -> (tensor<?x?x8xf32> {sm1.name = "y"}, tensor<?x8x3xf32> {sm1.state = "c"}) {
  %w = sm1.param "w" : tensor<8x1x4xf32>
  %b = sm1.param "b" : tensor<8xf32>
  %m = sm1.param "m" : tensor<8x8xf32>
  %c:2 = sm1.kernel "conv1d" (%a = %x : tensor<?x?x8xf32>, %w0 = %w : tensor<8x1x4xf32>, %b0 = %b : tensor<8xf32>, %t0 = %t : tensor<?x8x3xf32>, %m0 = %m : tensor<8x8xf32>)
      -> (tensor<?x?x8xf32>, tensor<?x8x3xf32>) {
    %0, %taps = sm1.conv1d %a, %w0, %b0 taps %t0 : tensor<?x?x8xf32>, tensor<8x1x4xf32>
    %1 = sm1.linear %a, %m0 : tensor<?x?x8xf32>, tensor<8x8xf32>
    %2 = arith.addf %0, %1 : tensor<?x?x8xf32>
    sm1.yield %2, %taps : tensor<?x?x8xf32>, tensor<?x8x3xf32>
  }
  // expected-remark @+1 {{conv1d stays outside b: a norm needs whole rows, projections and scans do not keep them}}
  %u = sm1.rms_norm %c#0, %b eps 1.0e-6 : tensor<?x?x8xf32>
  sm1.return %u, %c#1 : tensor<?x?x8xf32>, tensor<?x8x3xf32>
}
