// RUN: sm1-opt %s -sm1-select-rows -canonicalize -cse | FileCheck %s

!s = tensor<?x?x8xf32>

// Projection, norm and arithmetic treat each row by itself, so they run after the selection.
// CHECK-LABEL: sm1.model @head
// CHECK: %[[S:.*]] = sm1.select_rows %x : tensor<?x?x8xf32>
// CHECK: %[[R:.*]] = sm1.rms_norm %[[S]], %n
// CHECK: %[[L:.*]] = sm1.linear %[[R]], %w
// CHECK: %[[Y:.*]] = arith.addf %[[L]], %{{.*}}
// CHECK: sm1.return %[[Y]]
sm1.model @head(%x: !s {sm1.name = "x"}) -> (tensor<?x?x4xf32> {sm1.name = "y", sm1.rows = "selected"}) {
  %n = sm1.param "n" : tensor<8xf32>
  %w = sm1.param "w" : tensor<4x8xf32>
  %b = sm1.param "b" : tensor<4xf32>
  %bias = sm1.broadcast %b : tensor<4xf32> to tensor<?x?x4xf32>
  %r = sm1.rms_norm %x, %n eps 1.0e-6 : !s
  %l = sm1.linear %r, %w : !s, tensor<4x8xf32>
  %y = arith.addf %l, %bias : tensor<?x?x4xf32>
  sm1.return %y : tensor<?x?x4xf32>
}

// A result for every row is left as it is.
// CHECK-LABEL: sm1.model @all_rows
// CHECK-NOT: select_rows
// CHECK: sm1.return
sm1.model @all_rows(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %y = math.exp %x : !s
  sm1.return %y : !s
}

// The norm is needed for all rows by another result, so the selection comes after it, and the norm is not computed twice.
// CHECK-LABEL: sm1.model @shared
// CHECK: %[[R:.*]] = sm1.rms_norm %x, %n
// CHECK-NOT: sm1.rms_norm
// CHECK: %[[S:.*]] = sm1.select_rows %[[R]]
// CHECK: %[[Y:.*]] = math.exp %[[S]]
// CHECK: sm1.return %[[R]], %[[Y]]
sm1.model @shared(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "r"}, !s {sm1.name = "y", sm1.rows = "selected"}) {
  %n = sm1.param "n" : tensor<8xf32>
  %r = sm1.rms_norm %x, %n eps 1.0e-6 : !s
  %y = math.exp %r : !s
  sm1.return %r, %y : !s, !s
}

// A scan and a convolution need the rows before, so they run over all of them.
// CHECK-LABEL: sm1.model @recurrences
// CHECK: %[[C:.*]], %{{.*}} = sm1.conv1d %x
// CHECK: %[[H:.*]], %[[LAST:.*]] = sm1.scan %[[C]]
// CHECK: %[[S:.*]] = sm1.select_rows %[[H]]
// CHECK: %[[Y:.*]] = arith.negf %[[S]]
// CHECK: sm1.return %[[Y]], %{{.*}}, %[[LAST]]
sm1.model @recurrences(%x: !s {sm1.name = "x"}, %t: tensor<?x8x3xf32> {sm1.state = "c"}, %h: tensor<?x8xf32> {sm1.state = "h"})
    -> (!s {sm1.name = "y", sm1.rows = "selected"}, tensor<?x8x3xf32> {sm1.state = "c"}, tensor<?x8xf32> {sm1.state = "h"}) {
  %w = sm1.param "w" : tensor<8x1x4xf32>
  %b = sm1.param "b" : tensor<8xf32>
  %c, %taps = sm1.conv1d %x, %w, %b taps %t : !s, tensor<8x1x4xf32>
  %s, %last = sm1.scan %c, %c init %h : !s
  %y = arith.negf %s : !s
  sm1.return %y, %taps, %last : !s, tensor<?x8x3xf32>, tensor<?x8xf32>
}

// Two selected results share one selection; the parts of a split follow it.
// CHECK-LABEL: sm1.model @two_results
// CHECK: %[[S:.*]] = sm1.select_rows %x
// CHECK-NOT: select_rows
// CHECK: %[[P:.*]]:2 = sm1.split %[[S]]
// CHECK: sm1.return %[[P]]#0, %[[P]]#1
sm1.model @two_results(%x: !s {sm1.name = "x"})
    -> (tensor<?x?x4xf32> {sm1.name = "a", sm1.rows = "selected"}, tensor<?x?x4xf32> {sm1.name = "b", sm1.rows = "selected"}) {
  %a, %b = sm1.split %x : !s into tensor<?x?x4xf32>, tensor<?x?x4xf32>
  sm1.return %a, %b : tensor<?x?x4xf32>, tensor<?x?x4xf32>
}

// An argument can be selected as it is.
// CHECK-LABEL: sm1.model @argument
// CHECK: %[[S:.*]] = sm1.select_rows %x
// CHECK: sm1.return %[[S]]
sm1.model @argument(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y", sm1.rows = "selected"}) {
  sm1.return %x : !s
}
