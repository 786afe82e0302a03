// Tiles for a warpgroup's instructions, where the target has them and rows are not few: the published model's projections.
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90a" | FileCheck %s --check-prefixes=CHECK,MANY
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90a entry=prefill_some" | FileCheck %s --check-prefixes=CHECK,SOME
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90a entry=prefill_most" | FileCheck %s --check-prefix=MOSTROWS
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90a entry=prefill_large" | FileCheck %s --check-prefix=LARGE
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90a entry=prefill_larger" | FileCheck %s --check-prefix=LARGER
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90a entry=prefill_several" | FileCheck %s --check-prefix=SEVERAL
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90a entry=prefill_few" | FileCheck %s --check-prefixes=SHARED,FEW,WAVES
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90a entry=step_some" | FileCheck %s --check-prefixes=SHARED,FEW,WAVES
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90a entry=step_few" | FileCheck %s --check-prefixes=SHARED,FEW,CLUSTERS
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90a entry=step_several" | FileCheck %s --check-prefixes=SHARED,FEW,CLUSTERS
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90a entry=step_many" | FileCheck %s --check-prefix=STEPS
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90a entry=step_most" | FileCheck %s --check-prefix=MOST
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90a entry=step" | FileCheck %s --check-prefix=STEP
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90" | FileCheck %s --check-prefix=OTHER

