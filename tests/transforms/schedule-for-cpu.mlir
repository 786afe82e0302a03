// RUN: sm1-opt %s -sm1-schedule-for-cpu=target=x86-64-v4-amx -split-input-file -verify-diagnostics | FileCheck %s --check-prefixes=CHECK,AMX
// RUN: sm1-opt %s -sm1-schedule-for-cpu=target=x86-64-v4-bf16 -split-input-file -verify-diagnostics | FileCheck %s --check-prefixes=CHECK,BF16
// RUN: sm1-opt %s -sm1-schedule-for-cpu=target=x86-64-v4-vnni -split-input-file -verify-diagnostics | FileCheck %s --check-prefixes=CHECK,VNNI
// RUN: sm1-opt %s -sm1-schedule-for-cpu=target=x86-64-v4 -split-input-file -verify-diagnostics | FileCheck %s --check-prefixes=CHECK,V4
// RUN: sm1-opt %s -sm1-schedule-for-cpu=target=x86-64-v3 -split-input-file -verify-diagnostics | FileCheck %s --check-prefixes=CHECK,V3
// RUN: not sm1-opt %s -split-input-file -sm1-schedule-for-cpu=target=x86-64-v2 2>&1 | FileCheck %s --check-prefix=TARGET

// TARGET: error: no CPU target called 'x86-64-v2'

// Tiles are what the cost model finds: the more projections in a kernel, the fewer panels. AVX2 has half as many
// registers, of half the width, so that projections get tiles of their own there. A scan walks all rows itself (row_split = 0).
// CHECK-LABEL: sm1.model @tiles
sm1.model @tiles(%x: tensor<?x?x704xf32> {sm1.name = "x"}) -> (tensor<?x?x64xf32> {sm1.name = "one"}, tensor<?x?x64xf32> {sm1.name = "two"},
    tensor<?x?x64xf32> {sm1.name = "three"}, tensor<?x?x64xf32> {sm1.name = "scanned"}) {
  %a = sm1.param "a" : tensor<64x704xf32>
  %b = sm1.param "b" : tensor<64x704xf32>
  %c = sm1.param "c" : tensor<64x704xf32>
  // V4: sm1.kernel "one" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2> ->
  // V3: sm1.kernel "one" ({{.*}}) schedule<row_tile = 6, panel_tile = 1, single_row_panels = 4, row_split = 90, panel_split = 2> ->
  %one = sm1.kernel "one" (%x0 = %x : tensor<?x?x704xf32>, %a0 = %a : tensor<64x704xf32>) -> tensor<?x?x64xf32> {
    %0 = sm1.linear %x0, %a0 : tensor<?x?x704xf32>, tensor<64x704xf32>
    sm1.yield %0 : tensor<?x?x64xf32>
  }
  // V4: sm1.kernel "two" ({{.*}}) schedule<row_tile = 8, panel_tile = 1, single_row_panels = 2, row_split = 128, panel_split = 2> ->
  // V3: sm1.kernel "two" ({{.*}}) schedule<row_tile = 6, panel_tile = 1, single_row_panels = 2, row_split = 90, panel_split = 2, apart> ->
  %two = sm1.kernel "two" (%x0 = %x : tensor<?x?x704xf32>, %a0 = %a : tensor<64x704xf32>, %b0 = %b : tensor<64x704xf32>) -> tensor<?x?x64xf32> {
    %0 = sm1.linear %x0, %a0 : tensor<?x?x704xf32>, tensor<64x704xf32>
    %1 = sm1.linear %x0, %b0 : tensor<?x?x704xf32>, tensor<64x704xf32>
    %2 = arith.mulf %0, %1 : tensor<?x?x64xf32>
    sm1.yield %2 : tensor<?x?x64xf32>
  }
  // V4: sm1.kernel "three" ({{.*}}) schedule<row_tile = 8, panel_tile = 1, single_row_panels = 2, row_split = 128, panel_split = 2> ->
  // V3: sm1.kernel "three" ({{.*}}) schedule<row_tile = 6, panel_tile = 1, single_row_panels = 2, row_split = 90, panel_split = 2, apart> ->
  %three = sm1.kernel "three" (%x0 = %x : tensor<?x?x704xf32>, %a0 = %a : tensor<64x704xf32>, %b0 = %b : tensor<64x704xf32>, %c0 = %c : tensor<64x704xf32>)
      -> tensor<?x?x64xf32> {
    %0 = sm1.linear %x0, %a0 : tensor<?x?x704xf32>, tensor<64x704xf32>
    %1 = sm1.linear %x0, %b0 : tensor<?x?x704xf32>, tensor<64x704xf32>
    %2 = sm1.linear %x0, %c0 : tensor<?x?x704xf32>, tensor<64x704xf32>
    %3 = math.fma %0, %1, %2 : tensor<?x?x64xf32>
    sm1.yield %3 : tensor<?x?x64xf32>
  }
  // V4: sm1.kernel "scanned" ({{.*}}) schedule<row_tile = 8, panel_tile = 1, single_row_panels = 2, row_split = 0, panel_split = 2> ->
  // V3: sm1.kernel "scanned" ({{.*}}) schedule<row_tile = 6, panel_tile = 1, single_row_panels = 2, row_split = 0, panel_split = 2, apart> ->
  %scanned = sm1.kernel "scanned" (%x0 = %x : tensor<?x?x704xf32>, %a0 = %a : tensor<64x704xf32>, %b0 = %b : tensor<64x704xf32>) -> tensor<?x?x64xf32> {
    %0 = sm1.linear %x0, %a0 : tensor<?x?x704xf32>, tensor<64x704xf32>
    %1 = sm1.linear %x0, %b0 : tensor<?x?x704xf32>, tensor<64x704xf32>
    %h, %last = sm1.scan %0, %1 : tensor<?x?x64xf32>
    sm1.yield %h : tensor<?x?x64xf32>
  }
  sm1.return %one, %two, %three, %scanned : tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>
}

