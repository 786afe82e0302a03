// RUN: sm1-opt %s -sm1-fuse-norm-halves -remarks-filter-missed=fusion -verify-diagnostics=only-expected -split-input-file | FileCheck %s
// RUN: sm1-opt %s -sm1-fuse-norm-halves=step=true -split-input-file | FileCheck %s --check-prefix=STEP
// RUN: sm1-opt %s -sm1-fuse-norm-halves=tiles=true -split-input-file | FileCheck %s --check-prefix=TILES

!s = tensor<?x?x32xf32>
!h = tensor<?x?x32xbf16>
!m = tensor<32x32xbf16>

// What makes the row multiplies it by the weight, rounds it and adds up its squares; what multiplies it scales the sums. The row itself is
// still there for whoever adds to it.
// CHECK-LABEL: sm1.model @mlp
// CHECK: %[[X:.*]], %[[R:.*]], %[[S:.*]] = sm1.kernel "out" ({{.*}}) -> (tensor<?x?x32xf32>, tensor<?x?x32xbf16>, tensor<?x?x2xf32>) {
// CHECK: %[[O:.*]] = sm1.linear
// CHECK: %[[W:.*]] = sm1.broadcast
// CHECK: %[[P:.*]] = arith.mulf %[[O]], %[[W]]
// CHECK: %[[Q:.*]] = sm1.panel_squares %[[O]] : tensor<?x?x32xf32>
// CHECK: %[[T:.*]] = arith.truncf %[[P]]
// CHECK: sm1.yield %[[O]], %[[T]], %[[Q]]
// CHECK-NOT: sm1.rms_norm
// CHECK: sm1.kernel "w1" (%{{.*}} = %[[R]] : tensor<?x?x32xbf16>, {{.*}}, %[[G:.*]] = %[[S]] : tensor<?x?x2xf32>)
// CHECK: %[[L:.*]] = sm1.linear
// CHECK: %[[N:.*]] = sm1.rms_scale %[[L]], %[[G]] width 32 eps {{.*}} : tensor<?x?x32xf32>, tensor<?x?x2xf32>
// CHECK: arith.addf %{{.*}}, %[[N]]
sm1.model @mlp(%g: !s {sm1.name = "g"}) -> (!s {sm1.name = "y"}) {
  %o = sm1.param "out" : !m
  %w = sm1.param "w1" : !m
  %n = sm1.param "norm" : tensor<32xf32>
  %h = sm1.kernel "round" (%g0 = %g : !s) -> !h {
    %0 = arith.truncf %g0 : !s to !h
    sm1.yield %0 : !h
  }
  %x = sm1.kernel "out" (%h0 = %h : !h, %o0 = %o : !m) -> !s {
    %0 = sm1.linear %h0, %o0 : !h, !m
    sm1.yield %0 : !s
  }
  %r = sm1.kernel "norm" (%x0 = %x : !s, %n0 = %n : tensor<32xf32>) -> !h {
    %0 = sm1.rms_norm %x0, %n0 eps 1.0e-6 : !s
    %1 = arith.truncf %0 : !s to !h
    sm1.yield %1 : !h
  }
  %y = sm1.kernel "w1" (%r0 = %r : !h, %w0 = %w : !m, %x0 = %x : !s) -> !s {
    %0 = sm1.linear %r0, %w0 : !h, !m
    %1 = arith.addf %x0, %0 : !s
    sm1.yield %1 : !s
  }
  sm1.return %y : !s
}

// -----

!s = tensor<?x?x32xf32>
!h = tensor<?x?x32xbf16>
!m = tensor<32x32xbf16>
!t = tensor<?x32x1xf32>

