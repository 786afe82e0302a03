// RUN: sm1-opt %s -sm1-form-kernels -split-input-file -verify-diagnostics | FileCheck %s

// Each operation is a kernel, named after its parameter or itself; nothing is left outside.
// CHECK-LABEL: sm1.model @names
// CHECK: %[[R:.*]] = sm1.kernel "norm1" (%[[A:.*]] = %x : tensor<?x?x8xf32>, %[[B:.*]] = %norm1 : tensor<8xf32>) -> tensor<?x?x8xf32> {
// CHECK-NEXT: %[[N:.*]] = sm1.rms_norm %[[A]], %[[B]]
// CHECK-NEXT: sm1.yield %[[N]]
// CHECK: %[[P:.*]] = sm1.kernel "ssm_in_proj" (%{{.*}} = %[[R]] : tensor<?x?x8xf32>, %{{.*}} = %in_proj : tensor<4x8xf32>)
// CHECK: %[[E:.*]] = sm1.kernel "exp" (%{{.*}} = %[[P]] : tensor<?x?x4xf32>)
// CHECK: sm1.return %[[E]]
sm1.model @names(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x4xf32> {sm1.name = "y"}) {
  %n = sm1.param "norm1.weight" : tensor<8xf32>
  %w = sm1.param "ssm.in_proj.weight" : tensor<4x8xf32>
  %r = sm1.rms_norm %x, %n eps 1.0e-6 : tensor<?x?x8xf32>
  %p = sm1.linear %r, %w : tensor<?x?x8xf32>, tensor<4x8xf32>
  %e = math.exp %p : tensor<?x?x4xf32>
  sm1.return %e : tensor<?x?x4xf32>
}

// -----

// What widens a rounded stream is repeated, too: each kernel reads what is narrow.
// CHECK-LABEL: sm1.model @widened
// CHECK: %[[R:.*]] = sm1.kernel "truncf"
// CHECK: sm1.kernel "exp" (%[[A:.*]] = %[[R]] : tensor<?x?x8xbf16>)
// CHECK-NEXT: %[[W:.*]] = arith.extf %[[A]]
// CHECK-NEXT: math.exp %[[W]]
// CHECK: sm1.kernel "negf" (%[[B:.*]] = %[[R]] : tensor<?x?x8xbf16>)
// CHECK-NEXT: %[[V:.*]] = arith.extf %[[B]]
// CHECK-NEXT: arith.negf %[[V]]
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return
sm1.model @widened(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}, tensor<?x?x8xf32> {sm1.name = "z"}) {
  %r = arith.truncf %x : tensor<?x?x8xf32> to tensor<?x?x8xbf16>
  %w = arith.extf %r : tensor<?x?x8xbf16> to tensor<?x?x8xf32>
  %y = math.exp %w : tensor<?x?x8xf32>
  %z = arith.negf %w : tensor<?x?x8xf32>
  sm1.return %y, %z : tensor<?x?x8xf32>, tensor<?x?x8xf32>
}

// -----

// Constants, broadcasts and arithmetic on parameters are repeated in every kernel that uses them, and gone outside.
// CHECK-LABEL: sm1.model @row_invariant
// CHECK-NOT: math.exp
// CHECK-NOT: sm1.broadcast
// CHECK: %a = sm1.param "a"
// CHECK-NEXT: sm1.kernel "mulf" (%[[X:.*]] = %x : tensor<?x?x8xf32>, %[[A:.*]] = %a : tensor<8xf32>)
// CHECK-NEXT: %[[E:.*]] = math.exp %[[A]] : tensor<8xf32>
// CHECK-NEXT: %[[B:.*]] = sm1.broadcast %[[E]]
// CHECK-NEXT: arith.mulf %[[X]], %[[B]]
// CHECK: sm1.kernel "addf"
// CHECK-NEXT: math.exp
// CHECK-NEXT: sm1.broadcast
// CHECK-NEXT: arith.addf
// CHECK: sm1.return
sm1.model @row_invariant(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %a = sm1.param "a" : tensor<8xf32>
  %e = math.exp %a : tensor<8xf32>
  %b = sm1.broadcast %e : tensor<8xf32> to tensor<?x?x8xf32>
  %m = arith.mulf %x, %b : tensor<?x?x8xf32>
  %y = arith.addf %m, %b : tensor<?x?x8xf32>
  sm1.return %y : tensor<?x?x8xf32>
}

// -----

