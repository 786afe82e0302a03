// RUN: sm1-opt %s -sm1-form-kernels -sm1-fuse-elementwise -remarks-filter-missed=fusion -verify-diagnostics -split-input-file | FileCheck %s

!s = tensor<?x?x8xf32>

// A chain is one kernel, named after its end. What comes from memory twice is read once.
// CHECK-LABEL: sm1.model @chain
// CHECK: %[[Y:.*]] = sm1.kernel "addf" (%[[A:.*]] = %x : tensor<?x?x8xf32>, %[[B:.*]] = %z : tensor<?x?x8xf32>)
// CHECK-NEXT: %[[E:.*]] = math.exp %[[A]]
// CHECK-NEXT: %[[M:.*]] = arith.mulf %[[E]], %[[B]]
// CHECK-NEXT: %[[R:.*]] = arith.addf %[[M]], %[[A]]
// CHECK-NEXT: sm1.yield %[[R]]
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return %[[Y]]
sm1.model @chain(%x: !s {sm1.name = "x"}, %z: !s {sm1.name = "z"}) -> (!s {sm1.name = "y"}) {
  %e = math.exp %x : !s
  %m = arith.mulf %e, %z : !s
  %y = arith.addf %m, %x : !s
  sm1.return %y : !s
}

// A rounding stays for the kernel that makes its value, so that few bytes are stored.
// CHECK-LABEL: sm1.model @rounded
// CHECK: sm1.kernel "truncf"
// CHECK: sm1.kernel "exp"
// CHECK: sm1.return
sm1.model @rounded(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %r = arith.truncf %x : !s to tensor<?x?x8xbf16>
  %w = arith.extf %r : tensor<?x?x8xbf16> to !s
  // expected-remark @+1 {{what it rounds is to be stored so}}
  %y = math.exp %w : !s
  sm1.return %y : !s
}

// Both uses of one result are in one kernel: that is still the only user.
// CHECK-LABEL: sm1.model @square
// CHECK: sm1.kernel "mulf"
// CHECK: %[[E:.*]] = math.exp
// CHECK-NEXT: arith.mulf %[[E]], %[[E]]
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return
sm1.model @square(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %e = math.exp %x : !s
  %y = arith.mulf %e, %e : !s
  sm1.return %y : !s
}

// A diamond whose arms meet again is one kernel in the end.
// CHECK-LABEL: sm1.model @diamond
// CHECK: sm1.kernel "addf"
// CHECK-NEXT: %[[E:.*]] = math.exp
// CHECK-DAG: %[[N:.*]] = arith.negf %[[E]]
// CHECK-DAG: %[[A:.*]] = math.absf %[[E]]
// CHECK: arith.addf %[[N]], %[[A]]
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return
sm1.model @diamond(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %e = math.exp %x : !s
  %n = arith.negf %e : !s
  %a = math.absf %e : !s
  %y = arith.addf %n, %a : !s
  sm1.return %y : !s
}

// One channel per row is a stream like any other.
// CHECK-LABEL: sm1.model @width_1
// CHECK: sm1.kernel "negf" (%{{.*}} = %x : tensor<?x?x1xf32>) -> tensor<?x?x1xf32>
// CHECK-NEXT: math.exp
// CHECK-NEXT: arith.negf
sm1.model @width_1(%x: tensor<?x?x1xf32> {sm1.name = "x"}) -> (tensor<?x?x1xf32> {sm1.name = "y"}) {
  %e = math.exp %x : tensor<?x?x1xf32>
  %y = arith.negf %e : tensor<?x?x1xf32>
  sm1.return %y : tensor<?x?x1xf32>
}

// -----

!s = tensor<?x?x8xf32>

