// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_120" -split-input-file -verify-diagnostics | FileCheck %s --check-prefixes=CHECK,PREFILL,ONE
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90" -split-input-file -verify-diagnostics | FileCheck %s --check-prefixes=CHECK,PREFILL,TWO
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_120 entry=prefill_few" -split-input-file -verify-diagnostics | FileCheck %s --check-prefixes=CHECK,FEW
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90 entry=prefill_some" -split-input-file -verify-diagnostics | FileCheck %s --check-prefixes=CHECK,SOME
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_120 entry=prefill_some" -split-input-file -verify-diagnostics | FileCheck %s --check-prefixes=CHECK,NARROW
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90 entry=step_some" -split-input-file -verify-diagnostics | FileCheck %s --check-prefixes=CHECK,STEPS
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_120 entry=step" -split-input-file -verify-diagnostics | FileCheck %s --check-prefixes=CHECK,STEP
// RUN: sm1-opt %s "-sm1-schedule-for-gpu=target=sm_90 compute=bf16" -split-input-file -verify-diagnostics | FileCheck %s --check-prefixes=CHECK,BF16
// RUN: not sm1-opt %s -split-input-file -sm1-schedule-for-gpu=target=sm_70 2>&1 | FileCheck %s --check-prefix=OLD
// RUN: not sm1-opt %s -split-input-file -sm1-schedule-for-gpu=target=x86-64-v4 2>&1 | FileCheck %s --check-prefix=CPU
// RUN: not sm1-opt %s -split-input-file "-sm1-schedule-for-gpu=target=sm_90 entry=prefil" 2>&1 | FileCheck %s --check-prefix=ENTRY

// OLD: error: no GPU target called 'sm_70'
// CPU: error: no GPU target called 'x86-64-v4'
// ENTRY: error: no entry called 'prefil'