// In a step a convolution sees nothing but its own row and taps, and goes along. What reads the row in f32 scales it, too.
// CHECK-LABEL: sm1.model @convolution
// CHECK: sm1.kernel "conv"
// CHECK: sm1.rms_norm
// STEP-LABEL: sm1.model @convolution
// STEP: sm1.kernel "in" ({{.*}}) -> (tensor<?x?x32xf32>, tensor<?x?x32xbf16>, tensor<?x32x1xf32>, tensor<?x?x2xf32>) {
// STEP: %[[I:.*]] = sm1.linear
// STEP: %[[C:.*]], %{{.*}} = sm1.conv1d %[[I]],
// STEP: sm1.panel_squares %[[C]]
// STEP-NOT: sm1.kernel "conv"
// STEP: sm1.kernel "gate" (%[[R:.*]] = %{{.*}} : tensor<?x?x32xbf16>, %[[U:.*]] = %{{.*}} : tensor<?x?x32xf32>, {{.*}}, %[[G:.*]] = %{{.*}} : tensor<?x?x2xf32>)
// STEP: %[[V:.*]] = sm1.rms_scale %[[U]], %[[G]]
// STEP: %[[L:.*]] = sm1.linear %[[R]]
// STEP: %[[N:.*]] = sm1.rms_scale %[[L]], %[[G]]
// STEP: arith.mulf %[[N]], %[[V]]
sm1.model @convolution(%g: !s {sm1.name = "g"}, %taps: !t {sm1.state = "taps"}) -> (!s {sm1.name = "y"}, !t {sm1.state = "taps"}) {
  %i = sm1.param "in" : !m
  %k = sm1.param "kernel" : tensor<32x1x2xf32>
  %b = sm1.param "bias" : tensor<32xf32>
  %w = sm1.param "gate" : !m
  %n = sm1.param "norm" : tensor<32xf32>
  %h = sm1.kernel "round" (%g0 = %g : !s) -> !h {
    %0 = arith.truncf %g0 : !s to !h
    sm1.yield %0 : !h
  }
  %x = sm1.kernel "in" (%h0 = %h : !h, %i0 = %i : !m) -> !s {
    %0 = sm1.linear %h0, %i0 : !h, !m
    sm1.yield %0 : !s
  }
  // expected-remark @+1 {{the norm stays whole: a convolution over time looks back on rows of other tiles}}
  %u, %r, %last = sm1.kernel "conv" (%x0 = %x : !s, %k0 = %k : tensor<32x1x2xf32>, %b0 = %b : tensor<32xf32>, %t0 = %taps : !t,
                                     %n0 = %n : tensor<32xf32>) -> (!s, !h, !t) {
    %0, %1 = sm1.conv1d %x0, %k0, %b0 taps %t0 : !s, tensor<32x1x2xf32>
    %2 = sm1.rms_norm %0, %n0 eps 1.0e-6 : !s
    %3 = arith.truncf %2 : !s to !h
    sm1.yield %2, %3, %1 : !s, !h, !t
  }
  %y = sm1.kernel "gate" (%r0 = %r : !h, %u0 = %u : !s, %w0 = %w : !m) -> !s {
    %0 = sm1.linear %r0, %w0 : !h, !m
    %1 = arith.mulf %0, %u0 : !s
    sm1.yield %1 : !s
  }
  sm1.return %y, %last : !s, !t
}

// -----

!s = tensor<?x?x32xf32>
!h = tensor<?x?x32xbf16>
!m = tensor<32x32xbf16>