// Panels are divided without rest, what is copied fits a multiprocessor, and there are enough tiles to fill the chip, in whole
// rounds where a block has one. Of many rows a block has two at a time and goes on to others, of one of two projections whose sums
// are stored as they are: 176 channels of it, where it would have 64 of both. 20 channels are too few for a tile. Of few
// rows, and in a step, clusters share the k of one matrix, and that of three where one tile has all rows of a step.
// Of most sequences two warpgroups share the panels of several matrices, 128 rows each. Prompts of several rows have the tiles of
// steps of many sequences, and start the next kernel when they start.
// CHECK-LABEL: sm1.model @projections
// MANY: sm1.param "out" {layout = "images"}
// MANY: sm1.param "tiny" {layout = "fragments"}
// MANY: sm1.kernel "out" ({{.*}}) blocks<wgmma_tiles, threads = 384, row_tile = 128, row_split = 128, panel_split = 11, stages = 5> ->
// MANY: sm1.kernel "gate" ({{.*}}) blocks<wgmma_tiles, threads = 384, row_tile = 128, row_split = 128, panel_split = 6, stages = 5> ->
// MANY: sm1.kernel "parts" ({{.*}}) blocks<wgmma_tiles, threads = 384, row_tile = 128, row_split = 128, panel_split = 11, stages = 5> ->
// MANY: sm1.kernel "tiny" ({{.*}}) blocks<tensor_tiles,
// SOME: sm1.kernel "out_some" ({{.*}}) blocks<wgmma_tiles, threads = 128, row_tile = 64, row_split = 64, panel_split = 4, stages = 8> ->
// SOME: sm1.kernel "gate_some" ({{.*}}) blocks<wgmma_tiles, threads = 128, row_tile = 64, row_split = 64, panel_split = 8, stages = 5> ->
// SOME: sm1.kernel "parts_some" ({{.*}}) blocks<wgmma_tiles, threads = 128, row_tile = 64, row_split = 64, panel_split = 8, stages = 5> ->
// MOSTROWS: sm1.kernel "out_most" ({{.*}}) blocks<wgmma_tiles, threads = 128, row_tile = 64, row_split = 64, panel_split = 4, stages = 6, depth_split = 2> ->
// MOSTROWS: sm1.kernel "parts_most" ({{.*}}) blocks<wgmma_tiles, threads = 128, row_tile = 64, row_split = 64, panel_split = 11, stages = 4> ->
// LARGE: sm1.kernel "out_large" ({{.*}}) blocks<wgmma_tiles, threads = 128, row_tile = 64, row_split = 64, panel_split = 11, stages = 7> ->
// LARGER: sm1.kernel "out_larger" ({{.*}}) blocks<wgmma_tiles, threads = 128, row_tile = 64, row_split = 64, panel_split = 11, stages = 7> ->
// LARGER: sm1.kernel "gate" ({{.*}}) blocks<wgmma_tiles, threads = 384, row_tile = 128, row_split = 128, panel_split = 6, stages = 5> ->
// SEVERAL: sm1.kernel "out_several" ({{.*}}) blocks<wgmma_tiles, threads = 128, row_tile = 64, row_split = 64, panel_split = 4, stages = 6, depth_split = 2> ->
// SEVERAL: attributes {few_rows, starts_next}
// SEVERAL: sm1.kernel "gate_several" ({{.*}}) blocks<wgmma_tiles, threads = 128, row_tile = 64, row_split = 64, panel_split = 4, stages = 8> ->
// SEVERAL: sm1.kernel "three_several" ({{.*}}) blocks<wgmma_tiles, threads = 128, row_tile = 64, row_split = 64, panel_split = 4, stages = 7> ->
// STEPS: sm1.kernel "out_step_many" ({{.*}}) blocks<wgmma_tiles, threads = 128, row_tile = 64, row_split = 64, panel_split = 4, stages = 6, depth_split = 2> ->
// STEPS: sm1.kernel "gate_step_many" ({{.*}}) blocks<wgmma_tiles, threads = 128, row_tile = 64, row_split = 64, panel_split = 4, stages = 8> ->
// MOST: sm1.kernel "out_step_most" ({{.*}}) blocks<wgmma_tiles, threads = 128, row_tile = 64, row_split = 64, panel_split = 4, stages = 8> ->
// MOST: sm1.kernel "gate_step_most" ({{.*}}) blocks<wgmma_tiles, threads = 256, row_tile = 128, row_split = 128, panel_split = 4, stages = 7> ->
// MOST: sm1.kernel "three_step_most" ({{.*}}) blocks<wgmma_tiles, threads = 256, row_tile = 128, row_split = 128, panel_split = 4, stages = 5> ->
// SHARED: sm1.kernel "out_{{few|step_few|step_some}}" ({{.*}}) blocks<wgmma_tiles, threads = 128, row_tile = 64, row_split = 64, panel_split = 4, stages = 6, depth_split = 2> ->
// FEW: sm1.kernel "gate_{{few|step_few|step_some}}" ({{.*}}) blocks<wgmma_tiles, threads = 128, row_tile = 64, row_split = 64, panel_split = 2, stages = 11> ->
// WAVES: sm1.kernel "three_{{few|step_some}}" ({{.*}}) blocks<wgmma_tiles, threads = 128, row_tile = 64, row_split = 64, panel_split = 2, stages = {{[0-9]+}}> ->
// CLUSTERS: sm1.kernel "three_step_few" ({{.*}}) blocks<wgmma_tiles, threads = 128, row_tile = 64, row_split = 64, panel_split = 2, stages = 11, depth_split = 2> ->
// STEP: sm1.kernel "out_step" ({{.*}}) blocks<tensor_step,
// OTHER: sm1.kernel "out" ({{.*}}) blocks<tensor_tiles,
!h = tensor<?x?x704xbf16>
!y = tensor<?x?x704xf32>
!g = tensor<?x?x1920xf32>
!p = tensor<?x?x1408xf32>
!t = tensor<?x?x20xf32>
!d = tensor<?x?x1408xbf16>
sm1.model @projections(%x: !y {sm1.name = "x"}, %z: !p {sm1.name = "z"}) -> (!y {sm1.name = "y"}, !g {sm1.name = "g"}, !p {sm1.name = "p"}, !p {sm1.name = "q"}, !t {sm1.name = "t"}, !p {sm1.name = "r"}) {
  %o = sm1.param "out" : tensor<704x704xbf16>
  %a = sm1.param "a" : tensor<1920x704xbf16>
  %b = sm1.param "b" : tensor<1920x704xbf16>
  %d = sm1.param "d" : tensor<1408x704xbf16>
  %e = sm1.param "e" : tensor<1408x704xbf16>
  %c = sm1.param "tiny" : tensor<20x704xbf16>
  %h = sm1.kernel "round" (%x0 = %x : !y) -> !h {
    %0 = arith.truncf %x0 : !y to !h
    sm1.yield %0 : !h
  }
  %y = sm1.kernel "out" (%h0 = %h : !h, %o0 = %o : tensor<704x704xbf16>) -> !y {
    %0 = sm1.linear %h0, %o0 : !h, tensor<704x704xbf16>
    sm1.yield %0 : !y
  }
  %g = sm1.kernel "gate" (%h0 = %h : !h, %a0 = %a : tensor<1920x704xbf16>, %b0 = %b : tensor<1920x704xbf16>) -> !g {
    %0 = sm1.linear %h0, %a0 : !h, tensor<1920x704xbf16>
    %1 = sm1.linear %h0, %b0 : !h, tensor<1920x704xbf16>
    %2 = arith.mulf %0, %1 : !g
    sm1.yield %2 : !g
  }
  %p:2 = sm1.kernel "parts" (%h0 = %h : !h, %d0 = %d : tensor<1408x704xbf16>, %e0 = %e : tensor<1408x704xbf16>) -> (!p, !p) {
    %0 = sm1.linear %h0, %d0 : !h, tensor<1408x704xbf16>
    %1 = sm1.linear %h0, %e0 : !h, tensor<1408x704xbf16>
    sm1.yield %0, %1 : !p, !p
  }
  %t = sm1.kernel "tiny" (%h0 = %h : !h, %c0 = %c : tensor<20x704xbf16>) -> !t {
    %0 = sm1.linear %h0, %c0 : !h, tensor<20x704xbf16>
    sm1.yield %0 : !t
  }
  %u = sm1.param "u" : tensor<1408x1408xbf16>
  %v = sm1.param "v" : tensor<1408x1408xbf16>
  %w = sm1.param "w" : tensor<1408x1408xbf16>
  %k = sm1.kernel "narrow" (%z0 = %z : !p) -> !d {
    %0 = arith.truncf %z0 : !p to !d
    sm1.yield %0 : !d
  }
  %r = sm1.kernel "three" (%k0 = %k : !d, %u0 = %u : tensor<1408x1408xbf16>, %v0 = %v : tensor<1408x1408xbf16>, %w0 = %w : tensor<1408x1408xbf16>) -> !p {
    %0 = sm1.linear %k0, %u0 : !d, tensor<1408x1408xbf16>
    %1 = sm1.linear %k0, %v0 : !d, tensor<1408x1408xbf16>
    %2 = sm1.linear %k0, %w0 : !d, tensor<1408x1408xbf16>
    %3 = arith.mulf %0, %1 : !p
    %4 = arith.addf %3, %2 : !p
    sm1.yield %4 : !p
  }
  sm1.return %y, %g, %p#0, %p#1, %t, %r : !y, !g, !p, !p, !t, !p
}