// bf16 by bf16 goes to tensor cores, everything else to fused multiply-adds. One projection has tiles of 8 panels, or of 4
// where 8 do not divide its own, two or three have 4 each; the copy engine brings operands of many rows, to two blocks of a multiprocessor or, where
// there is no room for both, to one with as many warps; where rows are few, tiles are smaller and warps share k. A kernel of a step has a name of
// its own, and so has one on tensor cores for each size of a prefill.
// CHECK-LABEL: sm1.model @projections
// FEW: sm1.kernel "plain" ({{.*}}) blocks<tiles, threads = 256,
// PREFILL: sm1.kernel "plain" ({{.*}}) blocks<tiles, threads = 256, row_tile = 4, row_split = 64, panel_split = 4, stages = 1> ->
// STEP: sm1.kernel "plain_step" ({{.*}}) blocks<step, threads = {{[0-9]+}}, row_tile = {{[0-9]+}}, row_split = 16, panel_split = 1, stages = 1> ->
// PREFILL: sm1.kernel "stored" ({{.*}}) blocks<tiles,
// STEP: sm1.kernel "stored_step" ({{.*}}) blocks<step,
// ONE: sm1.kernel "tensor" ({{.*}}) blocks<tensor_tiles, threads = 256, row_tile = 32, row_split = 128, panel_split = 8, stages = 3> -> {{.*}} attributes {boxes} {
// TWO: sm1.kernel "tensor" ({{.*}}) blocks<tensor_tiles, threads = 128, row_tile = 32, row_split = 128, panel_split = 4, stages = 4> -> {{.*}} attributes {boxes} {
// FEW: sm1.kernel "tensor_few" ({{.*}}) blocks<tensor_tiles, threads = {{[0-9]+}}, row_tile = {{[0-9]+}}, row_split = {{[0-9]+}}, panel_split = 1, stages = {{[2-4]}}, depth_split = {{[48]}}> ->
// SOME: sm1.kernel "tensor_some" ({{.*}}) blocks<tensor_tiles,
// NARROW: sm1.kernel "tensor_some" ({{.*}}) blocks<tensor_tiles, threads = 128, row_tile = 16, row_split = 64, panel_split = 4, stages = 3> -> {{.*}} attributes {boxes} {
// STEPS: sm1.kernel "tensor_step_some" ({{.*}}) blocks<tensor_tiles, {{.*}}, depth_split = {{[48]}}> ->
// STEP: sm1.kernel "tensor_step" ({{.*}}) blocks<tensor_step, threads = {{[0-9]+}}, row_tile = {{[0-9]+}}, row_split = {{[0-9]+}}, panel_split = 1, stages = 1> ->
// ONE: sm1.kernel "pair" ({{.*}}) blocks<tensor_tiles, threads = 256, row_tile = 64, row_split = 256, panel_split = 4, stages = 2> -> {{.*}} attributes {boxes} {
// TWO: sm1.kernel "pair" ({{.*}}) blocks<tensor_tiles, threads = 128, row_tile = 64, row_split = 128, panel_split = 4, stages = 3> -> {{.*}} attributes {boxes} {
// NARROW: sm1.kernel "pair_some" ({{.*}}) blocks<tensor_tiles, threads = 256, row_tile = 32, row_split = 128, panel_split = 4, stages = 3> -> {{.*}} attributes {boxes} {
// STEP: sm1.kernel "pair_step" ({{.*}}) blocks<tensor_step,
// ONE: sm1.kernel "three" ({{.*}}) blocks<tensor_tiles, threads = 256, row_tile = 48, row_split = 192, panel_split = 4, stages = 2> -> tensor<?x?x64xf32> attributes {boxes} {
// TWO: sm1.kernel "three" ({{.*}}) blocks<tensor_tiles, threads = 128, row_tile = 48, row_split = 96, panel_split = 4, stages = 3> -> tensor<?x?x64xf32> attributes {boxes} {
// SOME: sm1.kernel "three_some" ({{.*}}) blocks<tensor_tiles, {{.*}}, depth_split = 2> ->
// STEPS: sm1.kernel "three_step_some" ({{.*}}) blocks<tensor_tiles, {{.*}}, depth_split = 4> ->
!x = tensor<?x?x704xf32>
!h = tensor<?x?x704xbf16>
!y = tensor<?x?x64xf32>
!w = tensor<64x704xbf16>
sm1.model @projections(%x: !x {sm1.name = "x"}) -> (!y {sm1.name = "y"}) {
  %h = sm1.kernel "round" (%x0 = %x : !x) -> !h {
    %0 = arith.truncf %x0 : !x to !h
    sm1.yield %0 : !h
  }
  %f = sm1.param "f" : tensor<64x704xf32>
  %a = sm1.param "a" : !w
  %b = sm1.param "b" : !w
  %c = sm1.param "c" : !w
  %plain = sm1.kernel "plain" (%x0 = %x : !x, %f0 = %f : tensor<64x704xf32>) -> !y {
    %0 = sm1.linear %x0, %f0 : !x, tensor<64x704xf32>
    sm1.yield %0 : !y
  }
  %stored = sm1.kernel "stored" (%x0 = %x : !x, %a0 = %a : !w) -> !y {
    %0 = sm1.linear %x0, %a0 : !x, !w
    sm1.yield %0 : !y
  }
  %tensor = sm1.kernel "tensor" (%h0 = %h : !h, %b0 = %b : !w) -> !y {
    %0 = sm1.linear %h0, %b0 : !h, !w
    sm1.yield %0 : !y
  }
  %pair = sm1.kernel "pair" (%h0 = %h : !h, %b0 = %b : !w, %c0 = %c : !w) -> !y {
    %0 = sm1.linear %h0, %b0 : !h, !w
    %1 = sm1.linear %h0, %c0 : !h, !w
    %2 = arith.mulf %0, %1 : !y
    sm1.yield %2 : !y
  }
  %three = sm1.kernel "three" (%h0 = %h : !h, %b0 = %b : !w, %c0 = %c : !w) -> !y {
    %0 = sm1.linear %h0, %b0 : !h, !w
    %1 = sm1.linear %h0, %c0 : !h, !w
    %2 = sm1.linear %h0, %c0 : !h, !w
    %3 = math.fma %0, %1, %2 : !y
    sm1.yield %3 : !y
  }
  %4 = sm1.kernel "sum" (%p = %plain : !y, %q = %stored : !y, %r = %tensor : !y, %s = %pair : !y, %t = %three : !y) -> !y {
    %0 = arith.addf %p, %q : !y
    %1 = arith.addf %r, %s : !y
    %2 = arith.addf %0, %1 : !y
    %3 = arith.addf %2, %t : !y
    sm1.yield %3 : !y
  }
  sm1.return %4 : !y
}