// A comparison has no memory form: it is repeated in both kernels that use it.
// CHECK-LABEL: sm1.model @comparison
// CHECK-NOT: sm1.kernel "cmpf"
// CHECK: sm1.kernel "select" (%[[X:.*]] = %x : tensor<?x?x8xf32>, %[[Z:.*]] = %z : tensor<?x?x8xf32>)
// CHECK-NEXT: %[[C:.*]] = arith.cmpf ogt, %[[X]], %[[Z]]
// CHECK-NEXT: arith.select %[[C]], %[[X]], %[[Z]]
// CHECK: sm1.kernel "uitofp" (%[[X:.*]] = %x : tensor<?x?x8xf32>, %[[Z:.*]] = %z : tensor<?x?x8xf32>)
// CHECK-NEXT: %[[C:.*]] = arith.cmpf ogt, %[[X]], %[[Z]]
// CHECK-NEXT: arith.uitofp %[[C]]
sm1.model @comparison(%x: tensor<?x?x8xf32> {sm1.name = "x"}, %z: tensor<?x?x8xf32> {sm1.name = "z"})
    -> (tensor<?x?x8xf32> {sm1.name = "max"}, tensor<?x?x8xf32> {sm1.name = "which"}) {
  %c = arith.cmpf ogt, %x, %z : tensor<?x?x8xf32>
  %s = arith.select %c, %x, %z : tensor<?x?x8xi1>, tensor<?x?x8xf32>
  %u = arith.uitofp %c : tensor<?x?x8xi1> to tensor<?x?x8xf32>
  sm1.return %s, %u : tensor<?x?x8xf32>, tensor<?x?x8xf32>
}

// -----

// The parts of a split have different widths: one kernel each.
// CHECK-LABEL: sm1.model @split
// CHECK: %[[A:.*]] = sm1.kernel "split" (%[[X:.*]] = %x : tensor<?x?x8xf32>) -> tensor<?x?x5xf32> {
// CHECK-NEXT: %[[P:.*]]:2 = sm1.split %[[X]]
// CHECK-NEXT: sm1.yield %[[P]]#0
// CHECK: %[[B:.*]] = sm1.kernel "split" (%[[X:.*]] = %x : tensor<?x?x8xf32>) -> tensor<?x?x3xf32> {
// CHECK-NEXT: %[[P:.*]]:2 = sm1.split %[[X]]
// CHECK-NEXT: sm1.yield %[[P]]#1
// CHECK: sm1.return %[[A]], %[[B]]
sm1.model @split(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x5xf32> {sm1.name = "a"}, tensor<?x?x3xf32> {sm1.name = "b"}) {
  %a, %b = sm1.split %x : tensor<?x?x8xf32> into tensor<?x?x5xf32>, tensor<?x?x3xf32>
  sm1.return %a, %b : tensor<?x?x5xf32>, tensor<?x?x3xf32>
}

// -----

// What nobody reads is not written: a scan of which only the last h is wanted yields that alone.
// CHECK-LABEL: sm1.model @last_only
// CHECK: %[[L:.*]] = sm1.kernel "scan" (%{{.*}} = %x : tensor<?x?x8xf32>, %{{.*}} = %h_in : tensor<?x8xf32>) -> tensor<?x8xf32> {
// CHECK-NEXT: %{{.*}}, %[[LAST:.*]] = sm1.scan
// CHECK-NEXT: sm1.yield %[[LAST]] : tensor<?x8xf32>
// CHECK: sm1.return %[[L]]
sm1.model @last_only(%x: tensor<?x?x8xf32> {sm1.name = "x"}, %h: tensor<?x8xf32> {sm1.state = "h"}) -> (tensor<?x8xf32> {sm1.state = "h"}) {
  %y, %l = sm1.scan %x, %x init %h : tensor<?x?x8xf32>
  sm1.return %l : tensor<?x8xf32>
}

// -----

// Kernels run over the rows that the caller selected from the selection on, in layers and out of them as usual otherwise.
// CHECK-LABEL: sm1.model @selected
// CHECK: sm1.layers 2
// CHECK: sm1.kernel "exp" ({{.*}}) -> tensor<?x?x8xf32> {
// CHECK: sm1.kernel "select_rows" ({{.*}}) rows selected -> tensor<?x?x8xf32> {
// CHECK: sm1.kernel "negf" ({{.*}}) rows selected -> tensor<?x?x8xf32> {
sm1.model @selected(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y", sm1.rows = "selected"}) {
  %l = sm1.layers 2 carry(%c = %x : tensor<?x?x8xf32>) {
    %e = math.exp %c : tensor<?x?x8xf32>
    sm1.yield %e : tensor<?x?x8xf32>
  }
  %s = sm1.select_rows %l : tensor<?x?x8xf32>
  %y = arith.negf %s : tensor<?x?x8xf32>
  sm1.return %y : tensor<?x?x8xf32>
}

