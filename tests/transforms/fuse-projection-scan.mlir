// RUN: sm1-opt %s -sm1-form-kernels -sm1-fuse-projection-siblings -sm1-fuse-projection-scan -remarks-filter-missed=fusion -verify-diagnostics -split-input-file | FileCheck %s

!s = tensor<?x?x8xf32>
!h = tensor<?x8xf32>

// Decay and input are sums of one tile: the products are not written.
// CHECK-LABEL: sm1.model @projections
// CHECK: sm1.kernel "scan" (%[[X:.*]] = %x : tensor<?x?x8xf32>, %{{.*}} = %a : tensor<8x8xf32>, %{{.*}} = %b : tensor<8x8xf32>, %{{.*}} = %h_in : tensor<?x8xf32>)
// CHECK-NEXT: %[[P:.*]] = sm1.linear %[[X]]
// CHECK-NEXT: %[[Q:.*]] = sm1.linear %[[X]]
// CHECK-NEXT: sm1.scan %[[P]], %[[Q]]
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return
sm1.model @projections(%x: !s {sm1.name = "x"}, %h0: !h {sm1.state = "h"}) -> (!s {sm1.name = "y"}, !h {sm1.state = "h"}) {
  %a = sm1.param "a" : tensor<8x8xf32>
  %b = sm1.param "b" : tensor<8x8xf32>
  %p = sm1.linear %x, %a : !s, tensor<8x8xf32>
  %q = sm1.linear %x, %b : !s, tensor<8x8xf32>
  %h, %last = sm1.scan %p, %q init %h0 : !s
  sm1.return %h, %last : !s, !h
}

// Projections of different values may be in one scan.
// CHECK-LABEL: sm1.model @two_values
// CHECK: sm1.kernel "scan"
// CHECK-COUNT-2: sm1.linear
// CHECK: sm1.scan
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return
sm1.model @two_values(%x: !s {sm1.name = "x"}, %z: !s {sm1.name = "z"}) -> (!s {sm1.name = "y"}) {
  %a = sm1.param "a" : tensor<8x8xf32>
  %b = sm1.param "b" : tensor<8x8xf32>
  %p = sm1.linear %x, %a : !s, tensor<8x8xf32>
  %q = sm1.linear %z, %b : !s, tensor<8x8xf32>
  %h, %last = sm1.scan %p, %q : !s
  sm1.return %h : !s
}

// -----

// CHECK-LABEL: sm1.model @shared
// CHECK: sm1.kernel "a"
// CHECK: sm1.kernel "scan"
sm1.model @shared(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}, tensor<?x?x8xf32> {sm1.name = "p"}) {
  %a = sm1.param "a" : tensor<8x8xf32>
  %p = sm1.linear %x, %a : tensor<?x?x8xf32>, tensor<8x8xf32>
  // expected-remark @+1 {{a stays outside scan: its result is used elsewhere}}
  %h, %last = sm1.scan %p, %x : tensor<?x?x8xf32>
  sm1.return %h, %p : tensor<?x?x8xf32>, tensor<?x?x8xf32>
}

// -----

// Three are in the scan already.
// CHECK-LABEL: sm1.model @fourth
// CHECK: sm1.kernel "d"
// CHECK: sm1.kernel "scan"
sm1.model @fourth(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %a = sm1.param "a" : tensor<8x8xf32>
  %b = sm1.param "b" : tensor<8x8xf32>
  %c = sm1.param "c" : tensor<8x8xf32>
  %d = sm1.param "d" : tensor<8x8xf32>
  %p = sm1.linear %x, %d : tensor<?x?x8xf32>, tensor<8x8xf32>
  // expected-remark @+1 {{d stays outside scan: the sums of more than three projections do not fit the registers}}
  %y = sm1.kernel "scan" (%x0 = %x : tensor<?x?x8xf32>, %p0 = %p : tensor<?x?x8xf32>, %a0 = %a : tensor<8x8xf32>, %b0 = %b : tensor<8x8xf32>, %c0 = %c : tensor<8x8xf32>)
      -> tensor<?x?x8xf32> {
    %0 = sm1.linear %x0, %a0 : tensor<?x?x8xf32>, tensor<8x8xf32>
    %1 = sm1.linear %x0, %b0 : tensor<?x?x8xf32>, tensor<8x8xf32>
    %2 = sm1.linear %x0, %c0 : tensor<?x?x8xf32>, tensor<8x8xf32>
    %3 = arith.addf %0, %p0 : tensor<?x?x8xf32>
    %4 = arith.addf %1, %2 : tensor<?x?x8xf32>
    %h, %last = sm1.scan %3, %4 : tensor<?x?x8xf32>
    sm1.yield %h : tensor<?x?x8xf32>
  }
  sm1.return %y : tensor<?x?x8xf32>
}

// -----

// CHECK-LABEL: sm1.model @prologue
// CHECK: sm1.kernel "a"
// CHECK: sm1.kernel "scan"
sm1.model @prologue(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %a = sm1.param "a" : tensor<8x8xf32>
  %n = sm1.param "n" : tensor<8xf32>
  %p = sm1.kernel "a" (%x0 = %x : tensor<?x?x8xf32>, %n0 = %n : tensor<8xf32>, %a0 = %a : tensor<8x8xf32>) -> tensor<?x?x8xf32> {
    %0 = sm1.rms_norm %x0, %n0 eps 1.0e-6 : tensor<?x?x8xf32>
    %1 = sm1.linear %0, %a0 : tensor<?x?x8xf32>, tensor<8x8xf32>
    sm1.yield %1 : tensor<?x?x8xf32>
  }
  // expected-remark @+1 {{a stays outside scan: a scan walks all rows of its channels, what is computed on the way into the projection would be repeated}}
  %h, %last = sm1.scan %p, %x : tensor<?x?x8xf32>
  sm1.return %h : tensor<?x?x8xf32>
}

// -----

// A projection of a projection: the second needs whole rows of the first, which are then in memory.
// CHECK-LABEL: sm1.model @chain
// CHECK: sm1.kernel "a"
// CHECK: sm1.kernel "scan"
// CHECK-NEXT: sm1.linear
// CHECK-NEXT: sm1.scan
sm1.model @chain(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %a = sm1.param "a" : tensor<8x8xf32>
  %b = sm1.param "b" : tensor<8x8xf32>
  %p = sm1.linear %x, %a : tensor<?x?x8xf32>, tensor<8x8xf32>
  %q = sm1.linear %p, %b : tensor<?x?x8xf32>, tensor<8x8xf32>
  // expected-remark @+1 {{a stays outside scan: a projection of the scan's kernel multiplies it}}
  %h, %last = sm1.scan %q, %x : tensor<?x?x8xf32>
  sm1.return %h : tensor<?x?x8xf32>
}