// -----

// Matrices lie as the form reads them: fragments of the tensor cores' operand, or panels. A table has rows.
// CHECK-LABEL: sm1.model @layouts
// CHECK-DAG: sm1.param "embed" {layout = "rows"} : tensor<37x64xbf16>
// CHECK-DAG: sm1.param "embed" {layout = "{{fragments|stages}}"} : tensor<37x64xbf16>
// CHECK-DAG: sm1.param "f" {layout = "panels"} : tensor<37x64xf32>
// CHECK-NOT: sm1.param
// CHECK: sm1.kernel "embedding{{(_step|_step_some)?}}" ({{.*}}) blocks<rows, threads = 64, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> ->
!l = tensor<?x?x37xf32>
sm1.model @layouts(%t: tensor<?x?xi32> {sm1.name = "tokens"}, %x: tensor<?x?x64xf32> {sm1.name = "x"}) -> (!l {sm1.name = "y"}, !l {sm1.name = "z"}) {
  %w = sm1.param "embed" : tensor<37x64xbf16>
  %f = sm1.param "f" : tensor<37x64xf32>
  %e = sm1.kernel "embedding" (%t0 = %t : tensor<?x?xi32>, %w0 = %w : tensor<37x64xbf16>) -> tensor<?x?x64xbf16> {
    %0 = sm1.embedding %t0, %w0 : tensor<?x?xi32>, tensor<37x64xbf16>
    sm1.yield %0 : tensor<?x?x64xbf16>
  }
  %y = sm1.kernel "head" (%h0 = %e : tensor<?x?x64xbf16>, %w0 = %w : tensor<37x64xbf16>) -> !l {
    %0 = sm1.linear %h0, %w0 : tensor<?x?x64xbf16>, tensor<37x64xbf16>
    sm1.yield %0 : !l
  }
  %z = sm1.kernel "other" (%x0 = %x : tensor<?x?x64xf32>, %f0 = %f : tensor<37x64xf32>) -> !l {
    %0 = sm1.linear %x0, %f0 : tensor<?x?x64xf32>, tensor<37x64xf32>
    sm1.yield %0 : !l
  }
  sm1.return %y, %z : !l, !l
}

// -----