// -----

// Without projections a tile is one row of several panels; a norm of its own values keeps whole rows (panel_split = 0). A scan of what
// others made waits for memory: each of its tasks wants a thread and long pieces of rows.
// CHECK-LABEL: sm1.model @no_projections
sm1.model @no_projections(%x: tensor<?x?x64xf32> {sm1.name = "x"})
    -> (tensor<?x?x64xf32> {sm1.name = "e"}, tensor<?x?x64xf32> {sm1.name = "h"}, tensor<?x?x64xf32> {sm1.name = "r"}) {
  %n = sm1.param "n" : tensor<64xf32>
  // V4: sm1.kernel "elementwise" ({{.*}}) schedule<row_tile = 1, panel_tile = 4, single_row_panels = 4, row_split = 16, panel_split = 4> ->
  // V3: sm1.kernel "elementwise" ({{.*}}) schedule<row_tile = 1, panel_tile = 2, single_row_panels = 2, row_split = 16, panel_split = 2> ->
  %e = sm1.kernel "elementwise" (%x0 = %x : tensor<?x?x64xf32>) -> tensor<?x?x64xf32> {
    %0 = math.exp %x0 : tensor<?x?x64xf32>
    sm1.yield %0 : tensor<?x?x64xf32>
  }
  // CHECK: sm1.kernel "recurrence" ({{.*}}) schedule<row_tile = 1, panel_tile = 2, single_row_panels = 2, row_split = 0, panel_split = 2> -> {{.*}} attributes {alone} {
  %h = sm1.kernel "recurrence" (%x0 = %x : tensor<?x?x64xf32>) -> tensor<?x?x64xf32> {
    %0, %last = sm1.scan %x0, %x0 : tensor<?x?x64xf32>
    sm1.yield %0 : tensor<?x?x64xf32>
  }
  // CHECK: sm1.kernel "norm" ({{.*}}) schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 8, panel_split = 0> ->
  %r = sm1.kernel "norm" (%x0 = %x : tensor<?x?x64xf32>, %n0 = %n : tensor<64xf32>) -> tensor<?x?x64xf32> {
    %0 = sm1.rms_norm %x0, %n0 eps 1.0e-6 : tensor<?x?x64xf32>
    sm1.yield %0 : tensor<?x?x64xf32>
  }
  sm1.return %e, %h, %r : tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>
}

