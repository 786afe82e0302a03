// Every operation, through the parser, the printer and the generic form.
// RUN: sm1-opt %s | FileCheck %s
// RUN: sm1-opt %s | sm1-opt | FileCheck %s
// RUN: sm1-opt %s --mlir-print-op-generic | sm1-opt | FileCheck %s

// Names of arguments come from what they are called in files.
// CHECK-LABEL: sm1.model @structure
// CHECK-SAME: (%tokens: tensor<?x?xi32> {sm1.name = "tokens"}, %h_in: tensor<?x3x16xf32> {sm1.state = "h"})
// CHECK-SAME: -> (tensor<?x?x37xf32> {sm1.name = "logits", sm1.rows = "selected"}, tensor<?x3x16xf32> {sm1.state = "h"})
// CHECK-SAME: attributes {sm1.tied = {head.weight = "embed.weight"}}
sm1.model @structure(%t: tensor<?x?xi32> {sm1.name = "tokens"}, %s: tensor<?x3x16xf32> {sm1.state = "h"})
    -> (tensor<?x?x37xf32> {sm1.name = "logits", sm1.rows = "selected"}, tensor<?x3x16xf32> {sm1.state = "h"})
    attributes {sm1.tied = {"head.weight" = "embed.weight"}} {
  // CHECK: %embed = sm1.param "embed.weight" : tensor<37x16xf32>
  %w = sm1.param "embed.weight" : tensor<37x16xf32>
  // CHECK: %embedded = sm1.embedding %tokens, %embed : tensor<?x?xi32>, tensor<37x16xf32>
  %x0 = sm1.embedding %t, %w : tensor<?x?xi32>, tensor<37x16xf32>
  // CHECK: %x_out, %h_out = sm1.layers 3 carry(%x = %embedded : tensor<?x?x16xf32>) state(%h_prev = %h_in : tensor<?x3x16xf32>) {
  %y, %h = sm1.layers 3 carry(%x = %x0 : tensor<?x?x16xf32>) state(%hl = %s : tensor<?x3x16xf32>) {
    // CHECK: %A_log = sm1.param "layers.{i}.A_log" : tensor<16xf32>
    %a = sm1.param "layers.{i}.A_log" : tensor<16xf32>
    // CHECK: sm1.broadcast %A_log : tensor<16xf32> to tensor<?x?x16xf32>
    %b = sm1.broadcast %a : tensor<16xf32> to tensor<?x?x16xf32>
    // CHECK: %h, %last = sm1.scan %{{.*}}, %x init %h_prev : tensor<?x?x16xf32>
    %o, %last = sm1.scan %b, %x init %hl : tensor<?x?x16xf32>
    // CHECK: sm1.yield %h, %last : tensor<?x?x16xf32>, tensor<?x16xf32>
    sm1.yield %o, %last : tensor<?x?x16xf32>, tensor<?x16xf32>
  }
  // CHECK: %embed_out = sm1.linear %x_out, %embed : tensor<?x?x16xf32>, tensor<37x16xf32>
  %l = sm1.linear %y, %w : tensor<?x?x16xf32>, tensor<37x16xf32>
  // CHECK: sm1.return %embed_out, %h_out : tensor<?x?x37xf32>, tensor<?x3x16xf32>
  sm1.return %l, %h : tensor<?x?x37xf32>, tensor<?x3x16xf32>
}

// Layers without states, and a loop of one.
// CHECK-LABEL: sm1.model @carry_only
sm1.model @carry_only(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  // CHECK: %x_out = sm1.layers 1 carry(%x_0 = %x : tensor<?x?x8xf32>) {
  %y = sm1.layers 1 carry(%c = %x : tensor<?x?x8xf32>) {
    sm1.yield %c : tensor<?x?x8xf32>
  }
  sm1.return %y : tensor<?x?x8xf32>
}