// -----

sm1.model @no_kernel_form(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  // expected-error @+1 {{'tensor.cast' has no kernel form; a description is made of sm1 operators and of elementwise arith and math on streams}}
  %a = tensor.cast %x : tensor<?x?x8xf32> to tensor<?x?x?xf32>
  %y = tensor.cast %a : tensor<?x?x?xf32> to tensor<?x?x8xf32>
  sm1.return %y : tensor<?x?x8xf32>
}

// -----

sm1.model @no_kernel_form_in_layers(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %y = sm1.layers 2 carry(%c = %x : tensor<?x?x8xf32>) {
    // expected-error @+1 {{'builtin.unrealized_conversion_cast' has no kernel form}}
    %a = builtin.unrealized_conversion_cast %c : tensor<?x?x8xf32> to tensor<?x?x8xf32>
    sm1.yield %a : tensor<?x?x8xf32>
  }
  sm1.return %y : tensor<?x?x8xf32>
}

// -----

// Integers have no memory form either: a kernel goes from stream to stream.
// CHECK-LABEL: sm1.model @integers
// CHECK: sm1.kernel "sitofp" (%[[X:.*]] = %x : tensor<?x?x8xf32>)
// CHECK-NEXT: %[[I:.*]] = arith.fptosi %[[X]]
// CHECK-NEXT: arith.sitofp %[[I]]
// CHECK-NOT: sm1.kernel
// CHECK: sm1.return
sm1.model @integers(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %i = arith.fptosi %x : tensor<?x?x8xf32> to tensor<?x?x8xi32>
  %y = arith.sitofp %i : tensor<?x?x8xi32> to tensor<?x?x8xf32>
  sm1.return %y : tensor<?x?x8xf32>
}

// -----

// What is the same for every row is written where no kernel reads it.
// CHECK-LABEL: sm1.model @returned_bias
// CHECK: %[[B:.*]] = sm1.kernel "broadcast" (%[[P:.*]] = %bias : tensor<8xf32>) -> tensor<?x?x8xf32> {
// CHECK-NEXT: sm1.broadcast %[[P]]
// CHECK: %[[Y:.*]] = sm1.layers 2 carry(%x = %[[B]] : tensor<?x?x8xf32>)
// CHECK: sm1.return %[[Y]]
sm1.model @returned_bias(%t: tensor<?x?xi32> {sm1.name = "tokens"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %p = sm1.param "bias" : tensor<8xf32>
  %b = sm1.broadcast %p : tensor<8xf32> to tensor<?x?x8xf32>
  %y = sm1.layers 2 carry(%c = %b : tensor<?x?x8xf32>) {
    sm1.yield %c : tensor<?x?x8xf32>
  }
  sm1.return %y : tensor<?x?x8xf32>
}

// -----

// A state has a row per sequence, a kernel runs over rows of tokens.
sm1.model @state(%x: tensor<?x?x8xf32> {sm1.name = "x"}, %h: tensor<?x8xf32> {sm1.state = "h"})
    -> (tensor<?x?x8xf32> {sm1.name = "y"}, tensor<?x8xf32> {sm1.state = "h"}) {
  %y, %l = sm1.scan %x, %x init %h : tensor<?x?x8xf32>
  // expected-error @+1 {{'arith.mulf' has no kernel form; a description is made of sm1 operators and of elementwise arith and math on streams}}
  %h2 = arith.mulf %l, %l : tensor<?x8xf32>
  sm1.return %y, %h2 : tensor<?x?x8xf32>, tensor<?x8xf32>
}

// -----

sm1.model @tokens(%t: tensor<?x?xi32> {sm1.name = "tokens"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %w = sm1.param "w" : tensor<8x8xf32>
  // expected-error @+1 {{'arith.addi' has no kernel form}}
  %u = arith.addi %t, %t : tensor<?x?xi32>
  %y = sm1.embedding %u, %w : tensor<?x?xi32>, tensor<8x8xf32>
  sm1.return %y : tensor<?x?x8xf32>
}