// A norm that somebody else reads, and one behind no projection, stay.
// CHECK-LABEL: sm1.model @whole
// CHECK: sm1.rms_norm
// CHECK: sm1.rms_norm
// CHECK-NOT: sm1.rms_scale
// CHECK: sm1.return
sm1.model @whole(%g: !s {sm1.name = "g"}) -> (!s {sm1.name = "y"}, !s {sm1.name = "r"}) {
  %o = sm1.param "out" : !m
  %w = sm1.param "w1" : !m
  %n = sm1.param "norm" : tensor<32xf32>
  %h = sm1.kernel "first" (%g0 = %g : !s, %n0 = %n : tensor<32xf32>) -> !h {
    %0 = sm1.rms_norm %g0, %n0 eps 1.0e-6 : !s
    %1 = arith.truncf %0 : !s to !h
    sm1.yield %1 : !h
  }
  %x = sm1.kernel "out" (%h0 = %h : !h, %o0 = %o : !m) -> !s {
    %0 = sm1.linear %h0, %o0 : !h, !m
    sm1.yield %0 : !s
  }
  // expected-remark @+1 {{the norm stays whole: its result is used by more than projections}}
  %r, %rh = sm1.kernel "norm" (%x0 = %x : !s, %n0 = %n : tensor<32xf32>) -> (!s, !h) {
    %0 = sm1.rms_norm %x0, %n0 eps 1.0e-6 : !s
    %1 = arith.truncf %0 : !s to !h
    sm1.yield %0, %1 : !s, !h
  }
  %y = sm1.kernel "w1" (%r0 = %rh : !h, %w0 = %w : !m) -> !s {
    %0 = sm1.linear %r0, %w0 : !h, !m
    sm1.yield %0 : !s
  }
  sm1.return %y, %r : !s, !s
}

// -----

!s = tensor<?x?x32xf32>
!h = tensor<?x?x32xbf16>
!m = tensor<32x32xbf16>
!t = tensor<?x?xi32>

// A layer's first norm goes to what makes the row in the layer before, with the weight of the next one; for the first layer, to the
// lookup. Rows and squares go from layer to layer beside the row itself.
// CHECK-LABEL: sm1.model @layers
// CHECK: %[[N0:.*]] = sm1.param "layers.{i}.norm" {next} : tensor<32xf32>
// CHECK: %[[X0:.*]], %[[R0:.*]], %[[S0:.*]] = sm1.kernel "embedding" ({{.*}}, %{{.*}} = %[[N0]] : tensor<32xf32>) -> (tensor<?x?x32xf32>, tensor<?x?x32xbf16>, tensor<?x?x2xf32>) {
// CHECK: %[[E:.*]] = sm1.embedding
// CHECK: arith.mulf %[[E]], %{{.*}}
// CHECK: sm1.panel_squares %[[E]]
// CHECK: sm1.layers 3 carry(%[[X:.*]] = %[[X0]] : tensor<?x?x32xf32>, %[[R:.*]] = %[[R0]] : tensor<?x?x32xbf16>, %[[S:.*]] = %[[S0]] : tensor<?x?x2xf32>) state(
// CHECK-NOT: sm1.rms_norm
// CHECK: sm1.kernel "in" (%{{.*}} = %[[R]] : tensor<?x?x32xbf16>, {{.*}}, %[[Q:.*]] = %[[S]] : tensor<?x?x2xf32>)
// CHECK: sm1.rms_scale %{{.*}}, %[[Q]] width 32
// CHECK: %[[N:.*]] = sm1.param "layers.{i}.norm" {next} : tensor<32xf32>
// CHECK: %[[Y:.*]], %[[YR:.*]], %[[YS:.*]] = sm1.kernel "out" ({{.*}} = %[[N]] : tensor<32xf32>)
// CHECK: sm1.yield
// CHECK: sm1.yield %[[Y]], %[[YR]], %[[YS]], %{{.*}} : tensor<?x?x32xf32>, tensor<?x?x32xbf16>, tensor<?x?x2xf32>, tensor<?x32xf32>
sm1.model @layers(%tokens: !t {sm1.name = "tokens"}, %h: tensor<?x3x32xf32> {sm1.state = "h"})
    -> (!s {sm1.name = "y"}, tensor<?x3x32xf32> {sm1.state = "h"}) {
  %table = sm1.param "table" : tensor<40x32xf32>
  %x0 = sm1.kernel "embedding" (%t0 = %tokens : !t, %e0 = %table : tensor<40x32xf32>) -> !s {
    %0 = sm1.embedding %t0, %e0 : !t, tensor<40x32xf32>
    sm1.yield %0 : !s
  }
  %x_last, %h_last = sm1.layers 3 carry(%x = %x0 : !s) state(%hl = %h : tensor<?x3x32xf32>) {
    %n = sm1.param "layers.{i}.norm" : tensor<32xf32>
    %i = sm1.param "layers.{i}.in" : !m
    %o = sm1.param "layers.{i}.out" : !m
    %r = sm1.kernel "norm" (%x1 = %x : !s, %n1 = %n : tensor<32xf32>) -> !h {
      %0 = sm1.rms_norm %x1, %n1 eps 1.0e-6 : !s
      %1 = arith.truncf %0 : !s to !h
      sm1.yield %1 : !h
    }
    %g, %hn = sm1.kernel "in" (%r1 = %r : !h, %i1 = %i : !m, %h1 = %hl : tensor<?x32xf32>) -> (!h, tensor<?x32xf32>) {
      %0 = sm1.linear %r1, %i1 : !h, !m
      %1, %2 = sm1.scan %0, %0 init %h1 : !s
      %3 = arith.truncf %1 : !s to !h
      sm1.yield %3, %2 : !h, tensor<?x32xf32>
    }
    %y = sm1.kernel "out" (%g1 = %g : !h, %o1 = %o : !m, %x1 = %x : !s) -> !s {
      %0 = sm1.linear %g1, %o1 : !h, !m
      %1 = arith.addf %x1, %0 : !s
      sm1.yield %1 : !s
    }
    sm1.yield %y, %hn : !s, tensor<?x32xf32>
  }
  sm1.return %x_last, %h_last : !s, tensor<?x3x32xf32>
}