// -----

// What each target multiplies bf16 and integers with, and how their matrices lie. With VNNI alone bf16 are multiplied as without. A sum of bf16 by fused multiply-adds takes two
// registers; x in bf16 or int8 takes instructions for each row, which many panels share. Six tile registers make the sums of 48 rows by 2 panels, or of 32 rows by 1 panel of three projections; they want rows of whole
// 64 bytes. What is stored narrower than it is multiplied is unpacked once where 24 rows need it, int4 by a table of 16 lanes.
// CHECK-LABEL: sm1.model @narrow
// CHECK: sm1.param "a" {layout = "pairs"} : tensor<64x64xbf16>
// CHECK: sm1.param "b" quantised <bits = 8, group = 0, columns = 64> {layout = "quads"} : tensor<64x64xi8>
// CHECK: sm1.param "b" quantised <bits = 8, group = 0, columns = 64> {layout = "scales"} : tensor<64x1xf32>
// CHECK: sm1.param "c" quantised <bits = 4, group = 32, columns = 64> {layout = "nibbles"} : tensor<64x64xi4>
// CHECK: sm1.param "c" quantised <bits = 4, group = 32, columns = 64> {layout = "scales"} : tensor<64x2xf16>
sm1.model @narrow(%x: tensor<?x?x64xf32> {sm1.name = "x"}, %z: tensor<?x?x40xf32> {sm1.name = "z"})
    -> (tensor<?x?x64xf32> {sm1.name = "y0"}, tensor<?x?x64xf32> {sm1.name = "y1"}, tensor<?x?x64xf32> {sm1.name = "y2"},
        tensor<?x?x64xf32> {sm1.name = "y3"}, tensor<?x?x64xf32> {sm1.name = "y4"}, tensor<?x?x64xf32> {sm1.name = "y5"},
        tensor<?x?x64xf32> {sm1.name = "y6"}, tensor<?x?x64xf32> {sm1.name = "y7"},
        tensor<?x?x64xf32> {sm1.name = "y8"}) {
  %a = sm1.param "a" : tensor<64x64xbf16>
  %b = sm1.param "b" quantised <bits = 8, group = 0, columns = 64> : tensor<64x64xi8>
  %bs = sm1.param "b" quantised <bits = 8, group = 0, columns = 64> : tensor<64x1xf32>
  %c = sm1.param "c" quantised <bits = 4, group = 32, columns = 64> : tensor<64x64xi4>
  %cs = sm1.param "c" quantised <bits = 4, group = 32, columns = 64> : tensor<64x2xf16>
  %d = sm1.param "d" quantised <bits = 8, group = 0, columns = 40> : tensor<64x40xi8>
  %ds = sm1.param "d" quantised <bits = 8, group = 0, columns = 40> : tensor<64x1xf32>
  // AMX: sm1.kernel "bf16" ({{.*}}) schedule<row_tile = 6, panel_tile = 2, single_row_panels = 4, row_split = 256, panel_split = 2, matrix_rows = 32, matrix_panels = 2> ->
  // BF16: sm1.kernel "bf16" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, products = dot> ->
  // VNNI: sm1.kernel "bf16" ({{.*}}) schedule<row_tile = 6, panel_tile = 2, single_row_panels = 4, row_split = 126, panel_split = 2, widen_rows = 24> ->
  // V4: sm1.kernel "bf16" ({{.*}}) schedule<row_tile = 6, panel_tile = 2, single_row_panels = 4, row_split = 126, panel_split = 2, widen_rows = 24> ->
  // V3: sm1.kernel "bf16" ({{.*}}) schedule<row_tile = 2, panel_tile = 1, single_row_panels = 4, row_split = 128, panel_split = 2, widen_rows = 24> ->
  %y0 = sm1.kernel "bf16" (%x0 = %x : tensor<?x?x64xf32>, %a0 = %a : tensor<64x64xbf16>) -> tensor<?x?x64xf32> {
    %r = arith.truncf %x0 : tensor<?x?x64xf32> to tensor<?x?x64xbf16>
    %0 = sm1.linear %r, %a0 : tensor<?x?x64xbf16>, tensor<64x64xbf16>
    sm1.yield %0 : tensor<?x?x64xf32>
  }
  // AMX: sm1.kernel "bf16_three" ({{.*}}) schedule<row_tile = 4, panel_tile = 1, single_row_panels = 2, row_split = 256, panel_split = 2, matrix_rows = 32, matrix_panels = 2> ->
  // BF16: sm1.kernel "bf16_three" ({{.*}}) schedule<row_tile = 8, panel_tile = 1, single_row_panels = 2, row_split = 128, panel_split = 2, products = dot> ->
  // VNNI: sm1.kernel "bf16_three" ({{.*}}) schedule<row_tile = 4, panel_tile = 1, single_row_panels = 2, row_split = 128, panel_split = 2, widen_rows = 24> ->
  // V4: sm1.kernel "bf16_three" ({{.*}}) schedule<row_tile = 4, panel_tile = 1, single_row_panels = 2, row_split = 128, panel_split = 2, widen_rows = 24> ->
  // V3: sm1.kernel "bf16_three" ({{.*}}) schedule<row_tile = 2, panel_tile = 1, single_row_panels = 2, row_split = 128, panel_split = 2, apart, widen_rows = 24> ->
  %y1 = sm1.kernel "bf16_three" (%x0 = %x : tensor<?x?x64xf32>, %a0 = %a : tensor<64x64xbf16>) -> tensor<?x?x64xf32> {
    %r = arith.truncf %x0 : tensor<?x?x64xf32> to tensor<?x?x64xbf16>
    %1 = sm1.linear %r, %a0 : tensor<?x?x64xbf16>, tensor<64x64xbf16>
    %2 = sm1.linear %r, %a0 : tensor<?x?x64xbf16>, tensor<64x64xbf16>
    %3 = sm1.linear %r, %a0 : tensor<?x?x64xbf16>, tensor<64x64xbf16>
    %0 = math.fma %1, %2, %3 : tensor<?x?x64xf32>
    sm1.yield %0 : tensor<?x?x64xf32>
  }
  // AMX: sm1.kernel "stored_bf16" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, widen_rows = 24> ->
  // BF16: sm1.kernel "stored_bf16" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, widen_rows = 24> ->
  // VNNI: sm1.kernel "stored_bf16" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, widen_rows = 24> ->
  // V4: sm1.kernel "stored_bf16" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, widen_rows = 24> ->
  // V3: sm1.kernel "stored_bf16" ({{.*}}) schedule<row_tile = 6, panel_tile = 1, single_row_panels = 4, row_split = 126, panel_split = 2, widen_rows = 24> ->
  %y2 = sm1.kernel "stored_bf16" (%x0 = %x : tensor<?x?x64xf32>, %a0 = %a : tensor<64x64xbf16>) -> tensor<?x?x64xf32> {
    %0 = sm1.linear %x0, %a0 : tensor<?x?x64xf32>, tensor<64x64xbf16>
    sm1.yield %0 : tensor<?x?x64xf32>
  }
  // AMX: sm1.kernel "stored_int8" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, widen_rows = 24> ->
  // BF16: sm1.kernel "stored_int8" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, widen_rows = 24> ->
  // VNNI: sm1.kernel "stored_int8" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, widen_rows = 24> ->
  // V4: sm1.kernel "stored_int8" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, widen_rows = 24> ->
  // V3: sm1.kernel "stored_int8" ({{.*}}) schedule<row_tile = 6, panel_tile = 1, single_row_panels = 4, row_split = 126, panel_split = 2, widen_rows = 24> ->
  %y3 = sm1.kernel "stored_int8" (%x0 = %x : tensor<?x?x64xf32>, %b0 = %b : tensor<64x64xi8>, %s0 = %bs : tensor<64x1xf32>) -> tensor<?x?x64xf32> {
    %0 = sm1.linear %x0, %b0 scales %s0 : tensor<?x?x64xf32>, tensor<64x64xi8>, tensor<64x1xf32>
    sm1.yield %0 : tensor<?x?x64xf32>
  }
  // AMX: sm1.kernel "int8" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 240, panel_split = 2, products = dot, matrix_rows = 48, matrix_panels = 2> ->
  // BF16: sm1.kernel "int8" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, products = dot> ->
  // VNNI: sm1.kernel "int8" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, products = dot> ->
  // V4: sm1.kernel "int8" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, products = dot> ->
  // V3: sm1.kernel "int8" ({{.*}}) schedule<row_tile = 4, panel_tile = 1, single_row_panels = 2, row_split = 128, panel_split = 2, products = dot> ->
  %y4 = sm1.kernel "int8" (%x0 = %x : tensor<?x?x64xf32>, %b0 = %b : tensor<64x64xi8>, %s0 = %bs : tensor<64x1xf32>) -> tensor<?x?x64xf32> {
    %0 = sm1.linear %x0, %b0 scales %s0 int8 : tensor<?x?x64xf32>, tensor<64x64xi8>, tensor<64x1xf32>
    sm1.yield %0 : tensor<?x?x64xf32>
  }
  // AMX: sm1.kernel "int4" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 256, panel_split = 2, products = dot, matrix_rows = 16, matrix_panels = 2> ->
  // BF16: sm1.kernel "int4" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, products = dot> ->
  // VNNI: sm1.kernel "int4" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, products = dot> ->
  // V4: sm1.kernel "int4" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, products = dot> ->
  // V3: sm1.kernel "int4" ({{.*}}) schedule<row_tile = 2, panel_tile = 1, single_row_panels = 4, row_split = 128, panel_split = 2, products = dot> ->
  %y5 = sm1.kernel "int4" (%x0 = %x : tensor<?x?x64xf32>, %c0 = %c : tensor<64x64xi4>, %s0 = %cs : tensor<64x2xf16>) -> tensor<?x?x64xf32> {
    %0 = sm1.linear %x0, %c0 scales %s0 int8 : tensor<?x?x64xf32>, tensor<64x64xi4>, tensor<64x2xf16>
    sm1.yield %0 : tensor<?x?x64xf32>
  }
  // AMX: sm1.kernel "int4_three" ({{.*}}) schedule<row_tile = 8, panel_tile = 1, single_row_panels = 2, row_split = 256, panel_split = 2, products = dot, matrix_rows = 16, matrix_panels = 2> ->
  // BF16: sm1.kernel "int4_three" ({{.*}}) schedule<row_tile = 8, panel_tile = 1, single_row_panels = 2, row_split = 128, panel_split = 2, products = dot> ->
  // VNNI: sm1.kernel "int4_three" ({{.*}}) schedule<row_tile = 8, panel_tile = 1, single_row_panels = 2, row_split = 128, panel_split = 2, products = dot> ->
  // V4: sm1.kernel "int4_three"
  // V3: sm1.kernel "int4_three"
  %y8 = sm1.kernel "int4_three" (%x0 = %x : tensor<?x?x64xf32>, %c0 = %c : tensor<64x64xi4>, %s0 = %cs : tensor<64x2xf16>) -> tensor<?x?x64xf32> {
    %1 = sm1.linear %x0, %c0 scales %s0 int8 : tensor<?x?x64xf32>, tensor<64x64xi4>, tensor<64x2xf16>
    %2 = sm1.linear %x0, %c0 scales %s0 int8 : tensor<?x?x64xf32>, tensor<64x64xi4>, tensor<64x2xf16>
    %3 = sm1.linear %x0, %c0 scales %s0 int8 : tensor<?x?x64xf32>, tensor<64x64xi4>, tensor<64x2xf16>
    %0 = math.fma %1, %2, %3 : tensor<?x?x64xf32>
    sm1.yield %0 : tensor<?x?x64xf32>
  }
  // AMX: sm1.kernel "stored_int4" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, widen_rows = 24, products = table> ->
  // BF16: sm1.kernel "stored_int4" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, widen_rows = 24, products = table> ->
  // VNNI: sm1.kernel "stored_int4" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, widen_rows = 24, products = table> ->
  // V4: sm1.kernel "stored_int4" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, widen_rows = 24, products = table> ->
  // V3: sm1.kernel "stored_int4" ({{.*}}) schedule<row_tile = 6, panel_tile = 1, single_row_panels = 4, row_split = 126, panel_split = 2, widen_rows = 24> ->
  %y7 = sm1.kernel "stored_int4" (%x0 = %x : tensor<?x?x64xf32>, %c0 = %c : tensor<64x64xi4>, %s0 = %cs : tensor<64x2xf16>) -> tensor<?x?x64xf32> {
    %0 = sm1.linear %x0, %c0 scales %s0 : tensor<?x?x64xf32>, tensor<64x64xi4>, tensor<64x2xf16>
    sm1.yield %0 : tensor<?x?x64xf32>
  }
  // AMX: sm1.kernel "int8_rest" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, products = dot> ->
  // BF16: sm1.kernel "int8_rest" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, products = dot> ->
  // VNNI: sm1.kernel "int8_rest" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, products = dot> ->
  // V4: sm1.kernel "int8_rest" ({{.*}}) schedule<row_tile = 8, panel_tile = 2, single_row_panels = 4, row_split = 128, panel_split = 2, products = dot> ->
  // V3: sm1.kernel "int8_rest" ({{.*}}) schedule<row_tile = 4, panel_tile = 1, single_row_panels = 2, row_split = 128, panel_split = 2, products = dot> ->
  %y6 = sm1.kernel "int8_rest" (%x0 = %z : tensor<?x?x40xf32>, %d0 = %d : tensor<64x40xi8>, %s0 = %ds : tensor<64x1xf32>) -> tensor<?x?x64xf32> {
    %0 = sm1.linear %x0, %d0 scales %s0 int8 : tensor<?x?x40xf32>, tensor<64x40xi8>, tensor<64x1xf32>
    sm1.yield %0 : tensor<?x?x64xf32>
  }
  sm1.return %y0, %y1, %y2, %y3, %y4, %y5, %y6, %y7, %y8 : tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>, tensor<?x?x64xf32>
}