// CHECK-LABEL: func.func @params
func.func @params() {
  // CHECK: %x_proj = sm1.param "ssm.x_proj.weight" rows 8 to 24 of 48 : tensor<16x8xbf16>
  %0 = sm1.param "ssm.x_proj.weight" rows 8 to 24 of 48 : tensor<16x8xbf16>
  // CHECK: %conv1d_bias = sm1.param "ssm.conv1d.bias" {layout = "channels"} : tensor<16xf32>
  %1 = sm1.param "ssm.conv1d.bias" {layout = "channels"} : tensor<16xf32>
  // CHECK: sm1.param "layers.{i}.norm.weight" {next} : tensor<16xf32>
  %next = sm1.param "layers.{i}.norm.weight" {next} : tensor<16xf32>
  // CHECK: %D = sm1.param "D" : tensor<16xf16>
  %2 = sm1.param "D" : tensor<16xf16>
  // CHECK: sm1.param "w1" quantised <bits = 8, group = 0, columns = 40> {layout = "quads"} : tensor<16x40xi8>
  %3 = sm1.param "w1" quantised <bits = 8, group = 0, columns = 40> {layout = "quads"} : tensor<16x40xi8>
  // CHECK: sm1.param "w1" quantised <bits = 8, group = 0, columns = 40> {layout = "scales"} : tensor<16x1xf32>
  %4 = sm1.param "w1" quantised <bits = 8, group = 0, columns = 40> {layout = "scales"} : tensor<16x1xf32>
  // CHECK: sm1.param "w1" rows 8 to 24 of 48 quantised <bits = 4, group = 32, columns = 40> : tensor<16x40xi4>
  %5 = sm1.param "w1" rows 8 to 24 of 48 quantised <bits = 4, group = 32, columns = 40> : tensor<16x40xi4>
  // CHECK: sm1.param "w1" rows 8 to 24 of 48 quantised <bits = 4, group = 32, columns = 40> : tensor<16x2xf16>
  %6 = sm1.param "w1" rows 8 to 24 of 48 quantised <bits = 4, group = 32, columns = 40> : tensor<16x2xf16>
  // CHECK: sm1.param "w1" quantised <bits = 8, group = 0, columns = 40> {layout = "images"} : tensor<16x40xf8E4M3FN>
  %7 = sm1.param "w1" quantised <bits = 8, group = 0, columns = 40> {layout = "images"} : tensor<16x40xf8E4M3FN>
  return
}

// CHECK-LABEL: func.func @quantised
func.func @quantised(%x: tensor<?x?x40xf32>, %w: tensor<16x40xi8>, %s: tensor<16x1xf32>, %v: tensor<16x40xi4>, %t: tensor<16x2xf16>,
                     %y: tensor<?x?x40xf8E4M3FN>, %u: tensor<16x40xf8E4M3FN>) {
  // CHECK: sm1.linear %{{.*}}, %{{.*}} scales %{{.*}} : tensor<?x?x40xf32>, tensor<16x40xi8>, tensor<16x1xf32>
  %0 = sm1.linear %x, %w scales %s : tensor<?x?x40xf32>, tensor<16x40xi8>, tensor<16x1xf32>
  // CHECK: sm1.linear %{{.*}}, %{{.*}} scales %{{.*}} int8 : tensor<?x?x40xf32>, tensor<16x40xi4>, tensor<16x2xf16>
  %1 = sm1.linear %x, %v scales %t int8 : tensor<?x?x40xf32>, tensor<16x40xi4>, tensor<16x2xf16>
  // CHECK: sm1.linear %{{.*}}, %{{.*}} scales %{{.*}} : tensor<?x?x40xf8E4M3FN>, tensor<16x40xf8E4M3FN>, tensor<16x1xf32>
  %2 = sm1.linear %y, %u scales %s : tensor<?x?x40xf8E4M3FN>, tensor<16x40xf8E4M3FN>, tensor<16x1xf32>
  return
}

