// Kernels of e4m3: names that programs without it do not have, of many rows tiles of one warpgroup in a block that goes on to others,
// scales beside the images. A matrix of 20 channels makes a narrow tile, for there is no other form; what has no e4m3 is called and
// scheduled as ever.
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90a" | FileCheck %s --check-prefixes=CHECK,MANY
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90a entry=prefill_some" | FileCheck %s --check-prefixes=CHECK,SOME
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_120" | FileCheck %s --check-prefix=MMA

// CHECK-LABEL: sm1.model @gates
// CHECK-DAG: sm1.param "a" quantised <bits = 8, group = 0, columns = 704> {layout = "images"} : tensor<1920x704xf8E4M3FN>
// CHECK-DAG: sm1.param "a" quantised <bits = 8, group = 0, columns = 704> {layout = "scales"} : tensor<1920x1xf32>
// CHECK: sm1.kernel "norm_fp8" ({{.*}}) blocks<rows,
// MANY: sm1.kernel "gate_fp8" ({{.*}}) blocks<wgmma_tiles, threads = 384, row_tile = 128, row_split = 128, panel_split = 5, stages = 6> ->
// SOME: sm1.kernel "gate_fp8_some" ({{.*}}) blocks<wgmma_tiles,
// CHECK: sm1.kernel "tiny_fp8{{(_some)?}}" ({{.*}}) blocks<wgmma_tiles, {{.*}} panel_split = {{[12]}},
// CHECK: sm1.kernel "square" ({{.*}}) blocks<rows,
// Where there is no wgmma, tiles on tensor cores are those of bf16.
// MMA-DAG: sm1.param "a" quantised <bits = 8, group = 0, columns = 704> {layout = "fragments"} : tensor<1920x704xf8E4M3FN>
// MMA-DAG: sm1.param "a" quantised <bits = 8, group = 0, columns = 704> {layout = "scales"} : tensor<1920x1xf32>
// MMA: sm1.kernel "gate_fp8" ({{.*}}) blocks<tensor_tiles, threads = 128, row_tile = 64, row_split = 128, panel_split = 4, stages = 3> ->
// MMA: sm1.kernel "tiny_fp8" ({{.*}}) blocks<tensor_tiles,
!x = tensor<?x?x704xf32>
!h = tensor<?x?x704xf8E4M3FN>
!g = tensor<?x?x1920xf32>
!t = tensor<?x?x20xf32>
!w = tensor<1920x704xf8E4M3FN>
sm1.model @gates(%x: !x {sm1.name = "x"}) -> (!g {sm1.name = "g"}, !t {sm1.name = "t"}, !x {sm1.name = "s"}) {
  %n = sm1.param "n" : tensor<704xf32>
  %a = sm1.param "a" quantised <bits = 8, group = 0, columns = 704> : !w
  %sa = sm1.param "a" quantised <bits = 8, group = 0, columns = 704> : tensor<1920x1xf32>
  %b = sm1.param "b" quantised <bits = 8, group = 0, columns = 704> : !w
  %sb = sm1.param "b" quantised <bits = 8, group = 0, columns = 704> : tensor<1920x1xf32>
  %c = sm1.param "tiny" quantised <bits = 8, group = 0, columns = 704> : tensor<20x704xf8E4M3FN>
  %sc = sm1.param "tiny" quantised <bits = 8, group = 0, columns = 704> : tensor<20x1xf32>
  %h = sm1.kernel "norm" (%x0 = %x : !x, %n0 = %n : tensor<704xf32>) -> !h {
    %0 = sm1.rms_norm %x0, %n0 eps 1.0e-6 : !x
    %1 = arith.truncf %0 : !x to !h
    sm1.yield %1 : !h
  }
  %g = sm1.kernel "gate" (%h0 = %h : !h, %a0 = %a : !w, %sa0 = %sa : tensor<1920x1xf32>, %b0 = %b : !w, %sb0 = %sb : tensor<1920x1xf32>) -> !g {
    %0 = sm1.linear %h0, %a0 scales %sa0 : !h, !w, tensor<1920x1xf32>
    %1 = sm1.linear %h0, %b0 scales %sb0 : !h, !w, tensor<1920x1xf32>
    %2 = arith.mulf %0, %1 : !g
    sm1.yield %2 : !g
  }
  %t = sm1.kernel "tiny" (%h0 = %h : !h, %c0 = %c : tensor<20x704xf8E4M3FN>, %sc0 = %sc : tensor<20x1xf32>) -> !t {
    %0 = sm1.linear %h0, %c0 scales %sc0 : !h, tensor<20x704xf8E4M3FN>, tensor<20x1xf32>
    sm1.yield %0 : !t
  }
  %s = sm1.kernel "square" (%x0 = %x : !x) -> !x {
    %0 = arith.mulf %x0, %x0 : !x
    sm1.yield %0 : !x
  }
  sm1.return %g, %t, %s : !g, !t, !x
}