// -----

// A schedule that somebody wrote stays, and so does a launch. Every other kernel gets a launch of its own.
// CHECK-LABEL: sm1.model @kept
// CHECK: %[[P:.*]] = sm1.launch sync(none) -> tensor<?x?x8xf32> {
// CHECK-NEXT: %[[K:.*]] = sm1.kernel "mine" (%{{.*}} = %x : tensor<?x?x8xf32>) schedule<row_tile = 3, panel_tile = 1, single_row_panels = 5, row_split = 7, panel_split = 9> ->
// CHECK: sm1.yield %[[K]]
// CHECK: %[[Q:.*]] = sm1.launch sync(flags) -> tensor<?x?x8xf32> {
// CHECK: sm1.kernel "launched" ({{.*}} = %[[P]] : tensor<?x?x8xf32>) schedule<
// CHECK-NOT: sm1.launch
// CHECK: sm1.return %[[Q]]
sm1.model @kept(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %e = sm1.kernel "mine" (%x0 = %x : tensor<?x?x8xf32>)
      schedule<row_tile = 3, panel_tile = 1, single_row_panels = 5, row_split = 7, panel_split = 9> -> tensor<?x?x8xf32> {
    %0 = math.exp %x0 : tensor<?x?x8xf32>
    sm1.yield %0 : tensor<?x?x8xf32>
  }
  %y = sm1.launch sync(flags) -> tensor<?x?x8xf32> {
    %n = sm1.kernel "launched" (%x0 = %e : tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
      %0 = arith.negf %x0 : tensor<?x?x8xf32>
      sm1.yield %0 : tensor<?x?x8xf32>
    }
    sm1.yield %n : tensor<?x?x8xf32>
  }
  sm1.return %y : tensor<?x?x8xf32>
}

