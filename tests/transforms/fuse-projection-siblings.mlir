// RUN: sm1-opt %s -sm1-form-kernels -sm1-fuse-projection-siblings -remarks-filter-missed=fusion -verify-diagnostics -split-input-file | FileCheck %s

!s = tensor<?x?x8xf32>

// Projections of one value are one kernel, which reads it once; one of another value stays by itself without a word.
// CHECK-LABEL: sm1.model @siblings
// CHECK: %[[C:.*]] = sm1.kernel "c" (%{{.*}} = %z
// CHECK: %[[A:.*]], %[[B:.*]] = sm1.kernel "a" (%[[X:.*]] = %x : tensor<?x?x8xf32>, %{{.*}} = %a : tensor<8x8xf32>, %{{.*}} = %b : tensor<8x8xf32>)
// CHECK-NEXT: %[[P:.*]] = sm1.linear %[[X]]
// CHECK-NEXT: %[[Q:.*]] = sm1.linear %[[X]]
// CHECK-NEXT: sm1.yield %[[P]], %[[Q]]
// CHECK-NOT: sm1.linear
// CHECK: sm1.return %[[A]], %[[B]], %[[C]]
sm1.model @siblings(%x: !s {sm1.name = "x"}, %z: !s {sm1.name = "z"})
    -> (!s {sm1.name = "p"}, !s {sm1.name = "q"}, !s {sm1.name = "r"}) {
  %a = sm1.param "a" : tensor<8x8xf32>
  %b = sm1.param "b" : tensor<8x8xf32>
  %c = sm1.param "c" : tensor<8x8xf32>
  %p = sm1.linear %x, %a : !s, tensor<8x8xf32>
  %r = sm1.linear %z, %c : !s, tensor<8x8xf32>
  %q = sm1.linear %x, %b : !s, tensor<8x8xf32>
  sm1.return %p, %q, %r : !s, !s, !s
}

// One matrix twice: it is read once as an operand and multiplied twice, as it was written.
// CHECK-LABEL: sm1.model @one_matrix
// CHECK: sm1.kernel "a" (%[[X:.*]] = %x : tensor<?x?x8xf32>, %[[A:.*]] = %a : tensor<8x8xf32>) -> (
// CHECK-NEXT: sm1.linear %[[X]], %[[A]]
// CHECK-NEXT: sm1.linear %[[X]], %[[A]]
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return
sm1.model @one_matrix(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "p"}, !s {sm1.name = "q"}) {
  %a = sm1.param "a" : tensor<8x8xf32>
  %p = sm1.linear %x, %a : !s, tensor<8x8xf32>
  %q = sm1.linear %x, %a : !s, tensor<8x8xf32>
  sm1.return %p, %q : !s, !s
}

// -----

!s = tensor<?x?x8xf32>

// Three are one kernel, the fourth is another.
// CHECK-LABEL: sm1.model @four
// CHECK: sm1.kernel "a"
// CHECK-COUNT-3: sm1.linear
// CHECK: sm1.kernel "d"
// CHECK-COUNT-1: sm1.linear
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return
sm1.model @four(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "p"}, !s {sm1.name = "q"}, !s {sm1.name = "r"}, !s {sm1.name = "s"}) {
  %a = sm1.param "a" : tensor<8x8xf32>
  %b = sm1.param "b" : tensor<8x8xf32>
  %c = sm1.param "c" : tensor<8x8xf32>
  %d = sm1.param "d" : tensor<8x8xf32>
  %p = sm1.linear %x, %a : !s, tensor<8x8xf32>
  %q = sm1.linear %x, %b : !s, tensor<8x8xf32>
  %r = sm1.linear %x, %c : !s, tensor<8x8xf32>
  // expected-remark @+1 {{d stays beside a: the sums of more than three projections do not fit the registers}}
  %s = sm1.linear %x, %d : !s, tensor<8x8xf32>
  sm1.return %p, %q, %r, %s : !s, !s, !s, !s
}

// -----

// CHECK-LABEL: sm1.model @widths
// CHECK: sm1.kernel "a"
// CHECK: sm1.kernel "b"
sm1.model @widths(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "p"}, tensor<?x?x4xf32> {sm1.name = "q"}) {
  %a = sm1.param "a" : tensor<8x8xf32>
  %b = sm1.param "b" : tensor<4x8xf32>
  %p = sm1.linear %x, %a : tensor<?x?x8xf32>, tensor<8x8xf32>
  // expected-remark @+1 {{b stays beside a: it has another width}}
  %q = sm1.linear %x, %b : tensor<?x?x8xf32>, tensor<4x8xf32>
  sm1.return %p, %q : tensor<?x?x8xf32>, tensor<?x?x4xf32>
}

// -----

// The second matrix multiplies x when the result of the first has already been used on the way.
// CHECK-LABEL: sm1.model @needed_before
// CHECK: sm1.kernel "a"
// CHECK: sm1.kernel "scan"
// CHECK: sm1.kernel "b"
sm1.model @needed_before(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "p"}, tensor<?x?x8xf32> {sm1.name = "q"}) {
  %a = sm1.param "a" : tensor<8x8xf32>
  %b = sm1.param "b" : tensor<8x8xf32>
  %p = sm1.linear %x, %a : tensor<?x?x8xf32>, tensor<8x8xf32>
  %h, %last = sm1.scan %p, %p : tensor<?x?x8xf32>
  // expected-remark @+1 {{b stays beside a: a result is needed before the other kernel}}
  %q = sm1.linear %x, %b : tensor<?x?x8xf32>, tensor<8x8xf32>
  sm1.return %h, %q : tensor<?x?x8xf32>, tensor<?x?x8xf32>
}

// -----

// The same value inside and outside of layers is two values: nothing to say about them.
// CHECK-LABEL: sm1.model @layers
// CHECK: sm1.kernel "a"
// CHECK: sm1.layers
// CHECK: sm1.kernel "b"
sm1.model @layers(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "p"}, tensor<?x?x8xf32> {sm1.name = "q"}) {
  %a = sm1.param "a" : tensor<8x8xf32>
  %p = sm1.linear %x, %a : tensor<?x?x8xf32>, tensor<8x8xf32>
  %q = sm1.layers 2 carry(%c = %x : tensor<?x?x8xf32>) {
    %b = sm1.param "layers.{i}.b" : tensor<8x8xf32>
    %0 = sm1.linear %c, %b : tensor<?x?x8xf32>, tensor<8x8xf32>
    sm1.yield %0 : tensor<?x?x8xf32>
  }
  sm1.return %p, %q : tensor<?x?x8xf32>, tensor<?x?x8xf32>
}