// CHECK-LABEL: sm1.model @shared
// CHECK: sm1.kernel "exp"
// CHECK: sm1.kernel "negf"
sm1.model @shared(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "e"}, !s {sm1.name = "y"}) {
  %e = math.exp %x : !s
  // expected-remark @+1 {{exp stays outside negf: its result is used elsewhere}}
  %y = arith.negf %e : !s
  sm1.return %e, %y : !s, !s
}

// -----

// A value of the model is not computed again in every layer.
// CHECK-LABEL: sm1.model @layers
// CHECK: sm1.kernel "exp"
// CHECK: sm1.layers
// CHECK: sm1.kernel "negf"
sm1.model @layers(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %e = math.exp %x : tensor<?x?x8xf32>
  %y = sm1.layers 2 carry(%c = %e : tensor<?x?x8xf32>) {
    %n = arith.negf %c : tensor<?x?x8xf32>
    sm1.yield %n : tensor<?x?x8xf32>
  }
  sm1.return %y : tensor<?x?x8xf32>
}

// -----

// Rows of the run and selected rows are different rows.
// CHECK-LABEL: sm1.model @rows
// CHECK: sm1.kernel "exp" ({{.*}}) -> tensor
// CHECK: sm1.kernel "negf" ({{.*}}) rows selected -> tensor
sm1.model @rows(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y", sm1.rows = "selected"}) {
  %e = sm1.kernel "exp" (%a = %x : tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %0 = math.exp %a : tensor<?x?x8xf32>
    sm1.yield %0 : tensor<?x?x8xf32>
  }
  // expected-remark @+1 {{exp stays outside negf: one runs over all rows and the other over selected rows}}
  %y = sm1.kernel "negf" (%a = %e : tensor<?x?x8xf32>) rows selected -> tensor<?x?x8xf32> {
    %0 = arith.negf %a : tensor<?x?x8xf32>
    sm1.yield %0 : tensor<?x?x8xf32>
  }
  sm1.return %y : tensor<?x?x8xf32>
}

// -----

// A schedule says how a kernel runs, so that kernel stays as it is.
// CHECK-LABEL: sm1.model @scheduled
// CHECK: sm1.kernel "exp" ({{.*}}) schedule<
// CHECK: sm1.kernel "negf"
sm1.model @scheduled(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %e = sm1.kernel "exp" (%a = %x : tensor<?x?x8xf32>)
      schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 1> -> tensor<?x?x8xf32> {
    %0 = math.exp %a : tensor<?x?x8xf32>
    sm1.yield %0 : tensor<?x?x8xf32>
  }
  // expected-remark @+1 {{exp stays outside negf: a kernel is already scheduled}}
  %y = sm1.kernel "negf" (%a = %e : tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %0 = arith.negf %a : tensor<?x?x8xf32>
    sm1.yield %0 : tensor<?x?x8xf32>
  }
  sm1.return %y : tensor<?x?x8xf32>
}

// -----

// A stored row is widened in the kernel that looks it up.
// CHECK-LABEL: sm1.model @lookup
// CHECK: sm1.kernel "extf"
// CHECK-NEXT: sm1.embedding
// CHECK-NEXT: arith.extf
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return
sm1.model @lookup(%tokens: tensor<?x?xi32> {sm1.name = "tokens"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %table = sm1.param "table" : tensor<16x8xbf16>
  %r = sm1.kernel "embedding" (%t = %tokens : tensor<?x?xi32>, %w = %table : tensor<16x8xbf16>) -> tensor<?x?x8xbf16> {
    %0 = sm1.embedding %t, %w : tensor<?x?xi32>, tensor<16x8xbf16>
    sm1.yield %0 : tensor<?x?x8xbf16>
  }
  %y = sm1.kernel "extf" (%a = %r : tensor<?x?x8xbf16>) -> tensor<?x?x8xf32> {
    %0 = arith.extf %a : tensor<?x?x8xbf16> to tensor<?x?x8xf32>
    sm1.yield %0 : tensor<?x?x8xf32>
  }
  sm1.return %y : tensor<?x?x8xf32>
}