// -----

// Names of kernels are names of functions: unique over all models, also when one looks numbered already, and other than the models'.
// CHECK: sm1.kernel "exp"
// CHECK: sm1.kernel "exp_2"
// CHECK: sm1.kernel "exp_2_2"
// CHECK: sm1.kernel "exp_3"
// CHECK: sm1.kernel "scan_2"
sm1.model @names(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %0 = sm1.kernel "exp" (%a = %x : tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %v = math.exp %a : tensor<?x?x8xf32>
    sm1.yield %v : tensor<?x?x8xf32>
  }
  %1 = sm1.kernel "exp" (%a = %0 : tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %v = math.exp %a : tensor<?x?x8xf32>
    sm1.yield %v : tensor<?x?x8xf32>
  }
  %2 = sm1.kernel "exp_2" (%a = %1 : tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %v = math.exp %a : tensor<?x?x8xf32>
    sm1.yield %v : tensor<?x?x8xf32>
  }
  sm1.return %2 : tensor<?x?x8xf32>
}
sm1.model @scan(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %0 = sm1.kernel "exp" (%a = %x : tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %v = math.exp %a : tensor<?x?x8xf32>
    sm1.yield %v : tensor<?x?x8xf32>
  }
  %1 = sm1.kernel "scan" (%a = %0 : tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %h, %last = sm1.scan %a, %a : tensor<?x?x8xf32>
    sm1.yield %h : tensor<?x?x8xf32>
  }
  sm1.return %1 : tensor<?x?x8xf32>
}