// A scan has a form of its own where there are many rows, in bf16 with chunks of time; a step of it is one row, like everything
// elementwise. A norm needs all panels of a row, so that no form without projections splits them; in a prefill in bf16 a warp takes each.
// CHECK-LABEL: sm1.model @no_projections
// BF16: sm1.kernel "recurrence" ({{.*}}) blocks<scan, threads = 256, row_tile = 256, row_split = 1, panel_split = 2, stages = 1> ->
// PREFILL: sm1.kernel "recurrence" ({{.*}}) blocks<scan, threads = 256, row_tile = 64, row_split = 1, panel_split = 1, stages = 1> ->
// STEP: sm1.kernel "recurrence_step" ({{.*}}) blocks<rows, threads = 64, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> ->
// BF16: sm1.kernel "norm" ({{.*}}) blocks<rows, threads = 128, row_tile = 4, row_split = 4, panel_split = 0, stages = 1> ->
// PREFILL: sm1.kernel "norm" ({{.*}}) blocks<rows, threads = 192, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> ->
// STEP: sm1.kernel "norm_step" ({{.*}}) blocks<rows, threads = 192, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> ->
// STEPS: sm1.kernel "norm_step_some" ({{.*}}) blocks<rows, threads = 192, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> ->
// CHECK: sm1.kernel "wide{{(_step|_step_some)?}}" ({{.*}}) blocks<rows, threads = 512, row_tile = 1, row_split = 1, panel_split = 0, stages = 1> ->
!v = tensor<?x?x2000xf32>
sm1.model @no_projections(%x: tensor<?x?x704xf32> {sm1.name = "x"}, %s: tensor<?x?x20xf32> {sm1.name = "s"}, %v: !v {sm1.name = "v"})
    -> (tensor<?x?x20xf32> {sm1.name = "h"}, tensor<?x?x704xf32> {sm1.name = "r"}, !v {sm1.name = "w"}) {
  %n = sm1.param "n" : tensor<704xf32>
  %h = sm1.kernel "recurrence" (%s0 = %s : tensor<?x?x20xf32>) -> tensor<?x?x20xf32> {
    %0, %last = sm1.scan %s0, %s0 : tensor<?x?x20xf32>
    sm1.yield %0 : tensor<?x?x20xf32>
  }
  %r = sm1.kernel "norm" (%x0 = %x : tensor<?x?x704xf32>, %n0 = %n : tensor<704xf32>) -> tensor<?x?x704xf32> {
    %0 = sm1.rms_norm %x0, %n0 eps 1.0e-6 : tensor<?x?x704xf32>
    sm1.yield %0 : tensor<?x?x704xf32>
  }
  %w = sm1.kernel "wide" (%v0 = %v : !v) -> !v {
    %0 = math.exp %v0 : !v
    sm1.yield %0 : !v
  }
  sm1.return %h, %r, %w : tensor<?x?x20xf32>, tensor<?x?x704xf32>, !v
}

// -----

// A schedule that somebody wrote stays, and so does a launch.
// CHECK-LABEL: sm1.model @kept
// CHECK: sm1.launch sync(flags)
// CHECK-NEXT: sm1.kernel "mine{{(_step|_step_some)?}}" ({{.*}}) blocks<rows, threads = 1024, row_tile = 3, row_split = 5, panel_split = 7, stages = 2> ->
// CHECK-NOT: sm1.launch
sm1.model @kept(%x: tensor<?x?x8xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %y = sm1.launch sync(flags) -> tensor<?x?x8xf32> {
    %e = sm1.kernel "mine" (%x0 = %x : tensor<?x?x8xf32>) blocks<rows, threads = 1024, row_tile = 3, row_split = 5, panel_split = 7, stages = 2>
        -> tensor<?x?x8xf32> {
      %0 = math.exp %x0 : tensor<?x?x8xf32>
      sm1.yield %0 : tensor<?x?x8xf32>
    }
    sm1.yield %e : tensor<?x?x8xf32>
  }
  sm1.return %y : tensor<?x?x8xf32>
}

// -----

// More rows of k than shared memory has room for: fewer rows at a time.
// CHECK-LABEL: sm1.model @deep
// STEP: blocks<step, threads = 512, row_tile = 1,
sm1.model @deep(%x: tensor<?x?x8192xf32> {sm1.name = "x"}) -> (tensor<?x?x8xf32> {sm1.name = "y"}) {
  %a = sm1.param "a" : tensor<8x8192xf32>
  %y = sm1.kernel "k" (%x0 = %x : tensor<?x?x8192xf32>, %a0 = %a : tensor<8x8192xf32>) -> tensor<?x?x8xf32> {
    %0 = sm1.linear %x0, %a0 : tensor<?x?x8192xf32>, tensor<8x8192xf32>
    sm1.yield %0 : tensor<?x?x8xf32>
  }
  sm1.return %y : tensor<?x?x8xf32>
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