// -----

!s = tensor<?x?x32xf32>
!h = tensor<?x?x32xbf16>
!m = tensor<32x32xbf16>

// A projection that multiplies the row cannot write the next one over it; one layer has none before it.
// CHECK-LABEL: sm1.model @whole_layers
// CHECK: sm1.rms_norm
// CHECK: sm1.rms_norm
// CHECK-NOT: sm1.rms_scale
// CHECK: sm1.return
sm1.model @whole_layers(%x0: !s {sm1.name = "x"}) -> (!s {sm1.name = "y"}) {
  %x_last = sm1.layers 2 carry(%x = %x0 : !s) {
    %n = sm1.param "layers.{i}.norm" : tensor<32xf32>
    %w = sm1.param "layers.{i}.w" : !m
    // expected-remark @+1 {{the norm stays whole: what makes the row multiplies it, too}}
    %r = sm1.kernel "norm" (%x1 = %x : !s, %n1 = %n : tensor<32xf32>) -> !h {
      %0 = sm1.rms_norm %x1, %n1 eps 1.0e-6 : !s
      %1 = arith.truncf %0 : !s to !h
      sm1.yield %1 : !h
    }
    %y = sm1.kernel "w" (%r1 = %r : !h, %w1 = %w : !m, %x1 = %x : !s) -> !s {
      %0 = sm1.linear %r1, %w1 : !h, !m
      %1 = arith.addf %x1, %0 : !s
      sm1.yield %1 : !s
    }
    sm1.yield %y : !s
  }
  %x_end = sm1.layers 1 carry(%x = %x_last : !s) {
    %n = sm1.param "last.{i}.norm" : tensor<32xf32>
    %i = sm1.param "last.{i}.in" : !m
    %o = sm1.param "last.{i}.out" : !m
    // expected-remark @+1 {{the norm stays whole: there is no layer before}}
    %r = sm1.kernel "norm" (%x1 = %x : !s, %n1 = %n : tensor<32xf32>) -> !h {
      %0 = sm1.rms_norm %x1, %n1 eps 1.0e-6 : !s
      %1 = arith.truncf %0 : !s to !h
      sm1.yield %1 : !h
    }
    %g = sm1.kernel "in" (%r1 = %r : !h, %i1 = %i : !m) -> !h {
      %0 = sm1.linear %r1, %i1 : !h, !m
      %1 = arith.truncf %0 : !s to !h
      sm1.yield %1 : !h
    }
    %y = sm1.kernel "out" (%g1 = %g : !h, %o1 = %o : !m) -> !s {
      %0 = sm1.linear %g1, %o1 : !h, !m
      sm1.yield %0 : !s
    }
    sm1.yield %y : !s
  }
  sm1.return %x_end : !s
}