// -----

// A table that is also the head is two weights of one tensor; what is read in one way stays one.
// CHECK-LABEL: sm1.model @layouts
// CHECK-DAG: %[[ROWS:.*]] = sm1.param "embed" {layout = "rows"} : tensor<37x8xf32>
// CHECK-DAG: %[[PANELS:.*]] = sm1.param "embed" {layout = "panels"} : tensor<37x8xf32>
// CHECK-DAG: %[[BIAS:.*]] = sm1.param "bias" {layout = "channels"} : tensor<37xf32>
// CHECK-NOT: sm1.param
// CHECK: sm1.kernel "embedding" ({{.*}} = %[[ROWS]] : tensor<37x8xf32>)
// CHECK: sm1.kernel "head" ({{.*}} = %[[PANELS]] : tensor<37x8xf32>, %{{.*}} = %[[BIAS]] : tensor<37xf32>)
// CHECK: sm1.kernel "again" ({{.*}} = %[[BIAS]] : tensor<37xf32>)
sm1.model @layouts(%t: tensor<?x?xi32> {sm1.name = "tokens"}) -> (tensor<?x?x37xf32> {sm1.name = "y"}) {
  %w = sm1.param "embed" : tensor<37x8xf32>
  %b = sm1.param "bias" : tensor<37xf32>
  %x = sm1.kernel "embedding" (%t0 = %t : tensor<?x?xi32>, %w0 = %w : tensor<37x8xf32>) -> tensor<?x?x8xf32> {
    %0 = sm1.embedding %t0, %w0 : tensor<?x?xi32>, tensor<37x8xf32>
    sm1.yield %0 : tensor<?x?x8xf32>
  }
  %y = sm1.kernel "head" (%x0 = %x : tensor<?x?x8xf32>, %w0 = %w : tensor<37x8xf32>, %b0 = %b : tensor<37xf32>) -> tensor<?x?x37xf32> {
    %0 = sm1.linear %x0, %w0 : tensor<?x?x8xf32>, tensor<37x8xf32>
    %1 = sm1.broadcast %b0 : tensor<37xf32> to tensor<?x?x37xf32>
    %2 = arith.addf %0, %1 : tensor<?x?x37xf32>
    sm1.yield %2 : tensor<?x?x37xf32>
  }
  %z = sm1.kernel "again" (%y0 = %y : tensor<?x?x37xf32>, %b0 = %b : tensor<37xf32>) -> tensor<?x?x37xf32> {
    %0 = sm1.broadcast %b0 : tensor<37xf32> to tensor<?x?x37xf32>
    %1 = arith.mulf %y0, %0 : tensor<?x?x37xf32>
    sm1.yield %1 : tensor<?x?x37xf32>
  }
  sm1.return %z : tensor<?x?x37xf32>
}