// What a schedule does not use it does not print.
// CHECK: @fma() attributes {s = #sm1.schedule<row_tile = 2, panel_tile = 1, single_row_panels = 4, row_split = 64, panel_split = 2>}
func.func private @fma() attributes {s = #sm1.schedule<row_tile = 2, panel_tile = 1, single_row_panels = 4, row_split = 64, panel_split = 2, products = fma>}
// CHECK: @dot() attributes {s = #sm1.schedule<row_tile = 2, {{.*}}, panel_split = 2, products = dot>}
func.func private @dot() attributes {s = #sm1.schedule<row_tile = 2, panel_tile = 1, single_row_panels = 4, row_split = 64, panel_split = 2, products = dot>}
// CHECK: @table() attributes {s = #sm1.schedule<row_tile = 2, {{.*}}, panel_split = 2, products = table>}
func.func private @table() attributes {s = #sm1.schedule<row_tile = 2, panel_tile = 1, single_row_panels = 4, row_split = 64, panel_split = 2, products = table>}
// CHECK: @tiles() attributes {s = #sm1.schedule<row_tile = 2, {{.*}}, panel_split = 2, matrix_rows = 48, matrix_panels = 2>}
func.func private @tiles() attributes {s = #sm1.schedule<row_tile = 2, panel_tile = 1, single_row_panels = 4, row_split = 64, panel_split = 2, matrix_rows = 48, matrix_panels = 2>}
// CHECK: @apart() attributes {s = #sm1.schedule<row_tile = 6, {{.*}}, panel_split = 2, apart>}
func.func private @apart() attributes {s = #sm1.schedule<row_tile = 6, panel_tile = 1, single_row_panels = 4, row_split = 64, panel_split = 2, apart>}
// CHECK: @widen() attributes {s = #sm1.schedule<row_tile = 6, {{.*}}, panel_split = 2, widen_rows = 24>}
func.func private @widen() attributes {s = #sm1.schedule<row_tile = 6, panel_tile = 1, single_row_panels = 4, row_split = 64, panel_split = 2, widen_rows = 24>}
// CHECK: @all() attributes {s = #sm1.schedule<row_tile = 6, {{.*}}, panel_split = 2, row_band = 96, apart, widen_rows = 24, products = dot, matrix_rows = 16, matrix_panels = 1>}
func.func private @all() attributes {s = #sm1.schedule<row_tile = 6, panel_tile = 1, single_row_panels = 4, row_split = 64, panel_split = 2, row_band = 96, apart, widen_rows = 24, products = dot, matrix_rows = 16, matrix_panels = 1>}
// CHECK: @both() attributes {s = #sm1.schedule<row_tile = 2, {{.*}}, panel_split = 2, products = dot, matrix_rows = 16, matrix_panels = 1>}
func.func private @both() attributes {s = #sm1.schedule<row_tile = 2, panel_tile = 1, single_row_panels = 4, row_split = 64, panel_split = 2, products = dot, matrix_rows = 16, matrix_panels = 1>}

// CHECK-LABEL: func.func @operators
func.func @operators(%x: tensor<?x?x16xf32>, %w: tensor<32x16xbf16>, %g: tensor<16xf32>, %k: tensor<16x1x4xf32>, %t: tensor<?x16x3xf32>) {
  // CHECK: %linear = sm1.linear %{{.*}}, %{{.*}} : tensor<?x?x16xf32>, tensor<32x16xbf16>
  %0 = sm1.linear %x, %w : tensor<?x?x16xf32>, tensor<32x16xbf16>
  // CHECK: %normed = sm1.rms_norm %{{.*}}, %{{.*}} eps {{9.99999974E-6|1.000000e-05}} : tensor<?x?x16xf32>
  %1 = sm1.rms_norm %x, %g eps 1.0e-5 : tensor<?x?x16xf32>
  // CHECK: %convolved, %taps = sm1.conv1d %{{.*}}, %{{.*}}, %{{.*}} taps %{{.*}} : tensor<?x?x16xf32>, tensor<16x1x4xf32>
  %2, %3 = sm1.conv1d %x, %k, %g taps %t : tensor<?x?x16xf32>, tensor<16x1x4xf32>
  // CHECK: sm1.scan %{{.*}}, %{{.*}} : tensor<?x?x16xf32>
  %4, %5 = sm1.scan %x, %1 : tensor<?x?x16xf32>
  // CHECK: sm1.scan %{{.*}}, %{{.*}} init %{{.*}} form closed_form : tensor<?x?x16xf32>
  %6, %7 = sm1.scan %x, %1 init %5 form closed_form : tensor<?x?x16xf32>
  // CHECK: sm1.scan %{{.*}}, %{{.*}} {note = "kept"} : tensor<?x?x16xf32>
  %8, %9 = sm1.scan %x, %1 form exact {note = "kept"} : tensor<?x?x16xf32>
  // CHECK: sm1.split %{{.*}} : tensor<?x?x32xf32> into tensor<?x?x20xf32>, tensor<?x?x12xf32>
  %10, %11 = sm1.split %0 : tensor<?x?x32xf32> into tensor<?x?x20xf32>, tensor<?x?x12xf32>
  %one = arith.constant 1.0 : f32
  // CHECK: sm1.broadcast %{{.*}} : f32 to tensor<?x?x16xf32>
  %12 = sm1.broadcast %one : f32 to tensor<?x?x16xf32>
  // CHECK: sm1.select_rows %{{.*}} : tensor<?x?x16xf32>
  %13 = sm1.select_rows %x : tensor<?x?x16xf32>
  // CHECK: %squares = sm1.panel_squares %{{.*}} : tensor<?x?x20xf32>
  %14 = sm1.panel_squares %10 : tensor<?x?x20xf32>
  // CHECK: %[[PARTS:.*]] = sm1.panel_squares %{{.*}} parts 4 : tensor<?x?x20xf32>
  %parts = sm1.panel_squares %10 parts 4 : tensor<?x?x20xf32>
  // CHECK: sm1.rms_scale %{{.*}}, %squares width 20 eps {{.*}} : tensor<?x?x16xf32>, tensor<?x?x2xf32>
  %15 = sm1.rms_scale %x, %14 width 20 eps 1.0e-5 : tensor<?x?x16xf32>, tensor<?x?x2xf32>
  // CHECK: sm1.rms_scale %{{.*}}, %[[PARTS]] width 20 eps {{.*}} : tensor<?x?x16xf32>, tensor<?x?x4xf32>
  %scaled = sm1.rms_scale %x, %parts width 20 eps 1.0e-5 : tensor<?x?x16xf32>, tensor<?x?x4xf32>
  return
}

// Kernels call their results after themselves, and their arguments after what they are given.
// CHECK-LABEL: func.func @kernels
func.func @kernels(%x: tensor<?x?x16xf32>, %s: tensor<?x16xf32>) -> tensor<?x?x16xf32> {
  %w = sm1.param "ssm.in_proj.weight" : tensor<16x16xf32>
  // CHECK: %gate, %gate_state = sm1.launch sync(flags) -> tensor<?x?x16xf32>, tensor<?x16xf32> {
  %r:2 = sm1.launch sync(flags) -> tensor<?x?x16xf32>, tensor<?x16xf32> {
    // CHECK: %in_proj_0 = sm1.kernel "in_proj" (%{{.*}} = %{{.*}} : tensor<?x?x16xf32>, %[[W:in_proj.*]] = %in_proj : tensor<16x16xf32>) rows selected schedule<row_tile = 4, panel_tile = 1, single_row_panels = 4, row_split = 64, panel_split = 0> -> tensor<?x?x16xf32> {
    %p = sm1.kernel "in_proj" (%a = %x : tensor<?x?x16xf32>, %b = %w : tensor<16x16xf32>)
        rows selected schedule<row_tile = 4, panel_tile = 1, single_row_panels = 4, row_split = 64, panel_split = 0> -> tensor<?x?x16xf32> {
      // CHECK: %in_proj_out = sm1.linear %{{.*}}, %[[W]] : tensor<?x?x16xf32>, tensor<16x16xf32>
      %l = sm1.linear %a, %b : tensor<?x?x16xf32>, tensor<16x16xf32>
      sm1.yield %l : tensor<?x?x16xf32>
    }
    // CHECK: sm1.kernel "gate" (%{{.*}} = %in_proj_0 : tensor<?x?x16xf32>, %{{.*}} = %{{.*}} : tensor<?x16xf32>) -> (tensor<?x?x16xf32>, tensor<?x16xf32>) attributes {note = "kept"} {
    %q:2 = sm1.kernel "gate" (%a = %p : tensor<?x?x16xf32>, %h = %s : tensor<?x16xf32>) -> (tensor<?x?x16xf32>, tensor<?x16xf32>)
        attributes {note = "kept"} {
      %m, %last = sm1.scan %a, %a init %h : tensor<?x?x16xf32>
      sm1.yield %m, %last : tensor<?x?x16xf32>, tensor<?x16xf32>
    }
    sm1.yield %q#0, %q#1 : tensor<?x?x16xf32>, tensor<?x16xf32>
  }
  return %r#0 : tensor<?x?x16xf32>
}

func.func private @task(memref<?x16xf32>, memref<?x16xf32>)

// CHECK-LABEL: func.func @dispatches
func.func @dispatches(%x: tensor<?x?x16xf32>) -> tensor<?x?x16xf32> {
  // CHECK: %task = sm1.launch sync(none) -> tensor<?x?x16xf32> {
  %r = sm1.launch sync(none) -> tensor<?x?x16xf32> {
    // CHECK: sm1.dispatch @task(%{{.*}}) panels 1 scratch 4096 schedule <row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 0, panel_split = 0> selected : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    %k = sm1.dispatch @task(%x) panels 1 scratch 4096
        schedule <row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 0, panel_split = 0> selected
        : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    sm1.yield %k : tensor<?x?x16xf32>
  }
  // CHECK: sm1.launch sync(grid) {
  sm1.launch sync(grid) {
    sm1.yield
  }
  return %r : tensor<?x?x16xf32>
}