// -----

!s = tensor<?x?x32xf32>

// In a step what remains of norms selects its rows itself; in a prompt all programs share the kernels of both.
// CHECK-LABEL: sm1.model @selected
// CHECK: sm1.kernel "select_rows"
// CHECK: sm1.kernel "norm"
// STEP-LABEL: sm1.model @selected
// STEP: sm1.kernel "norm" (%[[X:.*]] = %x : tensor<?x?x32xf32>, {{.*}}) rows selected
// STEP: %[[Y:.*]] = sm1.select_rows %[[X]]
// STEP: sm1.rms_norm %[[Y]]
// STEP-NOT: sm1.kernel
sm1.model @selected(%x: !s {sm1.name = "x"}) -> (!s {sm1.name = "y", sm1.rows = "selected"}) {
  %n = sm1.param "norm" : tensor<32xf32>
  %y = sm1.kernel "select_rows" (%x0 = %x : !s) rows selected -> !s {
    %0 = sm1.select_rows %x0 : !s
    sm1.yield %0 : !s
  }
  %r = sm1.kernel "norm" (%y0 = %y : !s, %n0 = %n : tensor<32xf32>) rows selected -> !s {
    %0 = sm1.rms_norm %y0, %n0 eps 1.0e-6 : !s
    sm1.yield %0 : !s
  }
  sm1.return %r : !s
}

// -----

!s = tensor<?x?x32xf32>
!h = tensor<?x?x32xbf16>
!m = tensor<32x32xbf16>

// In a step all rows are selected: the norm behind the layers goes to the last layer, whose row takes its weight where others take the
// next layer's.
// CHECK-LABEL: sm1.model @behind
// CHECK: sm1.param "layers.{i}.norm" {next} : tensor<32xf32>
// CHECK: sm1.select_rows
// CHECK: sm1.rms_norm
// STEP-LABEL: sm1.model @behind
// STEP: sm1.param "layers.{i}.norm" {next} : tensor<32xf32>
// STEP: %[[X:.*]], %[[R:.*]], %[[S:.*]] = sm1.layers 3 carry(
// STEP: %[[N:.*]] = sm1.param "layers.{i}.norm" {next = "norm"} : tensor<32xf32>
// STEP: sm1.kernel "out" ({{.*}} = %[[N]] : tensor<32xf32>)
// STEP-NOT: sm1.select_rows
// STEP: sm1.kernel "logits" (%[[RL:.*]] = %[[R]] : tensor<?x?x32xbf16>, {{.*}}, %[[SL:.*]] = %[[S]] : tensor<?x?x2xf32>) rows selected
// STEP: %[[L:.*]] = sm1.linear %[[RL]]
// STEP: %[[Y:.*]] = sm1.rms_scale %[[L]], %[[SL]] width 32 eps 2.{{.*}} : tensor<?x?x32xf32>, tensor<?x?x2xf32>
// STEP: sm1.yield %[[Y]]
sm1.model @behind(%x0: !s {sm1.name = "x"}) -> (!s {sm1.name = "y", sm1.rows = "selected"}) {
  %x_last = sm1.layers 3 carry(%x = %x0 : !s) {
    %n = sm1.param "layers.{i}.norm" : tensor<32xf32>
    %i = sm1.param "layers.{i}.in" : !m
    %o = sm1.param "layers.{i}.out" : !m
    %r = sm1.kernel "norm" (%x1 = %x : !s, %n1 = %n : tensor<32xf32>) -> !h {
      %0 = sm1.rms_norm %x1, %n1 eps 1.0e-6 : !s
      %1 = arith.truncf %0 : !s to !h
      sm1.yield %1 : !h
    }
    %g = sm1.kernel "in" (%r1 = %r : !h, %i1 = %i : !m) -> !h {
      %0 = sm1.linear %r1, %i1 : !h, !m
      %1 = arith.truncf %0 : !s to !h
      sm1.yield %1 : !h
    }
    %y = sm1.kernel "out" (%g1 = %g : !h, %o1 = %o : !m, %x1 = %x : !s) -> !s {
      %0 = sm1.linear %g1, %o1 : !h, !m
      %1 = arith.addf %x1, %0 : !s
      sm1.yield %1 : !s
    }
    sm1.yield %y : !s
  }
  %n = sm1.param "norm" : tensor<32xf32>
  %w = sm1.param "logits" : !m
  %s = sm1.kernel "select_rows" (%x1 = %x_last : !s) rows selected -> !s {
    %0 = sm1.select_rows %x1 : !s
    sm1.yield %0 : !s
  }
  %r = sm1.kernel "norm" (%s1 = %s : !s, %n1 = %n : tensor<32xf32>) rows selected -> !h {
    %0 = sm1.rms_norm %s1, %n1 eps 2.0e-6 : !s
    %1 = arith.truncf %0 : !s to !h
    sm1.yield %1 : !h
  }
  %l = sm1.kernel "logits" (%r1 = %r : !h, %w1 = %w : !m) rows selected -> !s {
    %0 = sm1.linear %r1, %w1 : !h, !m
    sm1.yield %0 : !s
  }
  sm1.return %l : !s
}