// -----

// A model of nothing needs no launch.
// CHECK-LABEL: sm1.model @nothing
// CHECK-NEXT: sm1.return %x
sm1.model @nothing(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  sm1.return %x : tensor<?x?x8xf32>
}

// -----

sm1.model @two_layouts(%t: tensor<?x?xi32> {sm1.name = "tokens"}, %x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %w = sm1.param "embed" : tensor<8x8xf32>
  // expected-error @+1 {{reads parameter 'embed' in two layouts; give it two sm1.param}}
  %y = sm1.kernel "k" (%t0 = %t : tensor<?x?xi32>, %x0 = %x : tensor<?x?x8xf32>, %w0 = %w : tensor<8x8xf32>) -> tensor<?x?x8xf32> {
    %0 = sm1.embedding %t0, %w0 : tensor<?x?xi32>, tensor<8x8xf32>
    %1 = sm1.linear %x0, %w0 : tensor<?x?x8xf32>, tensor<8x8xf32>
    %2 = arith.addf %0, %1 : tensor<?x?x8xf32>
    sm1.yield %2 : tensor<?x?x8xf32>
  }
  sm1.return %y : tensor<?x?x8xf32>
}

// -----

// A scan walks all rows. Behind tile registers, whose speed asks for rows from the core's cache, it takes them in bands that fit half of it.
// AMX-LABEL: sm1.model @banded
!b = tensor<?x?x1408xbf16>
!s = tensor<?x?x64xf32>
sm1.model @banded(%x: tensor<?x?x1408xf32> {sm1.name = "x"}) -> (!s {sm1.name = "h"}) {
  %a = sm1.param "a" : tensor<64x1408xbf16>
  %r = sm1.kernel "rounded" (%x0 = %x : tensor<?x?x1408xf32>) -> !b {
    %0 = arith.truncf %x0 : tensor<?x?x1408xf32> to !b
    sm1.yield %0 : !b
  }
  // AMX: sm1.kernel "scanned" ({{.*}}) schedule<row_tile = 6, panel_tile = 2, single_row_panels = 4, row_split = 0, panel_split = 2, row_band = 256, matrix_rows = 32, matrix_panels = 2> ->
  // V4: sm1.kernel "scanned" ({{.*}}) schedule<row_tile = 6, panel_tile = 2, single_row_panels = 4, row_split = 0, panel_split = 2, widen_rows = 24> ->
  %h = sm1.kernel "scanned" (%x0 = %r : !b, %a0 = %a : tensor<64x1408xbf16>) -> !s {
    %p = sm1.linear %x0, %a0 : !b, tensor<64x1408xbf16>
    %0, %last = sm1.scan %p, %p : !s
    sm1.yield %0 : !s
  }
  sm1.return %h : !s
}