// -----

!s = tensor<?x?x80xf32>
!h = tensor<?x?x80xbf16>
!m = tensor<80x80xbf16>

// Tiles of five panels of many rows add up a number of their own; a row of two panels, as above, is no tile.
// TILES-LABEL: sm1.model @mlp
// TILES: sm1.rms_norm
// STEP-LABEL: sm1.model @tiles
// TILES-LABEL: sm1.model @tiles
// TILES: %{{.*}}, %[[R:.*]], %[[S:.*]] = sm1.kernel "out" ({{.*}}) -> (tensor<?x?x80xf32>, tensor<?x?x80xbf16>, tensor<?x?x4xf32>) {
// TILES: sm1.panel_squares %{{.*}} parts 4 : tensor<?x?x80xf32>
// TILES: sm1.kernel "w1" (%{{.*}} = %[[R]] : tensor<?x?x80xbf16>, {{.*}} = %[[S]] : tensor<?x?x4xf32>)
// TILES: sm1.rms_scale %{{.*}}, %{{.*}} width 80 eps {{.*}} : tensor<?x?x80xf32>, tensor<?x?x4xf32>
sm1.model @tiles(%g: !s {sm1.name = "g"}) -> (!s {sm1.name = "y"}) {
  %o = sm1.param "out" : !m
  %w = sm1.param "w1" : !m
  %n = sm1.param "norm" : tensor<80xf32>
  %h = sm1.kernel "round" (%g0 = %g : !s) -> !h {
    %0 = arith.truncf %g0 : !s to !h
    sm1.yield %0 : !h
  }
  %x = sm1.kernel "out" (%h0 = %h : !h, %o0 = %o : !m) -> !s {
    %0 = sm1.linear %h0, %o0 : !h, !m
    sm1.yield %0 : !s
  }
  %r = sm1.kernel "norm" (%x0 = %x : !s, %n0 = %n : tensor<80xf32>) -> !h {
    %0 = sm1.rms_norm %x0, %n0 eps 1.0e-6 : !s
    %1 = arith.truncf %0 : !s to !h
    sm1.yield %1 : !h
  }
  %y = sm1.kernel "w1" (%r0 = %r : !h, %w0 = %w : !m, %x0 = %x : !s) -> !s {
    %0 = sm1.linear %r0, %w0 : !h, !m
    %1 = arith.addf %x0, %0 : !s
    sm1.yield %1 : !s
  }
  sm1.return %y : !s
}
